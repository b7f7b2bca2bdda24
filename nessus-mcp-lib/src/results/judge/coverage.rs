//! What a scan looked at on a host: what plugin 19506 says, else what the policy in the export says.
//!
//! A finding can be missing because it is gone, or because nobody looked. Here stands how much was looked at; what follows
//! for two scans, the comparison decides.

use super::port_range::PortRange;
use crate::results::xml::PolicyScope;

/// Something that a scan does more or less of; more finds more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    ThoroughTests,
    CgiScanning,
    WebTests,
    Paranoia,
    ExperimentalTests,
    /// More is: without regard to safety.
    UnsafeChecks,
}

impl Setting {
    /// Every setting.
    pub(crate) const ALL: [Self; 6] = [
        Self::ThoroughTests,
        Self::CgiScanning,
        Self::WebTests,
        Self::Paranoia,
        Self::ExperimentalTests,
        Self::UnsafeChecks,
    ];

    /// The line in plugin 19506.
    const fn line(self) -> &'static str {
        match self {
            Self::ThoroughTests => "Thorough tests",
            Self::CgiScanning => "CGI scanning",
            Self::WebTests => "Web application tests",
            Self::Paranoia => "Paranoia level",
            Self::ExperimentalTests => "Experimental tests",
            Self::UnsafeChecks => "Safe checks",
        }
    }

    /// What the name of the setting in the policy holds.
    const fn preference(self) -> &'static str {
        match self {
            Self::ThoroughTests => "Thorough tests",
            Self::CgiScanning => "Enable CGI scanning",
            Self::WebTests => "Enable web applications tests",
            Self::Paranoia => "Report paranoia",
            Self::ExperimentalTests => "Enable experimental scripts",
            Self::UnsafeChecks => "safe_checks",
        }
    }

    /// How much a value stands for.
    fn level(self, value: &str) -> Option<u8> {
        let value = value.trim().to_ascii_lowercase();
        if self == Self::Paranoia {
            let words = [("normal", 1), ("avoid", 0), ("paranoid", 2)];
            let named = words.into_iter().find(|(word, _)| value.starts_with(word) && !value.contains(';'));
            let number = value.chars().next().filter(|_| value.len() == 1).and_then(|digit| digit.to_digit(10));
            return named.map(|(_, level)| level).or_else(|| u8::try_from(number?).ok());
        }
        let said = match value.split(|letter: char| !letter.is_alphanumeric()).next()? {
            "yes" | "enabled" | "true" => true,
            "no" | "disabled" | "false" => false,
            _ => return None,
        };
        Some(u8::from(said != (self == Self::UnsafeChecks)))
    }

    /// The word for a level, as plugin 19506 has it.
    pub(crate) fn word(self, level: u8) -> String {
        let more = level > 0;
        match self {
            Self::Paranoia => level.to_string(),
            Self::CgiScanning | Self::WebTests => if more { "enabled" } else { "disabled" }.to_owned(),
            Self::UnsafeChecks => if more { "no" } else { "yes" }.to_owned(),
            Self::ThoroughTests | Self::ExperimentalTests => if more { "yes" } else { "no" }.to_owned(),
        }
    }
}

/// How a scan was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ScanKind {
    /// Over the network.
    Network,
    /// By an agent on the host: what the network shows is not looked at.
    Agent,
    /// Only to find hosts.
    Discovery,
}

impl ScanKind {
    /// The word in a comparison.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Agent => "agent",
            Self::Discovery => "host discovery",
        }
    }
}

/// What a scan looked at on a host, as far as the export says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Coverage {
    /// The ports.
    pub ports: Option<PortRange>,
    /// How the scan was done.
    pub kind: Option<ScanKind>,
    /// Whether plugin 19506 says that the scan of the host was cut short.
    pub is_interrupted: bool,
    levels: [Option<u8>; Setting::ALL.len()],
}

impl Coverage {
    /// Reads an output of plugin 19506. Names that people have chosen stand before the other lines: the last line counts.
    pub(crate) fn read(output: &str) -> Self {
        let mut found = Self::default();
        let mut lists_ports_itself = false;
        let mut is_discovery = false;
        for line in output.lines() {
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            match key.trim() {
                "Port range" => found.ports = PortRange::read(value).or(found.ports),
                "Port scanner(s)" => {
                    // These ask the host for what it listens on, whatever the range.
                    let value = value.to_ascii_lowercase();
                    lists_ports_itself = ["netstat", "snmp"].iter().any(|scanner| value.contains(scanner));
                }
                "Scan type" => {
                    let is_agent = value.to_ascii_lowercase().contains("agent");
                    found.kind = Some(if is_agent { ScanKind::Agent } else { ScanKind::Network });
                }
                "Scan policy used" => is_discovery = is_host_discovery(value),
                "Scan name" | "Recv timeout" => {}
                key => {
                    if let Some(setting) = Setting::ALL.into_iter().find(|setting| setting.line() == key) {
                        let level = &mut found.levels[setting as usize];
                        *level = setting.level(value).or(*level);
                    } else {
                        found.is_interrupted |= says_interrupted(line);
                    }
                }
            }
        }
        if is_discovery {
            found.kind = Some(ScanKind::Discovery);
        }
        if lists_ports_itself || found.kind == Some(ScanKind::Agent) {
            found.ports = Some(PortRange::all());
        }
        found
    }

