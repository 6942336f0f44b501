//! Which Arrow values are these values of the file? Every one that does not fit its column is told at its place.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray,
    StringArray, StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::types::is_file;
use crate::error::Problem;
use crate::plan::type_words;
use crate::spec::node::{Node, Value};
use crate::spec::words::suggest;

/// A cell: `None` where the row does not say anything of the column.
pub(super) type Cell<'a> = Option<&'a Node>;

/// Reads the cells of one column.
pub(super) struct Reading<'a> {
    /// The column's name, for messages.
    pub(super) column: &'a str,
    /// The folder that paths start from.
    pub(super) base: &'a Path,
    /// How a value of another type is mended.
    pub(super) hint: &'a str,
    /// The names of a column of classes, by index: they can stand for the numbers.
    classes: Vec<String>,
    /// What is wrong; the values then are of no use.
    pub(super) problems: Vec<Problem>,
}

/// Metadata of a column of classes: a JSON list of their names.
const CLASSES: &str = "classes";

/// The names of the classes of a column, by index; none where it has no classes.
pub(crate) fn classes(field: &Field) -> Vec<String> {
    let names = field.metadata().get(CLASSES).and_then(|names| serde_json::from_str(names).ok());
    names.unwrap_or_default()
}

/// Stands for the numbers of a tensor that is null.
const ZERO: Value = Value::Int(0);

impl<'a> Reading<'a> {
    pub(super) fn new(field: &'a Field, base: &'a Path, hint: &'a str) -> Self {
        Reading { column: field.name(), base, hint, classes: classes(field), problems: Vec::new() }
    }

