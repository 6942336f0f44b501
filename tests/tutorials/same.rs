//! Is what was printed what the page shows? Line by line, but for what changes from run to run.

use std::path::PathBuf;

/// Units of times and sizes.
const UNITS: &[&str] = &[
    "ms", "s", "second", "seconds", "minute", "minutes", "hour", "hours", "B", "KiB", "MiB", "GiB", "KiB/s",
    "MiB/s", "GiB/s",
];

/// What may differ beside times, sizes, dates and names of runs.
pub struct Varying {
    /// The folder of this run of the tests.
    pub root: PathBuf,
    /// Whether every number may.
    pub numbers: bool,
}

/// Whether both are the same but for what may differ.
pub fn same(shown: &str, printed: &str, varying: &Varying) -> bool {
    fits(&lines(shown, varying), &lines(printed, varying))
}

/// Lines with what may differ taken out; lines that tell of stages as they end come in any order.
fn lines(text: &str, varying: &Varying) -> Vec<String> {
    let text = text.replace(varying.root.to_str().unwrap_or_default(), "");
    let mut lines: Vec<String> = Vec::new();
    let mut from = 0;
    for line in text.lines() {
        let told = (line.starts_with("  ") && line.contains(" row"))
            || ["quarantined: ", "warning: "].iter().any(|start| line.starts_with(start));
        if !told {
            lines[from..].sort();
        }
        lines.push(masked(line, varying.numbers));
        if !told {
            from = lines.len();
        }
    }
    lines[from..].sort();
    lines
}

/// Whether lines fit what is shown, in which `...` stands for any number of them.
fn fits(shown: &[String], printed: &[String]) -> bool {
    match shown {
        [] => printed.is_empty(),
        [dots, rest @ ..] if dots == "..." => (0..=printed.len()).any(|from| fits(rest, &printed[from..])),
        [first, rest @ ..] => printed.first() == Some(first) && fits(rest, &printed[1..]),
    }
}

fn masked(line: &str, numbers: bool) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let core = word.trim_matches(|c: char| "(),;:`~≤".contains(c));
        let measured = UNITS.contains(&core) && words.last().is_some_and(|last| number(last));
        if measured {
            words.pop();
            words.push("AMOUNT".to_owned());
        } else if core.chars().all(|c| c == '─') && !core.is_empty() {
            words.push("─".to_owned());
        } else {
            words.push(named(word));
        }
    }
    let words: Vec<String> =
        words.into_iter().map(|word| if numbers { counted(&word) } else { word }).collect();
    words
        .iter()
        .map(|word| if number(word) && word.contains('.') { "N" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether a word is a number, as it stands in a table or a sentence.
fn number(word: &str) -> bool {
    let core = word.trim_matches(|c: char| "(),;:`~≤%".contains(c));
    core.starts_with(|c: char| c.is_ascii_digit())
        && core.chars().all(|c| c.is_ascii_digit() || ".,".contains(c))
}

/// A word with dates, and the numbers of runs, taken out: `20261123-160113-first-2`, `2026-11-23T16:01:13Z`.
fn named(word: &str) -> String {
    let digits = |at: usize, count: usize| {
        word.get(at..at + count).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let dash = |at: usize| word.as_bytes().get(at) == Some(&b'-');
    for at in (0..word.len()).filter(|&at| word.is_char_boundary(at)) {
        if digits(at, 8) && dash(at + 8) && digits(at + 9, 6) {
            return format!("{}RUN{}", &word[..at], first_of_its_second(&word[at + 15..]));
        }
        if digits(at, 4) && dash(at + 4) && digits(at + 5, 2) && dash(at + 7) && digits(at + 8, 2) {
            return format!("{}DATE", &word[..at]);
        }
    }
    hashed(word)
}

/// What follows the time in the name of a run, without the number that tells runs of one second apart: `-first-2`.
fn first_of_its_second(rest: &str) -> String {
    let end = rest.find(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    format!("{}{behind}", if bare.len() < name.len() { bare.trim_end_matches('-') } else { name })
}

/// A word with digests taken out: eight digits or more to the base 16.
fn hashed(word: &str) -> String {
    let hex = |part: &str| {
        part.len() >= 8
            && part.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            && part.contains(|c: char| c.is_ascii_digit())
    };
    let parts = word.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let mask = |part: &str| {
        let plain = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if hex(plain) { part.replace(plain, "HEX") } else { part.to_owned() }
    };
    parts.map(mask).collect()
}

/// A word with its numbers taken out.
fn counted(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        match c {
            c if c.is_ascii_digit() && out.ends_with('#') => {}
            c if c.is_ascii_digit() => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

/// The comparison itself, on what must be told apart and what must not.
pub fn checked() {
    let plain = Varying { root: "/tmp/x".into(), numbers: false };
    let counts = Varying { root: "/tmp/x".into(), numbers: true };
    let yes = |a: &str, b: &str| assert!(same(a, b, &plain), "{a:?} and {b:?} are the same");
    let no = |a: &str, b: &str| assert!(!same(a, b, &plain), "{a:?} and {b:?} are not the same");
    yes(" a   18  363 ms\n────", " a   18   1.2 s\n──────");
    yes(
        "run `20261123-160113-first-2` of 2026-11-23T16:01:13Z",
        "run `20270101-000000-first` of 2027-01-01T00:00:00Z",
    );
    yes("in /tmp/x/here/a", "in /here/a");
    yes("cost (~288 ms), 0.167", "cost (~1.2 s), 0.5");
    yes("a\n...\nb", "a\nx\ny\nb");
    yes("v1/rows/01a20923d73c-000000-13eb3c6014ab.keys", "v1/rows/02a20923d73c-000000-23eb3c6014ab.keys");
    yes("  b: 2 rows, 1 ms\n  a: 1 row, 2 ms\n\nx", "  a: 1 row, 3 ms\n  b: 2 rows, 9 ms\n\nx");
    no("18 rows", "19 rows");
    no("embed", "perceive");
    no("a\n...\nb", "a\nx");
    no("a\nb", "b\na");
    no("20261123-160113-first", "20261123-160113-second");
    no("", "something");
    assert!(same("18 rows, ~1.2 s", "9 rows, ~288 ms", &counts) && !same("18 rows", "18 files", &counts));
}
