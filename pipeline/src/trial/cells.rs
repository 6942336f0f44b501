//! Are two cells the same, and what is in one? Numbers with a point may differ by a tolerance.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::array_value_to_string;

use crate::digest::Digest;

/// Items of a list that are shown.
const SHOWN: usize = 8;

/// Whether a cell holds what another one of its type does.
pub(super) fn same(one: &ArrayRef, at: usize, other: &ArrayRef, by: usize, tolerance: f64) -> bool {
    if one.is_null(at) || other.is_null(by) {
        return one.is_null(at) && other.is_null(by);
    }
    match one.data_type() {
        kind if kind.is_floating() => match (number(one, at), number(other, by)) {
            (Some(one), Some(other)) => near(one, other, tolerance),
            _ => false,
        },
        DataType::List(_) | DataType::FixedSizeList(..) => {
            let (one, other) = (items(one, at), items(other, by));
            one.len() == other.len() && (0..one.len()).all(|item| same(&one, item, &other, item, tolerance))
        }
        DataType::Struct(_) => {
            let parts = one.as_struct().columns().iter().zip(other.as_struct().columns());
            parts.into_iter().all(|(one, other)| same(one, at, other, by, tolerance))
        }
        _ => one.slice(at, 1).to_data() == other.slice(by, 1).to_data(),
    }
}

/// Whether two numbers differ by no more than the tolerance allows, which is relative to the second where that is large.
fn near(one: f64, other: f64, tolerance: f64) -> bool {
    one == other || one.is_nan() && other.is_nan() || (one - other).abs() <= tolerance * other.abs().max(1.0)
}

/// The numbers in a cell: its own, or all of a list; `None` where there is something else in it.
pub(super) fn numbers(array: &ArrayRef, at: usize) -> Option<Vec<f64>> {
    if array.is_null(at) {
        return None;
    }
    match array.data_type() {
        DataType::List(_) | DataType::FixedSizeList(..) => {
            let items = items(array, at);
            let inner = (0..items.len()).map(|item| numbers(&items, item));
            Some(inner.collect::<Option<Vec<_>>>()?.concat())
        }
        _ => number(array, at).map(|number| vec![number]),
    }
}

/// Whether cells of that type hold numbers.
pub(super) fn numeric(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) | DataType::FixedSizeList(item, _) => numeric(item.data_type()),
        kind => kind.is_numeric(),
    }
}

fn number(array: &ArrayRef, at: usize) -> Option<f64> {
    let wide = cast(&array.slice(at, 1), &DataType::Float64).ok()?;
    wide.is_valid(0).then(|| wide.as_primitive::<Float64Type>().value(0))
}

/// The items of a list or a tensor.
fn items(array: &ArrayRef, at: usize) -> ArrayRef {
    match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(at),
        _ => array.as_fixed_size_list().value(at),
    }
}

/// The text of a cell of text.
pub(super) fn text(array: &ArrayRef, at: usize) -> Option<&str> {
    let texts = array.as_string_opt::<i32>()?;
    texts.is_valid(at).then(|| texts.value(at))
}

/// Two cells that differ, as [`shown`]; of long lists the items from the first that differs.
pub(super) fn apart(
    (one, at): (&ArrayRef, usize),
    (other, there): (&ArrayRef, usize),
    tolerance: f64,
) -> (String, String) {
    let lists =
        |array: &ArrayRef| matches!(array.data_type(), DataType::List(_) | DataType::FixedSizeList(..));
    if !lists(one) || one.data_type() != other.data_type() || one.is_null(at) || other.is_null(there) {
        return (shown(one, at), shown(other, there));
    }
    let (left, right) = (items(one, at), items(other, there));
    let common = left.len().min(right.len());
    let first = (0..common).find(|&item| !same(&left, item, &right, item, tolerance)).unwrap_or(common);
    match first < SHOWN {
        true => (shown(one, at), shown(other, there)),
        false => (from(&left, first), from(&right, first)),
    }
}

/// The items of a long list from one on.
fn from(items: &ArrayRef, first: usize) -> String {
    let parts: Vec<String> = (first..items.len().min(first + SHOWN)).map(|item| shown(items, item)).collect();
    format!("[… from item {first}: {}, … {} in all]", parts.join(", "), items.len())
}

/// A cell as the file would write it; what is long is cut.
pub(super) fn shown(array: &ArrayRef, at: usize) -> String {
    if array.is_null(at) {
        return "null".into();
    }
    match array.data_type() {
        DataType::Utf8 => format!("{:?}", text(array, at).unwrap_or_default()),
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(at);
            format!("{} bytes, digest {}", bytes.len(), &Digest::of(bytes).to_string()[..8])
        }
        DataType::List(_) | DataType::FixedSizeList(..) => {
            let items = items(array, at);
            let mut parts: Vec<String> =
                (0..items.len().min(SHOWN)).map(|item| shown(&items, item)).collect();
            if items.len() > SHOWN {
                parts.push(format!("… {} in all", items.len()));
            }
            format!("[{}]", parts.join(", "))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let parts: Vec<String> =
                columns.map(|(field, column)| format!("{}: {}", field.name(), shown(column, at))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        _ => array_value_to_string(array.as_ref(), at).unwrap_or_else(|_| "?".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float32Array, Int64Array, StringArray};

    use super::*;
    use crate::tensor;

    #[test]
    fn numbers_are_near_and_nulls_are_equal_to_nulls_alone() {
        let one: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::NAN), Some(1000.0)]));
        let other: ArrayRef =
            Arc::new(Float32Array::from(vec![Some(0.1001), None, Some(f32::NAN), Some(1000.5)]));
        assert!(!same(&one, 0, &other, 0, 1e-6) && same(&one, 0, &other, 0, 1e-3));
        assert!(
            same(&one, 1, &other, 1, 0.0) && !same(&one, 1, &other, 0, 1.0) && !same(&one, 0, &other, 1, 1.0)
        );
        assert!(same(&one, 2, &other, 2, 0.0) && !same(&one, 2, &other, 0, 1.0));
        assert!(same(&one, 3, &other, 3, 1e-3), "relative to a large one");
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![1000, 1001]));
        assert!(!same(&whole, 0, &whole, 1, 1.0), "whole numbers are exact");
    }

    #[test]
    fn tensors_compare_item_by_item_and_show_their_beginning() {
        let tensor = tensor::from_f32(3, vec![0.0, 1.0, 2.0, 0.0, 1.0, 2.5]).unwrap();
        assert!(same(&tensor, 0, &tensor, 0, 0.0) && !same(&tensor, 0, &tensor, 1, 1e-3));
        assert_eq!(shown(&tensor, 1), "[0.0, 1.0, 2.5]");
        assert_eq!(numbers(&tensor, 0), Some(vec![0.0, 1.0, 2.0]));
        let long = tensor::from_f32(9, vec![1.0; 9]).unwrap();
        assert!(shown(&long, 0).ends_with("… 9 in all]"));
        assert_eq!(from(&items(&long, 0), 8), "[… from item 8: 1.0, … 9 in all]");
        let words: ArrayRef = Arc::new(StringArray::from(vec![Some("a \"b\""), None]));
        assert_eq!((shown(&words, 0).as_str(), shown(&words, 1).as_str()), (r#""a \"b\"""#, "null"));
    }
}
