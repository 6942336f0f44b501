//! Where does a key lie? Over all segments of one identity.
//!
//! Rows come again in the order in which they were stored, as a rule: after a hit the next rows of that segment are tried
//! first, which costs a comparison each. Otherwise one segment after the other is asked, many keys at a time; where that was
//! done often, as many of them as memory has room for share an index.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::entries::Stored;
use super::sidecar::Damaged;
use crate::digest::{Digest, DigestMap};

/// So many segments are asked one by one, however often.
const FEW: usize = 2;
/// Most rows in the index: 16 to 32 bytes each.
const INDEXED: usize = 1 << 21;
/// Keys that are looked for together.
const TOGETHER: usize = 128;

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
    /// The segments that are not in the index.
    apart: Vec<u32>,
    /// The first 8 bytes of keys, and their places.
    index: DigestMap<u64, Place>,
    /// How often one of the segments was asked for a key since the index has grown.
    asked: AtomicUsize,
}

impl Places {
    /// Adds a segment.
    pub fn push(&mut self, stored: Arc<Stored>) {
        let number = self.stored.len() as u32;
        let forced = stored.forced;
        self.stored.push(stored);
        if !forced {
            self.apart.push(number);
            return;
        }
        // Merged ones are opened late and bear the time of what was merged.
        let stored = &self.stored;
        let at = self.forced.partition_point(|&f| stored[f as usize].name < stored[number as usize].name);
        self.forced.insert(at, number);
    }

    /// Whether an index of some of the segments would have cost no more by now than asking them did.
    pub fn is_index_due(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        self.apart.len() > FEW && asked > 0 && {
            let rows = self.fitting().map(|segment| self.segment(segment).sidecar.rows()).sum::<usize>();
            rows > 0 && asked >= rows
        }
    }

    /// The segments for which there is room in the index.
    fn fitting(&self) -> impl Iterator<Item = u32> {
        let mut room = INDEXED.saturating_sub(self.index.len());
        self.apart.iter().copied().filter(move |&segment| {
            let rows = self.segment(segment).sidecar.rows();
            let fits = rows <= room;
            room -= if fits { rows } else { 0 };
            fits
        })
    }

    /// Puts into the index what there is room for.
    pub fn grow_index(&mut self) -> Result<(), (Arc<Stored>, Damaged)> {
        for segment in self.fitting().collect::<Vec<_>>() {
            let stored = self.segment(segment).clone();
            self.index.reserve(stored.sidecar.rows());
            for row in 0..stored.sidecar.rows() as u32 {
                let key = stored.sidecar.key(row).map_err(|what| (stored.clone(), what))?;
                self.index.insert(key.prefix(), Place { segment, row });
            }
            self.apart.retain(|&apart| apart != segment);
        }
        self.asked.store(0, Ordering::Relaxed);
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
        let mut places = Vec::with_capacity(keys.len());
        let mut last = None;
        for keys in keys.chunks(TOGETHER) {
            let followed = self.follow(keys, last, &mut places)?;
            let mut rest = vec![None; keys.len() - followed];
            self.search(&keys[followed..], &mut rest)?;
            places.extend(rest);
            last = places.iter().rev().take(keys.len()).find_map(|place| *place).or(last);
        }
        Ok(places)
    }

    /// Takes row after row from the last one found, as long as they are the keys asked for. Says how many were.
    fn follow(
        &self,
        keys: &[Digest],
        last: Option<Place>,
        places: &mut Vec<Option<Place>>,
    ) -> Result<usize, (Arc<Stored>, Damaged)> {
        let Some(last) = last.filter(|_| self.forced.is_empty()) else { return Ok(0) };
        let stored = self.at(last);
        if stored.gone.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let rows = last.row + 1..stored.sidecar.rows() as u32;
        for (at, (key, row)) in keys.iter().zip(rows.clone()).enumerate() {
            if stored.sidecar.key(row).map_err(|what| (stored.clone(), what))? != *key {
                return Ok(at);
            }
            places.push(Some(Place { row, ..last }));
        }
        Ok(keys.len().min(rows.len()))
    }

    /// Looks for each key everywhere, first where its newest value would be.
    fn search(&self, keys: &[Digest], places: &mut [Option<Place>]) -> Result<(), (Arc<Stored>, Damaged)> {
        self.ask(self.forced.iter().rev(), keys, places)?;
        for (key, place) in keys.iter().zip(&mut *places).filter(|(_, place)| place.is_none()) {
            let Some(&guess) = self.index.get(&key.prefix()) else { continue };
            let stored = self.at(guess);
            let there = !stored.gone.load(Ordering::Relaxed);
            if there && stored.sidecar.key(guess.row).map_err(|what| (stored.clone(), what))? == *key {
                *place = Some(guess);
            }
        }
        self.ask(self.apart.iter().rev(), keys, places)
    }

    /// Asks one segment after another for the keys not found yet.
    fn ask<'a>(
        &self,
        segments: impl Iterator<Item = &'a u32>,
        keys: &[Digest],
        places: &mut [Option<Place>],
    ) -> Result<(), (Arc<Stored>, Damaged)> {
        for &segment in segments {
            let stored = self.segment(segment);
            let open: Vec<usize> = (0..keys.len()).filter(|&at| places[at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            if stored.gone.load(Ordering::Relaxed) {
                continue;
            }
            self.asked.fetch_add(open.len(), Ordering::Relaxed);
            let wanted: Vec<Digest> = open.iter().map(|&at| keys[at]).collect();
            let rows = stored.sidecar.find(&wanted).map_err(|what| (stored.clone(), what))?;
            for (at, row) in open.into_iter().zip(rows) {
                places[at] = row.map(|row| Place { segment, row });
            }
        }
        Ok(())
    }
}
