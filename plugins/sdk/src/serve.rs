//! How does a Rust plugin answer over standard input and output? As a process of its own, or in WebAssembly.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use crate::export::{panicked, panics_are_told};
use crate::wire::{self, Ask, Failure, Tell, Typed};
use crate::{CONTRACT, Call, Error, Kind, Work};

/// Answers until standard input ends, and then ends at once, whatever it is doing: the `main` of a plugin.
pub fn serve(kinds: Vec<Box<dyn Kind>>) -> ExitCode {
    panics_are_told();
    let (sender, questions) = sync_channel(1);
    let busy = Arc::new(AtomicBool::new(false));
    let at_work = busy.clone();
    let read = move || {
        let mut from = std::io::stdin().lock();
        while let Some(question) = question(&mut from).transpose() {
            // A greeting is answered even where nothing follows it.
            let work = matches!(question, Ok((Ask::Call { .. } | Ask::Open { .. }, _)));
            at_work.fetch_or(work, Ordering::SeqCst);
            if sender.send(question).is_err() {
                return;
            }
        }
        // Nobody waits for the answer any longer.
        if at_work.load(Ordering::SeqCst) {
            std::process::exit(0);
        }
    };
    let read = std::thread::Builder::new().name("questions".into()).spawn(read);
    let served = read.map_err(Error::from).and_then(|_| {
        let mut server = Server { kinds, open: BTreeMap::new() };
        let mut to = std::io::stdout().lock();
        for question in questions {
            let (ask, rows) = question?;
            server.serve(ask, rows, &mut to)?;
            busy.store(false, Ordering::SeqCst);
        }
        Ok(())
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A question and the rows that follow it; `None` at the end.
fn question(from: &mut impl BufRead) -> Result<Option<(Ask, Vec<u8>)>, Error> {
    let Some(line) = wire::line(from)? else { return Ok(None) };
    let ask: Ask = serde_json::from_slice(&line)?;
    let rows = match ask {
        Ask::Call { bytes, .. } => wire::payload(from, bytes)?,
        _ => Vec::new(),
    };
    Ok(Some((ask, rows)))
}

struct Server {
    kinds: Vec<Box<dyn Kind>>,
    open: BTreeMap<u64, (Box<dyn Work>, Vec<Typed>)>,
}

impl Server {
    fn serve(&mut self, ask: Ask, rows: Vec<u8>, to: &mut impl Write) -> Result<(), Error> {
        let (answer, payload) = match self.answer(ask, rows, to) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            Err(Fall::End(error)) => return Err(error),
            Err(Fall::Call(Error { message, detail })) => (Tell::Error { message, detail }, Vec::new()),
        };
        Ok(wire::write(to, &answer, &payload)?)
    }

    fn answer(&mut self, ask: Ask, rows: Vec<u8>, to: &mut impl Write) -> Result<Answer, Fall> {
        match ask {
            Ask::Hello { contract, .. } => self.hello(contract).map(|hello| Some((hello, Vec::new()))),
            Ask::Open { worker, kind, options, reads, adds } => {
                let found = self.kinds.iter().find(|one| one.manifest().kind == kind);
                let found =
                    found.ok_or_else(|| Error::new(format!("there is no kind `{kind}` in this plugin")));
                let work = guarded(|| found?.open_on(&options, &reads))?;
                self.open.insert(worker, (work, adds));
                Ok(Some((Tell::Opened { worker }, Vec::new())))
            }
            Ask::Call { worker, .. } => {
                let (work, adds) = self
                    .open
                    .get_mut(&worker)
                    .ok_or_else(|| Error::new(format!("no stage {worker} is open")))?;
                let mut told = Told { to, failures: Vec::new(), lost: None };
                let batch = guarded(|| compute(work.as_mut(), adds, rows, &mut told));
                if let Some(lost) = told.lost {
                    return Err(Fall::end(lost));
                }
                let (failures, batch) = (told.failures, batch?);
                let payload = wire::encode(&batch.schema(), [&batch]).map_err(Error::from)?;
                let bytes = payload.len() as u64;
                Ok(Some((Tell::Result { worker, failures, bytes }, payload)))
            }
            Ask::Close { worker } => {
                let closed = self.open.remove(&worker);
                guarded(|| {
                    drop(closed);
                    Ok(())
                })?;
                Ok(None)
            }
        }
    }

    fn hello(&self, contract: crate::Contract) -> Result<Tell, Fall> {
        if CONTRACT.with(contract).is_none() {
            let (ours, theirs) = (CONTRACT, contract);
            return Err(Fall::End(Error::new(format!(
                "this plugin speaks versions {} to {} of the contract, the program {} to {}",
                ours.min, ours.max, theirs.min, theirs.max
            ))));
        }
        Ok(Tell::Hello {
            contract: CONTRACT,
            sdk: concat!("affectflow-plugin ", env!("CARGO_PKG_VERSION")).to_owned(),
            kinds: self.kinds.iter().map(|kind| kind.manifest()).collect(),
            files: Vec::new(),
            packages: BTreeMap::new(),
        })
    }
}

/// A message and what follows it; none where the question has no answer.
type Answer = Option<(Tell, Vec<u8>)>;

/// Why there is no answer.
enum Fall {
    /// The call failed, and the next may succeed.
    Call(Error),
    /// Nobody listens, or nobody makes sense.
    End(Error),
}

impl Fall {
    fn end(error: std::io::Error) -> Self {
        Fall::End(error.into())
    }
}

impl From<Error> for Fall {
    fn from(error: Error) -> Self {
        Fall::Call(error)
    }
}

fn compute(
    work: &mut dyn Work,
    adds: &[Typed],
    rows: Vec<u8>,
    told: &mut dyn Call,
) -> Result<RecordBatch, Error> {
    let (schema, batches) = wire::decode(rows)?;
    let rows = match <[RecordBatch; 1]>::try_from(batches) {
        Ok([batch]) => batch,
        Err(batches) => concat_batches(&schema, &batches)?,
    };
    let columns = work.compute(&rows, told)?;
    Ok(wire::named(adds, columns, rows.num_rows())?)
}

fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panicked(panic.as_ref()))?
}

struct Told<'a, W> {
    to: &'a mut W,
    failures: Vec<Failure>,
    lost: Option<std::io::Error>,
}

impl<W: Write> Told<'_, W> {
    fn say(&mut self, message: Tell) {
        if let Err(error) = wire::write(self.to, &message, &[]) {
            self.lost.get_or_insert(error);
        }
    }
}

impl<W: Write> Call for Told<'_, W> {
    fn fail(&mut self, row: usize, error: &str) {
        self.failures.push(Failure { row: row as u64, error: error.to_owned() });
    }

    fn warn(&mut self, message: &str) {
        self.say(Tell::Warning { message: message.to_owned() });
    }

    fn progress(&mut self, done: u64, total: u64, unit: &str) {
        let total = (total > 0).then_some(total);
        self.say(Tell::Progress { done, total, unit: unit.to_owned(), note: String::new() });
    }

    /// The program ends the process where the user has asked to stop.
    fn stopped(&self) -> bool {
        self.lost.is_some()
    }
}
