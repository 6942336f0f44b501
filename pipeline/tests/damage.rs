//! Every file of a cache damaged in every way, one at a time: is it found, told and moved aside, are only its rows computed
//! again, and is the result the same?

mod proof;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use affectflow_pipeline::Error;
use affectflow_pipeline::cache::segment::Segment;
use affectflow_pipeline::run::lists;
use affectflow_pipeline::run::space::gc::{Policy, gc};
use affectflow_pipeline::run::verify::verify;
use affectflow_pipeline::run::{Options, State};
use proof::damage::{Damage, files, folder};
use proof::whole::Whole;
use proof::{Computed, hook, registry, seed};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a loss of that file, as such, is not told of, and why that is right.
const SILENT: [(&str, &str, &str); 6] = [
    ("delete", ".keys", "rebuilt from its segment"),
    ("delete", ".failed", "its rows are tried again"),
    ("delete", "v1/tables/", "what nobody remembers cannot be missed: the table is computed again"),
    ("delete", "v1/lists/", "written again by the run that lists the same rows"),
    ("delete", "v1/identities/", "only explains, and is written again"),
    ("", "files.memo", "a line that is wrong or missing costs reading a file"),
];

fn silent(damage: &str, path: &str) -> bool {
    SILENT.iter().any(|(how, what, _)| (how.is_empty() || damage == *how) && path.contains(what))
}

/// What became of one damage.
#[derive(Default)]
struct Found {
    told: bool,
    computed: usize,
}

/// Damages one file, runs until all is well, and checks everything.
fn endure(whole: &Whole, file: &Path, damage: &Damage, salt: &'static str) -> Result<Found, String> {
    let folder = whole.copy();
    let cache = folder.path().join("state/cache");
    let before = fs::read(cache.join(file)).unwrap();
    damage.apply(&cache.join(file));
    let damaged = fs::read(cache.join(file)).ok();
    if damaged.as_ref() == Some(&before) {
        return Ok(Found::default());
    }
    let project = whole.project(folder.path(), salt);
    let mut told = Vec::new();
    let mut computed = Vec::new();
    let mut outcome = None;
    for _ in 0..3 {
        let ran = project.run("state", &Options::default());
        told.extend(ran.warnings());
        computed.extend(ran.computed.iter().cloned());
        ran.result.as_ref().map_err(|error| format!("the run fails: {error}"))?;
        match ran.outcome() {
            Ok(found) => {
                outcome = Some(found);
                break;
            }
            Err(error @ Error::Damaged { .. }) => told.push(error.to_string()),
            Err(error) => return Err(format!("the export fails: {error}")),
        }
    }
    let mut outcome = outcome.ok_or_else(|| format!("three runs do not mend it: {told:?}"))?;
    outcome.attempts.clear();
    let mut expected = whole.outcomes[salt].clone();
    expected.attempts.clear();
    if let Some(difference) = outcome.differs(&expected) {
        return Err(format!("another result: {difference}"));
    }
    let cost = &whole.costs[file];
    // The last stage reads everything: with another salt it computes all its rows once.
    let free = |one: &Computed| salt == "second" && one.stage == "read";
    let mut once = BTreeSet::new();
    let stranger = computed.iter().find(|one| {
        !once.insert((&one.stage, &one.id))
            || !(free(one) || cost.contains(&(one.stage.clone(), one.id.clone())))
    });
    if let Some(one) = stranger {
        return Err(format!("computes {one:?}, which the file does not hold, or twice"));
    }
    let name = file.file_stem().unwrap().to_str().unwrap();
    // Of a file that is gone tells whoever names it, perhaps by another name.
    let told = told.iter().any(|line| line.contains(name) || damaged.is_none());
    let aside = files(&cache.join("aside"))
        .iter()
        .any(|aside| fs::read(cache.join("aside").join(aside)).ok() == damaged);
    if told && damaged.is_some() && !aside {
        return Err("the damaged bytes are not kept in aside/".into());
    }
    // Parquet has bits that no reader looks at; that they are another is what `cache verify` finds.
    let unread = damage.name() == "flip" && file.extension().is_some_and(|end| end == "parquet");
    let explains = whole.explaining.iter().any(|list| *list == file);
    if explains && damaged.is_some() && !unread {
        let stop = AtomicBool::new(false);
        let verified = verify(&State::open(&folder.path().join("state")).cache, &stop, |_, _| {}).unwrap();
        if !verified.damage.iter().any(|damage| damage.path.contains(name)) {
            return Err("neither a run nor `cache verify` tells".into());
        }
    }
    if !told && !unread && !explains && !silent(damage.name(), file.to_str().unwrap()) {
        return Err("nothing is told".into());
    }
    let again = project.run("state", &Options::default());
    if !again.computed.is_empty() || !again.warnings().is_empty() {
        return Err(format!("not at rest afterwards: {:?} {:?}", again.computed, again.warnings()));
    }
    Ok(Found { told, computed: computed.len() })
}

