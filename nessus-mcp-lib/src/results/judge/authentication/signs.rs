//! What the plugins and tags of one host say about the login, gathered while its items pass by.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::login::{Family, Login};
use crate::results::{
    judge::scan_information::{self, ScanInformation},
    record::{FieldId, Host, Record, boolean},
};

/// One thing that the verdict on a host rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Evidence {
    /// Where the export says it: `plugin 104410`, `tag Credentialed_Scan`.
    pub source: String,
    /// What it means.
    pub says: Cow<'static, str>,
    /// The protocol, such as `SSH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The account name. Sensitive: show it only to those who run the scans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// How much evidence is kept of each plugin at a host: logins on several ports.
const EVIDENCE: usize = 4;

/// Signs that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contradiction {
    /// The scan says that it was not credentialed, and has what only a login brings.
    Proof,
    /// The tag and plugin 19506 disagree.
    Tag,
}

/// What was found at one host.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one plugin seen or not; they are independent")]
pub(super) struct Signs {
    /// The line `Credentialed checks` of plugin 19506; yes when it comes several times and says yes once.
    pub line: Option<bool>,
    /// The tag `Credentialed_Scan`.
    pub tag: Option<bool>,
    /// 141118: credentials were accepted.
    pub login: bool,
    /// 110095: a login without any problem with rights or access.
    pub no_issues: Protocols,
    /// 110385: too few rights.
    pub privilege: bool,
    /// 117885: worked once, failed later.
    pub intermittent: bool,
    /// 117887: the patch level was read.
    pub patch_level_read: bool,
    /// 20811 or 22869: the installed software was listed.
    pub software_listed: bool,
    /// 21745: the patch level could not be read.
    pub patch_assessment_failed: bool,
    /// 110695: no local checks for this system.
    pub unsupported: bool,
    /// 110723: nothing was configured for a service that was found.
    pub no_credentials: bool,
    /// 24786 or 26917: the administrative share or the registry is out of reach. Without a login they always are.
    pub windows_rights: bool,
    /// 117886: the patch level was not read, for a reason that is no error.
    pub patch_level_not_read: bool,
    /// 104410: credentials were refused.
    pub refused: Protocols,
    system: System,
    items: u64,
    items_but_ping: u64,
    evidence: Vec<Evidence>,
}

/// On which protocols a plugin has reported, by what they log in to.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one protocol seen or not; they are independent")]
pub(super) struct Protocols {
    ssh: bool,
    windows: bool,
    other: bool,
    unknown: bool,
}

impl Protocols {
    fn add(&mut self, family: Family) {
        match family {
            Family::Ssh => self.ssh = true,
            Family::Windows => self.windows = true,
            Family::Other => self.other = true,
            Family::Unknown => self.unknown = true,
        }
    }

    /// Whether there is any.
    pub(super) fn any(self) -> bool {
        self.ssh || self.windows || self.other || self.unknown
    }

    /// Whether there is one that matters: SSH for Unix and devices, SMB and WMI for Windows.
    fn on_system(self, system: System) -> bool {
        self.unknown || (self.ssh && system != System::Windows) || (self.windows && system != System::Other)
    }
}

/// The operating system, as far as it decides how one logs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum System {
    #[default]
    Unknown,
    Windows,
    Other,
}

impl Signs {
    /// Looks at an item of the host.
    pub(super) fn see(&mut self, record: &Record<'_>) {
        self.items += 1;
        let plugin = record.plugin().unwrap_or_default();
        self.items_but_ping += u64::from(plugin != "10180");
        let (sign, says): (Option<&mut bool>, &'static str) = match plugin {
            scan_information::PLUGIN => return self.see_scan_information(record),
            "141118" => (Some(&mut self.login), "credentials were accepted"),
            "110095" => (None, "the login had no problem with rights"),
            "110385" => (Some(&mut self.privilege), "the account has too few rights"),
            "117885" => (Some(&mut self.intermittent), "the login worked once and failed later"),
            "117887" => (Some(&mut self.patch_level_read), "the patch level could be read"),
            "20811" | "22869" => (Some(&mut self.software_listed), "the installed software was listed"),
            "21745" => (Some(&mut self.patch_assessment_failed), "the patch level could not be read"),
            "117886" => (Some(&mut self.patch_level_not_read), "the patch level was not read"),
            "110695" => (Some(&mut self.unsupported), "there are no local checks for this system"),
            "110723" => (Some(&mut self.no_credentials), "no credentials were given for a service that was found"),
            "24786" => (Some(&mut self.windows_rights), "the administrative share is out of reach"),
            "26917" => (Some(&mut self.windows_rights), "the registry is out of reach"),
            "104410" => (None, "the credentials were refused"),
            // Details: they explain, and decide nothing.
            "102094" => (None, "commands need more rights (detail)"),
            "10428" => (None, "the registry is not fully in reach (detail)"),
            "122501" => (None, "the device limits the rate of SSH connections (detail)"),
            _ => return,
        };
        if let Some(sign) = sign {
            *sign = true;
        }
        // What is installed is no account.
        let login = if matches!(plugin, "20811" | "22869") { Login::default() } else { Login::read(record) };
        match plugin {
            "104410" => self.refused.add(login.family()),
            "110095" => self.no_issues.add(login.family()),
            _ => {}
        }
        self.keep(format!("plugin {plugin}"), says, login);
    }

