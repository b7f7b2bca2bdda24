//! What this machine keeps: whether the data directory can be written to, how full its disk is, and whether the audit log is as it was
//! written.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use nessus_mcp_lib::{
    audit::{self, ChainKey},
    config::{Settings, cli},
    durable::DurableFile,
    error::{Failure, counted},
    telemetry::DiskSpace,
};
use tokio::task::spawn_blocking;

use super::finding::{Finding, within};

/// How long a file system may take.
pub(super) const DISK_LIMIT: Duration = Duration::from_secs(5);
/// How long an audit log may take to be read.
const AUDIT_LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let directory = settings.data_dir.clone();
    let of_directory = blocking("data directory", move || directory_findings(&directory));
    let settings = settings.clone();
    let of_audit = blocking("audit log", move || audit_findings(&settings));
    let (mut findings, audit) =
        tokio::join!(within(DISK_LIMIT, "data directory", of_directory), within(AUDIT_LIMIT, "audit log", of_audit));
    findings.extend(audit);
    findings
}

pub(super) async fn blocking(
    check: &'static str,
    find: impl FnOnce() -> Vec<Finding> + Send + 'static,
) -> Vec<Finding> {
    spawn_blocking(find).await.unwrap_or_else(|failed| vec![Finding::failed(check, failed.to_string())])
}

fn directory_findings(directory: &Path) -> Vec<Finding> {
    let shown = directory.display();
    let metadata = match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return vec![Finding::failed("data directory", format!("{shown} is no directory"))],
        Err(error) => {
            let detail = format!("{shown}: {error}");
            let mend = "nessus-admin doctor --data-dir DIR, with the directory of the server and its workers";
            return vec![Finding::failed("data directory", detail).mend(mend)];
        }
    };
    let mut findings = vec![written_to(directory)];
    if metadata.mode() & 0o077 != 0 {
        let detail = format!("others on this machine may look into {shown} (mode {:o})", metadata.mode() & 0o777);
        findings.push(Finding::warning("data directory", detail).mend(format!("chmod go= {shown}")));
    }
    findings.push(space(directory));
    findings
}

/// Writes a file that vanishes again.
fn written_to(directory: &Path) -> Finding {
    let shown = directory.display();
    let tasks = directory.join("tasks");
    let place = if tasks.is_dir() { tasks } else { directory.to_owned() };
    match DurableFile::create(&place.join("probe")) {
        Ok(_) => Finding::ok("data directory", format!("{shown} can be written to")),
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            let detail = format!("{shown} is on a file system that is mounted read-only");
            Finding::failed("data directory", detail)
                .mend(format!("mount -o remount,rw $(findmnt -n -o TARGET -T {shown})"))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let detail = format!("the user `{}` may not write to {shown}", cli::user_name());
            let owner = fs::metadata(directory).map_or(0, |metadata| metadata.uid());
            Finding::failed("data directory", detail).mend(format!("sudo -u '#{owner}' nessus-admin doctor"))
        }
        Err(error) => Finding::failed("data directory", format!("{shown} cannot be written to: {error}"))
            .mend(format!("df -hi {shown}")),
    }
}

fn space(directory: &Path) -> Finding {
    let shown = directory.display();
    let space = match DiskSpace::of(directory) {
        Ok(space) => space,
        Err(error) => return Finding::failed("disk", format!("the disk of {shown} cannot be asked: {error}")),
    };
    let (used, free) = (space.used_percent().floor(), space.free_bytes() / 1_000_000);
    let detail = format!("{used} % of the disk is used, {free} MB are free");
    let mend = format!("du -sh {shown}/* | sort -h");
    if space.is_full() {
        Finding::failed("disk", format!("{detail}; no scan is accepted")).mend(mend)
    } else if space.is_nearly_full() {
        Finding::warning("disk", detail).mend(mend)
    } else {
        Finding::ok("disk", detail)
    }
}

fn audit_findings(settings: &Settings) -> Vec<Finding> {
    let directory = settings.audit_dir();
    if !directory.is_dir() {
        return vec![Finding::skipped("audit log", "there is none; a policy lets one be kept")];
    }
    let verify = || -> Result<_, Failure> {
        let keys: Vec<_> = cli::secret_key_of_environment()?.iter().map(ChainKey::new).collect();
        Ok(audit::verify(&directory, &keys, None)?)
    };
    let mend = "nessus-admin audit verify";
    let reports = match verify() {
        Ok(reports) => reports,
        Err(failure) => return vec![Finding::failed("audit log", in_one_line(&failure)).mend(mend)],
    };
    let mut findings: Vec<_> = reports
        .iter()
        .filter_map(|report| {
            let (place, flaw) = report.broken.as_ref()?;
            Some(Finding::failed("audit log", format!("{}: {place}: {flaw}", report.name)).mend(mend))
        })
        .collect();
    if findings.is_empty() {
        let lines = counted(reports.iter().map(|report| report.lines).sum::<u64>(), "line", "lines");
        let chains = counted(reports.len(), "chain", "chains");
        findings.push(Finding::ok("audit log", format!("{chains} whole, {lines}")));
    }
    findings
}

/// A failure without the word before it and without its hint.
pub(super) fn in_one_line(failure: &Failure) -> String {
    let text = failure.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
