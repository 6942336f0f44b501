//! How is every random choice drawn so that it is the same on every machine?
//!
//! Each picture has separate ChaCha8 streams for separate questions, so the look cannot depend on the emotion and
//! a change in one painter does not shift the choices of another.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers decides
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    /// The order of the classes within a round
    Balance = 1,
    /// Action units and their intensities
    Units = 2,
    /// Everything about the picture that says nothing of the emotion
    Look = 3,
    /// Grain and texture
    Texture = 4,
}

/// A deterministic source of choices
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of picture (or round) `index` of the collection `seed` in the domain with this tag
    pub(crate) fn new(seed: u64, tag: u64, index: u64, stream: Stream) -> Self {
        let mut key = [0u8; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, tag, index, stream as u64]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 32 random bits
    pub(crate) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in [0, 1)
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in [`low`, `high`)
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Bell-shaped in (-`reach`, `reach`): the mean of three uniforms
    pub(crate) fn around(&mut self, reach: f32) -> f32 {
        (self.unit() + self.unit() + self.unit() - 1.5) * reach / 1.5
    }

    /// True with probability `p`
    pub(crate) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// Uniform in 0..`n`
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.bits()) * n as u64) >> 32) as usize
    }

    /// One of `items`, which must not be empty
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Fisher and Yates
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
