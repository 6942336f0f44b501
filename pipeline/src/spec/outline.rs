//! What stands where in a text that may be broken? Every key and plain value with its path, for somebody who is typing.
//!
//! A parser stops at the first mistake; this reading never does. It knows indentation, brackets, quotes and comments, takes
//! a quote to end with its line, and leaves brackets that were never closed where a line begins too far to the left. What
//! the file means is for [`super::load`] to say.

/// A key or a value of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Keys and indices from the root: of a key those of the map around it, of a value its own key last.
    pub path: Vec<String>,
    /// What it is.
    pub role: Role,
    /// The text, without quotes.
    pub text: String,
    /// Line, from 1.
    pub line: usize,
    /// Column of its first character, from 1; of a quoted text that behind the quote.
    pub column: usize,
}

/// What a word of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A key, with its colon or in a map between brackets.
    Key,
    /// A value behind a key, or in a list between brackets.
    Value,
    /// A word alone in its line, or behind a dash: a value, or a key that is not finished.
    Bare,
}

/// The word at a place, and how much of it stands before the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The word; its text may be empty.
    pub item: Item,
    /// Characters of the word before the place.
    pub before: usize,
}

impl Item {
    /// The path with the key itself, or that of the value.
    pub fn full(&self) -> Vec<String> {
        let own = (self.role == Role::Key).then(|| self.text.clone());
        self.path.iter().cloned().chain(own).collect()
    }
}

/// Stands for the place that is asked for; no text of people has it.
const MARK: char = '\u{f8ff}';

/// All words of a text in order.
pub fn outline(text: &str) -> Vec<Item> {
    let mut reader = Reader::default();
    lines(text).iter().enumerate().for_each(|(at, line)| reader.line(at + 1, line));
    reader.items
}

/// The word at a line and column (both from 1); `None` in a comment or a block of text.
pub fn cursor(text: &str, line: usize, column: usize) -> Option<Cursor> {
    let mut reader = Reader::default();
    for (at, content) in lines(text).iter().enumerate().take(line) {
        if at + 1 < line {
            reader.line(at + 1, content);
            continue;
        }
        let mut marked: Vec<char> = content.chars().collect();
        marked.insert((column.max(1) - 1).min(marked.len()), MARK);
        reader.line(line, &marked.into_iter().collect::<String>());
    }
    let mut item = reader.items.into_iter().rev().find(|item| item.text.contains(MARK))?;
    let before = item.text.chars().position(|c| c == MARK)?;
    item.text.retain(|c| c != MARK);
    Some(Cursor { item, before })
}

/// The text with the brackets closed that are open at the end of a line, without and with a quote before them: what might
/// be meant while that line is being typed.
pub fn closed(text: &str, line: usize) -> Vec<String> {
    let all = lines(text);
    let Some(typed) = line.checked_sub(1).and_then(|at| all.get(at)) else { return Vec::new() };
    let mut reader = Reader::default();
    all.iter().take(line).enumerate().for_each(|(at, line)| reader.line(at + 1, line));
    let brackets: String = reader.flows.iter().rev().map(|flow| if flow.map { '}' } else { ']' }).collect();
    let with = |quote: &str| {
        let mended = format!("{typed}{quote} {brackets}");
        let rows = all.iter().enumerate().map(|(at, row)| if at + 1 == line { mended.as_str() } else { row });
        rows.collect::<Vec<_>>().join("\n")
    };
    ["", "\"", "'"].map(with).into()
}

/// The lines of a text, however they end; one more than there are ends.
pub fn lines(text: &str) -> Vec<&str> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect()
}

#[derive(Default)]
struct Reader {
    items: Vec<Item>,
    blocks: Vec<Block>,
    flows: Vec<Flow>,
    /// Lines further to the right than this are the text of a `|` or `>`.
    text: Option<usize>,
}

/// A map or a list by indentation, and where in it the reading is.
struct Block {
    indent: usize,
    at: Step,
}

