//! How does text become a tree? Over the parser's events, so that every key and value keeps its place, duplicate keys
//! are found, and anchors cannot grow beyond a budget.

use std::collections::HashMap;
use std::rc::Rc;

use serde_yaml::granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::node::{Entry, Node, Value};
use crate::error::{Problem, Span};

/// Deepest nesting, anchors written out.
pub(crate) const DEEPEST: usize = 100;
/// What `!!` stands for.
const YAML: &str = "tag:yaml.org,2002:";
/// Most values that anchors or variables may multiply a file by.
pub(crate) const COPIES: usize = 200_000;

/// The tree, with what is wrong but did not stop the reading (duplicate keys); an error is one that did.
pub(crate) fn parse(text: &str, file: &str) -> Result<(Node, Vec<Problem>), Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::new(file);
    for step in Parser::new_from_str(text) {
        let (event, span) = step.map_err(|error| syntax(&error, text, file))?;
        builder.event(event, &span.start)?;
    }
    let root = builder.root.unwrap_or_else(|| Node::new(Value::Null, builder.start));
    Ok((root, builder.problems))
}

/// A plain scalar by the core schema of YAML 1.2.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        _ => number(text).unwrap_or_else(|| Value::Str(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = |digits: &str, radix| i128::from_str_radix(digits, radix).ok().map(Value::Int);
    if let Some(digits) = text.strip_prefix("0x") {
        return digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| whole(digits, 16))?;
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return digits.bytes().all(|b| b.is_ascii_digit()).then(|| whole(digits, 8))?;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts = unsigned.strip_prefix('.').unwrap_or(unsigned).starts_with(|c: char| c.is_ascii_digit());
    if !starts || !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return None;
    }
    let integer = unsigned.bytes().all(|b| b.is_ascii_digit()).then(|| whole(text, 10)).flatten();
    integer.or_else(|| text.parse().ok().map(Value::Float))
}

struct Builder<'a> {
    file: &'a str,
    start: Span,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    copied: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

#[derive(Clone)]
struct Anchor {
    node: Rc<Node>,
    count: usize,
    height: usize,
}

struct Frame {
    anchor: usize,
    span: Span,
    inside: Inside,
}

enum Inside {
    Seq(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, usize>, merges: Vec<Node>, key: Option<Key> },
}

enum Key {
    Merge,
    Named(String, Span),
    Refused,
}

impl<'a> Builder<'a> {
    fn new(file: &'a str) -> Self {
        let start = Span { file: file.to_owned(), line: 1, column: 1 };
        Builder {
            file,
            start,
            frames: Vec::new(),
            anchors: HashMap::new(),
            copied: 0,
            root: None,
            problems: Vec::new(),
        }
    }

    fn span(&self, mark: &Marker) -> Span {
        Span { file: self.file.to_owned(), line: mark.line(), column: mark.col() + 1 }
    }

