//! Why a scan may not be made.

use std::net::IpAddr;

use super::limit::Limit;
use crate::{
    error::{Classified, ErrorKind, counted},
    targets::TargetError,
};

/// A scan that the policy refuses, because of its targets or of who asks. Each names the rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// There are addresses in it that are no hosts, or those of every network.
    #[error("`{target}` is not scanned: it holds {kind} addresses ({network})")]
    Reserved {
        /// The target.
        target: String,
        /// What they are, such as `multicast`.
        kind: &'static str,
        /// The network they are of.
        network: &'static str,
    },
    /// They cannot be read, or no scanner takes them.
    #[error(transparent)]
    Targets(#[from] TargetError),
    /// There are more hosts than one scan may have.
    #[error("the targets are {}, and one scan may have {most} (`{limit}`)", counted(*hosts, "host", "hosts"))]
    TooManyHosts {
        /// How many there are.
        hosts: u128,
        /// How many there may be.
        most: u64,
        /// The setting, or the key of `policy.yaml`, that says so.
        limit: &'static str,
    },
    /// The day has no room for so many hosts.
    #[error(
        "the targets are {}, and of the {most} that {day} (UTC) may have, {} used (`max_hosts_per_day`)",
        counted(*hosts, "host", "hosts"),
        counted(*used, "is", "are")
    )]
    DayIsFull {
        /// How many there are.
        hosts: u64,
        /// How many other scans of the day have.
        used: u64,
        /// How many the day may have.
        most: u64,
        /// The day, as `YYYY-MM-DD`.
        day: String,
        /// When the next begins.
        next: String,
    },
    /// A rule of `deny`, or of the `deny_targets` of a client, holds a part of it.
    #[error("`{target}` is out of scope: {list} has `{rule}`")]
    Denied {
        /// The target.
        target: String,
        /// The list.
        list: String,
        /// The entry of the list.
        rule: String,
    },
    /// `allow`, or the `targets` of a client, do not hold all of it.
    #[error("`{target}` is out of scope: it is not wholly inside what {list} has")]
    NotAllowed {
        /// The target.
        target: String,
        /// The list.
        list: String,
        /// The first entries of the list.
        allowed: String,
    },
    /// A name has no addresses that could be checked.
    #[error("the name `{name}` cannot be resolved, so its addresses cannot be checked: {reason}")]
    Unresolved {
        /// The name.
        name: String,
        /// What the resolver says.
        reason: String,
    },
    /// An address of a name may not be scanned.
    #[error("the name `{name}` stands for {address}: {source}")]
    AddressOfName {
        /// The name.
        name: String,
        /// The address.
        address: IpAddr,
        /// Why not.
        source: Box<ScopeError>,
    },
    /// A client may not use this.
    #[error("`{client}` may not use {what}")]
    NotPermitted {
        /// The client.
        client: String,
        /// What it asked for.
        what: String,
        /// What it may use.
        allowed: String,
    },
    /// The role of a caller does not go that far.
    #[error("`{client}` has the role `{role}`, and whoever submits or changes scans needs `scan`")]
    RoleTooLow {
        /// The caller.
        client: String,
        /// The word for its role.
        role: &'static str,
    },
    /// A limit of a client has no room for the scan.
    #[error("{}", limit_message(client, *limit, *amount, *used, *most, until.as_ref()))]
    ClientLimit {
        /// The client.
        client: String,
        /// The limit.
        limit: Limit,
        /// How much the scan counts.
        amount: u64,
        /// How much other scans of the client count.
        used: u64,
        /// How much there may be.
        most: u64,
        /// For a limit of a day: the day, as `YYYY-MM-DD`, and when the next begins.
        until: Option<(String, String)>,
    },
    /// The client under whose rights the scan was accepted is not in the policy any more.
    #[error("the scan was accepted for `{client}`, which is no client of the policy any more")]
    ClientRevoked {
        /// The client.
        client: String,
    },
    /// No window ever lets a scan of these targets run.
    #[error("the windows of the policy never let this scan run: {reason}, and so it is at any time of the next weeks")]
    NeverOpen {
        /// The first window that is closed now.
        reason: String,
    },
    /// A scan was created before the scope was enforced.
    #[error("the scan was created with the name `{name}`, whose addresses were not checked then")]
    Unchecked {
        /// The name.
        name: String,
    },
}

