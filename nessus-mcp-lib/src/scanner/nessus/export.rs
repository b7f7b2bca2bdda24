//! An export: asked for, waited for, downloaded into a sink and checked for completeness.
//!
//! The scanner prepares a file first, which lives only a short while. What goes wrong *before* a byte of it has been
//! written (the file vanished, the session expired, the download came too early) is mended here; afterwards the sink
//! holds a part, and only the caller can begin again. HTTP alone does not prove that an export is whole: the closing
//! tag of the document does, so it is looked for while the bytes pass through.

use reqwest::{Method, Response};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, time::Instant};

use super::{
    client::Client,
    config::ExportLimits,
    http::{Access, Call, Patience},
    status::summarise,
    wire::{Details, ExportRequested, ExportStatus},
};
use crate::scanner::{ExportSink, ExportSummary, ScannerError};

/// The last bytes of a whole document, white space aside.
const CLOSING_TAG: &[u8] = b"</NessusClientData_v2>";
/// How many bytes of a document's end are kept.
const TAIL: usize = 64;
/// How many bytes are looked at before the first is written.
const HEAD: usize = 64;

/// Why an attempt at an export ended.
enum Failure {
    /// The file on the scanner is of no use any more; another can be asked for.
    FileLost(ScannerError),
    /// The file is not ready, whatever the scanner said before.
    TooEarly,
    /// It cannot be mended here.
    Final(ScannerError),
}

impl From<ScannerError> for Failure {
    fn from(error: ScannerError) -> Self {
        Self::Final(error)
    }
}

/// Exports a scan into `sink`.
pub(super) async fn export(
    client: &Client,
    limits: &ExportLimits,
    scan: u64,
    sink: &mut ExportSink,
) -> Result<ExportSummary, ScannerError> {
    let started = Instant::now();
    let export = Export { client, limits, scan, started };
    let mut restarted = false;
    loop {
        let file = export.request().await?;
        let error = match export.take(file, sink).await {
            Ok(bytes) => return Ok(ExportSummary::new(bytes)),
            Err(Failure::FileLost(error)) => error,
            Err(Failure::TooEarly) => return Err(export.gave_up()),
            Err(Failure::Final(error)) => return Err(error),
        };
        if restarted {
            return Err(match error {
                // A `NotFound` would say that the scan is gone.
                ScannerError::NotFound(text) => ScannerError::Truncated(format!("the file was lost twice, {text}")),
                other => other,
            });
        }
        restarted = true;
        tracing::info!(scanner = client.base(), scan, %error, "the scanner lost the export file: asking for another");
    }
}

/// One export in the making.
struct Export<'a> {
    client: &'a Client,
    limits: &'a ExportLimits,
    scan: u64,
    started: Instant,
}

