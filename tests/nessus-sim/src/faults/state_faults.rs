//! Faults that change the scanner's state: what may happen to it and its scans between two requests.

use std::sync::Arc;

use crate::time::Timestamp;

use super::entry::Settings;
use crate::{
    authentication::Authentication,
    run::{Run, Stuck},
    scans,
    state::{Scan, State, TRASH},
    targets::Expansion,
    wire::Incoming,
};

/// The scan whose id stands in the path.
fn scan_of<'a>(state: &'a mut State, request: &Incoming) -> Option<&'a mut Scan> {
    state.scan_mut(id_of(request)?).ok()
}

fn id_of(request: &Incoming) -> Option<u64> {
    request.path.strip_prefix("/scans/")?.split('/').next()?.parse().ok()
}

fn run_of<'a>(state: &'a mut State, request: &Incoming) -> Option<&'a mut Run> {
    scan_of(state, request)?.runs.last_mut()
}

/// Changes the run of the request's scan; `false` when there is none.
fn with_run(state: &mut State, request: &Incoming, change: impl FnOnce(&mut Run, Timestamp) -> bool) -> bool {
    let now = state.now();
    run_of(state, request).is_some_and(|run| change(run, now))
}

/// The scanner restarts: sessions end, runs are aborted.
pub(super) fn restart(state: &mut State, settings: &Settings) {
    let now = state.now();
    state.sessions.clear();
    for run in state.scans.values_mut().filter_map(|scan| scan.runs.last_mut()) {
        run.abort(&settings.text, now);
    }
}

/// Every session ends; `false` when there is none.
pub(super) fn sessions_end(state: &mut State, _request: &Incoming, _settings: &Settings) -> bool {
    let any = state.sessions.open(state.now()) > 0;
    state.sessions.clear();
    any
}

/// The `X-API-Token` is another one.
pub(super) fn token_rotates(state: &mut State, _request: &Incoming, _settings: &Settings) -> bool {
    state.rotate_api_token();
    true
}

/// Somebody deletes the scan.
pub(super) fn scan_vanishes(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    id_of(request).is_some_and(|id| state.scans.remove(&id).is_some())
}

/// Somebody moves the scan to the trash.
pub(super) fn scan_is_trashed(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    scan_of(state, request).map(|scan| scan.folder_id = TRASH).is_some()
}

/// Somebody launches the scan; `false` when it runs already.
pub(super) fn somebody_launches(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    let now = state.now();
    id_of(request).is_some_and(|id| scans::start(state, id, now, None).is_ok())
}

/// Somebody pauses the run, once it runs.
pub(super) fn somebody_pauses(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    with_run(state, request, Run::pause)
}

/// Somebody resumes the run, once it is paused.
pub(super) fn somebody_resumes(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    with_run(state, request, Run::resume)
}

/// Somebody stops the run, once it runs.
pub(super) fn somebody_stops(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    with_run(state, request, |run, now| run.is_running() && run.stop(now))
}

/// The run is aborted, once it runs.
pub(super) fn run_is_aborted(state: &mut State, request: &Incoming, settings: &Settings) -> bool {
    with_run(state, request, |run, now| run.is_running() && run.abort(&settings.text, now))
}

/// The run completes.
pub(super) fn run_completes(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    with_run(state, request, Run::complete)
}

/// The run stays pending.
pub(super) fn run_stays_pending(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    with_run(state, request, |run, _| run.faults.stuck.replace(Stuck::Pending).is_none())
}

/// The run never gets beyond its last hundredth.
pub(super) fn run_never_completes(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    with_run(state, request, |run, _| run.faults.stuck.replace(Stuck::AlmostDone).is_none())
}

/// The run is aborted when it should begin.
pub(super) fn run_never_begins(state: &mut State, request: &Incoming, settings: &Settings) -> bool {
    with_run(state, request, |run, _| run.faults.aborted_at_start.replace(settings.text.clone()).is_none())
}

/// Stopping the run takes long.
pub(super) fn stopping_takes_long(state: &mut State, request: &Incoming, settings: &Settings) -> bool {
    with_run(state, request, |run, _| run.faults.stop_takes.replace(settings.delay).is_none())
}

/// The run keeps as many of its hosts as `bytes` says.
pub(super) fn hosts_are_missing(state: &mut State, request: &Incoming, settings: &Settings) -> bool {
    let kept = usize::try_from(settings.bytes.unwrap_or_default()).unwrap_or(usize::MAX);
    with_run(state, request, |run, _| {
        let Expansion { mut hosts, trimmed } = (*run.expansion).clone();
        let all = hosts.len();
        hosts.truncate(kept);
        let lost = u64::try_from(all - hosts.len()).unwrap_or_default();
        run.expansion = Arc::new(Expansion { hosts, trimmed: trimmed + lost });
        true
    })
}

/// The logins on the run's hosts are refused.
pub(super) fn logins_fail(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    logins_end(state, request, Authentication::Fails)
}

/// The logins on the run's hosts work, but the account sees too little.
pub(super) fn logins_lack_privilege(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    logins_end(state, request, Authentication::LacksPrivilege)
}

fn logins_end(state: &mut State, request: &Incoming, how: Authentication) -> bool {
    with_run(state, request, |run, _| run.faults.authentication.replace(how).is_none())
}

/// There is a second scan of the same name.
pub(super) fn scan_has_a_twin(state: &mut State, _request: &Incoming, _settings: &Settings) -> bool {
    scans::copy_latest(state, None)
}

/// There is a second scan of the same name in the trash.
pub(super) fn scan_has_a_twin_in_the_trash(state: &mut State, _request: &Incoming, _settings: &Settings) -> bool {
    scans::copy_latest(state, Some(TRASH))
}

/// The export that was just requested is never ready.
pub(super) fn export_stays_loading(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    id_of(request).is_some_and(|scan| state.exports.hold_latest(scan))
}

/// The export that was just requested fails.
pub(super) fn export_fails(state: &mut State, request: &Incoming, _settings: &Settings) -> bool {
    id_of(request).is_some_and(|scan| state.exports.spoil_latest(scan))
}

/// The export files are gone; `false` when there is none.
pub(super) fn exports_expire(state: &mut State, _request: &Incoming, _settings: &Settings) -> bool {
    state.exports.clear()
}
