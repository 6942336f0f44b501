//! What does a query give, and where is it wrong? It runs on empty tables at plan time, and on the rows at work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use affectflow_pipeline::plan::type_words;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::spec::suggest;
use affectflow_pipeline::stage::TableOutput;
use affectflow_pipeline::{Problem, StageError, StageResult, Table};
use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array, new_empty_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use polars::prelude::{DataFrame, IntoLazy, PolarsError};
use polars::sql::SQLContext;

use super::frames;

/// The work of `sql`.
pub(super) struct Query {
    pub(super) query: String,
    /// The names of each table.
    pub(super) tables: Vec<Vec<String>>,
    /// What is read of each.
    pub(super) reads: Vec<SchemaRef>,
    pub(super) adds: Vec<FieldRef>,
    pub(super) carry: Vec<String>,
}

/// The columns of the result beside `id`.
pub(super) fn fields(
    query: &str,
    tables: &[Vec<String>],
    reads: &[SchemaRef],
    arriving: &[SchemaRef],
) -> Result<Vec<FieldRef>, Problem> {
    let problem = |message: String| Problem::new(message).option("query");
    if !is_select(query) {
        let problem = problem("`query` is no `SELECT`".into());
        return Err(problem.hint("it says what leaves the stage, such as `SELECT id, label FROM rows`"));
    }
    let result =
        empty(query, tables, reads).map_err(|failure| failure.problem(tables, arriving).option("query"))?;
    let mut fields = Vec::new();
    let mut id = None;
    for column in result.columns() {
        let name = column.name().as_str();
        let Some(kind) = frames::leaving(column.dtype()) else {
            let message = format!("column `{name}` of the result is of type {}", column.dtype());
            return Err(problem(message).hint(format!("make it text or a number: `CAST({name} AS TEXT)`")));
        };
        match name {
            "id" => id = Some(kind),
            _ => fields.push(field(name, kind, reads)),
        }
    }
    match id {
        Some(DataType::Utf8) => Ok(fields),
        Some(kind) => Err(problem(format!("`id` of the result is {}, not text", type_words(&kind)))
            .hint("for example `CAST(label AS TEXT) AS id`")),
        None => Err(problem("the result of the query has no column `id`".into())
            .hint("select it, or name one: `SELECT domain AS id, COUNT(*) AS n FROM rows GROUP BY domain`")),
    }
}

/// Whether a query gives rows: it begins so, comments and brackets left out.
fn is_select(query: &str) -> bool {
    let mut rest = query.trim_start();
    while let Some(comment) = rest.strip_prefix("--") {
        rest = comment.split_once('\n').map_or("", |(_, below)| below).trim_start();
    }
    let first =
        rest.trim_start_matches(|c: char| c == '(' || c.is_whitespace()).split(|c: char| !c.is_alphabetic());
    let first = first.into_iter().next().unwrap_or_default().to_lowercase();
    ["select", "with", "from", "values"].contains(&first.as_str())
}

/// What is wrong with a query.
struct Failure {
    /// "line 2 of the query, `SELECT lable`: ".
    place: String,
    wrong: Wrong,
}

enum Wrong {
    /// There is no column of that name.
    Column(String),
    /// There is no table of that name.
    Table(String),
    /// Two columns of the result have that name.
    Twice(String),
    /// Something else, in the words of the query engine.
    Other(String),
}

impl Failure {
    fn message(&self) -> String {
        let place = &self.place;
        match &self.wrong {
            Wrong::Column(name) => format!("{place}there is no column `{name}`"),
            Wrong::Table(name) => format!("{place}there is no table `{name}`"),
            Wrong::Twice(name) => format!("{place}two columns of the result would be named `{name}`"),
            Wrong::Other(text) => format!("{place}{text}"),
        }
    }

