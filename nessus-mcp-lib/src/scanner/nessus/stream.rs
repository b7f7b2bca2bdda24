//! JSON answers of any size, read while they arrive.
//!
//! The details of a scan with 100,000 hosts are 50 MB, and only a few numbers of them are wanted. The bytes go through a
//! short channel to a thread that may block, where they are read into what is kept of them.

use std::{
    io::{self, BufReader, Read},
    str,
    time::Duration,
};

use bytes::Bytes;
use reqwest::Response;
use serde::de::DeserializeSeed;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::blocking;

/// How many pieces may wait to be read.
const WAITING: usize = 4;
/// How long one answer may take as a whole.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// An answer that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    /// Its first bytes, as far as they were read.
    pub(super) head: Vec<u8>,
    /// The others.
    pub(super) rest: Response,
}

/// Why an answer could not be read.
#[derive(Debug)]
pub(super) enum Broken {
    /// It broke off.
    Cut(reqwest::Error),
    /// Nothing more came in this time.
    Silent(Duration),
    /// It is not what it should be.
    Unreadable(serde_json::Error),
}

/// Reads the answer to its end; each piece of it must come within `patience`.
pub(super) async fn decode<T, S>(answer: Begun, seed: S, patience: Duration) -> Result<T, Broken>
where
    T: Send + 'static,
    S: for<'de> DeserializeSeed<'de, Value = T> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let reading = blocking::run(move || read(Utf8::new(receiver), seed));
    let (sent, read) = tokio::join!(send(answer, sender, patience), reading);
    match read.map_err(serde_json::Error::io).flatten() {
        Ok(value) => Ok(value),
        Err(error) => Err(sent.err().unwrap_or(Broken::Unreadable(error))),
    }
}

/// Sends the answer piece by piece until it ends, or nobody reads it any more.
async fn send(answer: Begun, sender: mpsc::Sender<Bytes>, patience: Duration) -> Result<(), Broken> {
    let Begun { head, mut rest } = answer;
    let end = Instant::now() + LONGEST;
    let mut piece = Bytes::from(head);
    loop {
        if sender.send(piece).await.is_err() {
            return Ok(());
        }
        piece = match timeout_at(end.min(Instant::now() + patience), rest.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(Broken::Cut(error)),
            Err(_) => return Err(Broken::Silent(patience)),
        };
    }
}

fn read<T>(input: impl Read, seed: impl for<'de> DeserializeSeed<'de, Value = T>) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(input));
    let value = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// The pieces as UTF-8: bytes that are none become U+FFFD, wherever the pieces are cut.
struct Utf8 {
    pieces: mpsc::Receiver<Bytes>,
    /// What can be read, and how far it was.
    text: Vec<u8>,
    at: usize,
    /// The beginning of a character whose end has not come yet.
    begun: Vec<u8>,
}

impl Utf8 {
    fn new(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self { pieces, text: Vec::new(), at: 0, begun: Vec::new() }
    }

    /// Takes a piece in; the last one is empty.
    fn take(&mut self, piece: &[u8]) {
        self.text.clear();
        self.at = 0;
        let mut input = std::mem::take(&mut self.begun);
        input.extend_from_slice(piece);
        let mut read = 0;
        for chunk in input.utf8_chunks() {
            let (valid, invalid) = (chunk.valid(), chunk.invalid());
            self.text.extend_from_slice(valid.as_bytes());
            read += valid.len() + invalid.len();
            let may_go_on = || str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if !invalid.is_empty() && read == input.len() && !piece.is_empty() && may_go_on() {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.text.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
}

impl Read for Utf8 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.take(&piece),
                None if self.begun.is_empty() => return Ok(0),
                None => self.take(&[]),
            }
        }
        let count = buffer.len().min(self.text.len() - self.at);
        buffer[..count].copy_from_slice(&self.text[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"plain")]
    #[case("ü, €, 𝄞 at the end 𝄞".as_bytes())]
    #[case(b"caf\xe9 \xff\xfe \xe2\x82a \xf0\x9d\x84")]
    fn what_is_no_utf8_is_replaced_however_the_bytes_are_cut(#[case] bytes: &'static [u8]) {
        for size in 1..=bytes.len() {
            let (sender, receiver) = mpsc::channel(bytes.len());
            for piece in bytes.chunks(size) {
                sender.try_send(Bytes::from_static(piece)).unwrap();
            }
            drop(sender);
            let mut text = String::new();
            Utf8::new(receiver).read_to_string(&mut text).unwrap();
            assert_eq!(text, String::from_utf8_lossy(bytes), "in pieces of {size}");
        }
    }
}
