//! How much memory do this program and the processes that it started hold? Where the system tells: Linux.

use std::fs;

/// Resident bytes, together.
pub(super) fn resident() -> Option<u64> {
    let own = std::process::id();
    let mut all = 0;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let mut fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace())?;
        let parent: u32 = fields.nth(1)?.parse().ok()?;
        if number == own || parent == own {
            all += fields.nth(19)?.parse::<u64>().ok()? * rustix::param::page_size() as u64;
        }
    }
    Some(all)
}
