//! What are the columns, in the words of `datasets`? Pictures are `Image`, classes with names `ClassLabel`, the rest by type.

use std::collections::HashMap;
use std::sync::Arc;

use affectflow_pipeline::batch::link_of;
use affectflow_pipeline::{Error, Problem};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Metadata, Schema};
use serde_json::{Map, Value, json};

use crate::columns::classes_of;

/// Metadata key of a picture in the schema that is written.
const IMAGE: &str = "image";

/// Can this column be written?
pub(super) fn check(field: &FieldRef) -> Result<(), Problem> {
    let kind = match field.data_type() {
        DataType::FixedSizeList(item, _) => DataType::List(item.clone()),
        kind => kind.clone(),
    };
    match feature(&Field::new(field.name(), written(&kind), true)) {
        Some(_) => Ok(()),
        None => {
            let kind = affectflow_pipeline::plan::type_words(&kind);
            let message = format!("`datasets` has no type for column `{}`, which is {kind}", field.name());
            Err(Problem::new(message).hint("leave it out with `columns`"))
        }
    }
}

/// The type under which a type is written.
fn written(kind: &DataType) -> DataType {
    match kind {
        DataType::FixedSizeBinary(_) => DataType::Binary,
        kind => kind.clone(),
    }
}

/// The batch as `datasets` keeps it, with its features in the metadata.
pub(super) fn batch(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let (kind, metadata, column): (_, Metadata, _) = if link_of(field).is_some() {
            let column = pictures(batch.column(0), column);
            (column.data_type().clone(), HashMap::from([(IMAGE.to_owned(), String::new())]).into(), column)
        } else {
            let kind = match classes_of(field) {
                Some(_) => DataType::Int64,
                None => written(column.data_type()),
            };
            (kind.clone(), field.metadata().clone(), cast(column, &kind)?)
        };
        fields.push(Arc::new(Field::new(field.name(), kind, true).with_metadata(metadata)));
        columns.push(column);
    }
    let described = json!({ "info": { "features": of(&Schema::new(fields.clone())) } });
    let metadata = HashMap::from([("huggingface".to_owned(), described.to_string())]);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields).with_metadata(metadata)), columns)?)
}

/// Bytes and file name of each picture.
fn pictures(ids: &ArrayRef, bytes: &ArrayRef) -> ArrayRef {
    let ids = ids.as_string::<i32>();
    let name = |id: Option<&str>| id.and_then(|id| id.rsplit('/').next()).map(str::to_owned);
    let names: StringArray = ids.iter().map(name).collect();
    let fields = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]);
    Arc::new(StructArray::new(fields, vec![bytes.clone(), Arc::new(names)], bytes.nulls().cloned()))
}

/// The features of the columns of a schema that [`batch`] made.
pub(super) fn of(schema: &Schema) -> Value {
    let features = schema.fields().iter().filter_map(|field| Some((field.name().clone(), feature(field)?)));
    Value::Object(features.collect::<Map<_, _>>())
}

fn feature(field: &Field) -> Option<Value> {
    if field.metadata().contains_key(IMAGE) {
        return Some(json!({ "_type": "Image" }));
    }
    if let Some(names) = classes_of(field) {
        return Some(json!({ "names": names, "_type": "ClassLabel" }));
    }
    match field.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(_) => Some(json!([feature(item)?])),
            _ => Some(json!({ "feature": feature(item)?, "_type": "Sequence" })),
        },
        DataType::Struct(fields) => {
            let inner = fields.iter().map(|field| Some((field.name().clone(), feature(field)?)));
            Some(Value::Object(inner.collect::<Option<Map<_, _>>>()?))
        }
        kind => Some(json!({ "dtype": word(kind)?, "_type": "Value" })),
    }
}

/// The name of a type of single values.
fn word(kind: &DataType) -> Option<&'static str> {
    Some(match kind {
        DataType::Utf8 => "string",
        DataType::LargeUtf8 => "large_string",
        DataType::Binary => "binary",
        DataType::Boolean => "bool",
        DataType::Int8 => "int8",
        DataType::Int16 => "int16",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt8 => "uint8",
        DataType::UInt16 => "uint16",
        DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Float16 => "float16",
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        _ => return None,
    })
}
