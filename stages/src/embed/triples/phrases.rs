//! Which phrases stand in a tagged sentence, in order: noun phrases, verb groups, what prepositions bring in
//!
//! One pass from left to right, then one that joins lists ("the brows, the cheeks and the chin").

use std::ops::Range;

use harper_brill::UPOS;

use super::words::Word;

/// What a phrase is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A noun phrase, with what "of" adds to it.
    Noun,
    /// A verb group.
    Verb(Group),
    /// A preposition and its noun phrase.
    Preposition,
    /// An adjective without a noun: a state.
    State,
    /// An adverb, a particle, "not".
    Adverb,
    /// "and", "or", "but".
    And,
    /// A comma.
    Comma,
    /// "to" before a verb.
    To,
    /// "who", "which", "that" before a verb.
    Relative,
    /// A conjunction that opens a clause, or a word of no use.
    Other,
}

/// What kind of verb group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The word that carries the meaning.
    pub main: usize,
    /// A form of "be" before it, or alone.
    pub be: Option<usize>,
    /// Whether it has a person and a time: no bare "-ing", no bare past participle in a place for one.
    pub finite: bool,
}

/// A phrase and its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Phrase {
    /// What it is.
    pub kind: Kind,
    /// Its words.
    pub range: Range<usize>,
}

/// The phrases of a sentence.
pub fn phrases(words: &[Word]) -> Vec<Phrase> {
    let mut phrases: Vec<Phrase> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let phrase = next_phrase(words, at, phrases.last());
        at = phrase.range.end;
        phrases.push(phrase);
    }
    join_lists(phrases)
}

fn next_phrase(words: &[Word], at: usize, before: Option<&Phrase>) -> Phrase {
    let phrase = |kind, end| Phrase { kind, range: at..end };
    let verb_follows = |from: usize| {
        let next = words[from..].iter().find(|word| !matches!(word.tag, UPOS::ADV));
        next.is_some_and(|word| matches!(word.tag, UPOS::VERB | UPOS::AUX))
    };
    let word = &words[at];
    if word.tag == UPOS::PUNCT {
        return phrase(Kind::Comma, at + 1);
    }
    if word.tag == UPOS::CCONJ {
        return phrase(Kind::And, at + 1);
    }
    if word.is(&["who", "which", "that"]) && before.is_some() && verb_follows(at + 1) {
        return phrase(Kind::Relative, at + 1);
    }
    if word.is(&["to"]) && words.get(at + 1).is_some_and(|next| next.tag == UPOS::VERB) {
        return phrase(Kind::To, at + 1);
    }
    if let Some(end) = noun_phrase(words, at) {
        return phrase(Kind::Noun, end);
    }
    if let Some((group, end)) = verb_group(words, at) {
        return phrase(Kind::Verb(group), end);
    }
    match word.tag {
        UPOS::ADP => match noun_phrase(words, at + 1) {
            Some(end) => phrase(Kind::Preposition, end),
            None => phrase(Kind::Adverb, at + 1),
        },
        UPOS::ADJ => phrase(Kind::State, state(words, at)),
        UPOS::ADV if words.get(at + 1).is_some_and(|next| next.tag == UPOS::ADJ) => {
            phrase(Kind::State, state(words, at + 1))
        }
        UPOS::ADV | UPOS::PART => phrase(Kind::Adverb, at + 1),
        _ => phrase(Kind::Other, at + 1),
    }
}

