//! The scans of a mock scanner in a directory, so that they outlive the process and any worker can adopt them.
//!
//! One file a scan, replaced as a whole by whoever works on the scan; one task is one worker's at a time. Logins are
//! never written.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    expand::expand,
    run::{Run, SavedRun, Scan},
};
use crate::{
    durable::{self, DurableFile},
    ids::ScanId,
    scanner::interface::ScanRequest,
    time::{Clock as _, SystemClock},
};

/// Where the scans of one scanner are.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    directory: PathBuf,
}

/// A scan as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    marker: String,
    name: String,
    targets: String,
    runs: u64,
    run: Option<SavedRun>,
}

impl Disk {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Writes a new scan, unless another process has written one under this id.
    pub(super) fn create(&self, id: &ScanId, scan: &Scan) -> io::Result<bool> {
        durable::create_directory(&self.directory)?;
        let mut file = DurableFile::create(&self.path(id))?;
        file.write_all(&document(scan)?)?;
        match file.commit_new() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Replaces what is written of a scan.
    pub(super) fn write(&self, id: &ScanId, scan: &Scan) -> io::Result<()> {
        durable::replace(&self.path(id), &document(scan)?)
    }

    /// Reads a scan; `None` when there is none of this id.
    pub(super) fn read(&self, id: &ScanId, hosts_per_range: usize) -> io::Result<Option<Scan>> {
        let bytes = match fs::read(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let document: Document = serde_json::from_slice(&bytes)?;
        Ok(Some(Scan {
            hosts: expand(&document.targets, hosts_per_range),
            request: ScanRequest::new(document.marker, document.name, document.targets),
            runs: document.runs,
            run: document.run.map(|run| Run::of_saved(run, SystemClock.now())),
        }))
    }

    /// The ids of all scans.
    pub(super) fn list(&self) -> io::Result<Vec<ScanId>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let is_scan = path.extension().is_some_and(|extension| extension == "json");
            ids.extend(path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_scan).map(ScanId::new));
        }
        Ok(ids)
    }

    /// Removes a scan; fine when there is none of this id.
    pub(super) fn remove(&self, id: &ScanId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, id: &ScanId) -> PathBuf {
        // An id is a number here; anything else names no file of ours.
        let name: String = id.as_str().chars().filter(char::is_ascii_digit).collect();
        Path::new(&self.directory).join(format!("{name}.json"))
    }
}

fn document(scan: &Scan) -> io::Result<Vec<u8>> {
    let document = Document {
        marker: scan.request.marker.clone(),
        name: scan.request.name.clone(),
        targets: scan.request.targets.clone(),
        runs: scan.runs,
        run: scan.run.as_ref().map(|run| run.saved(SystemClock.now())),
    };
    Ok(serde_json::to_vec_pretty(&document)?)
}
