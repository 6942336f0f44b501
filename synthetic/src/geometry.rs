//! Where do brows, lids, nose and lips lie when the action units are at given intensities?
//!
//! The same geometry serves both domains; only [`Proportions`] and the painting differ. Coordinates are face
//! units: x to the right, y down, the chin of a resting face near y = 1.

use crate::Units;
use crate::units::ActionUnit::*;

/// A position in face units (or, on the canvas, in pixels)
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right
    pub x: f32,
    /// Down
    pub y: f32,
}

/// The resting face of one person or style, face units
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proportions {
    /// Distance of an eye from the midline
    pub eye_x: f32,
    /// Height of the eyes
    pub eye_y: f32,
    /// Half the width of an eye
    pub eye_width: f32,
    /// Resting distance of the upper lid from the eye's centre
    pub eye_height: f32,
    /// Height of the brows
    pub brow_y: f32,
    /// Half the length of a brow
    pub brow_length: f32,
    /// Height of the nose's tip
    pub nose_y: f32,
    /// Height of the mouth
    pub mouth_y: f32,
    /// Half the width of the mouth
    pub mouth_width: f32,
    /// Thickness of a lip
    pub lip: f32,
    /// How far the units move the features, 1 for a portrait
    pub gain: f32,
}

impl Default for Proportions {
    fn default() -> Self {
        Self {
            eye_x: 0.34,
            eye_y: -0.12,
            eye_width: 0.19,
            eye_height: 0.1,
            brow_y: -0.42,
            brow_length: 0.23,
            nose_y: 0.24,
            mouth_y: 0.56,
            mouth_width: 0.3,
            lip: 0.07,
            gain: 1.0,
        }
    }
}

/// The midline of one brow
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brow {
    /// The end next to the nose
    pub inner: Point,
    /// The middle
    pub middle: Point,
    /// The end next to the temple
    pub outer: Point,
}

/// One eye
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eye {
    /// The middle of the line between the corners
    pub centre: Point,
    /// Half the distance of the corners
    pub half_width: f32,
    /// How far the upper lid is above the centre
    pub upper: f32,
    /// How far the lower lid is below the centre; negative when pushed above it
    pub lower: f32,
    /// How far the outer corner hangs below the inner corner
    pub slant: f32,
}

/// The nose
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nose {
    /// The tip
    pub tip: Point,
    /// Depth of the wrinkles across its root, 0 to 1
    pub wrinkle: f32,
    /// Half the distance of the nostrils' wings
    pub half_width: f32,
}

/// The mouth
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mouth {
    /// The left corner as seen
    pub left: Point,
    /// The right corner as seen
    pub right: Point,
    /// y of the middle of the upper lip's lower edge
    pub upper: f32,
    /// y of the middle of the lower lip's upper edge; equals `upper` when the mouth is closed
    pub lower: f32,
    /// Thickness of the upper lip
    pub upper_lip: f32,
    /// Thickness of the lower lip
    pub lower_lip: f32,
    /// 0 for a round opening, 1 for a square one
    pub square: f32,
    /// How much of the upper teeth shows, 0 to 1
    pub upper_teeth: f32,
    /// How much of the lower teeth shows, 0 to 1
    pub lower_teeth: f32,
    /// How far the tongue is out, 0 to 1
    pub tongue: f32,
}

impl Mouth {
    /// Whether the lips are apart
    pub fn is_open(&self) -> bool {
        self.lower - self.upper > 0.025
    }
}

/// Everything the painters need to know of an expression
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Left and right brow as seen
    pub brows: [Brow; 2],
    /// Left and right eye as seen
    pub eyes: [Eye; 2],
    /// The nose
    pub nose: Nose,
    /// The mouth
    pub mouth: Mouth,
    /// How far the cheeks are raised, 0 to 1
    pub cheeks: f32,
    /// Depth of the folds from nose to mouth corners, 0 to 1
    pub folds: f32,
    /// Depth of the upright furrows between the brows, 0 to 1
    pub furrow: f32,
    /// Depth of the lines across the forehead, 0 to 1
    pub forehead: f32,
    /// How far the chin is pushed up, 0 to 1
    pub chin: f32,
    /// How far the jaw has sunk, face units
    pub jaw: f32,
    /// Tears, 0 to 1
    pub tears: f32,
    /// Sweat, 0 to 1
    pub sweat: f32,
}

/// Place the features of a face
///
/// `asymmetry` in -1..=1 makes one side move up to a tenth more than the other.
pub fn face(units: &Units, rest: &Proportions, asymmetry: f32) -> Face {
    let sides = [-1.0f32, 1.0];
    let strength = |side: f32| rest.gain * (1.0 + 0.1 * asymmetry * side);
    let open = opening(units) * rest.gain;
    Face {
        brows: sides.map(|side| brow(units, rest, side, strength(side))),
        eyes: sides.map(|side| eye(units, rest, side)),
        nose: nose(units, rest),
        mouth: mouth(units, rest, open, asymmetry),
        cheeks: units.get(CheekRaiser).max(0.35 * units.get(LipCornerPuller)),
        folds: units
            .get(LipCornerPuller)
            .max(0.9 * units.get(UpperLipRaiser))
            .max(0.7 * units.get(NoseWrinkler)),
        furrow: units.get(BrowLowerer).max(0.5 * units.get(NoseWrinkler)),
        forehead: units.get(InnerBrowRaiser).max(units.get(OuterBrowRaiser)),
        chin: units.get(ChinRaiser),
        jaw: 0.45 * open - 0.03 * units.get(ChinRaiser),
        tears: units.get(Tears),
        sweat: units.get(Sweat),
    }
}

