//! Which columns arrive at a stage, and which leave it?

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};

use crate::batch::link_of;
use crate::cache::segment::RESERVED;
use crate::error::Problem;
use crate::registry::Registry;
use crate::spec::words::{list, nearest};
use crate::stage::{About, Kept, Planned, Shape, schema_of};

/// The column of class indices that scores are taken against; only a kind that scores may read it.
pub const SCORING_COLUMN: &str = "eval_label";

/// `id` first, then the columns of all inputs. One that not every input has becomes nullable; two of one name must agree.
pub(crate) fn union(stage: &str, inputs: &[(&str, &SchemaRef)]) -> (SchemaRef, Vec<Problem>) {
    if let [(_, only)] = inputs {
        return ((*only).clone(), Vec::new());
    }
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut known: HashMap<&str, (usize, &str, usize)> = HashMap::new();
    let mut problems = Vec::new();
    for (input, schema) in inputs {
        for field in schema.fields() {
            match known.get_mut(field.name().as_str()) {
                None => {
                    known.insert(field.name(), (fields.len(), input, 1));
                    fields.push(field.clone());
                }
                Some((at, first, count)) => {
                    *count += 1;
                    problems.extend(differ(stage, (first, &fields[*at]), (input, field)));
                    if field.is_nullable() && !fields[*at].is_nullable() {
                        fields[*at] = nullable(&fields[*at]);
                    }
                }
            }
        }
    }
    for (at, _, count) in known.values() {
        if *count < inputs.len() && !fields[*at].is_nullable() {
            fields[*at] = nullable(&fields[*at]);
        }
    }
    (schema_of(&fields), problems)
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

fn differ(stage: &str, one: (&str, &FieldRef), other: (&str, &FieldRef)) -> Option<Problem> {
    let name = one.1.name();
    let said = |what: &str, left: String, right: String| {
        let message = format!(
            "the inputs of `{stage}` disagree on {what} of the column `{name}`: {left} from `{}`, {right} from `{}`",
            one.0, other.0
        );
        Some(
            Problem::new(message).hint(format!(
                "make `{}` and `{}` give the same, or take rows from one of them",
                one.0, other.0
            )),
        )
    };
    if one.1.data_type() != other.1.data_type() {
        return said("the type", type_words(one.1.data_type()), type_words(other.1.data_type()));
    }
    let keys: BTreeSet<&String> = one.1.metadata().keys().chain(other.1.metadata().keys()).collect();
    let key = keys.into_iter().find(|&key| one.1.metadata().get(key) != other.1.metadata().get(key))?;
    let value =
        |field: &FieldRef| field.metadata().get(key).map_or("none".to_owned(), |value| format!("`{value}`"));
    said(&format!("`{key}`"), value(one.1), value(other.1))
}

/// The type as the manual writes it.
pub fn type_words(kind: &DataType) -> String {
    match kind {
        DataType::FixedSizeList(item, width) => format!("tensor {}[{width}]", type_words(item.data_type())),
        DataType::List(item) => format!("list of {}", type_words(item.data_type())),
        DataType::Struct(fields) => {
            let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            format!("struct of {}", names.join(", "))
        }
        DataType::FixedSizeBinary(bytes) => format!("binary[{bytes}]"),
        other => other.to_string().to_lowercase(),
    }
}

/// The columns that leave: those that arrive and are kept, then those added; one of the same name is replaced where it
/// stands.
pub(crate) fn output(arriving: &SchemaRef, keeps: Option<&[Kept]>, adds: &[FieldRef]) -> SchemaRef {
    let mut fields: Vec<FieldRef> = match keeps {
        _ if arriving.fields().is_empty() => vec![Arc::new(Field::new("id", DataType::Utf8, false))],
        None => arriving.fields().iter().cloned().collect(),
        Some(kept) => {
            let field = |kept: &Kept| {
                let field = arriving.field_with_name(&kept.column).ok()?;
                Some(Arc::new(field.clone().with_name(&kept.name)))
            };
            arriving.fields().iter().take(1).cloned().chain(kept.iter().filter_map(field)).collect()
        }
    };
    let places: HashMap<String, usize> =
        fields.iter().enumerate().map(|(at, field)| (field.name().clone(), at)).collect();
    for field in adds.iter().filter(|field| field.name() != "id") {
        match places.get(field.name()) {
            Some(&at) => fields[at] = field.clone(),
            None => fields.push(field.clone()),
        }
    }
    schema_of(&fields)
}

/// Are the columns that a stage reads there, and may it read them? Does what it adds make sense?
pub(crate) fn check(
    stage: &str,
    about: &About,
    planned: &Planned,
    arriving: &SchemaRef,
    registry: &Registry,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut asked = HashSet::new();
    for name in planned.consumes.iter().filter(|name| asked.insert(name.as_str())) {
        if name == SCORING_COLUMN && !about.scores {
            let message =
                format!("`{stage}` reads `{SCORING_COLUMN}`, which only a kind that scores results may do");
            let scoring = registry
                .kinds()
                .map(|kind| kind.about())
                .filter(|about| about.scores)
                .map(|about| about.kind);
            let scoring: Vec<_> = scoring.collect();
            problems.push(Problem::new(message).hint(format!("kinds that score: {}", list(scoring))));
        } else if name != "id" && arriving.column_with_name(name).is_none() {
            let message = format!("stage `{stage}` needs column `{name}`, which no stage before it adds");
            problems.push(Problem::new(message).column(name));
        }
    }
    problems.extend(added(stage, about, planned, arriving));
    problems
}

/// May a stage read what it reads of its inputs by name?
pub(crate) fn check_sides(stage: &str, about: &About, planned: &Planned) -> Option<Problem> {
    let reads = planned.sides.iter().any(|side| side.consumes.iter().any(|name| name == SCORING_COLUMN));
    let message = format!("`{stage}` reads `{SCORING_COLUMN}`, which only a kind that scores results may do");
    (reads && !about.scores).then(|| Problem::new(message).hint("take it away with `select` before"))
}

/// A fault here is the kind's, not the file's; it is found before any work all the same.
fn added(stage: &str, about: &About, planned: &Planned, arriving: &SchemaRef) -> Vec<Problem> {
    let kind = about.kind;
    let fault = |what: String| {
        Problem::new(format!("`{stage}`: {what}")).hint(format!("this is a fault of the kind `{kind}`"))
    };
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for field in &planned.adds {
        if !names.insert(field.name().as_str()) {
            problems.push(fault(format!("kind `{kind}` adds the column `{}` twice", field.name())));
        } else if field.name() == "id" && about.shape != Shape::Source {
            problems.push(fault(format!("kind `{kind}` replaces the column `id`")));
        } else if RESERVED.contains(&field.name().as_str()) && about.shape != Shape::Source {
            let what = format!("kind `{kind}` adds a column `{}`, a name that the cache needs", field.name());
            problems.push(fault(what));
        }
    }
    for field in &planned.adds {
        let Some((uri, digest)) = link_of(field) else { continue };
        for needed in [uri, digest] {
            if !names.contains(needed) && arriving.column_with_name(needed).is_none() {
                problems.push(fault(format!(
                    "column `{}` is read through `{needed}`, which is not there",
                    field.name()
                )));
            }
        }
    }
    if planned.work.shape() == Shape::Subset && !planned.adds.is_empty() {
        problems.push(fault(format!("kind `{kind}` chooses rows and cannot add columns")));
    }
    problems
}

/// A stage of the pipeline whose kind can add a column.
pub(crate) struct Maker<'a> {
    /// Its name.
    pub(crate) stage: &'a str,
    /// Whether its rows reach the stage that needs the column.
    pub(crate) before: bool,
    /// Whether its `when` does not hold.
    pub(crate) left_out: bool,
}

