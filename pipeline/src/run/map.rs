//! How does a map stage run? Look up every row; load and prepare what is missing; compute; commit; send on in order.
//!
//! Four threads once something is missing: this one looks up, loads and prepares; one computes; one commits; one sends on,
//! so that commits never wait for the stages behind. Where everything is cached there is only the first.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use dashmap::DashSet;

use super::calls::{Call, Caller, Made, Rows};
use super::quarantine::{Failed, Quarantine};
use super::queue::GLANCE;
use super::stage_run::StageRun;
use super::writer::{Item, Writer};
use super::{elsewhere, identity};
use crate::cache::claims::Claims;
use crate::cache::entries::{Entries, Place};
use crate::digest::{Digest, Uniformly};
use crate::error::Error;
use crate::plan::OnError;
use crate::stage::Map;

/// Batches that may wait to be sent on before computing pauses.
const READY: usize = 16;

/// What is shared by the threads of a map stage.
pub struct MapRun<'a> {
    /// The stage.
    pub stage: &'a StageRun<'a>,
    /// What it has stored.
    pub entries: Arc<Entries>,
    /// Rows that failed.
    pub quarantine: Quarantine,
    /// Keys on their way through the threads: a second row with the same key waits for the first.
    pub in_flight: DashSet<Digest, Uniformly>,
    /// Whether rows are computed although their values are known.
    pub forced: bool,
    /// What this process says it will compute.
    pub claims: Claims,
}

enum ToCompute {
    Call(Box<Call>),
    Flush(Box<Item>),
}

/// What the writer receives.
pub enum ToWrite {
    /// Computed rows, and rows that failed for good.
    Made(Box<Made>),
    /// A batch all of whose missing rows were sent before it.
    Flush(Box<Item>),
}

/// Runs a map stage to its end.
pub fn run(stage: &StageRun, work: Arc<dyn Map>) -> Result<(), Error> {
    let cache = stage.shared.state.cache.clone();
    let folder = format!("v1/rows/{}", stage.identity);
    let listed = cache.list(&folder)?;
    let adds = stage.stage.planned.adds.clone();
    let entries = Entries::among(cache.clone(), folder.clone(), adds, None, &listed)?;
    let _ = stage.tally.entries.set((folder.clone(), None));
    let quarantine = Quarantine::among(cache.clone(), folder, &listed)?;
    let claims = Claims::on(&cache, &stage.shared.live, stage.identity);
    let forced = stage.shared.options.force.contains(&stage.stage.name);
    let (entries, in_flight) = (Arc::new(entries), DashSet::default());
    let map = MapRun { stage, entries, quarantine, in_flight, forced, claims };
    std::thread::scope(|scope| {
        let mut pump: Option<(Sender<ToCompute>, _)> = None;
        let intake = stage.inputs(|batch| {
            let item = map.look_up(batch)?;
            if pump.is_none() && item.missing.is_empty() && item.twins.is_empty() {
                return map.emit(item);
            }
            let (sender, _) = pump.get_or_insert_with(|| {
                let (to_compute, computing) = bounded(2);
                let (to_write, writing) = bounded(4);
                let (ready, sending) = unbounded();
                let (map, work, waiting) = (&map, work.clone(), ready.clone());
                let compute = scope.spawn(move || map.compute(work, computing, to_write, waiting));
                let write = scope.spawn(move || Writer::new(map, ready).run(writing));
                let send = scope.spawn(move || sending.into_iter().try_for_each(|item| map.emit(*item)));
                (to_compute, [compute, write, send])
            });
            map.send(work.as_ref(), item, sender)
        });
        let Some((sender, threads)) = pump else { return intake };
        drop(sender);
        let ended =
            threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // The thread that failed has the reason; the others only saw its channel close.
        let reason = |r: &Result<(), Error>| matches!(r, Err(error) if !matches!(error, Error::Interrupted));
        let results: Vec<Result<(), Error>> = ended.into_iter().chain([intake]).collect();
        let at = results.iter().position(reason).or(results.iter().position(Result::is_err)).unwrap_or(0);
        results.into_iter().nth(at).unwrap_or(Ok(()))
    })
}

