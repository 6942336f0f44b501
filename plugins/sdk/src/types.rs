//! How is the type of a column written in a manifest? `utf8`, `list<utf8>`, `tensor<float32>[3, 4]`, and in columns that
//! are read also `any`, `number` and `tensor`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};

/// Metadata key of a tensor's shape, as JSON: `[3, 4]`.
pub const SHAPE: &str = "shape";
/// Deepest nesting of a type.
const DEEPEST: usize = 16;

const PLAIN: &[(&str, DataType)] = &[
    ("bool", DataType::Boolean),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float16", DataType::Float16),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("utf8", DataType::Utf8),
    ("binary", DataType::Binary),
    ("date32", DataType::Date32),
];

/// What a column that is read may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Whatever it is.
    Any,
    /// Any integer or float.
    Number,
    /// A tensor of any shape and element.
    Tensor,
    /// Exactly that type.
    Exactly(DataType),
}

impl Wanted {
    /// Reads the type of a column that is read; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.trim() {
            "any" => Wanted::Any,
            "number" => Wanted::Number,
            "tensor" => Wanted::Tensor,
            text => Wanted::Exactly(field("", text)?.data_type().clone()),
        })
    }

    /// Whether a column is that.
    pub fn fits(&self, kind: &DataType) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Number => kind.is_numeric(),
            Wanted::Tensor => {
                matches!(kind, DataType::FixedSizeList(item, _) if item.data_type().is_floating())
            }
            Wanted::Exactly(wanted) => wanted.equals_datatype(kind),
        }
    }
}

/// A nullable column of a type as written; the error says what is wrong.
pub fn field(name: &str, text: &str) -> Result<FieldRef, String> {
    let mut reader = Reader { text, at: 0, deep: 0 };
    let (kind, shape) = reader.kind()?;
    reader.space();
    if reader.at < text.len() {
        return Err(format!("`{text}` goes on with `{}` after its type", &text[reader.at..]));
    }
    let field = Field::new(name, kind, true);
    Ok(Arc::new(match shape {
        Some(shape) => field.with_metadata(HashMap::from([(SHAPE.to_owned(), format!("{shape:?}"))])),
        None => field,
    }))
}

