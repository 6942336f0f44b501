//! `init`: a new project that runs as it is.

use std::fs;
use std::path::{Path, PathBuf};

use affectflow_pipeline::{Error, Registry, plan};
use affectflow_stages::ingest::{Domain, generated};

use crate::exit::{Exit, Failure, Outcome};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The folder to make; it may be there, but must be empty
    dir: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Template::Start)]
    template: Template,
}

const AFTER: &str = "\
Examples:
  affectflow init first                              a small pipeline on generated pictures
  affectflow init mine --template kcdp               folders of photos and stickers, to put yours in";

/// A project to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Template {
    /// A small pipeline on pictures that the program draws itself
    Start,
    /// KCDP on folders of your own photos and stickers
    Kcdp,
    /// Captions and embeddings of a folder of pictures
    Embed,
    /// A crate with a stage of your own
    Plugin,
}

/// A file by its path in the project.
type File = (PathBuf, Vec<u8>);

/// Writes the files and says what to type next.
pub fn run(args: Args, registry: &Registry) -> Outcome {
    empty(&args.dir)?;
    for (name, bytes) in files(args.template, registry) {
        let path = args.dir.join(name);
        let cannot = |source| Error::Io { action: "write", path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(&args.dir)).map_err(cannot)?;
        fs::write(&path, bytes).map_err(cannot)?;
    }
    eprintln!("`{}` is ready; next:\n  cd {}", args.dir.display(), quoted(&args.dir));
    next(args.template).iter().for_each(|line| eprintln!("  {line}"));
    Ok(Exit::Done)
}

/// Refuses a folder that holds anything.
pub(super) fn empty(dir: &Path) -> Result<(), Failure> {
    let hint = "name a folder that is new or empty";
    if !dir.exists() {
        return Ok(());
    }
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::wrong(format!("the folder `{}` is not empty", dir.display()), hint)),
        Err(error) => {
            Err(Failure::wrong(format!("`{}` cannot be read as a folder: {error}", dir.display()), hint))
        }
    }
}

fn files(template: Template, registry: &Registry) -> Vec<File> {
    let (yaml, ignored) = match template {
        Template::Start => (include_str!("init/start.yaml"), ".affectflow/\n"),
        Template::Kcdp => (include_str!("init/kcdp.yaml"), ".affectflow/\n"),
        Template::Embed => (include_str!("init/embed.yaml"), ".affectflow/\n"),
        Template::Plugin => (include_str!("init/plugin.yaml"), ".affectflow/\ntarget/\n"),
    };
    let schema = format!("{:#}\n", plan::schema::json_schema(registry));
    let texts =
        [("pipelines.yaml", yaml.to_owned()), ("schema.json", schema), (".gitignore", ignored.into())];
    let mut files: Vec<File> = texts.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
    match template {
        Template::Start => {}
        Template::Kcdp => {
            files.extend(photos("photos"));
            files.extend(pictures("stickers", Domain::Target, 2));
        }
        Template::Embed => files.extend(pictures("pictures", Domain::Source, 1)),
        Template::Plugin => files.extend(crate_files()),
    }
    files
}

/// A folder of generated portraits for each class.
fn photos(folder: &str) -> impl Iterator<Item = File> {
    let pictures = generated(Domain::Source, 1, 6).into_iter();
    pictures.map(move |(class, name, png)| (Path::new(folder).join(class).join(name), png))
}

/// A folder of generated pictures, so many of each emotion.
fn pictures(folder: &str, domain: Domain, each: usize) -> impl Iterator<Item = File> {
    generated(domain, 2, each).into_iter().map(move |(_, name, png)| (Path::new(folder).join(name), png))
}

/// The crate that the tutorial "Add a stage" shows.
fn crate_files() -> [File; 3] {
    let texts = [
        ("Cargo.toml", include_str!("init/plugin/manifest.toml")),
        ("src/main.rs", include_str!("init/plugin/main.rs")),
        ("src/length.rs", include_str!("init/plugin/length.rs")),
    ];
    texts.map(|(name, text)| (name.into(), text.into()))
}

fn next(template: Template) -> &'static [&'static str] {
    match template {
        Template::Start => &[
            "affectflow run            # a minute; again: a moment",
            "affectflow graph --format svg -o graph.svg",
            "affectflow show last",
        ],
        Template::Kcdp => &[
            "affectflow run            # on the generated pictures that are in photos/ and stickers/",
            "affectflow export last adapt -o predictions.csv",
            "                          # then put your own pictures in their place, and run it again",
        ],
        Template::Embed => &[
            "affectflow run            # on the generated pictures that are in pictures/",
            "affectflow export last embed -o captions.csv",
            "                          # then put your own pictures in their place, and run it again",
        ],
        Template::Plugin => &[
            "                          # in Cargo.toml, let `path` name a clone of affectflow, or write a version once",
            "                          # one is published: affectflow = \"0.1\"",
            "cargo run -- stages length    # the manual page of the kind in src/length.rs",
            "cargo run -- run",
        ],
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:\\".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
