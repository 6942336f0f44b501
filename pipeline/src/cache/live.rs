//! Who is at work on this cache? Each process says so in `v1/live/<owner>`, again every few seconds: what it uses must not be
//! removed, and what it has claimed need not be computed twice. Nothing here is needed for a right result.
//!
//! A process that died is noticed at once on the same machine (its number is free or another's) and elsewhere by its
//! silence; no lock of the file system is used. Clocks of different machines are compared in one place only: a word that its
//! process spoke a day ago, by its own clock, and that does not change while one listens, is of the dead, and swept.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Cache;
use crate::error::Error;

const FOLDER: &str = "v1/live";
/// How often a process says that it is at work.
const BEAT: Duration = Duration::from_secs(4);
/// So long without a word, and a process of another machine counts as dead.
const SILENCE: Duration = Duration::from_secs(20);
/// So long it waits to hear more of what it uses before it says so: stages begin together.
const GATHER: Duration = Duration::from_millis(10);
/// So long other processes may have begun without being seen.
const START: Duration = Duration::from_secs(1);
/// Words that were spoken so long ago are of the dead, unless they are heard to change.
const FORGOTTEN: Duration = Duration::from_secs(86_400);
/// How long is listened whether they do.
const LISTEN: Duration = Duration::from_secs(6);
/// How often the others are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Owners that are at work in this very process, whose number and beginning tell nothing of them.
static HERE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// What a process says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    /// The machine, its boot and the space of process numbers; nothing where the system does not tell.
    pub machine: String,
    /// Process number.
    pub pid: u32,
    /// When the process began, in the system's own count.
    pub began: String,
    /// The run.
    pub run: String,
    /// Raised every time.
    pub beat: u64,
    /// When it said so, by its own clock: milliseconds since 1970 in hex.
    #[serde(default)]
    pub spoken: String,
    /// Folders under `v1/rows` that it uses.
    pub uses: BTreeSet<String>,
}

/// This process at work; says so until dropped.
pub struct Live {
    cache: Arc<Cache>,
    owner: String,
    said: Mutex<Said>,
    others: Mutex<Others>,
    heart: Mutex<Beating>,
    wake: Condvar,
    claims: AtomicU64,
    began: Instant,
}

#[derive(Default)]
struct Beating {
    /// There is something new to say.
    due: bool,
    ended: bool,
}

#[derive(Default)]
struct Others {
    looked: Option<Instant>,
    alive: HashSet<String>,
    /// The last beat heard of each, and when.
    heard: HashMap<String, (u64, Instant)>,
}

/// Keeps saying that a process is at work.
pub struct Heart {
    live: Arc<Live>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Begins to say that this process works on a run. What cannot be said (a full disk) is not said.
    pub fn begin(cache: &Arc<Cache>, run: &str) -> Heart {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let said = Said {
            machine: machine(),
            pid,
            began: began(pid).unwrap_or_default(),
            run: run.to_owned(),
            beat: 0,
            spoken: String::new(),
            uses: BTreeSet::new(),
        };
        let live = Arc::new(Live {
            cache: cache.clone(),
            owner: format!("{}-{pid}-{number}", super::stamp()),
            said: Mutex::new(said),
            others: Mutex::default(),
            heart: Mutex::default(),
            wake: Condvar::new(),
            claims: AtomicU64::new(0),
            began: Instant::now(),
        });
        lock(&HERE).insert(live.owner.clone());
        live.say();
        let beating = live.clone();
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || beating.beat()).ok();
        Heart { live, thread }
    }

    /// The name of this process among the others; earlier ones sort first.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The next number for a claim.
    pub(super) fn number(&self) -> u64 {
        self.claims.fetch_add(1, Ordering::Relaxed)
    }

    /// Says that a folder of rows is in use.
    pub fn uses(&self, folder: &str) {
        if lock(&self.said).uses.insert(folder.to_owned()) {
            lock(&self.heart).due = true;
            self.wake.notify_all();
        }
    }

    /// Whether no other process is at work, as far as was known half a second ago. In the beginning it is not known: another
    /// one may be starting too.
    pub fn alone(&self) -> bool {
        self.began.elapsed() > START && self.look().alive.is_empty()
    }

    /// Whether another process is at work still.
    pub fn alive(&self, owner: &str) -> bool {
        self.look().alive.contains(owner)
    }

    fn look(&self) -> MutexGuard<'_, Others> {
        let mut others = lock(&self.others);
        if others.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            others.looked = Some(Instant::now());
            let found = all(&self.cache).unwrap_or_default();
            let mine = machine();
            others.alive = found
                .into_iter()
                .filter(|(owner, said)| *owner != self.owner && others.believe(owner, said, &mine))
                .map(|(owner, _)| owner)
                .collect();
        }
        others
    }

    /// Says now what is due to be said in a moment.
    pub fn say(&self) {
        let mut said = lock(&self.said);
        said.beat += 1;
        said.spoken = super::stamp();
        if let Ok(json) = serde_json::to_vec(&*said) {
            let _ = self.cache.replace(&format!("{FOLDER}/{}", self.owner), &json);
        }
    }

    fn beat(&self) {
        let waited = |heart, time, until: fn(&mut Beating) -> bool| {
            let heart = self.wake.wait_timeout_while(heart, time, |heart| !until(heart));
            heart.unwrap_or_else(|poisoned| poisoned.into_inner()).0
        };
        loop {
            let heart = waited(lock(&self.heart), BEAT, |heart| heart.due || heart.ended);
            let mut heart = waited(heart, GATHER, |heart| heart.ended);
            if heart.ended {
                return;
            }
            heart.due = false;
            drop(heart);
            self.say();
        }
    }
}

