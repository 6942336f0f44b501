//! What if another process is about to compute the same? Its rows are waited for, as long as it lives and gets on.

use std::time::{Duration, Instant};

use super::map::MapRun;
use super::stage_run::StageRun;
use super::table::TableRecord;
use super::writer::Item;
use crate::cache::claims::{Claim, Claims};
use crate::digest::Digest;
use crate::error::Error;

/// How often is looked for results.
const LOOK: Duration = Duration::from_millis(100);
/// So long without a row, and the rows that were waited for are computed here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of missing rows of a batch those to compute now, which stay claimed until the batch goes on, and those that another
/// process has claimed. Asked before every call: what others have stored meanwhile is no longer missing.
pub fn share(map: &MapRun, item: &mut Item, rows: &[u32]) -> Result<(Vec<u32>, Vec<u32>), Error> {
    if map.forced || map.claims.alone() {
        return Ok((rows.to_vec(), Vec::new()));
    }
    map.entries.refresh()?;
    let open = still_missing(map, item, rows)?;
    let (claim, mine, theirs) = map.claims.claim(&keys(item, &open))?;
    item.claims.push(claim);
    let rows = |positions: Vec<usize>| positions.into_iter().map(|at| open[at]).collect();
    Ok((rows(mine), rows(theirs)))
}

/// The rows that are not stored yet; the others are taken note of.
fn still_missing(map: &MapRun, item: &mut Item, rows: &[u32]) -> Result<Vec<u32>, Error> {
    let mut open = Vec::with_capacity(rows.len());
    for (&row, place) in rows.iter().zip(map.entries.find(&keys(item, rows))?) {
        // A value that a later failure stands before does not count.
        match map.quarantine.judge(&item.keys[row as usize], place) {
            Ok(Some(place)) => map.found(item, row, Some(place)),
            _ => open.push(row),
        }
    }
    Ok(open)
}

fn keys(item: &Item, rows: &[u32]) -> Vec<Digest> {
    rows.iter().map(|&row| item.keys[row as usize]).collect()
}

/// Waits until some of the rows that others have claimed are stored or free again. Those to compute here come back, and those
/// to go on waiting for.
pub fn wait(map: &MapRun, item: &mut Item, theirs: Vec<u32>) -> Result<(Vec<u32>, Vec<u32>), Error> {
    let since = Instant::now();
    loop {
        map.stage.shared.control.check()?;
        std::thread::sleep(LOOK);
        // Asked before the look: whoever gives a claim back has stored its rows by then.
        let claimed = map.claims.claimed(&keys(item, &theirs))?;
        map.entries.refresh()?;
        let open = still_missing(map, item, &theirs)?;
        if since.elapsed() >= PATIENCE {
            return Ok((open, Vec::new()));
        }
        let (waiting, free): (Vec<u32>, Vec<u32>) =
            open.iter().partition(|&&row| claimed.contains(&item.keys[row as usize]));
        if !free.is_empty() || waiting.len() < theirs.len() {
            let (mine, others) = share(map, item, &free)?;
            return Ok((mine, [waiting, others].concat()));
        }
    }
}

/// The claim on a table's result, or the result that another process has stored meanwhile.
pub fn table(
    stage: &StageRun,
    entry: Digest,
    look: impl Fn() -> Result<Option<TableRecord>, Error>,
) -> Result<(Option<Claim>, Option<TableRecord>), Error> {
    let claims = Claims::on(&stage.shared.state.cache, &stage.shared.live, entry);
    let mut told = false;
    loop {
        let (claim, mine, _) = claims.claim(&[entry])?;
        if !mine.is_empty() {
            return Ok((Some(claim), None));
        }
        drop(claim);
        if !std::mem::replace(&mut told, true) {
            stage.context.warn("another process computes the same; its result is waited for");
        }
        while !claims.claimed(&[entry])?.is_empty() {
            stage.shared.control.check()?;
            std::thread::sleep(LOOK);
        }
        if let Some(record) = look()? {
            return Ok((None, Some(record)));
        }
    }
}