/// "stage `embed` adds it, but its rows do not come here: name it in `inputs`; columns that arrive: `id`, `image`"
pub(crate) fn who_adds(
    column: &str,
    makers: &[Maker<'_>],
    arriving: &SchemaRef,
    registry: &Registry,
) -> String {
    let adds = |about: &About| about.columns.iter().any(|(name, _, _)| *name == column);
    let arrive = list(arriving.fields().iter().map(|field| field.name().as_str()));
    let best = makers.iter().min_by_key(|maker| (maker.left_out, !maker.before));
    let who = match best {
        Some(Maker { stage, left_out: true, .. }) => {
            format!("stage `{stage}` adds it, but is left out by its `when`")
        }
        Some(Maker { stage, before: true, .. }) => {
            format!("stage `{stage}` can add it: look at its options")
        }
        Some(Maker { stage, .. }) => {
            format!("stage `{stage}` adds it, but this one does not take its rows: name it in `inputs`")
        }
        None => {
            let kinds: Vec<&str> =
                registry.kinds().map(|kind| kind.about()).filter(adds).map(|about| about.kind).collect();
            match kinds.len() {
                0 => {
                    let names = arriving.fields().iter().map(|field| field.name().as_str());
                    let near = nearest(column, names).map(|near| format!("did you mean `{near}`? "));
                    return format!("{}columns that arrive: {arrive}", near.unwrap_or_default());
                }
                1 => format!("kind `{}` adds it: put such a stage before this one", kinds[0]),
                _ => format!("kinds that add it: {}", list(kinds)),
            }
        }
    };
    format!("{who}; columns that arrive: {arrive}")
}
