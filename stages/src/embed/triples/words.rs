//! Which words does a caption have, and which part of speech is each?
//!
//! Universal tags of the Brill tagger of `harper-brill`, then mended where captions of faces differ from the text it
//! learned from: unknown words by their endings, verbs of a list that look like plurals ("and drops the jaw"),
//! participles before nouns ("raised brows").

use std::ops::Range;
use std::sync::Arc;

use harper_brill::{BrillTagger, FreqDict, Tagger, UPOS};

/// A word or a punctuation mark, with its tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As written.
    pub text: String,
    /// Its part of speech.
    pub tag: UPOS,
}

/// Tags words. Loading takes some milliseconds; share it.
pub struct Words(Arc<BrillTagger<FreqDict>>);

const FORMS_OF_BE: [&str; 8] = ["is", "are", "was", "were", "be", "been", "being", "am"];
const DETERMINERS: [&str; 9] = ["his", "her", "their", "its", "my", "your", "our", "both", "no"];
const PREPOSITIONS: [&str; 8] = ["with", "of", "at", "by", "from", "into", "without", "onto"];
const MODALS: [&str; 14] = [
    "do", "does", "did", "don't", "doesn't", "didn't", "can", "can't", "cannot", "will", "won't", "may",
    "might", "must",
];
const NEVER_VERBS: [&str; 5] = ["lips", "brows", "eyebrows", "tears", "eyes"];

impl Words {
    /// The tagger that the program carries.
    pub fn new() -> Self {
        Words(harper_brill::brill_tagger())
    }

    /// The sentences of a text, tagged.
    pub fn sentences(&self, text: &str) -> Vec<Vec<Word>> {
        let sentences = split(text);
        sentences.into_iter().map(|words| self.tag(words)).filter(|words| !words.is_empty()).collect()
    }

    fn tag(&self, words: Vec<String>) -> Vec<Word> {
        let tags = self.0.tag_sentence(&words);
        let tag = |(text, tag): (String, Option<UPOS>)| Word { tag: first_guess(&text, tag), text };
        let mut words: Vec<Word> = words.into_iter().zip(tags).map(tag).collect();
        round_things(&mut words);
        nouns_that_are_verbs(&mut words);
        the_missing_verb(&mut words);
        nouns_that_are_verbs(&mut words);
        verbs_that_are_nouns(&mut words);
        participles_that_describe(&mut words);
        having(&mut words);
        after_modals(&mut words);
        words
    }
}

impl Word {
    /// In lower case.
    pub fn lower(&self) -> String {
        self.text.to_lowercase()
    }

    /// Whether it is one of these words.
    pub fn is(&self, words: &[&str]) -> bool {
        words.contains(&self.lower().as_str())
    }

    /// Whether it is a form of the verb "be".
    pub fn is_be(&self) -> bool {
        self.is(&FORMS_OF_BE)
    }

    /// Whether it ends as a past participle does.
    pub fn is_past(&self) -> bool {
        let word = self.lower();
        ["ed", "wn", "ept", "ght", "orn"].iter().any(|ending| word.ends_with(ending))
            || self.is(&["set", "shut", "open", "bent"])
    }

    /// Whether it ends in "ing".
    pub fn is_ing(&self) -> bool {
        self.lower().ends_with("ing")
    }

    /// Whether it can stand inside a noun phrase.
    pub fn is_nominal(&self) -> bool {
        matches!(self.tag, UPOS::NOUN | UPOS::PROPN | UPOS::PRON)
    }

    fn ends_in_s(&self) -> bool {
        let word = self.lower();
        word.len() > 2 && word.ends_with('s') && !word.ends_with("ss")
    }
}

/// Sentences end at `.`, `!`, `?`, `;`, `:` and line ends; words keep apostrophes and hyphens.
fn split(text: &str) -> Vec<Vec<String>> {
    let mut sentences = vec![Vec::new()];
    let mut word = String::new();
    let letters: Vec<char> = text.chars().collect();
    for (at, &letter) in letters.iter().enumerate() {
        let inside = |at: usize| letters.get(at).is_some_and(|l| l.is_alphanumeric());
        let joins = matches!(letter, '\'' | '’' | '-') && at > 0 && inside(at - 1) && inside(at + 1);
        let point = letter == '.' && at > 0 && letters[at - 1].is_ascii_digit() && inside(at + 1);
        if letter.is_alphanumeric() || joins || point {
            word.push(letter);
            continue;
        }
        let sentence = sentences.last_mut();
        if let Some(sentence) = sentence {
            if !word.is_empty() {
                sentence.push(std::mem::take(&mut word));
            }
            if letter == ',' {
                sentence.push(",".into());
            }
        }
        if matches!(letter, '.' | '!' | '?' | ';' | ':' | '\n') {
            sentences.push(Vec::new());
        }
    }
    if let (Some(sentence), false) = (sentences.last_mut(), word.is_empty()) {
        sentence.push(word);
    }
    sentences
}

