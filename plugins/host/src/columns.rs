//! Which columns does a kind read and add, once its options are known?

use affectflow_pipeline::Problem;
use affectflow_pipeline::stage::Inputs;
use affectflow_plugin::types::{self, Wanted};
use affectflow_plugin::wire::Typed;
use affectflow_plugin::{Column, Manifest};
use arrow::datatypes::FieldRef;
use serde_json::Value;

/// The columns of a planned stage.
pub(crate) struct Columns {
    /// Names of those read.
    pub(crate) reads: Vec<String>,
    /// Their types as they arrive.
    pub(crate) arriving: Vec<Typed>,
    /// Those added.
    pub(crate) adds: Vec<FieldRef>,
}

/// Finds the columns among those that arrive.
pub(crate) fn resolve(manifest: &Manifest, options: &Value, inputs: &Inputs) -> Result<Columns, Problem> {
    let (mut reads, mut arriving, mut adds) = (Vec::new(), Vec::new(), Vec::<FieldRef>::new());
    let mut checks = Vec::new();
    for column in &manifest.reads {
        let wanted = Wanted::parse(&column.kind).map_err(Problem::new)?;
        for name in names(column, options)? {
            let found = inputs.column_as(&name, &column.kind, |kind| wanted.fits(kind));
            match found {
                Ok(field) if !reads.contains(&name) => {
                    if name != "id" {
                        arriving.push(Typed { name: name.clone(), kind: types::words(field) });
                    }
                    reads.push(name);
                }
                Ok(_) => {}
                Err(problem) => checks.push(Err(placed(problem, column))),
            }
        }
    }
    for column in &manifest.adds {
        for name in names(column, options)? {
            let field = types::field(&name, &filled(&column.kind, options)).map_err(Problem::new);
            if name == "id" || adds.iter().any(|field| *field.name() == name) {
                let message = format!("stage `{}` would add a column `{name}` twice", inputs.stage);
                checks.push(Err(placed(Problem::new(message).hint("name another column"), column)));
                continue;
            }
            match field {
                Ok(field) => adds.push(field),
                Err(problem) => checks.push(Err(placed(problem, column))),
            }
        }
    }
    Problem::all(checks)?;
    Ok(Columns { reads, arriving, adds })
}

/// Where the file could mend it: at the option that names the column.
fn placed(problem: Problem, column: &Column) -> Problem {
    match &column.option {
        Some(option) => problem.option(option),
        None => problem,
    }
}

/// The names that a column of the manifest stands for.
pub(crate) fn names(column: &Column, options: &Value) -> Result<Vec<String>, Problem> {
    let Some(option) = &column.option else { return Ok(column.name.iter().cloned().collect()) };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let names = match &options[option] {
        Value::Null => Some(Vec::new()),
        Value::Array(all) => all.iter().map(text).collect(),
        one => text(one).map(|name| vec![name]),
    };
    let wrong = || Problem::new(format!("`{option}` must name a column, or list several")).option(option);
    names.ok_or_else(wrong)
}

/// A type with its `{option}` extents written out.
pub(crate) fn filled(kind: &str, options: &Value) -> String {
    let mut out = String::new();
    let mut rest = kind;
    while let Some((before, after)) = rest.split_once('{') {
        let (option, behind) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        match &options[option.trim()] {
            Value::String(text) => out.push_str(text),
            value => out.push_str(&value.to_string()),
        }
        rest = behind;
    }
    out + rest
}

/// Columns as the wire names them.
pub(crate) fn typed(fields: &[FieldRef]) -> Vec<Typed> {
    let typed = |field: &FieldRef| Typed { name: field.name().clone(), kind: types::words(field) };
    fields.iter().map(typed).collect()
}
