//! What does an editor see? Real messages to the real program, as they travel over its standard input and output.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use common::Project;
use serde_json::{Value, json};

/// A file with one mistake of each sort.
const BROKEN: &str = "\
version: 1
vars: { seed: 7 }
pipelines:
  p:
    stages:
      faces: { kind: ingest, config: { source: twemoji, dataset: '😀', cuont: 3 } }
      few: { kind: smaple }
";

/// The same, mended.
const MENDED: &str = "\
version: 1
vars: { seed: 7 }
templates:
  drawn: { kind: sample, config: { count: 3 } }
pipelines:
  p:
    stages:
      faces: { kind: ingest, config: { source: twemoji, dataset: '😀' } }
      few: { use: drawn, inputs: [faces], config: { seed: \"${vars.seed}\" } }
";

/// An editor with the program behind it.
struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    uri: String,
    asked: u64,
    version: u64,
}

impl Editor {
    fn silent(project: &Project) -> Self {
        let mut command = project.command(&["lsp"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let folder = project.path("").canonicalize().unwrap();
        let uri = format!("file://{}/pipelines.yaml", folder.display());
        Editor { child, input, output, uri, asked: 0, version: 0 }
    }

    /// Greeted, with a text open; gives the problems told of it.
    fn open(project: &Project, text: &str) -> (Self, Vec<Value>) {
        let mut editor = Editor::silent(project);
        let greeting = editor.ask("initialize", json!({ "capabilities": {} }));
        assert_eq!(greeting["result"]["capabilities"]["positionEncoding"], "utf-16");
        editor.tell("initialized", json!({}));
        let document = json!({ "uri": editor.uri, "languageId": "yaml", "version": 0, "text": text });
        editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
        let problems = editor.problems();
        (editor, problems)
    }

    fn raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The next message of the program.
    fn next(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the program is gone");
            match line.trim_end().strip_prefix("Content-Length: ") {
                Some(number) => length = number.parse().unwrap(),
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The answer to a request; problems told meanwhile are passed over.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params }));
        loop {
            let message = self.next();
            if message["id"] == self.asked {
                return message;
            }
        }
    }

    fn change(&mut self, text: &str) {
        self.version += 1;
        let document = json!({ "uri": self.uri, "version": self.version });
        let changes = json!([{ "text": text }]);
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
    }

    /// The problems told next of the open file.
    fn problems(&mut self) -> Vec<Value> {
        loop {
            let message = self.next();
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == self.uri
            {
                return message["params"]["diagnostics"].as_array().unwrap().clone();
            }
        }
    }

    /// Asks about the place where `|` stands in a text.
    fn at(&mut self, method: &str, text: &str) -> Value {
        let (before, _) = text.split_once('|').unwrap();
        let line = before.matches('\n').count();
        let character = before.rsplit('\n').next().unwrap().encode_utf16().count();
        self.change(&text.replacen('|', "", 1));
        let position = json!({ "line": line, "character": character });
        self.ask(method, json!({ "textDocument": { "uri": self.uri }, "position": position }))["result"]
            .clone()
    }

    fn completions(&mut self, text: &str) -> Vec<String> {
        let found = self.at("textDocument/completion", text);
        found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["label"].as_str().unwrap().to_owned())
            .collect()
    }

    fn hover(&mut self, text: &str) -> String {
        self.at("textDocument/hover", text)["contents"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Line and characters that a name leads to, counted from 0.
    fn definition(&mut self, text: &str) -> (String, u64, u64, u64) {
        let found = self.at("textDocument/definition", text);
        let number = |end: &str, key: &str| found["range"][end][key].as_u64().unwrap();
        let file = found["uri"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (file, number("start", "line"), number("start", "character"), number("end", "character"))
    }

    /// Says goodbye as the protocol wants it; gives the exit code.
    fn leave(mut self) -> i32 {
        assert_eq!(self.ask("shutdown", Value::Null)["result"], Value::Null);
        self.tell("exit", Value::Null);
        self.child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn problems_stand_at_their_words_and_go_when_they_are_mended() {
    let project = Project::new(BROKEN);
    let (mut editor, problems) = Editor::open(&project, BROKEN);
    let shown: Vec<String> = problems
        .iter()
        .map(|one| {
            let (start, end) = (&one["range"]["start"], &one["range"]["end"]);
            let place = format!("{}:{}-{}", start["line"], start["character"], end["character"]);
            format!("{place} {}", one["message"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        shown,
        [
            "5:71-76 `faces` has no option `cuont`\nhint: did you mean `count`?",
            "6:19-25 `few` is of kind `smaple`, which does not exist\nhint: did you mean `sample`?",
        ]
    );
    editor.change(MENDED);
    assert_eq!(editor.problems(), Vec::<Value>::new());
    editor.change("version: 1\npipelines: [\n");
    assert_eq!(editor.problems().len(), 1);
    assert_eq!(editor.leave(), 0);
    assert!(!project.path(".affectflow").exists(), "nothing is left behind");
}

#[test]
fn what_can_stand_at_a_place_is_offered_in_broken_text_too() {
    let project = Project::new(MENDED);
    let (mut editor, _) = Editor::open(&project, MENDED);
    let stage = |rest: &str| format!("{MENDED}      more:{rest}\n");
    assert_eq!(
        editor.completions("version: 1\npipelines:\n  p:\n    |\n"),
        ["description", "extends", "matrix", "stages"]
    );
    assert!(editor.completions(&stage(" { kind: emb|")).starts_with(&["embed".to_owned()]));
    assert_eq!(editor.completions(&stage(" { kind: filter, con|")), ["config"]);
    assert_eq!(editor.completions(&stage(" { kind: sample, inputs: [faces, |")), ["few"]);
    assert_eq!(editor.completions(&stage("\n        use: |")), ["drawn"]);
    assert_eq!(
        editor.completions(&stage("\n        kind: sample\n        config:\n          se|")),
        ["seed"]
    );
    assert_eq!(
        editor.completions(&stage(" { kind: sample, config: { count: 5, |")),
        ["fraction", "seed", "by"]
    );
    assert!(
        editor.completions(&stage(" { kind: ingest, config: { source: |")).contains(&"twemoji".to_owned())
    );
    assert_eq!(editor.completions(&stage(" { kind: sample, config: { seed: \"${va|")), ["vars.seed"]);
    assert_eq!(editor.completions(&stage(" { kind: sample, config: { by: eval|")), ["eval_label"]);
    assert!(
        editor.completions(&stage(" { kind: filter, config: { where: { dom|")).contains(&"domain".to_owned())
    );
    let test = |rest: &str| format!("{MENDED}tests:\n  t:{rest}\n");
    assert_eq!(editor.completions(&test("\n    quar|")), ["quarantined"]);
    assert_eq!(editor.completions(&test(" { stage: f|")), ["faces", "few"]);
    assert_eq!(editor.completions(&test(" { pipeline: |")), ["p"]);
    assert_eq!(editor.completions(&test(" { kind: sample, config: { fra|")), ["fraction"]);
    assert_eq!(editor.completions(&test(" { kind: samp|")), ["sample"]);
    assert_eq!(editor.completions(&test(" { stage: few, rows: { fac|")), ["faces"]);
    assert_eq!(editor.completions(&test(" { stage: few, where: { label: { m|")), ["min", "max"]);
    assert_eq!(editor.completions(&test(" { stage: few, where: { eval|")), ["eval_label"]);
    assert_eq!(editor.completions(&test(" { stage: few, columns: [eval|")), ["eval_label"]);
    assert_eq!(editor.completions(&test(" { stage: few, rows: [{ eval|")), ["eval_label"]);
    assert_eq!(editor.completions(&test(" { stage: few, rows: { faces: [{ dom|")), ["domain"]);
    assert_eq!(editor.completions(&test(" { stage: few, expect: [{ dom|")), ["domain"]);
    assert_eq!(editor.completions(&test(" { stage: few, types: { eval|")), ["eval_label"]);
    assert_eq!(editor.completions(&test(" { stage: few, types: { x: int3|")), ["int32", "uint32"]);
    assert_eq!(editor.completions(&test(" { stage: few, set: { vars.s|")), ["vars.seed"]);
    assert_eq!(
        editor.completions(&test(" { stage: few, set: { stages.few.config.fr|")),
        ["stages.few.config.fraction"]
    );
    assert_eq!(
        editor.completions(&test(" { kind: filter, rows: [{ mood: a }], config: { where: { mo|")),
        ["mood"]
    );
    assert_eq!(editor.completions(&test(" { kind: join, rows: { |")), ["left", "right"]);
    assert_eq!(editor.completions(&test(" { stage: few, rows: { |")), ["faces"]);
    assert_eq!(editor.completions(&test(" { stage: few, rows: [{ label: ang|")), ["anger"]);
    assert_eq!(editor.completions(&test(" { stage: few, where: { label: { not: [sa|")), ["sad"]);
    assert_eq!(editor.completions(&stage(" { kind: filter, config: { where: { label: [sa|")), ["sad"]);
    assert_eq!(editor.completions(&stage(" { kind: join, inputs: { le|")), ["left"]);
    assert_eq!(editor.completions(&stage(" { kind: export, config: { columns: [eval|")), ["eval_label"]);
    assert_eq!(editor.completions(&stage(" { kind: select, config: { rename: { eval|")), ["eval_label"]);
    assert_eq!(
        editor.completions(&format!("{MENDED}  q:\n    extends: p\n    stages:\n      fe|\n")),
        ["few"]
    );
    assert!(editor.completions("version: 1\npipelines:\n  p: { extends: |").is_empty());
    assert!(editor.completions("version: 1 # |\n").is_empty());
    let found = editor.at("textDocument/completion", &stage(" { kind: sample, config: { cou|"));
    let item = &found["items"][0];
    assert_eq!(item["textEdit"]["newText"], "count: ");
    assert_eq!(item["detail"], "a whole number or nothing, at least 1; in rows");
    assert!(item["documentation"]["value"].as_str().unwrap().contains("Number of rows to keep"), "{item}");
    assert_eq!(editor.leave(), 0);
}

#[test]
fn words_are_explained_and_lead_to_where_they_come_from() {
    let project = Project::new(MENDED);
    project.write("other.yaml", "version: 1\ntemplates:\n  far: { kind: sample, config: { count: 1 } }\n");
    let (mut editor, _) = Editor::open(&project, MENDED);
    let put = |from: &str, to: &str| {
        assert!(MENDED.contains(from));
        MENDED.replacen(from, to, 1)
    };
    assert!(
        editor.hover(&put("kind: sample", "kind: sam|ple")).starts_with("**sample**: Draws rows by seed")
    );
    assert!(editor.hover(&put("count: 3", "cou|nt: 3")).contains("Number of rows to keep"));
    assert!(editor.hover(&put("inputs:", "inp|uts:")).contains("The stage or stages it takes rows from"));
    assert_eq!(editor.hover(&put("vars.seed", "vars.se|ed")), "`seed` is `7` (line 2)");
    assert_eq!(editor.hover(&put("version: 1", "version: 1 | ")), "");
    let own = |line, from, to| ("pipelines.yaml".to_owned(), line, from, to);
    assert_eq!(editor.definition(&put("[faces]", "[fa|ces]")), own(7, 6, 11));
    assert_eq!(editor.definition(&put("use: drawn", "use: dr|awn")), own(3, 2, 7));
    assert_eq!(editor.definition(&put("vars.seed", "vars.|seed")), own(1, 8, 12));
    let including = put("vars:", "include: other.yaml\nvars:").replacen("use: drawn", "use: f|ar", 1);
    assert_eq!(editor.definition(&including), ("other.yaml".to_owned(), 2, 2, 5));
    let tested = format!("{MENDED}tests: {{ t: {{ stage: fe|w, rows: [], count: 0 }} }}\n");
    assert_eq!(editor.definition(&tested), own(8, 6, 9));
    assert!(
        editor
            .hover(&tested.replace("fe|w", "few").replace("count: 0", "cou|nt: 0"))
            .contains("Number of rows that leave")
    );
    let changed = format!("{MENDED}tests: {{ t: {{ stage: few, set: {{ vars.se|ed: 1 }}, count: 0 }} }}\n");
    assert_eq!(editor.definition(&changed), own(1, 8, 12));
    let given = format!("{MENDED}tests: {{ t: {{ stage: few, rows: {{ fa|ces: [] }}, count: 0 }} }}\n");
    assert_eq!(editor.definition(&given), own(7, 6, 11));
    assert!(editor.hover(&given).contains("**faces**: stage of kind `ingest`"), "{}", editor.hover(&given));
    let stage = editor.hover(&put("[faces]", "[fa|ces]"));
    assert!(stage.contains("Columns that leave it: `id` (utf8), "), "{stage}");
    let column = format!("{MENDED}      more: {{ kind: sample, config: {{ count: 1, by: dom|ain }} }}\n");
    assert!(editor.hover(&column).starts_with("**domain**: utf8\n\n"), "{}", editor.hover(&column));
    let second = format!("{MENDED}  q: {{ extends: p|, stages: {{ few: null }} }}\n");
    assert_eq!(editor.definition(&second), own(5, 2, 3));
    assert!(editor.hover(&second).contains("Stages: `faces`, `few`"), "{}", editor.hover(&second));
    let changed = format!("{MENDED}  q: {{ extends: p, stages: {{ f|ew: null }} }}\n");
    assert_eq!(editor.definition(&changed), own(8, 6, 9));
    let used = editor.hover(&put("use: drawn", "use: dr|awn"));
    assert!(used.starts_with("**drawn**: template of a stage of kind `sample`"), "{used}");
    assert_eq!(editor.leave(), 0);
}

#[test]
fn what_makes_no_sense_is_refused_and_the_talk_goes_on() {
    let project = Project::new(MENDED);
    let mut editor = Editor::silent(&project);
    assert_eq!(editor.ask("textDocument/hover", json!({}))["error"]["code"], -32002);
    editor.ask("initialize", json!({}));
    for bytes in [
        &b"Content-Length: 7\r\n\r\n{\"a\": ]"[..],
        b"Content-Length: many\r\n\r\n",
        b"no header\r\n\r\n",
        b"\r\n",
        b"Content-Length: 2\r\n\r\n[]",
    ] {
        editor.raw(bytes);
        assert_eq!(editor.next()["error"]["code"], -32700, "{}", String::from_utf8_lossy(bytes));
    }
    editor.send(&json!({ "jsonrpc": "2.0", "id": "x" }));
    assert_eq!(editor.next()["error"]["code"], -32600);
    assert_eq!(editor.ask("workspace/symbol", json!({}))["error"]["code"], -32601);
    assert_eq!(editor.ask("textDocument/hover", json!({ "textDocument": 1 }))["error"]["code"], -32602);
    let far = json!({ "textDocument": { "uri": "file:///nowhere.yaml" }, "position": { "line": 0, "character": 0 } });
    assert_eq!(editor.ask("textDocument/hover", far)["result"], Value::Null);
    editor.tell("textDocument/didChange", json!({ "contentChanges": 3 }));
    assert_eq!(editor.leave(), 0);
}

#[test]
fn an_editor_that_is_gone_ends_the_server() {
    let project = Project::new(MENDED);
    let (mut editor, _) = Editor::open(&project, MENDED);
    editor.input = None;
    assert_eq!(editor.child.wait().unwrap().code(), Some(1));
}
