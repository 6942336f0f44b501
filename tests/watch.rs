//! Does `run --watch` run again for what changed, and for nothing else?
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::{Project, repository};

const WATCHED: &str = "
version: 1
pipelines:
  watched:
    stages:
      photos: { kind: ingest, config: { source: folder, path: photos, domain: target } }
      embed:  { kind: embed, config: { captions: captions.json }, quarantine_threshold: 0.5 }
";

/// The program watching, and what it says.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(project: &Project) -> Self {
        let mut command = project.command(&["run", "--watch"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Watch { child, lines }
    }

    /// What it says until it waits.
    fn until_it_waits(&self) -> String {
        let mut said = String::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("it does not wait, after\n{said}"));
            said += &format!("{line}\n");
            if line.starts_with("waiting for changes") {
                return said;
            }
        }
    }

    /// Ctrl-C, and the exit code.
    fn stop(mut self) -> i32 {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn picture(project: &Project, name: &str) {
    let photo = repository("examples/photos/happy");
    let mut photos: Vec<_> = fs::read_dir(photo).unwrap().map(|entry| entry.unwrap().path()).collect();
    photos.sort();
    project.write(&format!("photos/happy/{name}"), fs::read(&photos[0]).unwrap());
}

fn captions(project: &Project, names: &[&str]) {
    let lines = names.iter().map(|name| format!("\"happy/{name}\": \"a person smiles\""));
    project.write("captions.json", format!("{{{}}}", lines.collect::<Vec<_>>().join(", ")));
}

#[test]
fn it_runs_again_for_what_changed() {
    let project = Project::new(WATCHED);
    captions(&project, &["1.png", "2.png", "3.png"]);
    for name in ["1.png", "2.png"] {
        picture(&project, name);
    }
    let watch = Watch::start(&project);
    watch.until_it_waits();
    assert_eq!(project.number("embed", "misses"), 2);
    picture(&project, "3.png");
    let said = watch.until_it_waits();
    assert!(said.contains("changed: photos/happy/3.png\n"), "{said}");
    assert_eq!((project.number("embed", "misses"), project.number("embed", "hits")), (1, 2));
    captions(&project, &["1.png", "2.png"]);
    let said = watch.until_it_waits();
    assert!(
        said.contains("changed: captions.json\n") && said.contains("1 row in quarantine: 1 in `embed`"),
        "{said}"
    );
    fs::remove_file(project.path("photos/happy/3.png")).unwrap();
    watch.until_it_waits();
    assert_eq!(project.number("embed", "hits"), 2);
    assert_eq!(watch.stop(), 0);
}

#[test]
fn a_broken_file_is_told_and_watched_on() {
    let project = Project::new(&WATCHED.replace("kind: embed", "kind: embet"));
    let watch = Watch::start(&project);
    let said = watch.until_it_waits();
    assert!(said.contains("no folder `photos`") && said.contains("`embet`"), "{said}");
    captions(&project, &["1.png"]);
    picture(&project, "1.png");
    // Several changes may be several runs.
    let mut said = watch.until_it_waits();
    while said.contains("`photos`") {
        said = watch.until_it_waits();
    }
    assert!(said.contains("did you mean `embed`?"), "{said}");
    project.write("pipelines.yaml", WATCHED);
    let said = watch.until_it_waits();
    assert!(said.contains("changed: pipelines.yaml\n"), "{said}");
    assert_eq!(project.number("embed", "misses"), 1);
    project.write("pipelines.yaml", "version: 1");
    let said = watch.until_it_waits();
    assert!(said.contains("the file has no `pipelines`"), "{said}");
    assert_eq!(watch.stop(), 2, "the code of the last run");
}