    /// The cells as an array of that type.
    pub(super) fn array(&mut self, kind: &DataType, cells: &[Cell<'_>]) -> ArrayRef {
        match kind {
            DataType::Utf8 => Arc::new(
                self.each(kind, cells, |value| match value {
                    Value::Str(text) => Some(text.clone()),
                    _ => None,
                })
                .into_iter()
                .collect::<StringArray>(),
            ),
            DataType::Boolean => Arc::new(
                self.each(kind, cells, |value| match value {
                    Value::Bool(value) => Some(*value),
                    _ => None,
                })
                .into_iter()
                .collect::<BooleanArray>(),
            ),
            DataType::Int8 => self.whole::<Int8Type>(kind, cells),
            DataType::Int16 => self.whole::<Int16Type>(kind, cells),
            DataType::Int32 => self.whole::<Int32Type>(kind, cells),
            DataType::Int64 => self.whole::<Int64Type>(kind, cells),
            DataType::UInt8 => self.whole::<UInt8Type>(kind, cells),
            DataType::UInt16 => self.whole::<UInt16Type>(kind, cells),
            DataType::UInt32 => self.whole::<UInt32Type>(kind, cells),
            DataType::UInt64 => self.whole::<UInt64Type>(kind, cells),
            DataType::Float16 => self.number::<Float16Type>(kind, cells, half::f16::from_f64),
            DataType::Float32 => self.number::<Float32Type>(kind, cells, |number| number as f32),
            DataType::Float64 => self.number::<Float64Type>(kind, cells, |number| number),
            DataType::Binary => {
                let bytes = self.bytes(kind, cells);
                Arc::new(bytes.iter().map(|bytes| bytes.as_deref()).collect::<BinaryArray>())
            }
            DataType::List(item) => self.list(kind, item, cells),
            DataType::FixedSizeList(item, width) => self.tensor(kind, item, *width, cells),
            DataType::Struct(fields) => self.structure(kind, fields, cells),
            _ => {
                if let Some(node) = cells.iter().copied().flatten().find(|node| node.value != Value::Null) {
                    let message = format!(
                        "values of `{}`, {}, cannot be written in a test",
                        self.column,
                        type_words(kind)
                    );
                    self.problems.push(node.problem(message).hint("leave the column out"));
                }
                new_null_array(kind, cells.len())
            }
        }
    }

    fn wrong(&mut self, kind: &DataType, node: &Node) {
        if let (Some(name), false) = (node.as_str(), node.failed || self.classes.is_empty()) {
            let problem = node.problem(format!("`{name}` is no class of `{}`", self.column));
            let classes = self.classes.iter().map(String::as_str);
            self.problems.push(problem.hint(suggest(name, "classes", classes)));
        } else if !node.failed {
            let message = format!("`{}` takes {}, not {node}", self.column, type_words(kind));
            let quotes = matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_));
            let hint = if quotes && *kind == DataType::Utf8 { "put it in quotes" } else { self.hint };
            self.problems.push(node.problem(message).hint(hint));
        }
    }

    /// One value a cell; what `read` does not take is wrong.
    fn each<T>(
        &mut self,
        kind: &DataType,
        cells: &[Cell<'_>],
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<Option<T>> {
        let one = |cell: &Cell<'_>| {
            let node = cell.filter(|node| node.value != Value::Null)?;
            let value = read(&node.value);
            if value.is_none() {
                self.wrong(kind, node);
            }
            value
        };
        cells.iter().map(one).collect()
    }

    fn whole<T: ArrowPrimitiveType>(&mut self, kind: &DataType, cells: &[Cell<'_>]) -> ArrayRef
    where
        T::Native: TryFrom<i128>,
    {
        let classes = self.classes.clone();
        let class = |name: &String| classes.iter().position(|class| class.eq_ignore_ascii_case(name));
        let values = self.each(kind, cells, |value| match value {
            Value::Int(whole) => T::Native::try_from(*whole).ok(),
            Value::Str(name) => T::Native::try_from(class(name)? as i128).ok(),
            _ => None,
        });
        Arc::new(values.into_iter().collect::<PrimitiveArray<T>>())
    }

    fn number<T: ArrowPrimitiveType>(
        &mut self,
        kind: &DataType,
        cells: &[Cell<'_>],
        of: impl Fn(f64) -> T::Native,
    ) -> ArrayRef
    where
        T::Native: Into<f64>,
    {
        // What is too large for the type is not the number that was written.
        let held =
            |number: f64| Some(of(number)).filter(|&held| held.into().is_finite() == number.is_finite());
        let values = self.each(kind, cells, |value| match value {
            Value::Int(whole) => held(*whole as f64),
            Value::Float(number) => held(*number),
            _ => None,
        });
        Arc::new(values.into_iter().collect::<PrimitiveArray<T>>())
    }

    /// The bytes of a text, or of the file that `{file: path}` names.
    fn bytes(&mut self, kind: &DataType, cells: &[Cell<'_>]) -> Vec<Option<Vec<u8>>> {
        let mut all = Vec::with_capacity(cells.len());
        for cell in cells {
            let node = cell.filter(|node| node.value != Value::Null);
            let path = node.filter(|node| is_file(node)).and_then(|node| node.get("file"));
            all.push(match (node, path.and_then(|path| path.as_str())) {
                (Some(node), Some(path)) => self.file(node, path),
                (Some(Node { value: Value::Str(text), .. }), _) => Some(text.clone().into_bytes()),
                (Some(node), _) => {
                    self.wrong(kind, node);
                    None
                }
                (None, _) => None,
            });
        }
        all
    }

    fn file(&mut self, node: &Node, path: &str) -> Option<Vec<u8>> {
        let full = self.base.join(path);
        let read = crate::spec::regular(&full);
        read.map_err(|error| {
            let message = format!("cannot read `{}`: {error}", full.display());
            let at = node.entries().first().map_or(&node.span, |entry| &entry.value.span).clone();
            let problem = Problem::new(message).at(at);
            self.problems.push(problem.hint("paths start from the folder of the pipeline file"));
        })
        .ok()
    }

    fn list(&mut self, kind: &DataType, item: &FieldRef, cells: &[Cell<'_>]) -> ArrayRef {
        let mut items: Vec<Cell<'_>> = Vec::new();
        let mut lengths = Vec::with_capacity(cells.len());
        for cell in cells {
            let before = items.len();
            match cell.map(|node| (&node.value, node)) {
                None | Some((Value::Null, _)) => {}
                Some((Value::Seq(all), _)) => items.extend(all.iter().map(Some)),
                Some((_, node)) => self.wrong(kind, node),
            }
            lengths.push(items.len() - before);
        }
        let values = self.array(item.data_type(), &items);
        let array =
            ListArray::try_new(item.clone(), OffsetBuffer::from_lengths(lengths), values, nulls(cells));
        self.made(kind, cells, array.map(|array| Arc::new(array) as ArrayRef))
    }

    /// A list as long as the tensor, or lists in lists.
    fn tensor(&mut self, kind: &DataType, item: &FieldRef, width: i32, cells: &[Cell<'_>]) -> ArrayRef {
        let zero = Node::new(ZERO, Default::default());
        let mut items: Vec<Cell<'_>> = Vec::new();
        for cell in cells {
            let before = items.len();
            match cell.map(|node| (&node.value, node)) {
                None | Some((Value::Null, _)) => {}
                Some((Value::Seq(_), node)) => {
                    flat(node, &mut items);
                    let found = items.len() - before;
                    if found != width as usize {
                        let message = format!("`{}` has {width} numbers a row, not {found}", self.column);
                        self.problems.push(
                            node.problem(message).hint("write all of them, in one list or in lists of lists"),
                        );
                    }
                }
                Some((_, node)) => self.wrong(kind, node),
            }
            items.resize(before + width as usize, Some(&zero));
        }
        let values = self.array(item.data_type(), &items);
        let array = FixedSizeListArray::try_new(item.clone(), width, values, nulls(cells));
        self.made(kind, cells, array.map(|array| Arc::new(array) as ArrayRef))
    }

    fn structure(&mut self, kind: &DataType, fields: &Fields, cells: &[Cell<'_>]) -> ArrayRef {
        for node in cells.iter().copied().flatten().filter(|node| node.value != Value::Null) {
            if !matches!(node.value, Value::Map(_)) {
                self.wrong(kind, node);
            }
            let names = || fields.iter().map(|field| field.name().as_str());
            for entry in node.entries().iter().filter(|entry| !names().any(|name| name == entry.key)) {
                let problem = Problem::new(format!("`{}` has no part `{}`", self.column, entry.key));
                self.problems.push(problem.at(entry.span.clone()).hint(suggest(
                    &entry.key,
                    "parts",
                    names(),
                )));
            }
        }
        let mut parts = Vec::with_capacity(fields.len());
        for field in fields {
            let inner: Vec<Cell<'_>> =
                cells.iter().map(|cell| cell.and_then(|node| node.get(field.name()))).collect();
            let lacks = |(cell, inner): &(&Cell<'_>, &Cell<'_>)| {
                cell.is_some_and(|node| node.value != Value::Null)
                    && inner.is_none_or(|node| node.value == Value::Null)
            };
            if let (false, Some((Some(node), _))) =
                (field.is_nullable(), cells.iter().zip(&inner).find(lacks))
            {
                let message = format!("`{}` needs its part `{}` here", self.column, field.name());
                self.problems.push(node.problem(message).hint("write it"));
            }
            parts.push(self.array(field.data_type(), &inner));
        }
        let array = StructArray::try_new(fields.clone(), parts, nulls(cells));
        self.made(kind, cells, array.map(|array| Arc::new(array) as ArrayRef))
    }

    /// Arrow refuses what a column cannot hold, such as a null inside a tensor.
    fn made(
        &mut self,
        kind: &DataType,
        cells: &[Cell<'_>],
        array: Result<ArrayRef, arrow::error::ArrowError>,
    ) -> ArrayRef {
        array.unwrap_or_else(|_| {
            if let (true, Some(node)) = (self.problems.is_empty(), cells.iter().copied().flatten().next()) {
                let message = format!("`{}`, {}, takes no `null` inside", self.column, type_words(kind));
                self.problems.push(node.problem(message).hint("write a value in its place"));
            }
            new_null_array(kind, cells.len())
        })
    }
}

fn nulls(cells: &[Cell<'_>]) -> Option<NullBuffer> {
    Some(cells.iter().map(|cell| cell.is_some_and(|node| node.value != Value::Null)).collect())
}

fn flat<'a>(node: &'a Node, into: &mut Vec<Cell<'a>>) {
    match &node.value {
        Value::Seq(items) => items.iter().for_each(|item| flat(item, into)),
        _ => into.push(Some(node)),
    }
}
