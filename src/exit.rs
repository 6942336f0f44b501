//! What does the program's exit code mean? The table of the contract, and which error leads where.

use std::io;
use std::process::ExitCode;

use affectflow_pipeline::{Error, Problem};

use crate::view::problem::shown;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A stage failed, or more rows failed than its threshold allows.
    Failed = 1,
    /// The file, the arguments or the data named are wrong; nothing ran.
    Wrong = 2,
    /// Done, but rows are in quarantine.
    Quarantined = 3,
    /// Damage that could not be repaired.
    Damaged = 4,
    /// Stopped by the user.
    Interrupted = 130,
}

impl Exit {
    /// Every way to end, in order.
    pub const ALL: [Exit; 6] =
        [Exit::Done, Exit::Failed, Exit::Wrong, Exit::Quarantined, Exit::Damaged, Exit::Interrupted];

    /// What the code means, in words for the help and the reference.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "a stage failed, or more of its rows than its threshold allows; a test failed",
            Exit::Wrong => "the file, the arguments or the data named are wrong; nothing ran",
            Exit::Quarantined => "done, but rows are in quarantine",
            Exit::Damaged => "damage that could not be repaired",
            Exit::Interrupted => "interrupted; the next run goes on from there",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// Wrong before anything ran.
    Problems(Vec<Problem>),
    /// The engine stopped.
    Engine(Error),
    /// Nobody reads standard output any longer: not worth a word.
    Closed,
}

/// What a command returns.
pub type Outcome = Result<Exit, Failure>;

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Failure::Problems(problems)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Engine(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => {
                Failure::Engine(Error::Io { action: "write", path: "standard output".into(), source: error })
            }
        }
    }
}

impl Failure {
    /// Wrong arguments: what, and how to mend it.
    pub fn wrong(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::Problems(vec![Problem::new(message).hint(hint)])
    }

    /// Says why on standard error, and with which code to end.
    pub fn report(&self) -> Exit {
        match self {
            Failure::Problems(problems) => {
                eprint!("{}", shown(problems));
                Exit::Wrong
            }
            Failure::Engine(Error::Problems(problems)) => Failure::Problems(problems.clone()).report(),
            Failure::Engine(error) => {
                eprintln!("error: {error}");
                if let Some(hint) = hint(error) {
                    eprintln!("  hint: {hint}");
                }
                code(error)
            }
            Failure::Closed => Exit::Done,
        }
    }
}

/// The exit code of an engine's error.
pub fn code(error: &Error) -> Exit {
    match error {
        Error::Problems(_) | Error::NotFound(_) => Exit::Wrong,
        Error::Interrupted => Exit::Interrupted,
        Error::Damaged { .. } => Exit::Damaged,
        Error::Stage { .. }
        | Error::TooManyFailed { .. }
        | Error::Io { .. }
        | Error::Arrow(_)
        | Error::Parquet(_)
        | Error::Internal(_) => Exit::Failed,
    }
}

fn hint(error: &Error) -> Option<String> {
    match error {
        Error::Stage { hint, .. } => hint.clone(),
        Error::TooManyFailed { .. } => Some(
            "mend the rows, or raise `quarantine_threshold` of the stage; what was computed is kept".into(),
        ),
        Error::Io { source, .. } => match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Some("free some space and run again, it goes on from there: `affectflow cache gc` removes what no kept run needs".into())
            }
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists => {
                Some("it must be a folder that can be written; `--state DIR` names another one".into())
            }
            _ => None,
        },
        Error::Damaged { path, .. } if path.starts_with("v1/lists/") => Some(
            "run the pipeline again: it writes anew which rows left its stages, and computes nothing for that".into(),
        ),
        Error::Damaged { .. } => {
            Some("run again: damaged files were moved aside and are computed anew".into())
        }
        _ => None,
    }
}
