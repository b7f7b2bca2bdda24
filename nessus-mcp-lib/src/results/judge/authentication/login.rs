//! Protocol, port and account of a login, out of the plugins that report on logins.

use crate::results::{
    record::{FieldId, Record, Value},
    texts::{NAME_CHARS, clean},
};

/// What a plugin says about one login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub protocol: Option<String>,
    pub port: Option<u16>,
    pub account: Option<String>,
}

/// Which operating systems log in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// SSH: Unix and network devices.
    Ssh,
    /// SMB and WMI: Windows.
    Windows,
    /// Databases, SNMP, management interfaces: says nothing about the operating system.
    Other,
    /// Not said.
    Unknown,
}

impl Login {
    /// Reads the lines `Protocol : SSH`, `Port : 22` and `User : x` of the output, in their several spellings; what
    /// they do not say is taken from the item's service and port.
    pub(super) fn read(record: &Record<'_>) -> Self {
        let mut login = Self::default();
        for line in record.output().lines().take(200) {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let key = key.trim();
            let is = |names: &[&str]| names.iter().any(|name| key.eq_ignore_ascii_case(name));
            if is(&["protocol", "proto"]) {
                login.protocol.get_or_insert_with(|| clean(value, 20).to_ascii_uppercase());
            } else if is(&["port"]) {
                login.port = login.port.or_else(|| value.parse().ok());
            } else if is(&["user", "username", "account", "login account"]) {
                login.account.get_or_insert_with(|| clean(value, NAME_CHARS));
            }
        }
        let port = match record.first(FieldId::Port) {
            Some(Value::Integer(port)) => u16::try_from(port).ok().filter(|port| *port != 0),
            _ => None,
        };
        login.port = login.port.or(port);
        if login.protocol.is_none() {
            let service = record.item.first(FieldId::SvcName).unwrap_or_default().trim().trim_end_matches('?');
            login.protocol = match (service, login.port) {
                ("ssh", _) | ("general" | "unknown" | "", Some(22)) => Some("SSH".to_owned()),
                ("cifs" | "smb" | "microsoft-ds" | "netbios-ssn", _)
                | ("general" | "unknown" | "", Some(139 | 445)) => Some("SMB".to_owned()),
                ("general" | "unknown" | "", _) => None,
                (service, _) => Some(clean(service, 20).to_ascii_uppercase()),
            };
        }
        login
    }

    /// Which operating systems log in this way.
    pub(super) fn family(&self) -> Family {
        match self.protocol.as_deref() {
            Some("SSH") => Family::Ssh,
            Some("SMB" | "WMI" | "WINRM") => Family::Windows,
            Some(_) => Family::Other,
            None => Family::Unknown,
        }
    }
}
