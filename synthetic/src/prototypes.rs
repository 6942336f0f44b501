//! Which action units does an emotion show, how often and how strongly?
//!
//! Prototypes after EMFACS (Ekman and Friesen) and Du, Tao and Martinez (2014). The probabilities and intensities are
//! chosen by us, not taken from these sources.
//! Real faces vary: each unit is drawn by its own probability, some faces are subtle, some show a stray unit and
//! some mingle two emotions, so that no single cue decides the class.

use crate::cue::VISIBLE;
use crate::random::Dice;
use crate::units::ActionUnit::{self, *};
use crate::{Emotion, Units};

/// A unit with the probability that it shows and the range of its intensity when it does
type Habit = (ActionUnit, f32, f32, f32);

fn habits(emotion: Emotion) -> &'static [Habit] {
    match emotion {
        Emotion::Surprise => &[
            (InnerBrowRaiser, 0.93, 0.5, 1.0),
            (OuterBrowRaiser, 0.93, 0.5, 1.0),
            (UpperLidRaiser, 0.72, 0.4, 1.0),
            (LipsPart, 0.9, 0.4, 0.9),
            (JawDrop, 0.8, 0.5, 1.0),
            (MouthStretch, 0.3, 0.4, 0.9),
        ],
        Emotion::Happy => &[
            (LipCornerPuller, 0.96, 0.45, 1.0),
            (CheekRaiser, 0.72, 0.35, 1.0),
            (LipsPart, 0.65, 0.35, 1.0),
            (JawDrop, 0.18, 0.3, 0.6),
            (LidTightener, 0.12, 0.3, 0.6),
            (OuterBrowRaiser, 0.1, 0.3, 0.6),
        ],
        Emotion::Disgust => &[
            (NoseWrinkler, 0.85, 0.45, 1.0),
            (UpperLipRaiser, 0.85, 0.45, 1.0),
            (ChinRaiser, 0.35, 0.3, 0.8),
            (BrowLowerer, 0.4, 0.3, 0.7),
            (LidTightener, 0.35, 0.3, 0.7),
            (LowerLipDepressor, 0.3, 0.3, 0.8),
            (LipCornerDepressor, 0.2, 0.3, 0.6),
            (TongueShow, 0.25, 0.5, 1.0),
            (LipsPart, 0.25, 0.3, 0.6),
        ],
        Emotion::Fear => &[
            (InnerBrowRaiser, 0.9, 0.45, 1.0),
            (OuterBrowRaiser, 0.5, 0.3, 0.8),
            (BrowLowerer, 0.75, 0.35, 0.8),
            (UpperLidRaiser, 0.82, 0.45, 1.0),
            (LipStretcher, 0.82, 0.45, 1.0),
            (LipsPart, 0.75, 0.35, 0.9),
            (JawDrop, 0.3, 0.3, 0.6),
            (Sweat, 0.25, 0.6, 1.0),
        ],
        Emotion::Sad => &[
            (InnerBrowRaiser, 0.85, 0.45, 1.0),
            (BrowLowerer, 0.45, 0.3, 0.7),
            (LipCornerDepressor, 0.9, 0.45, 1.0),
            (ChinRaiser, 0.55, 0.35, 0.9),
            (CheekRaiser, 0.12, 0.3, 0.5),
            (LidTightener, 0.2, 0.3, 0.7),
            (Tears, 0.3, 0.6, 1.0),
            (LipsPart, 0.08, 0.3, 0.5),
        ],
        Emotion::Anger => &[
            (BrowLowerer, 0.96, 0.55, 1.0),
            (UpperLidRaiser, 0.3, 0.35, 0.8),
            (LidTightener, 0.6, 0.4, 1.0),
            (LipTightener, 0.75, 0.45, 1.0),
            (ChinRaiser, 0.35, 0.3, 0.8),
            (UpperLipRaiser, 0.15, 0.3, 0.6),
            (LipsPart, 0.15, 0.35, 0.8),
            (LowerLipDepressor, 0.12, 0.3, 0.8),
        ],
    }
}

/// Pairs of units that pull the same tissue in opposite directions; the weaker one gives way
const RIVALS: [(ActionUnit, ActionUnit); 9] = [
    (UpperLidRaiser, LidTightener),
    (LipCornerPuller, LipCornerDepressor),
    (LipStretcher, LipTightener),
    (LipTightener, LipsPart),
    (LipTightener, JawDrop),
    (LipTightener, MouthStretch),
    (LipTightener, TongueShow),
    (ChinRaiser, JawDrop),
    (ChinRaiser, MouthStretch),
];

/// Units that may stray onto any face
const STRAYS: [ActionUnit; 10] = [
    InnerBrowRaiser,
    OuterBrowRaiser,
    BrowLowerer,
    UpperLidRaiser,
    CheekRaiser,
    LidTightener,
    LipCornerPuller,
    LipCornerDepressor,
    LipStretcher,
    LipsPart,
];

/// Draw the action units of one face, at least two of them visible
pub(crate) fn draw(emotion: Emotion, dice: &mut Dice) -> Units {
    loop {
        let units = attempt(emotion, dice);
        if units.present().filter(|(_, intensity)| *intensity >= VISIBLE).count() >= 2 {
            return units;
        }
    }
}

fn attempt(emotion: Emotion, dice: &mut Dice) -> Units {
    let mut units = pure(emotion, dice);
    if dice.chance(0.12) {
        mingle(&mut units, emotion, dice);
    }
    if dice.chance(0.35) {
        let stray = dice.pick(&STRAYS);
        let intensity = dice.range(0.3, 0.65);
        if units.get(stray) == 0.0 {
            units.set(stray, intensity);
        }
    }
    if dice.chance(0.12) {
        units.scale(dice.range(0.65, 0.9));
    }
    settle(&mut units);
    units
}

/// The units of an emotion by their habits
fn pure(emotion: Emotion, dice: &mut Dice) -> Units {
    let mut units = Units::default();
    for &(unit, probability, low, high) in habits(emotion) {
        let (shows, intensity) = (dice.chance(probability), dice.range(low, high));
        if shows {
            units.set(unit, intensity);
        }
    }
    units
}

/// Replace some units by those of another emotion, as in a compound expression
fn mingle(units: &mut Units, emotion: Emotion, dice: &mut Dice) {
    let other = Emotion::ALL[(usize::from(emotion.id()) + 1 + dice.below(5)) % 6];
    let guest = pure(other, dice);
    for unit in ActionUnit::ALL {
        if dice.chance(0.4) {
            units.set(unit, guest.get(unit));
        }
    }
}

/// Make the units fit one face: rivals give way, and an open jaw parts the lips
fn settle(units: &mut Units) {
    for (a, b) in RIVALS {
        let weaker = if units.get(a) >= units.get(b) { b } else { a };
        if units.get(a) > 0.0 && units.get(b) > 0.0 {
            units.set(weaker, 0.0);
        }
    }
    let open = units.get(JawDrop).max(units.get(MouthStretch)).max(units.get(TongueShow));
    if open > 0.0 {
        units.set(LipsPart, units.get(LipsPart).max(0.6 * open));
    }
}
