//! Which rows is a stage tried on? Made up by the types of its columns, the same ones for the same numbers.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeListArray, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;

const WORDS: &[&str] = &["a", "happy", "person", "smiles", "crying", "über", "the", "sticker", "😀", "night"];

/// The bytes of a picture by its number, for columns called `image`.
pub type Picture<'a> = &'a dyn Fn(u64) -> Vec<u8>;

/// Rows of these numbers; `id` first.
pub(super) fn rows(
    fields: &[FieldRef],
    numbers: &[u64],
    picture: Picture,
) -> Result<RecordBatch, ArrowError> {
    batch(fields, numbers, |field| column(field, numbers, picture))
}

/// Rows of these numbers with nothing in them but `id`.
pub(super) fn nulls(fields: &[FieldRef], numbers: &[u64]) -> Result<RecordBatch, ArrowError> {
    batch(fields, numbers, |field| Ok(new_null_array(field.data_type(), numbers.len())))
}

/// Rows of these numbers whose bytes and texts make no sense.
pub(super) fn nonsense(fields: &[FieldRef], numbers: &[u64]) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| match field.data_type() {
        DataType::Binary => {
            let bytes = |&number: &u64| Some(vec![number as u8; number as usize % 99]);
            Ok(Arc::new(numbers.iter().map(bytes).collect::<BinaryArray>()) as ArrayRef)
        }
        DataType::Utf8 => {
            let text =
                |&number: &u64| Some(["", "\u{0}", "\u{202e}", "\n\n\t", "%s{}\"'\\"][number as usize % 5]);
            Ok(Arc::new(numbers.iter().map(text).collect::<StringArray>()) as ArrayRef)
        }
        _ => self::column(field, numbers, &|_| Vec::new()),
    };
    batch(fields, numbers, column)
}

fn batch(
    fields: &[FieldRef],
    numbers: &[u64],
    column: impl Fn(&FieldRef) -> Result<ArrayRef, ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let ids: StringArray = numbers.iter().map(|number| Some(format!("sample/{number:06}"))).collect();
    let mut all = vec![Arc::new(Field::new("id", DataType::Utf8, false))];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids)];
    for field in fields.iter().filter(|field| field.name() != "id") {
        columns.push(column(field)?);
        all.push(Arc::new(field.as_ref().clone().with_nullable(true)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(all)), columns)
}

fn column(field: &FieldRef, numbers: &[u64], picture: Picture) -> Result<ArrayRef, ArrowError> {
    Ok(match field.data_type() {
        DataType::Binary if field.name() == "image" => {
            Arc::new(numbers.iter().map(|&number| Some(picture(number))).collect::<BinaryArray>())
        }
        DataType::Binary => {
            let bytes = |&number: &u64| Some(mixed(number).to_le_bytes().to_vec());
            Arc::new(numbers.iter().map(bytes).collect::<BinaryArray>())
        }
        DataType::Utf8 => Arc::new(numbers.iter().map(|&number| Some(text(number))).collect::<StringArray>()),
        DataType::Boolean => Arc::new(
            numbers.iter().map(|&number| Some(mixed(number).is_multiple_of(2))).collect::<BooleanArray>(),
        ),
        DataType::List(item) => {
            let lengths: Vec<usize> = numbers.iter().map(|&number| mixed(number) as usize % 4).collect();
            let inner: Vec<u64> = numbers
                .iter()
                .zip(&lengths)
                .flat_map(|(&n, &length)| (0..length as u64).map(move |at| n * 7 + at))
                .collect();
            let values = column(item, &inner, picture)?;
            Arc::new(ListArray::try_new(item.clone(), OffsetBuffer::from_lengths(lengths), values, None)?)
        }
        DataType::FixedSizeList(item, width) => {
            let inner: Vec<u64> =
                numbers.iter().flat_map(|&n| (0..*width as u64).map(move |at| n * 31 + at)).collect();
            let values = column(item, &inner, picture)?;
            Arc::new(FixedSizeListArray::try_new(item.clone(), *width, values, None)?)
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| column(field, numbers, picture));
            Arc::new(StructArray::try_new(fields.clone(), columns.collect::<Result<_, _>>()?, None)?)
        }
        kind if kind.is_floating() => {
            let float = |&number: &u64| (mixed(number) % 2000) as f64 / 1000.0 - 1.0;
            cast(&Float64Array::from_iter_values(numbers.iter().map(float)), kind)?
        }
        kind => {
            let whole = |&number: &u64| (mixed(number) % 100) as i64;
            cast(&Int64Array::from_iter_values(numbers.iter().map(whole)), kind)?
        }
    })
}

fn text(number: u64) -> String {
    let word = |at: u64| WORDS[(mixed(number * 17 + at) % WORDS.len() as u64) as usize];
    (0..mixed(number) % 12).map(word).collect::<Vec<_>>().join(" ")
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
