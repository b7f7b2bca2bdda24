//! What a URL names: one server, a cluster, or a master that sentinels know.

use std::{fs, io};

use redis::{ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::{
    queue::error::QueueError,
    secret::{Secret, redact_url},
};

const SENTINEL_PORT: u16 = 26379;
/// The option of a URL that names the file with the password in its first line.
const PASSWORD_FILE: &str = "password_file=";

/// A checked URL. It holds passwords and has no `Debug`.
pub(super) struct Target {
    /// The URL without credentials, for messages.
    pub(super) location: String,
    pub(super) topology: Topology,
}

/// Where the data is.
pub(super) enum Topology {
    /// `redis://`, `rediss://`.
    Server(Box<ConnectionInfo>),
    /// `redis+cluster://`, `rediss+cluster://`: some of its nodes.
    Cluster(Vec<ConnectionInfo>),
    /// `redis+sentinel://`, `rediss+sentinel://`.
    Sentinel(Box<Sentinel>),
}

/// Servers that know which one is the master.
pub(super) struct Sentinel {
    /// The sentinels, in the order in which they are asked.
    pub(super) nodes: Vec<ConnectionInfo>,
    /// The name they know the master by.
    pub(super) master: String,
    /// How to log in at the master.
    pub(super) login: RedisConnectionInfo,
    /// Whether the master is spoken to over TLS.
    pub(super) tls: bool,
}

/// The parts of a URL that may name several servers.
struct Parts<'a> {
    /// `redis` or `rediss`.
    scheme: &'a str,
    /// User name and password with the `@`, as they stand in the URL.
    login: String,
    servers: Vec<&'a str>,
    path: Vec<&'a str>,
    options: Vec<(String, String)>,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`QueueError::InvalidUrl`] that says what was expected, without the password.
    pub(super) fn parse(url: &Secret) -> Result<Self, QueueError> {
        let location = redact_url(url.expose());
        let invalid = |reason: String| QueueError::InvalidUrl { url: location.clone(), reason };
        let (text, file) = without_password_file(url.expose());
        let mut target = Self::of(&text, location.clone())?;
        if let Some(file) = file {
            let password = first_line(&file)
                .map_err(|error| invalid(format!("its password file `{file}` cannot be read: {error}")))?;
            target.topology.log_in_with(&password).map_err(|reason| invalid(reason.to_owned()))?;
        }
        Ok(target)
    }

    fn of(text: &str, location: String) -> Result<Self, QueueError> {
        let topology = match text.split_once("://") {
            Some((scheme @ ("redis" | "rediss"), _)) => server(scheme, text),
            Some((scheme, rest)) => match scheme.split_once('+') {
                Some((scheme @ ("redis" | "rediss"), "cluster")) => Parts::of(scheme, rest).and_then(Parts::cluster),
                Some((scheme @ ("redis" | "rediss"), "sentinel")) => Parts::of(scheme, rest).and_then(Parts::sentinel),
                _ => Err("the scheme is unknown"),
            },
            None => Err("it has no scheme"),
        };
        match topology {
            Ok(topology) => Ok(Self { location, topology }),
            Err(reason) => Err(QueueError::InvalidUrl { url: location, reason: reason.to_owned() }),
        }
    }
}

impl Topology {
    /// Gives the servers with the data this password, where the URL has none.
    fn log_in_with(&mut self, password: &str) -> Result<(), &'static str> {
        let with_password = |login: &RedisConnectionInfo| match login.password() {
            Some(_) => Err("it has a password beside `password_file`"),
            None => Ok(login.clone().set_password(password)),
        };
        let log_in = |node: &mut ConnectionInfo| {
            *node = node.clone().set_redis_settings(with_password(node.redis_settings())?);
            Ok(())
        };
        match self {
            Self::Server(server) => log_in(server),
            Self::Cluster(nodes) => nodes.iter_mut().try_for_each(log_in),
            Self::Sentinel(sentinel) => with_password(&sentinel.login).map(|login| sentinel.login = login),
        }
    }
}

