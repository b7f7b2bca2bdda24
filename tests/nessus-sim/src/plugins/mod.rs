//! The texts of the findings.
//!
//! All are written for this project, with ids, CVE numbers and product names that nobody has assigned: real plugin
//! texts belong to their vendor. Only 19506 keeps its number, because programs look for it; its text is our own too.
//! The set is small but covers what a reader of exports must survive: every severity, lists with several members,
//! missing scores, all three CVSS versions, line breaks, and characters that XML must escape.

mod logins;
mod minor;
mod serious;

pub(super) use self::logins::{LOCAL_CHECKS_FAILED, LOGIN_FAILED, LOGIN_WORKED, PRIVILEGE_LACKING};

/// A base score and its vector, both as the export writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Score {
    /// Such as `9.8`.
    pub base: &'static str,
    /// Such as `CVSS:3.0/AV:N/…`.
    pub vector: &'static str,
}

/// A check and what it says about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plugin {
    /// The plugin id.
    pub id: u32,
    /// The name, as the finding's title.
    pub name: &'static str,
    /// The family.
    pub family: &'static str,
    /// 0 (info) to 4 (critical).
    pub severity: u8,
    /// Where it is found; 0 is the host itself.
    pub port: u16,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: &'static str,
    /// The service's name.
    pub service: &'static str,
    /// One sentence.
    pub synopsis: &'static str,
    /// What is wrong.
    pub description: &'static str,
    /// What to do.
    pub solution: &'static str,
    /// What was seen; `{host}` and `{port}` are filled in. Empty for a plugin without output.
    pub output: &'static str,
    /// CVE ids.
    pub cve: &'static [&'static str],
    /// CWE numbers.
    pub cwe: &'static [u32],
    /// References as `TYPE:ID`.
    pub xref: &'static [&'static str],
    /// Links.
    pub see_also: &'static [&'static str],
    /// The product's CPE; may be empty.
    pub cpe: &'static str,
    /// CVSS v2.
    pub cvss2: Option<Score>,
    /// CVSS v3.
    pub cvss3: Option<Score>,
    /// CVSS v4.
    pub cvss4: Option<Score>,
    /// The priority rating; may be empty.
    pub vpr: &'static str,
    /// The exploit prediction; may be empty.
    pub epss: &'static str,
    /// Whether an exploit is known; exports say it of few plugins.
    pub exploit: Option<&'static str>,
    /// The date in the catalogue of exploited vulnerabilities; may be empty.
    pub exploited: &'static str,
    /// When the plugin appeared.
    pub published: &'static str,
}

/// A plugin that says nothing; the catalogues name only what differs.
const BLANK: Plugin = Plugin {
    id: 0,
    name: "",
    family: "General",
    severity: 0,
    port: 0,
    protocol: "tcp",
    service: "general",
    synopsis: "",
    description: "",
    solution: "n/a",
    output: "",
    cve: &[],
    cwe: &[],
    xref: &[],
    see_also: &[],
    cpe: "",
    cvss2: None,
    cvss3: None,
    cvss4: None,
    vpr: "",
    epss: "",
    exploit: None,
    exploited: "",
    published: "2024/03/12",
};

const fn score(base: &'static str, vector: &'static str) -> Option<Score> {
    Some(Score { base, vector })
}

/// The id of the plugin that describes the scan itself.
pub(super) const SCAN_INFORMATION: u32 = 19506;

/// Plugin 19506; its output is made from the scan.
pub(super) static SCAN_INFO: Plugin = Plugin {
    id: SCAN_INFORMATION,
    name: "Nessus Scan Information",
    family: "Settings",
    synopsis: "A summary of how this host was scanned.",
    description: "Lists the settings this simulated scan ran with: versions, policy, port range, and whether the \
                  scanner could log in to the host.",
    ..BLANK
};

/// The number of plugins a host may have, 19506 not counted.
pub(super) const COUNT: usize = serious::PLUGINS.len() + minor::PLUGINS.len();

/// The plugin at `index`, counted round and round.
pub(super) fn at(index: usize) -> &'static Plugin {
    let index = index % COUNT;
    serious::PLUGINS.get(index).unwrap_or_else(|| &minor::PLUGINS[index - serious::PLUGINS.len()])
}

/// All of them, 19506 included.
pub(super) fn all() -> impl Iterator<Item = &'static Plugin> {
    serious::PLUGINS.iter().chain(&minor::PLUGINS).chain([&SCAN_INFO])
}

impl Plugin {
    /// The label that Nessus puts beside the severity.
    pub(super) fn risk_factor(&self) -> &'static str {
        ["None", "Low", "Medium", "High", "Critical"].get(usize::from(self.severity)).copied().unwrap_or("None")
    }

    /// The name of the file the check would be in.
    pub(super) fn file_name(&self) -> String {
        let mut name = String::new();
        for c in self.name.chars() {
            match (c.is_ascii_alphanumeric(), name.ends_with('_')) {
                (true, _) => name.push(c.to_ascii_lowercase()),
                (false, false) => name.push('_'),
                (false, true) => {}
            }
        }
        format!("{}.nasl", name.trim_matches('_'))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_catalogue_is_whole() {
        assert_eq!(all().map(|plugin| plugin.id).collect::<HashSet<_>>().len(), COUNT + 1, "an id stands twice");
        for severity in 0..=4 {
            assert!(all().any(|plugin| plugin.severity == severity), "no plugin of severity {severity}");
        }
        for plugin in all() {
            assert!(!plugin.synopsis.is_empty() && !plugin.description.is_empty(), "{}", plugin.id);
            let base = plugin.cvss3.map_or(0.0, |score| score.base.parse::<f32>().unwrap());
            let expected = match base {
                9.0.. => 4,
                7.0.. => 3,
                4.0.. => 2,
                0.1.. => 1,
                _ => plugin.severity,
            };
            assert_eq!(plugin.severity, expected, "{} contradicts its score", plugin.id);
        }
    }
}
