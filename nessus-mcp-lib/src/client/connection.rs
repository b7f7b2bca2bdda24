//! A connection to a server, and the calls that all others are made of.

use std::{error::Error, fmt, process::Command, time::Duration};

use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, ClientRequest, PingRequest},
    service::{ClientInitializeError, RunningService, ServiceError},
    transport::{
        DynamicTransportError, StreamableHttpClientTransport,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{endpoint::Endpoint, error::ClientError, process::ServerProcess};
use crate::error::{chain, excerpt};

/// How long a connection is kept for the next call: less than the server keeps it, which would else close it while the
/// call is on its way.
const IDLE: Duration = Duration::from_secs(15);
/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A tool that the server offers to this client.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ToolInfo {
    /// Its name.
    pub name: String,
    /// What it is called for people.
    pub title: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Whether its calls change nothing.
    pub is_read_only: bool,
    /// The JSON schema of its arguments.
    pub input_schema: Map<String, Value>,
}

/// A client of a `nessus-mcp-server`, over HTTP or with a server of its own as a child process.
///
/// All methods take `&self`: calls may be made at the same time. [The module](super) has examples.
pub struct NessusMcpClient {
    connection: RunningService<RoleClient, ()>,
    /// Where the server is, as it may be shown.
    server: String,
    call_timeout: Duration,
    process: Option<ServerProcess>,
}

impl fmt::Debug for NessusMcpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NessusMcpClient").field("server", &self.server).finish_non_exhaustive()
    }
}

impl NessusMcpClient {
    /// Connects to a server over HTTP, by its URL or with what an [`Endpoint`] says.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] for a URL, token or certificate that cannot be used, [`ClientError::Transport`] when nobody
    /// answers, [`ClientError::Unauthorized`] without the right token, [`ClientError::Protocol`] when it is no MCP server.
    pub async fn connect(endpoint: impl Into<Endpoint>) -> Result<Self, ClientError> {
        let endpoint = endpoint.into();
        let unusable = |what, error: &dyn Error| ClientError::Endpoint { what, reason: chain(error) };
        let url: url::Url = endpoint.url.parse().map_err(|error| unusable("the URL of the server", &error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ClientError::Endpoint {
                what: "the URL of the server",
                reason: "it is not of HTTP".to_owned(),
            });
        }
        // The server listens on loopback, which a proxy of the environment would take for the proxy's own.
        let mut http = reqwest::Client::builder().no_proxy().pool_idle_timeout(IDLE).connect_timeout(CONNECT);
        for pem in &endpoint.trusted {
            let certificate = reqwest::Certificate::from_pem(pem.as_bytes());
            http = http.add_root_certificate(certificate.map_err(|error| unusable("the certificate", &error))?);
        }
        let http = http.build().map_err(|error| unusable("the certificate", &error))?;
        let mut config = StreamableHttpClientTransportConfig::with_uri(endpoint.url.clone());
        if let Some(token) = &endpoint.token {
            if token.expose().is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                let reason = "it must be of visible ASCII characters".to_owned();
                return Err(ClientError::Endpoint { what: "the token", reason });
            }
            config = config.auth_header(token.expose());
        }
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let (server, call_timeout) = (endpoint.shown(), endpoint.call_timeout);
        let connection = in_time("initialize", call_timeout, ().serve(transport)).await?;
        Ok(Self {
            connection: connection.map_err(|error| initialize(&server, error))?,
            server,
            call_timeout,
            process: None,
        })
    }

    /// Starts a server as a child and talks to it over its standard input and output: a command such as
    /// `nessus-mcp-server stdio --with-worker`. What the server logs goes to the standard error of this process, unless the command
    /// says otherwise.
    ///
    /// The child ends with [`close`](Self::close). It is killed when the client is dropped.
    ///
    /// # Errors
    /// [`ClientError::Start`] when the program cannot be started, [`ClientError::Transport`] when it ends at once.
    pub async fn spawn(command: Command) -> Result<Self, ClientError> {
        let server = command.get_program().to_string_lossy().into_owned();
        let call_timeout = Endpoint::default().call_timeout;
        let (process, stdout, stdin) = ServerProcess::start(command)?;
        let connection = in_time("initialize", call_timeout, ().serve((stdout, stdin))).await?;
        let connection = connection.map_err(|error| initialize(&server, error))?;
        Ok(Self { connection, server, call_timeout, process: Some(process) })
    }

    /// The process id of the server that [`spawn`](Self::spawn) has started; `None` of others, and when it has ended.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().and_then(ServerProcess::id)
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// Those of any call: [`ClientError::Transport`], [`ClientError::Timeout`] and the like.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let ping = self.connection.send_request(ClientRequest::PingRequest(PingRequest::default()));
        let answered = in_time("ping", self.call_timeout, ping).await?;
        answered.map(drop).map_err(|error| self.failure("ping", error))
    }

    /// The tools that the server offers to this client.
    pub async fn list_tools(&self) -> Result<Vec<ToolInfo>, ClientError> {
        let listed = in_time("tools/list", self.call_timeout, self.connection.list_all_tools()).await?;
        let tools = listed.map_err(|error| self.failure("tools/list", error))?;
        Ok(tools
            .into_iter()
            .map(|tool| ToolInfo {
                name: tool.name.into_owned(),
                title: tool.title,
                description: tool.description.map(std::borrow::Cow::into_owned),
                is_read_only: tool.annotations.and_then(|annotations| annotations.read_only_hint) == Some(true),
                input_schema: tool.input_schema.as_ref().clone(),
            })
            .collect())
    }

    /// Calls any tool and returns its text.
    ///
    /// # Errors
    /// [`ClientError::Tool`] with the tool's own code, message and hint when it refuses.
    pub async fn call(&self, tool: &str, arguments: &impl Serialize) -> Result<String, ClientError> {
        let arguments = match serde_json::to_value(arguments) {
            Ok(Value::Object(arguments)) => arguments,
            Ok(_) => return Err(ClientError::arguments(tool, "the arguments are no JSON object")),
            Err(error) => return Err(ClientError::arguments(tool, error)),
        };
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let answered = in_time(tool, self.call_timeout, self.connection.call_tool(request)).await?;
        let result = answered.map_err(|error| self.failure(tool, error))?;
        let text: String =
            result.content.iter().filter_map(|part| part.as_text()).map(|part| part.text.as_str()).collect();
        if result.is_error == Some(true) {
            return Err(ClientError::tool(tool, &text));
        }
        Ok(text)
    }

    /// Calls a tool that answers with one JSON object.
    pub(super) async fn view<T: DeserializeOwned>(
        &self,
        tool: &str,
        arguments: &impl Serialize,
    ) -> Result<T, ClientError> {
        let text = self.call(tool, arguments).await?;
        serde_json::from_str(&text).map_err(|source| ClientError::Answer { tool: tool.to_owned(), source })
    }

    /// Ends the connection. A server that [`spawn`](Self::spawn) has started ends, and is waited for: its worker hands unfinished
    /// tasks back to the queue.
    pub async fn close(self) {
        let Self { connection, process, .. } = self;
        // The server is stateless: there is nothing to be said when this fails.
        let _ = connection.cancel().await;
        if let Some(process) = process {
            process.end().await;
        }
    }

    fn failure(&self, call: &str, error: ServiceError) -> ClientError {
        match error {
            ServiceError::McpError(error) => {
                ClientError::Protocol { code: Some(error.code.0), message: excerpt(&error.message).to_string() }
            }
            ServiceError::TransportSend(error) => transport(&self.server, &error),
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
                ClientError::Transport(format!("{}: the connection has ended", self.server))
            }
            ServiceError::Timeout { timeout } => ClientError::Timeout { call: call.to_owned(), after: timeout },
            other => ClientError::Protocol { code: None, message: excerpt(&other.to_string()).to_string() },
        }
    }
}