fn first_guess(text: &str, tag: Option<UPOS>) -> UPOS {
    let lower = text.to_lowercase();
    match tag {
        _ if text == "," => UPOS::PUNCT,
        _ if DETERMINERS.contains(&lower.as_str()) => UPOS::DET,
        _ if FORMS_OF_BE.contains(&lower.as_str()) => UPOS::AUX,
        _ if NEVER_VERBS.contains(&lower.as_str()) => UPOS::NOUN,
        _ if PREPOSITIONS.contains(&lower.as_str()) => UPOS::ADP,
        Some(UPOS::PUNCT | UPOS::SYM) => UPOS::NOUN,
        Some(tag) => tag,
        None if lower.ends_with("ly") => UPOS::ADV,
        None if lower.ends_with("ing") || lower.ends_with("ed") => UPOS::VERB,
        None if lower.chars().all(|letter| letter.is_ascii_digit()) => UPOS::NUM,
        None => UPOS::NOUN,
    }
}

/// "the pink round face": `round` before a bare noun describes it, "round the table" goes around it. A colour before it does too.
fn round_things(words: &mut [Word]) {
    for at in 1..words.len().saturating_sub(1) {
        if !words[at].is(&["round"]) || !words[at + 1].is_nominal() || words[at + 1].tag == UPOS::PRON {
            continue;
        }
        words[at].tag = UPOS::ADJ;
        if at > 1 && words[at - 2].tag == UPOS::DET && words[at - 1].tag != UPOS::PUNCT {
            words[at - 1].tag = UPOS::ADJ;
        }
    }
}

/// "and drops the jaw", ", knits the brows", "the woman drops her jaw": a plural after a comma, a conjunction, a pronoun
/// or a noun, and before a noun phrase.
fn nouns_that_are_verbs(words: &mut [Word]) {
    for at in 1..words.len() {
        let looks = words[at].tag == UPOS::NOUN && words[at].ends_in_s() && !words[at].is(&NEVER_VERBS);
        let before = &words[at - 1];
        let opens = before.tag == UPOS::CCONJ
            || before.tag == UPOS::PUNCT
            || before.is(&["who", "which", "that", "he", "she", "it"]);
        let has_verb = words[..at].iter().any(|word| word.tag == UPOS::VERB);
        let determined = words.get(at + 1).is_some_and(|next| next.tag == UPOS::DET);
        let bare = words.get(at + 1).is_some_and(|next| matches!(next.tag, UPOS::NOUN | UPOS::ADJ));
        if looks && ((opens && (determined || (bare && has_verb))) || (before.is_nominal() && determined)) {
            words[at].tag = UPOS::VERB;
        }
    }
}

/// "the man knits the brows", "the man drips sweat and raises the brows": a sentence without a verb, or without one
/// before its first ", verb" or "and verb", has one in its first plural after a noun.
fn the_missing_verb(words: &mut [Word]) {
    let joins = |pair: &[Word]| {
        matches!(pair[0].tag, UPOS::CCONJ | UPOS::PUNCT) && pair[1].tag == UPOS::VERB && !pair[1].is_ing()
    };
    let end = words.windows(2).position(joins).unwrap_or(words.len());
    let words = &mut words[..end];
    if words.iter().any(|word| matches!(word.tag, UPOS::VERB | UPOS::AUX)) {
        return;
    }
    let candidate = (1..words.len()).find(|&at| {
        let word = &words[at];
        let (before, after) = (&words[at - 1], words.get(at + 1));
        let followed = after.is_some_and(|next| {
            matches!(next.tag, UPOS::DET | UPOS::NOUN | UPOS::ADJ | UPOS::ADP | UPOS::ADV | UPOS::PRON)
        });
        let noun = matches!(word.tag, UPOS::NOUN | UPOS::PROPN) && word.ends_in_s() && !word.is(&NEVER_VERBS);
        noun && followed && before.is_nominal()
    });
    if let Some(at) = candidate {
        words[at].tag = UPOS::VERB;
    }
}

