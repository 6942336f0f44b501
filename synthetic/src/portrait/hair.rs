//! How is hair painted, behind the head and over it?

use super::Sitting;
use crate::canvas::{Canvas, Coverage, Rgb, dim};
use crate::noise::{cloud, value};
use crate::pen::{Pen, at};

/// Long hair, buns and volume behind the head
pub(crate) fn behind(canvas: &mut Canvas, s: &Sitting) {
    let w = s.look.width;
    let pen = Pen::new(&s.pose);
    let path = match s.look.hair_style {
        0 => pen.ring(&[
            at(0.0, -1.22),
            at(w + 0.14, -0.8),
            at(w + 0.22, 0.2),
            at(w + 0.25, 1.5),
            at(0.0, 1.5),
            at(-w - 0.25, 1.5),
            at(-w - 0.22, 0.2),
            at(-w - 0.14, -0.8),
        ]),
        1 => pen.ring(&[
            at(0.0, -1.2),
            at(w + 0.14, -0.8),
            at(w + 0.24, 0.1),
            at(w + 0.16, 0.85),
            at(0.0, 0.9),
            at(-w - 0.16, 0.85),
            at(-w - 0.24, 0.1),
            at(-w - 0.14, -0.8),
        ]),
        2 => pen.ellipse(0.1, -1.2, 0.34, 0.3).ellipse(0.0, -0.45, w + 0.08, 0.78),
        3 => pen.ellipse(0.0, -0.45, w + 0.28, 0.95),
        4 => pen.ellipse(0.0, -0.35, w + 0.09, 0.84),
        _ => pen.ellipse(0.0, -0.45, w + 0.05, 0.72),
    };
    let cover = canvas.cover(&path.done());
    strands(canvas, s, &cover, dim(s.look.hair, 0.9));
}

/// The hair line over the forehead
pub(crate) fn front(canvas: &mut Canvas, s: &Sitting) {
    let w = s.look.width;
    let start = |top: f32| {
        Pen::new(&s.pose).from(-w - 0.04, -0.12).curve((-w - 0.12, -0.7), (-0.65 * w, top), (0.0, top)).curve(
            (0.65 * w, top),
            (w + 0.12, -0.7),
            (w + 0.04, -0.12),
        )
    };
    let path = match s.look.hair_style {
        0 | 2 => start(-1.22).curve((0.93 * w, -0.5), (0.5 * w, -0.8), (0.02, -0.94)).curve(
            (-0.5 * w, -0.8),
            (-0.93 * w, -0.5),
            (-w - 0.04, -0.12),
        ),
        1 => start(-1.2).curve((0.97 * w, -0.55), (0.8 * w, -0.68), (0.0, -0.7)).curve(
            (-0.8 * w, -0.68),
            (-0.97 * w, -0.55),
            (-w - 0.04, -0.12),
        ),
        3 => start(-1.3).curve((0.97 * w, -0.6), (0.6 * w, -0.74), (0.0, -0.76)).curve(
            (-0.6 * w, -0.74),
            (-0.97 * w, -0.6),
            (-w - 0.04, -0.12),
        ),
        4 => start(-1.22).curve((0.98 * w, -0.6), (0.7 * w, -0.85), (-0.35 * w, -0.8)).curve(
            (-0.7 * w, -0.74),
            (-0.97 * w, -0.5),
            (-w - 0.04, -0.12),
        ),
        5 => start(-1.14).curve((0.97 * w, -0.6), (0.7 * w, -0.84), (0.0, -0.82)).curve(
            (-0.7 * w, -0.84),
            (-0.97 * w, -0.6),
            (-w - 0.04, -0.12),
        ),
        6 => Pen::new(&s.pose),
        _ => start(-1.1)
            .curve((0.86 * w, -0.5), (0.8 * w, -0.95), (0.35 * w, -0.97))
            .curve((0.1, -0.78), (-0.1, -0.78), (-0.35 * w, -0.97))
            .curve((-0.8 * w, -0.95), (-0.86 * w, -0.5), (-w - 0.04, -0.12)),
    };
    let cover = canvas.cover(&path.close().done());
    canvas.shade(&cover.clone().blurred(s.px(0.06)), [0.5, 0.42, 0.4], 0.5);
    strands(canvas, s, &cover, s.look.hair);
}

/// Paint hair with strands and a sheen
fn strands(canvas: &mut Canvas, s: &Sitting, cover: &Coverage, colour: Rgb) {
    let curly = s.look.hair_style == 3;
    let light = s.look.light;
    canvas.paint(cover, |x, y, _| {
        let p = s.pose.unmap(x, y);
        let strand = if curly {
            cloud(11.0 * p.x, 11.0 * p.y, s.grain ^ 0xC0)
        } else {
            value(22.0 * p.x + 3.0 * p.y, 2.5 * p.y - p.x, s.grain ^ 0xC1)
        };
        let sheen = (1.0 - 6.0 * (p.y + 0.95) * (p.y + 0.95)).max(0.0);
        let lit = 0.62 + 0.3 * strand + 0.3 * light[0] * p.x - 0.25 * light[1] * sheen + 0.2 * sheen;
        let base = dim(colour, lit.clamp(0.2, 1.5));
        base.map(|c| c + 0.05 * sheen * (1.0 + strand))
    });
}