    fn event(&mut self, event: Event<'_>, mark: &Marker) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let problem = Problem::new("a second document begins here").at(self.span(mark));
                return Err(problem.hint("one file holds one document: remove the line `---`"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), mark);
                let merge = text == "<<" && style == ScalarStyle::Plain;
                self.done(Node::new(value, self.span(mark)), anchor, merge)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.known_tag(tag.as_deref(), mark);
                self.open(anchor, mark, Inside::Seq(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.known_tag(tag.as_deref(), mark);
                let inside =
                    Inside::Map { entries: Vec::new(), seen: HashMap::new(), merges: Vec::new(), key: None };
                self.open(anchor, mark, inside)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => {
                let node = self.copy(anchor, mark)?;
                self.done(node, 0, false)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: &Marker) -> Value {
        self.known_tag(tag, mark);
        match tag.map(Tag::suffix) {
            Some("str") => Value::Str(text.to_owned()),
            None if style != ScalarStyle::Plain => Value::Str(text.to_owned()),
            _ => plain(text),
        }
    }

    fn known_tag(&mut self, tag: Option<&Tag>, mark: &Marker) {
        let Some(tag) = tag else { return };
        let known = ["str", "int", "float", "bool", "null", "seq", "map"];
        if tag.handle() != YAML || !known.contains(&tag.suffix()) {
            let handle = if tag.handle() == YAML { "!!" } else { tag.handle() };
            let problem = Problem::new(format!("the tag `{handle}{}` is not known here", tag.suffix()));
            self.problems
                .push(problem.at(self.span(mark)).hint("remove it: types come from the stage's options"));
        }
    }

    fn open(&mut self, anchor: usize, mark: &Marker, inside: Inside) -> Result<(), Problem> {
        let span = self.span(mark);
        if self.frames.len() + 1 >= DEEPEST {
            return Err(too_deep(span));
        }
        self.frames.push(Frame { anchor, span, inside });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let value = match frame.inside {
            Inside::Seq(items) => Value::Seq(items),
            Inside::Map { entries, seen, merges, .. } => Value::Map(self.merge(entries, seen, merges)),
        };
        self.done(Node::new(value, frame.span), frame.anchor, false)
    }

    /// `<<: *defaults`: what the map itself does not say.
    fn merge(
        &mut self,
        mut entries: Vec<Entry>,
        mut seen: HashMap<String, usize>,
        merges: Vec<Node>,
    ) -> Vec<Entry> {
        for merge in merges {
            let maps = match merge.value {
                Value::Seq(items) => items,
                _ => vec![merge],
            };
            for map in maps {
                match map.value {
                    Value::Map(more) => {
                        let new = |entry: &Entry| seen.insert(entry.key.clone(), entry.span.line).is_none();
                        entries.extend(more.into_iter().filter(new));
                    }
                    _ => self.problems.push(
                        Problem::new(format!("`<<` takes a map or a list of maps, not {map}"))
                            .at(map.span.clone()),
                    ),
                }
            }
        }
        entries
    }

    fn copy(&mut self, anchor: usize, mark: &Marker) -> Result<Node, Problem> {
        let span = self.span(mark);
        let Some(found) = self.anchors.get(&anchor).cloned() else {
            return Err(Problem::new("this anchor stands inside itself").at(span));
        };
        self.copied += found.count;
        if self.copied > COPIES {
            let problem = Problem::new("anchors make this file too large once they are written out").at(span);
            return Err(problem.hint(format!("at most {COPIES} values may come from anchors")));
        }
        if self.frames.len() + found.height >= DEEPEST {
            return Err(too_deep(span));
        }
        Ok(Node { span, ..(*found.node).clone() })
    }

    fn done(&mut self, node: Node, anchor: usize, merge: bool) -> Result<(), Problem> {
        if anchor != 0 {
            let (count, height) = node.size();
            self.copied += count;
            if self.copied > 4 * COPIES {
                return Err(Problem::new("anchors mark too much of this file").at(node.span));
            }
            self.anchors.insert(anchor, Anchor { node: Rc::new(node.clone()), count, height });
        }
        match self.frames.last_mut().map(|frame| &mut frame.inside) {
            None => self.root = Some(node),
            Some(Inside::Seq(items)) => items.push(node),
            Some(Inside::Map { entries, seen, merges, key }) => match key.take() {
                None => *key = Some(read_key(node, merge, seen, &mut self.problems)),
                Some(Key::Merge) => merges.push(node),
                Some(Key::Refused) => {}
                Some(Key::Named(key, span)) => entries.push(Entry { key, span, value: node }),
            },
        }
        Ok(())
    }
}

fn read_key(node: Node, merge: bool, seen: &mut HashMap<String, usize>, problems: &mut Vec<Problem>) -> Key {
    if merge {
        return Key::Merge;
    }
    let text = match node.value {
        Value::Str(text) => text,
        Value::Null => "null".to_owned(),
        Value::Seq(_) | Value::Map(_) => {
            problems.push(Problem::new(format!("a key must be text, not {node}")).at(node.span));
            return Key::Refused;
        }
        _ => node.to_json().to_string(),
    };
    let Some(first) = seen.get(&text) else {
        seen.insert(text.clone(), node.span.line);
        return Key::Named(text, node.span);
    };
    let problem = Problem::new(format!("the key `{text}` stands twice in this map")).at(node.span);
    problems.push(problem.hint(format!("the first is in line {first}: rename or remove one")));
    Key::Refused
}

fn too_deep(span: Span) -> Problem {
    Problem::new("values are nested too deeply here")
        .at(span)
        .hint(format!("at most {DEEPEST} levels, anchors written out"))
}

/// The first `${...}` of a line that no quotes are around, and the characters before it.
fn bare_reference(line: &str) -> Option<(usize, &str)> {
    let mut quote = None;
    for (count, (at, c)) in line.char_indices().enumerate() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '$') if line[at..].starts_with("${") => {
                let end = line[at..].find('}').map_or(line.len(), |end| at + end + 1);
                return Some((count, &line[at..end]));
            }
            _ => {}
        }
    }
    None
}

/// The tab that indents a line, or the one below it: the parser stops at the end of the value before.
fn tab_indent(text: &str, line: usize) -> Option<(usize, usize)> {
    let near = text.lines().enumerate().skip(line - 1).take(2);
    near.map(|(at, line)| (at + 1, &line[..line.len() - line.trim_start().len()]))
        .find_map(|(line, indent)| indent.find('\t').map(|tab| (line, tab + 1)))
}

