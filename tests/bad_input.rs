//! Does everything that can be wrong with a file, its data or the machine end in one clear message and the right code?
//! Mistakes in the file itself have a collection of their own, `pipeline/tests/broken`.

mod common;

use std::fs;
use std::process::Command;

use common::{Project, SMALL, copy_folder, repository};

/// Pictures of `examples/photos` as source and of `pictures/` as target, as far as perceive.
const OWN: &str = "
version: 1
pipelines:
  own:
    stages:
      photos:   { kind: ingest, config: { source: folder, path: photos, domain: source } }
      stickers: { kind: ingest, config: { source: folder, path: stickers, domain: target } }
      embed:    { kind: embed, inputs: [photos, stickers], config: { num_beams: 1 }, quarantine_threshold: 0.5 }
      perceive: { kind: perceive }
      label:    { kind: label, config: { epochs: 1, knowledge_tokens: 4, pyramid: 4 } }
";

fn own() -> Project {
    let project = Project::new(OWN);
    copy_folder(&repository("examples/photos"), &project.path("photos"));
    copy_folder(&repository("examples/stickers"), &project.path("stickers"));
    project
}

/// The program refuses the file with code 2, says so, and leaves nothing behind.
#[track_caller]
fn refused(yaml: &str, texts: &[&str]) {
    let project = Project::new(yaml);
    project.run(&["run"]).expect(2, texts);
    assert!(!project.path(".affectflow").exists(), "something was written");
}

#[test]
fn mistakes_in_the_file() {
    refused("stages: [", &["error: pipelines.yaml:"]);
    refused("{]", &["error: pipelines.yaml:1:"]);
    refused("\u{0}\u{1}", &["error: pipelines.yaml"]);
    refused("", &["error: pipelines.yaml", "hint: "]);
    refused(&SMALL.replace("kind: label", "kind: lable"), &["pipelines.yaml:10:26: ", "`lable`", "`label`"]);
    refused(&SMALL.replace("epochs: 2 }", "epoks: 2 }"), &["`epoks`", "did you mean `epochs`?"]);
    refused(&SMALL.replace("count: 48", "count: many"), &["pipelines.yaml:6:", "`count`", "`many`"]);
    refused(&SMALL.replace("count: 48", "count: 0"), &["pipelines.yaml:6:", "`count`", "1"]);
    refused(
        &SMALL.replace("kind: embed, inputs", "kind: sample, inputs").replace("num_beams: 1", "count: 5"),
        &["`knowledge`", "`embed`"],
    );
    refused(
        &SMALL.replace("inputs: [portraits, stickers]", "inputs: [portraits, adapt]"),
        &["wait for each other: `embed`"],
    );
}

#[test]
fn labels_for_scoring_reach_nobody_else() {
    let yaml = SMALL.replace(
        "      embed: ",
        "      peek: { kind: filter, inputs: [portraits, stickers], config: { where: { eval_label: 1 } } }\n      embed: ",
    );
    refused(
        &yaml.replace("embed, inputs: [portraits, stickers]", "embed, inputs: [peek]"),
        &["`eval_label`", "evaluate"],
    );
}

#[test]
fn places_that_are_missing_or_empty() {
    refused(
        OWN,
        &["no folder `photos`", "no folder `stickers`", "hint: paths start at the pipeline file's folder"],
    );
    let project = own();
    fs::remove_dir_all(project.path("stickers")).unwrap();
    fs::create_dir(project.path("stickers")).unwrap();
    project.run(&["run"]).expect(2, &["pipelines.yaml:7:", "no pictures found in `stickers`", "hint: "]);
    assert!(!project.path(".affectflow").exists());
    let project =
        Project::new(&SMALL.replace("kind: perceive", "kind: perceive, config: { model: nowhere }"));
    project.run(&["run"]).expect(2, &["pipelines.yaml:9:", "nowhere"]);
}

#[test]
fn a_class_without_samples() {
    let project = own();
    fs::remove_dir_all(project.path("photos/fear")).unwrap();
    project.run(&["run"]).expect(
        1,
        &[
            "stage `label` failed: no source row of class `fear` to learn from",
            "hint: add pictures of it, or leave it out of `classes`",
        ],
    );
    assert_eq!(project.record()["outcome"], "failed");
    assert_eq!(project.number("perceive", "rows"), 30 + 18, "what was computed is kept");
}

