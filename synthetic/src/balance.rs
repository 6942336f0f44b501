//! Which emotion does picture `index` show, so that every prefix of a collection is nearly balanced?

use crate::random::{Dice, Stream};
use crate::{Domain, Emotion};

/// The emotion of a picture: rounds of six, each round a fresh permutation of the six emotions
pub fn emotion_at(domain: Domain, seed: u64, index: u64) -> Emotion {
    let round = index / 6;
    let mut order = Emotion::ALL;
    Dice::new(seed, domain.tag(), round, Stream::Balance).shuffle(&mut order);
    order[(index % 6) as usize]
}
