//! Binaries as processes: started in a clean environment, watched with bounds, and killed when the test ends.
//!
//! Nothing here waits for ever. What does not come within [`PATIENCE`] fails the test with the end of the process's
//! log, so that a failure on another machine can be understood from its text alone.
#![expect(clippy::missing_panics_doc, reason = "everything here panics when the test cannot go on: that is its job")]

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Write, pipe},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};
use tokio::signal::unix::{SignalKind, signal};

/// How long anything may take before the test fails. Far more than is needed, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// The time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How many lines of a log a failure shows.
const TAIL: usize = 40;

/// What a process gets from the environment of the test: without them not every machine can start one.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"];

/// A binary with its arguments and the only environment variables it sees.
#[derive(Debug, Clone)]
#[must_use]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    input: bool,
    stdout: Option<Arc<OwnedFd>>,
    stderr: Option<Arc<OwnedFd>>,
    open_files: Option<u32>,
}

impl Program {
    /// The binary at `path`, without arguments.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            input: false,
            stdout: None,
            stderr: None,
            open_files: None,
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same program, started by another one that takes a command line, such as `nsenter`.
    pub fn through(mut self, launcher: &Self) -> Self {
        let path = std::mem::replace(&mut self.path, launcher.path.clone());
        let own = std::mem::take(&mut self.arguments);
        self.arguments = launcher.arguments.iter().cloned().chain([path.into_os_string()]).chain(own).collect();
        self
    }

    /// Where it runs.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Keeps its standard input open for [`Process::send`]; else it is empty.
    pub fn with_input(mut self) -> Self {
        self.input = true;
        self
    }

    /// The most files it may have open.
    pub fn with_open_files(mut self, most: u32) -> Self {
        self.open_files = Some(most);
        self
    }

    /// Its standard output goes here, such as into a pipe that a test does not read, and [`Process::stdout`] is empty.
    pub fn stdout_to(mut self, place: impl Into<OwnedFd>) -> Self {
        self.stdout = Some(Arc::new(place.into()));
        self
    }

    /// The same for its standard error and [`Process::log`].
    pub fn stderr_to(mut self, place: impl Into<OwnedFd>) -> Self {
        self.stderr = Some(Arc::new(place.into()));
        self
    }

    /// Starts it, with its standard error in the new file `log`.
    pub fn start(&self, log: &Path) -> Process {
        let stderr = File::create_new(log).unwrap_or_else(|error| panic!("cannot create {}: {error}", log.display()));
        let mut child = self.spawn(stderr);
        let output = Arc::new(Output::default());
        let reader = Arc::clone(&output);
        match child.stdout.take() {
            Some(stdout) => drop(thread::spawn(move || reader.fill(BufReader::new(stdout)))),
            None => reader.fill(std::io::empty()),
        }
        Process { name: self.name(), stdin: child.stdin.take(), child, output, log: log.to_owned() }
    }

    /// Runs it to its end.
    pub fn run(&self) -> Finished {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let mut process = self.start(&directory.path().join("stderr"));
        let status = process.wait();
        // The reader ends when the last holder of the pipe does.
        process.output.wait_for(|lines| lines.ended.then_some(())).unwrap_or_else(|| process.fail("its end"));
        Finished { code: status.code(), stdout: process.stdout(), stderr: process.log() }
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn spawn(&self, stderr: File) -> Child {
        let mut command = match self.open_files {
            None => Command::new(&self.path),
            Some(most) => {
                let mut shell = Command::new("/bin/sh");
                // The program takes the shell's place, with its process id.
                shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &most.to_string()]).arg(&self.path);
                shell
            }
        };
        command.args(&self.arguments).env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(if self.input { Stdio::piped() } else { Stdio::null() });
        command.stdout(self.stdout.as_deref().map_or_else(Stdio::piped, handed_on));
        command.stderr(self.stderr.as_deref().map_or_else(|| stderr.into(), handed_on));
        let began = Instant::now();
        loop {
            match command.spawn() {
                Ok(child) => return child,
                // Another test process may be building: cargo replaces the file in two steps.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ExecutableFileBusy)
                        && began.elapsed() < Duration::from_secs(5) =>
                {
                    thread::sleep(LOOK);
                }
                Err(error) => panic!("cannot start {}: {error}", self.path.display()),
            }
        }
    }
}

fn handed_on(place: &OwnedFd) -> Stdio {
    place.try_clone().unwrap_or_else(|error| panic!("no second descriptor: {error}")).into()
}

/// A process that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
    log: PathBuf,
}

