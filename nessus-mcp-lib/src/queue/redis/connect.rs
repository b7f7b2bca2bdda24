//! Opening connections, and finding out where to.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo,
    RedisError, RedisResult, TlsMode, Value,
    aio::MultiplexedConnection,
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
    io::tcp::TcpSettings,
};

use super::target::{Sentinel, Topology};

/// How long a connection may take, login included. The crate allows one second, too little for a busy server far away.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a reply may take. The crate allows 500 ms, which a server that forks for a snapshot, or whose disk is slow,
/// exceeds now and then.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the crate asks a cluster again after a redirection or while a node is replaced; it waits in between.
const CLUSTER_RETRIES: u32 = 6;

/// A connection that many calls may share.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Sends a command and waits for its reply.
    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Sends a command to every server that holds data, and returns the replies as a list.
    pub(super) async fn ask_each(&mut self, command: &Cmd) -> RedisResult<Value> {
        let connection = match self {
            Self::Server(connection) => return Ok(Value::Array(vec![command.query_async(connection).await?])),
            Self::Cluster(connection) => connection,
        };
        let primaries = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        Ok(match connection.route_command(command.clone(), primaries).await? {
            Value::Map(replies) => Value::Array(replies.into_iter().map(|(_, reply)| reply).collect()),
            reply => Value::Array(vec![reply]),
        })
    }
}

/// Whether replies are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replies {
    /// For at most [`REPLY_TIMEOUT`].
    Prompt,
    /// As long as the caller likes: for commands that block.
    Late,
}

/// Opens a connection to wherever the data is now.
pub(super) async fn connect(topology: &Topology, replies: Replies) -> RedisResult<Link> {
    match topology {
        Topology::Server(server) => Ok(Link::Server(dial(server, replies).await?)),
        Topology::Cluster(nodes) => cluster(nodes).await.map(Link::Cluster),
        Topology::Sentinel(sentinel) => master(sentinel, replies).await.map(Link::Server),
    }
}

async fn dial(server: &ConnectionInfo, replies: Replies) -> RedisResult<MultiplexedConnection> {
    if matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
        choose_crypto();
    }
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(
        match replies {
            Replies::Prompt => Some(REPLY_TIMEOUT),
            Replies::Late => None,
        },
    );
    let server = server.clone().set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = Client::open(server)?;
    let dialled = client.get_multiplexed_async_connection_with_config(&config);
    // The crate's time does not count everything that belongs to a login.
    tokio::time::timeout(CONNECT_TIMEOUT, dialled).await.map_err(|_| timed_out())?
}

async fn cluster(nodes: &[ConnectionInfo]) -> RedisResult<ClusterConnection> {
    let mut builder = ClusterClientBuilder::new(nodes.iter().cloned())
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(REPLY_TIMEOUT)
        .tcp_settings(TcpSettings::default().set_nodelay(true))
        .retries(CLUSTER_RETRIES);
    if nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. })) {
        choose_crypto();
        builder = builder.tls(TlsMode::Secure);
    }
    let client = builder.build()?;
    tokio::time::timeout(CONNECT_TIMEOUT, client.get_async_connection()).await.map_err(|_| timed_out())?
}

/// Asks the sentinels in turn for the master, and makes sure that it is one: right after a failover some sentinels still
/// name the old master, which may be a replica by now.
async fn master(sentinel: &Sentinel, replies: Replies) -> RedisResult<MultiplexedConnection> {
    let mut last = RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, "no sentinel knows the master"));
    for node in &sentinel.nodes {
        match master_by(node, sentinel, replies).await {
            Ok(master) => return Ok(master),
            Err(error) => last = error,
        }
    }
    // A login that is refused will be refused again; everything else is worth another try.
    if last.kind() == ErrorKind::Io {
        last = (ErrorKind::MasterNameNotFoundBySentinel, "no sentinel answers", last.to_string()).into();
    }
    Err(last)
}

async fn master_by(node: &ConnectionInfo, sentinel: &Sentinel, replies: Replies) -> RedisResult<MultiplexedConnection> {
    let mut asked = dial(node, Replies::Prompt).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinel.master);
    let Some((host, port)) = question.query_async::<Option<(String, u16)>>(&mut asked).await? else {
        return Err((ErrorKind::MasterNameNotFoundBySentinel, "the sentinel does not know the master").into());
    };
    let address = if sentinel.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let server = address.into_connection_info()?.set_redis_settings(sentinel.login.clone());
    let mut master = dial(&server, replies).await?;
    // A login that may not ask for the role learns it from the first write.
    if let Ok(role) = redis::cmd("ROLE").query_async::<Vec<Value>>(&mut master).await
        && !role.first().is_some_and(|role| String::from_redis_value_ref(role).is_ok_and(|role| role == "master"))
    {
        return Err((ErrorKind::MasterNameNotFoundBySentinel, "the sentinel names a server that is no master").into());
    }
    Ok(master)
}

/// rustls needs one provider for the process; a program that embeds this library may have chosen its own.
fn choose_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, with what it liked: that is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
