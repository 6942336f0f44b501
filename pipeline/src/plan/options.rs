//! Are the options of a stage what its kind asks for? A walk over the typed tree beside the kind's JSON Schema.
//!
//! The walk is ours and not a validator's or serde's: a problem must stand at the line of its option, all of them must come
//! at once, and they must be said in the words of someone who writes YAML. It reads the part of JSON Schema that schemars
//! writes ([`Shape`](super::shape)); what it cannot judge is left to the kind.

use serde_json::{Map as JsonMap, Value as Json};

use super::shape::{Shape, quoted};
use crate::error::{Problem, Span};
use crate::spec::words::{list, nearest, suggest};
use crate::spec::{Entry, Node, Value};

/// Values looked at most, alternatives counted; beyond it the kind itself must judge.
const STEPS: usize = 500_000;

/// The options as JSON (a whole number written `3.0` becomes `3`), and every problem with them.
pub(crate) fn check(
    schema: &Json,
    stage: &str,
    kind: &str,
    config: &Node,
    stage_span: &Span,
) -> (Json, Vec<Problem>) {
    let mut walk = Walk { stage, kind, stage_span, problems: Vec::new(), steps: 0 };
    let json = walk.value(Shape::root(schema), config, &mut Vec::new());
    (json, walk.problems)
}

/// Whether a JSON value fits a schema.
pub(crate) fn fits(shape: Shape<'_>, value: &Json) -> bool {
    let span = Span::default();
    let mut walk = Walk { stage: "", kind: "", stage_span: &span, problems: Vec::new(), steps: 0 };
    walk.value(shape, &Node::from_json(value), &mut Vec::new());
    walk.problems.is_empty()
}

struct Walk<'a> {
    stage: &'a str,
    kind: &'a str,
    stage_span: &'a Span,
    problems: Vec<Problem>,
    steps: usize,
}

type Path = Vec<String>;

/// A bound's name in the schema and in words, and whether a value keeps it.
type Bound = (&'static str, &'static str, fn(f64, f64) -> bool);

