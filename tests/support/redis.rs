//! Redis servers that a test starts itself: on a free port of loopback, in a directory of their own, killed when the test
//! ends, however it ends.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its server cannot go on")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::processes::{PATIENCE, Process, Program};

/// The options of a server that forgets everything when it ends.
pub const FORGETFUL: [&str; 4] = ["--save", "", "--appendonly", "no"];
/// The options of a server that has on the disk what it has confirmed.
pub const DURABLE: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// A running server.
#[derive(Debug)]
pub struct RedisServer {
    /// The process.
    pub process: Process,
    program: String,
    arguments: Vec<String>,
    directory: TempDir,
    port: u16,
    password: Option<String>,
    starts: AtomicUsize,
}

impl RedisServer {
    /// A server that keeps nothing on its disk.
    pub fn start() -> Self {
        Self::with(&FORGETFUL)
    }

    /// A `redis-server` with these options.
    pub fn with(options: &[&str]) -> Self {
        Self::of("redis-server", options)
    }

    /// The server `program` with these options; `redis-server` and those compatible with it.
    pub fn of(program: &str, options: &[&str]) -> Self {
        assert!(
            is_installed(program),
            "`{program}` is missing: run scripts/setup, or install it (on Debian: apt-get install redis-server)"
        );
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let value_of = |name: &str| {
            let at = options.iter().position(|option| *option == name)?;
            options.get(at + 1).map(|value| (*value).to_owned())
        };
        let password = value_of("--requirepass");
        let arguments: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        // Another process may take the port before the server does: then it ends, and the next port is tried.
        for number in 0..20 {
            let port = free_port();
            let mut process = launch(program, &arguments, directory.path(), port, number);
            if answers(&mut process, port) {
                let (program, starts) = (program.to_owned(), AtomicUsize::new(number + 1));
                return Self { process, program, arguments, directory, port, password, starts };
            }
        }
        panic!("no {program} could be started");
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://` with the password, if there is one.
    pub fn url(&self) -> String {
        let login = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{}/0", self.port)
    }

    /// The files of the server.
    pub fn files(&self) -> &Path {
        self.directory.path()
    }

    /// SIGKILL, as `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a killed server again, on what is in its directory.
    pub fn restart(&mut self) {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        self.process = launch(&self.program, &self.arguments, self.directory.path(), self.port, number);
        assert!(answers(&mut self.process, self.port), "the server does not start again\n{}", self.process.tail());
    }

    /// Removes everything the server has stored; it must not run.
    pub fn delete_data(&mut self) {
        for entry in std::fs::read_dir(self.directory.path()).into_iter().flatten().flatten() {
            let path = entry.path();
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    /// Sends a command and returns the reply.
    pub fn ask(&self, command: &[&str]) -> Reply {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// As [`ask`](Self::ask), of a server that may be breaking off its connections.
    ///
    /// # Errors
    /// When it has done so.
    pub fn try_ask(&self, command: &[&str]) -> std::io::Result<Reply> {
        let mut connection = self.connect();
        if let Some(password) = &self.password {
            connection.try_ask(&["AUTH", password])?;
        }
        connection.try_ask(command)
    }

    /// A connection for several commands.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port).unwrap_or_else(|error| panic!("{error}\n{}", self.process.tail()))
    }
}

/// Waits until the server has its data loaded; `false` when it ends before. It says so itself: whoever answers on the port may be
/// another server, which was there before.
fn answers(process: &mut Process, port: u16) -> bool {
    let began = Instant::now();
    while process.is_running() {
        if process.stdout().contains("Ready to accept connections")
            && let Ok(mut connection) = Connection::open(port)
            && let Ok(reply) = connection.try_ask(&["PING"])
            && !matches!(&reply, Reply::Error(text) if text.starts_with("LOADING"))
        {
            return true;
        }
        assert!(began.elapsed() < PATIENCE, "the server does not answer\n{}", process.tail());
        thread::sleep(Duration::from_millis(5));
    }
    false
}

fn launch(program: &str, arguments: &[String], directory: &Path, port: u16, number: usize) -> Process {
    let server = Program::new(program).current_dir(directory);
    let server = server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(directory);
    server.args(arguments).start(&directory.join(format!("server-{number}.log")))
}

/// Whether a program is on the path.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// A port on loopback that is free now, and so is the one 10,000 above it, which nodes of a cluster need. Ports from which
/// connections go out are not among them.
pub fn free_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let random = || u16::try_from(uuid::Uuid::new_v4().as_u128() % 10_000).unwrap_or_default();
    let mut ports = std::iter::repeat_with(|| 12_000 + random()).take(1000);
    ports.find(|port| is_free(*port) && is_free(port + 10_000)).unwrap_or_else(|| panic!("no port is free"))
}

/// A connection that speaks the protocol of Redis.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port of loopback.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and returns the reply.
    pub fn ask(&mut self, command: &[&str]) -> Reply {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    fn try_ask(&mut self, command: &[&str]) -> std::io::Result<Reply> {
        let mut text = format!("*{}\r\n", command.len());
        for word in command {
            text.extend(["$", &word.len().to_string(), "\r\n", word, "\r\n"]);
        }
        self.stream.get_mut().write_all(text.as_bytes())?;
        self.read()
    }

    fn read(&mut self) -> std::io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at(1.min(line.len()));
        let number = || rest.parse::<i64>().map_err(std::io::Error::other);
        Ok(match kind {
            "+" => Reply::Text(rest.as_bytes().to_vec()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(number()?),
            "$" => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut text = vec![0; length + 2];
                    self.stream.read_exact(&mut text)?;
                    text.truncate(length);
                    Reply::Text(text)
                }
                Err(_) => Reply::Nil,
            },
            "*" => match usize::try_from(number()?) {
                Ok(length) => Reply::List((0..length).map(|_| self.read()).collect::<Result<_, _>>()?),
                Err(_) => Reply::Nil,
            },
            _ => return Err(std::io::Error::other(format!("not a reply: {line:?}"))),
        })
    }
}

/// What a server replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A number.
    Number(i64),
    /// A text.
    Text(Vec<u8>),
    /// Several replies.
    List(Vec<Reply>),
    /// The command failed.
    Error(String),
}

impl Reply {
    /// The number it is.
    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The text it is.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// Everything in it, one after the other.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(replies) => replies.iter().flat_map(|reply| [reply.bytes(), b"\n".to_vec()].concat()).collect(),
            Self::Number(number) => number.to_string().into_bytes(),
            Self::Nil => Vec::new(),
            Self::Error(text) => panic!("{text}"),
        }
    }

    /// The texts it is.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::List(replies) => replies.iter().map(Self::text).collect(),
            other => panic!("not a list: {other:?}"),
        }
    }
}
