//! What goes? A pure choice over what lies there: first what nobody needs any more, then, where a size is to be held, what
//! was not used for the longest time. What live runs use stays in any case.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use super::inventory::{Unit, What, identity_path};
use super::uses::Uses;

/// What has rows, or will have.
const RESULTS: [What; 3] = [What::Table, What::Rows, What::Checkpoint];

/// What a choice rests on.
pub(super) struct Choice<'a> {
    pub units: &'a [Unit],
    pub uses: &'a Uses,
    /// Names of identities and entries that live runs use.
    pub pinned: &'a HashSet<String>,
    /// Whether there is a live run: it may have written lists and artifacts that no record names yet.
    pub live: bool,
    /// What was not used since then goes if no kept run needs it; `None`: nothing goes for its age.
    pub cutoff: Option<SystemTime>,
    /// Most bytes to keep.
    pub max_size: Option<u64>,
}

impl Choice<'_> {
    /// Positions of what goes, in the order in which it was chosen, and the bytes that stay.
    pub fn choose(&self) -> (Vec<usize>, u64) {
        let mut chosen = Chosen::new(self.units);
        if let Some(cutoff) = self.cutoff {
            self.unneeded(&mut chosen, cutoff);
        }
        if let Some(max) = self.max_size {
            self.hold(&mut chosen, max);
        }
        (chosen.order, chosen.left)
    }

    /// When a thing was used or written last, as far as anything tells.
    pub fn last(&self, unit: &Unit) -> Option<SystemTime> {
        self.uses.by_path.get(&unit.path()).map(|used| used.last).max(unit.written)
    }

    /// Whether a live run uses it.
    pub fn pinned(&self, unit: &Unit) -> bool {
        RESULTS.contains(&unit.what) && self.pinned.contains(&unit.name)
    }

    fn unneeded(&self, chosen: &mut Chosen, cutoff: SystemTime) {
        let idle = if self.live { &[][..] } else { &[What::List, What::Artifact, What::Identity] };
        for what in RESULTS.iter().chain(&[What::Damaged]).chain(idle) {
            let needed = chosen.needed();
            for (at, unit) in self.units.iter().enumerate().filter(|(_, unit)| unit.what == *what) {
                if !self.kept(unit, cutoff) && !needed.contains(&unit.path()) {
                    chosen.go(at);
                }
            }
        }
    }

    /// Whether a kept or live run needs it, or it is young, or it may belong to a run whose record cannot be read.
    fn kept(&self, unit: &Unit, cutoff: SystemTime) -> bool {
        let last = self.last(unit);
        let unreadable = self.uses.unreadable.iter().map(|(_, began)| *began).min();
        let doubtful = unreadable.is_some_and(|began| last.is_none_or(|last| last >= began));
        let named = self.uses.by_path.get(&unit.path()).is_some_and(|used| used.kept);
        // Of a checkpoint nothing tells whose it is before its table is finished; then it is gone.
        let going_on = unit.what == What::Checkpoint && self.uses.unfinished;
        named || doubtful || going_on || last.is_some_and(|last| last >= cutoff) || self.pinned(unit)
    }

    /// Damaged files first, then results, then checkpoints, and only then lists, each kind by its last use.
    fn hold(&self, chosen: &mut Chosen, max: u64) {
        let class = |unit: &Unit| match unit.what {
            What::Damaged => Some(0),
            What::Table | What::Rows => Some(1),
            What::Checkpoint => Some(2),
            What::List if !self.live => Some(3),
            What::List | What::Artifact | What::Identity | What::Superseded => None,
        };
        let evictable = self.units.iter().enumerate().filter(|(_, unit)| !self.pinned(unit));
        let mut order: Vec<_> = evictable
            .filter_map(|(at, unit)| Some((class(unit)?, self.last(unit), Reverse(unit.bytes), at)))
            .collect();
        order.sort();
        for (.., at) in order {
            if chosen.left <= max {
                break;
            }
            chosen.go(at);
        }
    }
}

/// What has been chosen so far.
struct Chosen<'a> {
    units: &'a [Unit],
    gone: Vec<bool>,
    order: Vec<usize>,
    left: u64,
    /// Where each artifact stands, by its path, and how many tables that stay need it.
    artifacts: HashMap<String, (usize, usize)>,
}

impl<'a> Chosen<'a> {
    fn new(units: &'a [Unit]) -> Self {
        let artifacts = units.iter().enumerate().filter(|(_, unit)| unit.what == What::Artifact);
        let mut artifacts: HashMap<String, (usize, usize)> =
            artifacts.map(|(at, unit)| (unit.path(), (at, 0))).collect();
        for path in units.iter().flat_map(distinct) {
            artifacts.entry(path).and_modify(|(_, tables)| *tables += 1);
        }
        let left = units.iter().map(|unit| unit.bytes).sum();
        Chosen { units, gone: vec![false; units.len()], order: Vec::new(), left, artifacts }
    }

    /// Lets a thing go, and the artifacts that only it needed.
    fn go(&mut self, at: usize) {
        if std::mem::replace(&mut self.gone[at], true) {
            return;
        }
        self.order.push(at);
        self.left -= self.units[at].bytes;
        for path in distinct(&self.units[at]) {
            if let Some((artifact, tables)) = self.artifacts.get_mut(&path) {
                *tables -= 1;
                let alone = (*tables == 0).then_some(*artifact);
                alone.into_iter().for_each(|artifact| self.go(artifact));
            }
        }
    }

    /// Paths of the artifacts and identities of what stays.
    fn needed(&self) -> HashSet<String> {
        let stays =
            self.units.iter().zip(&self.gone).filter(|(unit, gone)| !**gone && RESULTS.contains(&unit.what));
        let paths = stays.flat_map(|(unit, _)| {
            let identities = unit.records.iter().map(|(_, record)| identity_path(&record.identity));
            unit.artifacts().chain(identities).chain([identity_path(&unit.name)])
        });
        paths.collect()
    }
}

fn distinct(unit: &Unit) -> HashSet<String> {
    unit.artifacts().collect()
}
