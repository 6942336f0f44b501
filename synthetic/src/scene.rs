//! What does one picture show, and how is it asked for?

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::cue::cues_of;
use crate::random::{Dice, Stream};
use crate::{Cue, Emotion, Units, caption, emotion_at, portrait, prototypes, sticker};

/// How a picture is drawn
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Shaded, textured and lit: the source domain
    Portrait,
    /// Flat and outlined: the target domain
    Sticker,
}

impl Domain {
    /// The name in lower case
    pub fn name(self) -> &'static str {
        match self {
            Self::Portrait => "portrait",
            Self::Sticker => "sticker",
        }
    }

    pub(crate) fn tag(self) -> u64 {
        match self {
            Self::Portrait => 1,
            Self::Sticker => 2,
        }
    }
}

/// The name of one picture: everything about it follows from these four values
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spec {
    /// How it is drawn
    pub domain: Domain,
    /// The collection
    pub seed: u64,
    /// The place in the collection
    pub index: u64,
    /// Width and height in pixels; clamped to 16..=1024 when drawn
    pub size: u32,
}

impl Spec {
    /// A picture of the usual 128 by 128 pixels
    pub fn new(domain: Domain, seed: u64, index: u64) -> Self {
        Self { domain, seed, index, size: 128 }
    }

    pub(crate) fn dice(&self, stream: Stream) -> Dice {
        Dice::new(self.seed, self.domain.tag(), self.index, stream)
    }
}

/// The look of a scene, independent of its emotion
#[derive(Clone, Debug)]
pub(crate) enum Look {
    Portrait(Box<portrait::Look>),
    Sticker(Box<sticker::Look>),
}

/// What one picture shows
#[derive(Clone, Debug)]
pub struct Scene {
    /// The picture's name
    pub spec: Spec,
    /// The class
    pub emotion: Emotion,
    /// The action units with their intensities
    pub units: Units,
    /// The style family, one of [`crate::PORTRAIT_STYLES`] or [`crate::STICKER_STYLES`]
    pub style: &'static str,
    /// What an observer would say of the picture
    pub caption: String,
    /// The cues the caption names, from top to bottom
    pub cues: Vec<Cue>,
    pub(crate) look: Look,
}

/// Decide what a picture shows
pub fn sample(spec: Spec) -> Scene {
    let emotion = emotion_at(spec.domain, spec.seed, spec.index);
    let units = prototypes::draw(emotion, &mut spec.dice(Stream::Units));
    let mut dice = spec.dice(Stream::Look);
    let (look, style, subject) = match spec.domain {
        Domain::Portrait => {
            let look = portrait::Look::draw(&mut dice);
            let (style, subject) = (look.style(), look.subject());
            (Look::Portrait(Box::new(look)), style, subject)
        }
        Domain::Sticker => {
            let look = sticker::Look::draw(&mut dice);
            let (style, subject) = (look.style(), look.subject());
            (Look::Sticker(Box::new(look)), style, subject)
        }
    };
    let cues = cues_of(&units);
    let caption = caption::compose(&subject, &cues);
    Scene { spec, emotion, units, style, caption, cues, look }
}

/// Paint a scene, `spec.size` pixels on a side
pub fn render(scene: &Scene) -> RgbImage {
    let size = scene.spec.size.clamp(16, 1024) as usize;
    let grain = scene.spec.dice(Stream::Texture).bits();
    match &scene.look {
        Look::Portrait(look) => portrait::paint(look, &scene.units, size, grain),
        Look::Sticker(look) => sticker::paint(look, &scene.units, size),
    }
    .to_image()
}

/// Paint a scene as a PNG file
pub fn png(scene: &Scene) -> Vec<u8> {
    use image::ImageEncoder;
    let picture = render(scene);
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    // Writing to memory fails only when the buffer does not match the size, and it comes from one picture.
    let _written = encoder.write_image(
        picture.as_raw(),
        picture.width(),
        picture.height(),
        image::ExtendedColorType::Rgb8,
    );
    bytes
}
