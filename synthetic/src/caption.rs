//! What would an observer say of the face, and which cues does a caption name?
//!
//! One sentence: a subject, then the cues from top to bottom. It never names the emotion.

use crate::Cue;

/// "the woman raises both brows, widens the eyes and drops the jaw"
pub(crate) fn compose(subject: &str, cues: &[Cue]) -> String {
    let mut caption = format!("the {subject}");
    for (place, cue) in cues.iter().enumerate() {
        caption.push_str(match place {
            0 => " ",
            _ if place + 1 == cues.len() => " and ",
            _ => ", ",
        });
        caption.push_str(cue.phrase());
    }
    caption
}

/// The cues a caption names, in the order in which it names them, each once; case and punctuation do not matter
pub fn cues_in(caption: &str) -> Vec<Cue> {
    let lower = caption.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let mut cues = Vec::new();
    for start in 0..words.len() {
        if let Some(cue) = Cue::ALL.into_iter().find(|cue| begins(&words[start..], cue.phrase()))
            && !cues.contains(&cue)
        {
            cues.push(cue);
        }
    }
    cues
}

fn begins(words: &[&str], phrase: &str) -> bool {
    let mut rest = words.iter();
    phrase.split(' ').all(|word| rest.next() == Some(&word))
}
