//! In which order do rows teach? An endless stream of minibatches of one size, reshuffled at every pass.
//!
//! A row's place in a pass is the BLAKE3 digest of seed, pass and id, so the order is the same on every machine and does
//! not depend on how rows arrived. Balanced passes draw as often from each class, repeating rows of small ones.

use affectflow_pipeline::run::table_rows::TableRows;

use super::read;

/// One row of a minibatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The row.
    pub row: u32,
    /// Random bits of this draw, to choose a view by.
    pub random: u64,
}

/// An endless stream of minibatches.
pub struct Stream<'a> {
    rows: &'a TableRows,
    pool: Vec<Vec<u32>>,
    seed: [u8; 32],
    pass: u64,
    queue: std::vec::IntoIter<Draw>,
    batch: usize,
}

impl<'a> Stream<'a> {
    /// Minibatches of `batch` rows (or of all, if there are fewer) from `pool`; `name` sets streams of one seed apart.
    pub fn new(rows: &'a TableRows, pool: &[u32], batch: usize, seed: u64, name: &str) -> Self {
        Self::of(rows, vec![pool.to_vec()], batch, seed, name)
    }

    /// The same, drawn evenly from the classes that occur.
    pub fn balanced(
        rows: &'a TableRows,
        pool: &[u32],
        labels: &[u32],
        batch: usize,
        seed: u64,
        name: &str,
    ) -> Self {
        let last = pool.iter().map(|&row| labels[row as usize]).max().unwrap_or(0);
        let class = |class: u32| {
            pool.iter().copied().filter(|&row| labels[row as usize] == class).collect::<Vec<_>>()
        };
        let pools = (0..=last).map(class).filter(|pool| !pool.is_empty()).collect();
        Self::of(rows, pools, batch, seed, name)
    }

    fn of(rows: &'a TableRows, pool: Vec<Vec<u32>>, batch: usize, seed: u64, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("affectflow minibatch order v1");
        hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
        let size: usize = pool.iter().map(Vec::len).sum();
        let seed = *hasher.finalize().as_bytes();
        Stream {
            rows,
            pool,
            seed,
            pass: 0,
            queue: Vec::new().into_iter(),
            batch: batch.clamp(1, size.max(1)),
        }
    }

    /// Minibatches that make one pass.
    pub fn steps(&self) -> usize {
        self.size().div_ceil(self.batch)
    }

    /// The next minibatch; empty only where the pool is.
    pub fn next_batch(&mut self) -> Vec<Draw> {
        let mut batch = Vec::with_capacity(self.batch);
        while batch.len() < self.batch && self.size() > 0 {
            match self.queue.next() {
                Some(draw) => batch.push(draw),
                None => {
                    self.queue = self.shuffled().into_iter();
                    self.pass += 1;
                }
            }
        }
        batch
    }

    fn size(&self) -> usize {
        self.pool.iter().map(Vec::len).sum()
    }

    fn shuffled(&self) -> Vec<Draw> {
        let quota = self.size().div_ceil(self.pool.len().max(1));
        let mut keyed = Vec::with_capacity(self.size() + self.pool.len());
        for pool in &self.pool {
            let mut members: Vec<_> = pool.iter().map(|&row| (self.key(row, 0), row)).collect();
            members.sort_unstable();
            let quota = if self.pool.len() == 1 { members.len() } else { quota };
            for (turn, &(_, row)) in members.iter().cycle().take(quota).enumerate() {
                keyed.push((self.key(row, 1 + (turn / members.len()) as u64), row));
            }
        }
        keyed.sort_unstable();
        keyed.into_iter().map(|(key, row)| Draw { row, random: key as u64 }).collect()
    }

    fn key(&self, row: u32, turn: u64) -> u128 {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&self.pass.to_le_bytes()).update(&turn.to_le_bytes());
        hasher.update(read::id(self.rows, row).as_bytes());
        let hash = hasher.finalize();
        hash.as_bytes()[..16].iter().fold(0, |key, &byte| key << 8 | u128::from(byte))
    }
}
