//! Export files that wait to be fetched.

use std::{collections::HashMap, io, time::Duration};

use nessus_mcp_lib::time::Timestamp;

use super::{
    report::{ReportInput, write_csv, write_nessus},
    tokens::random_hex,
    wire::{ApiError, Outcome, Reply},
};

/// How long a file can be fetched.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The files that were requested, by number.
#[derive(Default)]
pub(super) struct Exports(HashMap<u64, File>);

/// A requested file.
pub(super) struct File {
    scan_id: u64,
    token: String,
    format: Format,
    ready: Timestamp,
    /// What it holds; written when it is fetched, so that a waiting file costs little.
    input: ReportInput,
}

/// What a file is written as.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Nessus,
    Csv,
}

impl Format {
    pub(super) fn parse(text: &str) -> Option<Self> {
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
    /// Keeps a file that can be fetched from `ready` on; returns its token. Forgets what has expired.
    pub(super) fn add(
        &mut self,
        number: u64,
        scan_id: u64,
        format: Format,
        ready: Timestamp,
        input: ReportInput,
    ) -> String {
        self.0.retain(|_, file| !file.is_expired(ready));
        let token = random_hex(64);
        self.0.insert(number, File { scan_id, token: token.clone(), format, ready, input });
        token
    }

    pub(super) fn by_number(&self, scan_id: u64, number: u64, now: Timestamp) -> Result<&File, ApiError> {
        let file = self.0.get(&number).filter(|file| file.scan_id == scan_id && !file.is_expired(now));
        file.ok_or_else(ApiError::not_found)
    }

    pub(super) fn by_token(&self, token: &str, now: Timestamp) -> Result<&File, ApiError> {
        let file = self.0.values().find(|file| file.token == token && !file.is_expired(now));
        file.ok_or_else(ApiError::not_found)
    }
}

impl File {
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        now >= self.ready
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        now.since(self.ready) > LIFETIME
    }

    /// The file as an answer.
    pub(super) fn download(&self) -> Outcome {
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