impl MapRun<'_> {
    /// Which rows of a batch are stored, failed before, or missing.
    fn look_up(&self, batch: crate::Batch) -> Result<Item, Error> {
        let stage = self.stage;
        let inputs = identity::inputs(&batch, &stage.stage.planned.consumes)?;
        let keys = identity::keys_of(stage.identity, &inputs, batch.len());
        let found = if self.forced { vec![None; keys.len()] } else { self.entries.find(&keys)? };
        let (missing, twins, claims) = (Vec::new(), Vec::new(), Vec::new());
        let mut item = Item { batch, keys, inputs, places: found, missing, twins, claims };
        for row in 0..item.keys.len() as u32 {
            if self.settled(&mut item, row)? {
                continue;
            }
            match self.in_flight.insert(item.keys[row as usize]) {
                true => item.missing.push(row),
                false => item.twins.push(row),
            }
        }
        if !self.forced {
            self.look_again(&mut item)?;
        }
        stage.progress();
        Ok(item)
    }

    /// Looks up once more what is in flight now: a twin may have got its result since the batch was looked up.
    fn look_again(&self, item: &mut Item) -> Result<(), Error> {
        let missing = std::mem::take(&mut item.missing);
        let keys: Vec<Digest> = missing.iter().map(|&row| item.keys[row as usize]).collect();
        for ((row, key), place) in missing.into_iter().zip(&keys).zip(self.entries.find(&keys)?) {
            item.places[row as usize] = place;
            match self.settled(item, row)? {
                true => drop(self.in_flight.remove(key)),
                false => item.missing.push(row),
            }
        }
        Ok(())
    }

    /// Whether a row has its result, stored at its place, or failed for now.
    fn settled(&self, item: &mut Item, row: u32) -> Result<bool, Error> {
        let (key, place) = (&item.keys[row as usize], &mut item.places[row as usize]);
        match self.quarantine.judge(key, *place) {
            Ok(found) => {
                self.stage.tally.hits.fetch_add(found.is_some().into(), Ordering::Relaxed);
                Ok(found.is_some())
            }
            Err(failed) => {
                *place = None;
                let stays = !self.tries_again(key, &failed);
                if stays {
                    let id = item.batch.ids().value(row as usize).to_owned();
                    self.stage.failed(Failed { id, ..failed })?;
                }
                Ok(stays)
            }
        }
    }

    /// Whether a row in quarantine is tried in this run, once: when asked to, where rows that fail are not set aside, and where
    /// it took too long and may take longer now.
    fn tries_again(&self, key: &Digest, failed: &Failed) -> bool {
        let stage = self.stage.stage;
        let asked = self.forced || self.stage.shared.options.retry_quarantined;
        let again = asked || stage.on_error == OnError::Fail || failed.may_pass(&stage.tries);
        again && !self.quarantine.tried_now(key)
    }

    /// Loads and prepares the missing rows of a batch, call by call, and sends the batch after them.
    fn send(&self, work: &dyn Map, mut item: Item, sender: &Sender<ToCompute>) -> Result<(), Error> {
        let mut theirs = Vec::new();
        for rows in item.missing.clone().chunks(work.rows_per_call().max(1)) {
            let (mine, others) = elsewhere::share(self, &mut item, rows)?;
            theirs.extend(others);
            self.send_calls(work, &item, &mine, sender)?;
        }
        while !theirs.is_empty() {
            let (mine, others) = elsewhere::wait(self, &mut item, theirs)?;
            self.send_calls(work, &item, &mine, sender)?;
            theirs = others;
        }
        sender.send(ToCompute::Flush(Box::new(item))).map_err(|_| Error::Interrupted)
    }

    fn send_calls(
        &self,
        work: &dyn Map,
        item: &Item,
        rows: &[u32],
        sender: &Sender<ToCompute>,
    ) -> Result<(), Error> {
        let closed = |_| Error::Interrupted;
        for rows in rows.chunks(work.rows_per_call().max(1)) {
            self.stage.shared.control.check()?;
            let call = Call::prepare(self.stage, work, Rows::of(item, rows)?);
            sender.send(ToCompute::Call(Box::new(call))).map_err(closed)?;
        }
        Ok(())
    }

    /// Takes note of a missing row that another process has stored.
    pub fn found(&self, item: &mut Item, row: u32, place: Option<Place>) {
        item.places[row as usize] = place;
        item.missing.retain(|&missing| missing != row);
        self.in_flight.remove(&item.keys[row as usize]);
        self.stage.tally.hits.fetch_add(1, Ordering::Relaxed);
    }

    fn compute(
        &self,
        work: Arc<dyn Map>,
        calls: Receiver<ToCompute>,
        sender: Sender<ToWrite>,
        ready: Sender<Box<Item>>,
    ) -> Result<(), Error> {
        let send = |message| sender.send(message).map_err(|_| Error::Interrupted);
        let mut caller = Caller::new(self.stage, work);
        for message in calls {
            // Where the stages behind are slow, computing waits for them, and not what is computed already.
            while ready.len() > READY {
                self.stage.shared.control.check()?;
                std::thread::sleep(GLANCE);
            }
            match message {
                ToCompute::Flush(item) => send(ToWrite::Flush(item))?,
                ToCompute::Call(call) => caller.call(*call, &mut |made| match made.is_empty() {
                    true => Ok(()),
                    false => send(ToWrite::Made(Box::new(made))),
                })?,
            }
        }
        Ok(())
    }

    /// Sends a batch on with the stage's own columns; rows without a stored result are in quarantine and stay behind.
    pub fn emit(&self, item: Item) -> Result<(), Error> {
        let mut places = item.places;
        let open: Vec<usize> = (0..places.len()).filter(|&row| places[row].is_none()).collect();
        let keys: Vec<Digest> = open.iter().map(|&row| item.keys[row]).collect();
        for (&row, place) in open.iter().zip(self.entries.find(&keys)?) {
            let twin = item.twins.binary_search(&(row as u32)).is_ok();
            match self.quarantine.judge(&item.keys[row], place) {
                Ok(place) => {
                    places[row] = place;
                    self.stage.tally.hits.fetch_add(u64::from(twin), Ordering::Relaxed);
                }
                Err(failed) if twin => {
                    self.stage.failed(Failed { id: item.batch.ids().value(row).to_owned(), ..failed })?
                }
                Err(_) => {}
            }
        }
        let kept: Vec<u32> =
            (0..item.batch.len() as u32).filter(|&row| places[row as usize].is_some()).collect();
        let keys: Vec<Digest> = kept.iter().map(|&row| item.keys[row as usize]).collect();
        let places: Arc<[_]> = places.into_iter().flatten().collect();
        let batch = match kept.len() == item.batch.len() {
            true => item.batch,
            false => item.batch.take(&kept)?,
        };
        let batch = batch.with(&self.stage.stage.schema, self.entries.columns(&places)?);
        let ids = batch.ids().clone();
        self.stage.emit(batch, |list| list.keys(&ids, &keys))
    }
}
