//! Which columns can a query read? Those of single values that it names, or all of these where it may mean any.
//!
//! What it does not read is no part of the result's key; naming one too many costs a key that changes more often, no more.

use std::collections::HashSet;
use std::sync::Arc;

use affectflow_pipeline::plan::SCORING_COLUMN;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};

use super::frames;

/// `id`, and the columns that the query may read.
pub(super) fn read(query: &str, schema: &SchemaRef) -> SchemaRef {
    let query = query.to_lowercase();
    let words: HashSet<&str> =
        query.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).collect();
    let any = has_star(&query) || words.contains("columns") || words.contains("natural");
    let mentioned = |name: &str| {
        let name = name.to_lowercase();
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain { words.contains(name.as_str()) } else { query.contains(&name) }
    };
    let reads = |field: &&FieldRef| {
        let name = field.name();
        let wanted = mentioned(name) || (any && name != SCORING_COLUMN);
        name == "id" || (wanted && frames::readable(field.data_type()))
    };
    Arc::new(Schema::new(schema.fields().iter().filter(reads).cloned().collect::<Vec<_>>()))
}

/// Whether a star stands for columns: at the beginning of a list of them, or of a table. Others multiply or count.
fn has_star(query: &str) -> bool {
    query.match_indices('*').any(|(at, _)| {
        let before = query[..at].trim_end();
        ["select", "distinct", "all", ",", "."].iter().any(|end| before.ends_with(end))
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn reads(query: &str) -> String {
        let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
        let image = Arc::new(Field::new("image", DataType::Binary, true));
        let fields =
            vec![field("id"), field("label"), field("eval_label"), field("my col"), field("x"), image];
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        read(query, &schema).fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn columns_named_are_read_and_a_star_reads_all_but_the_truth() {
        assert_eq!(reads("SELECT id, LABEL FROM rows"), "id,label");
        assert_eq!(reads("SELECT id, \"my col\" FROM rows"), "id,my col");
        assert_eq!(reads("SELECT * FROM rows"), "id,label,my col,x");
        assert_eq!(reads("SELECT id, t.* FROM rows AS t"), "id,label,my col,x");
        assert_eq!(reads("SELECT id, 2 * x AS y FROM rows"), "id,x");
        assert_eq!(reads("SELECT x AS id, COUNT(*) AS n FROM rows GROUP BY x"), "id,x");
        assert_eq!(reads("SELECT a.id FROM a NATURAL JOIN b"), "id,label,my col,x");
        assert_eq!(reads("SELECT id, eval_label, image FROM rows"), "id,eval_label");
    }
}
