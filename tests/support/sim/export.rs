//! Export files: requested, waited for, fetched by number or by token.

use std::{collections::HashMap, io, time::Duration};

use nessus_mcp_lib::time::Timestamp;
use serde_json::{Value, json};

use super::{
    details::report_of,
    report::{ReportInput, write_csv, write_nessus},
    state::{State, random_hex},
    wire::{ApiError, Call, Outcome, Reply},
};

/// How long a file can be fetched.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The files that were requested, by number.
#[derive(Default)]
pub(super) struct Exports(HashMap<u64, File>);

struct File {
    scan_id: u64,
    token: String,
    format: Format,
    ready: Timestamp,
    /// What it holds; written when it is fetched, so that a waiting file costs little.
    input: ReportInput,
}

#[derive(Clone, Copy)]
enum Format {
    Nessus,
    Csv,
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "nessus" => Some(Self::Nessus),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Nessus => "nessus",
            Self::Csv => "csv",
        }
    }
}

impl Exports {
    fn by_number(&self, scan_id: u64, number: u64, now: Timestamp) -> Result<&File, ApiError> {
        self.0
            .get(&number)
            .filter(|file| file.scan_id == scan_id && !file.is_expired(now))
            .ok_or_else(ApiError::not_found)
    }

    fn by_token(&self, call: &Call<'_>) -> Result<&File, ApiError> {
        let token = call.args.first().copied().unwrap_or_default();
        self.0.values().find(|file| file.token == token && !file.is_expired(call.now)).ok_or_else(ApiError::not_found)
    }
}

impl File {
    fn is_ready(&self, now: Timestamp) -> bool {
        now >= self.ready
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        now.since(self.ready) > LIFETIME
    }

    fn download(&self) -> Outcome {
        let mut body = Vec::new();
        self.write(&mut body).map_err(|error| ApiError::new(500, error.to_string()))?;
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
        let name: String = self.input.scan_name.chars().map(safe).take(100).collect();
        let disposition = format!("attachment; filename=\"{name}_{}.{}\"", &self.token[..6], self.format.extension());
        Ok(Reply::text("application/octet-stream", body).with_header("Content-Disposition", disposition))
    }

    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.format {
            Format::Nessus => write_nessus(out, &self.input),
            Format::Csv => write_csv(out, &self.input),
        }
    }
}

/// `GET /scans/{id}/export/formats`.
pub(super) fn formats(state: &mut State, call: &Call<'_>) -> Outcome {
    state.scan(call.id(0)?)?;
    Ok(Reply::json(&json!({
        "formats": { "export": [{ "name": "Nessus", "value": "nessus" }], "format": [{ "name": "CSV", "value": "csv" }] },
        "report_options": { "csvColumns": [] },
    })))
}

/// `POST /scans/{id}/export`.
pub(super) fn request(state: &mut State, call: &Call<'_>) -> Outcome {
    let id = call.id(0)?;
    let scan = state.scan(id)?;
    let run = scan.run_of(call.request.query("history_id"))?;
    let body: Value = call.request.json()?;
    let format = body["format"].as_str().and_then(Format::parse).ok_or_else(|| ApiError::invalid_field("format"))?;
    // A scan that never ran has nothing to export.
    let run = run.ok_or_else(ApiError::not_found)?;
    if run.phase.is_active() {
        return Err(ApiError::new(409, "Can not export running scans"));
    }
    let input = report_of(state, scan, run, call.now);
    let token = random_hex(64);
    let number = 1_000_000_000 + state.next_id();
    let ready = call.now.plus(state.config.export_takes());
    state.counted.exports += 1;
    state.exports.0.retain(|_, file| !file.is_expired(call.now));
    state.exports.0.insert(number, File { scan_id: id, token: token.clone(), format, ready, input });
    Ok(Reply::json(&json!({ "file": number, "token": token })))
}

/// `GET /scans/{id}/export/{file}/status`.
pub(super) fn file_status(state: &mut State, call: &Call<'_>) -> Outcome {
    let file = state.exports.by_number(call.id(0)?, call.id(1)?, call.now)?;
    Ok(Reply::json(&json!({ "status": if file.is_ready(call.now) { "ready" } else { "loading" } })))
}

/// `GET /scans/{id}/export/{file}/download`.
pub(super) fn file_download(state: &mut State, call: &Call<'_>) -> Outcome {
    let file = state.exports.by_number(call.id(0)?, call.id(1)?, call.now)?;
    if !file.is_ready(call.now) {
        return Err(ApiError::new(409, "The report is still being generated"));
    }
    let reply = file.download()?;
    state.counted.downloads += 1;
    Ok(reply)
}

/// `GET /tokens/{token}/status`.
pub(super) fn token_status(state: &mut State, call: &Call<'_>) -> Outcome {
    let ready = state.exports.by_token(call)?.is_ready(call.now);
    let (message, status) =
        if ready { ("The download is ready.", "ready") } else { ("The download is not ready yet.", "loading") };
    Ok(Reply::json(&json!({ "error": "", "message": message, "status": status })))
}

/// `GET /tokens/{token}/download`; asked too early, it answers 200 with a sentence, as the scanner does.
pub(super) fn token_download(state: &mut State, call: &Call<'_>) -> Outcome {
    let file = state.exports.by_token(call)?;
    if !file.is_ready(call.now) {
        return Ok(Reply::text("text/plain", "The download is not ready yet."));
    }
    let reply = file.download()?;
    state.counted.downloads += 1;
    Ok(reply)
}