/// A map or a list between brackets, and where in it the reading is.
struct Flow {
    map: bool,
    at: Option<Step>,
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn text(&self) -> String {
        match self {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        }
    }
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let line: Vec<char> = line.chars().collect();
        let indent = line.iter().position(|&c| c != ' ' && c != '\t').unwrap_or(line.len());
        if self.text.is_some_and(|left| indent > left || indent == line.len()) {
            return;
        }
        self.text = None;
        if indent == line.len() || line[indent] == '#' {
            return;
        }
        let left = self.blocks.last().map_or(0, |block| block.indent);
        if !self.flows.is_empty() && indent <= left && !matches!(line[indent], ']' | '}') {
            self.flows.clear();
        }
        match self.flows.is_empty() {
            true => self.block(number, &line, indent),
            false => self.flow(number, &line, indent),
        }
    }

    fn block(&mut self, number: usize, line: &[char], mut at: usize) {
        let mut dashed = false;
        while line.get(at) == Some(&'-') && line.get(at + 1).is_none_or(|&c| c == ' ' || c == MARK) {
            while self.blocks.last().is_some_and(|block| block.indent > at) {
                self.blocks.pop();
            }
            match self.blocks.last_mut() {
                Some(Block { indent, at: Step::Index(index) }) if *indent == at => *index += 1,
                _ => self.blocks.push(Block { indent: at, at: Step::Index(0) }),
            }
            dashed = true;
            at = after_spaces(line, at + 1);
        }
        if at >= line.len() || line[at] == '#' {
            return;
        }
        if !dashed {
            while self.blocks.last().is_some_and(|block| block.indent >= at) {
                self.blocks.pop();
            }
        }
        let key = match line[at] {
            '[' | '{' => None,
            _ => key(line, at),
        };
        let Some((text, column, end)) = key else {
            return self.value(number, line, at, Role::Bare);
        };
        self.push(number, column, text.clone(), Role::Key);
        self.blocks.push(Block { indent: at, at: Step::Key(plain(text)) });
        self.value(number, line, after_spaces(line, end), Role::Value);
    }

    /// What stands behind a key or a dash.
    fn value(&mut self, number: usize, line: &[char], mut at: usize, role: Role) {
        while let Some('&' | '!') = line.get(at) {
            while line.get(at).is_some_and(|&c| c != ' ') {
                at += 1;
            }
            at = after_spaces(line, at);
        }
        match line.get(at) {
            None | Some('#') => {}
            Some('[' | '{') => self.flow(number, line, at),
            Some('|' | '>') => self.text = Some(self.blocks.last().map_or(0, |block| block.indent)),
            Some(&quote @ ('"' | '\'')) => {
                let end = quoted(line, at, quote);
                self.push(number, at + 1, line[at + 1..end].iter().collect(), role);
            }
            Some(_) => {
                let end = comment(line, at);
                self.push(number, at, line[at..end].iter().collect::<String>().trim_end().to_owned(), role);
            }
        }
    }

    /// The rest of a line between brackets.
    fn flow(&mut self, number: usize, line: &[char], mut at: usize) {
        while let Some(&c) = line.get(at) {
            match c {
                ' ' | '\t' => at += 1,
                '#' if at == 0 || line[at - 1] == ' ' => return,
                '[' | '{' => {
                    let map = c == '{';
                    self.flows.push(Flow { map, at: (!map).then_some(Step::Index(0)) });
                    at += 1;
                }
                ']' | '}' => {
                    self.flows.pop();
                    at += 1;
                    if self.flows.is_empty() {
                        return;
                    }
                }
                ',' => {
                    if let Some(flow) = self.flows.last_mut() {
                        flow.at = match flow.at.take() {
                            Some(Step::Index(index)) => Some(Step::Index(index + 1)),
                            _ => None,
                        };
                    }
                    at += 1;
                }
                ':' => at += 1,
                _ => at = self.word(number, line, at),
            }
        }
    }

    fn word(&mut self, number: usize, line: &[char], at: usize) -> usize {
        let (text, column, end) = match line[at] {
            quote @ ('"' | '\'') => {
                let end = quoted(line, at, quote);
                (line[at + 1..end].iter().collect::<String>(), at + 1, (end + 1).min(line.len()))
            }
            _ => {
                let end = flow_end(line, at);
                (line[at..end].iter().collect::<String>().trim_end().to_owned(), at, end)
            }
        };
        let wants_key = self.flows.last().is_some_and(|flow| flow.map && flow.at.is_none());
        let role = if wants_key { Role::Key } else { Role::Value };
        self.push(number, column, text.clone(), role);
        if wants_key
            && line.get(after_spaces(line, end)) == Some(&':')
            && let Some(flow) = self.flows.last_mut()
        {
            flow.at = Some(Step::Key(plain(text)));
        }
        end
    }

    fn push(&mut self, line: usize, column: usize, text: String, role: Role) {
        let blocks = self.blocks.iter().map(|block| block.at.text());
        let flows = self.flows.iter().filter_map(|flow| flow.at.as_ref().map(Step::text));
        let path = blocks.chain(flows).collect();
        self.items.push(Item { path, role, text, line, column: column + 1 });
    }
}

