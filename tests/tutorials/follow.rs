//! What happens when a page is followed? Files are written, commands run, and each answer is set beside the one shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::OWN;
use crate::common::blessing;
use crate::common::markdown::{Block, blocks, links};
use crate::same::{Varying, same};

/// How long Ctrl-C waits for its moment.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rows computed before Ctrl-C is pressed.
const ENOUGH: u64 = 8;

/// What stands for `cargo`.
const CARGO: &str = "#!/bin/sh
[ \"$1 $2 $3\" = 'run -q --' ] || { echo 'only `cargo run -q --` is answered here'; exit 2; }
shift 3
exec my-affectflow \"$@\"
";

/// A page on its way.
struct Follower {
    root: tempfile::TempDir,
    /// Where the commands are run; `cd` changes it.
    here: PathBuf,
    wrong: Vec<String>,
}

/// A command with what is shown below it.
struct Step {
    command: String,
    shown: String,
}

/// Follows a page; gives back what is not as it says. When blessing, writes the page with what was printed.
pub fn page(path: &Path, text: &str) -> Vec<String> {
    let mut follower = Follower::new();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From the end, so that the lines of earlier blocks stay where they are.
    let mut renewed: Vec<(Block, String)> = Vec::new();
    for block in blocks(text) {
        let before = follower.wrong.len();
        let now = follower.block(&block, text);
        let place = format!("{}:{}", path.display(), block.line + 1);
        follower.wrong[before..].iter_mut().for_each(|wrong| *wrong = format!("{place}: {wrong}"));
        renewed.push((block, now));
    }
    follower.pictures(path, text);
    if blessing() {
        for (block, now) in renewed.into_iter().rev() {
            let from = block.line + 1;
            lines.splice(from..from + block.text.lines().count(), now.lines().map(str::to_owned));
        }
        fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    follower.wrong
}

impl Follower {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (here, bin) = (root.path().join("here"), root.path().join("bin"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&bin).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt, symlink};
            symlink(env!("CARGO_BIN_EXE_affectflow"), bin.join("affectflow")).unwrap();
            symlink(std::env::current_exe().unwrap(), bin.join(OWN)).unwrap();
            fs::write(bin.join("cargo"), CARGO).unwrap();
            fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Follower { root, here, wrong: Vec::new() }
    }

    /// Does what a block says; its text as it should be.
    fn block(&mut self, block: &Block, page: &str) -> String {
        let named = |name: &str| {
            assert!(page.contains(&format!("`{name}`")), "the page does not say that a block is `{name}`")
        };
        if let Some(name) = block.attribute("file") {
            named(name);
            match block.language.as_str() {
                "diff" => self.change(name, &block.text),
                _ => self.write(name, &block.text),
            }
        } else if let Some(name) = block.attribute("shows") {
            named(name);
            let now = fs::read_to_string(self.here.join(name)).unwrap_or_default();
            if now != block.text && !blessing() {
                self.wrong.push(format!("`{name}` holds\n{now}"));
            }
            return now;
        } else if block.language == "console" {
            return self.console(block);
        }
        block.text.clone()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.here.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces the lines with `-` or a blank before them by those with `+` or a blank.
    fn change(&mut self, name: &str, diff: &str) {
        let side = |marks: [char; 2]| -> String {
            let lines = diff.lines().filter(|line| line.is_empty() || line.starts_with(marks));
            lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect()
        };
        let (old, new) = (side(['-', ' ']), side(['+', ' ']));
        let text = fs::read_to_string(self.here.join(name)).unwrap_or_default();
        match text.matches(&old).count() {
            1 => self.write(name, &text.replace(&old, &new)),
            count => self.wrong.push(format!("`{name}` has these lines {count} times:\n{old}")),
        }
    }

    fn console(&mut self, block: &Block) -> String {
        let steps = steps(&block.text);
        let wanted: i32 = block.attribute("code").map_or(0, |code| code.parse().unwrap());
        let numbers = block.attributes.iter().any(|word| word == "numbers-vary");
        let varying = Varying { root: self.root.path().to_owned(), numbers };
        let mut now = String::new();
        for (at, step) in steps.iter().enumerate() {
            let (code, printed) = self.run(step);
            let wanted = if at + 1 == steps.len() { wanted } else { 0 };
            if code != wanted {
                self.wrong.push(format!("`{}` ends with {code}, not {wanted}:\n{printed}", step.command));
            }
            let kept = same(&step.shown, &printed, &varying);
            if !kept && !blessing() {
                self.wrong.push(format!("`{}` prints\n{printed}", step.command));
            }
            now += &format!("$ {}\n{}", step.command, if kept { &step.shown } else { &printed });
        }
        now
    }

    /// Runs a command as a shell would; its code, and all that it printed.
    fn run(&mut self, step: &Step) -> (i32, String) {
        let (out, pwd) = (self.root.path().join("out"), self.root.path().join("pwd"));
        let file = fs::File::create(&out).unwrap();
        let interrupted = step.shown.starts_with("^C\n");
        let script = match interrupted {
            true => format!("exec {}", step.command),
            false => format!("{}\ncode=$?; pwd > {}; exit $code", step.command, pwd.display()),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&self.here)
            .env("PATH", format!("{}:{path}", self.root.path().join("bin").display()))
            .env("AFFECTFLOW_HOME", self.root.path().join("home"))
            .env_remove("COLUMNS")
            .env_remove("AFFECTFLOW_STATE")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        if interrupted {
            self.interrupt(&mut child);
        }
        let code = child.wait().unwrap().code().unwrap_or(-1);
        let printed = fs::read_to_string(out).unwrap();
        if interrupted {
            return (code, format!("^C\n{printed}"));
        }
        self.here = PathBuf::from(fs::read_to_string(pwd).unwrap().trim_end());
        (code, printed)
    }

    /// Ctrl-C, once some rows were computed.
    fn interrupt(&self, child: &mut Child) {
        let began = Instant::now();
        while !self.computing() && began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(5));
        }
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    }

    fn computing(&self) -> bool {
        let Ok(runs) = fs::read_dir(self.here.join(".affectflow/runs")) else { return false };
        let events = runs.filter_map(|run| fs::read_to_string(run.unwrap().path().join("events.jsonl")).ok());
        let lines = events.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        // The last line may be half written.
        let mut events = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
        events.any(|event| {
            event["type"] == "progress" && event["stage"] == "embed" && event["done"].as_u64() >= Some(ENOUGH)
        })
    }

    /// Pictures of the page are what commands wrote.
    fn pictures(&mut self, path: &Path, text: &str) {
        let folder = path.file_stem().unwrap().to_str().unwrap();
        let varying = Varying { root: self.root.path().to_owned(), numbers: false };
        for link in links(text).iter().filter(|link| Path::new(link).starts_with(folder)) {
            let now =
                fs::read_to_string(self.here.join(Path::new(link).file_name().unwrap())).unwrap_or_default();
            let kept = path.with_file_name(link);
            if same(&fs::read_to_string(&kept).unwrap_or_default(), &now, &varying) {
                continue;
            }
            if blessing() {
                fs::create_dir_all(kept.parent().unwrap()).unwrap();
                fs::write(kept, now).unwrap();
            } else {
                self.wrong.push(format!("the picture `{link}` is out of date"));
            }
        }
    }
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), shown: String::new() }),
            (None, Some(step)) => step.shown += &format!("{line}\n"),
            (None, None) => panic!("a block of commands begins with `$ `: {line}"),
        }
    }
    steps
}
