//! A typed client for a running `nessus-mcp-server` (feature `client`).
//!
//! ```no_run
//! use nessus_mcp_lib::client::{ScanArguments, ScanClient};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ScanClient::connect("http://127.0.0.1:8835/mcp").await?;
//! let scan = client.run_untrusted_scan(&ScanArguments::new("office", "192.0.2.0/24")).await?;
//! let status = client.get_scan_status(&scan.task_id).await?;
//! println!("{} {:?}", status.status, status.progress);
//! # Ok(()) }
//! ```

mod error;

use std::time::Duration;

use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, CallToolResult, JsonObject},
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::error::ClientError;
use crate::{
    credentials::Login,
    ids::TaskId,
    login::LoginFields,
    secret::Secret,
    service::{PoliciesView, PoolsView, QueueView, ScannersView, Submission, TaskView},
};

/// The arguments of all tools that submit a scan.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ScanArguments {
    /// The targets.
    pub targets: String,
    /// A name for people.
    pub name: String,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The result profile to prepare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_profile: Option<String>,
    /// The scanner's name for the kind of scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Instead of a template: a policy of the scanner, by its name or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_pool: Option<String>,
    /// The scanner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner_instance: Option<String>,
    /// The caller's own name for the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl ScanArguments {
    /// A scan of these targets on the default pool.
    pub fn new(name: impl Into<String>, targets: impl Into<String>) -> Self {
        Self {
            targets: targets.into(),
            name: name.into(),
            description: None,
            schema_profile: None,
            template: None,
            policy: None,
            scanner_pool: None,
            scanner_instance: None,
            idempotency_key: None,
        }
    }
}

/// The arguments of a scan that logs in.
#[derive(Serialize)]
struct WithLogin<'a> {
    #[serde(flatten)]
    scan: &'a ScanArguments,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_id: Option<&'a str>,
    #[serde(flatten)]
    login: Option<LoginFields<&'a str>>,
}

impl<'a> WithLogin<'a> {
    fn new(scan: &'a ScanArguments, login: &'a Login) -> Self {
        let (credential_id, login) = match login {
            Login::Stored(id) => (Some(id.as_str()), None),
            Login::Inline(login) => (None, Some(login.fields())),
        };
        Self { scan, credential_id, login }
    }
}

/// The arguments of `get_scan_results`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ResultsArguments {
    /// The task.
    pub task_id: TaskId,
    /// The page, from 1; 0 for everything.
    pub page: i64,
    /// Of which kind the items are: `vulnerability` when it is absent, or `compliance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What to count the findings by, in place of the findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// Findings, or groups, a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<i64>,
    /// The profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_profile: Option<String>,
    /// Exactly these fields instead of a profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_fields: Option<Vec<String>>,
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// The filters, by field.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub filters: Map<String, Value>,
}

