//! Does `split` keep its shares and its groups together, and does it move nobody when rows are added?

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use crate::{cells, numbers, refused, run, table, words};

/// Rows in groups of four; three of four of class 0.
fn rows(count: usize) -> RecordBatch {
    let ids: Vec<String> = (0..count).map(|row| format!("r{row:04}")).collect();
    let groups: Vec<String> = (0..count)
        .map(|row| if row % 40 == 7 { String::new() } else { format!("g{:03}", row / 4) })
        .collect();
    let labels: Vec<Option<i32>> = (0..count).map(|row| Some(i32::from(row / 4 % 4 == 3))).collect();
    table(vec![
        words("id", &ids.iter().map(String::as_str).collect::<Vec<_>>()),
        words("group", &groups.iter().map(String::as_str).collect::<Vec<_>>()),
        numbers("label", &labels),
    ])
}

fn split(options: Value, rows: &RecordBatch) -> Vec<String> {
    cells(&run("split", options, &[("above", rows)]).unwrap().columns[0])
}

fn counts(splits: &[String]) -> [usize; 3] {
    ["train", "val", "test"].map(|name| splits.iter().filter(|split| *split == name).count())
}

#[test]
fn shares_hold_about_and_the_seed_counts() {
    let all = rows(2000);
    let splits = split(json!({}), &all);
    let [train, val, test] = counts(&splits);
    assert!((1540..1660).contains(&train) && (140..260).contains(&val) && (140..260).contains(&test));
    assert_eq!(splits, split(json!({}), &all));
    assert_ne!(splits, split(json!({ "seed": 1 }), &all));
    assert_eq!(counts(&split(json!({ "train": 0.5, "val": 0, "test": 0.5 }), &all))[1], 0);
    assert_eq!(counts(&split(json!({ "train": 1, "val": 0, "test": 0 }), &all)), [2000, 0, 0]);
}

#[test]
fn added_rows_move_no_other() {
    let (few, many) = (rows(400), rows(800));
    for options in [json!({}), json!({ "group_by": "group" })] {
        assert_eq!(split(options.clone(), &few), split(options, &many)[..400]);
    }
}

#[test]
fn a_group_lies_in_one_split() {
    let all = rows(800);
    for options in [json!({ "group_by": "group" }), json!({ "group_by": "group", "stratify_by": "label" })] {
        let splits = split(options, &all);
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (group, split) in cells(all.column(1)).into_iter().zip(&splits) {
            if group != "-" {
                seen.entry(group).or_default().insert(split.clone());
            }
        }
        assert_eq!(seen.len(), 200);
        assert!(seen.values().all(|splits| splits.len() == 1));
        assert!(counts(&splits).iter().all(|count| *count > 0));
    }
}

#[test]
fn strata_have_their_shares_each() {
    let all = rows(800);
    let splits = split(json!({ "stratify_by": "label" }), &all);
    for (label, rows) in [("0", 600), ("1", 200)] {
        let labels = cells(all.column(2));
        let of: Vec<String> = splits
            .iter()
            .zip(&labels)
            .filter(|(_, of)| *of == label)
            .map(|(split, _)| split.clone())
            .collect();
        assert_eq!(counts(&of), [rows * 8 / 10, rows / 10, rows / 10]);
    }
}

#[test]
fn shares_must_add_up_and_columns_be_there() {
    let refused = |options: Value| refused("split", options, &[("above", &rows(4))]);
    assert_eq!(
        refused(json!({ "train": 0.5 })),
        ("`train`, `val` and `test` add up to 0.7, not to 1".into(), "train".into())
    );
    assert_eq!(refused(json!({ "train": 1.5, "val": -0.6 })).1, "train");
    assert_eq!(refused(json!({ "group_by": "person" })).1, "group_by");
}
