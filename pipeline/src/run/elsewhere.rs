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

/// Rows of a batch that are missing: those to compute now, which stay claimed until the batch goes on, and those that another
/// process has claimed.
pub fn share(map: &MapRun, item: &mut Item) -> Result<(Vec<u32>, Vec<u32>), Error> {
    let keys: Vec<Digest> = item.missing.iter().map(|&row| item.keys[row as usize]).collect();
    let (claim, mine, theirs) = match map.forced {
        true => return Ok((item.missing.clone(), Vec::new())),
        false => map.claims.claim(&keys)?,
    };
    item.claims.push(claim);
    let rows = |positions: Vec<usize>| positions.into_iter().map(|at| item.missing[at]).collect();
    Ok((rows(mine), rows(theirs)))
}

/// Waits until some of the rows that others have claimed are stored or free again. Those that are stored are no longer
/// missing; those to compute here come back, and those to go on waiting for.
pub fn wait(map: &MapRun, item: &mut Item, theirs: Vec<u32>) -> Result<(Vec<u32>, Vec<u32>), Error> {
    let since = Instant::now();
    loop {
        map.stage.shared.control.check()?;
        std::thread::sleep(LOOK);
        let keys = |rows: &[u32], item: &Item| {
            rows.iter().map(|&row| item.keys[row as usize]).collect::<Vec<Digest>>()
        };
        // Asked before the look: whoever gives a claim back has stored its rows by then.
        let claimed = map.claims.claimed(&keys(&theirs, item))?;
        map.entries.refresh()?;
        let mut open = Vec::with_capacity(theirs.len());
        for (&row, place) in theirs.iter().zip(map.entries.find(&keys(&theirs, item))?) {
            match place {
                Some(_) => map.found(item, row, place),
                None => open.push(row),
            }
        }
        let patient = since.elapsed() < PATIENCE;
        let (waiting, free): (Vec<u32>, Vec<u32>) =
            open.iter().partition(|&&row| patient && claimed.contains(&item.keys[row as usize]));
        if !free.is_empty() || waiting.len() < theirs.len() {
            return Ok((free, waiting));
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