/// The URL without its option `password_file`, and what that names. A `?` before the servers is part of a password.
fn without_password_file(text: &str) -> (Zeroizing<String>, Option<String>) {
    let as_it_is = || (Zeroizing::new(text.to_owned()), None);
    let Some((url, query)) = text.rsplit_once('?').filter(|(_, query)| !query.contains('@')) else { return as_it_is() };
    let (named, others): (Vec<_>, Vec<_>) = query.split('&').partition(|option| option.starts_with(PASSWORD_FILE));
    let Some(named) = named.last() else { return as_it_is() };
    let file = form_urlencoded::parse(named.as_bytes()).next().map(|(_, file)| file.into_owned());
    let rest = others.join("&");
    let separator = if rest.is_empty() { "" } else { "?" };
    (Zeroizing::new(format!("{url}{separator}{rest}")), file)
}

/// The password in a file. An empty one is none.
fn first_line(file: &str) -> io::Result<Zeroizing<String>> {
    let text = fs::read_to_string(file).map(Zeroizing::new)?;
    match text.lines().next().map(str::trim_end) {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "its first line is empty")),
    }
}

fn server(scheme: &str, text: &str) -> Result<Topology, &'static str> {
    if scheme == "rediss" && text.contains('#') {
        return Err("a part after `#` is not supported; certificates are always checked");
    }
    // The crate's own message may quote the URL.
    let server = text.into_connection_info();
    let server = server.map_err(|_| "expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], percent-encoded")?;
    Ok(Topology::Server(Box::new(server)))
}

