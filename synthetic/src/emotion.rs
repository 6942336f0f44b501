//! Which emotions are drawn, and under which ids?

use serde::{Deserialize, Serialize};

/// One of six basic emotions; the discriminant is the class id
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Emotion {
    /// Class 0
    Surprise = 0,
    /// Class 1
    Happy = 1,
    /// Class 2
    Disgust = 2,
    /// Class 3
    Fear = 3,
    /// Class 4
    Sad = 4,
    /// Class 5
    Anger = 5,
}

impl Emotion {
    /// All emotions in the order of their ids
    pub const ALL: [Emotion; 6] =
        [Self::Surprise, Self::Happy, Self::Disgust, Self::Fear, Self::Sad, Self::Anger];

    /// The class id, 0 to 5
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The emotion of a class id
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The name in lower case
    pub fn name(self) -> &'static str {
        match self {
            Self::Surprise => "surprise",
            Self::Happy => "happy",
            Self::Disgust => "disgust",
            Self::Fear => "fear",
            Self::Sad => "sad",
            Self::Anger => "anger",
        }
    }
}
