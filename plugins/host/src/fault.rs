//! What can go wrong with a plugin at work?

use affectflow_pipeline::{Error, StageError};
use affectflow_plugin::Error as Said;

/// Longest detail that goes along with a message, in bytes; the end of it is what matters.
const DETAIL: usize = 4096;

/// Why a call has no result.
pub(crate) enum Fault {
    /// The plugin's fault: what it said, or what was seen of it.
    Plugin(Said),
    /// It gave no answer in time, and was ended.
    Late(Said),
    /// The engine's business: the user asked to stop, the time is up.
    Engine(StageError),
}

impl Fault {
    /// A fault of the plugin.
    pub(crate) fn plugin(message: impl Into<String>) -> Self {
        Fault::Plugin(Said::new(message))
    }

    /// As the engine has it: the plugin and its rows named.
    pub(crate) fn into_error(self, plugin: &str, rows: &str) -> StageError {
        match self {
            Fault::Engine(error) => error,
            Fault::Plugin(Said { message, detail }) | Fault::Late(Said { message, detail }) => {
                let detail = detail.map(|detail| format!("\n{}", tail(detail.trim_end(), DETAIL)));
                StageError::new(format!("plugin `{plugin}`{rows}: {message}{}", detail.unwrap_or_default()))
            }
        }
    }
}

impl From<Said> for Fault {
    fn from(said: Said) -> Self {
        Fault::Plugin(said)
    }
}

impl From<StageError> for Fault {
    fn from(error: StageError) -> Self {
        Fault::Engine(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Engine(error.into())
    }
}

/// The last bytes of a text, whole characters.
pub(crate) fn tail(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
