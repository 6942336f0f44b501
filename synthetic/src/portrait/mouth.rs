//! How are nostrils, lips, teeth and tongue painted?

use super::Sitting;
use crate::canvas::{Canvas, Coverage, dim};
use crate::geometry::{Mouth, Point};
use crate::noise::value;
use crate::pen::{Pen, at};

/// Nostrils and mouth
pub(crate) fn paint(canvas: &mut Canvas, s: &Sitting) {
    nostrils(canvas, s);
    let mouth = &s.face.mouth;
    lips(canvas, s, mouth);
    if mouth.is_open() {
        cavity(canvas, s, mouth);
    } else {
        seam(canvas, s, mouth);
    }
    corners(canvas, s, mouth);
    let below = Pen::new(&s.pose).ellipse(0.0, mouth.lower + mouth.lower_lip + 0.05, 0.2, 0.035).done();
    let cover = canvas.cover(&below).blurred(s.px(0.03));
    canvas.shade(&cover, [0.6, 0.48, 0.45], 0.55 + 0.4 * s.face.chin);
}

fn nostrils(canvas: &mut Canvas, s: &Sitting) {
    let nose = &s.face.nose;
    let under = Pen::new(&s.pose).ellipse(0.0, nose.tip.y + 0.1, nose.half_width, 0.035).done();
    let cover = canvas.cover(&under).blurred(s.px(0.03));
    canvas.shade(&cover, [0.5, 0.38, 0.35], 0.6);
    for side in [-1.0, 1.0] {
        let x = side * 0.5 * nose.half_width;
        let hole =
            Pen::new(&s.pose).ellipse(x, nose.tip.y + 0.075, 0.035 + 0.012 * nose.wrinkle, 0.02).done();
        let cover = canvas.cover(&hole);
        canvas.shade(&cover, [0.25, 0.14, 0.12], 0.85);
        let wing = side * nose.half_width;
        let edge = Pen::new(&s.pose)
            .from(wing, nose.tip.y - 0.06)
            .curve(
                (wing * 1.25, nose.tip.y),
                (wing * 1.2, nose.tip.y + 0.08),
                (wing * 0.85, nose.tip.y + 0.09),
            )
            .done();
        let cover = canvas.cover_stroke(&edge, s.px(0.02)).blurred(s.px(0.012));
        canvas.shade(&cover, [0.5, 0.36, 0.33], 0.7);
    }
}

/// The closed curve between two arches from corner to corner
fn band(s: &Sitting, mouth: &Mouth, top: f32, low: f32, square: f32) -> Option<tiny_skia::Path> {
    let (l, r) = (mouth.left, mouth.right);
    Pen::new(&s.pose).from(l.x, l.y).arch(l, top, r, mouth.square).arch(r, low, l, square).close().done()
}

fn lips(canvas: &mut Canvas, s: &Sitting, mouth: &Mouth) {
    let tone = s.look.lips.map(|c| c.min(1.0));
    let upper = band(s, mouth, mouth.upper - mouth.upper_lip, mouth.upper + 0.01, mouth.square);
    let lower = band(s, mouth, mouth.lower - 0.01, mouth.lower + mouth.lower_lip, 0.3);
    let texture = |canvas: &mut Canvas, cover: &Coverage, bright: f32| {
        canvas.paint(cover, |x, y, under| {
            let p = s.pose.unmap(x, y);
            let crack = 1.0 + 0.08 * value(40.0 * p.x, 6.0 * p.y, s.grain ^ 0x11);
            [0, 1, 2].map(|i| under[i] * tone[i] * bright * crack)
        });
    };
    let cover = canvas.cover(&upper);
    texture(canvas, &cover, 0.8);
    let cover = canvas.cover(&lower);
    texture(canvas, &cover, 0.97);
    if mouth.lower_lip > 0.03 {
        let shine = Pen::new(&s.pose)
            .ellipse(0.08 * s.look.light[0], mouth.lower + 0.45 * mouth.lower_lip, 0.09, 0.014)
            .done();
        let cover = canvas.cover(&shine).blurred(s.px(0.012));
        canvas.tint(&cover, [1.0, 0.93, 0.9], 0.35);
    }
}

