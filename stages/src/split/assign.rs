//! In which split does a row lie?
//!
//! Without strata each group of rows has a position from 0 to 1, the digest of seed and group read as a fraction, and the shares
//! cut that line: it depends on nothing else. With strata the groups are dealt out, large ones first and equal ones in the order
//! of these digests, each to the split that lacks its rows most, of its strata and in all.

use std::collections::BTreeMap;
use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::TableOutput;
use affectflow_pipeline::{Digest, StageResult, Table};
use arrow::array::{Array, StringArray};

use crate::sample::text;

const NAMES: [&str; 3] = ["train", "val", "test"];

/// The work of `split`.
pub(super) struct Assign {
    pub(super) shares: [f64; 3],
    pub(super) seed: u64,
    pub(super) group_by: Option<String>,
    pub(super) stratify_by: Option<String>,
}

/// Rows that stay together.
struct Group {
    rows: Vec<usize>,
    digest: Digest,
}

impl Table for Assign {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let column = |name: &Option<String>| -> StageResult<Option<StringArray>> {
            name.as_deref().map(|name| text(&rows.column(name)?)).transpose()
        };
        let groups = self.groups(rows.ids(), column(&self.group_by)?.as_ref());
        let dealt: Vec<usize> = match column(&self.stratify_by)? {
            None => groups.iter().map(|group| self.at(fraction(group.digest))).collect(),
            Some(strata) => self.dealt(&groups, &strata),
        };
        let mut splits = vec![NAMES[0]; rows.len()];
        let mut counts = [0; 3];
        for (group, &split) in groups.iter().zip(&dealt) {
            counts[split] += group.rows.len();
            group.rows.iter().for_each(|&row| splits[row] = NAMES[split]);
        }
        for split in
            (0..3).filter(|&split| self.shares[split] > 0.0 && counts[split] == 0 && !rows.is_empty())
        {
            let (name, groups) = (NAMES[split], groups.len());
            cx.warn(format!("`{name}` gets no row: there are {groups} groups, and a group stays whole"));
        }
        let column = Arc::new(StringArray::from_iter_values(splits));
        Ok(TableOutput { columns: vec![column], ..TableOutput::default() })
    }
}

impl Assign {
    fn groups(&self, ids: &StringArray, by: Option<&StringArray>) -> Vec<Group> {
        let mut groups: BTreeMap<(bool, &str), Vec<usize>> = BTreeMap::new();
        for row in 0..ids.len() {
            let group = by.filter(|by| by.is_valid(row)).map(|by| by.value(row));
            groups.entry((group.is_some(), group.unwrap_or(ids.value(row)))).or_default().push(row);
        }
        let digest = |named: bool, name: &str| {
            Digest::of_parts([&self.seed.to_le_bytes()[..], &[u8::from(named)], name.as_bytes()])
        };
        groups.into_iter().map(|((named, name), rows)| Group { rows, digest: digest(named, name) }).collect()
    }

    /// The split of each group, so that every stratum and the whole come near their shares.
    fn dealt(&self, groups: &[Group], strata: &StringArray) -> Vec<usize> {
        let mut numbers: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        let mut sizes: Vec<f64> = Vec::new();
        let mut parts: Vec<Vec<(usize, f64)>> = Vec::with_capacity(groups.len());
        for group in groups {
            let mut part: BTreeMap<usize, f64> = BTreeMap::new();
            for &row in &group.rows {
                let next = numbers.len();
                let stratum = *numbers.entry(strata.is_valid(row).then(|| strata.value(row))).or_insert(next);
                sizes.resize(sizes.len().max(stratum + 1), 0.0);
                sizes[stratum] += 1.0;
                *part.entry(stratum).or_default() += 1.0;
            }
            parts.push(part.into_iter().collect());
        }
        let all: f64 = sizes.iter().sum();
        // Rows so far, of each stratum and in all, a split each.
        let mut have = vec![[0.0; 3]; sizes.len()];
        let mut whole = [0.0; 3];
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|&at| (std::cmp::Reverse(groups[at].rows.len()), groups[at].digest));
        let mut dealt = vec![0; groups.len()];
        for at in order {
            let rows = groups[at].rows.len() as f64;
            // By how much the squared distance from the shares grows; the whole weighs as much as all strata.
            let grows = |have: f64, more: f64, of: f64, split: usize| {
                more * (more + 2.0 * (have - self.shares[split] * of)) / of
            };
            let cost = |split: usize| {
                let strata = parts[at]
                    .iter()
                    .map(|&(stratum, rows)| grows(have[stratum][split], rows, sizes[stratum], split));
                strata.sum::<f64>() + sizes.len() as f64 * grows(whole[split], rows, all, split)
            };
            let open = (0..3).filter(|&split| self.shares[split] > 0.0);
            let best = open.min_by(|&one, &two| cost(one).total_cmp(&cost(two))).unwrap_or(0);
            dealt[at] = best;
            whole[best] += rows;
            parts[at].iter().for_each(|&(stratum, rows)| have[stratum][best] += rows);
        }
        dealt
    }

    /// The split at a position; one without a share has no position.
    fn at(&self, position: f64) -> usize {
        let [train, val, test] = self.shares;
        let last = if test > 0.0 || (train == 0.0 && val == 0.0) { 2 } else { usize::from(val > 0.0) };
        let split = if position < train { 0 } else { 1 + usize::from(position >= train + val) };
        split.min(last)
    }
}

/// The first eight bytes of a digest as a number from 0 to 1.
fn fraction(digest: Digest) -> f64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    (u64::from_be_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}