    fn see_scan_information(&mut self, record: &Record<'_>) {
        let Some(found) = ScanInformation::read(record.output()).credentialed else { return };
        self.line = Some(found.yes || self.line == Some(true));
        let says = if found.yes { "the scan was credentialed" } else { "the scan was not credentialed" };
        let protocol = found.protocol.map(|name| if name == "localhost" { name } else { name.to_ascii_uppercase() });
        let login = Login { protocol, port: None, account: found.account };
        self.keep(format!("plugin {}", scan_information::PLUGIN), says, login);
    }

    /// Looks at the host's properties; they are known when it ends.
    pub(super) fn end(&mut self, host: &Host) {
        if let Some(tag) = host.get(FieldId::Credentialed).and_then(|text| boolean(text.trim())) {
            self.tag = Some(tag);
            let says = if tag { "the scan was credentialed" } else { "the scan was not credentialed" };
            self.keep("tag Credentialed_Scan".to_owned(), says, Login::default());
        }
        let system = host.get(FieldId::OperatingSystem).unwrap_or_default();
        // Lines are candidates; when they disagree nothing is known.
        let (windows, others): (Vec<_>, Vec<_>) =
            system.lines().filter(|line| !line.trim().is_empty()).partition(|line| line.contains("Windows"));
        self.system = match (windows.is_empty(), others.is_empty()) {
            (false, true) => System::Windows,
            (true, false) => System::Other,
            _ => System::Unknown,
        };
    }

    fn keep(&mut self, source: String, says: &'static str, login: Login) {
        let Login { protocol, port, account } = login;
        let evidence = Evidence { source, says: says.into(), protocol, port, account };
        // In an order of its own, so that the order of the items does not matter.
        let Err(at) = self.evidence.binary_search(&evidence) else { return };
        let from = self.evidence.partition_point(|kept| kept.source < evidence.source);
        let to = self.evidence.partition_point(|kept| kept.source <= evidence.source);
        if to - from < EVIDENCE {
            self.evidence.insert(at, evidence);
        } else if at < to {
            self.evidence.insert(at, evidence);
            self.evidence.remove(to);
        }
    }

    /// Whether credentials were refused on the protocol that one logs in to the system with.
    pub(super) fn refused_on_system_protocol(&self) -> bool {
        self.refused.on_system(self.system)
    }

    /// Whether something is in the export that only a login can have brought: the patch level or the list of software was
    /// read, or a login to the system had no problem, and nothing says that it was of no use.
    pub(super) fn prove_login(&self) -> bool {
        let is_of_no_use = self.patch_level_not_read || self.patch_assessment_failed || self.unsupported;
        self.patch_level_read || self.software_listed || (self.no_issues.on_system(self.system) && !is_of_no_use)
    }

    /// What the scan says of itself: the line goes before the tag. Both come from the same code, and a tag may be left
    /// behind by programs that handled the export.
    pub(super) fn said(&self) -> Option<bool> {
        self.line.or(self.tag)
    }

    /// Whether anything at all was said about the login.
    pub(super) fn is_known(&self) -> bool {
        self.line.is_some() || self.tag.is_some() || self.unsupported || self.patch_level_not_read
    }

    /// Which of these signs contradict each other.
    pub(super) fn contradiction(&self) -> Option<Contradiction> {
        if self.prove_login() && self.said() == Some(false) {
            return Some(Contradiction::Proof);
        }
        (self.line.is_some() && self.tag.is_some() && self.line != self.tag).then_some(Contradiction::Tag)
    }

    /// Whether nothing but a ping was reported: the host did not answer, or was not scanned.
    pub(super) fn is_dead(&self) -> bool {
        self.items_but_ping == 0
    }

    /// Whether there was any item.
    pub(super) fn has_items(&self) -> bool {
        self.items > 0
    }

    pub(super) fn take_evidence(&mut self) -> Vec<Evidence> {
        std::mem::take(&mut self.evidence)
    }
}
