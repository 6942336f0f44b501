//! Which pipeline file, and which state folder?

use std::path::{Path, PathBuf};

use affectflow_pipeline::Registry;
use affectflow_pipeline::run::State;
use affectflow_pipeline::spec::load_lenient;

use crate::cli::Place;
use crate::exit::Failure;

/// A pipeline file and its state folder.
pub struct Project {
    /// The file.
    pub file: PathBuf,
    /// The folder of cache and runs; it need not exist.
    pub state: PathBuf,
}

impl Project {
    /// From the arguments.
    pub fn new(place: Place) -> Self {
        let beside = || place.file.parent().unwrap_or(Path::new("")).join(".affectflow");
        let state = place.state.unwrap_or_else(beside);
        Project { file: place.file, state }
    }

    /// The folder that paths in the file start from.
    pub fn base(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// The kinds that the file can use: those of its plugins, too. Where there is no file, or a plugin cannot be asked, the
    /// others; why is told.
    pub fn registry(&self, registry: &Registry) -> Registry {
        let Some(spec) = load_lenient(&self.file, &[]).0 else { return registry.clone() };
        let (registry, problems) = registry.with_plugins(&spec, self.base());
        problems.iter().for_each(|problem| eprintln!("warning: {problem}"));
        registry
    }

    /// Opens the state.
    pub fn state(&self) -> State {
        State::open(&self.state)
    }

    /// Refuses a command that only reads where there is nothing to read.
    pub fn existing(&self) -> Result<State, Failure> {
        match self.state.is_dir() {
            true => Ok(self.state()),
            false => Err(Failure::wrong(
                format!("there is no state folder `{}` yet", self.state.display()),
                "run a pipeline first with `affectflow run`, or name the folder with `--state DIR`",
            )),
        }
    }
}
