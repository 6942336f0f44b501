//! `completions SHELL`: a script for the shell, which asks the program whenever a word is to be completed.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap_complete::env::Shells;

use crate::complete::ASKED_BY;
use crate::exit::{Exit, Failure, Outcome};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Whose script
    #[arg(value_enum)]
    shell: Shell,
}

const AFTER: &str = "\
Commands, options, kinds, runs, and the pipelines and stages of the file are completed:
  bash        echo 'source <(affectflow completions bash)' >> ~/.bashrc
  zsh         echo 'source <(affectflow completions zsh)' >> ~/.zshrc      # after compinit
  fish        echo 'affectflow completions fish | source' >> ~/.config/fish/config.fish
  powershell  affectflow completions powershell | Out-String | Invoke-Expression
  elvish      eval (affectflow completions elvish | slurp)";

/// A shell.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    Pwsh,
    Elvish,
}

/// Prints the script.
pub fn run(args: Args) -> Outcome {
    let name = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Pwsh => "powershell",
        Shell::Elvish => "elvish",
    };
    let wrong =
        |why: &str| Failure::wrong(format!("no completions for `{name}`: {why}"), "name another shell");
    let shells = Shells::builtins();
    let shell = shells.completer(name).ok_or_else(|| wrong("it is not known"))?;
    let typed = std::env::args_os().next().unwrap_or_else(|| "affectflow".into());
    let program = asked(Path::new(&typed));
    let word = Path::new(&typed).file_stem().and_then(OsStr::to_str).unwrap_or("affectflow");
    let mut script = Vec::new();
    shell
        .write_registration(ASKED_BY, word, word, &program.to_string_lossy(), &mut script)
        .map_err(|error| wrong(&error.to_string()))?;
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// The program to be asked: by its name where it was found on the path, else by its whole path.
fn asked(typed: &Path) -> PathBuf {
    match typed.components().count() {
        0 | 1 => typed.to_owned(),
        _ => std::path::absolute(typed).unwrap_or_else(|_| typed.to_owned()),
    }
}
