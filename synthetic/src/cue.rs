//! Which visible cues does a set of action units amount to, and in what words?
//!
//! A cue is what an observer could point at. Its phrase is a verb with one object, so that a parser of subject,
//! verb and object recovers it. Cues are declared from the top of the face to the bottom, the order of captions.

use serde::{Deserialize, Serialize};

use crate::Units;
use crate::units::ActionUnit::*;

/// The weakest intensity that counts as visible
pub(crate) const VISIBLE: f32 = 0.3;

/// The most cues a caption names
const MOST: usize = 6;

/// Something to see in a face
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cue {
    /// AU 1 and AU 2
    RaisesBrows,
    /// AU 1 without AU 2
    RaisesInnerBrows,
    /// AU 2 without AU 1
    RaisesOuterBrows,
    /// AU 4 with AU 1
    KnitsBrows,
    /// AU 4 without AU 1
    LowersBrows,
    /// Sweat
    DripsSweat,
    /// AU 5
    WidensEyes,
    /// AU 7
    NarrowsEyes,
    /// Tears
    ShedsTears,
    /// AU 6
    RaisesCheeks,
    /// AU 9
    WrinklesNose,
    /// AU 10
    LiftsUpperLip,
    /// AU 12
    LiftsLipCorners,
    /// AU 15
    LowersLipCorners,
    /// AU 20
    StretchesLips,
    /// AU 23
    PressesLips,
    /// AU 25 without AU 26 or AU 27
    PartsLips,
    /// AD 19
    ShowsTongue,
    /// AU 16
    DropsLowerLip,
    /// AU 26 or AU 27
    DropsJaw,
    /// AU 17
    RaisesChin,
}

impl Cue {
    /// All cues from top to bottom
    pub const ALL: [Cue; 21] = [
        Self::RaisesBrows,
        Self::RaisesInnerBrows,
        Self::RaisesOuterBrows,
        Self::KnitsBrows,
        Self::LowersBrows,
        Self::DripsSweat,
        Self::WidensEyes,
        Self::NarrowsEyes,
        Self::ShedsTears,
        Self::RaisesCheeks,
        Self::WrinklesNose,
        Self::LiftsUpperLip,
        Self::LiftsLipCorners,
        Self::LowersLipCorners,
        Self::StretchesLips,
        Self::PressesLips,
        Self::PartsLips,
        Self::ShowsTongue,
        Self::DropsLowerLip,
        Self::DropsJaw,
        Self::RaisesChin,
    ];

    /// The words of the cue: a verb in the third person, then its object
    pub fn phrase(self) -> &'static str {
        match self {
            Self::RaisesBrows => "raises both brows",
            Self::RaisesInnerBrows => "raises the inner brows",
            Self::RaisesOuterBrows => "raises the outer brows",
            Self::KnitsBrows => "knits the brows",
            Self::LowersBrows => "lowers the brows",
            Self::DripsSweat => "drips sweat",
            Self::WidensEyes => "widens the eyes",
            Self::NarrowsEyes => "narrows the eyes",
            Self::ShedsTears => "sheds tears",
            Self::RaisesCheeks => "raises the cheeks",
            Self::WrinklesNose => "wrinkles the nose",
            Self::LiftsUpperLip => "lifts the upper lip",
            Self::LiftsLipCorners => "lifts the lip corners",
            Self::LowersLipCorners => "lowers the lip corners",
            Self::StretchesLips => "stretches the lips",
            Self::PressesLips => "presses the lips",
            Self::PartsLips => "parts the lips",
            Self::ShowsTongue => "shows the tongue",
            Self::DropsLowerLip => "drops the lower lip",
            Self::DropsJaw => "drops the jaw",
            Self::RaisesChin => "raises the chin",
        }
    }

    /// How strongly the units show this cue, 0 when they do not
    fn strength(self, units: &Units) -> f32 {
        let shown = |unit| {
            let value = units.get(unit);
            if value >= VISIBLE { value } else { 0.0 }
        };
        let unless = |value: f32, other: f32| if other > 0.0 { 0.0 } else { value };
        let (inner, outer, lower) = (shown(InnerBrowRaiser), shown(OuterBrowRaiser), shown(BrowLowerer));
        let jaw = shown(JawDrop).max(shown(MouthStretch));
        match self {
            Self::RaisesBrows => inner.min(outer),
            Self::RaisesInnerBrows => unless(inner, outer),
            Self::RaisesOuterBrows => unless(outer, inner),
            Self::KnitsBrows => lower.min(inner),
            Self::LowersBrows => unless(lower, inner),
            Self::DripsSweat => shown(Sweat),
            Self::WidensEyes => shown(UpperLidRaiser),
            Self::NarrowsEyes => shown(LidTightener),
            Self::ShedsTears => shown(Tears),
            Self::RaisesCheeks => shown(CheekRaiser),
            Self::WrinklesNose => shown(NoseWrinkler),
            Self::LiftsUpperLip => shown(UpperLipRaiser),
            Self::LiftsLipCorners => shown(LipCornerPuller),
            Self::LowersLipCorners => shown(LipCornerDepressor),
            Self::StretchesLips => shown(LipStretcher),
            Self::PressesLips => shown(LipTightener),
            Self::PartsLips => unless(shown(LipsPart), jaw.max(shown(TongueShow))),
            Self::ShowsTongue => shown(TongueShow),
            Self::DropsLowerLip => shown(LowerLipDepressor),
            Self::DropsJaw => jaw,
            Self::RaisesChin => shown(ChinRaiser),
        }
    }
}

/// The strongest cues that the units show, at most six, from top to bottom
pub(crate) fn cues_of(units: &Units) -> Vec<Cue> {
    let mut found: Vec<(f32, Cue)> =
        Cue::ALL.into_iter().map(|cue| (cue.strength(units), cue)).filter(|(s, _)| *s > 0.0).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    found.truncate(MOST);
    let mut cues: Vec<Cue> = found.into_iter().map(|(_, cue)| cue).collect();
    cues.sort_unstable();
    cues
}
