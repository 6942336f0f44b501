//! Which rows teach, which choose the epoch, and which are adapted to?
//!
//! - train: source rows with a label whose split is `train` or `all`
//! - val: source rows with a label and split `val`; where there are none, a share of each class of the train rows is
//!   held out by the digest of its id, the same whatever other rows there are
//! - target: target rows of split `train` or `all`; where there are none, all target rows (then what is scored is also
//!   what is adapted to, without its labels)

use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::{StageError, StageResult};

use crate::columns::{DOMAIN, LABEL, SOURCE, SPLIT, TARGET};

use super::read;

/// Rows by role, ascending by id.
#[derive(Debug, Clone)]
pub struct Roles {
    /// Source rows that teach.
    pub train: Vec<u32>,
    /// Source rows that choose the epoch.
    pub val: Vec<u32>,
    /// Target rows that are adapted to.
    pub target: Vec<u32>,
    /// For every row, whether it is of the target domain.
    pub is_target: Vec<bool>,
    /// For every row, its class; `u32::MAX` where it has none.
    pub labels: Vec<u32>,
}

impl Roles {
    /// Sorts the rows into roles; `holdout` is the share held out where no source row has split `val`.
    pub fn of(rows: &TableRows, classes: &[String], holdout: f64) -> StageResult<Self> {
        let (domain, split) = (read::texts(rows, DOMAIN)?, read::texts(rows, SPLIT)?);
        let labels = labels(rows, classes)?;
        let at = |row: u32, of: &str, splits: &[&str]| {
            let row = row as usize;
            domain[row].as_deref() == Some(of) && split[row].as_deref().is_some_and(|s| splits.contains(&s))
        };
        let all = 0..rows.len() as u32;
        let labelled = |row: &u32| labels[*row as usize] != u32::MAX;
        let teach: Vec<u32> =
            all.clone().filter(|&r| at(r, SOURCE, &["train", "all"])).filter(labelled).collect();
        let mut val: Vec<u32> = all.clone().filter(|&r| at(r, SOURCE, &["val"])).filter(labelled).collect();
        let mut target: Vec<u32> = all.clone().filter(|&r| at(r, TARGET, &["train", "all"])).collect();
        let is_target: Vec<bool> = domain.iter().map(|d| d.as_deref() == Some(TARGET)).collect();
        if target.is_empty() {
            target = all.filter(|&r| is_target[r as usize]).collect();
        }
        let mut train = teach;
        if val.is_empty() {
            (train, val) = hold_out(rows, train, &labels, holdout);
        }
        check(&train, &labels, classes)?;
        Ok(Roles { train, val, target, is_target, labels })
    }

    /// The classes of those rows.
    pub fn classes_of(&self, rows: &[u32]) -> Vec<u32> {
        rows.iter().map(|&row| self.labels[row as usize]).collect()
    }

    /// Fails where no target row arrived.
    pub fn need_target(&self) -> StageResult<()> {
        match self.target.is_empty() {
            false => Ok(()),
            true => Err(StageError::new(
                "no row of the target domain arrived, so there is nothing to adapt to",
            )
            .hint("add an `ingest` stage with `domain: target` to the inputs, or use `method: source_only`")),
        }
    }
}

fn labels(rows: &TableRows, classes: &[String]) -> StageResult<Vec<u32>> {
    let labels = read::indices(rows, LABEL)?.into_iter().enumerate().map(|(row, label)| match label {
        None => Ok(u32::MAX),
        Some(label) if label >= 0 && (label as usize) < classes.len() => Ok(label as u32),
        Some(label) => Err(StageError::new(format!(
            "row `{}`: `{LABEL}` is {label}, and there are {} classes",
            rows.ids().value(row),
            classes.len()
        ))),
    });
    labels.collect()
}

fn check(train: &[u32], labels: &[u32], classes: &[String]) -> StageResult<()> {
    if train.is_empty() {
        return Err(StageError::new("no labelled row of the source domain has split `train` or `all`")
            .hint("check `domain`, `labels` and `split` of the source's `ingest` stage"));
    }
    let mut counts = vec![0usize; classes.len()];
    train.iter().for_each(|&row| counts[labels[row as usize] as usize] += 1);
    let seen: Vec<&str> =
        classes.iter().zip(&counts).filter(|(_, n)| **n > 0).map(|(name, _)| name.as_str()).collect();
    if let [only] = seen[..] {
        return Err(StageError::new(format!(
            "all {} labelled source rows are of one class, `{only}`",
            train.len()
        ))
        .hint(
            "a classifier needs rows of at least two classes; check `labels` of the source's `ingest` stage",
        ));
    }
    let absent: Vec<String> =
        classes.iter().zip(&counts).filter(|(_, n)| **n == 0).map(|(name, _)| format!("`{name}`")).collect();
    match absent.is_empty() {
        true => Ok(()),
        false => Err(StageError::new(format!("no source row of class {} to learn from", absent.join(", ")))
            .hint("add pictures of it, or leave it out of `classes` in every `ingest` stage")),
    }
}

/// Moves about `share` of each class's rows, at least one of two, from the first list to the second.
fn hold_out(rows: &TableRows, train: Vec<u32>, labels: &[u32], share: f64) -> (Vec<u32>, Vec<u32>) {
    let key = |row: u32| {
        blake3::keyed_hash(blake3::hash(b"affectflow holdout v1").as_bytes(), read::id(rows, row).as_bytes())
    };
    let last = train.iter().map(|&row| labels[row as usize]).max().unwrap_or(0);
    let (mut kept, mut held) = (Vec::new(), Vec::new());
    for class in 0..=last {
        let mut members: Vec<u32> =
            train.iter().copied().filter(|&row| labels[row as usize] == class).collect();
        members.sort_by_key(|&row| *key(row).as_bytes());
        let count = ((members.len() as f64 * share).round() as usize)
            .max(usize::from(share > 0.0 && members.len() > 1));
        held.extend_from_slice(&members[..count.min(members.len())]);
        kept.extend_from_slice(&members[count.min(members.len())..]);
    }
    kept.sort_unstable();
    held.sort_unstable();
    (kept, held)
}
