//! Which predicates does a sentence have, and which spans are their arguments?
//!
//! One walk over the phrases. A frame is open from its verb until the next one; the subject lasts until a clause brings
//! another.

use super::phrases::{Group, Kind, Phrase};
use super::roles::{Role, Spans};
use super::words::{Word, text};

/// The spans of every predicate, in the order of the verbs.
pub fn frames(words: &[Word], phrases: &[Phrase]) -> Vec<Spans> {
    let mut walk = Walk {
        words,
        phrases,
        done: Vec::new(),
        open: None,
        subject: None,
        noun: None,
        pending: Vec::new(),
        boundary: true,
        relative: false,
    };
    let mut at = 0;
    while at < phrases.len() {
        at += walk.step(at);
    }
    walk.close();
    walk.done
}

struct Walk<'a> {
    words: &'a [Word],
    phrases: &'a [Phrase],
    done: Vec<Spans>,
    open: Option<Frame>,
    /// Subject of the clause.
    subject: Option<String>,
    /// The noun phrase just before.
    noun: Option<String>,
    /// Modifiers that wait for their verb.
    pending: Vec<String>,
    /// Whether a comma, a conjunction or nothing stands just before.
    boundary: bool,
    /// Whether "who", "which" or "that" stands just before.
    relative: bool,
}

struct Frame {
    /// What it is about, under the role that its verb gives it.
    subject: Option<(Role, String)>,
    spans: Spans,
    kind: Voice,
    /// Whether it hangs on a noun: the sentence's own verb may still come.
    attached: bool,
    agent: Option<String>,
}

#[derive(PartialEq)]
enum Voice {
    Active,
    /// With the form of "be".
    Passive(String),
    Copula,
}

impl Frame {
    fn has_object(&self) -> bool {
        self.spans.iter().any(|(role, _)| matches!(role, Role::Arg1 | Role::Arg2))
    }

    /// The spans in reading order, the agent of a passive first.
    fn spans(self) -> Spans {
        let mut spans = Vec::new();
        match (self.kind, self.agent) {
            (Voice::Passive(_), Some(agent)) => {
                let patient = self.subject.map(|(_, subject)| (Role::Arg1, subject));
                spans.push((Role::Arg0, agent));
                spans.extend(self.spans);
                spans.extend(patient);
            }
            (Voice::Passive(be), None) if self.spans.iter().all(|(role, _)| *role == Role::Verb) => {
                spans.extend(self.subject);
                spans.push((Role::Verb, be));
                spans.extend(self.spans.into_iter().map(|(_, participle)| (Role::Arg2, participle)));
            }
            _ => {
                spans.extend(self.subject);
                spans.extend(self.spans);
            }
        }
        spans
    }
}

