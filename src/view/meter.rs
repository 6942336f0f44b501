//! How does something that reads many bytes show where it stands? One bar with rate and time left on a terminal, a line now
//! and then elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::numbers::{bytes, duration};
use super::progress::{BETWEEN, style};

/// How often a bar is drawn.
const DRAWN: Duration = Duration::from_millis(100);

/// Bytes done, on standard error.
pub struct Meter {
    bar: Option<ProgressBar>,
    began: Instant,
    told: Mutex<Instant>,
}

impl Meter {
    /// A bar on a terminal, lines elsewhere.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            bar.set_style(style("  {bar:24.cyan/dim} {msg}"));
            bar
        });
        Meter { bar, began: Instant::now(), told: Mutex::new(Instant::now()) }
    }

    /// So many bytes are done, of so many.
    pub fn tell(&self, done: u64, total: u64) {
        let mut told = self.told.lock().unwrap_or_else(|p| p.into_inner());
        if told.elapsed() < if self.bar.is_some() { DRAWN } else { BETWEEN } {
            return;
        }
        *told = Instant::now();
        let words = words(done, total, self.began.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(words);
            }
            None => eprintln!("  {words}"),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// `1.2 GiB of 4.0 GiB, 800 MiB/s, 3.6 s left`
fn words(done: u64, total: u64, seconds: f64) -> String {
    let rate = done as f64 / seconds.max(1e-3);
    let left = total.saturating_sub(done) as f64 / rate.max(1.0);
    format!("{} of {}, {}/s, {} left", bytes(done), bytes(total), bytes(rate as u64), duration(left))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_meter_tells_rate_and_time_left() {
        assert_eq!(super::words(1 << 30, 4 << 30, 2.0), "1.0 GiB of 4.0 GiB, 512 MiB/s, 6.0 s left");
    }
}
