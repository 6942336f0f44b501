//! What does an editor ask, and what is it told? The Language Server Protocol, the small part that pipeline files need:
//! problems, completion, hover and definition, over whole texts and UTF-16 positions.
//!
//! One thread reads messages, one answers them in order. Problems are looked for once no message waits, so that somebody who
//! types fast is not told of every letter. Nothing that a file names is executed.

mod document;
mod problems;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;

use affectflow_pipeline::assist::{Draft, Language, What, complete, define, explain};
use affectflow_pipeline::spec::outline::closed;
use affectflow_pipeline::spec::{Spec, World, parse_in, regular};
use affectflow_pipeline::{Problem, Registry};
use serde_json::{Value, json};

use self::document::{Document, path_of, uri_of};
use self::wire::Incoming;
use crate::exit::{Exit, Failure, Outcome};

/// Answers messages until `exit`, or until nobody sends any more.
pub fn serve<R: BufRead>(
    input: impl FnOnce() -> R + Send + 'static,
    output: &mut impl Write,
    registry: &Registry,
) -> Outcome {
    let (send, messages) = channel();
    thread::spawn(move || {
        let mut input = input();
        loop {
            let message = wire::read(&mut input);
            let last = matches!(message, Incoming::End);
            if send.send(message).is_err() || last {
                break;
            }
        }
    });
    let language = Language::new(registry);
    let mut server = Server {
        registry,
        language: &language,
        output,
        documents: BTreeMap::new(),
        told: BTreeSet::new(),
        changed: false,
        stage: Stage::Waiting,
    };
    loop {
        let message = match messages.try_recv() {
            Ok(message) => message,
            Err(_) => {
                server.check()?;
                messages.recv().unwrap_or(Incoming::End)
            }
        };
        if let Some(exit) = server.message(message)? {
            return Ok(exit);
        }
    }
}

/// How far the conversation is.
#[derive(PartialEq, Eq)]
enum Stage {
    Waiting,
    Talking,
    Leaving,
}

struct Server<'a, W> {
    registry: &'a Registry,
    language: &'a Language<'a>,
    output: &'a mut W,
    documents: BTreeMap<String, Document>,
    /// Files of which problems were told.
    told: BTreeSet<String>,
    changed: bool,
    stage: Stage,
}

const NOT_JSON: i64 = -32700;
const NO_REQUEST: i64 = -32600;
const NO_METHOD: i64 = -32601;
const WRONG_PARAMS: i64 = -32602;
const NOT_YET: i64 = -32002;

