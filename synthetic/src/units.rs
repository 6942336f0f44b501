//! Which facial movements can a picture show, and how strongly does it show each?

use serde::{Deserialize, Serialize};

/// A facial action unit (Ekman and Friesen, 1978), an action descriptor, or one of two visible by-products
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum ActionUnit {
    /// AU 1
    InnerBrowRaiser,
    /// AU 2
    OuterBrowRaiser,
    /// AU 4
    BrowLowerer,
    /// AU 5
    UpperLidRaiser,
    /// AU 6
    CheekRaiser,
    /// AU 7
    LidTightener,
    /// AU 9
    NoseWrinkler,
    /// AU 10
    UpperLipRaiser,
    /// AU 12
    LipCornerPuller,
    /// AU 15
    LipCornerDepressor,
    /// AU 16
    LowerLipDepressor,
    /// AU 17
    ChinRaiser,
    /// AU 20
    LipStretcher,
    /// AU 23
    LipTightener,
    /// AU 25
    LipsPart,
    /// AU 26
    JawDrop,
    /// AU 27
    MouthStretch,
    /// AD 19, the tongue put out
    TongueShow,
    /// Tears, no unit of the coding system
    Tears,
    /// A drop of sweat, no unit of the coding system
    Sweat,
}

impl ActionUnit {
    /// All units, in declaration order
    pub const ALL: [ActionUnit; 20] = [
        Self::InnerBrowRaiser,
        Self::OuterBrowRaiser,
        Self::BrowLowerer,
        Self::UpperLidRaiser,
        Self::CheekRaiser,
        Self::LidTightener,
        Self::NoseWrinkler,
        Self::UpperLipRaiser,
        Self::LipCornerPuller,
        Self::LipCornerDepressor,
        Self::LowerLipDepressor,
        Self::ChinRaiser,
        Self::LipStretcher,
        Self::LipTightener,
        Self::LipsPart,
        Self::JawDrop,
        Self::MouthStretch,
        Self::TongueShow,
        Self::Tears,
        Self::Sweat,
    ];

    /// The number in the coding system, `None` for tears and sweat
    pub fn code(self) -> Option<u8> {
        const CODES: [u8; 18] = [1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 17, 20, 23, 25, 26, 27, 19];
        CODES.get(self as usize).copied()
    }
}

/// The intensity of every unit, 0 (absent) to 1 (FACS level E)
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Units([f32; 20]);

impl Units {
    /// The intensity of one unit
    pub fn get(&self, unit: ActionUnit) -> f32 {
        self.0[unit as usize]
    }

    /// Set one intensity, clamped to 0..=1
    pub fn set(&mut self, unit: ActionUnit, intensity: f32) {
        self.0[unit as usize] = intensity.clamp(0.0, 1.0);
    }

    /// The same units with one intensity replaced
    pub fn with(mut self, unit: ActionUnit, intensity: f32) -> Self {
        self.set(unit, intensity);
        self
    }

    /// The units that are present, with their intensities
    pub fn present(&self) -> impl Iterator<Item = (ActionUnit, f32)> + '_ {
        ActionUnit::ALL.into_iter().map(|unit| (unit, self.get(unit))).filter(|(_, v)| *v > 0.0)
    }

    /// Multiply every intensity by `factor`
    pub(crate) fn scale(&mut self, factor: f32) {
        for value in &mut self.0 {
            *value = (*value * factor).clamp(0.0, 1.0);
        }
    }
}
