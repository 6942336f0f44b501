//! The target domain: how is a face drawn as a flat, outlined sticker?
//!
//! Seven invented style families share one expression geometry. A look fixes family, colours and proportions; it
//! is drawn without knowledge of the emotion.

mod body;
mod features;
mod look;
mod palette;

pub(crate) use look::Look;

use crate::Units;
use crate::canvas::Canvas;
use crate::geometry::{Point, face};
use crate::pen::Pose;

/// The style families in the order of their ids
pub(crate) const STYLES: &[&str] = &["round", "toon", "pastel", "animal", "ghost", "ink", "pixel"];

/// How many times finer than the picture a smooth family is drawn
const FINER: usize = 2;

/// The side of the coarse grid on which the pixel family is drawn
const GRID: usize = 48;

/// Paint a sticker, `size` pixels on a side
pub(crate) fn paint(look: &Look, units: &Units, size: usize) -> Canvas {
    let blocky = look.family == look::Family::Pixel;
    let side = if blocky { GRID.min(size) } else { size * FINER };
    let mut canvas = Canvas::new(side, look.paper);
    canvas.smooth = !blocky;
    let pose = pose(look, side as f32);
    let face = face(units, &look.rest, look.asymmetry);
    body::background(&mut canvas, look);
    body::paint(&mut canvas, look, &pose, &face);
    features::paint(&mut canvas, look, &pose, &face);
    body::overlay(&mut canvas, look, &pose);
    if blocky { enlarge(&canvas, size) } else { canvas.shrink(FINER) }
}

fn pose(look: &Look, side: f32) -> Pose {
    Pose {
        centre: Point { x: side * (0.5 + look.shift.x), y: side * (0.5 + look.shift.y) },
        scale: side * look.scale,
        tilt: look.tilt,
        turn: look.turn,
        nod: look.nod,
    }
}

/// Repeat the nearest pixel
fn enlarge(canvas: &Canvas, size: usize) -> Canvas {
    let mut large = Canvas::new(size, [0.0; 3]);
    for (place, pixel) in large.pixels.iter_mut().enumerate() {
        let (x, y) = (place % size * canvas.side / size, place / size * canvas.side / size);
        *pixel = canvas.pixels[y * canvas.side + x];
    }
    large
}
