//! What a scene says must follow from its action units, and its look must not

use std::collections::{BTreeMap, BTreeSet};

use affectflow_synthetic::{
    Cue, Domain, Emotion, PORTRAIT_STYLES, STICKER_STYLES, Scene, Spec, cues_in, emotion_at, sample,
};

const DOMAINS: [Domain; 2] = [Domain::Portrait, Domain::Sticker];

fn scenes(domain: Domain, count: u64) -> impl Iterator<Item = Scene> {
    (0..count).map(move |index| sample(Spec::new(domain, 11, index)))
}

#[test]
fn every_prefix_is_nearly_balanced() {
    for domain in DOMAINS {
        let mut counts = [0usize; 6];
        for index in 0..600 {
            counts[usize::from(emotion_at(domain, 3, index).id())] += 1;
            let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(high - low <= 1, "{counts:?} after {index}");
        }
    }
}

#[test]
fn the_order_of_classes_depends_on_seed_and_domain() {
    let order = |domain, seed| (0..60).map(|i| emotion_at(domain, seed, i)).collect::<Vec<_>>();
    assert_ne!(order(Domain::Portrait, 1), order(Domain::Portrait, 2));
    assert_ne!(order(Domain::Portrait, 1), order(Domain::Sticker, 1));
    assert_eq!(order(Domain::Sticker, 5), order(Domain::Sticker, 5));
}

#[test]
fn captions_give_back_their_cues() {
    for scene in DOMAINS.into_iter().flat_map(|domain| scenes(domain, 1500)) {
        assert!(!scene.cues.is_empty(), "{:?}", scene.spec);
        assert!(scene.cues.is_sorted(), "{}", scene.caption);
        assert_eq!(cues_in(&scene.caption), scene.cues, "{}", scene.caption);
    }
}

#[test]
fn every_cue_occurs_and_round_trips_alone() {
    let seen: BTreeSet<Cue> =
        DOMAINS.into_iter().flat_map(|domain| scenes(domain, 1500)).flat_map(|scene| scene.cues).collect();
    assert_eq!(seen, BTreeSet::from(Cue::ALL));
    for cue in Cue::ALL {
        assert_eq!(cues_in(&format!("The cat {}!", cue.phrase().to_uppercase())), [cue]);
    }
    assert_eq!(cues_in("the man lifts the lip"), []);
    assert_eq!(cues_in("drops the jaw, drops the jaw and parts the lips"), [Cue::DropsJaw, Cue::PartsLips]);
}

#[test]
fn captions_are_short_plain_and_never_name_the_emotion() {
    const ROOTS: [&str; 16] = [
        "surpris",
        "happ",
        "disgust",
        "fear",
        "afraid",
        "sad",
        "ang",
        "joy",
        "scare",
        "smil",
        "frown",
        "cry",
        "emotion",
        "mood",
        "feel",
        "expression",
    ];
    let mut vocabulary = BTreeSet::new();
    for scene in DOMAINS.into_iter().flat_map(|domain| scenes(domain, 1500)) {
        let words: Vec<String> =
            scene.caption.split([' ', ',']).filter(|w| !w.is_empty()).map(String::from).collect();
        assert!(words.len() <= 30, "{}", scene.caption);
        for word in &words {
            assert!(ROOTS.iter().all(|root| !word.starts_with(root)), "{}", scene.caption);
        }
        vocabulary.extend(words);
    }
    assert!(vocabulary.len() <= 120, "{}", vocabulary.len());
}

#[test]
fn every_style_occurs_and_is_independent_of_the_emotion() {
    for (domain, styles) in [(Domain::Portrait, PORTRAIT_STYLES), (Domain::Sticker, STICKER_STYLES)] {
        let mut counts: BTreeMap<(&str, Emotion), usize> = BTreeMap::new();
        for scene in scenes(domain, 6000) {
            *counts.entry((scene.style, scene.emotion)).or_default() += 1;
        }
        let expected = 1000.0 / styles.len() as f64;
        for style in styles {
            for emotion in Emotion::ALL {
                let found = counts.get(&(*style, emotion)).copied().unwrap_or(0) as f64;
                assert!((found / expected - 1.0).abs() < 0.35, "{style} {emotion:?}: {found} of {expected}");
            }
        }
        assert_eq!(counts.len(), 6 * styles.len());
    }
}

#[test]
fn ids_and_names_agree() {
    let names = ["surprise", "happy", "disgust", "fear", "sad", "anger"];
    for (id, name) in names.into_iter().enumerate() {
        let emotion = Emotion::from_id(id as u8).unwrap();
        assert_eq!((emotion.id(), emotion.name()), (id as u8, name));
    }
    assert_eq!(Emotion::from_id(6), None);
}
