// SPDX-License-Identifier: GPL-2.0
//! Programs that the tools run. Each has a time limit: a program that hangs must not hang xapi's start.

use crate::error::Result;
use crate::{debug, failed};
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The exit status as xapi's errors name it; 128 + n for a signal.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let signal = || self.status.signal().map_or(-1, |n| 128 + n);
        self.status.code().unwrap_or_else(signal)
    }
}

/// Runs the program and keeps what it prints. An error if it cannot be started or takes longer than `limit`; its
/// exit status is the caller's to judge.
pub fn capture(program: &Path, args: &[String], limit: Duration) -> Result<Output> {
    debug!("running {} {}", program.display(), args.join(" "));
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|e| failed!("cannot run {}: {e}", program.display()))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child, program, limit)?;
    // A daemon that the program left behind may keep the pipes open for ever.
    let text = |pipe: mpsc::Receiver<String>| {
        pipe.recv_timeout(Duration::from_secs(1))
            .unwrap_or_default()
    };
    Ok(Output {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

/// Runs the program for what it does. Its standard output is dropped, its standard error is ours: there is no pipe that a
/// daemon that it starts could keep open.
pub fn run(
    program: &Path,
    args: &[String],
    env: &[(&str, String)],
    limit: Duration,
) -> Result<ExitStatus> {
    debug!("running {} {}", program.display(), args.join(" "));
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.envs(env.iter().map(|(k, v)| (k, v)));
    let mut child = command
        .spawn()
        .map_err(|e| failed!("cannot run {}: {e}", program.display()))?;
    wait(&mut child, program, limit)
}

fn wait(child: &mut std::process::Child, program: &Path, limit: Duration) -> Result<ExitStatus> {
    let name = program.display();
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(pause),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed!(
                    "{name} did not end within {} seconds",
                    limit.as_secs()
                ));
            }
            Err(e) => return Err(failed!("cannot wait for {name}: {e}")),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Arguments out of words.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Output> {
        capture(Path::new("/bin/sh"), &["-c".into(), script.into()], limit)
    }

    #[test]
    fn output_and_status_are_kept() {
        let out = sh("echo a; echo b >&2; exit 3", Duration::from_secs(10)).unwrap();
        assert_eq!(
            (out.stdout.as_str(), out.stderr.as_str(), out.code()),
            ("a\n", "b\n", 3)
        );
        assert_eq!(
            sh("kill -9 $$", Duration::from_secs(10)).unwrap().code(),
            137
        );
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let start = Instant::now();
        let error = sh("exec sleep 60", Duration::from_millis(100))
            .err()
            .unwrap();
        assert!(error.to_string().contains("did not end within"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_daemon_left_behind_is_not_waited_for() {
        let start = Instant::now();
        let out = sh("sleep 30 & exit 0", Duration::from_secs(10)).unwrap();
        assert_eq!(out.code(), 0);
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
