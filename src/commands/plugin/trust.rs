//! `plugin trust`: asks plugins what they bring, and lets them run from now on.

use affectflow_plugins::Host;
use affectflow_plugins::trust::{Approved, Home};

use super::{placed, plugins, shown};
use crate::exit::{Exit, Failure, Outcome};
use crate::project::Project;

/// Arguments of `plugin trust`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin: a part of its path or command; all of the file where left out
    plugin: Option<String>,
}

/// Approves them, and says what was approved.
pub fn run(args: Args, project: &Project) -> Outcome {
    let all = plugins(project)?;
    let wanted = |name: &str| args.plugin.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let chosen: Vec<_> = all.iter().filter(|plugin| wanted(&shown(plugin))).collect();
    if chosen.is_empty() {
        let names: Vec<String> = all.iter().map(|plugin| format!("`{}`", shown(plugin))).collect();
        let message = match &args.plugin {
            Some(part) => format!("`{}` names no plugin `{part}`", project.file.display()),
            None => format!("`{}` names no plugins", project.file.display()),
        };
        let hint = match names.is_empty() {
            true => "write `plugins: [{path: libmine.so}]`, or `{command: [python, -m, mine]}`".into(),
            false => format!("its plugins are {}", names.join(", ")),
        };
        return Err(Failure::wrong(message, hint));
    }
    let host = Host::new(Home::of_user());
    for plugin in chosen {
        let approved = host.approve(plugin, project.base()).map_err(placed(plugin))?;
        eprintln!("`{}` is trusted as it is now", shown(plugin));
        told(&approved);
    }
    Ok(Exit::Done)
}

fn told(approved: &Approved) {
    for kind in &approved.kinds {
        eprintln!("  kind `{}`, version {}: {}", kind.kind, kind.version, kind.summary);
    }
    for file in &approved.files {
        eprintln!("  file `{}`", file.path.display());
    }
}
