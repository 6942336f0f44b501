//! Which rows does a seed draw? Those whose hash of seed and id is smallest, group by group: a new row displaces one
//! other at most in its group, and the order of rows changes nothing.

use std::collections::BTreeMap;

use affectflow_pipeline::{Digest, StageResult, Subset};
use arrow::array::RecordBatch;

use super::filter::{Cell, text};

/// How many rows to keep.
pub(super) enum Amount {
    Count(u64),
    Fraction(f64),
}

/// The draw of `sample`.
pub(super) struct Draw {
    pub(super) amount: Amount,
    pub(super) seed: u64,
}

impl Subset for Draw {
    fn whole(&self) -> bool {
        true
    }

    fn select(&self, rows: &RecordBatch) -> StageResult<Vec<u32>> {
        let ids = text(rows.column(0))?;
        let by = rows.columns().get(1).map(text).transpose()?;
        let mut groups: BTreeMap<Cell<'_>, Vec<(Digest, u32)>> = BTreeMap::new();
        for row in 0..rows.num_rows() {
            let rank = Digest::of_parts([&self.seed.to_le_bytes()[..], ids.value(row).as_bytes()]);
            let group = by.as_ref().map(|by| Cell::of(by, row));
            groups.entry(group.unwrap_or_default()).or_default().push((rank, row as u32));
        }
        let sizes: Vec<u64> = groups.values().map(|group| group.len() as u64).collect();
        let mut kept = Vec::new();
        for (group, quota) in groups.values_mut().zip(self.quotas(&sizes)) {
            group.sort_unstable();
            kept.extend(group.iter().take(quota as usize).map(|(_, row)| *row));
        }
        kept.sort_unstable();
        Ok(kept)
    }
}

impl Draw {
    /// Rows to keep of each group: its share of the whole, the largest remainders rounded up.
    fn quotas(&self, sizes: &[u64]) -> Vec<u64> {
        let all: u64 = sizes.iter().sum();
        let wanted = match self.amount {
            Amount::Count(count) => count.min(all),
            Amount::Fraction(fraction) => ((all as f64 * fraction).round() as u64).min(all),
        };
        let share = |size: u64| u128::from(size) * u128::from(wanted);
        let mut quotas: Vec<u64> =
            sizes.iter().map(|&size| (share(size) / u128::from(all.max(1))) as u64).collect();
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&group| std::cmp::Reverse(share(sizes[group]) % u128::from(all.max(1))));
        let missing = wanted - quotas.iter().sum::<u64>();
        for &group in order.iter().take(missing as usize) {
            quotas[group] += 1;
        }
        quotas
    }
}
