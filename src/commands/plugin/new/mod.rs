//! `plugin new`: a project with a stage of one's own, which builds, passes its tests and runs as it is.

use std::fs;
use std::path::{Path, PathBuf};

use affectflow_pipeline::Error;
use include_dir::{Dir, DirEntry, include_dir};

use crate::commands::init::{empty, quoted};
use crate::exit::{Exit, Failure, Outcome};

/// The SDK in Rust: its sources travel in the program.
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/plugins/sdk");

/// Arguments of `plugin new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to make; its name is that of the kind: letters, digits and `_`
    dir: PathBuf,
    /// How the stage is plugged in
    #[arg(long, value_enum, value_name = "WAY", default_value_t = Way::Cdylib)]
    kind: Way,
}

/// A way to plug a stage in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// A process, in Rust
    Rust,
    /// A shared library, in Rust
    Cdylib,
}

/// Writes the files and says what to type next.
pub fn run(args: Args) -> Outcome {
    let name = name(&args.dir)?;
    empty(&args.dir)?;
    for (path, text) in files(args.kind, &name) {
        let path = args.dir.join(path);
        let cannot = |source| Error::Io { action: "write", path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(&args.dir)).map_err(cannot)?;
        fs::write(&path, text).map_err(cannot)?;
    }
    let words = Words::of(args.kind, &name);
    eprintln!("`{}` is ready; next:\n  cd {}", args.dir.display(), quoted(&args.dir));
    eprintln!("  {}\n  {}\n  affectflow run --trust", words.build, words.test);
    Ok(Exit::Done)
}

/// The name of the kind, from that of the folder.
fn name(dir: &Path) -> Result<String, Failure> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match fits {
        true => Ok(name.to_owned()),
        false => Err(Failure::wrong(
            format!("`{name}` cannot be the name of a kind"),
            "a folder of small letters, digits and `_`, beginning with a letter, such as `sharpness`",
        )),
    }
}

/// What differs between the ways.
struct Words {
    plugin: String,
    check: String,
    build: &'static str,
    test: &'static str,
}

impl Words {
    fn of(way: Way, name: &str) -> Self {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let library = format!("target/debug/{prefix}{name}{suffix}");
        let program = format!("target/debug/{name}");
        match way {
            Way::Cdylib => Words {
                plugin: format!("{{ path: {library} }}"),
                check: library,
                build: "cargo build",
                test: "cargo test",
            },
            Way::Rust => Words {
                plugin: format!("{{ command: [{program}] }}"),
                check: program,
                build: "cargo build",
                test: "cargo test",
            },
        }
    }
}

fn files(way: Way, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let words = Words::of(way, name);
    let camel: String = name.split('_').map(capitalised).collect();
    let filled = |text: &str| {
        let pairs = [
            ("KIND", name),
            ("CRATE", name),
            ("TYPE", &camel),
            ("PLUGIN", &words.plugin),
            ("CHECK", &words.check),
            ("BUILD", words.build),
            ("TEST", words.test),
            ("SUMMARY", "counts the words of a text"),
        ];
        pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)).into_bytes()
    };
    let library = "\n[lib]\ncrate-type = [\"cdylib\"]\n";
    let (library, export) = match way {
        Way::Cdylib => (library, "\naffectflow_plugin::export!(TYPE);\n"),
        Way::Rust => ("", ""),
    };
    let manifest = include_str!("rust/manifest.toml").replace("LIBRARY\n", library);
    let lib = include_str!("rust/lib.rs").replace("EXPORT\n", &format!("{export}\n"));
    let mut files: Vec<(PathBuf, Vec<u8>)> = vec![
        ("Cargo.toml".into(), filled(&manifest)),
        ("src/lib.rs".into(), filled(&lib)),
        ("pipelines.yaml".into(), filled(include_str!("pipelines.yaml"))),
        ("README.md".into(), filled(include_str!("README.md"))),
        (".gitignore".into(), b".affectflow/\ntarget/\n".to_vec()),
    ];
    if way == Way::Rust {
        files.push(("src/main.rs".into(), filled(include_str!("rust/main.rs"))));
    }
    carried(&SDK, Path::new("sdk"), &mut files);
    files
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The sources of a folder that travels in the program, without examples and what was built.
fn carried(from: &Dir<'_>, to: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in from.entries() {
        match entry {
            DirEntry::Dir(dir) if dir.path().ends_with("src") || dir.path().starts_with("src") => {
                carried(dir, to, files)
            }
            DirEntry::File(file)
                if file.path().extension().is_some_and(|end| end == "rs" || end == "toml") =>
            {
                let mut text = file.contents().to_vec();
                if file.path() == Path::new("Cargo.toml") {
                    text = without_examples(&text);
                }
                files.push((to.join(file.path()), text));
            }
            _ => {}
        }
    }
}

/// A manifest up to its examples, which do not travel along.
fn without_examples(manifest: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(manifest);
    text.split("\n[[example]]").next().unwrap_or_default().as_bytes().to_vec()
}