impl Walk<'_> {
    /// Reads the phrase and says how many were used up.
    fn step(&mut self, at: usize) -> usize {
        let phrase = &self.phrases[at];
        let said = text(self.words, phrase.range.clone());
        let mut used = 1;
        match phrase.kind.clone() {
            Kind::Noun => used = self.noun(at, said),
            Kind::Verb(group) => self.verb(at, group),
            Kind::Preposition => self.preposition(phrase, said),
            Kind::State => self.argument(said),
            Kind::Adverb => match &mut self.open {
                Some(frame) => frame.spans.push((Role::Modifier, said)),
                None => self.pending.push(said),
            },
            Kind::To => self.purpose(at),
            Kind::Relative => {
                self.relative = true;
                return 1;
            }
            Kind::And | Kind::Comma | Kind::Other => {
                self.boundary = true;
                return 1;
            }
        }
        self.boundary = false;
        used
    }

    fn next(&self, at: usize) -> Option<&Kind> {
        self.phrases.get(at + 1).map(|phrase| &phrase.kind)
    }

    fn noun(&mut self, at: usize, said: String) -> usize {
        let clause_follows = match self.next(at) {
            Some(Kind::Verb(group)) => {
                group.finite
                    && !self.reduced_passive(at + 1, *group)
                    && (self.boundary || !self.state_of(at + 1, *group))
            }
            _ => false,
        };
        let state_follows = self.next(at) == Some(&Kind::State);
        self.noun = Some(said.clone());
        match &mut self.open {
            None => self.subject = Some(said),
            Some(_) if self.boundary && clause_follows => {
                self.close();
                self.subject = Some(said);
            }
            // "raises the brows, eyes wide": how, not what.
            Some(frame) if self.boundary && state_follows => {
                let state = text(self.words, self.phrases[at + 1].range.clone());
                frame.spans.push((Role::Modifier, format!("{said} {state}")));
                return 2;
            }
            Some(_) if self.boundary => {}
            Some(frame) => {
                let role =
                    if frame.has_object() || frame.kind == Voice::Copula { Role::Arg2 } else { Role::Arg1 };
                let attached = frame.attached;
                frame.spans.push((role, said.clone()));
                // "there is a woman": the sentence is about her.
                if frame.kind == Voice::Copula && frame.subject.is_none() {
                    self.subject = Some(said.clone());
                }
                if clause_follows && !attached {
                    self.close();
                    self.subject = Some(said);
                }
            }
        }
        1
    }

    fn verb(&mut self, at: usize, group: Group) {
        let said = self.words[group.main].text.clone();
        let on_noun = !self.boundary && self.noun.is_some();
        let participle = on_noun && (!group.finite || self.reduced_passive(at, group));
        // "keeps the lips pressed": the object's state.
        let past = self.words[group.main].is_past() && group.be.is_none();
        if let Some(frame) = self
            .open
            .as_mut()
            .filter(|frame| past && on_noun && !self.relative && frame.has_object() && !frame.attached)
        {
            frame.spans.push((Role::Arg2, said));
            return;
        }
        // "looks surprised": how it looks.
        let adjoins = at > 0 && matches!(self.phrases[at - 1].kind, Kind::Verb(_));
        if let Some(frame) = self.open.as_mut().filter(|frame| past && adjoins && frame.kind == Voice::Active)
        {
            frame.spans.push((Role::Arg1, said));
            return;
        }
        self.close();
        let attached = participle || self.relative;
        let subject = if attached { self.noun.clone() } else { self.subject.clone() };
        let voice = match group.be {
            Some(be) if be == group.main => Voice::Copula,
            Some(be) if self.words[group.main].is_past() => Voice::Passive(self.words[be].text.clone()),
            None if participle && past => Voice::Passive("is".into()),
            _ => Voice::Active,
        };
        let role = if voice == Voice::Active { Role::Arg0 } else { Role::Arg1 };
        let subject =
            subject.filter(|subject| !subject.eq_ignore_ascii_case("there")).map(|subject| (role, subject));
        let mut spans: Spans =
            std::mem::take(&mut self.pending).into_iter().map(|said| (Role::Modifier, said)).collect();
        spans.extend(self.adverbs(at, group).into_iter().map(|said| (Role::Modifier, said)));
        spans.push((Role::Verb, said));
        self.open = Some(Frame { subject, spans, kind: voice, attached, agent: None });
        (self.relative, self.noun) = (false, None);
    }

    /// Adverbs and "not" between an auxiliary and its verb.
    fn adverbs(&self, at: usize, group: Group) -> Vec<String> {
        use harper_brill::UPOS;
        let inside = &self.words[self.phrases[at].range.start..group.main];
        let adverbs = inside.iter().filter(|word| matches!(word.tag, UPOS::ADV | UPOS::PART));
        adverbs.map(|word| word.text.clone()).collect()
    }

    /// "a face covered by hands": a past participle without "be" that an agent follows.
    fn reduced_passive(&self, at: usize, group: Group) -> bool {
        let by = self
            .phrases
            .get(at + 1)
            .is_some_and(|next| next.kind == Kind::Preposition && self.words[next.range.start].is(&["by"]));
        group.be.is_none() && self.words[group.main].is_past() && by
    }

    /// "keeps the lips pressed": a past participle without "be" and without an object.
    fn state_of(&self, at: usize, group: Group) -> bool {
        let object = self.next(at) == Some(&Kind::Noun);
        self.open.is_some() && group.be.is_none() && self.words[group.main].is_past() && !object
    }

    fn preposition(&mut self, phrase: &Phrase, said: String) {
        let (word, inner) =
            (self.words[phrase.range.start].lower(), phrase.range.start + 1..phrase.range.end);
        let inner = text(self.words, inner);
        let copula = self.open.as_ref().is_some_and(|frame| frame.kind == Voice::Copula);
        let owner = self.noun.clone().filter(|_| (self.open.is_none() || copula) && !self.boundary);
        match (&mut self.open, owner) {
            (_, Some(owner)) if word == "with" => {
                self.done.push(vec![(Role::Arg0, owner), (Role::Verb, "has".into()), (Role::Arg1, inner)]);
            }
            (Some(frame), _) if word == "by" && matches!(frame.kind, Voice::Passive(_)) => {
                frame.agent = Some(inner)
            }
            (Some(frame), _) if word == "to" && frame.has_object() => frame.spans.push((Role::Arg2, said)),
            (Some(frame), _) => frame.spans.push((Role::Modifier, said)),
            (None, Some(owner)) => self.subject = Some(format!("{owner} {said}")),
            (None, None) => self.pending.push(said),
        }
    }

    fn argument(&mut self, said: String) {
        let Some(frame) = &mut self.open else { return };
        let first = frame.kind == Voice::Active && !frame.has_object();
        frame.spans.push((if first { Role::Arg1 } else { Role::Arg2 }, said));
    }

    /// "tries to hold the tears": what is tried, up to the end of the clause; the verb that follows has its own frame.
    fn purpose(&mut self, at: usize) {
        let rest = &self.phrases[at..];
        let ends = |phrase: &&Phrase| matches!(phrase.kind, Kind::And | Kind::Comma | Kind::Other);
        let end = rest.iter().find(ends).map_or(self.words.len(), |phrase| phrase.range.start);
        let said = text(self.words, self.phrases[at].range.start..end);
        if let Some(frame) = &mut self.open {
            let role = if frame.has_object() { Role::Modifier } else { Role::Arg1 };
            frame.spans.push((role, said));
        }
        self.noun = None;
    }

    fn close(&mut self) {
        if let Some(frame) = self.open.take() {
            self.done.push(frame.spans());
        }
    }
}
