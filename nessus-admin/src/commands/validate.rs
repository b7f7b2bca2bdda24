//! `validate`: prints as JSON what an export holds and whether the login worked.

use nessus_mcp_lib::{
    error::Failure,
    results::{LoginExpected, Validation},
    targets::TargetSet,
    task::ScanType,
};

use super::export_file;
use crate::{args::ValidateArgs, output};

pub(crate) fn run(args: &ValidateArgs) -> Result<(), Failure> {
    let mut validation = Validation::new().login(login(args.scan_type)).hosts_listed(args.hosts);
    if let Some(targets) = &args.targets {
        validation = validation.targets(targets.parse::<TargetSet>()?);
    }
    if let Some(share) = args.min_authenticated {
        validation = validation.authenticated_share(share);
    }
    let report = validation.run(export_file::open(&args.file)?)?;
    output::pretty(&report)
}

/// Whether a scan of this type logs in on its targets. Without a type, this is not known.
pub(super) fn login(scan_type: Option<ScanType>) -> LoginExpected {
    match scan_type {
        None => LoginExpected::NotSaid,
        Some(ScanType::Untrusted) => LoginExpected::No,
        Some(_) => LoginExpected::Yes,
    }
}
