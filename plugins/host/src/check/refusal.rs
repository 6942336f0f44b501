//! Does a program refuse what it cannot speak? Greetings that no plugin of today should take.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Finding;

/// Time in which a program should end that was greeted wrongly, or that nobody talks to any longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Greets a program wrongly, and leaves it alone.
pub fn refusals(command: &[String], folder: &Path) -> Vec<Finding> {
    let newer = "{\"type\": \"hello\", \"contract\": {\"min\": 900, \"max\": 901}, \"program\": \"check\"}\n";
    let hello = "{\"type\": \"hello\", \"contract\": {\"min\": 1, \"max\": 1}, \"program\": \"check\"}\n";
    let ended = |said: &str, answers: bool| match greeted(command, folder, said) {
        Ok((_, None)) => Err(format!("it still ran after {} s", PATIENCE.as_secs())),
        Ok((output, Some(_))) if !answers && output.contains("\"kinds\"") => {
            Err("it answered with its kinds as if it spoke that version".to_owned())
        }
        Ok((output, Some(_))) if answers && !output.contains("\"kinds\"") => {
            Err("it did not answer with its kinds".to_owned())
        }
        Ok((_, Some(after))) => Ok(format!("it ended after {after:.0?}")),
        Err(error) => Err(error.to_string()),
    };
    vec![
        Finding { what: "refuses a version that it does not speak", seen: ended(newer, false) },
        Finding { what: "ends with its standard input", seen: ended(hello, true) },
    ]
}

/// What a program prints until it ends, and when it did.
fn greeted(command: &[String], folder: &Path, said: &str) -> std::io::Result<(String, Option<Duration>)> {
    let (name, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let program = if name.contains('/') { folder.join(name) } else { name.into() };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("AFFECTFLOW_PLUGIN", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    if let Some(mut stdin) = child.stdin.take() {
        // One that ended before it was greeted has refused, too.
        let _ = stdin.write_all(said.as_bytes());
    }
    let mut stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut output = Vec::new();
        let _ = stdout.as_mut().map(|stdout| stdout.take(16 << 20).read_to_end(&mut output));
        String::from_utf8_lossy(&output).into_owned()
    });
    let mut ended = None;
    while ended.is_none() && began.elapsed() < PATIENCE {
        ended = child.try_wait()?.map(|_| began.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    if ended.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok((reader.join().unwrap_or_default(), ended))
}