fn brow(units: &Units, rest: &Proportions, side: f32, gain: f32) -> Brow {
    let (inner, outer, lower) =
        (units.get(InnerBrowRaiser), units.get(OuterBrowRaiser), units.get(BrowLowerer));
    let wrinkle = units.get(NoseWrinkler);
    let x = |along: f32| side * (rest.eye_x + along * rest.brow_length);
    let down = lower * (1.0 - 0.6 * inner);
    Brow {
        inner: Point {
            x: x(-1.0) - side * 0.07 * lower * gain,
            y: rest.brow_y + gain * (0.2 * down + 0.06 * wrinkle - 0.23 * inner),
        },
        middle: Point {
            x: x(0.15),
            y: rest.brow_y - 0.05 + gain * (0.13 * down + 0.03 * wrinkle - 0.1 * inner - 0.11 * outer),
        },
        outer: Point {
            x: x(1.0),
            y: rest.brow_y + 0.04 + gain * (0.01 * lower + 0.06 * inner * (1.0 - outer) - 0.16 * outer),
        },
    }
}

fn eye(units: &Units, rest: &Proportions, side: f32) -> Eye {
    let (wide, tight, cheek) = (units.get(UpperLidRaiser), units.get(LidTightener), units.get(CheekRaiser));
    let wrinkle = units.get(NoseWrinkler);
    let upper = 1.0 + rest.gain * (0.8 * wide - 0.15 * cheek - 0.5 * tight - 0.15 * wrinkle);
    let lower = 0.75 * (1.0 + rest.gain * (0.35 * wide - 0.85 * cheek - 0.6 * tight - 0.35 * wrinkle));
    let sorrow = units.get(InnerBrowRaiser) * (1.0 - units.get(OuterBrowRaiser));
    Eye {
        centre: Point { x: side * rest.eye_x, y: rest.eye_y },
        half_width: rest.eye_width,
        upper: rest.eye_height * upper.max(0.22),
        lower: rest.eye_height * lower.max(-0.15),
        slant: 0.05 * sorrow - 0.04 * units.get(BrowLowerer) * (1.0 - units.get(InnerBrowRaiser)),
    }
}

fn nose(units: &Units, rest: &Proportions) -> Nose {
    let (wrinkle, lip) = (units.get(NoseWrinkler), units.get(UpperLipRaiser));
    Nose {
        tip: Point { x: 0.0, y: rest.nose_y - 0.05 * wrinkle - 0.015 * lip },
        wrinkle,
        half_width: 0.13 + 0.03 * wrinkle + 0.02 * lip + 0.015 * units.get(LipCornerPuller),
    }
}

/// How far apart the lips are in the middle, face units before gain
fn opening(units: &Units) -> f32 {
    let parted = units.get(LipsPart);
    0.07 * parted
        + 0.2 * units.get(JawDrop)
        + 0.3 * units.get(MouthStretch)
        + 0.08 * units.get(LowerLipDepressor)
        + 0.05 * units.get(UpperLipRaiser) * parted
        + 0.06 * units.get(LipStretcher) * parted
        + 0.09 * units.get(LipCornerPuller) * parted
}

fn mouth(units: &Units, rest: &Proportions, open: f32, asymmetry: f32) -> Mouth {
    let get = |unit| units.get(unit);
    let (pull, depress, stretch) = (get(LipCornerPuller), get(LipCornerDepressor), get(LipStretcher));
    let (press, raise, chin) = (get(LipTightener), get(UpperLipRaiser), get(ChinRaiser));
    let drop = get(JawDrop).max(get(MouthStretch)) * (1.0 - 0.8 * pull.max(stretch));
    let g = rest.gain;
    let width = rest.mouth_width
        * (1.0 + g * (0.4 * pull + 0.5 * stretch - 0.3 * press - 0.28 * drop - 0.12 * chin - 0.08 * raise));
    let middle = rest.mouth_y + g * (0.04 * pull - 0.05 * depress - 0.1 * raise - 0.05 * chin);
    let corner = rest.mouth_y
        + 0.35 * open * (1.0 - 0.7 * pull)
        + g * (0.13 * depress - 0.15 * pull + 0.04 * stretch + 0.05 * raise + 0.03 * chin);
    let lean = 0.02 * asymmetry * g;
    let thin = 1.0 - 0.75 * press - 0.25 * pull - 0.35 * stretch;
    let upper = middle - 0.15 * open;
    let apart = if open > 0.025 { open } else { 0.0 };
    Mouth {
        left: Point { x: -width, y: corner - lean },
        right: Point { x: width, y: corner + lean },
        upper,
        lower: upper + apart,
        upper_lip: rest.lip * 0.8 * thin * (1.0 - 0.25 * raise),
        lower_lip: rest.lip * (thin + 0.35 * chin + 0.3 * get(LowerLipDepressor)),
        square: (0.9 * stretch + 0.5 * get(LowerLipDepressor)).min(1.0),
        upper_teeth: (pull + 0.7 * stretch + 0.7 * raise).min(1.0),
        lower_teeth: (0.8 * get(LowerLipDepressor) + 0.4 * stretch).min(1.0),
        tongue: get(TongueShow),
    }
}