async fn in_time<T>(call: &str, after: Duration, answer: impl Future<Output = T>) -> Result<T, ClientError> {
    let answer = tokio::time::timeout(after, answer).await;
    answer.map_err(|_| ClientError::Timeout { call: call.to_owned(), after })
}

fn initialize(server: &str, error: ClientInitializeError) -> ClientError {
    match error {
        ClientInitializeError::TransportError { error, .. } => transport(server, &error),
        ClientInitializeError::ConnectionClosed(_) => {
            ClientError::Transport(format!("{server}: the connection ended before the server has answered"))
        }
        ClientInitializeError::JsonRpcError(error) => {
            ClientError::Protocol { code: Some(error.code.0), message: excerpt(&error.message).to_string() }
        }
        other => ClientError::Protocol { code: None, message: excerpt(&other.to_string()).to_string() },
    }
}

/// What a failed request means.
fn transport(server: &str, error: &DynamicTransportError) -> ClientError {
    type HttpError = StreamableHttpError<reqwest::Error>;
    let unreachable = |reason: String| ClientError::Transport(format!("{server}: {reason}"));
    let Some(http) = error.error.downcast_ref::<HttpError>() else {
        return unreachable(excerpt(&chain(error.error.as_ref())).to_string());
    };
    match http {
        HttpError::AuthRequired(_) => ClientError::Unauthorized,
        HttpError::InsufficientScope(refused) => {
            let scope = refused.get_required_scope().map(|scope| excerpt(scope).to_string());
            ClientError::Forbidden(
                scope.map_or_else(
                    || "more rights are needed".to_owned(),
                    |scope| format!("it asks for the scope {scope}"),
                ),
            )
        }
        HttpError::HttpStatus(answer) => {
            ClientError::Http { status: answer.status, retry_after: answer.retry_after.clone() }
        }
        // Its own message has the URL in it, so only what it comes from is shown.
        HttpError::Client(error) if error.is_timeout() => unreachable("it took too long".to_owned()),
        HttpError::Client(error) => {
            unreachable(error.source().map_or_else(|| "the request could not be sent".to_owned(), chain))
        }
        HttpError::UnexpectedServerResponse(answer) => answered_with(answer),
        HttpError::UnexpectedEndOfStream | HttpError::TransportChannelClosed | HttpError::Io(_) | HttpError::Sse(_) => {
            unreachable("the connection has ended".to_owned())
        }
        other => ClientError::Protocol { code: None, message: excerpt(&other.to_string()).to_string() },
    }
}

/// Reads `HTTP 403 Forbidden: ...`, which is all that rmcp tells of other statuses.
fn answered_with(answer: &str) -> ClientError {
    let status = answer.strip_prefix("HTTP ").and_then(|rest| rest.get(..3)?.parse().ok());
    match status {
        Some(401) => ClientError::Unauthorized,
        Some(403) => {
            let says = answer.split_once(": ").map_or("", |(_, body)| body.trim());
            ClientError::Forbidden(excerpt(says).to_string())
        }
        Some(status) if status >= 400 => ClientError::Http { status, retry_after: None },
        _ => ClientError::Protocol { code: None, message: excerpt(answer).to_string() },
    }
}