    /// What a policy says; `name` is its name.
    pub(crate) fn of_policy(policy: &PolicyScope, name: Option<&str>) -> Self {
        let mut found = Self {
            ports: policy.setting("port_range").and_then(PortRange::read),
            kind: name.filter(|name| is_host_discovery(name)).map(|_| ScanKind::Discovery),
            ..Self::default()
        };
        for setting in Setting::ALL {
            let value = policy.setting(setting.preference());
            found.levels[setting as usize] = value.and_then(|value| setting.level(value));
        }
        found
    }

    /// With what `other` says where this says nothing.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        self.ports = self.ports.or_else(|| other.ports.clone());
        self.kind = self.kind.or(other.kind);
        for (level, other) in self.levels.iter_mut().zip(other.levels) {
            *level = level.or(other);
        }
        self
    }

    /// What two scans of one host have looked at together, in either order.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut both = self.clone().or(other);
        if let (Some(one), Some(another)) = (&self.ports, &other.ports) {
            both.ports = Some(one.union(another));
        }
        if self.kind != other.kind && self.kind.is_some() && other.kind.is_some() {
            both.kind = None;
        }
        for (level, (one, another)) in both.levels.iter_mut().zip(self.levels.iter().zip(other.levels)) {
            *level = (*one).max(another);
        }
        both.is_interrupted = self.is_interrupted && other.is_interrupted;
        both
    }

    /// How much was done of something.
    pub(crate) fn level(&self, setting: Setting) -> Option<u8> {
        self.levels[setting as usize]
    }
}

/// The name of the vendor's policy that only looks for hosts.
fn is_host_discovery(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("host discovery")
}

/// Whether a line between the others is a note that the scan did not come to its end.
fn says_interrupted(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["abort", "timed out", "interrupted", "did not complete", "not completed", "was stopped", "stopped responding"]
        .iter()
        .any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::judge::port_range::Transport::Tcp;

    #[test]
    fn every_line_is_read() {
        let found = Coverage::read(
            "Information about this scan :\n\nScan type : Normal\nScan name : Thorough tests : aborted\n\
             Port scanner(s) : nessus_syn_scanner\nPort range : 80,443\nThorough tests : no\nExperimental tests : yes\n\
             Paranoia level : 2\nSafe checks : no\nCGI scanning : disabled\nWeb application tests : enabled\n\
             Web app tests -  Stop at first flaw : CGI\nRecv timeout : 5\n",
        );
        let levels = Setting::ALL.map(|setting| found.level(setting));
        assert_eq!(levels, [Some(0), Some(0), Some(1), Some(2), Some(1), Some(1)]);
        assert_eq!(
            Setting::ALL.map(|setting| setting.word(found.level(setting).unwrap())),
            ["no", "disabled", "enabled", "2", "yes", "no"]
        );
        assert_eq!((found.kind, found.is_interrupted), (Some(ScanKind::Network), false));
        assert_eq!(found.ports.map(|ports| ports.text()).as_deref(), Some("80,443"));
    }

    #[test]
    fn who_asks_the_host_itself_sees_every_port() {
        for lines in ["Port scanner(s) : wmi_netstat\nPort range : 80", "Scan type : Windows Agent"] {
            assert!(Coverage::read(lines).ports.unwrap().has(48_211, Tcp), "{lines}");
        }
    }

    #[test]
    fn notes_of_an_unfinished_scan_are_seen() {
        for (line, expected) in [
            ("ERROR : The scan of this host was aborted.", true),
            ("WARNING : the port scan timed out", true),
            ("Scan name : aborted", false),
            ("Scan policy used : timed out", false),
            ("Recv timeout : 5", false),
        ] {
            assert_eq!(Coverage::read(line).is_interrupted, expected, "{line}");
        }
    }

    #[test]
    fn two_scans_of_a_host_have_looked_at_the_more_of_both() {
        let one = Coverage::read("Port range : 80\nThorough tests : yes\nScan type : Normal");
        let another = Coverage::read("Port range : 443\nThorough tests : no\nSafe checks : no\nScan was aborted");
        let both = one.union(&another);
        assert_eq!(both, another.union(&one));
        assert_eq!((both.level(Setting::ThoroughTests), both.level(Setting::UnsafeChecks)), (Some(1), Some(1)));
        assert!(both.ports.as_ref().unwrap().has(80, Tcp) && both.ports.as_ref().unwrap().has(443, Tcp));
        assert!(!both.is_interrupted);
        let agent = Coverage::read("Scan type : Unix Agent");
        assert_eq!(one.union(&agent).kind, None);
    }
}
