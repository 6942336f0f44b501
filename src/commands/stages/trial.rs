//! What does a kind read, and which artifacts does it need? Its example is planned in a pipeline that has what most kinds want.

use affectflow_pipeline::plan::manual::Manual;
use affectflow_pipeline::plan::{PlannedStage, open_read, type_words};
use affectflow_pipeline::{Registry, spec};

/// The pipeline, with a stage of each kind that KCDP is made of.
const AROUND: &str = include_str!("../init/start.yaml");

/// The kind's stage in that pipeline, or its example at the end of it; none where that does not plan, because it names
/// stages or files of its own.
pub fn planned(registry: &Registry, manual: &Manual) -> Option<PlannedStage> {
    let example: String = manual.example.lines().map(|line| format!("      {line}\n")).collect();
    stage(registry, manual.kind, AROUND)
        .or_else(|| stage(registry, manual.kind, &format!("{AROUND}{example}")))
}

/// The columns that the stage reads, each with its type.
pub fn reads(stage: &PlannedStage) -> Vec<(String, String)> {
    let fields = stage.input_schema.fields().iter();
    let read = fields.filter(|field| stage.planned.consumes.contains(field.name()));
    read.map(|field| (field.name().clone(), type_words(field.data_type()))).collect()
}

fn stage(registry: &Registry, kind: &str, text: &str) -> Option<PlannedStage> {
    let read = spec::parse_lenient(text, "example", &[], &|_| None);
    let (_, plan) = open_read(read, None, registry, std::path::Path::new("."), None).ok()?;
    plan.stages.into_iter().find(|stage| stage.kind == kind)
}

#[cfg(test)]
mod tests {
    use affectflow_pipeline::plan::manual::manual;

    use super::*;

    #[test]
    fn what_kinds_read_and_need_is_known() {
        let mut registry = Registry::new();
        affectflow_stages::register(&mut registry);
        let trial = |kind: &str| planned(&registry, &manual(registry.get(kind).unwrap().as_ref())).unwrap();
        for kind in registry.kinds().map(|kind| kind.about().kind) {
            let names_stages = registry.get(kind).unwrap().about().example.contains("inputs:");
            assert!(names_stages || trial(kind).kind == kind);
        }
        assert!(trial("embed").planned.consumes.contains(&"image".to_owned()));
        assert_eq!(trial("filter").planned.consumes.len(), 1);
        assert!(!trial("label").planned.provides.is_empty() && !trial("adapt").planned.needs.is_empty());
    }
}
