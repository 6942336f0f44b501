//! Which flat colours do stickers use, and what are they called in captions?

use crate::canvas::{Rgb, hex};
use crate::random::Dice;

/// A colour name with shades of it
type Named = (&'static str, &'static [u32]);

/// Colours of bodies and faces
const BODIES: &[Named] = &[
    ("yellow", &[0xFFD84D, 0xF7E27A, 0xE9C531]),
    ("orange", &[0xFFA552, 0xF58F3C, 0xFFBE85]),
    ("pink", &[0xFF9EBB, 0xF77FA3, 0xFFC2D4]),
    ("red", &[0xE8615A, 0xD94F4F]),
    ("blue", &[0x6FB4F2, 0x4E97E0, 0xA5D2F7]),
    ("green", &[0x8CCB6B, 0x67B35C, 0xB4DE9C]),
    ("purple", &[0xB08BE0, 0x9670CC, 0xD0B8F0]),
    ("brown", &[0xB98558, 0x9C6B44, 0xCDA27A]),
    ("grey", &[0xB9BEC6, 0x9AA1AC]),
    ("white", &[0xF6F3EC, 0xFFFFFF]),
];

/// Skins of drawn humans
pub(crate) const SKINS: &[u32] =
    &[0xFFDFC4, 0xF7CBA3, 0xEBB58A, 0xD99E6C, 0xB97A4B, 0x8E5A35, 0x6B432A, 0xFBE3D2];

/// Hair of drawn humans
pub(crate) const HAIRS: &[u32] =
    &[0x2B2422, 0x4A3024, 0x7A4B28, 0xB5793A, 0xE3C05C, 0xA33B2A, 0x8E8E93, 0x3C5AA6, 0xC46BA8];

/// Lines
pub(crate) const INKS: &[u32] = &[0x1D1A1A, 0x2A2233, 0x3A2418, 0x14283A];

/// Irises
pub(crate) const IRISES: &[u32] = &[0x3A2A20, 0x5B3A22, 0x2F6DB0, 0x3E8A4F, 0x222222, 0x6B5BA8];

/// Backgrounds that are not white
pub(crate) const PAPERS: &[u32] = &[
    0xFBEFD9, 0xDDF1F4, 0xF9DDE6, 0xE4F3DA, 0xEAE2F8, 0xFFF3A8, 0x9CD3DB, 0xF5B5A0, 0x7FA6D6, 0xC9C9CF,
    0x4B5A78, 0x2F6B62, 0xE8A33D,
];

/// A body colour with its name
pub(crate) fn body(dice: &mut Dice) -> (&'static str, Rgb) {
    let (name, shades) = dice.pick(BODIES);
    (name, hex(dice.pick(shades)))
}
