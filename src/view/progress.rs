//! How does a run show where it stands? A bar a stage with rate and time left on a terminal, a line now and then elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use affectflow_pipeline::event::{Event, Observer};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::numbers::{count, duration, grouped};

/// Time between two lines about the same stage where there is no terminal.
pub const BETWEEN: Duration = Duration::from_secs(10);

/// Rows in quarantine of a stage that are named; the others are counted.
const NAMED: u64 = 3;

/// Progress on standard error.
pub struct Progress {
    bars: Option<MultiProgress>,
    stages: Mutex<HashMap<String, Shown>>,
}

/// What is shown of a stage.
struct Shown {
    bar: Option<ProgressBar>,
    /// Where counting began: what the cache gives at once is not the rate to expect.
    began: Option<(Instant, u64)>,
    told: Instant,
    failed: u64,
}

impl Progress {
    /// Bars on a terminal, lines elsewhere.
    pub fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        Progress { bars, stages: Mutex::default() }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// All stages in the order of the plan, before any of them begins.
    fn announced(&self, names: &[String]) {
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let mut stages = self.stages.lock().unwrap_or_else(|p| p.into_inner());
        for name in names {
            let bar = self.bars.as_ref().map(|bars| {
                let bar = bars.add(ProgressBar::no_length());
                bar.set_style(style("  {prefix} {msg}"));
                bar.set_prefix(format!("{name:width$}"));
                bar.set_message("waiting");
                bar
            });
            stages.insert(name.clone(), Shown { bar, began: None, told: Instant::now(), failed: 0 });
        }
    }

    fn progress(&self, stage: &str, done: u64, total: Option<u64>, unit: &str, note: &str) {
        let mut stages = self.stages.lock().unwrap_or_else(|p| p.into_inner());
        let Some(shown) = stages.get_mut(stage) else { return };
        let (since, from) = *shown.began.get_or_insert((Instant::now(), done));
        let rate = (done.saturating_sub(from)) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        let words = words(done, total, unit, rate, note);
        match &shown.bar {
            Some(bar) => {
                if let Some(total) = total {
                    bar.set_style(style("  {prefix} {bar:24.cyan/dim} {msg}"));
                    bar.set_length(total);
                }
                bar.set_position(done);
                bar.set_message(words);
            }
            None if shown.told.elapsed() >= BETWEEN => {
                shown.told = Instant::now();
                eprintln!("  {stage}: {words}");
            }
            None => {}
        }
    }

    fn failed(&self, stage: &str, id: &str, error: &str) {
        let mut stages = self.stages.lock().unwrap_or_else(|p| p.into_inner());
        let Some(shown) = stages.get_mut(stage) else { return };
        shown.failed += 1;
        if shown.failed <= NAMED {
            // Its first line; what a plugin adds to it, such as a traceback, stands in the record.
            let error = error.lines().next().unwrap_or_default();
            self.line(&format!("quarantined: row `{id}` in stage `{stage}`: {error}"));
        }
    }

    fn finished(&self, stage: &str, words: &str) {
        let mut stages = self.stages.lock().unwrap_or_else(|p| p.into_inner());
        let Some(shown) = stages.get_mut(stage) else { return };
        if shown.failed > NAMED {
            let more = count(shown.failed - NAMED, "more row");
            self.line(&format!("quarantined: {more} in stage `{stage}`, see `affectflow show last`"));
        }
        match &shown.bar {
            Some(bar) => {
                bar.set_style(style("  {prefix} {msg}"));
                bar.finish_with_message(words.to_owned());
            }
            None => eprintln!("  {stage}: {words}"),
        }
    }
}

/// `640 of 1,700 rows, 53 rows/s, 20 s left`
fn words(done: u64, total: Option<u64>, unit: &str, rate: f64, note: &str) -> String {
    let of = total.map_or(String::new(), |total| format!(" of {}", grouped(total)));
    let mut words = format!("{}{of} {unit}", grouped(done));
    if rate > 0.0 {
        words += &match rate {
            r if r >= 10.0 => format!(", {} {unit}/s", grouped(r.round() as u64)),
            r => format!(", {r:.1} {unit}/s"),
        };
        if let Some(left) = total.map(|total| total.saturating_sub(done)).filter(|&left| left > 0) {
            words += &format!(", {} left", duration(left as f64 / rate));
        }
    }
    if !note.is_empty() {
        words += &format!(", {note}");
    }
    words
}

/// A style of bars that all of them share.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

impl Observer for Progress {
    fn event(&self, event: &Event) {
        match event {
            Event::RunStarted { stages, .. } => self.announced(stages),
            Event::Progress { stage, done, total, unit, note } => {
                self.progress(stage, *done, *total, unit, note)
            }
            Event::RowQuarantined { stage, id, error, .. } => self.failed(stage, id, error),
            Event::StageFinished { stage, rows, hits, misses, seconds, .. } => {
                let what = match (*hits, *misses) {
                    (0, 0) => "",
                    (_, 0) => ", nothing to compute",
                    (0, _) => ", all computed",
                    _ => ", what was missing computed",
                };
                self.finished(stage, &format!("{}{what}, {}", count(*rows, "row"), duration(*seconds)));
            }
            Event::Warning { stage, message } => {
                let stage = stage.as_ref().map(|stage| format!("stage `{stage}`: ")).unwrap_or_default();
                self.line(&format!("warning: {stage}{message}"));
            }
            Event::RunFinished { .. } => {
                self.bars
                    .iter()
                    .for_each(|bars| bars.set_draw_target(indicatif::ProgressDrawTarget::hidden()));
            }
            Event::StageStarted { .. }
            | Event::RowsCommitted { .. }
            | Event::Metric { .. }
            | Event::Artifact { .. } => {}
        }
    }
}
