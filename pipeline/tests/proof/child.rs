//! How does a proof get a real process? Its test starts its own binary again, with a job in the environment.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

const JOB: &str = "AFFECTFLOW_TEST_JOB";

/// The job, in a process that was started for one: the test does it instead of the proof.
pub fn job() -> Option<Value> {
    std::env::var(JOB).ok().map(|text| serde_json::from_str(&text).unwrap())
}

/// Starts the named test of this binary on a job.
pub fn start(test: &str, job: &Value) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(JOB, job.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}