impl Said {
    /// Whether a process of this machine is at work still; `None` of one of another machine.
    fn alive_here(&self, owner: &str, mine: &str) -> Option<bool> {
        let here = !self.machine.is_empty() && self.machine == mine;
        here.then(|| match self.pid == std::process::id() {
            true => lock(&HERE).contains(owner),
            false => began(self.pid).is_some_and(|began| began == self.began),
        })
    }

    /// Whether it was said so long ago that the process must be dead, as far as clocks can be trusted.
    fn forgotten(&self, owner: &str) -> bool {
        // Before `spoken` there was the name alone, which tells when the process began.
        let spoken =
            if self.spoken.is_empty() { owner.split('-').next().unwrap_or("") } else { &self.spoken };
        super::age(spoken).is_some_and(|age| age >= FORGOTTEN)
    }
}

impl Others {
    /// Whether a process that has said something is at work still.
    fn believe(&mut self, owner: &str, said: &Said, mine: &str) -> bool {
        if let Some(alive) = said.alive_here(owner, mine) {
            return alive;
        }
        let now = Instant::now();
        let (beat, since) = self.heard.entry(owner.to_owned()).or_insert((said.beat, now));
        if *beat != said.beat {
            (*beat, *since) = (said.beat, now);
        }
        since.elapsed() < SILENCE
    }
}

impl std::ops::Deref for Heart {
    type Target = Arc<Live>;

    fn deref(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        lock(&self.live.heart).ended = true;
        self.live.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        lock(&HERE).remove(&self.live.owner);
        let _ = self.live.cache.remove(&format!("{FOLDER}/{}", self.live.owner));
    }
}

/// What all processes have said, by owner; those that are dead included.
fn all(cache: &Cache) -> Result<Vec<(String, Said)>, Error> {
    let mut found = Vec::new();
    for item in cache.list(FOLDER)? {
        let bytes = cache.find(&format!("{FOLDER}/{}", item.name))?;
        if let Some(said) = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            found.push((item.name, said));
        }
    }
    Ok(found)
}

/// The names of all that have said something, those that are dead included.
pub(super) fn owners(cache: &Cache) -> Result<HashSet<String>, Error> {
    Ok(cache.list(FOLDER)?.into_iter().map(|item| item.name).collect())
}

/// The folders under `v1/rows` that processes use. The words of dead processes of this machine are removed; those of another
/// machine are believed, since a single look cannot tell whether it still speaks, but for those of a day ago, to which is
/// listened for some seconds.
pub fn pinned(cache: &Cache) -> Result<HashSet<String>, Error> {
    let mine = machine();
    let said = all(cache)?;
    let old =
        |(owner, said): &&(String, Said)| said.alive_here(owner, &mine).is_none() && said.forgotten(owner);
    let old: HashMap<String, u64> =
        said.iter().filter(old).map(|(owner, s)| (owner.clone(), s.beat)).collect();
    let said = match old.is_empty() {
        true => said,
        false => {
            std::thread::sleep(LISTEN);
            all(cache)?
        }
    };
    let mut pinned = HashSet::new();
    for (owner, said) in said {
        let dead = said.alive_here(&owner, &mine) == Some(false) || old.get(&owner) == Some(&said.beat);
        match dead {
            true => cache.remove(&format!("{FOLDER}/{owner}"))?,
            false => pinned.extend(said.uses),
        }
    }
    Ok(pinned)
}

