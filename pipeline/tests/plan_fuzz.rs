//! Does any file make the reader or the planner panic or hang? Seeded mutations of a good file and of the broken ones.

mod plan_kinds;

use std::path::Path;

use affectflow_pipeline::{plan, spec};
use plan_kinds::registry;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROUNDS: usize = 40_000;

const PIECES: &[&str] = &[
    "${",
    "}",
    "${vars.",
    "${vars.seed}",
    "${env.X:-1}",
    "$${",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "!x ",
    "'",
    "\"",
    "#",
    "---\n",
    "...\n",
    "?",
    "|",
    ">",
    "%YAML 1.2\n",
    "null",
    "~",
    ".nan",
    "-.inf",
    "1e999",
    "-0",
    "0x",
    "99999999999999999999999",
    "inputs:",
    "kind:",
    "config:",
    "é",
    "\u{feff}",
    "\u{0}",
    "photos",
    "blur",
    "train",
    "on_error: fail",
    "extends: p",
    "use: t",
    "templates: { t: { kind: blur } }\n",
    "templates: { t: { use: u }, u: { use: t } }\n",
    "when: ",
    "when: '${vars.seed} == 1'",
    " == ",
    "not ",
    "matrix: { seed: [1, 2] }",
    "matrix: ",
    "exclude: [{ seed: 1 }]",
    "include: p.yaml\n",
    "=",
];

#[test]
fn no_mutation_panics() {
    let cases = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken/cases.txt"))
        .unwrap();
    let seeds: Vec<&str> = cases
        .split("=== ")
        .skip(1)
        .filter_map(|case| case.split_once('\n')?.1.split("--- message").next())
        .collect();
    let registry = registry();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut planned = 0;
    for round in 0..ROUNDS {
        let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..rng.random_range(0..6) {
            mutate(&mut text, &mut rng);
        }
        let text: String = text.into_iter().collect();
        let set = format!(
            "{}{}",
            PIECES[rng.random_range(0..PIECES.len())],
            PIECES[rng.random_range(0..PIECES.len())]
        );
        let sets = [vec![], vec![format!("stages.blur.config.radius={set}")], vec![set]]
            [rng.random_range(0..3)]
        .clone();
        let (read, problems) = spec::parse_lenient(&text, "p.yaml", &sets, &|_| None);
        assert!(problems.iter().all(|problem| problem.span.is_some() && !problem.message.is_empty()));
        assert!(read.is_some() || !problems.is_empty());
        if let Some(read) = &read {
            let more = plan::check_read(Some(read), Vec::new(), &registry, Path::new("."));
            assert!(more.iter().all(|problem| problem.span.is_some()));
        }
        match plan::open_read((read, problems), None, &registry, Path::new("."), None) {
            Ok(_) => planned += 1,
            Err(problems) => assert!(!problems.is_empty(), "{text}"),
        }
    }
    assert!(planned > 0);
}

fn mutate(text: &mut Vec<char>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..=text.len());
    match rng.random_range(0..4) {
        0 => {
            let piece = PIECES[rng.random_range(0..PIECES.len())];
            text.splice(at..at, piece.chars());
        }
        1 => {
            let end = (at + rng.random_range(0..12)).min(text.len());
            text.drain(at..end);
        }
        2 => {
            let end = (at + rng.random_range(0..40)).min(text.len());
            let copy: Vec<char> = text[at..end].to_vec();
            let to = rng.random_range(0..=text.len());
            text.splice(to..to, copy);
        }
        _ => {
            if let Some(c) = text.get_mut(at) {
                *c = char::from(rng.random_range(9..127u8));
            }
        }
    }
}
