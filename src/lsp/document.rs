//! Where is a place, as the protocol counts? Lines from 0 and UTF-16 units there, lines and characters from 1 here.

use std::path::{Path, PathBuf};

use affectflow_pipeline::spec::Spec;
use affectflow_pipeline::spec::outline::lines;
use serde_json::{Value, json};

/// A file that is open in the editor.
pub struct Document {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// The last that could be read of it.
    pub spec: Option<Spec>,
}

impl Document {
    fn line(&self, line: usize) -> &str {
        line.checked_sub(1).and_then(|at| lines(&self.text).get(at).copied()).unwrap_or_default()
    }

    /// Line and column from 1 of a position.
    pub fn place(&self, line: usize, character: usize) -> (usize, usize) {
        let line = line.saturating_add(1);
        let mut units = 0;
        let before = |c: &char| {
            units += c.len_utf16();
            units <= character
        };
        (line, self.line(line).chars().take_while(before).count() + 1)
    }

    /// The position of a line and a column from 1.
    fn position(&self, line: usize, column: usize) -> Value {
        let before = self.line(line).chars().take(column.saturating_sub(1));
        json!({ "line": line.saturating_sub(1), "character": before.map(char::len_utf16).sum::<usize>() })
    }

    /// Two columns of a line, the second behind the last character.
    pub fn range(&self, line: usize, from: usize, to: usize) -> Value {
        json!({ "start": self.position(line, from), "end": self.position(line, to) })
    }

    /// The word that begins at a place.
    pub fn word(&self, line: usize, column: usize) -> Value {
        let rest: Vec<char> = self.line(line).chars().skip(column.saturating_sub(1)).collect();
        let length = if rest.is_empty() { 0 } else { crate::view::problem::length(&rest) };
        self.range(line, column, column + length)
    }
}

/// The path of a `file:` URI; any other stands for itself.
pub fn path_of(uri: &str) -> PathBuf {
    let Some(rest) = uri.strip_prefix("file://") else { return PathBuf::from(uri) };
    let path = &rest[rest.find('/').unwrap_or(0)..];
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let [byte, rest @ ..] = left {
        let code = rest.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let byte = match code {
            Some(code) if *byte == b'%' => {
                left = &rest[2..];
                code
            }
            _ => {
                left = rest;
                *byte
            }
        };
        bytes.push(byte);
    }
    let path = String::from_utf8_lossy(&bytes).into_owned();
    let drive = path.starts_with('/') && path.as_bytes().get(2) == Some(&b':');
    PathBuf::from(if drive { &path[1..] } else { &path[..] })
}

/// The URI of a path.
pub fn uri_of(path: &Path) -> String {
    let shown = path.display().to_string();
    if !path.is_absolute() {
        return shown;
    }
    let shown = shown.replace(std::path::MAIN_SEPARATOR, "/");
    let mut uri = String::from(if shown.starts_with('/') { "file://" } else { "file:///" });
    for byte in shown.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(byte.into())
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_and_paths_lead_to_each_other() {
        for path in ["/a/b.yaml", "/a b/é%20.yaml", "/%"] {
            assert_eq!(path_of(&uri_of(Path::new(path))), Path::new(path));
        }
        assert_eq!(uri_of(Path::new("/a b/é")), "file:///a%20b/%C3%A9");
        assert_eq!(path_of("file:///c%3A/x.yaml"), Path::new("c:/x.yaml"));
        assert_eq!(path_of("untitled:one"), Path::new("untitled:one"));
        assert_eq!(path_of("file://%zz%4"), Path::new("%zz%4"));
    }

    #[test]
    fn places_count_utf_16_units() {
        let document = Document {
            path: "f".into(),
            text: "a: 😀 bee
b
"
            .into(),
            spec: None,
        };
        assert_eq!(document.place(0, 6), (1, 6), "behind a character of two units");
        assert_eq!(document.place(0, 4), (1, 4), "inside it is before it");
        assert_eq!(document.range(1, 6, 9)["end"], json!({ "line": 0, "character": 9 }));
        assert_eq!(document.word(1, 6), document.range(1, 6, 9));
        assert_eq!(document.place(7, 3), (8, 1));
        assert_eq!(document.place(1, 99), (2, 2), "a carriage return is no character of the line");
    }
}
