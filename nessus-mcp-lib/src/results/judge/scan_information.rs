//! What plugin 19506, "Nessus Scan Information", says in its output: lines of `Key : value`, about the scan of one host.
//!
//! The lines and their forms are those of 567 outputs of Nessus 4 to 10.11 and of the plugin's published source
//! (`scan_info.nasl` 1.118). Scan and policy names are chosen by people and stand in the same output, so a key counts
//! only at the beginning of a line, and of the line that matters most the last one counts: it stands behind the names.

use crate::results::texts::{NAME_CHARS, clean};

/// The number of the plugin.
pub(crate) const PLUGIN: &str = "19506";

/// The lines that are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScanInformation {
    /// `Nessus version`.
    pub scanner_version: Option<String>,
    /// `Plugin feed version`, YYYYMMDDhhmm.
    pub plugin_feed_version: Option<String>,
    /// `Scan policy used`.
    pub policy: Option<String>,
    /// `Credentialed checks`.
    pub credentialed: Option<Credentialed>,
}

/// The line `Credentialed checks`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentialed {
    /// Whether it says `yes`.
    pub yes: bool,
    /// The account, in `yes, as 'USER' via ssh`.
    pub account: Option<String>,
    /// The protocol there, or `localhost` for an agent.
    pub protocol: Option<String>,
}

impl ScanInformation {
    /// Reads an output.
    pub(crate) fn read(output: &str) -> Self {
        let mut found = Self::default();
        for line in output.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let keep = |place: &mut Option<String>| {
                if place.is_none() && !value.trim().is_empty() {
                    *place = Some(clean(value, NAME_CHARS));
                }
            };
            match key.trim_end() {
                "Nessus version" => keep(&mut found.scanner_version),
                "Plugin feed version" => keep(&mut found.plugin_feed_version),
                "Scan policy used" => keep(&mut found.policy),
                "Credentialed checks" => found.credentialed = Credentialed::read(value).or(found.credentialed),
                _ => {}
            }
        }
        found
    }
}

impl Credentialed {
    /// `no`, `yes`, `yes, as 'USER' via ssh`, `yes (as 'USER' via SMB`, `yes (on the localhost)`, `yes, via SNMP`.
    fn read(value: &str) -> Option<Self> {
        let value = value.trim_start();
        let word = |word: &str| {
            let rest = value.strip_prefix(word)?;
            let ends = rest.chars().next().is_none_or(|next| !next.is_alphanumeric() && next != '_');
            ends.then_some(rest)
        };
        if word("no").is_some() {
            return Some(Self::default());
        }
        let rest = word("yes")?;
        let account = rest.split_once("as '").and_then(|(_, rest)| rest.rsplit_once("' via ")).map(|(name, _)| name);
        let protocol = match rest.rsplit_once("via ") {
            Some((_, protocol)) => Some(protocol.trim_end_matches([')', ' ', '.'])),
            None => rest.contains("localhost").then_some("localhost"),
        };
        Some(Self {
            yes: true,
            account: account.map(|name| clean(name, NAME_CHARS)),
            protocol: protocol.map(|name| clean(name, 20)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, expected: Option<(bool, Option<&str>, Option<&str>)>) {
        let found = ScanInformation::read(output).credentialed;
        let found = found.as_ref().map(|line| (line.yes, line.account.as_deref(), line.protocol.as_deref()));
        assert_eq!(found, expected, "{output}");
    }

    #[test]
    fn every_form_of_the_line_is_read() {
        check("Credentialed checks : no\n", Some((false, None, None)));
        check("Credentialed checks : yes\r\nScan duration : 1 sec", Some((true, None, None)));
        check("Credentialed checks : yes, as 'ROOT' via ssh", Some((true, Some("ROOT"), Some("ssh"))));
        check("Credentialed checks : yes (as 'o'neil' via SMB", Some((true, Some("o'neil"), Some("SMB"))));
        check("Credentialed checks : yes (on the localhost)", Some((true, None, Some("localhost"))));
        check("Credentialed checks : yes, via SNMP", Some((true, None, Some("SNMP"))));
    }

    #[test]
    fn only_the_line_itself_counts_and_the_last_one() {
        check("Scan name : weekly Credentialed checks : yes\nCredentialed checks : no", Some((false, None, None)));
        check("Credentialed checks : yes\nCredentialed checks : no", Some((false, None, None)));
        check("Credentialed checks : yes\nCredentialed checks : maybe", Some((true, None, None)));
        check("Credentialed checks : nothing", None);
        check(" Credentialed checks : yes", None);
        check("", None);
    }

    #[test]
    fn the_scanner_is_known() {
        let found = ScanInformation::read(
            "Nessus version : 10.11.3\nPlugin feed version : 202611190226\nScan policy used : A: B",
        );
        assert_eq!(found.scanner_version.as_deref(), Some("10.11.3"));
        assert_eq!(found.plugin_feed_version.as_deref(), Some("202611190226"));
        assert_eq!(found.policy.as_deref(), Some("A: B"));
    }
}
