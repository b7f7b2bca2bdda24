//! A way to a server on which replies get lost, or that is cut for a while.
#![expect(clippy::missing_panics_doc, reason = "a test without its proxy cannot go on")]

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Passes everything on to a port of loopback, until it is told to lose replies.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    to_lose: Arc<AtomicUsize>,
    cut: Arc<Cut>,
}

/// Whether nothing gets through, and the connections that are open.
#[derive(Debug, Default)]
struct Cut {
    is_cut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Cut {
    /// Keeps a hold of a connection, or closes it at once.
    fn admit(&self, client: &TcpStream) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_cut.load(Ordering::SeqCst) {
            return false;
        }
        open.retain(|stream| stream.take_error().is_ok() && stream.peer_addr().is_ok());
        client.try_clone().map(|client| open.push(client)).is_ok()
    }
}

impl Proxy {
    /// A proxy to `target`. It lives as long as the process.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("cannot listen: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let to_lose = Arc::new(AtomicUsize::new(0));
        let cut = Arc::new(Cut::default());
        let proxy = Self { port: address.port(), to_lose: Arc::clone(&to_lose), cut: Arc::clone(&cut) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if cut.admit(&client)
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", target))
                {
                    connect(client, server, &to_lose);
                }
            }
        });
        proxy
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks all connections and lets none through until [`mend`](Self::mend): the server is out of reach, and knows
    /// nothing of it.
    pub fn cut(&self) {
        let mut open = self.cut.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.cut.is_cut.store(true, Ordering::SeqCst);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.cut.is_cut.store(false, Ordering::SeqCst);
    }

    /// Swallows the next `count` replies, each with the connection it comes on. The server has done what it was told: an
    /// error, such as that of a script it does not know, is passed on.
    pub fn lose_replies(&self, count: usize) {
        self.to_lose.store(count, Ordering::SeqCst);
    }

    /// How many replies are still to be lost.
    pub fn left_to_lose(&self) -> usize {
        self.to_lose.load(Ordering::SeqCst)
    }
}

fn connect(client: TcpStream, server: TcpStream, to_lose: &Arc<AtomicUsize>) {
    let (Ok(client_end), Ok(server_end)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || pass(client, server, |_| false));
    let to_lose = Arc::clone(to_lose);
    let lost = move |bytes: &[u8]| {
        let is_error = bytes.starts_with(b"-");
        !is_error && to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    };
    thread::spawn(move || pass(server_end, client_end, lost));
}

fn pass(mut from: TcpStream, mut to: TcpStream, lost: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if lost(&bytes[..count]) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
