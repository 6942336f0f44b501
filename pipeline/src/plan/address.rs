//! Which stage is meant by `[PIPELINE/]STAGE`?

use super::resolve::choose;
use crate::error::{Problem, Span};
use crate::spec::words::{either, suggest};
use crate::spec::{PipelineSpec, Spec};

/// The pipeline and the stage meant: of the pipeline named; else of the default one; else of the only one that has it.
pub fn address(spec: &Spec, text: &str) -> Result<(String, String), Problem> {
    let found = |pipeline: &PipelineSpec, stage: &str| (pipeline.name.text.clone(), stage.to_owned());
    let (pipeline, stage) = match text.split_once('/') {
        Some((pipeline, stage)) => (Some(pipeline), stage),
        None => (None, text),
    };
    let chosen = choose(spec, pipeline);
    if let Ok(chosen) = &chosen
        && has(chosen, stage)
    {
        return Ok(found(chosen, stage));
    }
    let others: Vec<&PipelineSpec> = spec.pipelines.iter().filter(|p| has(p, stage)).collect();
    match (pipeline, &others[..], chosen) {
        (None, [only], _) => Ok(found(only, stage)),
        (None, [_, ..], _) => {
            let names: Vec<String> = others.iter().map(|p| format!("`{}/{stage}`", p.name.text)).collect();
            let message = format!("several pipelines have a stage `{stage}`");
            Err(Problem::new(message).at(Span::argument(&spec.file)).hint(format!("name {}", either(&names))))
        }
        (_, _, Ok(chosen)) => {
            let names = chosen.stages().iter().map(|stage| stage.name.text.as_str());
            let message = format!("pipeline `{}` has no stage `{stage}`", chosen.name.text);
            Err(Problem::new(message).at(Span::argument(&spec.file)).hint(suggest(stage, "stages", names)))
        }
        (_, _, Err(problem)) => Err(problem),
    }
}

fn has(pipeline: &PipelineSpec, stage: &str) -> bool {
    pipeline.stages().iter().any(|known| known.name.text == stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
version: 1
default: main
pipelines:
  main: { stages: { in: { kind: a }, middle: { kind: b } } }
  second: { stages: { in: { kind: a }, next: { kind: c }, end: { kind: d } } }
  third: { stages: { end: { kind: d } } }
";

    #[test]
    fn a_stage_is_found_by_its_pipeline_the_default_or_alone() {
        let spec = crate::spec::parse(FILE, "f.yaml", &[]).unwrap();
        let ok = |text: &str| address(&spec, text).map(|(pipeline, stage)| format!("{pipeline}/{stage}"));
        assert_eq!(ok("in").unwrap(), "main/in");
        assert_eq!(ok("second/in").unwrap(), "second/in");
        assert_eq!(ok("next").unwrap(), "second/next");
        let wrong = |text: &str| ok(text).unwrap_err().to_string();
        assert!(wrong("end").contains("`second/end` or `third/end`"), "{}", wrong("end"));
        assert!(wrong("middel").contains("did you mean `middle`?"), "{}", wrong("embde"));
        assert!(wrong("third/in").contains("pipeline `third` has no stage `in`"), "{}", wrong("third/in"));
        assert!(wrong("scond/in").contains("did you mean `second`?"), "{}", wrong("scond/in"));
    }
}