/// The parser's refusal in plain words.
fn syntax(error: &ScanError, text: &str, file: &str) -> Problem {
    use ErrorKind as K;
    let mark = error.marker();
    let mut span = Span { file: file.to_owned(), line: mark.line().max(1), column: mark.col() + 1 };
    if let Some((line, column)) = tab_indent(text, span.line) {
        return Problem::new("a tab is used for indentation")
            .at(Span { line, column, ..span })
            .hint("YAML indents with spaces: replace each tab by two");
    }
    let line = text.lines().nth(span.line - 1).unwrap_or_default();
    if matches!(
        error.kind(),
        K::MappingValueNotAllowed | K::InvalidColonPlacement | K::ExpectedFlowSequenceSeparator
    ) && let Some((bracket, line, column)) = open_bracket(text, mark.index())
        && line < span.line
    {
        let close = if bracket == '[' { ']' } else { '}' };
        let span = Span { line, column, ..span };
        return Problem::new(format!("this `{bracket}` is not closed"))
            .at(span)
            .hint(format!("close it with `{close}`"));
    }
    let flow = matches!(
        error.kind(),
        K::UnexpectedEofFlowMapping
            | K::UnexpectedEofImplicitFlowMapping
            | K::ExpectedFlowMappingSeparator
            | K::ExpectedFlowSequenceSeparator
            | K::UnclosedFlowCollection { .. }
            | K::MismatchedFlowCollectionEnd { .. }
            | K::MisplacedFlowCollectionEnd
    );
    if let Some((at, reference)) = bare_reference(line).filter(|_| flow) {
        span.column = at + 1;
        return Problem::new("a reference between brackets needs quotes")
            .at(span)
            .hint(format!("write `\"{reference}\"`"));
    }
    let (message, hint) = match error.kind() {
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabInPlainScalar
        | K::TabAtBlockScalarStart => {
            ("a tab stands where YAML wants spaces", "replace each tab by two spaces")
        }
        K::UnexpectedEofFlowSequence | K::ExpectedFlowSequenceSeparator => {
            ("this list is not closed, or a comma is missing", "lists are written `[a, b]`")
        }
        K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping
        | K::ExpectedFlowMappingSeparator => {
            ("this map is not closed, or a comma is missing", "maps are written `{a: 1, b: 2}`")
        }
        K::UnclosedFlowCollection { .. }
        | K::MismatchedFlowCollectionEnd { .. }
        | K::MisplacedFlowCollectionEnd => {
            ("a bracket has no partner", "every `[` needs its `]`, every `{` its `}`")
        }
        K::UnclosedQuotedScalar | K::DocumentIndicatorInQuotedScalar => {
            ("a quote is not closed", "end the text with the quote it began with")
        }
        K::UnknownQuotedScalarEscape => (
            "an unknown `\\` escape",
            "in double quotes a backslash is written `\\\\`; single quotes take it as it is",
        ),
        K::UnknownAnchor => {
            ("this anchor is not defined above", "define it with `&name` before it is used as `*name`")
        }
        K::MappingValueNotAllowed | K::InvalidColonPlacement => (
            "a `:` stands where no key can be",
            "check the indentation, and put text that contains `: ` in quotes",
        ),
        K::SimpleKeyExpected | K::InvalidSimpleKey => {
            ("a key without its `:`, or text that is indented too little", "write `key: value`")
        }
        K::ExpectedBlockMappingKey
        | K::InvalidIndentation
        | K::ExpectedBlockSequenceEntry
        | K::BlockSequenceEntryNotAllowed => (
            "the indentation does not fit the lines above",
            "entries of one map or list begin in the same column",
        ),
        K::RecursionLimitExceeded => return too_deep(span),
        K::UnexpectedCharacter { .. } => ("a character that cannot stand here", "put the text in quotes"),
        _ => (
            "this is not valid YAML",
            "check the indentation, and put text with special characters in quotes",
        ),
    };
    Problem::new(message).at(span).hint(hint)
}

/// The last bracket still open before a character of the text, outside quotes and comments.
fn open_bracket(text: &str, end: usize) -> Option<(char, usize, usize)> {
    let (mut line, mut column, mut before) = (1, 1, ' ');
    let mut quote = None;
    let mut comment = false;
    let mut open = Vec::new();
    for c in text.chars().take(end) {
        match (quote, c) {
            (_, '\n') => comment = false,
            _ if comment => {}
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
            (None, '#') if before.is_whitespace() => comment = true,
            (None, '[' | '{') => open.push((c, line, column)),
            (None, ']' | '}') => drop(open.pop()),
            _ => {}
        }
        before = c;
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    open.pop()
}