/// The runs that processes are at work on, as far as can be told from here.
pub fn runs(cache: &Cache) -> Result<HashSet<String>, Error> {
    let mine = machine();
    let alive = |(owner, said): &(String, Said)| {
        said.alive_here(owner, &mine).unwrap_or_else(|| !said.forgotten(owner))
    };
    Ok(all(cache)?.into_iter().filter(alive).map(|(_, said)| said.run).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// This boot of this machine, and the space in which process numbers count. Empty where the system does not tell.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let space = std::fs::read_link("/proc/self/ns/pid");
    match (boot, space) {
        (Ok(boot), Ok(space)) => format!("{} {}", boot.trim(), space.display()),
        _ => String::new(),
    }
}

/// When a process of this machine began (field 22 of its `stat`); `None` where there is no such process.
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // The dead that nobody has asked after have state Z.
    (fields.first() != Some(&"Z")).then(|| fields.get(19).map(|field| (*field).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_while_it_lives_and_forgotten_when_it_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let one = Live::begin(&cache, "one");
        assert!(one.look().alive.is_empty() && !one.alone(), "others may be starting");
        let two = Live::begin(&cache, "two");
        two.uses("abc");
        while pinned(&cache).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let third = Live::begin(&cache, "third");
        assert!(third.alive(one.owner()) && third.alive(two.owner()) && !third.alone());
        assert_eq!(pinned(&cache).unwrap(), ["abc".to_owned()].into());
        drop(two);
        assert!(pinned(&cache).unwrap().is_empty());
        // A process that was killed leaves its word behind.
        let mut dead = lock(&one.said).clone();
        dead.uses.insert("old".into());
        cache.replace("v1/live/0-dead", &serde_json::to_vec(&dead).unwrap()).unwrap();
        let fourth = Live::begin(&cache, "fourth");
        assert!(!fourth.alive("0-dead"));
        assert!(pinned(&cache).unwrap().is_empty());
        assert_eq!(cache.size("v1/live/0-dead").unwrap(), None);
    }

    #[test]
    fn a_word_of_another_machine_is_forgotten_a_day_after_it_was_spoken() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let day = |days: u64| {
            let then = std::time::SystemTime::now() - FORGOTTEN * days as u32;
            format!("{:012x}", then.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis())
        };
        let say = |owner: &str, spoken: String, beat| {
            let uses = [owner.to_owned()].into();
            let machine = "elsewhere".to_owned();
            let said = Said { machine, pid: 1, began: String::new(), run: owner.into(), beat, spoken, uses };
            cache.replace(&format!("{FOLDER}/{owner}"), &serde_json::to_vec(&said).unwrap()).unwrap();
        };
        let old = format!("{}-1-0", day(9));
        say("one", day(0), 7);
        say("two", day(2), 7);
        say(&old, String::new(), 7);
        say("wrong clock", day(3), 7);
        assert_eq!(runs(&cache).unwrap(), ["one".to_owned()].into());
        let pinned = std::thread::scope(|scope| {
            let pinned = scope.spawn(|| pinned(&cache).unwrap());
            std::thread::sleep(LISTEN / 2);
            say("wrong clock", day(3), 8);
            pinned.join().unwrap()
        });
        assert_eq!(pinned, ["one".to_owned(), "wrong clock".to_owned()].into());
        assert_eq!(cache.list(FOLDER).unwrap().len(), 2);
    }

    #[test]
    fn a_process_of_another_machine_is_believed_while_it_speaks() {
        let mut others = Others::default();
        let mut said = Said {
            machine: "elsewhere".into(),
            pid: 1,
            began: String::new(),
            run: String::new(),
            beat: 1,
            spoken: String::new(),
            uses: BTreeSet::new(),
        };
        assert!(others.believe("x", &said, "here"));
        let long_ago = Instant::now().checked_sub(SILENCE).unwrap();
        others.heard.insert("x".into(), (1, long_ago));
        assert!(!others.believe("x", &said, "here"));
        said.beat = 2;
        assert!(others.believe("x", &said, "here"));
    }
}
