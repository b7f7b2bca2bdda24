//! [`NessusScanner`]: a Nessus scanner over its HTTP API, the only place that speaks HTTP to one.
//!
//! Each file uses only files above it in this list:
//!
//! | file | what it does |
//! |---|---|
//! | `config`, `call` | what is known of a scanner before it is called; a request |
//! | `lenient`, `wire` | reads answers that are not quite as documented; their shapes |
//! | `redactor`, `tls`, `stream` | takes secrets out of messages; pins a certificate, and says what is wrong with one; reads answers of any size |
//! | `refusal` | says what a refusal means |
//! | `http` | makes one exchange |
//! | `ready`, `auth` | waits for a scanner that is loading; keeps session, web token and API keys |
//! | `client` | makes calls with a login, and repeats them where that is safe |
//! | `adopt`, `status`, `facts`, `credentials`, `offer`, `export` | say what answers mean |
//! | `check` | checks a scanner step by step |
//! | this one | maps [`ScannerInterface`] onto them |
//!
//! A session suffices to read and to export. Whatever creates, controls or deletes also needs the token of the web
//! interface (`X-API-Token`), which the scanner's own script holds; an edition without scan control answers 412.

mod adopt;
mod auth;
mod call;
mod check;
mod client;
mod config;
mod credentials;
mod export;
mod facts;
mod http;
mod lenient;
mod offer;
mod ready;
mod redactor;
mod refusal;
mod status;
mod stream;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

pub(super) use self::check::check_nessus;
pub use self::config::{NessusConfig, TlsTrust};
use self::{
    call::{Access, Call, Expected, always_there, decode_error, details_call, scan_list},
    client::{Client, before_the_call},
    config::ExportLimits,
    offer::Allowed,
    wire::Wanted,
};
use super::{
    error::ScannerError,
    facts::{ScanHost, ScannerProperties},
    interface::{ExportSink, ExportSummary, MarkedScan, ScanRequest, ScanState, ScanStatus, ScannerInterface},
    offer::ScanOffer,
};
use crate::{error::excerpt, ids::ScanId, targets::TargetSet};

/// A Nessus scanner. Logs in at the first call that needs it and keeps one session for all tasks.
pub struct NessusScanner {
    client: Client,
    export: ExportLimits,
    allowed: Allowed,
    folder: Option<String>,
    scanner_id: Option<u64>,
}

impl fmt::Debug for NessusScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NessusScanner").field("url", &self.client.base()).finish_non_exhaustive()
    }
}

