//! The clock of all processes of a run, as libfaketime shows it to them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nessus_mcp_lib::durable;
use nessus_mcp_tests::processes::{Process, Program};

/// Where libfaketime may be.
const LIBRARY: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];
/// Where it leaves a file and a semaphore for each process.
const LEFT_BEHIND: [&str; 2] = ["/dev/shm/faketime_shm_", "/dev/shm/sem.faketime_sem_"];

/// A clock that can be set; what libfaketime leaves behind is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Clock {
    library: &'static str,
    /// The offset from the machine's clock.
    file: PathBuf,
    processes: Vec<u32>,
}

impl Clock {
    /// A clock that is right; `None` without libfaketime.
    pub(crate) fn in_file(file: PathBuf) -> Option<Self> {
        let library = LIBRARY.into_iter().find(|path| Path::new(path).exists())?;
        let clock = Self { library, file, processes: Vec::new() };
        clock.set(0);
        Some(clock)
    }

    /// Sets it to so many seconds after the machine's clock.
    pub(crate) fn set(&self, seconds: i64) {
        let written = durable::replace(&self.file, format!("{seconds:+}\n").as_bytes());
        written.unwrap_or_else(|error| panic!("{}: {error}", self.file.display()));
    }

    /// The program, with this clock. What measures durations goes on, as when the machine's clock is set; so do the
    /// times of files.
    pub(crate) fn shown_to(&self, program: Program) -> Program {
        program
            .env("LD_PRELOAD", self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            // Each look at the clock reads the file, so that no two processes disagree.
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1")
    }

    pub(crate) fn remember(&mut self, process: &Process) {
        self.processes.push(process.id());
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        for id in &self.processes {
            for prefix in LEFT_BEHIND {
                let _ = fs::remove_file(format!("{prefix}{id}"));
            }
        }
    }
}