impl Process {
    /// Waits for a line of standard output of which `find` makes something.
    pub fn wait_for_line<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.output.wait_for(|lines| lines.all.iter().find_map(|line| find(line)));
        found.unwrap_or_else(|| self.fail(what))
    }

    /// Waits until `text` stands in the log.
    pub fn wait_for_log(&mut self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            if began.elapsed() > PATIENCE || !self.is_running() && !self.log().contains(text) {
                self.fail(&format!("`{text}` in its log"));
            }
            thread::sleep(LOOK);
        }
    }

    /// Writes a line to its standard input.
    pub fn send(&mut self, line: &str) {
        let Some(stdin) = &mut self.stdin else { panic!("{} was started without input", self.name) };
        if let Err(error) = writeln!(stdin, "{line}").and_then(|()| stdin.flush()) {
            self.fail(&format!("that its input is read ({error})"));
        }
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) if began.elapsed() < PATIENCE => thread::sleep(LOOK),
                Ok(None) => self.fail("its end"),
                Err(error) => panic!("{} cannot be waited for: {error}", self.name),
            }
        }
    }

    /// SIGTERM, then waits for its end; returns the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait().code()
    }

    /// SIGKILL, as `kill -9`: it runs no line of its own after this.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// SIGSTOP: it stands still, from when this returns, and does not know it.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let child = WaitId::Pid(Pid::from_child(&self.child));
        if let Err(error) = waitid(child, WaitIdOptions::STOPPED) {
            self.fail(&format!("that it stands still ({error})"));
        }
    }

    /// SIGCONT: it goes on where it stood.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGINT: what Ctrl-C sends.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// SIGHUP: it reads its configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGUSR1: it logs more.
    pub fn more_log_lines(&self) {
        self.signal(Signal::USR1);
    }

    /// SIGUSR2: it logs as much as at first.
    pub fn log_lines_as_before(&self) {
        self.signal(Signal::USR2);
    }

    /// Lets it have at most so many files open from now on; those it has open stay so. Returns the former limit.
    #[cfg(target_os = "linux")]
    pub fn limit_open_files(&self, most: Option<u64>) -> Option<u64> {
        let limit = Rlimit { current: most, ..getrlimit(Resource::Nofile) };
        match prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit) {
            Ok(former) => former.current,
            Err(error) => self.fail(&format!("that its open files are limited ({error})")),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process(Pid::from_child(&self.child), signal) {
            self.fail(&format!("that it can be sent a signal ({error})"));
        }
    }

    /// Everything it has written to standard output.
    pub fn stdout(&self) -> String {
        let lines = self.output.lock();
        lines.all.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Everything it has written to standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of what it has written, for the message of a failing test.
    pub fn tail(&self) -> String {
        format!("--- {} stdout\n{}--- {0} stderr\n{}", self.name, last(&self.stdout()), last(&self.log()))
    }

    fn fail(&self, what: &str) -> ! {
        panic!("waited in vain for {} ({}): {what}\n{}", self.name, self.child.id(), self.tail())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nothing to be done about a failure in either case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().flat_map(|line| [line, "\n"]).collect()
}

/// Waits until `condition` gives something; `processes` are those whose logs tell why it did not.
pub async fn until<T>(what: &str, processes: &[&Process], mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        if began.elapsed() > PATIENCE {
            let tails: String = processes.iter().map(|process| process.tail()).collect();
            panic!("waited in vain until {what}\n{tails}");
        }
        // A look often asks a server: in a long wait thousands of them would take the processors from what is waited for.
        tokio::time::sleep((began.elapsed() / 50).clamp(LOOK, 5 * LOOK)).await;
    }
}

/// The standard output of a process, as far as it has come.
#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    all: Vec<String>,
    ended: bool,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, mut reader: impl BufRead) {
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            self.lock().all.push(text);
            self.changed.notify_all();
            line.clear();
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// What `find` makes of the lines, as soon as it makes something; `None` when no more come in time.
    fn wait_for<T>(&self, find: impl Fn(&Lines) -> Option<T>) -> Option<T> {
        let began = Instant::now();
        let mut lines = self.lock();
        loop {
            if let Some(found) = find(&lines) {
                return Some(found);
            }
            if lines.ended || began.elapsed() > PATIENCE {
                return None;
            }
            lines = self.changed.wait_timeout(lines, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A pipe that takes no further byte until it is read.
pub fn full_pipe() -> (PipeReader, PipeWriter) {
    let filled = || {
        let (reader, mut writer) = pipe()?;
        let flags = fcntl_getfl(&writer)?;
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK)?;
        while writer.write(&[b'\n'; 4096]).is_ok() {}
        while writer.write(b"\n").is_ok() {}
        // Processes get it as they get any other pipe.
        fcntl_setfl(&writer, flags)?;
        Ok::<_, std::io::Error>((reader, writer))
    };
    filled().unwrap_or_else(|error| panic!("no full pipe: {error}"))
}

/// The names in a directory, sorted; none when it does not exist.
pub fn entries(directory: &Path) -> Vec<OsString> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// Every file below `directory`, with what stands in it.
pub fn files_below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for name in entries(directory) {
        let path = directory.join(name);
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if let Ok(content) = fs::read(&path) {
            files.push((path, content));
        }
    }
    files
}

/// Whether `needle` stands anywhere in `haystack`.
pub fn holds(haystack: &[u8], needle: &str) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Waits until this process is told to stop: Ctrl-C, or SIGTERM.
pub async fn told_to_stop() {
    let waiting = |kind| signal(kind).unwrap_or_else(|error| panic!("no signal can be waited for: {error}"));
    let (mut interrupt, mut terminate) = (waiting(SignalKind::interrupt()), waiting(SignalKind::terminate()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