fn limit_message(
    client: &str,
    limit: Limit,
    amount: u64,
    used: u64,
    most: u64,
    until: Option<&(String, String)>,
) -> String {
    let day = until.map(|(day, _)| day.as_str()).unwrap_or_default();
    match limit {
        Limit::ScansAtOnce => {
            let used = counted(used, "scan that has", "scans that have");
            format!("`{client}` has {used} not ended, and may have {most} at once (`{limit}`)")
        }
        Limit::ScansPerDay => {
            let used = counted(used, "scan", "scans");
            format!("`{client}` has submitted {used} on {day} (UTC), and may submit {most} (`{limit}`)")
        }
        Limit::HostsPerDay => {
            let (hosts, used) = (counted(amount, "host", "hosts"), counted(used, "is", "are"));
            format!(
                "the targets are {hosts}, and of the {most} that `{client}` may scan on {day} (UTC), {used} used (`{limit}`)"
            )
        }
    }
}

impl ScopeError {
    /// The code of [`ScopeError::DayIsFull`].
    pub(crate) const DAY_IS_FULL: &'static str = "daily_host_limit";
    /// The code of [`ScopeError::ClientLimit`].
    pub(crate) const CLIENT_LIMIT: &'static str = "client_limit";

    /// The refusal of something that a client may not use; it may use what is `allowed`.
    pub(crate) fn not_permitted<T: ToString>(client: &str, what: &str, allowed: Option<&[T]>) -> Self {
        let allowed: Vec<_> = allowed.unwrap_or_default().iter().map(T::to_string).collect();
        let (client, what, allowed) = (client.to_owned(), what.to_owned(), allowed.join(", "));
        Self::NotPermitted { client, what, allowed }
    }
}

impl Classified for ScopeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Targets(error) => error.code(),
            Self::DayIsFull { .. } => Self::DAY_IS_FULL,
            Self::NeverOpen { .. } => "no_window",
            Self::NotPermitted { .. } | Self::RoleTooLow { .. } => "not_permitted",
            Self::ClientLimit { .. } => Self::CLIENT_LIMIT,
            Self::ClientRevoked { .. } => "client_revoked",
            _ => "out_of_scope",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::DayIsFull { .. } | Self::ClientLimit { .. } => ErrorKind::Conflict,
            _ => ErrorKind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Reserved { .. } => {
                "unspecified, multicast, broadcast and link-local addresses are refused whatever the policy says: name the \
                 networks that hold the hosts, such as 10.0.0.0/24"
                    .to_owned()
            }
            Self::Targets(error) => return error.hint(),
            Self::TooManyHosts { limit, .. } => {
                format!("scan smaller networks, one after the other; an operator can allow more with `{limit}`")
            }
            Self::DayIsFull { hosts, most, .. } if hosts > most => {
                "no day has room for this scan: scan smaller networks; an operator can allow more with `max_hosts_per_day`"
                    .to_owned()
            }
            Self::DayIsFull { next, .. } => format!(
                "scan fewer hosts, or try again at {next}, or earlier if scans are cancelled that have not begun; an operator \
                 can allow more with `max_hosts_per_day`"
            ),
            Self::Denied { .. } => {
                "leave out what is denied, naming the parts of the network that are not; only an operator can change the \
                 policy"
                    .to_owned()
            }
            Self::NotAllowed { allowed, .. } => {
                format!("name targets inside the scope: {allowed}; only an operator can change the policy")
            }
            Self::Unresolved { .. } => {
                "check the spelling of the name, or name the addresses of the host".to_owned()
            }
            Self::AddressOfName { source, .. } => return source.hint(),
            Self::ClientLimit { limit, amount, most, .. } if amount > most => {
                format!("no day has room for this scan: scan smaller networks; an operator can allow more with `{limit}`")
            }
            Self::ClientLimit { limit, until: Some((_, next)), .. } => {
                format!("try again at {next}; an operator can allow more with `{limit}`")
            }
            Self::ClientLimit { limit, .. } => format!(
                "try again when one of them has ended, or cancel one; the list of tasks shows them; an operator can \
                 allow more with `{limit}`"
            ),
            Self::NotPermitted { allowed, .. } if allowed.is_empty() => {
                "it may use none; only an operator can change that (`clients` in the policy)".to_owned()
            }
            Self::NotPermitted { allowed, .. } => {
                format!("it may use: {allowed}; only an operator can change that (`clients` in the policy)")
            }
            Self::RoleTooLow { .. } => "only an operator can give another role".to_owned(),
            Self::ClientRevoked { .. } => {
                "nothing was launched; somebody who may still scan submits it again or retries it, or an operator puts \
                 the task back into the queue"
                    .to_owned()
            }
            Self::NeverOpen { .. } => {
                "scan other targets, or in another pool; only an operator can change the windows".to_owned()
            }
            Self::Unchecked { .. } => "nothing was launched; try the task again".to_owned(),
        })
    }
}
