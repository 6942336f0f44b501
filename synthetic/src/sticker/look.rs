//! What does one sticker look like apart from its expression?

use super::STYLES;
use super::palette::{HAIRS, INKS, IRISES, PAPERS, SKINS, body};
use crate::canvas::{Rgb, blend, hex};
use crate::geometry::{Point, Proportions};
use crate::random::Dice;

/// The style family
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Round,
    Toon,
    Pastel,
    Animal,
    Ghost,
    Ink,
    Pixel,
}

/// How eyes are drawn
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EyeKind {
    /// White with iris and pupil
    White,
    /// One dark shape with a highlight
    Solid,
    /// An outline with a dot
    Dot,
}

/// Pattern behind the sticker
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Plain,
    Disc,
    Stripes,
}

/// All choices that say nothing of the emotion
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) family: Family,
    /// Picks among shapes within the family
    pub(crate) variant: usize,
    pub(crate) colour_name: &'static str,
    pub(crate) body: Rgb,
    pub(crate) accent: Rgb,
    pub(crate) hair: Rgb,
    pub(crate) ink: Rgb,
    pub(crate) iris: Rgb,
    pub(crate) paper: Rgb,
    pub(crate) pattern: Pattern,
    pub(crate) pattern_colour: Rgb,
    /// A white border around the silhouette
    pub(crate) border: bool,
    /// Whether the silhouette is outlined
    pub(crate) outlined: bool,
    /// Line width, face units
    pub(crate) line: f32,
    /// Brow thickness, face units
    pub(crate) brow: f32,
    pub(crate) eye: EyeKind,
    pub(crate) blush: bool,
    pub(crate) nose: bool,
    pub(crate) rest: Proportions,
    pub(crate) asymmetry: f32,
    pub(crate) shift: Point,
    pub(crate) scale: f32,
    pub(crate) tilt: f32,
    pub(crate) turn: f32,
    pub(crate) nod: f32,
}

const FAMILIES: [Family; 7] =
    [Family::Round, Family::Toon, Family::Pastel, Family::Animal, Family::Ghost, Family::Ink, Family::Pixel];

impl Look {
    /// Draw a look
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let family = dice.pick(&FAMILIES);
        let (colour_name, colour) = body(dice);
        let white = [1.0; 3];
        let plain = dice.chance(0.5);
        let mut look = Self {
            family,
            variant: dice.below(12),
            colour_name,
            body: colour,
            accent: blend(colour, white, 0.45),
            hair: hex(dice.pick(HAIRS)),
            ink: hex(dice.pick(INKS)),
            iris: hex(dice.pick(IRISES)),
            paper: if plain { white } else { hex(dice.pick(PAPERS)) },
            pattern: dice.pick(&[Pattern::Plain, Pattern::Plain, Pattern::Disc, Pattern::Stripes]),
            pattern_colour: hex(dice.pick(PAPERS)),
            border: !plain && dice.chance(0.6),
            outlined: true,
            line: dice.range(0.05, 0.075),
            brow: dice.range(0.08, 0.115),
            eye: dice.pick(&[EyeKind::White, EyeKind::White, EyeKind::Dot]),
            blush: dice.chance(0.3),
            nose: true,
            rest: proportions(dice),
            asymmetry: dice.around(1.0),
            shift: Point { x: dice.around(0.035), y: dice.around(0.03) },
            scale: dice.range(0.375, 0.41),
            tilt: dice.around(0.16),
            turn: dice.around(0.12),
            nod: dice.around(0.06),
        };
        if plain {
            look.pattern = Pattern::Plain;
        }
        look.specialise(dice);
        look
    }

    /// What sets the family apart
    fn specialise(&mut self, dice: &mut Dice) {
        match self.family {
            Family::Round => self.outlined = dice.chance(0.7),
            Family::Toon => {
                self.body = hex(dice.pick(SKINS));
                self.line = dice.range(0.06, 0.09);
                self.colour_name = "";
                self.scale *= 0.95;
                self.shift.y += 0.03;
            }
            Family::Pastel => {
                self.body = blend(self.body, [1.0; 3], 0.45);
                self.line = dice.range(0.04, 0.055);
                self.eye = EyeKind::Solid;
                self.blush = true;
                self.nose = false;
                self.rest.eye_height *= 0.95;
                self.rest.eye_width *= 0.72;
                self.rest.mouth_width *= 0.85;
            }
            Family::Animal => {
                self.rest.nose_y = 0.26;
                let tall = self.variant % 3 == 2;
                self.scale *= if tall { 0.86 } else { 0.93 };
                self.shift.y += if tall { 0.09 } else { 0.05 };
            }
            Family::Ghost => {
                self.eye = dice.pick(&[EyeKind::White, EyeKind::Solid]);
                self.nose = false;
            }
            Family::Ink => {
                self.body = [1.0; 3];
                self.accent = [1.0; 3];
                self.paper = hex(dice.pick(&[0xFFFFFF, 0xFBF8F0, 0xF2F2F2]));
                self.pattern = Pattern::Plain;
                self.border = false;
                self.hair = self.ink;
                self.iris = self.ink;
                self.blush = false;
                self.colour_name = "";
                self.line = dice.range(0.045, 0.085);
                self.eye = dice.pick(&[EyeKind::Dot, EyeKind::Solid]);
            }
            Family::Pixel => {
                self.line = 0.07;
                self.brow = 0.11;
                self.eye = EyeKind::White;
                self.tilt = 0.0;
                self.border = false;
                self.pattern = Pattern::Plain;
            }
        }
    }

    /// The family's name
    pub(crate) fn style(&self) -> &'static str {
        STYLES[self.family as usize]
    }

    /// The subject of the caption, without its article
    pub(crate) fn subject(&self) -> String {
        let noun = match self.family {
            Family::Round => "round face",
            Family::Toon => ["cartoon boy", "cartoon girl"][self.variant % 2],
            Family::Pastel => "pastel blob",
            Family::Animal => ["cat", "bear", "rabbit"][self.variant % 3],
            Family::Ghost => "ghost",
            Family::Ink => "ink face",
            Family::Pixel => "pixel face",
        };
        if self.colour_name.is_empty() { noun.to_string() } else { format!("{} {noun}", self.colour_name) }
    }
}

fn proportions(dice: &mut Dice) -> Proportions {
    Proportions {
        eye_x: dice.range(0.34, 0.42),
        eye_y: dice.range(-0.14, -0.06),
        eye_width: dice.range(0.18, 0.23),
        eye_height: dice.range(0.13, 0.17),
        brow_y: dice.range(-0.52, -0.46),
        brow_length: dice.range(0.21, 0.27),
        nose_y: dice.range(0.2, 0.26),
        mouth_y: dice.range(0.5, 0.58),
        mouth_width: dice.range(0.28, 0.36),
        lip: 0.05,
        gain: dice.range(1.1, 1.3),
    }
}
