//! Does a manifest make sense? Looked at once, when a plugin is asked what it brings.

use affectflow_plugin::types::{self, Wanted};
use affectflow_plugin::{Column, Manifest};
use serde_json::Value;

use crate::columns::filled;

/// Longest name of a kind.
const LONGEST: usize = 64;

/// What is wrong with the manifests of one plugin.
pub(crate) fn check(manifests: &[Manifest]) -> Result<(), String> {
    if manifests.is_empty() {
        return Err("it brings no kind".into());
    }
    for (at, manifest) in manifests.iter().enumerate() {
        one(manifest).map_err(|what| format!("its kind `{}` {what}", manifest.kind))?;
        if manifests[..at].iter().any(|other| other.kind == manifest.kind) {
            return Err(format!("it brings two kinds `{}`", manifest.kind));
        }
    }
    Ok(())
}

fn one(manifest: &Manifest) -> Result<(), String> {
    let named = manifest.kind.len() <= LONGEST
        && manifest.kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && manifest.kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !named {
        return Err("has a name that is not letters, digits, `_` and `-`, beginning with a letter".into());
    }
    if manifest.version == 0 {
        return Err("has version 0; versions count from 1".into());
    }
    if manifest.rows_per_call == 0 {
        return Err("takes no rows in a call".into());
    }
    let object = manifest.options.get("type").is_none_or(|kind| kind == "object");
    if !manifest.options.is_object() || !object {
        return Err("has options that are no JSON Schema of an object".into());
    }
    let samples = crate::defaults::fill(&manifest.options, &Value::Object(Default::default()));
    for column in &manifest.reads {
        named_once(column, manifest)?;
        Wanted::parse(&column.kind)?;
    }
    for column in &manifest.adds {
        named_once(column, manifest)?;
        // An option without a default is known once a pipeline gives it.
        types::field("", &filled(&column.kind, &samples).replace("null", "1"))?;
    }
    Ok(())
}

fn named_once(column: &Column, manifest: &Manifest) -> Result<(), String> {
    match (&column.name, &column.option) {
        (Some(name), None) if !name.is_empty() => Ok(()),
        (None, Some(option)) if manifest.options["properties"].get(option).is_some() => Ok(()),
        (None, Some(option)) => {
            Err(format!("takes the name of a column from the option `{option}`, which it lacks"))
        }
        _ => Err("has a column with neither `name` nor `option`, or with both".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(manifest: Manifest) -> String {
        check(&[manifest]).unwrap_err()
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let good = || Manifest::map("words", 1, "Counts").reads("text", "utf8").adds("n", "uint32", "");
        check(&[good()]).unwrap();
        assert!(check(&[good(), good()]).unwrap_err().contains("two kinds"));
        assert!(check(&[]).unwrap_err().contains("no kind"));
        assert!(wrong(Manifest { kind: "1 a".into(), ..good() }).contains("letters"));
        assert!(wrong(Manifest { version: 0, ..good() }).contains("version 0"));
        assert!(wrong(good().adds("m", "uint33", "")).contains("is no type"));
        assert!(wrong(good().reads(affectflow_plugin::option("column"), "utf8")).contains("`column`"));
        assert!(wrong(good().options(Value::Null)).contains("JSON Schema"));
        check(&[good().adds("t", "tensor<float32>[{bins}]", "")]).unwrap();
    }
}
