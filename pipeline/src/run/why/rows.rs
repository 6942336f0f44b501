//! Which rows differ between two inputs? Rows by id, each with the digests of its cells; pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use crate::batch::Batch;
use crate::digest::Digest;
use crate::error::Error;
use crate::run::identity::inputs;

/// Ids named as examples.
const EXAMPLES: usize = 5;

/// Rows by id: of each the digests of its cells, in the order of the columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::run) struct Cells {
    /// The columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: HashMap<String, Vec<Digest>>,
}

/// Some rows: how many, and the first few ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    /// How many.
    pub rows: u64,
    /// The first ids, ascending.
    pub examples: Vec<String>,
}

/// In which rows two inputs differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RowChanges {
    /// Rows that are there now and were not.
    pub added: Named,
    /// Rows that were there and are not.
    pub removed: Named,
    /// Rows of which a cell differs.
    pub changed: Named,
    /// The columns in which they differ, with the number of rows.
    pub columns: BTreeMap<String, u64>,
}

impl Cells {
    /// Takes in the rows of a light batch.
    pub fn add(&mut self, batch: &Batch, columns: &[String]) -> Result<(), Error> {
        self.columns = columns.to_vec();
        let digests = inputs(batch, columns)?;
        for (row, id) in batch.ids().iter().enumerate() {
            let cells = digests[row * columns.len()..(row + 1) * columns.len()].to_vec();
            self.rows.insert(id.unwrap_or_default().to_owned(), cells);
        }
        Ok(())
    }

    /// The digest of a cell.
    pub fn cell(&self, id: &str, column: &str) -> Option<Digest> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.rows.get(id)?.get(at).copied()
    }
}

impl Named {
    fn of(mut ids: Vec<&String>) -> Self {
        ids.sort_unstable();
        Named { rows: ids.len() as u64, examples: ids.into_iter().take(EXAMPLES).cloned().collect() }
    }
}

impl RowChanges {
    /// What became of the old rows. Columns that only one side has are passed over.
    pub(in crate::run) fn between(old: &Cells, new: &Cells) -> Self {
        let pairs: Vec<(&String, usize, usize)> = new
            .columns
            .iter()
            .enumerate()
            .filter_map(|(at, name)| Some((name, old.columns.iter().position(|other| other == name)?, at)))
            .collect();
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        let mut columns = BTreeMap::new();
        for (id, cells) in &new.rows {
            let Some(before) = old.rows.get(id) else {
                added.push(id);
                continue;
            };
            // Rows of old caches are stored without their cells: that they differ is known, in what is not.
            let mut differs = before.is_empty() && !cells.is_empty();
            let other = |(_, a, b): &&(_, usize, usize)| {
                before.get(*a).zip(cells.get(*b)).is_some_and(|(old, new)| old != new)
            };
            for (name, _, _) in pairs.iter().filter(other) {
                *columns.entry((*name).clone()).or_default() += 1;
                differs = true;
            }
            if differs {
                changed.push(id);
            }
        }
        let removed = old.rows.keys().filter(|id| !new.rows.contains_key(*id)).collect();
        RowChanges {
            added: Named::of(added),
            removed: Named::of(removed),
            changed: Named::of(changed),
            columns,
        }
    }

    /// Counts those of another input too, its columns as `port.column`.
    pub(in crate::run) fn beside(&mut self, port: &str, side: &RowChanges) {
        self.added.rows += side.added.rows;
        self.removed.rows += side.removed.rows;
        self.changed.rows += side.changed.rows;
        let columns = side.columns.iter().map(|(name, rows)| (format!("{port}.{name}"), *rows));
        self.columns.extend(columns);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == RowChanges::default()
    }
}

/// "2 rows added, 3 removed, 12 changed in `caption`".
impl fmt::Display for RowChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.keys().map(|name| format!("`{name}`")).collect();
        let changed = match columns.is_empty() {
            true => "changed".to_owned(),
            false => format!("changed in {}", columns.join(" and ")),
        };
        let mut first = true;
        for (rows, what) in
            [(self.added.rows, "added"), (self.removed.rows, "removed"), (self.changed.rows, &changed)]
        {
            if rows == 0 {
                continue;
            }
            match (std::mem::take(&mut first), rows) {
                (true, 1) => write!(f, "1 row {what}")?,
                (true, _) => write!(f, "{rows} rows {what}")?,
                (false, _) => write!(f, ", {rows} {what}")?,
            }
        }
        if first { f.write_str("no row differs") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(columns: &[&str], rows: &[(&str, &[&str])]) -> Cells {
        let digests = |values: &[&str]| values.iter().map(|value| Digest::of(value.as_bytes())).collect();
        Cells {
            columns: columns.iter().map(|name| name.to_string()).collect(),
            rows: rows.iter().map(|(id, values)| (id.to_string(), digests(values))).collect(),
        }
    }

    #[test]
    fn rows_added_removed_and_changed_are_told_apart_by_column() {
        let old = cells(&["a", "b"], &[("1", &["x", "y"]), ("2", &["x", "y"]), ("3", &["x", "y"])]);
        let new = cells(&["b", "a"], &[("1", &["y", "x"]), ("2", &["z", "w"]), ("4", &["x", "y"])]);
        let changes = RowChanges::between(&old, &new);
        assert_eq!(changes.to_string(), "1 row added, 1 removed, 1 changed in `a` and `b`");
        assert_eq!((changes.added.examples, changes.removed.examples), (vec!["4".into()], vec!["3".into()]));
        assert_eq!(RowChanges::between(&old, &old).to_string(), "no row differs");
        let unknown = cells(&["a"], &[("1", &[]), ("2", &[]), ("4", &[])]);
        assert_eq!(RowChanges::between(&unknown, &new).to_string(), "3 rows changed");
        let fewer = cells(&["b"], &[("1", &["y"]), ("2", &["y"]), ("3", &["y"])]);
        assert!(
            RowChanges::between(&old, &fewer).is_empty(),
            "a column of one side only is no change of rows"
        );
    }
}