fn cavity(canvas: &mut Canvas, s: &Sitting, mouth: &Mouth) {
    let opening = band(s, mouth, mouth.upper, mouth.lower, 0.4 + 0.6 * mouth.square);
    let cover = canvas.cover(&opening);
    canvas.tint(&cover, [0.16, 0.05, 0.05], 1.0);
    let tall = mouth.lower - mouth.upper;
    let inside = |canvas: &mut Canvas, path| canvas.cover(&path).within(&cover);
    if tall > 0.1 {
        let bed = Pen::new(&s.pose).ellipse(0.0, mouth.lower + 0.04, 0.6 * mouth.right.x, 0.42 * tall).done();
        let bed = inside(canvas, bed);
        canvas.tint(&bed, [0.62, 0.28, 0.27], 0.9);
    }
    let wide = 1.1 * mouth.right.x;
    let top = mouth.upper.min(mouth.left.y).min(mouth.right.y) - 0.1;
    let rows = [
        (mouth.upper_teeth, top, mouth.upper + (0.45 * tall).min(0.09 + 0.03 * mouth.square)),
        (mouth.lower_teeth, mouth.lower - (0.3 * tall).min(0.07), mouth.lower + 0.2),
    ];
    for (shown, from, to) in rows {
        if shown > 0.25 {
            let row =
                Pen::new(&s.pose).polygon(&[(-wide, from), (wide, from), (wide, to), (-wide, to)]).done();
            let cover = inside(canvas, row);
            teeth(canvas, s, &cover, mouth);
        }
    }
    let rim = canvas.cover_stroke(&opening, s.px(0.022));
    canvas.shade(&rim, [0.35, 0.18, 0.16], 0.8);
    if mouth.tongue > 0.2 {
        tongue(canvas, s, mouth);
    }
}

fn teeth(canvas: &mut Canvas, s: &Sitting, cover: &Coverage, mouth: &Mouth) {
    canvas.paint(cover, |x, y, _| {
        let p = s.pose.unmap(x, y);
        let round = 1.0 - 0.45 * (p.x / mouth.right.x) * (p.x / mouth.right.x);
        let place = p.x / 0.075;
        let gap = (place - place.round()).abs();
        let split = if gap > 0.42 { 0.82 } else { 1.0 };
        dim([0.95, 0.92, 0.85], round * split * (0.75 + 0.3 * s.look.ambient))
    });
}

fn tongue(canvas: &mut Canvas, s: &Sitting, mouth: &Mouth) {
    let (top, tip) = (mouth.lower - 0.05, mouth.lower + 0.1 + 0.14 * mouth.tongue);
    let path = Pen::new(&s.pose)
        .from(-0.13, top)
        .curve((-0.15, tip), (-0.1, tip + 0.03), (0.0, tip + 0.03))
        .curve((0.1, tip + 0.03), (0.15, tip), (0.13, top))
        .close()
        .done();
    let cover = canvas.cover(&path);
    canvas.paint(&cover, |x, y, _| {
        let p = s.pose.unmap(x, y);
        let groove = 1.0 - 0.3 * (1.0 - (p.x / 0.04).abs()).max(0.0);
        let round = 1.0 - 12.0 * p.x * p.x;
        dim([0.82, 0.42, 0.41], groove * round * (0.75 + 0.35 * s.look.ambient))
    });
    let rim = canvas.cover_stroke(&path, s.px(0.015));
    canvas.shade(&rim, [0.5, 0.3, 0.3], 0.7);
}

fn seam(canvas: &mut Canvas, s: &Sitting, mouth: &Mouth) {
    let (l, r) = (mouth.left, mouth.right);
    let line = Pen::new(&s.pose).from(l.x, l.y).arch(l, mouth.upper, r, mouth.square).done();
    let cover = canvas.cover_stroke(&line, s.px(0.034));
    canvas.shade(&cover, [0.28, 0.13, 0.12], 0.9);
}

fn corners(canvas: &mut Canvas, s: &Sitting, mouth: &Mouth) {
    for (corner, side) in [(mouth.left, -1.0), (mouth.right, 1.0)] {
        let Point { x, y } = corner;
        let pit = Pen::new(&s.pose).ellipse(x + side * 0.01, y, 0.03, 0.035).done();
        let cover = canvas.cover(&pit).blurred(s.px(0.012));
        canvas.shade(&cover, [0.45, 0.3, 0.28], 0.6);
        let tense = 1.0 - (mouth.lower_lip / s.look.rest.lip).min(1.0);
        if tense > 0.25 && !mouth.is_open() {
            let (from, to) = (at(x + side * 0.03, y - 0.07), at(x + side * 0.03, y + 0.07));
            let line = Pen::new(&s.pose).from(from.x, from.y).line(to.x, to.y).done();
            let cover = canvas.cover_stroke(&line, s.px(0.03)).blurred(s.px(0.012));
            canvas.shade(&cover, [0.45, 0.3, 0.28], 0.8);
        }
    }
}
