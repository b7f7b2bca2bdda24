//! An export: asked for, waited for, downloaded into a sink and checked for completeness.
//!
//! The scanner prepares a file first, which lives only a short while. What goes wrong is repaired here, within limits:
//! a download that breaks off is repeated, a file that vanished, failed or is no whole document is asked for again, and
//! the sink begins again each time. HTTP alone does not prove that an export is whole: the closing tag of the document
//! does, so it is looked for while the bytes pass through.

use std::{marker::PhantomData, time::Duration};

use reqwest::{Method, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncWriteExt as _, time::Instant};

use super::{
    call::{Access, Call, Expected, decode_error, details_call},
    client::Client,
    config::ExportLimits,
    status::summarise,
    wire::{Details, ExportRequested, ExportStatus},
};
use crate::{
    error::{Classified as _, counted},
    hex,
    scanner::{
        error::ScannerError,
        interface::{ExportSink, ExportSummary, ScanState},
    },
    secret::Secret,
};

/// The last bytes of a whole document, white space aside.
const CLOSING_TAG: &[u8] = b"</NessusClientData_v2>";
/// What a host begins with.
const HOST_TAG: &[u8] = b"<ReportHost";
/// How many bytes of a document's end are kept.
const TAIL: usize = 64;
/// How many bytes are looked at before the first is written.
const HEAD: usize = 64;
/// How many files are asked for at the most.
const MAX_FILES: u32 = 3;
/// How often one file is downloaded at the most.
const MAX_DOWNLOADS: u32 = 3;
/// How many looks at the status of a file may fail in a row.
const MAX_LOOKS_FAILED: u32 = 3;
/// How much longer a file may take for each host.
const WAIT_PER_HOST: Duration = Duration::from_secs(1);
/// How many times longer each pause is than the one before it.
const PAUSE_GROWTH: u32 = 3;
/// The longest pause, also that a scanner which asks for one is granted.
const MAX_PAUSE: Duration = Duration::from_secs(120);

/// How often a download is looked at whether it moves on.
const PACE_WINDOW: Duration = Duration::from_secs(5 * 60);
/// The least it must have brought in that time: 14 KiB a second, at which a gigabyte takes 20 hours.
const PACE_BYTES: u64 = 4 << 20;

/// Why an attempt at an export ended.
enum Failure {
    /// The download broke off; the file may still be there.
    Cut(ScannerError),
    /// The file on the scanner is of no use any more; another can be asked for.
    FileLost(ScannerError),
    /// The document is whole and has no hosts, although the scanner lists some.
    NoHosts(ExportSummary),
    /// The file is not ready, whatever the scanner said before.
    TooEarly,
    /// It cannot be repaired here.
    Final(ScannerError),
}

impl From<ScannerError> for Failure {
    fn from(error: ScannerError) -> Self {
        Self::Final(error)
    }
}

/// Where the scanner keeps a file it prepares.
#[derive(Debug, Clone)]
enum Route {
    /// `/scans/{id}/export/{file}/...`, with a login.
    File(u64),
    /// `/tokens/{token}/...`: whoever knows the token may fetch it.
    Token(Secret),
}

impl Route {
    fn call(&self, scan: u64, step: &'static str) -> Call {
        match self {
            Self::File(file) => Call::get(format!("/scans/{scan}/export/{file}/{step}"), Access::Session),
            Self::Token(token) => {
                let shown = if step == "status" { "/tokens/[redacted]/status" } else { "/tokens/[redacted]/download" };
                Call::get(format!("/tokens/{}/{step}", token.expose()), Access::Open).shown_as(shown)
            }
        }
    }
}

