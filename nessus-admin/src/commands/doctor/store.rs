//! The place of the tasks: whether an object store does what it has to, whether its cache has room, and when housekeeping has run there.

use std::{fs, path::Path, time::Duration};

use nessus_mcp_lib::{
    config::{DataUrl, Settings},
    durable::DurableFile,
    error::{Classified as _, ErrorKind, Failure, chain},
    housekeeping,
    task::TaskManager,
    telemetry::DiskSpace,
    time::{Clock as _, SystemClock},
};

use super::{
    disk::{DISK_LIMIT, blocking, in_one_line},
    finding::{Finding, within},
    queue::{CLOCK_FAIL, CLOCK_WARN, in_words},
};

/// How long an object store may take for all that it is asked.
const STORE_LIMIT: Duration = Duration::from_secs(30);
/// From when on a store is slow: it is asked a dozen times, and each change of a task waits for some such questions.
const SLOW: Duration = Duration::from_secs(3);
/// For how long housekeeping may be overdue.
const OVERDUE: Duration = Duration::from_secs(24 * 3600);

/// With `keeps_house`, workers remove what is old.
pub(super) async fn check(settings: &Settings, keeps_house: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let DataUrl::Bucket(bucket) = &settings.data_url {
        let (directory, most) = (settings.cache_dir(), settings.cache_max_bytes());
        let of_cache = blocking("cache", move || cache(&directory, most));
        let (of_store, of_cache) = tokio::join!(
            within(STORE_LIMIT, "store", store(settings, bucket.to_string())),
            within(DISK_LIMIT, "cache", of_cache)
        );
        findings.extend(of_store.into_iter().chain(of_cache));
    }
    let of_house = async {
        vec![match house(settings, keeps_house).await {
            Ok(finding) => finding,
            Err(failure) => Finding::skipped("housekeeping", in_one_line(&failure)),
        }]
    };
    findings.extend(within(STORE_LIMIT, "housekeeping", of_house).await);
    findings
}

/// Whether the bucket can be read, written, listed and deleted from, and whether conditional writes hold.
async fn store(settings: &Settings, shown: String) -> Vec<Finding> {
    let before = SystemClock.now();
    let probe = match TaskManager::probe_for(settings).await {
        Ok(probe) => probe,
        Err(error) => {
            let finding = Finding::failed("store", chain(&error)).of_kind(error.kind());
            return vec![Finding { mend: error.hint(), ..finding }];
        }
    };
    let after = SystemClock.now();
    let took = in_words(probe.took);
    let mut findings = vec![if probe.took >= SLOW {
        let detail = format!("{shown} can be used, but takes {took} to show it");
        Finding::warning("store", detail).mend("a store in the same region or on the same network as this machine")
    } else {
        let detail =
            format!("{shown} reads, writes, lists, deletes and keeps conditions, which it showed within {took}");
        Finding::ok("store", detail)
    }];
    if let Some(theirs) = probe.time {
        let apart = before.since(theirs).max(theirs.since(after));
        let detail = format!("the clocks of this machine and of the store are {} apart", in_words(apart));
        let mend = "timedatectl set-ntp true, on the machine whose clock is wrong: a store refuses what is signed at another time";
        findings.push(match apart {
            apart if apart >= CLOCK_FAIL => {
                Finding::failed("store", detail).mend(mend).of_kind(ErrorKind::Configuration)
            }
            apart if apart >= CLOCK_WARN => Finding::warning("store", detail).mend(mend),
            _ => Finding::ok("store", detail),
        });
    }
    findings
}

/// Whether what is read of the store can be kept on this machine.
fn cache(directory: &Path, most: u64) -> Vec<Finding> {
    let shown = directory.display();
    let mend = "another directory in CACHE_DIR, one that the user of server and worker can write to";
    // One that is missing is made by whoever needs it first: that must not be the user of this command.
    let place = directory.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    let written = DurableFile::create(&place.join("probe")).map(drop);
    if let Err(error) = written {
        return vec![Finding::failed("cache", format!("{shown} cannot be written to: {error}")).mend(mend)];
    }
    let space = match DiskSpace::of(place) {
        Ok(space) => space,
        Err(error) => return vec![Finding::failed("cache", format!("the disk of {shown} cannot be asked: {error}"))],
    };
    let room = space.free_bytes().saturating_add(used(directory));
    let (free, most_mb) = (room / 1_000_000, most / 1_000_000);
    vec![if room < most {
        let detail = format!("{shown} may take {most_mb} MB, and has room for {free} MB");
        Finding::warning("cache", detail).mend("a larger disk, or less in CACHE_MAX_GB")
    } else {
        Finding::ok("cache", format!("{shown} has room for the {most_mb} MB that it may take"))
    }]
}

/// How much the cache has taken already, of the files that can be looked at.
fn used(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { used(&entry.path()) } else { metadata.len() })
    });
    sizes.sum()
}

/// When housekeeping has run, by what it has written down.
async fn house(settings: &Settings, keeps_house: bool) -> Result<Finding, Failure> {
    if !keeps_house {
        return Ok(Finding::skipped("housekeeping", "it is turned off (`HOUSEKEEPING_ENABLED`)"));
    }
    let mend = "nessus-admin housekeeping run --dry-run";
    let nothing = Finding::ok("housekeeping", "there is nothing to look after yet");
    let Some(tasks) = TaskManager::to_read_for(settings).await? else { return Ok(nothing) };
    Ok(match housekeeping::last_run(&tasks).await? {
        Some((ended_at, next_at)) if SystemClock.now().since(next_at) >= OVERDUE => {
            let detail = format!("it ran last at {ended_at} and was due again at {next_at}");
            Finding::warning("housekeeping", detail).mend(mend)
        }
        Some((ended_at, _)) => Finding::ok("housekeeping", format!("it ran last at {ended_at}")),
        None if tasks.ids().await?.is_empty() => nothing,
        None => Finding::warning("housekeeping", "it has never run: old tasks stay").mend(mend),
    })
}
