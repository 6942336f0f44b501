//! The seeded generator of synthetic portraits and stickers, driven by facial action units
//!
//! What does a face of each emotion look like in two drawing domains, and what would an observer say of it? A
//! [`Spec`] names a picture by domain, seed, index and side. [`sample`] turns it into a [`Scene`]: an emotion, the
//! action units it shows and how strongly, a caption of the visible cues, and a look that depends on none of
//! these. [`render`] paints the scene. The same spec gives the same bytes on every machine: the randomness is
//! ChaCha8, coverage masks are integers, and shading uses only addition, multiplication, division and square roots.
//!
//! Sources: action units follow Ekman and Friesen, Facial Action Coding System (1978); which units make up an emotion
//! follows their EMFACS prototypes and Du, Tao and Martinez, "Compound facial expressions of emotion", PNAS 111(15),
//! 2014. How often and how strongly each unit shows is our own choice, set so that a reader of the cues errs on some
//! faces; it is no measurement of people.

mod balance;
mod canvas;
mod caption;
mod cue;
mod emotion;
mod geometry;
mod noise;
mod pen;
mod portrait;
mod prototypes;
mod random;
mod scene;
mod sticker;
mod units;

pub use balance::emotion_at;
pub use caption::cues_in;
pub use cue::Cue;
pub use emotion::Emotion;
pub use geometry::{Brow, Eye, Face, Mouth, Nose, Point, Proportions, face};
pub use scene::{Domain, Scene, Spec, png, render, sample};
pub use units::{ActionUnit, Units};

/// The generation of the pixels: raised whenever the same [`Spec`] gives different bytes
pub const VERSION: u32 = 1;

/// The style families of the stickers, in the order of their ids
pub const STICKER_STYLES: &[&str] = sticker::STYLES;

/// The settings in which portraits are taken, in the order of their ids
pub const PORTRAIT_STYLES: &[&str] = portrait::STYLES;
