//! The source domain: how is a face painted so that it looks shaded, textured, lit and photographed?
//!
//! Background and clothes first, then a head whose relief is lit by one lamp and an ambient term, then features that
//! multiply or replace what the light left, and last what a camera adds.

mod extras;
mod film;
mod hair;
mod head;
mod look;
mod mouth;
mod regard;
mod setting;

pub(crate) use look::Look;

use crate::Units;
use crate::canvas::Canvas;
use crate::geometry::{Face, Point, face};
use crate::pen::Pose;

/// The settings in the order of their ids
pub(crate) const STYLES: &[&str] = &["studio", "outdoor", "indoor", "evening", "street"];

/// What every painter of a portrait needs
pub(crate) struct Sitting<'a> {
    pub(crate) look: &'a Look,
    pub(crate) pose: Pose,
    pub(crate) face: Face,
    pub(crate) grain: u32,
}

impl Sitting<'_> {
    /// Pixels for a length in face units
    pub(crate) fn px(&self, length: f32) -> f32 {
        length * self.pose.scale
    }
}

/// Paint a portrait, `size` pixels on a side
pub(crate) fn paint(look: &Look, units: &Units, size: usize, grain: u32) -> Canvas {
    let side = size as f32;
    let pose = Pose {
        centre: Point { x: side * (0.5 + look.shift.x), y: side * (0.5 + look.shift.y) },
        scale: side * look.scale,
        tilt: look.tilt,
        turn: look.turn,
        nod: look.nod,
    };
    let sitting = Sitting { look, pose, face: face(units, &look.rest, look.asymmetry), grain };
    let mut canvas = Canvas::new(size, look.back[0]);
    setting::background(&mut canvas, &sitting);
    hair::behind(&mut canvas, &sitting);
    setting::body(&mut canvas, &sitting);
    let head = head::paint(&mut canvas, &sitting);
    extras::age(&mut canvas, &sitting, &head);
    extras::beard(&mut canvas, &sitting, &head);
    mouth::paint(&mut canvas, &sitting);
    regard::eyes(&mut canvas, &sitting);
    regard::brows(&mut canvas, &sitting);
    extras::drops(&mut canvas, &sitting);
    hair::front(&mut canvas, &sitting);
    extras::glasses(&mut canvas, &sitting);
    film::develop(&mut canvas, &sitting);
    canvas
}