/// "the drops", "a smile": what stands after a determiner and before no noun is no verb.
fn verbs_that_are_nouns(words: &mut [Word]) {
    for at in 1..words.len() {
        let (before, word) = (&words[at - 1], &words[at]);
        let described = matches!(before.tag, UPOS::DET | UPOS::NUM)
            || (before.tag == UPOS::ADJ && at > 1 && words[at - 2].tag == UPOS::DET);
        let ends = words.get(at + 1).is_none_or(|next| !next.is_nominal() && next.tag != UPOS::ADJ);
        if word.tag == UPOS::VERB && described && ends && !word.is_ing() && !word.is_past() {
            words[at].tag = UPOS::NOUN;
        }
    }
}

/// "with raised brows", "a smiling man", "tightly pressed lips": a participle before a noun it belongs to.
fn participles_that_describe(words: &mut [Word]) {
    for at in (0..words.len()).rev() {
        let word = &words[at];
        if word.tag != UPOS::VERB || !(word.is_past() || word.is_ing()) {
            continue;
        }
        let rest = &words[at + 1..];
        let described =
            rest.iter().find(|next| next.tag != UPOS::ADJ).is_some_and(|next| next.tag == UPOS::NOUN);
        let before = words[..at].iter().rev().find(|before| before.tag != UPOS::ADV);
        let opens = match before {
            None => word.is_ing() || word.is_past(),
            Some(before) => match before.tag {
                UPOS::DET | UPOS::ADJ | UPOS::NUM => true,
                UPOS::ADP => !before.is(&["by", "while", "for", "before", "after"]) || word.is_past(),
                UPOS::CCONJ => joins_descriptions(&words[..at]),
                _ => false,
            },
        };
        if described && opens {
            words[at].tag = UPOS::ADJ;
        }
    }
}

/// "has raised brows": possession, not a perfect, where a bare noun follows the participle. "has a hat": a verb.
fn having(words: &mut [Word]) {
    for at in 0..words.len() {
        if !words[at].is(&["has", "have", "had", "having"]) {
            continue;
        }
        let bare = |word: Option<&Word>| word.is_some_and(|word| matches!(word.tag, UPOS::NOUN | UPOS::ADJ));
        if words.get(at + 1).is_some_and(|next| next.tag == UPOS::VERB && next.is_past())
            && bare(words.get(at + 2))
        {
            words[at + 1].tag = UPOS::ADJ;
        }
        let next = words[at + 1..].iter().find(|next| next.tag != UPOS::ADV && next.tag != UPOS::PART);
        let perfect = next.is_some_and(|next| next.tag == UPOS::VERB || next.is_be());
        words[at].tag = if perfect { UPOS::AUX } else { UPOS::VERB };
    }
}

/// "does not smile", "can see": what follows such an auxiliary is a verb.
fn after_modals(words: &mut [Word]) {
    for at in 0..words.len() {
        let between = |word: &Word| matches!(word.tag, UPOS::ADV | UPOS::PART) || word.is(&["not"]);
        let next = (at + 1..words.len()).find(|&next| !between(&words[next]));
        let Some(next) =
            next.filter(|&next| words[at].is(&MODALS) && matches!(words[next].tag, UPOS::NOUN | UPOS::VERB))
        else {
            continue;
        };
        words[at].tag = UPOS::AUX;
        words[next].tag = UPOS::VERB;
        words[at + 1..next]
            .iter_mut()
            .filter(|word| word.is(&["not"]))
            .for_each(|word| word.tag = UPOS::PART);
    }
}

/// Whether the conjunction at the end follows a phrase that a preposition opened and no verb has followed since.
fn joins_descriptions(before: &[Word]) -> bool {
    before
        .iter()
        .rev()
        .find(|word| matches!(word.tag, UPOS::ADP | UPOS::VERB | UPOS::AUX))
        .is_some_and(|word| word.tag == UPOS::ADP)
}

/// The words of a range with spaces between.
pub fn text(words: &[Word], range: Range<usize>) -> String {
    let mut text = String::new();
    for word in &words[range] {
        if !text.is_empty() && word.tag != UPOS::PUNCT {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
    text
}
