//! How are eyes and brows painted?

use super::Sitting;
use crate::canvas::{Canvas, blend, dim};
use crate::geometry::{Brow, Eye, Point};
use crate::noise::{step, value};
use crate::pen::{Pen, at};

/// Both eyes
pub(crate) fn eyes(canvas: &mut Canvas, s: &Sitting) {
    for eye in &s.face.eyes {
        socket(canvas, s, eye);
        ball(canvas, s, eye);
        lids(canvas, s, eye);
    }
}

/// Both brows
pub(crate) fn brows(canvas: &mut Canvas, s: &Sitting) {
    for brow in &s.face.brows {
        strip(canvas, s, brow);
    }
}

fn corners(eye: &Eye) -> (Point, Point) {
    let lean = if eye.centre.x > 0.0 { eye.slant } else { -eye.slant };
    (
        at(eye.centre.x - eye.half_width, eye.centre.y + 0.01 - lean),
        at(eye.centre.x + eye.half_width, eye.centre.y + 0.01 + lean),
    )
}

fn socket(canvas: &mut Canvas, s: &Sitting, eye: &Eye) {
    let c = eye.centre;
    let hollow = Pen::new(&s.pose).ellipse(c.x, c.y - 0.03, eye.half_width * 1.15, eye.upper + 0.06).done();
    let cover = canvas.cover(&hollow).blurred(s.px(0.05));
    canvas.shade(&cover, [0.55, 0.42, 0.4], 0.45);
}

fn ball(canvas: &mut Canvas, s: &Sitting, eye: &Eye) {
    let ((a, b), c) = (corners(eye), eye.centre);
    let opening = Pen::new(&s.pose)
        .from(a.x, a.y)
        .arch(a, c.y - eye.upper, b, 0.15)
        .arch(b, c.y + eye.lower, a, 0.15)
        .close()
        .done();
    let cover = canvas.cover(&opening);
    let level = s.look.ambient + (1.0 - s.look.ambient) * 0.75;
    canvas.paint(&cover, |x, y, _| {
        let p = s.pose.unmap(x, y);
        let deep = step(-0.06, 0.06, p.y - (c.y - eye.upper));
        let edge = (p.x - c.x) / eye.half_width;
        dim([0.97, 0.95, 0.93], level * (0.62 + 0.42 * deep) * (1.0 - 0.22 * edge * edge))
    });
    let r = 0.095;
    let middle = c.y - 0.012;
    let disc = |r: f32, dx: f32, dy: f32| Pen::new(&s.pose).ellipse(c.x + dx, middle + dy, r, r).done();
    let iris = canvas.cover(&disc(r, 0.0, 0.0)).within(&cover);
    canvas.paint(&iris, |x, y, _| {
        let p = s.pose.unmap(x, y);
        let (dx, dy) = ((p.x - c.x) / r, (p.y - middle) / r);
        let d = (dx * dx + dy * dy).sqrt();
        let rays = 0.15 * value(9.0 * dx, 9.0 * dy, s.grain ^ 0x1415);
        dim(s.look.iris, level * (1.15 + 0.35 * dy + rays) * (1.0 - 0.6 * step(0.75, 1.0, d)))
    });
    let pupil = canvas.cover(&disc(0.45 * r, 0.0, 0.0)).within(&cover);
    canvas.tint(&pupil, [0.03, 0.03, 0.04], 1.0);
    let catch = canvas.cover(&disc(0.26 * r, 0.4 * r * s.look.light[0] - 0.1 * r, -0.4 * r)).within(&cover);
    canvas.tint(&catch, [1.0; 3], 0.9);
}

fn lids(canvas: &mut Canvas, s: &Sitting, eye: &Eye) {
    let ((a, b), c) = (corners(eye), eye.centre);
    let line = |lift: f32, spread: f32, peak: f32| {
        let (a, b) = (at(a.x - spread, a.y + lift), at(b.x + spread, b.y + lift));
        Pen::new(&s.pose).from(a.x, a.y).arch(a, peak, b, 0.15).done()
    };
    let lash = if s.look.woman { 0.042 } else { 0.03 };
    let upper = canvas.cover_stroke(&line(0.0, 0.01, c.y - eye.upper), s.px(lash));
    canvas.tint(&upper, [0.1, 0.07, 0.06], 0.9);
    let lower = canvas.cover_stroke(&line(0.0, 0.0, c.y + eye.lower), s.px(0.018));
    canvas.tint(&lower, [0.3, 0.17, 0.14], 0.6);
    let crease = line(-0.035, 0.01, c.y - eye.upper - 0.06);
    let crease = canvas.cover_stroke(&crease, s.px(0.022)).blurred(s.px(0.01));
    canvas.shade(&crease, [0.5, 0.35, 0.32], 0.75);
    let squeeze = (s.face.cheeks - 0.2).max(0.0) + 0.35 * s.look.age;
    let bag = canvas.cover_stroke(&line(0.05, -0.02, c.y + eye.lower.max(0.0) + 0.1), s.px(0.03));
    canvas.shade(&bag.blurred(s.px(0.015)), [0.6, 0.45, 0.42], (0.75 * squeeze).min(0.8));
}

/// A tapering strip of hair along the brow
fn strip(canvas: &mut Canvas, s: &Sitting, brow: &Brow) {
    let thick = if s.look.woman { 0.036 } else { 0.05 };
    let shift = |p: Point, dy: f32| at(p.x, p.y + dy);
    let Brow { inner, middle, outer } = *brow;
    let ring = [
        shift(inner, -thick),
        shift(middle, -1.05 * thick),
        outer,
        shift(middle, 0.85 * thick),
        shift(inner, thick),
    ];
    let cover = canvas.cover(&Pen::new(&s.pose).ring(&ring).done());
    let colour = dim(blend(s.look.hair, [0.12, 0.09, 0.08], 0.5), 0.8);
    canvas.tint(&cover.clone().blurred(s.px(0.012)), colour, 0.35);
    canvas.paint(&cover, |x, y, under| {
        let p = s.pose.unmap(x, y);
        let strand = value(46.0 * p.x + 18.0 * p.y, 14.0 * p.y, s.grain ^ 0xB0);
        blend(under, dim(colour, 1.0 + 0.3 * strand), 0.85 + 0.15 * strand)
    });
}
