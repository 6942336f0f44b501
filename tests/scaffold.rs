//! Does what `plugin new` writes build, pass its own tests, keep the contract and run?

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{Project, repository};

/// Cargo in the new project, with the versions of this repository and one folder for all that is built.
fn cargo(project: &Project, folder: &str, args: &[&str]) {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_affectflow")).with_file_name("scaffold");
    let folder = project.path(folder);
    std::fs::copy(repository("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let cargo = cargo.current_dir(&folder).args(args).env("CARGO_TARGET_DIR", &built);
    let output = cargo.env_remove("RUSTFLAGS").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
    assert!(!told.contains("warning: unused"), "{told}");
    // Where the project looks for it.
    if args[0] == "build" {
        std::os::unix::fs::symlink(built, folder.join("target")).unwrap();
    }
}

#[test]
fn a_project_in_rust_builds_passes_its_tests_and_runs() {
    let project = Project::new("version: 1\npipelines: {}\n");
    for (way, folder, plugin) in [
        (
            "cdylib",
            "word_count",
            format!(
                "target/debug/{}word_count{}",
                std::env::consts::DLL_PREFIX,
                std::env::consts::DLL_SUFFIX
            ),
        ),
        ("rust", "words_of", "target/debug/words_of".to_owned()),
    ] {
        project.run(&["plugin", "new", "--kind", way, folder]).expect(0, &["is ready; next:", "cargo test"]);
        cargo(&project, folder, &["test"]);
        cargo(&project, folder, &["build"]);
        let at = |args: &[&str]| {
            let output = project.command(args).current_dir(project.path(folder)).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{args:?}: {told}{}",
                String::from_utf8_lossy(&output.stdout)
            );
            told
        };
        at(&["plugin", "check", "--rows", "5000", &plugin]);
        at(&["run", "--trust"]);
        at(&["export", "last", folder, "-o", "out.csv"]);
        let rows = std::fs::read_to_string(project.path(folder).join("out.csv")).unwrap();
        assert_eq!(rows.lines().next(), Some(format!("id,{folder}").as_str()));
        assert!(
            rows.lines().skip(1).all(|row| row.rsplit_once(',').unwrap().1.parse::<u32>().unwrap() > 0),
            "{rows}"
        );
        assert!(at(&["run"]).contains("done"));
    }
}

#[test]
fn what_cannot_be_made_is_told() {
    let project = Project::new("version: 1\npipelines: {}\n");
    project.run(&["plugin", "new", "Word-Count"]).expect(2, &["`Word-Count` cannot be the name of a kind"]);
    project.write("full/file", "");
    project.run(&["plugin", "new", "full"]).expect(2, &["the folder `full` is not empty"]);
}
