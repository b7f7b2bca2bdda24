//! [`NessusScanner`]: a Nessus scanner over its HTTP API, the only place that speaks HTTP to one.
//!
//! From the ground up: `wire` (what the answers look like), `http` (one exchange and what its failure means), `auth`
//! (session and web token), `client` (calls with a login behind them, repeated where that is safe), then the meaning:
//! `status`, `adopt`, `export`. This file maps [`ScannerInterface`] onto them.
//!
//! A session suffices to read and to export. Whatever creates, controls or deletes also needs the token of the web
//! interface (`X-API-Token`), which the scanner's own script holds; an edition without scan control answers 412.

mod adopt;
mod auth;
mod client;
mod config;
mod export;
mod http;
mod status;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;

pub use self::config::{NessusConfig, TlsTrust};
use self::{
    client::{Client, before_the_call},
    config::ExportLimits,
    http::{Access, Call},
};
use super::{
    ExportSink, ExportSummary, ScanRequest, ScanState, ScanStatus, ScannerError, ScannerInterface, ScannerProperties,
};
use crate::{error::excerpt, ids::ScanId};

/// A Nessus scanner. Logs in at the first call that needs it and keeps one session for all tasks.
pub struct NessusScanner {
    client: Client,
    export: ExportLimits,
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
        Ok(Self { client: Client::new(&config)?, export: config.export })
    }

    /// The uuid of a template, from `GET /editor/scan/templates`.
    async fn template(&self, name: &str) -> Result<String, ScannerError> {
        let answer: wire::Templates = self.client.get("/editor/scan/templates", Access::Session).await?;
        let mut available = Vec::new();
        for template in answer.templates {
            let usable = template.unsupported != Some(true) && template.license_fulfilled != Some(false);
            let (true, Some(known), Some(uuid)) = (usable, template.name, template.uuid) else { continue };
            if known == name {
                return Ok(uuid);
            }
            available.push(excerpt(&known).to_string());
        }
        Err(ScannerError::UnknownTemplate { name: excerpt(name).to_string(), available })
    }

    async fn status_of(&self, scan: u64) -> Result<ScanStatus, ScannerError> {
        let path = format!("/scans/{scan}");
        let details: wire::Details = self.client.get(&path, Access::Session).await?;
        status::summarise(&format!("GET {path}"), &details)
    }

    /// `POST /scans/{id}/{verb}`. A 409 says that the scan is not active: fine when it is where it was to be brought.
    async fn control(&self, scan: &ScanId, verb: &str, fine: fn(ScanState) -> bool) -> Result<(), ScannerError> {
        let scan = number(scan)?;
        let call = Call::new(Method::POST, format!("/scans/{scan}/{verb}"), Access::Control);
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
        let template = self.template(&request.template).await.map_err(before_the_call)?;
        let body = json!({
            "uuid": template,
            "settings": {
                "name": request.scan_name(),
                "description": request.description,
                "text_targets": request.targets,
                // Switches a schedule on, not the scan.
                "enabled": false,
                "launch_now": false,
            },
        });
        let call = Call::new(Method::POST, "/scans", Access::Control).json(&body);
        let created: wire::Created = self.client.fetch(&call).await?;
        let id = created.scan.and_then(|scan| scan.id);
        id.map(ScanId::from).ok_or_else(|| ScannerError::Decode {
            call: call.name(),
            message: "there is no `scan.id` in it".to_owned(),
        })
    }

    async fn launch(&self, scan: &ScanId) -> Result<Option<String>, ScannerError> {
        let path = format!("/scans/{}/launch", number(scan)?);
        let call = Call::new(Method::POST, path, Access::Control).json(&json!({}));
        let answer = self.client.act(&call).await?;
        // The scan runs whether or not the scanner tells the name of the run.
        let launched: Option<wire::Launched> = serde_json::from_slice(&answer).ok();
        Ok(launched.and_then(|launched| launched.scan_uuid))
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

    async fn pause(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.control(scan, "pause", |state| state == ScanState::Paused).await
    }

    async fn resume(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.control(scan, "resume", |state| matches!(state, ScanState::Running | ScanState::Pending)).await
    }

    async fn delete(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let call = Call::new(Method::DELETE, format!("/scans/{}", number(scan)?), Access::Control);
        match self.client.act(&call).await {
            Err(ScannerError::NotFound(_)) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError> {
        let list: wire::ScanList = self.client.get("/scans", Access::Session).await?;
        adopt::find(&list, marker)
    }

    async fn properties(&self) -> Result<ScannerProperties, ScannerError> {
        let status: wire::ServerStatus = self.client.get("/server/status", Access::Open).await?;
        status::readiness(&status)?;
        let answer: wire::Properties = self.client.get("/server/properties", Access::Session).await?;
        let (licence, licensed_hosts) = answer.license.map_or((None, None), |license| (license.name, license.ips));
        Ok(ScannerProperties {
            product: answer.nessus_type.or(licence),
            // The engine has a version of its own (19.x), which no person knows.
            version: answer.nessus_ui_version.or(answer.server_version),
            plugin_set: answer.loaded_plugin_set.or(answer.plugin_set),
            licensed_hosts,
        })
    }

    async fn close(&self) {
        self.client.logout().await;
    }
}

/// Nessus numbers its scans; anything else must not get into a path.
fn number(scan: &ScanId) -> Result<u64, ScannerError> {
    scan.as_str()
        .parse()
        .map_err(|_| ScannerError::Rejected(format!("`{}` is not the number of a Nessus scan", excerpt(scan.as_str()))))
}