impl NessusScanner {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ScannerError::Configuration`] for a URL that cannot be used, or when no certificate authority is known on
    /// this machine while certificates are to be verified.
    pub fn new(config: NessusConfig) -> Result<Self, ScannerError> {
        Ok(Self {
            client: Client::new(&config)?,
            export: config.export,
            allowed: Allowed { templates: config.allowed_templates, policies: config.allowed_policies },
            folder: config.folder,
            scanner_id: config.scanner_id,
        })
    }

    /// The id of the folder that scans are to be created in, from `GET /folders`: ids differ from user to user.
    async fn folder(&self) -> Result<Option<u64>, ScannerError> {
        let Some(wanted) = &self.folder else { return Ok(None) };
        let folders = self.folders().await?;
        let is_wanted = |text: &Option<String>| text.as_ref().is_some_and(|text| text.eq_ignore_ascii_case(wanted));
        let found = folders
            .iter()
            .find(|folder| is_wanted(&folder.kind))
            .or_else(|| folders.iter().find(|folder| is_wanted(&folder.name)));
        if let Some(id) = found.and_then(|folder| folder.id) {
            return Ok(Some(id));
        }
        let names = folders.iter().filter_map(|folder| folder.name.as_deref()).collect::<Vec<_>>().join(", ");
        Err(ScannerError::Configuration(format!(
            "there is no folder `{}` on the scanner; it has: {}",
            excerpt(wanted),
            excerpt(&names)
        )))
    }

    /// The scanner that scans are to run on, from `GET /scanners`: what a Manager does with another number is not known.
    async fn remote_scanner(&self) -> Result<Option<u64>, ScannerError> {
        let Some(wanted) = self.scanner_id else { return Ok(None) };
        let call = Call::get("/scanners", Access::Session);
        let answer: wire::Scanners = always_there(self.client.fetch_repeated(&call).await)?;
        let scanners = answer.scanners.ok_or_else(|| decode_error(&call, "there is no list of `scanners` in it"))?;
        if scanners.iter().any(|scanner| scanner.id == Some(wanted)) {
            return Ok(Some(wanted));
        }
        let named = |scanner: &wire::Scanner| Some(format!("{} ({})", scanner.id?, scanner.name.as_deref()?));
        let known = scanners.iter().filter_map(named).collect::<Vec<_>>().join(", ");
        Err(ScannerError::Configuration(format!(
            "there is no scanner with the id {wanted}; it has: {}",
            excerpt(&known)
        )))
    }

    async fn folders(&self) -> Result<Vec<wire::Folder>, ScannerError> {
        let call = Call::get("/folders", Access::Session);
        let answer: wire::Folders = always_there(self.client.fetch_repeated(&call).await)?;
        answer.folders.ok_or_else(|| decode_error(&call, "there is no list of `folders` in it"))
    }

    async fn details(&self, scan: u64) -> Result<wire::Details, ScannerError> {
        self.client.fetch_repeated(&details_call(scan)).await
    }

    /// Where the scan stands. That it is gone is believed when the list of scans does not have it either.
    async fn status_of(&self, scan: u64) -> Result<ScanStatus, ScannerError> {
        let call = details_call(scan);
        let details = match self.details(scan).await {
            Err(gone @ ScannerError::NotFound(_)) => {
                if !adopt::lists(&scan_list(), &self.list(Wanted::Scan(scan)).await?, scan)? {
                    return Err(gone);
                }
                let message = format!("it says 404, but the scanner lists the scan; {gone}");
                return Err(decode_error(&call, &message));
            }
            details => details?,
        };
        status::summarise(&call.name(), &details)
    }

    async fn list(&self, wanted: Wanted) -> Result<wire::ScanList, ScannerError> {
        always_there(self.client.fetch_repeated_as(&scan_list(), wanted).await)
    }

    /// The scan that a create with an unclear outcome has made after all, `age` after it was begun; else its error.
    async fn created_after_all(
        &self,
        marker: &str,
        age: Duration,
        unclear: ScannerError,
    ) -> Result<ScanId, ScannerError> {
        tracing::warn!(scanner = self.client.base(), error = %unclear, "it is unclear whether a scan was created");
        let found = match self.list(Wanted::Marker(marker.to_owned())).await {
            Ok(list) => adopt::find_new(&scan_list(), &list, marker, age),
            Err(error) => Err(error),
        };
        match found {
            Ok(Some(scan)) => {
                tracing::info!(scanner = self.client.base(), %scan, "the scan whose creation was unclear is there");
                Ok(scan)
            }
            // It may still arrive: whoever wants it looks for it again before the next try.
            Ok(None) => Err(unclear),
            Err(ambiguous @ ScannerError::AmbiguousMarker { .. }) => Err(ambiguous),
            Err(error) => {
                tracing::warn!(scanner = self.client.base(), %error, "the scans could not be listed");
                Err(unclear)
            }
        }
    }

    /// `POST /scans/{id}/{verb}`. A 409 says that the scan is not active: fine when it is where it was to be brought.
    async fn control(&self, scan: &ScanId, verb: &str, fine: fn(ScanState) -> bool) -> Result<(), ScannerError> {
        let scan = number(scan)?;
        let call = Call::new(Method::POST, format!("/scans/{scan}/{verb}"), Access::Control).expects(Expected::Consent);
        match self.client.act(&call).await {
            Err(conflict @ ScannerError::Conflict(_)) => {
                let state = self.status_of(scan).await?.state;
                if state.is_terminal() || fine(state) { Ok(()) } else { Err(conflict) }
            }
            outcome => outcome.map(drop),
        }
    }
}

#[async_trait]
impl ScannerInterface for NessusScanner {
    async fn create(&self, request: &ScanRequest) -> Result<ScanId, ScannerError> {
        let targets = targets_of(request).map_err(before_the_call)?;
        let made = offer::made_of(&self.client, &self.allowed, request).await.map_err(before_the_call)?;
        let mut settings = json!({
            "name": request.scan_name(),
            "description": request.description,
            "text_targets": targets,
            // Switches a schedule on, not the scan.
            "enabled": false,
            "launch_now": false,
        });
        if let Some(folder) = self.folder().await.map_err(before_the_call)? {
            settings["folder_id"] = folder.into();
        }
        if let Some(policy) = made.policy {
            settings["policy_id"] = policy.into();
        }
        if let Some(scanner) = self.remote_scanner().await.map_err(before_the_call)? {
            settings["scanner_id"] = scanner.into();
        }
        let mut body = json!({ "uuid": made.template, "settings": settings });
        let mut secrets = Vec::new();
        if let Some(credential) = &request.credential {
            body["credentials"] = credentials::added(&self.client, credential).await.map_err(before_the_call)?;
            secrets = credential.secrets();
        }
        let call = Call::new(Method::POST, "/scans", Access::Control).json(&body).secrets(secrets);
        let begun = Instant::now();
        let created = self.client.fetch::<wire::Created>(&call).await.and_then(|created| {
            let id = created.scan.and_then(|scan| scan.id);
            id.map(ScanId::from).ok_or_else(|| decode_error(&call, "there is no `scan.id` in it"))
        });
        match created {
            Err(unclear) if unclear.may_have_acted() => {
                self.created_after_all(&request.marker, begun.elapsed(), unclear).await
            }
            outcome => outcome,
        }
    }

    async fn launch(&self, scan: &ScanId) -> Result<Option<String>, ScannerError> {
        let scan = number(scan)?;
        let before = adopt::Runs::of(&self.details(scan).await.map_err(before_the_call)?);
        let call = Call::new(Method::POST, format!("/scans/{scan}/launch"), Access::Control).expects(Expected::Consent);
        let unclear = match self.client.act(&call).await {
            Ok(answer) => {
                // The scan runs whether or not the scanner tells the name of the run.
                let launched: Option<wire::Launched> = serde_json::from_str(&lenient::text_of(&answer)).ok();
                return Ok(launched.and_then(|launched| launched.scan_uuid));
            }
            Err(unclear) if unclear.may_have_acted() => unclear,
            Err(error) => return Err(error),
        };
        tracing::warn!(scanner = self.client.base(), scan, error = %unclear, "it is unclear whether a scan was launched");
        match self.details(scan).await.map(|details| before.new_in(&details)) {
            Ok(Some(run)) => {
                tracing::info!(scanner = self.client.base(), scan, run, "the scan whose launch was unclear runs");
                Ok(Some(run))
            }
            Ok(None) | Err(_) => Err(unclear),
        }
    }

    async fn status(&self, scan: &ScanId) -> Result<ScanStatus, ScannerError> {
        self.status_of(number(scan)?).await
    }

    async fn export(&self, scan: &ScanId, sink: &mut ExportSink) -> Result<ExportSummary, ScannerError> {
        export::export(&self.client, &self.export, number(scan)?, sink).await
    }

    async fn stop(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.control(scan, "stop", |state| matches!(state, ScanState::Stopping | ScanState::Created)).await
    }

    async fn kill(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.control(scan, "kill", |state| matches!(state, ScanState::Stopping | ScanState::Created)).await
    }

    async fn pause(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.control(scan, "pause", |state| state == ScanState::Paused).await
    }

    async fn resume(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.control(scan, "resume", |state| matches!(state, ScanState::Running | ScanState::Pending)).await
    }

    async fn delete(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let call =
            Call::new(Method::DELETE, format!("/scans/{}", number(scan)?), Access::Control).expects(Expected::Consent);
        match self.client.act(&call).await {
            Err(ScannerError::NotFound(_)) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn trash(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let scan = number(scan)?;
        let folders = self.folders().await?;
        let trash = folders.iter().find(|folder| folder.kind.as_deref() == Some("trash")).and_then(|folder| folder.id);
        let Some(trash) = trash else { return Err(ScannerError::Unsupported("a trash")) };
        let call = Call::new(Method::PUT, format!("/scans/{scan}/folder"), Access::Control)
            .json(&json!({ "folder_id": trash }))
            .expects(Expected::Consent);
        self.client.act(&call).await.map(drop)
    }

    async fn forget_credentials(&self, scan: &ScanId) -> Result<(), ScannerError> {
        credentials::forget(&self.client, number(scan)?).await
    }

    async fn hosts(&self, scan: &ScanId) -> Result<Vec<ScanHost>, ScannerError> {
        let call = details_call(number(scan)?);
        let answer: wire::HostList = self.client.fetch_repeated(&call).await?;
        require(&call, answer.info.is_some() && answer.hosts.is_some())?;
        Ok(facts::hosts(answer.hosts.unwrap_or_default()))
    }

    async fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError> {
        let wanted = Wanted::Marker(marker.to_owned());
        let list = always_there(self.client.fetch_when_ready(&scan_list(), wanted).await)?;
        adopt::find(&scan_list(), &list, marker)
    }

    async fn marked_scans(&self) -> Result<Vec<MarkedScan>, ScannerError> {
        let list = always_there(self.client.fetch_when_ready(&scan_list(), Wanted::Marked).await)?;
        adopt::marked(&scan_list(), &list)
    }

    async fn offer(&self) -> Result<ScanOffer, ScannerError> {
        offer::offer(&self.client, &self.allowed).await
    }

    async fn properties(&self) -> Result<ScannerProperties, ScannerError> {
        self.client.check_ready().await?;
        Ok(facts::properties(self.client.get("/server/properties", Access::Session).await?))
    }

    async fn close(&self) {
        self.client.logout().await;
    }
}

/// The targets as Nessus reads them.
fn targets_of(request: &ScanRequest) -> Result<String, ScannerError> {
    // Tenable documents `name[address]` for a host whose name is not to be resolved ("Scan Targets").
    if let Some(named) = &request.named_targets {
        return Ok(named.clone());
    }
    let targets = request.targets.parse::<TargetSet>().and_then(|targets| targets.for_scanner());
    targets.map_err(|error| ScannerError::Rejected(error.to_string()))
}

/// Refuses an answer without what was asked for: it is none, not an empty one.
fn require(call: &Call, is_there: bool) -> Result<(), ScannerError> {
    if is_there { Ok(()) } else { Err(decode_error(call, "what was asked for is not in it")) }
}

/// Nessus numbers its scans; anything else must not get into a path.
fn number(scan: &ScanId) -> Result<u64, ScannerError> {
    scan.as_str()
        .parse()
        .map_err(|_| ScannerError::Rejected(format!("`{}` is not the number of a Nessus scan", excerpt(scan.as_str()))))
}