/// Exports a scan into `sink`.
pub(super) async fn export(
    client: &Client,
    limits: &ExportLimits,
    scan: u64,
    sink: &mut ExportSink,
) -> Result<ExportSummary, ScannerError> {
    let call = details_call(scan);
    let details: Details = client.fetch_when_ready(&call, PhantomData).await?;
    let status = summarise(&call.name(), &details)?;
    let (state, hosts) = (status.state, status.hosts.unwrap_or_default());
    let wait = limits.max_wait.saturating_add(WAIT_PER_HOST * u32::try_from(hosts).unwrap_or(u32::MAX));
    let export = Export {
        client,
        limits,
        scan,
        wait: wait.min(limits.max_wait * 4),
        has_hosts: state == ScanState::Completed && hosts > 0,
    };
    let (mut asked, mut is_dirty, mut late) = (0, false, false);
    let mut pause = limits.poll_interval;
    loop {
        let taken = match export.request(asked).await {
            Ok(route) => export.take(&route, sink, &mut is_dirty).await,
            Err(failure) => Err(failure),
        };
        asked += 1;
        let error = match taken {
            Ok(summary) => return Ok(summary),
            Err(Failure::NoHosts(summary)) if asked >= 2 => {
                tracing::warn!(
                    scanner = client.base(),
                    scan,
                    hosts,
                    "the export has none of the hosts the scanner lists"
                );
                return Ok(summary);
            }
            Err(Failure::NoHosts(_)) => {
                ScannerError::Truncated(format!("it has none of {}", counted(hosts, "host", "hosts")))
            }
            Err(Failure::Cut(error) | Failure::FileLost(error)) => error,
            Err(Failure::TooEarly) if !std::mem::replace(&mut late, true) => export.gave_up(),
            Err(Failure::TooEarly) => return Err(lost(export.gave_up())),
            Err(Failure::Final(error)) => return Err(error),
        };
        if asked >= MAX_FILES {
            return Err(lost(error));
        }
        pause = (pause * PAUSE_GROWTH).min(MAX_PAUSE);
        tracing::warn!(scanner = client.base(), scan, %error, ?pause, "the scanner will be asked for another file");
        tokio::time::sleep(pause).await;
    }
}

/// The end of an export that the scanner did not manage to give. What says that the scanner is in trouble stays what it is;
/// a file that is not found must not look like a scan that is gone.
fn lost(error: ScannerError) -> ScannerError {
    match error {
        ScannerError::NotFound(_)
        | ScannerError::Server { status: 500, .. }
        | ScannerError::Decode { .. }
        | ScannerError::TimedOut { .. } => ScannerError::ExportLost(error.to_string()),
        other => other,
    }
}

/// One export in the making.
struct Export<'a> {
    client: &'a Client,
    limits: &'a ExportLimits,
    scan: u64,
    /// How long a file may take until it is ready.
    wait: Duration,
    /// Whether an export without a host is suspicious.
    has_hosts: bool,
}

