//! What does a process take, with all that it started? Looked at from outside, where the system tells (Linux); elsewhere there
//! are no limits.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(100);
/// Processes where the file says nothing.
const PROCESSES: u64 = 256;

/// What the processes of a plugin may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, together.
    pub memory: u64,
    /// Processes at the same time.
    pub processes: u64,
}

impl Limits {
    /// What a file says; otherwise three quarters of the machine's memory, and 256 processes.
    pub fn new(memory: Option<u64>, processes: Option<u64>) -> Self {
        let most = || installed().map_or(u64::MAX, |bytes| bytes / 4 * 3);
        Limits { memory: memory.unwrap_or_else(most), processes: processes.unwrap_or(PROCESSES) }
    }
}

/// The machine's memory in bytes.
fn installed() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// A group of processes under its limits.
pub(super) struct Usage {
    group: Option<i32>,
    limits: Limits,
    next: Instant,
}

impl Usage {
    pub(super) fn new(group: Option<Pid>, limits: Limits) -> Self {
        let group = group.map(|group| group.as_raw_nonzero().get());
        Usage { group, limits, next: Instant::now() }
    }

    /// Fails where the group takes more than it may.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let Some(group) = self.group.filter(|_| Instant::now() >= self.next) else { return Ok(()) };
        self.next = Instant::now() + EVERY;
        let (mut memory, mut processes) = (0u64, 0);
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
            let stat = number.and_then(|_| fs::read_to_string(entry.path().join("stat")).ok());
            if let Some((of, pages)) = stat.as_deref().and_then(group_and_pages)
                && of == group
            {
                memory += pages * rustix::param::page_size() as u64;
                processes += 1;
            }
        }
        let Limits { memory: most, processes: many } = self.limits;
        if memory > most {
            let (used, most) = (memory >> 20, most >> 20);
            return Err(format!(
                "it was ended: it took {used} MiB of memory, and may take {most} MiB (`memory` of the plugin)"
            ));
        }
        if processes > many {
            return Err(format!(
                "it was ended: it had {processes} processes, and may have {many} (`processes` of the plugin)"
            ));
        }
        Ok(())
    }
}

/// Process group and resident pages in a line of `/proc/N/stat`; the name before them may hold anything.
fn group_and_pages(stat: &str) -> Option<(i32, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let group = fields.nth(2)?.parse().ok()?;
    Some((group, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_and_pages_are_found_behind_any_name() {
        let numbers: Vec<String> = (4..=52).map(|n| n.to_string()).collect();
        let stat = format!("17 (a ) b) S {}", numbers.join(" "));
        // Field 5 is the group, field 24 the resident pages.
        assert_eq!(group_and_pages(&stat), Some((5, 24)));
        assert_eq!(group_and_pages("17"), None);
    }
}