impl Walk<'_> {
    fn value(&mut self, shape: Shape<'_>, node: &Node, path: &mut Path) -> Json {
        self.steps += 1;
        if node.failed || self.steps > STEPS || shape.get("allOf").is_some() {
            return node.to_json();
        }
        let all = shape.alternatives();
        if let [one] = all[..] {
            return self.single(one, node, path);
        }
        if matches!(node.value, Value::Null) && all.iter().any(|one| one.accepts("null")) {
            return Json::Null;
        }
        if let (Value::Map(_), Some(tag)) = (&node.value, common_tag(&all)) {
            return self.tagged(&all, tag, node, path);
        }
        let fitting: Vec<Shape<'_>> = all.iter().copied().filter(|one| type_fits(*one, node)).collect();
        let choices: Option<Vec<&Json>> =
            fitting.iter().map(|one| one.choices()).collect::<Option<Vec<_>>>().map(|c| c.concat());
        match (&fitting[..], choices) {
            ([], _) => self.wrong_type(shape, node, path),
            ([one], _) => self.single(*one, node, path),
            (_, Some(choices)) => self.choice(&choices, node, path),
            _ => self.best(&fitting, node, path),
        }
    }

    /// The first alternative without problems, or the one with the fewest.
    fn best(&mut self, fitting: &[Shape<'_>], node: &Node, path: &mut Path) -> Json {
        let mut best: Option<(Json, Vec<Problem>)> = None;
        for one in fitting {
            let before = std::mem::take(&mut self.problems);
            let json = self.single(*one, node, path);
            let found = std::mem::replace(&mut self.problems, before);
            if found.is_empty() {
                return json;
            }
            if best.as_ref().is_none_or(|(_, least)| found.len() < least.len()) {
                best = Some((json, found));
            }
        }
        let (json, found) = best.unwrap_or_else(|| (node.to_json(), Vec::new()));
        self.problems.extend(found);
        json
    }

    /// An object whose field `tag` says which alternative it is.
    fn tagged(&mut self, all: &[Shape<'_>], tag: &str, node: &Node, path: &mut Path) -> Json {
        let objects = all.iter().filter(|one| !one.only_null());
        let Some(written) = node.get(tag) else {
            let names: Vec<String> =
                objects.filter_map(|one| constant(one, tag)).flatten().map(quoted).collect();
            let message = format!("{} needs `{tag}`", self.subject(path));
            self.report(message, node, path, Some(format!("one of {}", names.join(", "))));
            return node.to_json();
        };
        let value = written.to_json();
        let chosen =
            objects.clone().find(|one| constant(one, tag).is_some_and(|choices| choices.contains(&&value)));
        match chosen {
            Some(one) => self.single(*one, node, path),
            None => {
                let choices: Vec<&Json> = objects.filter_map(|one| constant(one, tag)).flatten().collect();
                path.push(tag.to_owned());
                self.choice(&choices, written, path);
                path.pop();
                node.to_json()
            }
        }
    }

    fn single(&mut self, shape: Shape<'_>, node: &Node, path: &mut Path) -> Json {
        if let Some(choices) = shape.choices() {
            return self.choice(&choices, node, path);
        }
        if !type_fits(shape, node) {
            return self.wrong_type(shape, node, path);
        }
        match &node.value {
            Value::Int(int) => self.int(shape, *int, node, path),
            Value::Float(float) => self.float(shape, *float, node, path),
            Value::Str(text) => {
                let length = text.chars().count() as u64;
                if shape.get("minLength").and_then(Json::as_u64).is_some_and(|least| length < least) {
                    let message = match length {
                        0 => format!("{} must not be empty", self.subject(path)),
                        _ => format!("{} is too short", self.subject(path)),
                    };
                    self.report(message, node, path, None);
                }
                node.to_json()
            }
            Value::Seq(items) => self.seq(shape, items, node, path),
            Value::Map(_) => self.map(shape, node, path),
            Value::Null | Value::Bool(_) => node.to_json(),
        }
    }

    fn choice(&mut self, choices: &[&Json], node: &Node, path: &Path) -> Json {
        let value = node.to_json();
        if !choices.contains(&&value) {
            let names: Vec<&str> = choices.iter().filter_map(|choice| choice.as_str()).collect();
            let shown: Vec<String> = choices.iter().map(|choice| quoted(choice)).collect();
            let one_of = if shown.len() == 1 { "" } else { "one of " };
            let message = format!("{} must be {one_of}{}, not {node}", self.subject(path), shown.join(", "));
            let hint = node
                .as_str()
                .and_then(|text| nearest(text, names))
                .map(|name| format!("did you mean `{name}`?"));
            self.report(message, node, path, hint);
        }
        value
    }

    fn wrong_type(&mut self, shape: Shape<'_>, node: &Node, path: &Path) -> Json {
        let message = format!("{} must be {}, not {node}", self.subject(path), shape.words());
        self.report(message, node, path, mend(shape, node));
        node.to_json()
    }

    fn int(&mut self, shape: Shape<'_>, int: i128, node: &Node, path: &Path) -> Json {
        let (least, most) = match shape.format_range() {
            Some(range) => range,
            None if shape.get("type").is_some_and(|kind| kind == "number") => (i128::MIN, i128::MAX),
            None => (i64::MIN.into(), u64::MAX.into()),
        };
        if int > most {
            self.report(format!("{} is too large: at most {most}", self.subject(path)), node, path, None);
        } else if int < least && least != 0 {
            self.report(format!("{} is too small: at least {least}", self.subject(path)), node, path, None);
        } else if int < least && shape.get("minimum").is_none() {
            self.report(format!("{} must be at least 0, not {node}", self.subject(path)), node, path, None);
        } else {
            self.range(shape, int as f64, node, path);
        }
        node.to_json()
    }

    fn float(&mut self, shape: Shape<'_>, float: f64, node: &Node, path: &Path) -> Json {
        if !float.is_finite() {
            self.report(
                format!("{} must be a finite number, not {node}", self.subject(path)),
                node,
                path,
                None,
            );
            return Json::Null;
        }
        if !shape.accepts("number") {
            let whole = Node { value: Value::Int(float as i128), ..node.clone() };
            return self.int(shape, float as i128, &whole, path);
        }
        self.range(shape, float, node, path);
        node.to_json()
    }

    fn range(&mut self, shape: Shape<'_>, value: f64, node: &Node, path: &Path) {
        let bound = |key: &str| shape.get(key).and_then(|bound| Some((bound.as_f64()?, plain(bound))));
        let checks: [Bound; 4] = [
            ("minimum", "at least", |v, b| v >= b),
            ("exclusiveMinimum", "more than", |v, b| v > b),
            ("maximum", "at most", |v, b| v <= b),
            ("exclusiveMaximum", "less than", |v, b| v < b),
        ];
        for (key, words, holds) in checks {
            if let Some((limit, shown)) = bound(key)
                && !holds(value, limit)
            {
                self.report(
                    format!("{} must be {words} {shown}, not {node}", self.subject(path)),
                    node,
                    path,
                    None,
                );
            }
        }
    }

    fn seq(&mut self, shape: Shape<'_>, items: &[Node], node: &Node, path: &mut Path) -> Json {
        let length = |key: &str| shape.get(key).and_then(Json::as_u64);
        let count = items.len() as u64;
        let wrong = match (length("minItems"), length("maxItems")) {
            (Some(least), Some(most)) if least == most && count != least => Some(format!("exactly {least}")),
            (Some(least), _) if count < least => Some(format!("at least {least}")),
            (_, Some(most)) if count > most => Some(format!("at most {most}")),
            _ => None,
        };
        if let Some(wanted) = wrong {
            let message = format!("{} must have {wanted} in its list, not {count}", self.subject(path));
            self.report(message, node, path, None);
        }
        let mut out = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            path.push(at.to_string());
            out.push(match shape.item(at) {
                Some(inner) => self.value(inner, item, path),
                None => item.to_json(),
            });
            path.pop();
        }
        Json::Array(out)
    }

    fn map(&mut self, shape: Shape<'_>, node: &Node, path: &mut Path) -> Json {
        let open = shape.get("properties").is_none() && shape.get("additionalProperties").is_none();
        let mut out = JsonMap::new();
        for entry in node.entries() {
            path.push(entry.key.clone());
            let value = match shape.field(&entry.key) {
                Some(inner) => self.value(inner, &entry.value, path),
                None if open => entry.value.to_json(),
                None => {
                    self.unknown(shape, entry, path);
                    Json::Null
                }
            };
            out.insert(entry.key.clone(), value);
            path.pop();
        }
        for name in shape.required().filter(|name| node.get(name).is_none()) {
            let what = shape.field(name).map(|field| format!("it is {}", field.words()));
            let message = match path.is_empty() {
                true => format!("`{}` needs the option `{name}`", self.stage),
                false => format!("{} needs `{name}`", self.subject(path)),
            };
            let top = path.is_empty();
            path.push(name.to_owned());
            self.report(message, node, path, what);
            path.pop();
            if let (true, Some(problem)) = (top, self.problems.last_mut()) {
                problem.span = Some(self.stage_span.clone());
            }
        }
        Json::Object(out)
    }

    fn unknown(&mut self, shape: Shape<'_>, entry: &Entry, path: &Path) {
        let key = &entry.key;
        let names: Vec<&str> = shape.properties().map(|(name, _)| name.as_str()).collect();
        let parent = &path[..path.len() - 1];
        let (message, what) = match parent {
            [] => (
                format!("`{}` has no option `{key}`", self.stage),
                format!("options of kind `{}`", self.kind),
            ),
            _ => (format!("{} has no field `{key}`", self.subject(parent)), "fields".to_owned()),
        };
        let hint = match names.is_empty() {
            true if parent.is_empty() => format!("kind `{}` takes no options", self.kind),
            _ => suggest(key, &what, names),
        };
        let from = entry.value.from.clone();
        let key = Node { from, ..Node::new(Value::Null, entry.span.clone()) };
        self.report(message, &key, path, Some(hint));
    }

    fn subject(&self, path: &[String]) -> String {
        match path {
            [] => format!("`config` of `{}`", self.stage),
            _ => format!("option `{}` of `{}`", dotted(path), self.stage),
        }
    }

    fn report(&mut self, message: String, node: &Node, path: &[String], hint: Option<String>) {
        self.problems.push(Problem { option: path.to_vec(), hint, ..node.problem(message) });
    }
}