impl Export<'_> {
    /// Asks for a file: `POST /scans/{id}/export`. Once more does no harm.
    ///
    /// A 409 means that the scan is active, or that a report of it is already being made; only the second passes. The
    /// way by the file's number is taken at first, the one by its token when that has failed: versions differ.
    async fn request(&self, asked: u32) -> Result<Route, Failure> {
        let call = Call::new(Method::POST, format!("/scans/{}/export", self.scan), Access::Session)
            .json(&json!({ "format": "nessus" }));
        let until = Instant::now() + self.wait;
        let answer = loop {
            match self.client.fetch_repeated::<ExportRequested>(&call).await {
                Ok(answer) => break answer,
                Err(conflict @ ScannerError::Conflict(_)) => {
                    let call = details_call(self.scan);
                    let over = summarise(&call.name(), &self.client.fetch_repeated(&call).await?)?.state.is_terminal();
                    if !over || !self.pause(until).await {
                        return Err(conflict.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        let file = answer.file.map(Route::File);
        // Anything else than letters, digits and dashes would change the path.
        let fits = |token: &String| {
            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let token = answer.token.or(answer.temp_token).filter(fits).map(|token| {
            let token = Secret::new(token);
            self.client.learn(&token);
            Route::Token(token)
        });
        let route = if asked.is_multiple_of(2) { file.or(token) } else { token.or(file) };
        route.ok_or_else(|| Failure::FileLost(decode_error(&call, "there is no `file` in it, and no `token`")))
    }

    /// Waits for the file and downloads it, again when the download breaks off.
    async fn take(&self, route: &Route, sink: &mut ExportSink, is_dirty: &mut bool) -> Result<ExportSummary, Failure> {
        let until = Instant::now() + self.wait;
        let mut downloads = 0;
        loop {
            self.wait_ready(route, until).await?;
            if std::mem::take(is_dirty) {
                sink.restart().await.map_err(|error| storage(&error))?;
            }
            let error = match self.download(route, sink, is_dirty).await {
                Err(Failure::TooEarly) if self.pause(until).await => continue,
                Err(Failure::Cut(error)) => error,
                outcome => return outcome,
            };
            downloads += 1;
            if downloads >= MAX_DOWNLOADS {
                return Err(Failure::Cut(error));
            }
            tracing::warn!(scanner = self.client.base(), scan = self.scan, %error, "the download is repeated");
            tokio::time::sleep(self.pause_after(&error) * PAUSE_GROWTH.pow(downloads - 1)).await;
        }
    }

    /// Polls the file's status.
    async fn wait_ready(&self, route: &Route, until: Instant) -> Result<(), Failure> {
        let call = route.call(self.scan, "status");
        let mut failed = 0;
        loop {
            let status = match self.client.fetch_repeated::<ExportStatus>(&call).await {
                Ok(status) => status.status.unwrap_or_default().to_ascii_lowercase(),
                // 500 is how a failed preparation is told, 404 what follows it.
                Err(error @ (ScannerError::NotFound(_) | ScannerError::Server { status: 500, .. })) => {
                    return Err(Failure::FileLost(error));
                }
                Err(error) if error.is_retryable() && failed < MAX_LOOKS_FAILED => {
                    failed += 1;
                    tokio::time::sleep(self.pause_after(&error)).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            failed = 0;
            match status.as_str() {
                "ready" => return Ok(()),
                "error" => {
                    let message = "the scanner could not prepare the export".to_owned();
                    return Err(Failure::FileLost(ScannerError::Server { status: 500, message }));
                }
                // `loading`, and whatever word a later version finds for it.
                _ if self.pause(until).await => {}
                _ => return Err(Failure::TooEarly),
            }
        }
    }

    /// Downloads the file into the sink, which is empty; `is_dirty` tells when it is not any more.
    async fn download(
        &self,
        route: &Route,
        sink: &mut ExportSink,
        is_dirty: &mut bool,
    ) -> Result<ExportSummary, Failure> {
        let call = route.call(self.scan, "download").expects(Expected::Stream(self.limits.idle_timeout));
        let response = match self.client.open(&call).await {
            Ok(response) => response,
            Err(error @ ScannerError::NotFound(_)) => return Err(Failure::FileLost(error)),
            Err(error) if error.is_retryable() => return Err(Failure::Cut(error)),
            Err(error) => return Err(error.into()),
        };
        let announced = response.content_length();
        if let (Some(announced), Some(limit)) = (announced, self.limits.max_bytes)
            && announced > limit
        {
            return Err(ScannerError::ExportTooLarge { limit }.into());
        }
        let pace = Pace { since: Instant::now(), read: 0 };
        let (client, limits) = (self.client, self.limits);
        let mut body = Body { client, call: &call, limits, response, announced, read: 0, pace };
        let mut head = Vec::new();
        while head.len() < HEAD {
            match body.next().await? {
                Some(chunk) => head.extend_from_slice(&chunk),
                None => break,
            }
        }
        self.check_head(&call, &head)?;

        let (mut tail, mut hosts, mut hash) = (Tail::default(), Hosts::default(), Sha256::new());
        let mut chunk = bytes::Bytes::from(head);
        *is_dirty = true;
        loop {
            tail.push(&chunk);
            hosts.push(&chunk);
            hash.update(&chunk);
            sink.write_all(&chunk).await.map_err(|error| storage(&error))?;
            match body.next().await? {
                Some(next) => chunk = next,
                None => break,
            }
        }
        if !tail.is_whole() {
            // As far as HTTP knows it is all there: another download would bring the same.
            let error = ScannerError::Truncated(format!("the document breaks off after {}", bytes(body.read)));
            return Err(Failure::FileLost(error));
        }
        sink.flush().await.map_err(|error| storage(&error))?;
        let summary = ExportSummary::new(body.read).sha256(hex::encode(&hash.finalize()));
        if self.has_hosts && !hosts.seen { Err(Failure::NoHosts(summary)) } else { Ok(summary) }
    }

    /// Whether this can be the beginning of an export; a scanner or proxy may say other things with a 200.
    fn check_head(&self, call: &Call, head: &[u8]) -> Result<(), Failure> {
        let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
        if text.starts_with(b"<?xml") || text.starts_with(b"<NessusClientData_v2") {
            return Ok(());
        }
        if text.is_empty() {
            return Err(Failure::FileLost(ScannerError::Truncated("the download is empty".to_owned())));
        }
        if text.to_ascii_lowercase().windows(9).any(|words| words == b"not ready") {
            return Err(Failure::TooEarly);
        }
        let message = format!("it is no export, it begins with `{}`", self.client.shown(text));
        Err(Failure::FileLost(decode_error(call, &message)))
    }

    /// Waits for the next look; `false` when the export has taken too long.
    async fn pause(&self, until: Instant) -> bool {
        let in_time = Instant::now() < until;
        if in_time {
            tokio::time::sleep(self.limits.poll_interval).await;
        }
        in_time
    }

    /// How long to wait before a scanner that has failed is called again.
    fn pause_after(&self, error: &ScannerError) -> Duration {
        error
            .retry_after()
            .unwrap_or_default()
            .clamp(self.limits.poll_interval, MAX_PAUSE.max(self.limits.poll_interval))
    }

    fn gave_up(&self) -> ScannerError {
        ScannerError::TimedOut { what: format!("the export of scan {}", self.scan), waited: self.wait }
    }
}

fn storage(error: &std::io::Error) -> ScannerError {
    ScannerError::Storage(error.to_string())
}

/// A download's bytes, watched for silence, slowness, size and an early end.
struct Body<'a> {
    client: &'a Client,
    call: &'a Call,
    limits: &'a ExportLimits,
    response: Response,
    announced: Option<u64>,
    read: u64,
    pace: Pace,
}

/// Where a download stood at the beginning of a [`PACE_WINDOW`].
struct Pace {
    since: Instant,
    read: u64,
}

fn bytes(count: u64) -> String {
    counted(count, "byte", "bytes")
}

impl Body<'_> {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        let idle = self.limits.idle_timeout;
        let chunk = match tokio::time::timeout(idle, self.response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => {
                let cause = self.client.transport_error(self.call, error);
                return Err(Failure::Cut(ScannerError::Truncated(format!("after {}, {cause}", bytes(self.read)))));
            }
            Err(_) => {
                let what = format!("more of the export than its first {}", bytes(self.read));
                return Err(Failure::Cut(ScannerError::TimedOut { what, waited: idle }));
            }
        };
        match (&chunk, self.announced) {
            (Some(chunk), _) => self.read += chunk.len() as u64,
            (None, Some(announced)) if announced != self.read => {
                return Err(Failure::Cut(ScannerError::Truncated(format!(
                    "{} of {} came",
                    self.read,
                    bytes(announced)
                ))));
            }
            (None, _) => {}
        }
        match self.limits.max_bytes {
            Some(limit) if self.read > limit => return Err(ScannerError::ExportTooLarge { limit }.into()),
            _ => {}
        }
        if chunk.is_some() {
            self.check_pace()?;
        }
        Ok(chunk)
    }

    /// Gives up a download that is never silent for long, but would not end in days either.
    fn check_pace(&mut self) -> Result<(), Failure> {
        let waited = self.pace.since.elapsed();
        if waited < PACE_WINDOW {
            return Ok(());
        }
        let came = self.read - self.pace.read;
        if came < PACE_BYTES {
            let what = format!("more of the export than {}, after its first {}", bytes(came), self.pace.read);
            return Err(Failure::Cut(ScannerError::TimedOut { what, waited }));
        }
        self.pace = Pace { since: Instant::now(), read: self.read };
        Ok(())
    }
}

/// Whether a document that passes by in pieces has a host.
#[derive(Debug, Default)]
struct Hosts {
    seen: bool,
    kept: Vec<u8>,
}

impl Hosts {
    fn push(&mut self, chunk: &[u8]) {
        if self.seen {
            return;
        }
        // The tag may begin in one piece and end in the next.
        let overlap = HOST_TAG.len() - 1;
        self.kept.extend_from_slice(&chunk[..chunk.len().min(overlap)]);
        self.seen = [&self.kept, chunk].iter().any(|bytes| memchr::memmem::find(bytes, HOST_TAG).is_some());
        if chunk.len() > overlap {
            self.kept.clear();
            self.kept.extend_from_slice(&chunk[chunk.len() - overlap..]);
        }
        let surplus = self.kept.len().saturating_sub(overlap);
        self.kept.drain(..surplus);
    }
}

/// The end of a document that passes by in pieces, without the white space behind it.
#[derive(Debug, Default)]
struct Tail {
    kept: Vec<u8>,
    /// White space was seen since: it counts if something follows.
    gap: bool,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        let text = chunk.trim_ascii_end();
        if !text.is_empty() {
            if std::mem::take(&mut self.gap) {
                self.kept.push(b' ');
            }
            self.kept.extend_from_slice(&text[text.len().saturating_sub(TAIL)..]);
            let surplus = self.kept.len().saturating_sub(TAIL);
            self.kept.drain(..surplus);
        }
        self.gap |= text.len() < chunk.len();
    }

    fn is_whole(&self) -> bool {
        self.kept.ends_with(CLOSING_TAG)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("<Report><ReportHost name=\"a\">", true)]
    #[case("<Report><ReportHos><HostProperties>", false)]
    fn a_host_is_found_however_the_bytes_are_cut(#[case] document: &str, #[case] found: bool) {
        let padded = format!("{}{document}{}", "x".repeat(50), "y".repeat(50));
        for size in 1..padded.len() {
            let mut hosts = Hosts::default();
            padded.as_bytes().chunks(size).for_each(|chunk| hosts.push(chunk));
            assert_eq!(hosts.seen, found, "in pieces of {size}");
            assert!(hosts.kept.len() < HOST_TAG.len());
        }
    }

    #[rstest]
    #[case("<a></NessusClientData_v2>", true)]
    #[case("<a></NessusClientData_v2>\r\n \n", true)]
    #[case("<a></NessusClientData_v2", false)]
    #[case("<a></Nessus ClientData_v2>", false)]
    #[case("<a></NessusClientData_v2>\n<!--", false)]
    #[case("", false)]
    fn the_closing_tag_is_found_however_the_bytes_are_cut(#[case] document: &str, #[case] whole: bool) {
        let padded = format!("{}{document}{}", "x".repeat(200), " ".repeat(if whole { 200 } else { 0 }));
        for size in 1..padded.len() {
            let mut tail = Tail::default();
            padded.as_bytes().chunks(size).for_each(|chunk| tail.push(chunk));
            assert_eq!(tail.is_whole(), whole, "in pieces of {size}");
            assert!(tail.kept.len() <= TAIL);
        }
    }
}
