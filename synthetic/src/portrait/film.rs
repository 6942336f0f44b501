//! What does the camera add: blur, vignette, exposure and grain?

use super::Sitting;
use crate::canvas::Canvas;
use crate::noise::hash;

/// Turn the painted scene into a photograph
pub(crate) fn develop(canvas: &mut Canvas, s: &Sitting) {
    let side = canvas.side;
    soften(canvas, s.look.blur * side as f32 / 128.0);
    let middle = 0.5 * side as f32;
    for (place, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (i, j) = (place % side, place / side);
        let (u, v) = ((i as f32 - middle) / middle, (j as f32 - middle) / middle);
        let gain = s.look.exposure * (1.0 - s.look.vignette * 0.35 * (u * u + v * v));
        let grey = grain(i, j, s.grain);
        for (channel, value) in pixel.iter_mut().enumerate() {
            let speck = grey + 0.4 * grain(i, j, s.grain ^ (0x77 + channel as u32));
            *value = curve(*value * gain) + s.look.noise * speck;
        }
    }
}

/// A gentle shoulder, so that highlights do not clip
fn curve(x: f32) -> f32 {
    let x = x.max(0.0);
    if x < 0.7 { x } else { 0.7 + 0.3 * (x - 0.7) / (x - 0.4) }
}

/// Bell-shaped noise of about unit spread
fn grain(i: usize, j: usize, seed: u32) -> f32 {
    let bits = hash(i as i32, j as i32, seed ^ 0xF11A);
    let sum: u32 = (0..4).map(|byte| (bits >> (8 * byte)) & 255).sum();
    (sum as f32 - 510.0) / 148.0
}

/// A binomial blur of `strength` pixels: up to one, a mixture with the sharp picture; beyond, repeated
fn soften(canvas: &mut Canvas, strength: f32) {
    let mut left = strength;
    while left > 0.02 {
        let share = left.min(1.0);
        pass(canvas, 1, share);
        pass(canvas, canvas.side, share);
        left -= 1.0;
    }
}

fn pass(canvas: &mut Canvas, stride: usize, share: f32) {
    let before = canvas.pixels.clone();
    let side = canvas.side;
    for place in 0..before.len() {
        let along = if stride == 1 { place % side } else { place / side };
        let back = if along > 0 { place - stride } else { place };
        let ahead = if along + 1 < side { place + stride } else { place };
        canvas.pixels[place] = [0, 1, 2].map(|c| {
            let blurred = 0.25 * before[back][c] + 0.5 * before[place][c] + 0.25 * before[ahead][c];
            before[place][c] + share * (blurred - before[place][c])
        });
    }
}
