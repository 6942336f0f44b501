//! Which token ids does CLIP read for a text?
//!
//! Byte-level BPE over NFC, whitespace-collapsed, lower-case text, as `CLIPTokenizer` of transformers does it. A
//! folder gives `tokenizer.json`, or `vocab.json` with `merges.txt`

use serde_json::{Map, Value, json};
use tokenizers::{Tokenizer, TruncationParams};

use crate::{Error, ModelFolder, Result};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// CLIP's tokenizer: start token, text, end token, padded with end tokens
pub struct ClipTokenizer {
    inner: Tokenizer,
    file: String,
    length: usize,
    end: u32,
}

impl ClipTokenizer {
    /// Reads the tokenizer of `folder`; `length` is the number of tokens of an encoded text (77)
    pub fn load(folder: &ModelFolder, length: usize) -> Result<Self> {
        let (relative, inner) = if folder.has("tokenizer.json") {
            ("tokenizer.json", Tokenizer::from_bytes(folder.bytes("tokenizer.json")?))
        } else {
            ("vocab.json", Tokenizer::from_bytes(from_vocabulary(folder)?.to_string()))
        };
        let file = folder.label(relative);
        let bad = |message: String| Error::Tokenizer { file: file.clone(), message };
        let mut inner = inner.map_err(|error| bad(error.to_string()))?;
        inner.with_padding(None);
        let truncation = TruncationParams { max_length: length, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(|error| bad(error.to_string()))?;
        let end = inner.token_to_id(END).ok_or_else(|| bad(format!("there is no token `{END}`")))?;
        Ok(Self { inner, file, length, end })
    }

    /// Ids of the text between its start and end tokens, cut to the length and not padded
    pub fn encode_unpadded(&self, text: &str) -> Result<Vec<u32>> {
        match self.inner.encode(text, true) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(Error::Tokenizer { file: self.file.clone(), message: error.to_string() }),
        }
    }

    /// Ids of the text, padded with end tokens to the length (77)
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode_unpadded(text)?;
        ids.resize(self.length, self.end);
        Ok(ids)
    }

    /// Ids of every text, padded with end tokens to the longest of them
    pub fn encode_to_longest<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        let ids = texts.iter().map(|text| self.encode_unpadded(text.as_ref())).collect::<Result<Vec<_>>>()?;
        let longest = ids.iter().map(Vec::len).max().unwrap_or_default();
        let pad = |mut ids: Vec<u32>| {
            ids.resize(longest, self.end);
            ids
        };
        Ok(ids.into_iter().map(pad).collect())
    }

    /// Id of the end token, which also pads
    pub fn end(&self) -> u32 {
        self.end
    }
}

/// What `tokenizer.json` would say, from `vocab.json` and `merges.txt`
fn from_vocabulary(folder: &ModelFolder) -> Result<Value> {
    let vocabulary: Map<String, Value> = folder.json("vocab.json")?;
    let id = |token: &str| {
        vocabulary.get(token).cloned().ok_or_else(|| Error::Tokenizer {
            file: folder.label("vocab.json"),
            message: format!("there is no token `{token}`"),
        })
    };
    let (start, end) = (id(START)?, id(END)?);
    let special = |content: &str, id: &Value| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let bytes = folder.bytes("merges.txt")?;
    let text = String::from_utf8_lossy(&bytes);
    let merges: Vec<&str> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with("#version")).collect();
    Ok(json!({
        "version": "1.0",
        "added_tokens": [special(START, &start), special(END, &end)],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
            { "type": "Lowercase" }
        ] },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true }
        ] },
        "post_processor": { "type": "RobertaProcessing", "sep": [END, end], "cls": [START, start],
                            "trim_offsets": false, "add_prefix_space": false },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": END, "continuing_subword_prefix": "",
                   "end_of_word_suffix": "</w>", "fuse_unk": false, "vocab": vocabulary, "merges": merges }
    }))
}