impl ResultsArguments {
    /// This page of a task's findings in the server's default profile.
    pub fn new(task_id: TaskId, page: i64) -> Self {
        Self {
            task_id,
            page,
            kind: None,
            group_by: None,
            page_size: None,
            schema_profile: None,
            custom_fields: None,
            sort: None,
            filters: Map::new(),
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct ScanClient {
    connection: RunningService<RoleClient, ()>,
}

/// How long a connection is kept for the next call: less than the server keeps it, which would else close it while the
/// call is on its way.
const IDLE: Duration = Duration::from_secs(15);

impl ScanClient {
    /// Connects to the MCP endpoint at `url`, such as `http://127.0.0.1:8835/mcp`.
    ///
    /// # Errors
    /// [`ClientError::Connection`] when nobody answers or it is no MCP server.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_as(url, None, Vec::new()).await
    }

    /// As [`connect`](Self::connect), with the token of a client, and with certificates in PEM that are trusted beside those of the
    /// system.
    ///
    /// # Errors
    /// Also when the token is not taken, or a certificate cannot be read.
    pub async fn connect_as(url: &str, token: Option<&Secret>, trusted: Vec<String>) -> Result<Self, ClientError> {
        // The server listens on loopback, which a proxy of the environment would take for the proxy's own.
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(IDLE);
        let trusted = trusted.iter().map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()));
        let trusted = trusted.collect::<Result<Vec<_>, _>>().map_err(ClientError::connection)?;
        let http = trusted.into_iter().fold(http, reqwest::ClientBuilder::add_root_certificate);
        let http = http.build().map_err(ClientError::connection)?;
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.to_owned());
        if let Some(token) = token {
            config = config.auth_header(token.expose());
        }
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let connection = ().serve(transport).await.map_err(ClientError::connection)?;
        Ok(Self { connection })
    }

    /// The names of the server's tools.
    pub async fn tool_names(&self) -> Result<Vec<String>, ClientError> {
        let tools = self.connection.list_all_tools().await.map_err(ClientError::connection)?;
        Ok(tools.into_iter().map(|tool| tool.name.into_owned()).collect())
    }

    /// Submits a network-only scan.
    pub async fn run_untrusted_scan(&self, arguments: &ScanArguments) -> Result<Submission, ClientError> {
        decode(&self.call("run_untrusted_scan", arguments).await?)
    }

    /// Submits a scan that logs in with the rights that its user has.
    pub async fn run_trusted_scan(&self, arguments: &ScanArguments, login: &Login) -> Result<Submission, ClientError> {
        decode(&self.call("run_trusted_scan", &WithLogin::new(arguments, login)).await?)
    }

    /// Submits a scan that logs in and takes more rights.
    pub async fn run_privileged_scan(
        &self,
        arguments: &ScanArguments,
        login: &Login,
    ) -> Result<Submission, ClientError> {
        decode(&self.call("run_privileged_scan", &WithLogin::new(arguments, login)).await?)
    }

    /// Where a task stands.
    pub async fn get_scan_status(&self, task_id: &TaskId) -> Result<TaskView, ClientError> {
        decode(&self.call("get_scan_status", &serde_json::json!({ "task_id": task_id })).await?)
    }

    /// A page of a task's findings, as JSON lines.
    pub async fn get_scan_results(&self, arguments: &ResultsArguments) -> Result<String, ClientError> {
        self.call("get_scan_results", arguments).await
    }

    /// The queues of all pools.
    pub async fn get_queue_status(&self) -> Result<QueueView, ClientError> {
        decode(&self.call("get_queue_status", &Map::new()).await?)
    }

    /// The scanners of all pools.
    pub async fn list_scanners(&self) -> Result<ScannersView, ClientError> {
        decode(&self.call("list_scanners", &Map::new()).await?)
    }

    /// The pools.
    pub async fn list_pools(&self) -> Result<PoolsView, ClientError> {
        decode(&self.call("list_pools", &Map::new()).await?)
    }

    /// What scans can be made of, by pool.
    pub async fn list_policies(&self) -> Result<PoliciesView, ClientError> {
        decode(&self.call("list_policies", &Map::new()).await?)
    }

    /// Calls any tool and returns its text.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the tool's own code, message and hint when it refuses.
    pub async fn call(&self, tool: &str, arguments: &impl Serialize) -> Result<String, ClientError> {
        let Ok(Value::Object(arguments)) = serde_json::to_value(arguments) else {
            return Err(ClientError::Arguments { tool: tool.to_owned() });
        };
        let result = self.call_raw(tool.to_owned(), arguments).await?;
        let text: String =
            result.content.iter().filter_map(|part| part.as_text()).map(|part| part.text.as_str()).collect();
        if result.is_error == Some(true) {
            return Err(ClientError::tool(tool, &text));
        }
        Ok(text)
    }

    async fn call_raw(&self, tool: String, arguments: JsonObject) -> Result<CallToolResult, ClientError> {
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        self.connection.call_tool(request).await.map_err(ClientError::connection)
    }

    /// Ends the connection.
    pub async fn close(self) {
        // The server is stateless: there is nothing to be said when this fails.
        let _ = self.connection.cancel().await;
    }
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, ClientError> {
    serde_json::from_str(text).map_err(|source| ClientError::Answer { source })
}
