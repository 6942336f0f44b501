//! In which split does a row lie? Each group of rows has a position from 0 to 1, and the shares cut that line.
//!
//! Without strata the position is the digest of seed and group read as a fraction: it depends on nothing else. With strata it
//! is the place of the group among those of its stratum, in the order of these digests.

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
    fn run(&self, rows: &TableRows, _: &Context) -> StageResult<TableOutput> {
        let column = |name: &Option<String>| -> StageResult<Option<StringArray>> {
            name.as_deref().map(|name| text(&rows.column(name)?)).transpose()
        };
        let groups = self.groups(rows.ids(), column(&self.group_by)?.as_ref());
        let mut splits = vec![NAMES[0]; rows.len()];
        for (group, position) in self.positions(&groups, column(&self.stratify_by)?.as_ref()) {
            group.rows.iter().for_each(|&row| splits[row] = self.at(position));
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

    /// Each group with its position.
    fn positions<'a>(&self, groups: &'a [Group], strata: Option<&StringArray>) -> Vec<(&'a Group, f64)> {
        let Some(strata) = strata else {
            return groups.iter().map(|group| (group, fraction(group.digest))).collect();
        };
        let mut by_stratum: BTreeMap<Option<&str>, Vec<&Group>> = BTreeMap::new();
        groups.iter().for_each(|group| by_stratum.entry(most(group, strata)).or_default().push(group));
        let mut positions = Vec::with_capacity(groups.len());
        for stratum in by_stratum.values_mut() {
            stratum.sort_unstable_by_key(|group| group.digest);
            let all: usize = stratum.iter().map(|group| group.rows.len()).sum();
            let mut before = 0;
            for group in stratum {
                let middle = before as f64 + group.rows.len() as f64 / 2.0;
                positions.push((*group, middle / all as f64));
                before += group.rows.len();
            }
        }
        positions
    }

    /// The split at a position; one without a share has no position.
    fn at(&self, position: f64) -> &'static str {
        let [train, val, test] = self.shares;
        let last = if test > 0.0 || (train == 0.0 && val == 0.0) { 2 } else { usize::from(val > 0.0) };
        let split = if position < train { 0 } else { 1 + usize::from(position >= train + val) };
        NAMES[split.min(last)]
    }
}

/// The first eight bytes of a digest as a number from 0 to 1.
fn fraction(digest: Digest) -> f64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.0[..8]);
    (u64::from_be_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

/// The value that most rows of a group have; of several the smallest.
fn most<'a>(group: &Group, column: &'a StringArray) -> Option<&'a str> {
    let mut counts: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for &row in &group.rows {
        *counts.entry(column.is_valid(row).then(|| column.value(row))).or_default() += 1;
    }
    let best = counts.values().max().copied();
    counts.into_iter().find(|(_, count)| Some(*count) == best).and_then(|(value, _)| value)
}