impl<'a> Parts<'a> {
    fn of(scheme: &'a str, rest: &'a str) -> Result<Self, &'static str> {
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (format!("{login}@"), rest),
            None => (String::new(), rest),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parts = rest.split('/');
        let servers: Vec<_> = parts.next().unwrap_or_default().split(',').map(str::trim).collect();
        if servers.contains(&"") {
            return Err("a server's name is empty");
        }
        let options =
            redis::parse_redis_url(&format!("redis://options/?{query}")).ok_or("the options are not valid")?;
        let options = options.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Ok(Self { scheme, login, servers, path: parts.filter(|part| !part.is_empty()).collect(), options })
    }

    fn cluster(self) -> Result<Topology, &'static str> {
        const EXPECTED: &str = "expected redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]";
        if !self.path.is_empty() || !self.options.is_empty() {
            return Err(EXPECTED);
        }
        let nodes = self.servers.iter().map(|server| self.connection(server, "").ok_or(EXPECTED));
        Ok(Topology::Cluster(nodes.collect::<Result<_, _>>()?))
    }

    fn sentinel(self) -> Result<Topology, &'static str> {
        const EXPECTED: &str =
            "expected redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/MASTER_NAME[/DATABASE]";
        let (master, database) = match self.path.as_slice() {
            [master] => (*master, ""),
            [master, database] => (*master, *database),
            _ => return Err(EXPECTED),
        };
        let mut login = RedisConnectionInfo::default();
        for (name, value) in &self.options {
            login = match name.as_str() {
                "sentinel_username" => login.set_username(value),
                "sentinel_password" => login.set_password(value),
                _ => return Err("the options are `sentinel_username`, `sentinel_password` and `password_file`"),
            };
        }
        let node = |server: &&str| {
            let bare = format!("{}://{server}", self.scheme).into_connection_info().ok()?;
            // The crate fills in the port of an ordinary server.
            let with_port = if server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
                bare
            } else {
                format!("{}://{server}:{SENTINEL_PORT}", self.scheme).into_connection_info().ok()?
            };
            Some(with_port.set_redis_settings(login.clone()))
        };
        let nodes = self.servers.iter().map(|server| node(server).ok_or(EXPECTED)).collect::<Result<_, _>>()?;
        // Only the login and the database of this one are used.
        let any = self.connection("master", database).ok_or(EXPECTED)?;
        Ok(Topology::Sentinel(Box::new(Sentinel {
            nodes,
            master: master.to_owned(),
            login: any.redis_settings().clone(),
            tls: self.scheme == "rediss",
        })))
    }

    fn connection(&self, server: &str, database: &str) -> Option<ConnectionInfo> {
        format!("{}://{}{server}/{database}", self.scheme, self.login).into_connection_info().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Classified as _, ErrorKind, chain};

    fn parse(url: &str) -> Result<Target, QueueError> {
        Target::parse(&Secret::new(url))
    }

    #[test]
    fn one_server() {
        for (url, address, database) in [
            ("redis://db", "db:6379", 0),
            ("redis://db:7/3", "db:7", 3),
            ("rediss://me:p%40ss@db:1", "db:1", 0),
            ("redis://:secret@[::1]:6380/0", "::1:6380", 0),
        ] {
            let target = parse(url).unwrap();
            let Topology::Server(server) = target.topology else { panic!("{url}") };
            assert_eq!(
                (server.addr().to_string(), server.redis_settings().db()),
                (address.to_owned(), database),
                "{url}"
            );
        }
        let Topology::Server(server) = parse("rediss://me:p%40ss@db:1").unwrap().topology else { panic!() };
        assert_eq!(
            (server.redis_settings().username(), server.redis_settings().password()),
            (Some("me"), Some("p@ss"))
        );
        assert!(matches!(server.addr(), redis::ConnectionAddr::TcpTls { insecure: false, .. }));
    }

    #[test]
    fn nodes_of_a_cluster() {
        let target = parse("redis+cluster://me:secret@a:1,b/").unwrap();
        assert_eq!(target.location, "redis+cluster://a:1,b/");
        let Topology::Cluster(nodes) = target.topology else { panic!() };
        assert_eq!(nodes.iter().map(|node| node.addr().to_string()).collect::<Vec<_>>(), ["a:1", "b:6379"]);
        assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("secret")));
    }

    #[test]
    fn sentinels_and_their_master() {
        let target = parse("redis+sentinel://me:secret@a,b:7/mymaster/2?sentinel_password=other").unwrap();
        assert_eq!(target.location, "redis+sentinel://a,b:7/mymaster/2");
        let Topology::Sentinel(sentinel) = target.topology else { panic!() };
        let nodes: Vec<_> = sentinel.nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!((nodes, sentinel.master.as_str()), (vec!["a:26379".to_owned(), "b:7".to_owned()], "mymaster"));
        assert!(sentinel.nodes.iter().all(|node| node.redis_settings().password() == Some("other")));
        assert_eq!((sentinel.login.password(), sentinel.login.db()), (Some("secret"), 2));
    }

    #[test]
    fn a_password_may_be_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue password");
        crate::durable::replace(&path, b"p@ss?word\nmore\n").unwrap();
        let file = path.display().to_string().replace(' ', "%20");
        let parsed = |url: &str| parse(&url.replace("FILE", &file)).map(|target| target.topology);
        let Topology::Server(server) = parsed("rediss://me@db:1/2?password_file=FILE").unwrap() else { panic!() };
        let login = server.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("me"), Some("p@ss?word"), 2));
        let Topology::Cluster(nodes) = parsed("redis+cluster://a,b?password_file=FILE").unwrap() else { panic!() };
        assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("p@ss?word")));
        let url = "redis+sentinel://a/mymaster?sentinel_password=other&password_file=FILE";
        let Topology::Sentinel(sentinel) = parsed(url).unwrap() else { panic!() };
        assert_eq!(sentinel.login.password(), Some("p@ss?word"));
        assert_eq!(sentinel.nodes[0].redis_settings().password(), Some("other"));

        let refused = |url: &str| parsed(url).err().map(|error| chain(&error)).unwrap();
        assert!(refused("redis://me:hunter2@db?password_file=FILE").contains("a password beside `password_file`"));
        assert!(refused("redis://db?password_file=/no/such/file").contains("`/no/such/file` cannot be read"));
        crate::durable::replace(&path, b"\nhunter2").unwrap();
        let empty = refused("redis://db?password_file=FILE");
        assert!(empty.contains("its first line is empty") && !empty.contains("hunter2"), "{empty}");
    }

    #[test]
    fn other_urls_are_refused_without_the_password() {
        for url in [
            "redis://me:hunter2@db/zero",
            "redis://me:hunter2@",
            "redis://me:hunter2@db:port",
            "redis://me:hun/hunter2@db:1",
            "redis://me:hun?hunter2@db:x",
            "rediss://me:hunter2@db#insecure",
            "redis+cluster://me:hunter2@a,,b",
            "redis+cluster://me:hunter2@a/1",
            "redis+cluster://me:hunter2@a:x",
            "redis+sentinel://me:hunter2@a",
            "redis+sentinel://me:hunter2@a/mymaster/zero",
            "redis+sentinel://me:hunter2@a/mymaster/0/more",
            "redis+sentinel://a/mymaster?password=hunter2",
            "redis+proxy://me:hunter2@a",
        ] {
            let Err(error) = parse(url) else { panic!("{url}") };
            assert_eq!((error.code(), error.kind()), ("invalid_queue_url", ErrorKind::Configuration), "{url}");
            assert!(!format!("{} {error:?}", chain(&error)).contains("hun"), "{error:?}");
        }
    }
}
