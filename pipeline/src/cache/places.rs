//! Where does a key lie? Over all segments of one identity.
//!
//! Rows come again in the order in which they were stored, as a rule: after a hit the next row of that segment is tried
//! first, which costs one comparison. Otherwise small segments, of which there can be many, share one index in memory, and
//! large ones are asked one by one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::entries::Stored;
use super::sidecar::Damaged;
use crate::digest::Digest;

/// Most rows of a segment that counts as small.
const SMALL: usize = 1 << 16;
/// So many small segments are asked one by one before they share an index.
const FEW: usize = 4;
/// Most rows in the index: 16 bytes each.
const INDEXED: usize = 1 << 20;

/// Where a row lies: segment and row within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    segment: u32,
    row: u32,
}

impl Place {
    /// A row of an opened segment.
    pub(super) fn new(segment: u32, row: u32) -> Self {
        Place { segment, row }
    }

    /// The segment's number among those opened.
    pub(super) fn segment(self) -> u32 {
        self.segment
    }

    /// The row within it.
    pub(super) fn row(self) -> u32 {
        self.row
    }
}

/// The opened segments of one identity.
#[derive(Default)]
pub(super) struct Places {
    stored: Vec<Arc<Stored>>,
    /// Segments whose rows stand before those of the others, oldest first.
    forced: Vec<u32>,
    /// Small segments that are not in the index.
    small: Vec<u32>,
    large: Vec<u32>,
    /// The first 8 bytes of each key in small segments, and its place.
    index: HashMap<u64, Place, BuildHasherDefault<Uniform>>,
}

impl Places {
    /// Adds a segment.
    pub fn push(&mut self, stored: Arc<Stored>) -> Result<(), Damaged> {
        let (number, rows) = (self.stored.len() as u32, stored.sidecar.rows());
        let forced = stored.forced;
        self.stored.push(stored);
        match rows {
            // Merged ones are opened late and bear the time of what was merged.
            _ if forced => {
                let stored = &self.stored;
                let at =
                    self.forced.partition_point(|&f| stored[f as usize].name < stored[number as usize].name);
                self.forced.insert(at, number);
            }
            0..SMALL if self.index.len() + rows <= INDEXED => self.small.push(number),
            _ => self.large.push(number),
        }
        if self.small.len() <= FEW && self.index.is_empty() {
            return Ok(());
        }
        std::mem::take(&mut self.small).into_iter().try_for_each(|number| self.insert(number))
    }

    fn insert(&mut self, segment: u32) -> Result<(), Damaged> {
        let stored = &self.stored[segment as usize];
        for row in 0..stored.sidecar.rows() as u32 {
            self.index.insert(prefix(&stored.sidecar.key(row)?), Place { segment, row });
        }
        Ok(())
    }

    /// The segments in the order in which they were opened.
    pub fn stored(&self) -> &[Arc<Stored>] {
        &self.stored
    }

    /// A segment by number.
    pub fn segment(&self, number: u32) -> &Arc<Stored> {
        &self.stored[number as usize]
    }

    /// The segment of a place.
    pub fn at(&self, place: Place) -> &Arc<Stored> {
        self.segment(place.segment)
    }

    /// Every place.
    pub fn all(&self) -> Vec<Place> {
        let rows = |(segment, stored): (usize, &Arc<Stored>)| {
            let segment = segment as u32;
            (0..stored.sidecar.rows() as u32).map(move |row| Place { segment, row })
        };
        self.stored.iter().enumerate().flat_map(rows).collect()
    }

    /// The place of each key. The error names the segment whose sidecar is damaged.
    pub fn find(&self, keys: &[Digest]) -> Result<Vec<Option<Place>>, (Arc<Stored>, Damaged)> {
        let mut last = None;
        let mut find = |key| {
            let place = self.find_one(key, last)?;
            last = place.or(last);
            Ok(place)
        };
        keys.iter().map(&mut find).collect()
    }

    fn find_one(&self, key: &Digest, last: Option<Place>) -> Result<Option<Place>, (Arc<Stored>, Damaged)> {
        if let Some(place) = self.ask(self.forced.iter().rev(), key)? {
            return Ok(Some(place));
        }
        let guesses =
            [last.map(|last| Place { row: last.row + 1, ..last }), self.index.get(&prefix(key)).copied()];
        for guess in guesses.into_iter().flatten() {
            let stored = self.at(guess);
            let there = (guess.row as usize) < stored.sidecar.rows() && !stored.gone.load(Ordering::Relaxed);
            if there && stored.sidecar.key(guess.row).map_err(|what| (stored.clone(), what))? == *key {
                return Ok(Some(guess));
            }
        }
        self.ask(self.small.iter().rev().chain(self.large.iter().rev()), key)
    }

    fn ask<'a>(
        &self,
        segments: impl Iterator<Item = &'a u32>,
        key: &Digest,
    ) -> Result<Option<Place>, (Arc<Stored>, Damaged)> {
        for &segment in segments {
            let stored = self.segment(segment);
            if stored.gone.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(row) = stored.sidecar.find(key).map_err(|what| (stored.clone(), what))? {
                return Ok(Some(Place { segment, row }));
            }
        }
        Ok(None)
    }
}

fn prefix(key: &Digest) -> u64 {
    u64::from_le_bytes([key.0[0], key.0[1], key.0[2], key.0[3], key.0[4], key.0[5], key.0[6], key.0[7]])
}

/// Keys are digests: their first bytes are as good as a hash of them.
#[derive(Default)]
pub(super) struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