    fn problem(self, tables: &[Vec<String>], arriving: &[SchemaRef]) -> Problem {
        let problem = Problem::new(self.message());
        let fields = || arriving.iter().flat_map(|schema| schema.fields());
        match &self.wrong {
            Wrong::Column(name) => match fields().find(|field| field.name() == name) {
                Some(field) => {
                    let kind = type_words(field.data_type());
                    let problem = Problem::new(format!("{}a query cannot read `{name}`, {kind}", self.place));
                    problem.hint(format!("let it go along with the rows: `carry: [{name}]`"))
                }
                None if fields().any(|field| field.name().eq_ignore_ascii_case(name)) || tables.len() > 1 => {
                    let names = fields().map(|field| field.name().as_str());
                    problem.hint(suggest(name, "columns", names.clone()))
                }
                None => problem.column(name),
            },
            Wrong::Table(name) => {
                problem.hint(suggest(name, "tables", tables.iter().flatten().map(String::as_str)))
            }
            Wrong::Twice(name) => {
                problem.hint(format!("give one another name, such as `{name} AS {name}_2`"))
            }
            Wrong::Other(_) => problem.hint(there_are(tables, arriving)),
        }
    }
}

/// A field of the result; one that has name and type of a column read has its metadata too (the names of classes).
fn field(name: &str, kind: DataType, reads: &[SchemaRef]) -> FieldRef {
    let field = Field::new(name, kind, true);
    let same = |read: &&FieldRef| read.name() == name && read.data_type() == field.data_type();
    let known = reads.iter().flat_map(|schema| schema.fields()).find(same);
    let metadata = known.map(|known| known.metadata().clone()).unwrap_or_default();
    Arc::new(field.with_metadata(metadata))
}

/// "tables: `rows` with `id`, `label`".
fn there_are(tables: &[Vec<String>], reads: &[SchemaRef]) -> String {
    let table = |(names, schema): (&Vec<String>, &SchemaRef)| {
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .filter(|field| frames::readable(field.data_type()))
            .map(|field| format!("`{}`", field.name()))
            .collect();
        format!("`{}` with {}", names.join("` or `"), columns.join(", "))
    };
    let all: Vec<String> = tables.iter().zip(reads).map(table).collect();
    format!(
        "of what arrives the query can read: {}; columns of other types can be named in `carry`",
        all.join("; ")
    )
}

/// The result on tables without rows.
fn empty(query: &str, tables: &[Vec<String>], reads: &[SchemaRef]) -> Result<DataFrame, Failure> {
    let frame = |schema: &SchemaRef| {
        let columns: Vec<(&str, ArrayRef)> = schema
            .fields()
            .iter()
            .map(|field| (field.name().as_str(), new_empty_array(field.data_type())))
            .collect();
        frame(0, &columns)
    };
    let frames = reads.iter().map(frame).collect::<StageResult<Vec<_>>>();
    let wrong =
        |error: StageError| Failure { place: String::new(), wrong: Wrong::Other(error.message().into()) };
    let frames = frames.map_err(wrong)?;
    execute(query, tables, frames)
}

fn frame(rows: usize, columns: &[(&str, ArrayRef)]) -> StageResult<DataFrame> {
    let columns =
        columns.iter().map(|(name, array)| frames::column(name, array)).collect::<StageResult<_>>()?;
    DataFrame::new(rows, columns).map_err(|error| StageError::new(error.to_string()))
}

/// The result, or what is wrong with the query. A panic in it is wrong as well: queries come from users.
fn execute(query: &str, tables: &[Vec<String>], frames: Vec<DataFrame>) -> Result<DataFrame, Failure> {
    let run = || {
        let mut context = SQLContext::new();
        for (names, frame) in tables.iter().zip(frames) {
            names.iter().for_each(|name| context.register(name, frame.clone().lazy()));
        }
        context.execute(query)?.collect()
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| located(query, &error)),
        Err(_) => {
            let text = "the query engine cannot run this query".to_owned();
            Err(Failure { place: String::new(), wrong: Wrong::Other(text) })
        }
    }
}