#[test]
fn broken_pictures_are_set_aside_and_the_others_go_on() {
    let project = own();
    let whole = fs::read(repository("examples/stickers").join(first_sticker())).unwrap();
    project.write("stickers/a_empty.png", "");
    project.write("stickers/b_cut.png", &whole[..whole.len() / 2]);
    project.write("stickers/c_text.jpg", "these are words");
    project.write("stickers/d_huge.png", huge_png());
    let until = ["run", "--until", "perceive"];
    project.run(&until).expect(
        3,
        &[
            "row `stickers/a_empty.png` in stage `embed`: cannot read the picture: zero bytes",
            "1 more row in stage `embed`",
            "4 rows in quarantine",
        ],
    );
    assert_eq!(project.number("perceive", "rows"), 36 + 18);
    let shown = project.run(&["show"]).expect(0, &[]).stdout;
    for text in
        ["b_cut.png", "truncated PNG", "c_text.jpg", "not a picture", "d_huge.png", "30000 x 30000 pixels"]
    {
        assert!(shown.contains(text), "no {text} in\n{shown}");
    }
    project.run(&until).expect(3, &[]);
    assert_eq!(project.number("embed", "misses"), 0, "they stay set aside until they change");
    project.write("stickers/a_empty.png", &whole);
    project.run(&until).expect(3, &["3 rows in quarantine"]);
    assert_eq!(project.number("embed", "misses") + project.number("embed", "hits"), 36 + 19);
    project
        .run(&["run", "--until", "perceive", "--set", "stages.embed.quarantine_threshold=0.01"])
        .expect(1, &["stage `embed` failed on 3 of 58 rows, more than its threshold of 1%", "hint: "]);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_folder_is_no_picture() {
    let project = own();
    assert!(Command::new("mkfifo").arg(project.path("stickers/x.png")).status().unwrap().success());
    project.run(&["run", "-q", "--until", "stickers"]).expect(0, &[]);
    assert_eq!(project.number("stickers", "rows"), 18);
}

#[test]
fn two_rows_with_one_id() {
    let yaml = SMALL.replace(
        "domain: target, count: 24, seed: 6",
        "domain: source, count: 24, seed: 5, dataset: portraits",
    );
    Project::new(&yaml).run(&["run"]).expect(1, &["two rows have the id `portraits/", "hint: ", "`dataset`"]);
}

#[test]
fn weights_that_do_not_fit() {
    let model = |change: &dyn Fn(&Project)| {
        let project = Project::new(&SMALL.replace(
            "kind: embed, inputs: [portraits, stickers], config: {",
            "kind: embed, inputs: [portraits, stickers], config: { model: tiny,",
        ));
        copy_folder(&repository("models/builtin/tiny"), &project.path("tiny"));
        change(&project);
        project.run(&["run", "--until", "embed"])
    };
    let replace = |project: &Project, from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let path = project.path("tiny/text_encoder/model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&path, bytes).unwrap();
    };
    let lost = "text_model.final_layer_norm.weight";
    model(&|p| replace(p, lost, "text_model.final_layer_norm.weighx"))
        .expect(1, &["stage `embed` failed", lost, "text_encoder", "hint: "]);
    model(&|p| replace(p, "[77,64]", "[64,77]"))
        .expect(1, &["stage `embed` failed", "position_embedding", "77"]);
    model(&|p| {
        let path = p.path("tiny/vlm/model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    })
    .expect(1, &["stage `embed` failed", "vlm", "model.safetensors"]);
    model(&|p| {
        fs::remove_file(p.path("tiny/tokenizer/tokenizer.json"))
            .and(fs::remove_file(p.path("tiny/tokenizer/vocab.json")))
            .unwrap()
    })
    .expect(2, &["tokenizer"]);
}

/// A disk that takes no more, as far as a process can tell: files may not grow beyond a size.
#[cfg(unix)]
#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    let project = Project::new(SMALL);
    let limited = |blocks: &str| {
        let run = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" run -q");
        let output = Command::new("bash")
            .args(["-c", &run, env!("CARGO_BIN_EXE_affectflow")])
            .current_dir(project.path(""))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = limited("300");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write `")
            && stderr.contains(
                "hint: free some space and run again, it goes on from there: `affectflow cache gc`"
            ),
        "{stderr}"
    );
    let leftover = walk(&project.path(".affectflow"))
        .into_iter()
        .filter(|name| name.contains("/.tmp-"))
        .collect::<Vec<_>>();
    assert!(leftover.is_empty(), "{leftover:?}");
    project.run(&["run", "-q"]).expect(0, &[]);
    assert_eq!(project.csv("adapt"), Project::warm().csv("adapt"));
}

/// As a user who may not write there; root may write anywhere, so it becomes nobody first.
#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let project = Project::new(SMALL);
    let program = project.path("affectflow");
    fs::copy(env!("CARGO_BIN_EXE_affectflow"), &program).unwrap();
    let root = fs::metadata(project.path("")).unwrap().uid() == 0;
    let mode = |mode| fs::set_permissions(project.path(""), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    let mut command = Command::new(&program);
    command.arg("run").current_dir(project.path(""));
    if root {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    mode(0o755);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot create `") && stderr.contains("ermission denied"), "{stderr}");
    assert!(
        stderr.contains("hint: it must be a folder that can be written; `--state DIR` names another one"),
        "{stderr}"
    );
    project.write("afile", "");
    project.run(&["run", "--state", "afile"]).expect(1, &["afile", "hint: it must be a folder"]);
}

#[test]
fn damage_in_what_export_reads_is_told_and_mended() {
    let project = Project::warm();
    let whole = project.csv("label");
    for list in walk(&project.path(".affectflow/cache/v1/lists")) {
        let mut bytes = fs::read(&list).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&list, bytes).unwrap();
    }
    project.run(&["export", "last", "label", "-o", "x.csv"]).expect(
        4,
        &["damaged cache file `v1/lists/", "hint: run the pipeline again: it writes anew which rows"],
    );
    assert!(!project.path("x.csv").exists());
    while project.run(&["export", "last", "label", "-o", "x.csv"]).code == 4 {
        project.run(&["run", "-q"]).expect(0, &[]);
    }
    assert_eq!(project.csv("label"), whole);
    for segment in walk(&project.path(".affectflow/cache/v1/rows")) {
        fs::remove_file(segment).unwrap();
    }
    project
        .run(&["export", "last", "label", "-o", "x.csv"])
        .expect(4, &["was there and is gone", "hint: run again"]);
    project.run(&["run", "-q"]).expect(0, &[]);
    assert_eq!(project.csv("label"), whole);
}

#[test]
fn a_run_mends_damaged_lists_before_anybody_exports_them() {
    let project = Project::warm();
    let whole = project.csv("label");
    let damage = || {
        for list in walk(&project.path(".affectflow/cache/v1/lists")) {
            let mut bytes = fs::read(&list).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&list, bytes).unwrap();
        }
    };
    damage();
    let run = project.run(&["run", "-q"]).expect(0, &["damaged cache file `v1/lists/", "writes it again"]);
    assert!(!run.stderr.contains("computed again"), "{}", run.stderr);
    assert!(project.computed().iter().all(|(_, rows)| *rows == 0));
    let export = project.run(&["export", "last", "label", "-o", "out.csv"]).expect(0, &[]);
    assert!(!export.stderr.contains("damaged"), "{}", export.stderr);
    assert_eq!(fs::read_to_string(project.path("out.csv")).unwrap(), whole);
    damage();
    project.run(&["cache", "verify"]).expect(4, &[]);
    project.run(&["run", "-q"]).expect(0, &[]);
    assert_eq!(project.csv("label"), whole);
}

#[test]
fn export_tells_of_a_damaged_sidecar_that_it_makes_again() {
    let project = Project::warm();
    let whole = project.csv("perceive");
    let sidecar = walk(
        &project
            .path(".affectflow/cache")
            .join(project.record()["stages"]["perceive"]["entries"].as_str().unwrap()),
    );
    let sidecar = sidecar.iter().find(|path| path.ends_with(".keys")).unwrap();
    let written = fs::read(sidecar).unwrap();
    let mut bytes = written.clone();
    bytes[20] ^= 1;
    fs::write(sidecar, bytes).unwrap();
    project
        .run(&["export", "last", "perceive", "-o", "out.csv"])
        .expect(0, &["warning: damaged cache file `v1/rows/", ".keys`", "made again from its segment"]);
    assert_eq!(fs::read_to_string(project.path("out.csv")).unwrap(), whole);
    assert!(fs::read(sidecar).unwrap() == written);
}

/// Every file below a folder.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path.to_str().unwrap().to_owned());
        }
    }
    found
}

fn first_sticker() -> String {
    let mut names: Vec<String> = fs::read_dir(repository("examples/stickers"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.remove(0)
}

/// A PNG whose header promises 30,000 x 30,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = 30_000u32.to_be_bytes();
    chunk(&mut png, b"IHDR", &[&side[..], &side[..], &[8, 2, 0, 0, 0]].concat());
    chunk(&mut png, b"IDAT", &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]);
    chunk(&mut png, b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let body = [&kind[..], data].concat();
    png.extend(&body);
    png.extend(crc(&body).to_be_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(!0, step)
}
