//! Who is portrayed, where, and in what light?

use super::STYLES;
use crate::canvas::{Rgb, blend, hex};
use crate::geometry::{Point, Proportions};
use crate::random::Dice;

/// All choices that say nothing of the emotion
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) woman: bool,
    /// 0 young to 1 old
    pub(crate) age: f32,
    pub(crate) skin: Rgb,
    pub(crate) lips: Rgb,
    pub(crate) hair: Rgb,
    pub(crate) hair_style: usize,
    pub(crate) iris: Rgb,
    /// How dense a beard is, 0 for none
    pub(crate) beard: f32,
    pub(crate) glasses: bool,
    pub(crate) cloth: Rgb,
    pub(crate) cloth_kind: usize,
    pub(crate) setting: usize,
    pub(crate) back: [Rgb; 3],
    /// Towards the lamp, unit length; z towards the viewer
    pub(crate) light: [f32; 3],
    pub(crate) ambient: f32,
    pub(crate) lamp: Rgb,
    /// Half the width of the head
    pub(crate) width: f32,
    /// How narrow the jaw is, 0 to 1
    pub(crate) taper: f32,
    pub(crate) rest: Proportions,
    pub(crate) asymmetry: f32,
    pub(crate) shift: Point,
    pub(crate) scale: f32,
    pub(crate) tilt: f32,
    pub(crate) turn: f32,
    pub(crate) nod: f32,
    pub(crate) exposure: f32,
    pub(crate) blur: f32,
    pub(crate) noise: f32,
    pub(crate) vignette: f32,
}

const SKINS: &[u32] =
    &[0xF3D0BC, 0xEDC3AA, 0xE2B297, 0xD6A283, 0xC59075, 0xAC7A60, 0x91644D, 0x76503E, 0x5E3F33, 0xF0CAB2];
const HAIRS: &[u32] =
    &[0x1B1614, 0x2C201A, 0x4A3222, 0x6B4A2E, 0x96683A, 0xC29A5B, 0x7A3420, 0x3A2A22, 0x201A1C];
const IRISES: &[u32] = &[0x4A2E1A, 0x5C3C20, 0x3A2618, 0x4F6F8F, 0x5F7F58, 0x6B6A50];
const CLOTHS: &[u32] =
    &[0x2E3A52, 0x7A2E35, 0x3F5A45, 0xC8C3B8, 0x222226, 0x8A6F4E, 0x5E7FA6, 0xB0764F, 0x6C4C73, 0xE6E2DA];
const BACKS: [&[[u32; 3]]; 5] = [
    &[
        [0x8A8D92, 0x4B4E54, 0xA7A9AC],
        [0x6E7F92, 0x39475A, 0x90A0B0],
        [0xB9A894, 0x756450, 0xCDBFAE],
        [0xD8D8DA, 0xA5A7AB, 0xEEEEF0],
    ],
    &[[0x9FC3DE, 0x5E7F4E, 0xBFD7A0], [0xC9DDEB, 0x7C9A62, 0xE8E3B0], [0x8FA98A, 0x3F5B3A, 0xB9CE8E]],
    &[[0xC9B08C, 0x7A5E42, 0xE7D2A8], [0xB7A79A, 0x5F5148, 0xD9CABB], [0x93877A, 0x4E443C, 0xC2A878]],
    &[[0x2A2F45, 0x10131F, 0xE9B760], [0x3A2733, 0x150E16, 0xE08A5A], [0x22343C, 0x0D161B, 0x7FC3D6]],
    &[[0xA9A6A2, 0x5C5A5C, 0xC8C0B2], [0x8C8A96, 0x4A4853, 0xB08E7A], [0xB6ACA0, 0x6A5C54, 0x8E9AA6]],
];

impl Look {
    /// Draw a look
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let woman = dice.chance(0.5);
        let age = dice.unit();
        let setting = dice.below(STYLES.len());
        let skin = hex(dice.pick(SKINS));
        let skin = [0, 1, 2].map(|i| skin[i] * (1.0 + [0.03, 0.03, 0.05][i] * dice.range(-1.0, 1.0)));
        let grey = if age > 0.7 && dice.chance(0.7) { dice.range(0.4, 0.9) } else { 0.0 };
        Self {
            woman,
            age,
            skin,
            lips: if woman { hex(dice.pick(&[0xD77A7A, 0xC8605F, 0xE09088])) } else { hex(0xDD9A8C) },
            hair: blend(hex(dice.pick(HAIRS)), hex(0xB4B2B0), grey),
            hair_style: if woman { dice.pick(&[0, 1, 2, 3, 4]) } else { dice.pick(&[3, 4, 5, 6, 7]) },
            iris: hex(dice.pick(IRISES)),
            beard: if !woman && dice.chance(0.4) { dice.range(0.25, 0.75) } else { 0.0 },
            glasses: dice.chance(0.15),
            cloth: hex(dice.pick(CLOTHS)),
            cloth_kind: dice.below(4),
            setting,
            back: dice.pick(BACKS[setting]).map(hex),
            light: lamp_direction(dice),
            ambient: dice.range(0.34, 0.55),
            lamp: dice.pick(&[[1.04, 1.0, 0.94], [1.0, 1.0, 1.0], [0.96, 1.0, 1.06], [1.06, 0.99, 0.88]]),
            width: if woman { dice.range(0.7, 0.77) } else { dice.range(0.73, 0.81) },
            taper: if woman { dice.range(0.5, 1.0) } else { dice.range(0.0, 0.6) },
            rest: proportions(dice, woman),
            asymmetry: dice.around(1.0),
            shift: Point { x: dice.around(0.05), y: dice.around(0.035) },
            scale: dice.range(0.375, 0.425),
            tilt: dice.around(0.2),
            turn: dice.around(0.17),
            nod: dice.around(0.09),
            exposure: dice.range(0.88, 1.12),
            blur: dice.range(0.0, 0.9),
            noise: dice.range(0.006, 0.024),
            vignette: dice.range(0.1, 0.5),
        }
    }

    /// The setting's name
    pub(crate) fn style(&self) -> &'static str {
        STYLES[self.setting]
    }

    /// The subject of the caption, without its article
    pub(crate) fn subject(&self) -> String {
        let age = if self.age < 0.3 {
            "young "
        } else if self.age > 0.7 {
            "old "
        } else {
            ""
        };
        format!("{age}{}", if self.woman { "woman" } else { "man" })
    }
}

/// A lamp above the face, left or right of it
fn lamp_direction(dice: &mut Dice) -> [f32; 3] {
    let (x, y, z) = (dice.range(-0.75, 0.75), dice.range(-0.7, -0.2), dice.range(0.7, 1.0));
    let length = (x * x + y * y + z * z).sqrt();
    [x / length, y / length, z / length]
}

fn proportions(dice: &mut Dice, woman: bool) -> Proportions {
    Proportions {
        eye_x: dice.range(0.31, 0.36),
        eye_y: dice.range(-0.14, -0.08),
        eye_width: dice.range(0.165, 0.2),
        eye_height: dice.range(0.085, 0.105) + if woman { 0.008 } else { 0.0 },
        brow_y: dice.range(-0.42, -0.37),
        brow_length: dice.range(0.2, 0.24),
        nose_y: dice.range(0.22, 0.29),
        mouth_y: dice.range(0.55, 0.62),
        mouth_width: dice.range(0.26, 0.32),
        lip: dice.range(0.06, 0.09),
        gain: 1.0,
    }
}
