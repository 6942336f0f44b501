//! What does a broken file say? Every case of `broken/cases.txt` with its exact message. `AFFECTFLOW_BLESS=1` rewrites the
//! messages, to be read before they are kept.

mod plan_kinds;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use affectflow_pipeline::{Problem, plan, spec};
use plan_kinds::registry;

/// A case: `=== name`, lines `> set ARG` or `> pipeline NAME` or `> until STAGE` or `> check`, the file, `--- message`, the message.
struct Case {
    name: String,
    arguments: Vec<String>,
    yaml: String,
    message: String,
}

fn cases_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken/cases.txt")
}

fn read_cases(text: &str) -> Vec<Case> {
    text.split("=== ").skip(1).map(read_case).collect()
}

fn read_case(text: &str) -> Case {
    let (head, message) = text.split_once("--- message\n").unwrap_or((text, ""));
    let (name, body) = head.split_once('\n').unwrap();
    let (arguments, yaml): (Vec<_>, Vec<_>) = body.lines().partition(|line| line.starts_with("> "));
    Case {
        name: name.trim().to_owned(),
        arguments: arguments.into_iter().map(|line| line[2..].to_owned()).collect(),
        yaml: yaml.join("\n") + "\n",
        message: message.trim_end().to_owned(),
    }
}

fn environment(name: &str) -> Option<String> {
    (name == "SECRET").then(|| "hunter2".to_owned())
}

fn said(case: &Case) -> String {
    let arguments = |key: &str| -> Vec<String> {
        case.arguments.iter().filter_map(|argument| Some(argument.strip_prefix(key)?.to_owned())).collect()
    };
    let sets = arguments("set ");
    let (pipeline, until) = (arguments("pipeline ").pop(), arguments("until ").pop());
    let read = spec::parse_lenient(&case.yaml, "p.yaml", &sets, &environment);
    if case.arguments.iter().any(|argument| argument == "check") {
        return render(&plan::check_read(read.0.as_ref(), read.1, &registry(), Path::new(".")));
    }
    let opened = plan::open_read(read, pipeline.as_deref(), &registry(), Path::new("."), until.as_deref());
    let problems = opened.err().unwrap_or_default();
    render(&problems)
}

fn render(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_broken_file_says_what_it_should() {
    let cases = read_cases(&std::fs::read_to_string(cases_file()).unwrap());
    assert!(cases.len() >= 30);
    if std::env::var_os("AFFECTFLOW_BLESS").is_some() {
        let mut out = String::new();
        for case in &cases {
            let arguments: String = case.arguments.iter().map(|argument| format!("> {argument}\n")).collect();
            write!(out, "=== {}\n{arguments}{}--- message\n{}\n\n", case.name, case.yaml, said(case))
                .unwrap();
        }
        std::fs::write(cases_file(), out).unwrap();
        return;
    }
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| said(case) != case.message)
        .map(|case| format!("case `{}`\n-- expected\n{}\n-- said\n{}\n", case.name, case.message, said(case)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.iter().all(|case| !case.message.is_empty()));
}

#[test]
fn every_problem_has_a_place_and_no_words_of_the_reader() {
    for case in read_cases(&std::fs::read_to_string(cases_file()).unwrap()) {
        for word in ["serde", "untagged", "invalid type", "expected struct", "missing field", "hunter2"] {
            assert!(!said(&case).contains(word), "case `{}` says `{word}`", case.name);
        }
        assert!(
            said(&case)
                .lines()
                .filter(|line| !line.starts_with("  hint:") && !line.starts_with("  note:"))
                .all(|line| {
                    line.starts_with("p.yaml") || line.starts_with("--set") || line.starts_with("--until")
                })
        );
    }
}

fn loaded(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, bytes).unwrap();
    let said = render(&spec::load(&path, &[]).err().unwrap_or_default());
    said.replace(&path.display().to_string(), "p.yaml")
}

#[test]
fn bytes_that_are_no_text() {
    let expected = "p.yaml:2:6: this file is not UTF-8 text\n  hint: save it as UTF-8";
    assert_eq!(loaded(b"version: 1\nvars:\xff\n"), expected);
    let expected = "p.yaml:1:1: the file is empty\n  hint: a pipeline file begins with `version: 1` and has `pipelines:`";
    assert_eq!(loaded(b""), expected);
}

#[test]
fn a_file_that_is_not_there() {
    let said = render(&spec::load(Path::new("nowhere/p.yaml"), &[]).err().unwrap());
    let start = "nowhere/p.yaml: cannot read the pipeline file: ";
    assert!(said.starts_with(start), "{said}");
    assert!(said.ends_with(
        "hint: name the pipeline file with `-f FILE`, or begin a project with `affectflow init DIR`"
    ));
}

#[test]
fn many_laughs_are_refused() {
    let mut yaml = "version: 1\nvars:\n  a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for level in 1..40 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        writeln!(yaml, "  a{level}: &a{level} [{}]", below.trim_end_matches(", ")).unwrap();
    }
    let said = render(&spec::parse(&yaml, "p.yaml", &[]).err().unwrap());
    assert!(said.contains("anchors make this file too large"), "{said}");
}

#[test]
fn laughs_by_variables_are_refused() {
    for (open, close) in [("", ""), ("[", "]")] {
        let mut yaml = format!("version: 1\nvars:\n  a0: {open}hahahaha{close}\n");
        for level in 1..60 {
            let one = format!("${{vars.a{}}}", level - 1);
            let two = if open.is_empty() { format!("'{one}{one}'") } else { format!("['{one}', '{one}']") };
            writeln!(yaml, "  a{level}: {two}").unwrap();
        }
        let said = render(&spec::parse(&yaml, "p.yaml", &[]).err().unwrap());
        assert!(said.contains("variables make this file too large"), "{said}");
    }
}

#[test]
fn depth_is_refused_however_it_is_made() {
    let deep = format!("version: 1\nvars: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(loaded(deep.as_bytes()).contains("nested too deeply"));
    let mut anchors = "version: 1\nvars:\n  a0: &a0 [x]\n".to_owned();
    let mut vars = "version: 1\nvars:\n  a0: [x]\n".to_owned();
    for level in 1..3000 {
        writeln!(anchors, "  a{level}: &a{level} [*a{}]", level - 1).unwrap();
        writeln!(vars, "  a{level}: ['${{vars.a{}}}']", level - 1).unwrap();
    }
    assert!(loaded(anchors.as_bytes()).contains("nested too deeply"));
    assert!(loaded(vars.as_bytes()).contains("nested too deeply"));
}
