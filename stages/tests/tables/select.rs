//! Does `select` let the right columns go on, and refuse what would break?

use affectflow_stages::columns;
use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, RecordBatch, StringArray};
use serde_json::{Value, json};

use crate::{classes, plan, refused, table, words};

fn rows() -> RecordBatch {
    let digest = FixedSizeBinaryArray::try_from_iter([[0u8; 16]].iter()).unwrap();
    let arrays: [ArrayRef; 3] = [
        std::sync::Arc::new(StringArray::from(vec!["file:a"])),
        std::sync::Arc::new(digest),
        std::sync::Arc::new(BinaryArray::from(vec![&b"x"[..]])),
    ];
    let linked = columns::image().into_iter().zip(arrays);
    let plain = [words("id", &["a"]), words("caption", &["c"]), classes("label", &[Some(1)])];
    table(plain.into_iter().chain(linked).collect())
}

fn kept(options: Value) -> Vec<(String, String)> {
    let planned =
        plan("select", options, &[("above", &rows())]).unwrap_or_else(|problem| panic!("{problem}"));
    planned.keeps.unwrap().into_iter().map(|kept| (kept.column, kept.name)).collect()
}

fn names(options: Value) -> Vec<String> {
    kept(options).into_iter().map(|(_, name)| name).collect()
}

#[test]
fn columns_are_kept_in_the_order_named_with_those_behind_a_link() {
    assert_eq!(names(json!({})), ["caption", "label", "uri", "image_digest", "image"]);
    assert_eq!(names(json!({ "keep": ["label", "id", "caption"] })), ["label", "caption"]);
    assert_eq!(names(json!({ "keep": ["image"] })), ["image", "uri", "image_digest"]);
    assert_eq!(names(json!({ "keep": [] })), Vec::<String>::new());
    assert_eq!(names(json!({ "drop": ["image", "caption"] })), ["label", "uri", "image_digest"]);
}

#[test]
fn columns_get_new_names_and_may_swap_them() {
    let kept =
        kept(json!({ "keep": ["caption", "image"], "rename": { "caption": "text", "image": "face" } }));
    let pair = |(column, name): &(String, String)| format!("{column}>{name}");
    assert_eq!(
        kept.iter().map(pair).collect::<Vec<_>>(),
        ["caption>text", "image>face", "uri>uri", "image_digest>image_digest"]
    );
    assert_eq!(
        names(json!({ "keep": ["caption", "label"], "rename": { "caption": "label", "label": "caption" } })),
        ["label", "caption"]
    );
}

#[test]
fn what_would_break_is_refused_at_its_option() {
    let refused = |options: Value| refused("select", options, &[("above", &rows())]);
    let (message, option) = refused(json!({ "keep": ["colour"] }));
    assert_eq!(option, "keep");
    assert!(message.contains("stage `it` needs column `colour`"), "{message}");
    assert_eq!(refused(json!({ "keep": ["label"], "drop": ["caption"] })).1, "drop");
    assert_eq!(refused(json!({ "drop": ["id"] })), ("`id` names the row, and stays".into(), "drop".into()));
    assert_eq!(
        refused(json!({ "drop": ["uri"] })),
        ("column `image` is read through `uri`".into(), "drop".into())
    );
    assert_eq!(refused(json!({ "rename": { "uri": "place" } })).1, "rename.uri");
    assert_eq!(
        refused(json!({ "rename": { "caption": "label" } })),
        ("two columns would be named `label`".into(), "rename.caption".into())
    );
    assert_eq!(refused(json!({ "drop": ["caption"], "rename": { "caption": "text" } })).1, "rename.caption");
}