impl<W: Write> Server<'_, W> {
    fn message(&mut self, message: Incoming) -> Result<Option<Exit>, Failure> {
        let message = match message {
            Incoming::Message(message) => message,
            Incoming::Malformed(why) => {
                self.refuse(&Value::Null, NOT_JSON, &why)?;
                return Ok(None);
            }
            Incoming::End => return Ok(Some(self.end())),
        };
        let (method, id) = (message.get("method").and_then(Value::as_str), message.get("id"));
        match (method, id) {
            (Some("exit"), _) => return Ok(Some(self.end())),
            (Some(method), Some(id)) => self.request(method, id, &message["params"])?,
            (Some(method), None) if self.stage == Stage::Talking => {
                self.notice(method, &message["params"])?
            }
            (Some(_), None) => {}
            // An answer to something that was never asked.
            (None, Some(_)) if message.get("result").or(message.get("error")).is_some() => {}
            (None, id) => self.refuse(id.unwrap_or(&Value::Null), NO_REQUEST, "a message needs `method`")?,
        }
        Ok(None)
    }

    fn end(&self) -> Exit {
        if self.stage == Stage::Leaving { Exit::Done } else { Exit::Failed }
    }

    fn request(&mut self, method: &str, id: &Value, params: &Value) -> Result<(), Failure> {
        match (&self.stage, method) {
            (Stage::Waiting, "initialize") => {
                self.stage = Stage::Talking;
                return self.answer(id, capabilities());
            }
            (Stage::Waiting, _) => return self.refuse(id, NOT_YET, "the first request is `initialize`"),
            (Stage::Leaving, _) => {
                return self.refuse(id, NO_REQUEST, "nothing but `exit` follows `shutdown`");
            }
            (Stage::Talking, "initialize") => return self.refuse(id, NO_REQUEST, "`initialize` came before"),
            (Stage::Talking, "shutdown") => {
                self.stage = Stage::Leaving;
                return self.answer(id, Value::Null);
            }
            (Stage::Talking, _) => {}
        }
        let look = match method {
            "textDocument/completion" => completion,
            "textDocument/hover" => hover,
            "textDocument/definition" => definition,
            _ => return self.refuse(id, NO_METHOD, &format!("the request `{method}` is not served")),
        };
        let Some((uri, line, character)) = asked(params) else {
            return self.refuse(id, WRONG_PARAMS, "`textDocument.uri` and `position` are needed");
        };
        let Some(document) = self.documents.get(uri) else { return self.answer(id, Value::Null) };
        let read = |path: &Path| self.text(path);
        let (line, column) = document.place(line, character);
        let spec = self.spec(document, line);
        let spec = spec.as_ref().or(document.spec.as_ref());
        // A file with plugins has words of its own.
        let with_plugins = spec.filter(|spec| !spec.plugins.is_empty());
        let base = document.path.parent().unwrap_or(Path::new("."));
        let registry = with_plugins.map(|spec| self.registry.with_plugins(spec, base).0);
        let language = registry.as_ref().map(Language::new);
        let language = language.as_ref().unwrap_or(self.language);
        let draft = Draft::new(language, &document.path, &document.text, &read, spec);
        let found = look(&draft, document, line, column);
        self.answer(id, found)
    }

    fn notice(&mut self, method: &str, params: &Value) -> Result<(), Failure> {
        let document = &params["textDocument"];
        let Some(uri) = document["uri"].as_str() else { return Ok(()) };
        let text = match method {
            "textDocument/didOpen" => document["text"].as_str(),
            // Texts come whole: the last one counts.
            "textDocument/didChange" => {
                let changes = params["contentChanges"].as_array();
                changes.and_then(|all| all.last()).and_then(|change| change["text"].as_str())
            }
            "textDocument/didClose" => {
                self.changed |= self.documents.remove(uri).is_some();
                return Ok(());
            }
            _ => return Ok(()),
        };
        if let Some(text) = text {
            let earlier = self.documents.remove(uri).and_then(|document| document.spec);
            let document = Document { path: path_of(uri), text: text.to_owned(), spec: earlier };
            self.documents.insert(uri.to_owned(), document);
            self.changed = true;
        }
        Ok(())
    }

    /// The text of a file: as the editor has it, else as it lies on the disk.
    fn text(&self, path: &Path) -> Option<String> {
        let open = self.documents.values().find(|document| document.path == path);
        open.map(|document| document.text.clone()).or_else(|| std::fs::read_to_string(path).ok())
    }

    /// Reads a text as that of a document; what it includes comes from the editor where it is open there.
    fn read(&self, document: &Document, text: &str) -> (Option<Spec>, Vec<Problem>) {
        let read = |path: &Path| match self.documents.values().find(|other| other.path == path) {
            Some(open) => Ok(open.text.clone().into_bytes()),
            None => regular(path),
        };
        let world = World { env: &|name| std::env::var(name).ok(), read: &read };
        parse_in(text, &document.path.display().to_string(), &[], &world)
    }

    /// What a document says, as it is or with what is open in a line closed; `None` where neither can be read.
    fn spec(&self, document: &Document, line: usize) -> Option<Spec> {
        let known = |text: &str| self.read(document, text).0.filter(|spec| !spec.pipelines.is_empty());
        known(&document.text).or_else(|| closed(&document.text, line).iter().find_map(|text| known(text)))
    }

    /// Looks for problems in all that is open and tells them, with an empty list where there were some before.
    fn check(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let mut files: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut specs = Vec::new();
        for (uri, document) in &self.documents {
            let (spec, found) = self.read(document, &document.text);
            let found = problems::all(spec.as_ref(), found, self.registry, document);
            files.entry(uri.clone()).or_default();
            for (file, told) in problems::told(&found, document, &|path| self.text(path)) {
                let uri = if file == document.path { uri.clone() } else { uri_of(&file) };
                let known = files.entry(uri).or_default();
                if !known.contains(&told) {
                    known.push(told);
                }
            }
            specs.extend(spec.filter(|spec| !spec.pipelines.is_empty()).map(|spec| (uri.clone(), spec)));
        }
        for (uri, spec) in specs {
            if let Some(document) = self.documents.get_mut(&uri) {
                document.spec = Some(spec);
            }
        }
        for gone in std::mem::take(&mut self.told) {
            files.entry(gone).or_default();
        }
        for (uri, diagnostics) in files {
            if !diagnostics.is_empty() {
                self.told.insert(uri.clone());
            }
            let params = json!({ "uri": uri, "diagnostics": diagnostics });
            self.send(
                json!({ "jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params }),
            )?;
        }
        Ok(())
    }

    fn answer(&mut self, id: &Value, result: Value) -> Result<(), Failure> {
        self.send(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
    }

    fn refuse(&mut self, id: &Value, code: i64, message: &str) -> Result<(), Failure> {
        self.send(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
    }

    fn send(&mut self, message: Value) -> Result<(), Failure> {
        Ok(wire::write(self.output, &message)?)
    }
}

fn capabilities() -> Value {
    json!({
        "capabilities": {
            "positionEncoding": "utf-16",
            "textDocumentSync": { "openClose": true, "change": 1 },
            "completionProvider": { "triggerCharacters": [" ", "{", "[", ",", ".", "/"] },
            "hoverProvider": true,
            "definitionProvider": true,
        },
        "serverInfo": { "name": "affectflow", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// The document and the position that a request asks about.
fn asked(params: &Value) -> Option<(&str, usize, usize)> {
    let position = &params["position"];
    let number = |key: &str| position[key].as_u64().and_then(|number| usize::try_from(number).ok());
    Some((params["textDocument"]["uri"].as_str()?, number("line")?, number("character")?))
}

fn completion(draft: &Draft<'_>, document: &Document, line: usize, column: usize) -> Value {
    let item = |(at, one): (usize, affectflow_pipeline::assist::Suggestion)| {
        let kind = match one.what {
            What::Field => 5,
            What::Variable => 6,
            What::Kind => 7,
            What::Value => 12,
            What::Name => 18,
            What::Column => 20,
        };
        json!({
            "label": one.label,
            "kind": kind,
            "detail": one.detail,
            "documentation": { "kind": "markdown", "value": one.docs },
            "sortText": format!("{at:04}"),
            "filterText": one.label,
            "textEdit": { "range": document.range(line, one.from, one.to), "newText": one.insert },
        })
    };
    let items: Vec<Value> = complete(draft, line, column).into_iter().enumerate().map(item).collect();
    json!({ "isIncomplete": false, "items": items })
}

fn hover(draft: &Draft<'_>, document: &Document, line: usize, column: usize) -> Value {
    let Some((text, item)) = explain(draft, line, column) else { return Value::Null };
    let range = document.range(item.line, item.column, item.column + item.text.chars().count());
    json!({ "contents": { "kind": "markdown", "value": text }, "range": range })
}

fn definition(draft: &Draft<'_>, document: &Document, line: usize, column: usize) -> Value {
    let Some(target) = define(draft, line, column) else { return Value::Null };
    let own = target.file == document.path;
    let text = if own { Some(document.text.clone()) } else { std::fs::read_to_string(&target.file).ok() };
    let there = Document { path: target.file, text: text.unwrap_or_default(), spec: None };
    json!({ "uri": uri_of(&there.path), "range": there.range(target.line, target.column, target.column + target.length) })
}