#[test]
fn every_file_damaged_in_every_way() {
    let seed = seed();
    println!("seed {seed}");
    let whole = Whole::new();
    let mut cases = Vec::new();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for file in &whole.files {
        let alike =
            whole.files.iter().filter(|other| *other != file && other.extension() == file.extension());
        let alike: Vec<&PathBuf> =
            alike.filter(|other| other.components().nth(1) == file.components().nth(1)).collect();
        let other = (!alike.is_empty()).then(|| alike[random.random_range(0..alike.len())]);
        let other = other.map(|other| fs::read(whole.folder.path().join("state/cache").join(other)).unwrap());
        let places = if file.extension().is_some_and(|end| end == "parquet") { 4 } else { 16 };
        for damage in Damage::all(&mut random, places, other) {
            let unread = whole.last.iter().any(|name| file.to_str().unwrap().contains(name));
            for salt in ["first", "second"].into_iter().filter(|salt| *salt == "first" || !unread) {
                cases.push((file.clone(), damage.clone(), salt));
            }
        }
    }
    let (next, told, computed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((file, damage, salt)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match endure(&whole, file, damage, salt) {
                        Ok(found) => {
                            told.fetch_add(found.told.into(), Ordering::Relaxed);
                            computed.fetch_add(found.computed, Ordering::Relaxed);
                        }
                        Err(what) => {
                            broken
                                .lock()
                                .unwrap()
                                .push(format!("{} {damage:?} {salt}: {what}", file.display()));
                        }
                    }
                }
            });
        }
    });
    println!(
        "{} files, {} damages: {} told, {} computations again",
        whole.files.len(),
        cases.len(),
        told.into_inner(),
        computed.into_inner()
    );
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{} of {}:\n{}", broken.len(), cases.len(), broken.join("\n"));
}

#[test]
fn a_sidecar_is_rebuilt_from_its_segment_byte_for_byte() {
    let whole = Whole::new();
    let folder = whole.copy();
    let cache = folder.path().join("state/cache");
    let sidecars: Vec<&PathBuf> =
        whole.files.iter().filter(|f| f.extension().is_some_and(|end| end == "keys")).collect();
    assert!(sidecars.len() > 7, "{} sidecars", sidecars.len());
    sidecars.iter().for_each(|file| fs::remove_file(cache.join(file)).unwrap());
    let ran = whole.project(folder.path(), "first").run("state", &Options::default());
    assert_eq!((ran.computed, ran.result.is_ok()), (Vec::new(), true));
    for file in sidecars {
        let written = fs::read(whole.folder.path().join("state/cache").join(file)).unwrap();
        assert!(fs::read(cache.join(file)).unwrap() == written, "{}", file.display());
    }
}

#[test]
fn damage_between_look_up_and_read() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let whole = Whole::new();
    let (mut cases, mut repaired) = (0, 0);
    for file in whole.files.iter().filter(|file| file.starts_with("v1/rows") || file.starts_with("v1/blobs"))
    {
        for damage in Damage::while_running(&mut random) {
            cases += 1;
            match strike(&whole, file, &damage) {
                Ok(runs) => repaired += runs,
                Err(what) => panic!("{} {damage:?}: {what}", file.display()),
            }
        }
    }
    println!("{cases} files damaged during a run, {repaired} further runs to export all");
}