/// The type of a column, as [`field`] reads it.
pub fn words(field: &Field) -> String {
    let shape = field.metadata().get(SHAPE).map(String::as_str);
    match field.data_type() {
        DataType::FixedSizeList(item, width) => {
            let shape = shape.map_or_else(|| format!("[{width}]"), str::to_owned);
            format!("tensor<{}>{shape}", words(item))
        }
        DataType::List(item) => format!("list<{}>", words(item)),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", field.name(), words(field))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        kind => {
            let plain = PLAIN.iter().find(|(_, plain)| plain == kind);
            plain.map_or_else(|| kind.to_string().to_lowercase(), |(name, _)| (*name).to_owned())
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    deep: usize,
}

impl<'a> Reader<'a> {
    fn kind(&mut self) -> Result<(DataType, Option<Vec<usize>>), String> {
        self.deep += 1;
        if self.deep > DEEPEST {
            return Err(format!("`{}` is nested too deeply", self.text));
        }
        let kind = match self.word() {
            "list" => {
                self.expect('<')?;
                let (item, _) = self.kind()?;
                self.expect('>')?;
                (DataType::List(Arc::new(Field::new("item", item, true))), None)
            }
            "struct" => (DataType::Struct(self.fields()?.into()), None),
            "tensor" => {
                self.expect('<')?;
                let (item, _) = self.kind()?;
                if !matches!(item, DataType::Float16 | DataType::Float32) {
                    return Err(format!("a tensor is of float16 or float32, not as in `{}`", self.text));
                }
                self.expect('>')?;
                let shape = self.shape()?;
                let width = shape.iter().try_fold(1i32, |all, &n| all.checked_mul(i32::try_from(n).ok()?));
                let width = width.ok_or_else(|| format!("the tensor `{}` is too large", self.text))?;
                let item = Arc::new(Field::new("item", item, false));
                (DataType::FixedSizeList(item, width), Some(shape))
            }
            name => {
                let plain = PLAIN.iter().find(|(plain, _)| *plain == name);
                let known = || PLAIN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("`, `");
                let plain = plain.ok_or_else(|| {
                    let known = known();
                    format!("`{name}` in `{}` is no type; types are `{known}`, `list<T>`, `struct<a: T>`, `tensor<float32>[3, 4]`", self.text)
                })?;
                (plain.1.clone(), None)
            }
        };
        self.deep -= 1;
        Ok(kind)
    }

    fn fields(&mut self) -> Result<Vec<Field>, String> {
        self.expect('<')?;
        let mut fields = Vec::new();
        loop {
            let name = self.word().to_owned();
            if name.is_empty() || fields.iter().any(|field: &Field| *field.name() == name) {
                return Err(format!("the fields of `{}` need names, each another one", self.text));
            }
            self.expect(':')?;
            fields.push(Field::new(name, self.kind()?.0, true));
            if !self.take(',') {
                break;
            }
        }
        self.expect('>')?;
        Ok(fields)
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect('[')?;
        let mut shape = Vec::new();
        loop {
            let word = self.word();
            let extent = word.parse().ok().filter(|&extent: &usize| extent > 0);
            shape.push(
                extent.ok_or_else(|| {
                    format!("`{word}` in `{}` is no extent: a whole number from 1", self.text)
                })?,
            );
            if !self.take(',') {
                break;
            }
        }
        self.expect(']')?;
        Ok(shape)
    }

    fn word(&mut self) -> &'a str {
        self.space();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn take(&mut self, wanted: char) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err(format!("`{}` lacks a `{wanted}` at character {}", self.text, self.at + 1)),
        }
    }

    fn space(&mut self) {
        self.at += self.text[self.at..].len() - self.text[self.at..].trim_start().len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_are_written() {
        let all = [
            "utf8",
            "float16",
            "list<int32>",
            "struct<subject: utf8, verb: list<utf8>>",
            "tensor<float32>[3, 4]",
        ];
        for text in all.into_iter().chain(PLAIN.iter().map(|(name, _)| *name)) {
            let field = field("x", text).unwrap();
            assert_eq!(words(&field), text);
            assert!(Wanted::parse(text).unwrap().fits(field.data_type()));
        }
        let tensor = field("x", " tensor< float16 > [2,3] ").unwrap();
        assert!(matches!(tensor.data_type(), DataType::FixedSizeList(_, 6)));
        assert_eq!(tensor.metadata()[SHAPE], "[2, 3]");
    }

    #[test]
    fn what_is_no_type_is_told_where() {
        let wrong = [
            ("utf9", "`utf9` in `utf9` is no type"),
            ("list<utf8", "lacks a `>` at character 10"),
            ("tensor<int8>[3]", "float16 or float32"),
            ("tensor<float32>[0]", "no extent"),
            ("tensor<float32>[70000, 70000]", "too large"),
            ("struct<a: utf8, a: utf8>", "names"),
            ("utf8 utf8", "goes on with `utf8`"),
            ("", "is no type"),
        ];
        for (text, says) in wrong {
            let error = field("x", text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let deep = format!("{}utf8", "list<".repeat(1000));
        assert!(field("x", &deep).unwrap_err().contains("too deeply"));
    }

    #[test]
    fn columns_that_are_read_may_be_wider() {
        let tensor = field("x", "tensor<float16>[2]").unwrap();
        assert!(Wanted::Tensor.fits(tensor.data_type()) && !Wanted::Number.fits(tensor.data_type()));
        assert!(Wanted::Number.fits(&DataType::UInt8) && Wanted::Any.fits(&DataType::Utf8));
    }
}