fn plain(mut key: String) -> String {
    key.retain(|c| c != MARK);
    key
}

fn after_spaces(line: &[char], mut at: usize) -> usize {
    while matches!(line.get(at), Some(' ' | '\t')) {
        at += 1;
    }
    at
}

/// The key that begins there: its text, its column, and where its colon ends.
fn key(line: &[char], at: usize) -> Option<(String, usize, usize)> {
    if let quote @ ('"' | '\'') = line[at] {
        let end = quoted(line, at, quote);
        let colon = after_spaces(line, end + 1);
        let found = line.get(colon) == Some(&':');
        return found.then(|| (line[at + 1..end].iter().collect(), at + 1, colon + 1));
    }
    let end = comment(line, at);
    let colon = (at..end).find(|&at| line[at] == ':' && line.get(at + 1).is_none_or(|&c| c == ' '))?;
    Some((line[at..colon].iter().collect::<String>().trim_end().to_owned(), at, colon + 1))
}

/// Where a quoted text ends: at its quote, or at the end of the line.
fn quoted(line: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while let Some(&c) = line.get(end) {
        match c {
            '\\' if quote == '"' => end += 1,
            '\'' if quote == '\'' && line.get(end + 1) == Some(&'\'') => end += 1,
            _ if c == quote => return end,
            _ => {}
        }
        end += 1;
    }
    line.len()
}

/// Where a comment begins, or the line ends.
fn comment(line: &[char], at: usize) -> usize {
    (at + 1..line.len()).find(|&at| line[at] == '#' && line[at - 1] == ' ').unwrap_or(line.len())
}