/// A run in which every stage but the last has looked up its rows when the file is damaged, and none has read them. Says
/// how many runs more it took until everything could be exported.
fn strike(whole: &Whole, file: &Path, damage: &Damage) -> Result<usize, String> {
    let folder = whole.copy();
    let project = whole.project(folder.path(), "second");
    let pipeline = folder.path().join("pipelines.yaml");
    let text = fs::read_to_string(&pipeline).unwrap();
    fs::write(pipeline, text.replace("      read:", "      hook:  { kind: hook }\n      read:")).unwrap();
    let target = folder.path().join("state/cache").join(file);
    let (done, wanted) = (AtomicBool::new(false), damage.clone());
    let strike = move || {
        if !done.swap(true, Ordering::Relaxed) {
            wanted.apply(&target);
        }
    };
    let mut registry = registry(&project.ledger);
    registry.add(hook::Hook(Arc::new(strike)));
    for runs in 0..3 {
        let ran = project.run_with("state", &[], &Options::default(), &registry);
        ran.result.as_ref().map_err(|error| error.to_string())?;
        let mut outcome = match ran.outcome() {
            Err(Error::Damaged { .. }) => continue,
            found => found.map_err(|error| error.to_string())?,
        };
        outcome.rows.remove("hook");
        outcome.artifacts.remove("hook");
        outcome.attempts.clear();
        let mut expected = whole.outcomes["second"].clone();
        expected.attempts.clear();
        return outcome.differs(&expected).map_or(Ok(runs), Err);
    }
    Err("three runs do not mend it".into())
}

#[test]
fn every_bit_of_a_segment_and_of_a_list() {
    let whole = Whole::new();
    let cache = whole.folder.path().join("state/cache");
    let smallest = |part: &str| {
        let parquet = whole
            .files
            .iter()
            .filter(|f| f.starts_with(part) && f.extension().is_some_and(|end| end == "parquet"));
        parquet.min_by_key(|file| fs::metadata(cache.join(file)).unwrap().len()).unwrap()
    };
    let bytes = fs::read(cache.join(smallest("v1/rows"))).unwrap();
    let fields = Segment::new(bytes.clone().into()).fields().unwrap();
    let sidecar = |bytes: Vec<u8>| Segment::new(bytes.into()).rebuild_sidecar(&fields).ok();
    let written = sidecar(bytes.clone()).unwrap();
    let found =
        (0..bytes.len() * 8).filter(|&bit| sidecar(flipped(&bytes, bit)) != Some(written.clone())).count();
    println!("a segment: {found} of {} flipped bits found", bytes.len() * 8);
    assert_eq!(found, bytes.len() * 8, "a sidecar holds the digest of its segment");

    let list = smallest("v1/lists");
    let name = list.file_stem().unwrap().to_str().unwrap().to_owned();
    let bytes = fs::read(cache.join(list)).unwrap();
    let folder = folder();
    let state = State::open(folder.path());
    fs::create_dir_all(state.cache.root().join("v1/lists")).unwrap();
    let read = |bytes: &[u8]| {
        fs::write(state.cache.root().join(list), bytes).unwrap();
        lists::read(&state.cache, std::slice::from_ref(&name))
    };
    let written = read(&bytes).unwrap();
    let mut found = 0;
    for bit in 0..bytes.len() * 8 {
        match read(&flipped(&bytes, bit)) {
            // Bits that say nothing of the rows.
            Ok(rows) => assert_eq!(rows, written, "bit {bit}"),
            Err(Error::Damaged { .. }) => found += 1,
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    println!("a list: {found} of {} flipped bits found", bytes.len() * 8);
    assert!(found > bytes.len());
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn a_folder_in_a_files_place_is_found_and_goes_in_time() {
    let whole = Whole::new();
    let stored: Vec<&PathBuf> = whole.files.iter().filter(|file| file.starts_with("v1")).collect();
    for file in &stored {
        let folder = whole.copy();
        let state = State::open(&folder.path().join("state"));
        Damage::Folder.apply(&state.cache.root().join(file));
        let found = verify(&state.cache, &AtomicBool::new(false), |_, _| {}).unwrap().damage;
        let damaged = |damage: &affectflow_pipeline::cache::Damage| {
            Path::new(&damage.path) == **file && damage.aside.is_some()
        };
        assert!(found.iter().any(damaged), "{}: {found:?}", file.display());
        let all = Policy { older_than: Some(Duration::ZERO), max_size: Some(1), dry_run: false };
        gc(&state, &all).unwrap();
        assert_eq!(files(&state.cache.root().join("aside")), Vec::<PathBuf>::new(), "{}", file.display());
    }
    println!("{} files", stored.len());
}
