//! What does a caption state? Triples of subject, verb and object, found offline
//!
//! KCDP labels semantic roles with AllenNLP (docs/method.md §2); no such model runs here, so predicates and their
//! arguments are found by rules over tagged phrases, and then go through the same role rules ([`roles`]). What the rules
//! read:
//!
//! - verbs of a list share the subject: "raises the brows, opens the eyes and drops the jaw" states three things;
//! - a passive's agent is its subject; one without an agent states how things are ("the brows are raised");
//! - "with" after a noun states what it has: "a man with raised brows" gives (a man, has, raised brows);
//! - relative clauses and participles belong to the noun before them ("a man wearing a hat", "a man who smiles at us").

mod frames;
mod phrases;
mod roles;
mod words;

use affectflow_models::clip::Triple;

use words::Words;

/// The parser. Made once, shared between threads.
pub struct Parser(Words);

impl Default for Parser {
    /// A parser over the tagger that the program carries.
    fn default() -> Self {
        Parser(Words::new())
    }
}

impl Parser {
    /// The triples of a text, in its order, each once.
    pub fn parse(&self, text: &str) -> Vec<Triple> {
        let mut triples = Vec::new();
        for words in self.0.sentences(text) {
            let found = frames::frames(&words, &phrases::phrases(&words));
            for triple in found.iter().filter_map(roles::triple) {
                if !triples.contains(&triple) {
                    triples.push(triple);
                }
            }
        }
        triples
    }
}

#[cfg(test)]
mod tests;
