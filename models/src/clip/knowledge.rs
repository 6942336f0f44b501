//! What does a picture's caption and its triples tell the UNet?
//!
//! Knowledge `k = [caption states ; pooled triple states]` of KCDP (docs/method.md §2): the caption and every triple are
//! read by CLIP as sequences of 77 tokens of their own, the triples are pooled elementwise, and both are laid end to end.
//! A picture without triples repeats its caption's states

use candle_core::Tensor;

use super::ClipText;
use crate::Result;

/// One statement about a picture
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triple {
    /// Who or what
    pub subject: String,
    /// Does what
    pub verb: String,
    /// To whom or what
    pub object: String,
}

/// How the three parts of a triple become one text
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TripleJoin {
    /// A space between the parts
    #[default]
    Space,
    /// Nothing between the parts, as the reference code does
    None,
}

/// How the states of several triples become one
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TriplePool {
    /// Their mean, which keeps the scale whatever their number
    #[default]
    Mean,
    /// Their sum, as the reference code does
    Sum,
}

/// Switches of [`ClipText::knowledge`]; the defaults are the recommended ones
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KnowledgeOptions {
    /// How a triple becomes a text
    pub join: TripleJoin,
    /// How triples are pooled
    pub pool: TriplePool,
}

impl Triple {
    /// The text that CLIP reads
    pub fn text(&self, join: TripleJoin) -> String {
        let separator = match join {
            TripleJoin::Space => " ",
            TripleJoin::None => "",
        };
        [self.subject.as_str(), self.verb.as_str(), self.object.as_str()].join(separator)
    }
}

impl ClipText {
    /// Knowledge of one picture, `[2 * 77, width]`
    pub fn knowledge(&self, caption: &str, triples: &[Triple], options: KnowledgeOptions) -> Result<Tensor> {
        let texts: Vec<String> = triples.iter().map(|triple| triple.text(options.join)).collect();
        let caption = self.encode(&[caption])?.hidden.get(0)?;
        let pooled = if texts.is_empty() { caption.clone() } else { self.pool(&texts, options.pool)? };
        Ok(Tensor::cat(&[&caption, &pooled], 0)?)
    }

    fn pool(&self, texts: &[String], pool: TriplePool) -> Result<Tensor> {
        let states = self.encode(texts)?.hidden;
        Ok(match pool {
            TriplePool::Mean => states.mean(0)?,
            TriplePool::Sum => states.sum(0)?,
        })
    }
}
