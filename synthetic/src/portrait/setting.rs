//! What is behind and below the head: a blurred place, neck and clothes?

use super::Sitting;
use crate::canvas::{Canvas, blend, dim};
use crate::noise::{cloud, hash, mix, step, value};
use crate::pen::{Pen, Pose, at};

/// Fill the canvas with a place out of focus
pub(crate) fn background(canvas: &mut Canvas, s: &Sitting) {
    let (side, back) = (canvas.side, s.look.back);
    let lean = 0.4 * s.look.light[0];
    for (place, pixel) in canvas.pixels.iter_mut().enumerate() {
        let u = (place % side) as f32 / side as f32;
        let v = (place / side) as f32 / side as f32;
        let fog = cloud(2.3 * u, 2.3 * v, s.grain ^ 0xBAC6);
        let fall = (v + lean * (u - 0.5) + 0.25 * fog).clamp(0.0, 1.0);
        *pixel = blend(back[0], back[1], fall);
        let leaf = cloud(7.0 * u, 7.0 * v, s.grain ^ 0x1EAF);
        let busy = [0.15, 0.55, 0.25, 0.2, 0.35][s.look.setting];
        *pixel = blend(*pixel, back[2], busy * step(0.0, 0.9, leaf));
    }
    match s.look.setting {
        0 => {}
        1 | 3 => lights(canvas, s),
        _ => walls(canvas, s),
    }
}

/// A number in [0, 1) that belongs to this picture
fn fate(s: &Sitting, i: usize, j: usize) -> f32 {
    (hash(i as i32, j as i32, s.grain ^ 0xFA7E) >> 8) as f32 / 16_777_216.0
}

fn frame(canvas: &Canvas) -> Pose {
    let side = canvas.side as f32;
    Pose { centre: at(0.0, 0.0), scale: side, tilt: 0.0, turn: 0.0, nod: 0.0 }
}

/// Discs of light out of focus
fn lights(canvas: &mut Canvas, s: &Sitting) {
    let frame = frame(canvas);
    for i in 0..7 {
        let r = mix(0.04, 0.11, fate(s, i, 0));
        let disc = Pen::new(&frame).ellipse(fate(s, i, 1), 0.8 * fate(s, i, 2), r, r).done();
        let cover = canvas.cover(&disc).blurred(0.008 * frame.scale);
        canvas.tint(&cover, s.look.back[2], mix(0.15, 0.55, fate(s, i, 3)));
    }
}

/// Blurred upright and level edges
fn walls(canvas: &mut Canvas, s: &Sitting) {
    let frame = frame(canvas);
    for i in 0..4 {
        let (x, y) = (fate(s, i, 4) - 0.1, mix(-0.3, 0.6, fate(s, i, 5)));
        let (w, h) = (mix(0.1, 0.35, fate(s, i, 6)), mix(0.3, 0.9, fate(s, i, 7)));
        let pane = Pen::new(&frame).polygon(&[(x, y), (x + w, y), (x + w, y + h), (x, y + h)]).done();
        let cover = canvas.cover(&pane).blurred(0.02 * frame.scale);
        let colour = if fate(s, i, 8) < 0.5 { s.look.back[2] } else { dim(s.look.back[1], 0.8) };
        canvas.tint(&cover, colour, 0.5);
    }
}

/// Neck and shoulders
pub(crate) fn body(canvas: &mut Canvas, s: &Sitting) {
    let still = Pose { turn: 0.0, nod: 0.0, tilt: 0.3 * s.pose.tilt, ..s.pose };
    let (light, grain, look) = (s.look.light, s.grain, s.look);
    let shirt = Pen::new(&still)
        .from(-2.0, 2.4)
        .curve((-1.8, 1.35), (-0.9, 1.3), (-0.42, 1.12))
        .curve((-0.2, 1.35), (0.2, 1.35), (0.42, 1.12))
        .curve((0.9, 1.3), (1.8, 1.35), (2.0, 2.4))
        .close()
        .done();
    let cover = canvas.cover(&shirt);
    canvas.paint(&cover, |x, y, _| {
        let p = still.unmap(x, y);
        let weave = match look.cloth_kind {
            0 => 0.06 * value(60.0 * p.x, 60.0 * p.y, grain),
            1 => 0.14 * step(-0.1, 0.1, value(0.0, 9.0 * p.y, grain)),
            2 => 0.1 * step(-0.1, 0.1, value(9.0 * p.x, 0.0, grain)),
            _ => 0.12 * cloud(5.0 * p.x, 5.0 * p.y, grain),
        };
        let bright = 0.72 + 0.3 * light[0] * p.x - 0.25 * (p.y - 1.2) + weave;
        dim(look.cloth, bright.clamp(0.2, 1.25))
    });
    let w = 0.46 * look.width / 0.78;
    let neck = Pen::new(&still)
        .from(-w, 0.5)
        .curve((-w, 1.0), (-w, 1.1), (-w - 0.12, 1.22))
        .curve((-0.2, 1.5), (0.2, 1.5), (w + 0.12, 1.22))
        .curve((w, 1.1), (w, 1.0), (w, 0.5))
        .close()
        .done();
    let cover = canvas.cover(&neck);
    canvas.paint(&cover, |x, y, _| {
        let p = still.unmap(x, y);
        let round = 1.0 - 0.6 * (p.x / w) * (p.x / w);
        let lit = 0.3 + 0.35 * (round + light[0] * p.x / w).clamp(0.0, 1.2) + 0.2 * (p.y - 1.0);
        dim(look.skin, lit.clamp(0.15, 0.95))
    });
}
