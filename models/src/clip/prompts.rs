//! What does CLIP say of the emotion words themselves?
//!
//! Label embeddings `E` of CLIEA (docs/method.md §4): the states of "A {emotion} photo of" for every class

use candle_core::Tensor;

use super::ClipText;
use crate::{Error, Result};

/// The prompt of one emotion
pub fn label_prompt(emotion: &str) -> String {
    format!("A {emotion} photo of")
}

impl ClipText {
    /// States of the prompts of `emotions`, padded with end tokens to the longest: `[classes, longest, width]`
    pub fn label_states<S: AsRef<str>>(&self, emotions: &[S]) -> Result<Tensor> {
        if emotions.is_empty() {
            return Err(Error::Input("label prompts need at least one emotion".into()));
        }
        let prompts: Vec<String> = emotions.iter().map(|emotion| label_prompt(emotion.as_ref())).collect();
        let ids = self.tokenizer.encode_to_longest(&prompts)?;
        Ok(self.model.forward(&self.ids_tensor(&ids)?)?.hidden)
    }
}