/// `labels.map`, `views[0]`.
fn dotted(path: &[String]) -> String {
    let mut out = String::new();
    for part in path {
        if part.bytes().all(|b| b.is_ascii_digit()) && !out.is_empty() {
            out.push_str(&format!("[{part}]"));
        } else {
            out.push_str(if out.is_empty() { "" } else { "." });
            out.push_str(part);
        }
    }
    out
}

/// A bound of a schema without the `.0` of whole numbers.
fn plain(bound: &Json) -> String {
    let text = bound.to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn type_fits(shape: Shape<'_>, node: &Node) -> bool {
    let whole = |float: f64| float.fract() == 0.0;
    match &node.value {
        Value::Null => shape.accepts("null"),
        Value::Bool(_) => shape.accepts("boolean"),
        Value::Int(_) => shape.accepts("integer"),
        Value::Float(float) => shape.accepts("number") || (shape.accepts("integer") && whole(*float)),
        Value::Str(_) => shape.accepts("string"),
        Value::Seq(_) => shape.accepts("array"),
        Value::Map(_) => shape.accepts("object"),
    }
}

fn constant<'a>(one: &Shape<'a>, tag: &str) -> Option<Vec<&'a Json>> {
    one.field(tag).and_then(|field| field.choices())
}

/// The field that is a constant in every object among the alternatives, all of which must be objects (or nothing).
fn common_tag<'a>(all: &[Shape<'a>]) -> Option<&'a str> {
    let mut objects = all.iter().filter(|one| !one.only_null());
    let first = objects.next()?;
    let always = |one: &Shape<'a>, name: &str| {
        one.required().any(|required| required == name)
            && one.field(name).is_some_and(|field| field.get("const").is_some())
    };
    let mut names = first.properties().map(|(name, _)| name.as_str()).filter(|name| always(first, name));
    names.find(|name| objects.clone().all(|one| always(one, name)))
}

/// What to do about the commonest wrong types.
fn mend(shape: Shape<'_>, node: &Node) -> Option<String> {
    let all = shape.alternatives();
    let accepts = |kind: &str| all.iter().any(|one| one.accepts(kind));
    match &node.value {
        Value::Str(_) if node.env => None,
        Value::Str(text) if accepts("boolean") => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write `true`".to_owned()),
            "no" | "off" | "n" | "false" => Some("write `false`".to_owned()),
            _ => None,
        },
        Value::Str(text) if accepts("number") || accepts("integer") => {
            let digits: String = text.chars().filter(|&c| c != '_' && c != ',').collect();
            let number = digits.parse::<f64>().is_ok_and(f64::is_finite);
            number.then(|| format!("write `{digits}`, without quotes"))
        }
        Value::Str(text) if accepts("array") => {
            Some(format!("write a list: `[{}]`", list([text.as_str()]).replace('`', "")))
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_)
            if all.iter().any(|one| one.accepts("string") && one.choices().is_none()) =>
        {
            Some("put it in quotes".to_owned())
        }
        Value::Null => Some("give it a value, or remove the line for the default".to_owned()),
        _ => None,
    }
}
