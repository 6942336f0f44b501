//! `plugin list`: what is known of the plugins of the file, without running any.

use std::io::Write;

use affectflow_plugins::Host;
use affectflow_plugins::trust::{Approved, Home};

use super::{plugins, shown};
use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::table::table;

/// Prints a line for each kind of each plugin.
pub fn run(project: &Project) -> Outcome {
    let host = Host::new(Home::of_user());
    let mut rows = Vec::new();
    for plugin in plugins(project)? {
        let name = shown(&plugin);
        match host.approved(&plugin, project.base()) {
            Ok(Some(approved)) => rows.extend(kinds(&name, &approved)),
            Ok(None) => {
                rows.push(row(&name, "", "", "not trusted, or changed since: `affectflow plugin trust`"))
            }
            Err(problem) => rows.push(row(&name, "", "", &problem.message)),
        }
    }
    let mut out = std::io::stdout().lock();
    match rows.is_empty() {
        true => eprintln!("`{}` names no plugins", project.file.display()),
        false => write!(out, "{}", table(&["plugin", "kind", "version", "what it does"], 4, rows))?,
    }
    Ok(Exit::Done)
}

fn kinds(plugin: &str, approved: &Approved) -> Vec<Vec<String>> {
    let kinds = approved.kinds.iter();
    kinds.map(|kind| row(plugin, &kind.kind, &kind.version.to_string(), &kind.summary)).collect()
}

fn row(plugin: &str, kind: &str, version: &str, what: &str) -> Vec<String> {
    [plugin, kind, version, what].map(str::to_owned).to_vec()
}