/// Where a plain word between brackets ends. A reference (`${vars.x}`) is part of it.
fn flow_end(line: &[char], at: usize) -> usize {
    let mut end = at;
    let mut inside = false;
    while let Some(&c) = line.get(end) {
        match c {
            '{' if end > at && line[end - 1] == '$' => inside = true,
            '}' if inside => inside = false,
            ',' | '[' | ']' | '{' | '}' if !inside => break,
            ':' if line.get(end + 1).is_none_or(|next| matches!(next, ' ' | ',' | ']' | '}')) => break,
            '#' if end > at && line[end - 1] == ' ' => break,
            _ => {}
        }
        end += 1;
    }
    end.max(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let one =
            |item: Item| format!("{}:{} {}={:?}", item.line, item.column, item.path.join("."), item.text);
        outline(text).into_iter().map(one).collect()
    }

    /// The word where `|` stands, what it is, and what of it stands before.
    fn at(text: &str) -> Option<(String, Role, String)> {
        let (line, column) = lines(text)
            .iter()
            .enumerate()
            .find_map(|(at, line)| Some((at + 1, line.chars().position(|c| c == '|')? + 1)))
            .unwrap();
        let cursor = cursor(&text.replace('|', ""), line, column)?;
        let before = cursor.item.text.chars().take(cursor.before).collect();
        Some((cursor.item.path.join("."), cursor.item.role, before))
    }

    #[track_caller]
    fn check(text: &str, path: &str, role: Role, before: &str) {
        assert_eq!(at(text), Some((path.to_owned(), role, before.to_owned())), "{text}");
    }

    #[test]
    fn blocks_brackets_lists_and_quotes_have_their_places() {
        let text = "a:\n  b: 1 # c: 2\n  \"c d\": 'x: y'\n  l:\n  - one\n  - k: v\n    w: { x: 1, y: [2, ${vars.z}] }\ne: |\n  not: a key\nf: &anchor g\n";
        let expected = [
            "1:1 =\"a\"",
            "2:3 a=\"b\"",
            "2:6 a.b=\"1\"",
            "3:4 a=\"c d\"",
            "3:11 a.c d=\"x: y\"",
            "4:3 a=\"l\"",
            "5:5 a.l.0=\"one\"",
            "6:5 a.l.1=\"k\"",
            "6:8 a.l.1.k=\"v\"",
            "7:5 a.l.1=\"w\"",
            "7:10 a.l.1.w=\"x\"",
            "7:13 a.l.1.w.x=\"1\"",
            "7:16 a.l.1.w=\"y\"",
            "7:20 a.l.1.w.y.0=\"2\"",
            "7:23 a.l.1.w.y.1=\"${vars.z}\"",
            "8:1 =\"e\"",
            "10:1 =\"f\"",
            "10:12 f=\"g\"",
        ];
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn a_place_has_its_path_in_whatever_is_being_typed() {
        check("a:\n  b:\n    |\n", "a.b", Role::Bare, "");
        check("a:\n  b: {}\n  |\nc: 1\n", "a", Role::Bare, "");
        check("a:\n  b: x\n|", "", Role::Bare, "");
        check("a:\n  ki|nd: b\n", "a", Role::Key, "ki");
        check("a:\n  kind: em|\n", "a.kind", Role::Value, "em");
        check("a:\n  kind: |\n", "a.kind", Role::Value, "");
        check("a: { kind: |\nb: 1\n", "a.kind", Role::Value, "");
        check("a: { kind: b, c| }\n", "a", Role::Key, "c");
        check("a: [x, |]\n", "a.1", Role::Value, "");
        check("a: [x, |\nb: {\n", "a.1", Role::Value, "");
        check("a:\n- x\n- |\n", "a.1", Role::Bare, "");
        check("a: { m: \"${va|\n", "a.m", Role::Value, "${va");
        check("a: {\n  b: 1,\n  c|\n}\n", "a", Role::Key, "c");
        check("a: { b: [1\nc:\n  d: |\n", "c.d", Role::Value, "");
        assert_eq!(at("a: b # |\n"), None);
        assert_eq!(at("a: >\n  some | text\n"), None);
    }

    #[test]
    fn brackets_are_closed_where_they_are_open() {
        assert_eq!(closed("a: [1, { b: 2\nc: 3", 1)[0], "a: [1, { b: 2 }]\nc: 3");
        assert_eq!(closed("a: { b: \"c", 1)[1], "a: { b: \"c\" }");
        assert_eq!(closed("a: { b: [1] }\nc: {", 1)[0], "a: { b: [1] } \nc: {");
        assert!(closed("a", 5).is_empty());
    }

    #[test]
    fn nothing_that_is_typed_breaks_the_reading() {
        let pieces = [
            "a", ":", " ", "\n", "  ", "- ", "{", "}", "[", "]", ",", "'", "\"", "#", "|", "&", "${", "\\",
            "é\r",
        ];
        let mut state = 1_u64;
        for _ in 0..2000 {
            let mut text = String::new();
            for _ in 0..30 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text += pieces[(state >> 33) as usize % pieces.len()];
            }
            let rows = lines(&text);
            for item in outline(&text) {
                let line: Vec<char> = rows[item.line - 1].chars().collect();
                let there: String =
                    line.iter().skip(item.column - 1).take(item.text.chars().count()).collect();
                assert_eq!(there, item.text, "{text:?}");
            }
            for (at, line) in rows.iter().enumerate() {
                (1..=line.chars().count() + 2).for_each(|column| drop(cursor(&text, at + 1, column)));
            }
        }
    }
}
