//! What else is on the face: age, beard, glasses, tears and sweat?

use super::Sitting;
use crate::canvas::{Canvas, Coverage, blend, dim};
use crate::geometry::Point;
use crate::noise::{step, value};
use crate::pen::{Pen, Pose, at};

/// Lines that stay when the face is at rest
pub(crate) fn age(canvas: &mut Canvas, s: &Sitting, head: &Coverage) {
    let depth = (s.look.age - 0.45).max(0.0);
    if depth == 0.0 {
        return;
    }
    for side in [-1.0f32, 1.0] {
        for row in 0..3 {
            let y = s.look.rest.eye_y + 0.01 + 0.05 * (row as f32 - 1.0);
            let x = side * (s.look.rest.eye_x + s.look.rest.eye_width + 0.03);
            let line =
                Pen::new(&s.pose).from(x, y).line(x + side * 0.1, y + 0.06 * (row as f32 - 1.0)).done();
            let cover = canvas.cover_stroke(&line, s.px(0.014)).within(head);
            canvas.shade(&cover, [0.5, 0.38, 0.36], 0.9 * depth);
        }
    }
}

/// A beard around the mouth and along the jaw
pub(crate) fn beard(canvas: &mut Canvas, s: &Sitting, head: &Coverage) {
    if s.look.beard == 0.0 {
        return;
    }
    let (mouth, w) = (&s.face.mouth, s.look.width);
    let chin = 1.06 + s.face.jaw;
    let region = Pen::new(&s.pose)
        .ring(&[
            at(-w, 0.2),
            at(-0.72 * w, 0.5),
            at(-mouth.right.x - 0.08, s.face.nose.tip.y + 0.2),
            at(0.0, s.face.nose.tip.y + 0.15),
            at(mouth.right.x + 0.08, s.face.nose.tip.y + 0.2),
            at(0.72 * w, 0.5),
            at(w, 0.2),
            at(w, 0.9),
            at(0.0, chin + 0.1),
            at(-w, 0.9),
        ])
        .done();
    let free = Pen::new(&s.pose)
        .ellipse(
            0.0,
            0.5 * (mouth.upper + mouth.lower),
            mouth.right.x + 0.02,
            0.5 * (mouth.lower - mouth.upper) + 0.1,
        )
        .done();
    let free = canvas.cover(&free).blurred(s.px(0.02));
    let cover = canvas.cover(&region).blurred(s.px(0.04)).outside(&free).within(head);
    canvas.paint(&cover, |x, y, under| {
        let p = s.pose.unmap(x, y);
        let strand = value(50.0 * p.x, 24.0 * p.y, s.grain ^ 0xBE);
        blend(under, dim(s.look.hair, 0.8 + 0.35 * strand), (s.look.beard + 0.25 * strand).clamp(0.0, 0.9))
    });
}

/// Thin frames
pub(crate) fn glasses(canvas: &mut Canvas, s: &Sitting) {
    if !s.look.glasses {
        return;
    }
    let rest = &s.look.rest;
    let (rx, ry, y) = (rest.eye_width + 0.08, 0.2, rest.eye_y + 0.03);
    let colour = dim(s.look.hair, 0.4);
    for side in [-1.0, 1.0] {
        let rim = Pen::new(&s.pose).ellipse(side * rest.eye_x, y, rx, ry).done();
        let lens = canvas.cover(&rim);
        canvas.tint(&lens, [0.9, 0.95, 1.0], 0.06);
        let rim = canvas.cover_stroke(&rim, s.px(0.028));
        canvas.tint(&rim, colour, 0.9);
        let arm = Pen::new(&s.pose)
            .from(side * (rest.eye_x + rx), y - 0.05)
            .line(side * s.look.width, y - 0.08)
            .done();
        let arm = canvas.cover_stroke(&arm, s.px(0.03));
        canvas.tint(&arm, colour, 0.9);
    }
    let (a, b) = (at(-rest.eye_x + rx, y), at(rest.eye_x - rx, y));
    let bridge = Pen::new(&s.pose).from(a.x, a.y).arch(a, y - 0.04, b, 0.2).done();
    let bridge = canvas.cover_stroke(&bridge, s.px(0.028));
    canvas.tint(&bridge, colour, 0.9);
}

/// Tears and sweat: clear water with a highlight
pub(crate) fn drops(canvas: &mut Canvas, s: &Sitting) {
    if s.face.tears > 0.2 {
        for eye in &s.face.eyes {
            let x = eye.centre.x * 1.02;
            let (top, low) = (eye.centre.y + eye.lower.max(0.0), eye.centre.y + 0.22 + 0.3 * s.face.tears);
            let track = Pen::new(&s.pose).from(x, top).line(x * 1.05, low).done();
            let cover = canvas.cover_stroke(&track, s.px(0.05));
            canvas.tint(&cover, [0.82, 0.9, 0.97], 0.45);
            drop(canvas, &s.pose, at(x * 1.05, low), 0.055);
        }
    }
    if s.face.sweat > 0.2 {
        drop(canvas, &s.pose, at(0.52, -0.6), 0.06 + 0.02 * s.face.sweat);
        drop(canvas, &s.pose, at(-0.6, -0.36), 0.045);
    }
}

fn drop(canvas: &mut Canvas, pose: &Pose, p: Point, r: f32) {
    let path = Pen::new(pose)
        .from(p.x, p.y - 2.0 * r)
        .curve((p.x + 0.3 * r, p.y - r), (p.x + r, p.y - 0.5 * r), (p.x + r, p.y + 0.2 * r))
        .curve((p.x + r, p.y + 1.3 * r), (p.x - r, p.y + 1.3 * r), (p.x - r, p.y + 0.2 * r))
        .curve((p.x - r, p.y - 0.5 * r), (p.x - 0.3 * r, p.y - r), (p.x, p.y - 2.0 * r))
        .close()
        .done();
    let cover = canvas.cover(&path);
    canvas.paint(&cover, |x, y, under| {
        let q = pose.unmap(x, y);
        let deep = step(-1.0, 1.0, (q.y - p.y) / r);
        blend(under, blend([0.5, 0.66, 0.8], [0.9, 0.97, 1.0], deep), 0.75)
    });
    let glint = canvas.cover(&Pen::new(pose).ellipse(p.x - 0.3 * r, p.y - 0.1 * r, 0.25 * r, 0.3 * r).done());
    canvas.tint(&glint, [1.0; 3], 0.95);
}