/// What is wrong, with the line of the query that it is about.
fn located(query: &str, error: &PolarsError) -> Failure {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let (text, place) = match text.rsplit_once(" at Line: ") {
        Some((text, place)) => {
            (text, place.split(',').next().and_then(|line| line.trim().parse::<usize>().ok()))
        }
        None => (text, None),
    };
    let text = text.trim_start_matches("SQL interface error: ").trim_start_matches("sql parser error: ");
    let named = || text.split(['"', '\'', '`']).skip(1).step_by(2).find(|name| !name.is_empty());
    let name = || named().unwrap_or_default().to_owned();
    let wrong = match error {
        PolarsError::ColumnNotFound(_) if named().is_some() => Wrong::Column(name()),
        _ if text.starts_with("duplicate") && named().is_some() => Wrong::Twice(name()),
        PolarsError::SQLInterface(_) if text.starts_with("relation ") => Wrong::Table(name()),
        _ => Wrong::Other(text.to_owned()),
    };
    let line_of = |name: &str| query.lines().position(|line| line.contains(name)).map(|line| line + 1);
    let number = place.or_else(|| line_of(named()?)).unwrap_or(1);
    match query.lines().nth(number.saturating_sub(1)) {
        Some(line) => Failure { place: format!("line {number} of the query, `{}`: ", line.trim()), wrong },
        None => Failure { place: "the query: ".into(), wrong },
    }
}

impl Table for Query {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let mut frames = Vec::new();
        for (at, (names, schema)) in self.tables.iter().zip(&self.reads).enumerate() {
            frames.push(read(if at == 0 { rows } else { rows.side(&names[0])? }, schema)?);
            cx.check()?;
        }
        let result = execute(&self.query, &self.tables, frames);
        let result = result.map_err(|failure| StageError::new(failure.message()))?;
        cx.check()?;
        let column = |name: &str| {
            let column = result.column(name).map_err(|error| StageError::new(error.to_string()))?;
            frames::array(column)
        };
        let ids = column("id")?;
        let order = order(ids.as_string())?;
        let ids = take(&ids, &order, None)?.as_string::<i32>().clone();
        self.carried(rows, &ids)?;
        let taken = |field: &FieldRef| -> StageResult<ArrayRef> {
            Ok(cast(&take(&column(field.name())?, &order, None)?, field.data_type())?)
        };
        let columns = self.adds.iter().map(taken).collect::<StageResult<_>>()?;
        Ok(TableOutput { columns, ids: Some(ids), ..TableOutput::default() })
    }
}

impl Query {
    /// Fails where a row of the result has nothing to carry.
    fn carried(&self, rows: &TableRows, ids: &StringArray) -> StageResult<()> {
        let Some(first) = self.carry.first() else { return Ok(()) };
        match ids.iter().flatten().find(|id| rows.find(id).is_none()) {
            None => Ok(()),
            Some(id) => {
                let message =
                    format!("row `{id}` of the result did not arrive, so it has no `{first}` to carry");
                Err(StageError::new(message).hint("select the `id` of the rows, or leave `carry` out"))
            }
        }
    }
}

fn read(rows: &TableRows, schema: &SchemaRef) -> StageResult<DataFrame> {
    let mut columns: Vec<(&str, ArrayRef)> = vec![("id", Arc::new(rows.ids().clone()))];
    for field in schema.fields().iter().skip(1) {
        columns.push((field.name(), rows.column(field.name())?));
    }
    frame(rows.len(), &columns)
}

/// The rows in the order of their ids. Fails where one is empty or there twice.
fn order(ids: &StringArray) -> StageResult<UInt32Array> {
    if ids.null_count() > 0 {
        return Err(StageError::new("a row of the result has no `id`").hint("add `WHERE id IS NOT NULL`"));
    }
    let mut order: Vec<u32> = (0..ids.len() as u32).collect();
    order.sort_by_key(|&row| ids.value(row as usize));
    match order.windows(2).find(|two| ids.value(two[0] as usize) == ids.value(two[1] as usize)) {
        None => Ok(order.into()),
        Some(two) => {
            let id = ids.value(two[0] as usize);
            let hint = "group by what is selected as `id`, or make it of several columns with `CONCAT`";
            Err(StageError::new(format!("several rows of the result have the `id` `{id}`")).hint(hint))
        }
    }
}