impl Export<'_> {
    /// Asks for a file: `POST /scans/{id}/export`.
    ///
    /// A 409 means that the scan is active, or that a report of it is already being made; only the second passes.
    async fn request(&self) -> Result<u64, ScannerError> {
        let call = Call::new(Method::POST, format!("/scans/{}/export", self.scan), Access::Session)
            .json(&json!({ "format": "nessus" }));
        loop {
            match self.client.fetch::<ExportRequested>(&call).await {
                Ok(answer) => {
                    return answer.file.ok_or_else(|| ScannerError::Decode {
                        call: call.name(),
                        message: "there is no `file` in it".to_owned(),
                    });
                }
                Err(conflict @ ScannerError::Conflict(_)) => {
                    let path = format!("/scans/{}", self.scan);
                    let details: Details = self.client.get(&path, Access::Session).await?;
                    let over = summarise(&path, &details)?.state.is_terminal();
                    if !over || !self.pause().await {
                        return Err(conflict);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the file and downloads it; returns its size.
    async fn take(&self, file: u64, sink: &mut ExportSink) -> Result<u64, Failure> {
        loop {
            self.wait_ready(file).await?;
            match self.download(file, sink).await {
                Err(Failure::TooEarly) if self.pause().await => {}
                outcome => return outcome,
            }
        }
    }

    /// Polls `GET /scans/{id}/export/{file}/status`.
    async fn wait_ready(&self, file: u64) -> Result<(), Failure> {
        let path = format!("/scans/{}/export/{file}/status", self.scan);
        loop {
            let status = match self.client.get::<ExportStatus>(&path, Access::Session).await {
                Ok(status) => status.status.unwrap_or_default(),
                // 500 is how a failed preparation is told, 404 what follows it.
                Err(error @ (ScannerError::NotFound(_) | ScannerError::Server { status: 500, .. })) => {
                    return Err(Failure::FileLost(error));
                }
                Err(error) => return Err(error.into()),
            };
            match status.as_str() {
                "ready" => return Ok(()),
                "error" => {
                    let message = "the scanner could not prepare the export".to_owned();
                    return Err(Failure::FileLost(ScannerError::Server { status: 500, message }));
                }
                // `loading`, and whatever word a later version finds for it.
                _ if self.pause().await => {}
                _ => return Err(self.gave_up().into()),
            }
        }
    }

    /// `GET /scans/{id}/export/{file}/download`.
    async fn download(&self, file: u64, sink: &mut ExportSink) -> Result<u64, Failure> {
        let call = Call::get(format!("/scans/{}/export/{file}/download", self.scan), Access::Session)
            .patience(Patience::UntilHeaders(self.limits.idle_timeout));
        let response = match self.client.open(&call).await {
            Ok(response) => response,
            Err(error @ ScannerError::NotFound(_)) => return Err(Failure::FileLost(error)),
            Err(error) => return Err(error.into()),
        };
        let announced = response.content_length();
        if let (Some(announced), Some(limit)) = (announced, self.limits.max_bytes)
            && announced > limit
        {
            return Err(ScannerError::ExportTooLarge { limit }.into());
        }
        let mut body = Body { client: self.client, call: &call, limits: self.limits, response, announced, read: 0 };
        let mut head = Vec::new();
        while head.len() < HEAD {
            match body.next().await? {
                Some(chunk) => head.extend_from_slice(&chunk),
                None => break,
            }
        }
        self.check_head(&call, &head)?;

        let mut tail = Tail::default();
        let mut chunk = bytes::Bytes::from(head);
        loop {
            tail.push(&chunk);
            sink.write_all(&chunk).await.map_err(|error| ScannerError::Storage(error.to_string()))?;
            match body.next().await? {
                Some(next) => chunk = next,
                None => break,
            }
        }
        if !tail.is_whole() {
            let bytes = body.read;
            return Err(ScannerError::Truncated(format!("the document breaks off after {bytes} bytes")).into());
        }
        sink.flush().await.map_err(|error| ScannerError::Storage(error.to_string()))?;
        Ok(body.read)
    }

    /// Whether this can be the beginning of an export; a scanner or proxy may say other things with a 200.
    fn check_head(&self, call: &Call, head: &[u8]) -> Result<(), Failure> {
        let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
        if text.starts_with(b"<?xml") || text.starts_with(b"<NessusClientData_v2") {
            return Ok(());
        }
        if text.is_empty() {
            return Err(ScannerError::Truncated("the download is empty".to_owned()).into());
        }
        if text.to_ascii_lowercase().windows(9).any(|words| words == b"not ready") {
            return Err(Failure::TooEarly);
        }
        let message = format!("it is no export, it begins with `{}`", self.client.shown(text));
        Err(ScannerError::Decode { call: call.name(), message }.into())
    }

    /// Waits for the next look; `false` when the export has taken too long.
    async fn pause(&self) -> bool {
        let in_time = self.started.elapsed() < self.limits.max_wait;
        if in_time {
            tokio::time::sleep(self.limits.poll_interval).await;
        }
        in_time
    }

    fn gave_up(&self) -> ScannerError {
        ScannerError::TimedOut { what: format!("the export of scan {}", self.scan), waited: self.started.elapsed() }
    }
}

/// A download's bytes, watched for silence, size and an early end.
struct Body<'a> {
    client: &'a Client,
    call: &'a Call,
    limits: &'a ExportLimits,
    response: Response,
    announced: Option<u64>,
    read: u64,
}

impl Body<'_> {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, ScannerError> {
        let idle = self.limits.idle_timeout;
        let chunk = match tokio::time::timeout(idle, self.response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => {
                let cause = self.client.transport_error(self.call, error);
                return Err(ScannerError::Truncated(format!("after {} bytes, {cause}", self.read)));
            }
            Err(_) => {
                let what = format!("more of the export than its first {} bytes", self.read);
                return Err(ScannerError::TimedOut { what, waited: idle });
            }
        };
        match (&chunk, self.announced) {
            (Some(chunk), _) => self.read += chunk.len() as u64,
            (None, Some(announced)) if announced != self.read => {
                return Err(ScannerError::Truncated(format!("{} of {announced} bytes came", self.read)));
            }
            (None, _) => {}
        }
        match self.limits.max_bytes {
            Some(limit) if self.read > limit => Err(ScannerError::ExportTooLarge { limit }),
            _ => Ok(chunk),
        }
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
