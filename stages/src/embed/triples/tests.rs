use super::*;

fn check(text: &str, expected: &[(&str, &str, &str)]) {
    let found = Parser::default().parse(text);
    let found: Vec<_> =
        found.iter().map(|t| (t.subject.as_str(), t.verb.as_str(), t.object.as_str())).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn lists_of_verbs_share_the_subject() {
    check(
        "the woman raises both brows and drops the jaw",
        &[("the woman", "raises", "both brows"), ("the woman", "drops", "the jaw")],
    );
    check(
        "the man raises the brows, opens the eyes and drops the jaw",
        &[
            ("the man", "raises", "the brows"),
            ("the man", "opens", "the eyes"),
            ("the man", "drops", "the jaw"),
        ],
    );
    check(
        "the old man raises the inner brows, sheds tears, drips sweat and raises the chin",
        &[
            ("the old man", "raises", "the inner brows"),
            ("the old man", "sheds", "tears"),
            ("the old man", "drips", "sweat"),
            ("the old man", "raises", "the chin"),
        ],
    );
}

#[test]
fn a_round_face_is_a_subject() {
    for face in ["the pink round face", "the round face", "the grey round face", "the yellow round face"] {
        check(
            &format!("{face} raises the inner brows and stretches the lips"),
            &[(face, "raises", "the inner brows"), (face, "stretches", "the lips")],
        );
    }
    check("the man walks round the table", &[("the man", "walks", "round the table")]);
}

#[test]
fn objects_can_be_lists() {
    check(
        "She raises her brows, her cheeks and her chin.",
        &[("She", "raises", "her brows, her cheeks and her chin")],
    );
    check("a man and a woman hold a red balloon", &[("a man and a woman", "hold", "a red balloon")]);
}

#[test]
fn clauses_bring_their_own_subjects() {
    check(
        "The man raises his brows and the woman drops her jaw.",
        &[("The man", "raises", "his brows"), ("the woman", "drops", "her jaw")],
    );
    check(
        "The boy opens his mouth. His eyes are wide.",
        &[("The boy", "opens", "his mouth"), ("His eyes", "are", "wide")],
    );
    check(
        "the girl covers her face while the boy shows his teeth",
        &[("the girl", "covers", "her face"), ("the boy", "shows", "his teeth")],
    );
}

#[test]
fn states_and_looks() {
    check(
        "her eyes are wide and her mouth is open",
        &[("her eyes", "are", "wide"), ("her mouth", "is", "open")],
    );
    check("the woman looks angry", &[("the woman", "looks", "angry")]);
    check("the man is a clown", &[("the man", "is", "a clown")]);
    check("The girl seems very happy", &[("The girl", "seems", "very happy")]);
}

#[test]
fn captions_as_captioners_write_them() {
    check("there is a woman that is smiling and holding a phone", &[("a woman", "holding", "a phone")]);
    check(
        "a girl with big eyes looks surprised",
        &[("a girl", "has", "big eyes"), ("a girl", "looks", "surprised")],
    );
    check(
        "an old man sitting on a bench reading a newspaper",
        &[("an old man", "sitting", "on a bench"), ("an old man", "reading", "a newspaper")],
    );
    check("a cartoon cat with tears in its eyes", &[("a cartoon cat", "has", "tears")]);
    check("a man in a suit looking at the camera", &[("a man", "looking", "at the camera")]);
}

#[test]
fn passives() {
    check("the face is covered by hands", &[("hands", "covered", "the face")]);
    check("the brows are raised", &[("the brows", "are", "raised")]);
    check("the brows are pulled together", &[("the brows", "pulled", "together")]);
    check("a face covered by tears", &[("tears", "covered", "a face")]);
}

#[test]
fn what_one_has() {
    check("a man with raised brows", &[("a man", "has", "raised brows")]);
    check("a woman with wide eyes and an open mouth", &[("a woman", "has", "wide eyes and an open mouth")]);
    check(
        "a man with narrowed eyes presses his lips",
        &[("a man", "has", "narrowed eyes"), ("a man", "presses", "his lips")],
    );
    check("the man has raised brows", &[("the man", "has", "raised brows")]);
    check("There is a boy with a big smile", &[("a boy", "has", "a big smile")]);
}

#[test]
fn where_and_how_fill_an_empty_object() {
    check("a woman stares at the camera", &[("a woman", "stares", "at the camera")]);
    check("the child smiles broadly", &[("the child", "smiles", "broadly")]);
    check("the man does not smile", &[("the man", "smile", "not")]);
    check("the man slowly raises his chin", &[("the man", "raises", "his chin")]);
}

#[test]
fn clauses_that_hang_on_a_noun() {
    check(
        "a man wearing a hat raises his brows",
        &[("a man", "wearing", "a hat"), ("a man", "raises", "his brows")],
    );
    check(
        "a woman who wears glasses drops her jaw",
        &[("a woman", "wears", "glasses"), ("a woman", "drops", "her jaw")],
    );
    check("a smiling woman holding a cat", &[("a smiling woman", "holding", "a cat")]);
}

#[test]
fn longer_complements() {
    check(
        "the man tries to hold his tears",
        &[("the man", "tries", "to hold his tears"), ("the man", "hold", "his tears")],
    );
    check("she keeps her lips pressed", &[("she", "keeps", "her lips pressed")]);
    check("he opens the mouth wide", &[("he", "opens", "the mouth wide")]);
    check("a man gives a flower to the woman", &[("a man", "gives", "a flower to the woman")]);
    check("he lifts the corners of the mouth", &[("he", "lifts", "the corners of the mouth")]);
}

#[test]
fn nothing_is_stated() {
    for text in ["", "   ", "a yellow face", "the man smiles", "wow!", "…", "12 34", "🙂", "and, and, and"]
    {
        check(text, &[]);
    }
}

/// What the captions of the synthetic pictures say, in their order.
const CUES: [&str; 21] = [
    "raises both brows",
    "raises the inner brows",
    "raises the outer brows",
    "knits the brows",
    "lowers the brows",
    "drips sweat",
    "widens the eyes",
    "narrows the eyes",
    "sheds tears",
    "raises the cheeks",
    "wrinkles the nose",
    "lifts the upper lip",
    "lifts the lip corners",
    "lowers the lip corners",
    "stretches the lips",
    "presses the lips",
    "parts the lips",
    "shows the tongue",
    "drops the lower lip",
    "drops the jaw",
    "raises the chin",
];

#[test]
fn every_synthetic_cue_alone_and_in_lists() {
    let parser = Parser::default();
    let said = |text: &str| -> Vec<String> {
        parser.parse(text).iter().map(|t| format!("{} {} {}", t.subject, t.verb, t.object)).collect()
    };
    for subject in ["the woman", "the old man", "the young woman", "the face", "the cat", "the boy"] {
        for first in CUES {
            let alone = format!("{subject} {first}");
            assert_eq!(said(&alone), std::slice::from_ref(&alone));
            for second in CUES.into_iter().filter(|second| *second != first) {
                let mut expected = vec![alone.clone(), format!("{subject} {second}")];
                let text = format!("{subject} {first} and {second}");
                assert_eq!(said(&text), expected, "{text}");
                let text = format!("{subject} {first}, {second} and shakes the head");
                expected.push(format!("{subject} shakes the head"));
                assert_eq!(said(&text), expected, "{text}");
            }
        }
    }
}

#[test]
fn any_order_of_words_is_read_without_panic_and_alike() {
    let words = "the a man woman her who that with of to by and , raises raised raising is are not has been wide eyes \
                 mouth both very slowly at in while there does it . two 's -- é 🙂 covered looks angry";
    let words: Vec<&str> = words.split_whitespace().collect();
    let parser = Parser::default();
    let mut state = 7u64;
    for _ in 0..5000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push_str(words[(state >> 33) as usize % words.len()]);
            text.push(' ');
        }
        let triples = parser.parse(&text);
        assert_eq!(triples, parser.parse(&text));
        let parts = triples.iter().flat_map(|t| [&t.subject, &t.verb, &t.object]);
        assert!(parts.into_iter().all(|part| !part.trim().is_empty()), "{text}: {triples:?}");
    }
}
