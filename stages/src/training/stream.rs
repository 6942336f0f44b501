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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    const ROWS: usize = 29;

    /// Rows that arrive in the order of `arrival`.
    fn rows(arrival: impl Iterator<Item = usize>) -> TableRows {
        let ids = StringArray::from_iter_values(arrival.map(|row| format!("{row:02}")));
        let schema = Schema::new(vec![Field::new("id", DataType::Utf8, false)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids)]).unwrap();
        TableRows::from_record_batch(&batch).unwrap()
    }

    /// Rows that teach, a third of class 0 and the others of class 1, with and without balance.
    fn streams(rows: &TableRows, seed: u64) -> [Stream<'_>; 2] {
        let train: Vec<u32> = (0..ROWS as u32).collect();
        let labels = train.iter().map(|row| u32::from(row % 3 > 0)).collect();
        let roles = Roles { train, val: vec![], target: vec![], is_target: vec![false; ROWS], labels };
        [false, true].map(|balanced| Stream::source(rows, &roles, balanced, 8, seed))
    }

    /// Ids and random bits of some minibatches.
    fn drawn(
        rows: &TableRows,
        stream: &mut Stream,
        numbers: impl Iterator<Item = usize>,
    ) -> Vec<(String, u64)> {
        let draws = numbers.flat_map(|number| stream.batch(number)).collect::<Vec<_>>();
        draws.iter().map(|draw| (read::id(rows, draw.row).to_owned(), draw.random)).collect()
    }

    #[test]
    fn seed_number_and_ids_alone_decide_a_minibatch() {
        let (ascending, permuted) = (rows(0..ROWS), rows((0..ROWS).map(|row| row * 17 % ROWS)));
        for kind in 0..2 {
            let first = drawn(&ascending, &mut streams(&ascending, 5)[kind], 0..24);
            assert_eq!(first, drawn(&permuted, &mut streams(&permuted, 5)[kind], 0..24));
            assert_ne!(first, drawn(&ascending, &mut streams(&ascending, 6)[kind], 0..24));
            let mut backwards = drawn(&ascending, &mut streams(&ascending, 5)[kind], (0..24).rev());
            backwards = backwards.chunks(8).rev().flatten().cloned().collect();
            assert_eq!(first, backwards, "a minibatch does not know those before it");
        }
    }

    #[test]
    fn a_pass_holds_every_row_and_a_balanced_one_every_class_alike() {
        let rows = rows(0..ROWS);
        let [mut plain, mut balanced] = streams(&rows, 5);
        let draws = drawn(&rows, &mut plain, 0..8);
        for pass in draws.chunks(ROWS).take(2) {
            let mut ids: Vec<&str> = pass.iter().map(|(id, _)| id.as_str()).collect();
            ids.sort_unstable();
            assert!(ids.iter().enumerate().all(|(row, id)| *id == format!("{row:02}")), "{ids:?}");
        }
        assert_ne!(draws[..ROWS], draws[ROWS..2 * ROWS]);
        let draws: Vec<Draw> = (0..15).flat_map(|number| balanced.batch(number)).collect();
        for pass in draws.chunks(30) {
            assert_eq!(pass.iter().filter(|draw| draw.row % 3 == 0).count(), 15);
        }
    }
}
