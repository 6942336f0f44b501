//! Which words do BLIP's token ids stand for?
//!
//! BERT's lower-case WordPiece, from `tokenizer.json` or `vocab.txt`

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use crate::{Error, ModelFolder, Result};

/// BERT's tokenizer
pub struct BlipTokenizer {
    inner: Tokenizer,
    file: String,
}

impl BlipTokenizer {
    /// Reads the tokenizer of `folder`
    pub fn load(folder: &ModelFolder) -> Result<Self> {
        let (relative, inner) = if folder.has("tokenizer.json") {
            ("tokenizer.json", Tokenizer::from_bytes(folder.bytes("tokenizer.json")?))
        } else {
            ("vocab.txt", Tokenizer::from_bytes(from_vocabulary(folder)?.to_string()))
        };
        let file = folder.label(relative);
        let mut inner =
            inner.map_err(|error| Error::Tokenizer { file: file.clone(), message: error.to_string() })?;
        inner.with_padding(None);
        let untruncated = inner.with_truncation(None).map(|_| ());
        untruncated.map_err(|error| Error::Tokenizer { file: file.clone(), message: error.to_string() })?;
        Ok(Self { inner, file })
    }

    /// Ids of the text between its start and end tokens
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, true)
    }

    /// Ids of the text's words alone
    pub fn encode_words(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    /// The text of `ids`, special tokens left out
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|error| self.error(error))
    }

    fn ids(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.inner.encode(text, special).map_err(|error| self.error(error))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn error(&self, error: tokenizers::Error) -> Error {
        Error::Tokenizer { file: self.file.clone(), message: error.to_string() }
    }
}

/// What `tokenizer.json` would say, from `vocab.txt`
fn from_vocabulary(folder: &ModelFolder) -> Result<Value> {
    let bytes = folder.bytes("vocab.txt")?;
    let text = String::from_utf8_lossy(&bytes);
    let tokens = text.lines().map(|line| line.trim_end().to_string());
    let vocabulary: Map<String, Value> = tokens.zip(0u32..).map(|(token, id)| (token, json!(id))).collect();
    let id = |token: &str| {
        vocabulary.get(token).cloned().ok_or_else(|| Error::Tokenizer {
            file: folder.label("vocab.txt"),
            message: format!("there is no token `{token}`"),
        })
    };
    let mut special = Vec::new();
    for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] {
        special.push(json!({ "id": id(token)?, "content": token, "single_word": false, "lstrip": false,
                             "rstrip": false, "normalized": false, "special": true }));
    }
    let (start, end) = (id("[CLS]")?, id("[SEP]")?);
    Ok(json!({
        "version": "1.0",
        "added_tokens": special,
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", end], "cls": ["[CLS]", start] },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": vocabulary }
    }))
}
