//! In which order do rows teach? An endless stream of minibatches of one size, reshuffled at every pass.
//!
//! A row's place in a pass is the BLAKE3 digest of seed, pass and id, so the order is the same on every machine and does
//! not depend on how rows arrived. Balanced passes draw as often from each class, repeating rows of small ones.

use affectflow_pipeline::run::table_rows::TableRows;

use super::read;
use super::roles::Roles;

/// One row of a minibatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The row.
    pub row: u32,
    /// Random bits of this draw, to choose a view by.
    pub random: u64,
}

/// An endless stream of minibatches. Which rows a minibatch holds follows from its number alone, so nothing of a stream needs
/// to be kept where training stops.
pub struct Stream<'a> {
    rows: &'a TableRows,
    pool: Vec<Vec<u32>>,
    seed: [u8; 32],
    batch: usize,
    /// The pass drawn from last, and its order.
    shuffled: Option<(usize, Vec<Draw>)>,
}

impl<'a> Stream<'a> {
    /// Minibatches of `batch` rows (or of all, if there are fewer) from `pool`; `name` sets streams of one seed apart.
    pub fn new(rows: &'a TableRows, pool: &[u32], batch: usize, seed: u64, name: &str) -> Self {
        Self::of(rows, vec![pool.to_vec()], batch, seed, name)
    }

    /// Minibatches of the rows that teach; where balanced, drawn evenly from the classes that occur.
    pub fn source(rows: &'a TableRows, roles: &Roles, balanced: bool, batch: usize, seed: u64) -> Self {
        let (pool, labels) = (&roles.train, &roles.labels);
        if !balanced {
            return Self::new(rows, pool, batch, seed, "source");
        }
        let last = pool.iter().map(|&row| labels[row as usize]).max().unwrap_or(0);
        let class = |class: u32| {
            pool.iter().copied().filter(|&row| labels[row as usize] == class).collect::<Vec<_>>()
        };
        let pools = (0..=last).map(class).filter(|pool| !pool.is_empty()).collect();
        Self::of(rows, pools, batch, seed, "source")
    }

    fn of(rows: &'a TableRows, pool: Vec<Vec<u32>>, batch: usize, seed: u64, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("affectflow minibatch order v1");
        hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
        let size: usize = pool.iter().map(Vec::len).sum();
        let seed = *hasher.finalize().as_bytes();
        Stream { rows, pool, seed, batch: batch.clamp(1, size.max(1)), shuffled: None }
    }

    /// Minibatches that make one pass.
    pub fn steps(&self) -> usize {
        self.size().div_ceil(self.batch)
    }

    /// The minibatch of that number, from 0; empty only where the pool is.
    pub fn batch(&mut self, number: usize) -> Vec<Draw> {
        let pass = self.quota() * self.pool.len();
        let places = number * self.batch..(number + 1) * self.batch;
        places.filter(|_| pass > 0).map(|place| self.pass(place / pass)[place % pass]).collect()
    }

    fn size(&self) -> usize {
        self.pool.iter().map(Vec::len).sum()
    }

    /// Draws from each class in a pass.
    fn quota(&self) -> usize {
        self.size().div_ceil(self.pool.len().max(1))
    }

    fn pass(&mut self, pass: usize) -> &[Draw] {
        let kept = self.shuffled.take().filter(|(shuffled, _)| *shuffled == pass);
        let order = kept.map_or_else(|| self.shuffle(pass as u64), |(_, order)| order);
        &self.shuffled.insert((pass, order)).1
    }

    fn shuffle(&self, pass: u64) -> Vec<Draw> {
        let quota = self.quota();
        let mut keyed = Vec::with_capacity(quota * self.pool.len());
        for pool in &self.pool {
            let mut members: Vec<_> = pool.iter().map(|&row| (self.key(pass, 0, row), row)).collect();
            members.sort_unstable();
            for (turn, &(_, row)) in members.iter().cycle().take(quota).enumerate() {
                keyed.push((self.key(pass, 1 + (turn / members.len()) as u64, row), row));
            }
        }
        keyed.sort_unstable();
        keyed.into_iter().map(|(key, row)| Draw { row, random: key as u64 }).collect()
    }

    fn key(&self, pass: u64, turn: u64, row: u32) -> u128 {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&pass.to_le_bytes()).update(&turn.to_le_bytes());
        hasher.update(read::id(self.rows, row).as_bytes());
        let hash = hasher.finalize();
        hash.as_bytes()[..16].iter().fold(0, |key, &byte| key << 8 | u128::from(byte))
    }
}
