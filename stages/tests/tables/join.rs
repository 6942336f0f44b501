//! Does `join` bring the cells that belong to a row, and refuse what is not clear?

use affectflow_stages::columns::classes_of;
use arrow::array::RecordBatch;
use serde_json::{Value, json};

use crate::{cells, classes, ids, numbers, plan, refused, run, table, words};

fn left() -> RecordBatch {
    table(vec![
        words("id", &["b", "a", "d", "c"]),
        words("person", &["p2", "p1", "", "p3"]),
        numbers("age", &[Some(2), Some(1), None, Some(3)]),
    ])
}

fn right() -> RecordBatch {
    table(vec![
        words("id", &["x", "y", "z"]),
        words("who", &["p3", "p1", ""]),
        classes("mood", &[Some(1), Some(0), Some(1)]),
        words("note", &["third", "", "nobody"]),
    ])
}

fn by_person(more: Value) -> Value {
    let mut options = json!({ "on": ["person"], "right_on": ["who"] });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

#[test]
fn an_inner_join_keeps_the_rows_that_match() {
    let (left, right) = (left(), right());
    // The order in which the ports are written changes nothing.
    for tables in [[("left", &left), ("right", &right)], [("right", &right), ("left", &left)]] {
        let output = run("join", by_person(json!({})), &tables).unwrap();
        assert_eq!(ids(&output), ["a", "c"]);
        assert_eq!(output.columns.iter().map(cells).collect::<Vec<_>>(), [["0", "1"], ["-", "third"]]);
    }
}

#[test]
fn a_left_join_keeps_every_row_and_an_empty_cell_equals_nothing() {
    let (left, right) = (left(), right());
    let options = by_person(json!({ "how": "left", "columns": ["note"], "prefix": "their_" }));
    let tables = [("left", &left), ("right", &right)];
    let planned = plan("join", options.clone(), &tables).unwrap();
    assert_eq!(planned.adds[0].name(), "their_note");
    assert!(!planned.chooses);
    let output = run("join", options, &tables).unwrap();
    assert!(output.ids.is_none());
    assert_eq!(cells(&output.columns[0]), ["-", "-", "third", "-"], "in the order of a, b, c, d");
}

#[test]
fn names_of_classes_go_along() {
    let planned = plan("join", by_person(json!({})), &[("left", &left()), ("right", &right())]).unwrap();
    assert_eq!(classes_of(&planned.adds[0]).unwrap(), ["sad", "happy"]);
    assert_eq!(planned.sides[0].consumes, ["who", "mood", "note"]);
    assert_eq!(planned.consumes, ["person"]);
}

#[test]
fn ids_join_where_nothing_else_is_named() {
    let mood = table(vec![words("id", &["c", "q", "a"]), words("mood", &["3", "4", "1"])]);
    let output = run("join", json!({}), &[("left", &left()), ("right", &mood)]).unwrap();
    assert_eq!(
        (ids(&output), cells(&output.columns[0])),
        (vec!["a".into(), "c".into()], vec!["1".into(), "3".into()])
    );
}

#[test]
fn a_row_that_matches_two_is_an_error_that_names_them() {
    let twice =
        table(vec![words("id", &["x", "y"]), words("who", &["p1", "p1"]), words("note", &["1", "2"])]);
    let error = run("join", by_person(json!({})), &[("left", &left()), ("right", &twice)]).err().unwrap();
    assert_eq!(error.message(), "row `a` matches several rows on the right, such as `x` and `y`");
}

#[test]
fn a_plan_refuses_missing_ports_columns_types_and_names_twice() {
    let (left, right) = (left(), right());
    let both = [("left", &left), ("right", &right)];
    assert_eq!(
        refused("join", json!({}), &[("above", &left)]).0,
        "`it` needs the two ports `left` and `right`"
    );
    assert_eq!(
        refused("join", json!({ "on": ["who"] }), &both),
        (
            "stage `it` needs column `who` on its port `left`, and `left_stage` gives no such column".into(),
            "on".into()
        )
    );
    assert_eq!(refused("join", by_person(json!({ "columns": ["colour"] })), &both).1, "columns");
    let (message, option) = refused("join", json!({ "on": ["age"], "right_on": ["who"] }), &both);
    assert!(
        message.contains("`age` of `left_stage` is int32 and `who` of `right_stage` is utf8"),
        "{message}"
    );
    assert_eq!(option, "on");
    let (message, option) = refused("join", json!({}), &[("left", &left), ("right", &left)]);
    assert_eq!((message.as_str(), option.as_str()), ("column `person` would come from both sides", "prefix"));
    assert_eq!(refused("join", json!({ "on": ["id"], "right_on": [] }), &both).1, "on");
}