/// Where the noun phrase that starts here ends, "of ..." included.
fn noun_phrase(words: &[Word], at: usize) -> Option<usize> {
    let mut end = None;
    let mut here = at;
    while let Some(word) = words.get(here) {
        let next = words.get(here + 1).map(|next| next.tag);
        let describes = match word.tag {
            UPOS::NOUN | UPOS::PROPN => true,
            UPOS::PRON => here == at,
            UPOS::DET | UPOS::NUM => end.is_none(),
            UPOS::ADJ => end.is_none(),
            UPOS::ADV => end.is_none() && next == Some(UPOS::ADJ),
            UPOS::CCONJ => {
                end.is_none() && here > at && words[here - 1].tag == UPOS::ADJ && next == Some(UPOS::ADJ)
            }
            UPOS::PART => end == Some(here) && word.text.starts_with(['\'', '’']),
            _ => false,
        };
        if !describes {
            break;
        }
        here += 1;
        if word.is_nominal() {
            end = Some(here);
            if word.tag == UPOS::PRON {
                break;
            }
        }
    }
    let end = match end {
        Some(end) => end,
        // "both", "two": a determiner or a number stands for its noun.
        None if words
            .get(at)
            .is_some_and(|word| matches!(word.tag, UPOS::NUM) || word.is(&["both", "this"])) =>
        {
            at + 1
        }
        None => return None,
    };
    let of = words.get(end).is_some_and(|word| word.is(&["of"]));
    Some(if of { noun_phrase(words, end + 1).unwrap_or(end) } else { end })
}

fn verb_group(words: &[Word], at: usize) -> Option<(Group, usize)> {
    let mut be = None;
    let mut auxiliary = None;
    for (here, word) in words.iter().enumerate().skip(at) {
        match word.tag {
            UPOS::AUX => {
                auxiliary = Some(here);
                be = if word.is_be() { Some(here) } else { be };
            }
            UPOS::VERB => {
                let finite = auxiliary.is_some() || !word.is_ing();
                return Some((Group { main: here, be, finite }, here + 1));
            }
            UPOS::ADV | UPOS::PART if auxiliary.is_some() && !word.is(&["to"]) => {}
            _ => break,
        }
    }
    let main = be.or(auxiliary)?;
    Some((Group { main, be, finite: true }, main + 1))
}

/// Where a state ends: "wide", "wide open", "wide and staring".
fn state(words: &[Word], at: usize) -> usize {
    let mut end = at + 1;
    loop {
        let adjective = |at: usize| words.get(at).is_some_and(|word| word.tag == UPOS::ADJ);
        let joined = words.get(end).is_some_and(|word| word.tag == UPOS::CCONJ) && adjective(end + 1);
        match () {
            _ if adjective(end) => end += 1,
            _ if joined => end += 2,
            _ => return end,
        }
    }
}

/// Joins "A, B and C" into one noun phrase, and "with A and B" into one prepositional phrase, unless the last of them
/// is the subject of a clause of its own.
fn join_lists(phrases: Vec<Phrase>) -> Vec<Phrase> {
    let mut joined: Vec<Phrase> = Vec::new();
    let mut at = 0;
    while at < phrases.len() {
        let mut phrase = phrases[at].clone();
        if matches!(phrase.kind, Kind::Noun | Kind::Preposition) {
            let had_verb = joined.iter().any(|before| matches!(before.kind, Kind::Verb(_)));
            if let Some(last) = list_end(&phrases, at, had_verb) {
                phrase.range.end = phrases[last].range.end;
                at = last;
            }
        }
        joined.push(phrase);
        at += 1;
    }
    joined
}

/// The last member of the list that starts at `at`; a list has an "and" before its last member.
fn list_end(phrases: &[Phrase], at: usize, had_verb: bool) -> Option<usize> {
    let mut member = at;
    loop {
        let mut next = member + 1;
        let comma = phrases.get(next)?.kind == Kind::Comma;
        next += usize::from(comma);
        let and = phrases.get(next)?.kind == Kind::And;
        next += usize::from(and);
        if (!comma && !and) || phrases.get(next)?.kind != Kind::Noun {
            return None;
        }
        let after = phrases.get(next + 1).map(|after| &after.kind);
        let own_clause = matches!(after, Some(Kind::Verb(_) | Kind::Relative));
        let own_state =
            matches!(after, Some(Kind::Preposition | Kind::State)) && phrases[at].kind == Kind::Preposition;
        if own_state || (own_clause && had_verb) {
            return None;
        }
        if and {
            return Some(next);
        }
        member = next;
    }
}
