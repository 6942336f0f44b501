//! How does a message travel? A header with its length, an empty line, JSON.

use std::io::{self, BufRead, Read, Write};

use serde_json::Value;

/// Largest message that is read; a larger one is passed over.
const LARGEST: u64 = 256 << 20;
/// Longest line of a header.
const LONGEST: u64 = 8 << 10;

/// What arrived.
pub enum Incoming {
    /// A message.
    Message(Value),
    /// Something that is none; reading goes on behind it.
    Malformed(String),
    /// Nothing will come any more.
    End,
}

/// The next message.
pub fn read(input: &mut impl BufRead) -> Incoming {
    let length = match header(input) {
        Ok(Some(length)) => length,
        Ok(None) => return Incoming::End,
        Err(why) => return Incoming::Malformed(why),
    };
    let mut body = input.take(length);
    if length > LARGEST {
        return match io::copy(&mut body, &mut io::sink()) {
            Ok(_) => Incoming::Malformed(format!("a message of {length} bytes is too large")),
            Err(_) => Incoming::End,
        };
    }
    let mut bytes = Vec::new();
    match body.read_to_end(&mut bytes) {
        Ok(read) if read as u64 == length => {}
        _ => return Incoming::End,
    }
    match serde_json::from_slice(&bytes) {
        Ok(message @ Value::Object(_)) => Incoming::Message(message),
        Ok(_) => Incoming::Malformed("a message must be a JSON object".into()),
        Err(error) => Incoming::Malformed(format!("a message that is not JSON: {error}")),
    }
}

/// The length of the message; `None` at the end of the input.
fn header(input: &mut impl BufRead) -> Result<Option<u64>, String> {
    let mut length = None;
    let mut wrong = None;
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match line.split_once(':') {
            None if line.is_empty() => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                match value.trim().parse() {
                    Ok(number) => length = Some(number),
                    Err(_) => wrong = Some(format!("`{line}` gives no length")),
                }
            }
            Some(_) => {}
            None => wrong = Some("a line of a header needs a `:`".to_owned()),
        }
    }
    match (wrong, length) {
        (None, Some(length)) => Ok(Some(length)),
        (wrong, _) => Err(wrong.unwrap_or_else(|| "a header without `Content-Length`".into())),
    }
}

/// Sends a message.
pub fn write(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let body = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    output.flush()
}
