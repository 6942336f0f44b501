//! Does `sql` give the rows of a query in the order of their ids, and show what is wrong with one?

use std::sync::Arc;

use affectflow_stages::columns::{self, classes_of};
use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, Float32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};

use crate::{cells, classes, ids, numbers, plan, refused, run, table, words};

fn rows() -> RecordBatch {
    let sure: ArrayRef = Arc::new(Float32Array::from(vec![0.5, 0.9, 0.25]));
    let digests = FixedSizeBinaryArray::try_from_iter([[0u8; 16]; 3].iter()).unwrap();
    let arrays: [ArrayRef; 3] = [
        Arc::new(StringArray::from(vec!["file:c", "file:a", "file:b"])),
        Arc::new(digests),
        Arc::new(BinaryArray::from(vec![&b"c"[..], b"a", b"b"])),
    ];
    let plain = [
        words("id", &["c", "a", "b"]),
        words("domain", &["source", "source", "target"]),
        classes("label", &[Some(1), Some(0), None]),
        (Arc::new(Field::new("sure", DataType::Float32, true)), sure),
        numbers("eval_label", &[None, None, Some(1)]),
    ];
    table(plain.into_iter().chain(columns::image().into_iter().zip(arrays)).collect())
}

fn query(text: &str) -> Value {
    json!({ "query": text })
}

#[test]
fn rows_leave_in_the_order_of_their_ids() {
    let rows = rows();
    let text = "SELECT id, label, sure * 2 AS twice FROM rows WHERE sure > 0.3 ORDER BY sure DESC";
    let tables = [("above", &rows)];
    let output = run("sql", query(text), &tables).unwrap();
    assert_eq!(ids(&output), ["a", "c"]);
    assert_eq!(output.columns.iter().map(cells).collect::<Vec<_>>(), [["0", "1"], ["1.8", "1.0"]]);
    let planned = plan("sql", query(text), &tables).unwrap();
    assert_eq!(classes_of(&planned.adds[0]).unwrap(), ["sad", "happy"]);
    assert_eq!(planned.consumes, ["label", "sure"]);
    assert!(planned.keeps.unwrap().is_empty());
}

#[test]
fn a_query_groups_and_makes_rows_of_its_own() {
    let text = "SELECT domain AS id, COUNT(*) AS n, AVG(sure) AS sure FROM above GROUP BY domain";
    let output = run("sql", query(text), &[("above", &rows())]).unwrap();
    assert_eq!(ids(&output), ["source", "target"]);
    assert_eq!(cells(&output.columns[0]), ["2", "1"]);
}

#[test]
fn ports_are_tables() {
    let notes = table(vec![words("id", &["n1", "n2"]), words("of", &["a", "b"]), words("note", &["x", "y"])]);
    let text = "SELECT faces.id, note FROM faces LEFT JOIN notes ON faces.id = notes.of";
    let output = run("sql", query(text), &[("faces", &rows()), ("notes", &notes)]).unwrap();
    assert_eq!(
        (ids(&output).join(","), cells(&output.columns[0]).join(",")),
        ("a,b,c".into(), "x,y,-".into())
    );
}

#[test]
fn what_a_query_cannot_read_is_carried() {
    let options = json!({ "query": "SELECT id FROM rows WHERE domain = 'source'", "carry": ["image"] });
    let planned = plan("sql", options, &[("above", &rows())]).unwrap();
    let kept: Vec<String> = planned.keeps.unwrap().into_iter().map(|kept| kept.name).collect();
    assert_eq!(kept, ["image", "image_digest", "uri"]);
    let made = json!({ "query": "SELECT domain AS id FROM rows GROUP BY domain", "carry": ["image"] });
    let error = run("sql", made, &[("above", &rows())]).err().unwrap();
    assert!(error.message().contains("row `source` of the result did not arrive"), "{}", error.message());
}

#[test]
fn what_is_wrong_is_shown_with_its_line() {
    let refused = |text: &str| refused("sql", query(text), &[("above", &rows())]);
    let (message, option) = refused("SELECT id\nFROM rows\nWHERE lable = 1");
    assert!(message.starts_with("line 3 of the query, `WHERE lable = 1`: "), "{message}");
    assert_eq!(option, "query");
    let (message, _) = refused("SELECT id\nFORM rows");
    assert!(message.starts_with("line 2 of the query, `FORM rows`: "), "{message}");
    let (message, _) = refused("SELECT id FROM\nfaces");
    assert!(message.starts_with("line 2 of the query, `faces`: "), "{message}");
    assert_eq!(refused("SELECT label FROM rows").0, "the result of the query has no column `id`");
    assert_eq!(refused("SELECT label AS id FROM rows").0, "`id` of the result is int32, not text");
    assert!(!refused("").0.is_empty());
    assert!(!refused("DROP TABLE rows").0.is_empty());
    assert!(!refused("SELECT * FROM read_csv('x.csv')").0.is_empty());
}

#[test]
fn ids_that_are_empty_or_there_twice_are_errors() {
    let fails =
        |text: &str| run("sql", query(text), &[("above", &rows())]).err().unwrap().message().to_owned();
    assert_eq!(fails("SELECT domain AS id FROM rows"), "several rows of the result have the `id` `source`");
    let empty = "SELECT CASE WHEN domain = 'target' THEN id END AS id FROM rows";
    assert_eq!(fails(empty), "a row of the result has no `id`");
}
