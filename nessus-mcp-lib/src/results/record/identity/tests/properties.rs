//! What changes no key and no pair.

use std::collections::BTreeSet;

use super::{super::machines::Tie, *};

/// Plugins of which every rule has one, with an output that has a place for a number, a time and a version.
fn findings() -> impl Strategy<Value = (Vec<Finding>, Vec<Finding>)> {
    let place = ("[a-z]{1,8}", 0_usize..7, 1_u16..9);
    let noise = ("[0-9]{1,4}", "[0-9]\\.[0-9]{1,2}\\.[0-9]{1,3}", "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]");
    let one = (place, noise, noise).prop_map(|((name, rule, port), first, second)| {
        let finding = |(number, version, time): (String, String, String)| {
            let (plugin, family, read) = match rule {
                0 => (900_001, "CGI abuses", format!("URL : http://h/{name}.cgi?n={number}")),
                1 => (900_002, "Windows", format!(r"Path : C:\{name}\prog-{version}\x.exe")),
                2 => (51_192, "General", format!("|-Subject : C=XX/CN={name}.example\n|-Not After : {time}")),
                3 => (141_118, "Settings", format!("Protocol : {name}")),
                4 => (22_964, "Service detection", format!("A {name} server is running on this port through TLSv{version}.")),
                5 => (900_003, "Ubuntu Local Security Checks", format!("  - Installed package : {name}_{version}")),
                _ => (900_004, "General", format!("There are {number} of them.")),
            };
            let output = format!("{read}\nInstalled version : {version}\nSeen {number} times until {time}\n");
            let elements = format!(
                "<plugin_version>{version}</plugin_version><script_version>1.{number}</script_version><plugin_modification_date>2026/01/{:02}</plugin_modification_date>",
                number.len()
            );
            Finding { plugin, port, family, output, elements }
        };
        (finding(first), finding(second))
    });
    prop::collection::vec(one, 1..12).prop_map(|pairs| pairs.into_iter().unzip())
}

fn evidence() -> impl Strategy<Value = HostEvidence> {
    let name = prop_oneof!["[ab]", "[ab]\\.example", "192\\.0\\.2\\.[1-3]"];
    let fqdn = prop::option::of(prop_oneof!["[ab]\\.example", "[ab]\\.test"]);
    let mac = prop::option::of("00:50:56:00:00:0[1-3]");
    (name, prop::option::of("192\\.0\\.2\\.[1-3]"), fqdn, mac).prop_map(|(name, address, fqdn, mac)| {
        let mut host = HostEvidence::named(&name);
        for (tag, value) in [("host-ip", address), ("host-fqdn", fqdn), ("mac-address", mac)] {
            if let Some(value) = value {
                host.note(tag, &value);
            }
        }
        host
    })
}

/// The machines of an export, each once.
fn machines(blocks: &[HostEvidence]) -> Vec<HostEvidence> {
    let mut machines: Vec<HostEvidence> = Vec::new();
    for (block, number) in blocks.iter().zip(group(blocks)) {
        match machines.get_mut(number) {
            Some(machine) => machine.merge(block),
            None => machines.push(block.clone()),
        }
    }
    machines
}

fn pairs(before: &[HostEvidence], after: &[HostEvidence]) -> BTreeSet<(HostEvidence, HostEvidence, Tie)> {
    match_hosts(before, after).into_iter().map(|(was, is, tie)| (before[was].clone(), after[is].clone(), tie)).collect()
}

fn blocks() -> impl Strategy<Value = Vec<HostEvidence>> {
    prop::collection::vec(evidence(), 0..8)
}

proptest! {
    #[test]
    fn other_numbers_times_and_versions_change_no_key((first, second) in findings()) {
        prop_assert_eq!(keys(&first), keys(&second));
    }

    #[test]
    fn the_order_of_findings_changes_no_key((first, _) in findings()) {
        let mut turned = first.clone();
        turned.reverse();
        let mut found = keys(&turned);
        found.reverse();
        prop_assert_eq!(found, keys(&first));
    }

    #[test]
    fn what_is_read_tells_findings_apart(names in prop::collection::btree_set("[a-z]{1,8}", 2..5)) {
        let all: Vec<Finding> = names.iter().map(|name| Finding::new(1, "CGI abuses", &format!("URL : http://h/{name}"))).collect();
        prop_assert_eq!(keys(&all).into_iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn any_output_is_read(output in "\\PC{0,200}", plugin in prop::sample::select(vec![1, 22_964, 42_799, 51_192, 141_118]), family in prop::sample::select(vec!["CGI abuses", "Windows", "General"])) {
        keys(&[Finding::new(plugin, family, &output)]);
    }

    #[test]
    fn blocks_are_grouped_the_same_in_any_order(blocks in blocks(), seed in any::<prop::sample::Index>()) {
        let machines_of = |blocks: &[HostEvidence]| machines(blocks).into_iter().collect::<BTreeSet<_>>();
        let mut turned = blocks.clone();
        if !turned.is_empty() {
            let by = seed.index(turned.len());
            turned.rotate_left(by);
        }
        prop_assert_eq!(machines_of(&turned), machines_of(&blocks));
        turned.reverse();
        prop_assert_eq!(machines_of(&turned), machines_of(&blocks));
    }

    #[test]
    fn hosts_are_paired_the_same_in_any_order_and_direction(before in blocks(), after in blocks()) {
        let (before, after) = (machines(&before), machines(&after));
        let expected = pairs(&before, &after);
        let (mut was, mut is) = (before.clone(), after.clone());
        was.reverse();
        is.rotate_left(after.len() / 2);
        prop_assert_eq!(&pairs(&was, &is), &expected);
        let turned: BTreeSet<_> = pairs(&after, &before).into_iter().map(|(is, was, tie)| (was, is, tie)).collect();
        prop_assert_eq!(&turned, &expected);
        let partners: BTreeSet<_> = match_hosts(&before, &after).into_iter().map(|(was, _, _)| was).collect();
        prop_assert_eq!(partners.len(), expected.len(), "each at most once");
    }

    #[test]
    fn an_export_is_paired_with_itself(blocks in blocks()) {
        let machines = machines(&blocks);
        for (was, is, _) in match_hosts(&machines, &machines) {
            prop_assert_eq!(was, is);
        }
        let with_address = machines.iter().filter(|machine| machine.address().is_some()).count();
        prop_assert!(match_hosts(&machines, &machines).len() >= with_address, "all that say an address");
    }
}

/// A finding as two scans show it: the same, with what changes from one to the other.
#[derive(Debug, Clone)]
struct Seen {
    rule: usize,
    name: String,
    more: Vec<String>,
    port: u16,
}

/// What one scan adds to what it has found.
#[derive(Debug, Clone)]
struct Noise {
    version: String,
    time: String,
    number: u32,
    turns: usize,
    is_loud: bool,
}

impl Seen {
    fn xml(&self, noise: &Noise) -> String {
        let Noise { version, time, number, turns, is_loud } = noise;
        let label = |text: &str| if *is_loud { format!("   {}   ", text.to_uppercase()) } else { text.to_owned() };
        let mut lines: Vec<String> = [&self.name].into_iter().chain(&self.more).cloned().collect();
        let by = turns % lines.len();
        lines.rotate_left(by);
        let each = |show: &dyn Fn(&str) -> String| lines.iter().map(|name| show(name)).collect::<Vec<_>>().join("\n\n");
        let (plugin, family, read) = match self.rule {
            0 => (
                900_001,
                "CGI abuses",
                each(&|name| format!("{}: http://h/{name}.cgi?n={number}#{time}", label("URL"))),
            ),
            1 => (900_002, "Windows", each(&|name| format!(r"{}: C:\{name}\prog-{version}\x.exe", label("Path")))),
            2 => (
                51_192,
                "General",
                each(&|name| format!("|-{}: C=XX/CN={name}.example\n|-Not After : {time}", label("Subject"))),
            ),
            3 => (900_003, "Misc.", each(&|name| format!("{}: {name}-{version}", label("Package")))),
            4 => (900_004, "Web Servers", each(&|name| format!("  - http://h/{name}/"))),
            5 => (
                900_005,
                "Ubuntu Local Security Checks",
                each(&|name| format!("  - Installed package : {name}_{version}")),
            ),
            6 => (10_396, "Windows", each(&|name| format!("- {name}$  - (readable)"))),
            7 => (
                34_252,
                "Windows",
                format!("The Win32 process '{}' is listening on this port (pid {number}).", self.name),
            ),
            _ => (21_156, "Policy Compliance", format!("{} : [FAILED] {time}", self.name)),
        };
        let check = if self.rule > 7 {
            let (gap, result) = if *is_loud { ("\n   ", "PASSED") } else { (" ", "FAILED") };
            format!(
                "<compliance>true</compliance><cm:compliance-check-name>{gap}1.1{gap}{}</cm:compliance-check-name><cm:compliance-result>{result}</cm:compliance-result><cm:compliance-actual-value>{number}</cm:compliance-actual-value>",
                self.name
            )
        } else {
            String::new()
        };
        let banner = format!(
            "Banner : SSH-2.0-Prog_{version}\nInstalled version : {version}\nSeen {number} times until {time}\n"
        );
        let output = escaped(&if *is_loud { format!("\r\n\r\n{read}\r\n{banner}") } else { format!("{read}\n") });
        let (port, protocol) =
            if *is_loud { (format!(" {} ", self.port), "TCP") } else { (self.port.to_string(), "tcp") };
        format!(
            r#"<ReportItem port="{port}" protocol="{protocol}" severity="2" pluginID="{plugin}" pluginFamily="{family}"><script_version>1.{number}</script_version><plugin_modification_date>2026/01/{:02}</plugin_modification_date>{check}<plugin_output>{output}</plugin_output></ReportItem>"#,
            number % 28 + 1
        )
    }
}

fn seen() -> impl Strategy<Value = Seen> {
    (0..9_usize, "[a-z]{1,8}", prop::collection::vec("[a-z]{1,8}", 0..3), 1..4_u16)
        .prop_map(|(rule, name, more, port)| Seen { rule, name, more, port })
}

fn noise() -> impl Strategy<Value = Noise> {
    let version = "[0-9]\\.[0-9]{1,2}\\.[0-9]{1,3}";
    (version, "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]", 0..1000_u32, 0..6_usize, any::<bool>())
        .prop_map(|(version, time, number, turns, is_loud)| Noise { version, time, number, turns, is_loud })
}

/// The keys of an export, sorted.
fn keys_of(hosts: &[Vec<Seen>], noise: &Noise, turned: bool) -> Vec<String> {
    let host = |number: usize, items: &Vec<Seen>| {
        let name = format!("web{number}.corp.example");
        let name = if noise.is_loud { format!(" {}. ", name.to_uppercase()) } else { name };
        let mut items: Vec<String> = items.iter().map(|item| item.xml(noise)).collect();
        if turned {
            items.reverse();
        }
        format!(
            r#"<ReportHost name="{name}"><HostProperties><tag name="host-ip"> 192.0.2.{number} </tag><tag name="HOST_START">{}</tag></HostProperties>{}</ReportHost>"#,
            noise.time,
            items.concat()
        )
    };
    let mut blocks: Vec<String> = hosts.iter().enumerate().map(|(number, items)| host(number, items)).collect();
    if turned {
        blocks.reverse();
    }
    let export = format!("<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>", blocks.concat());
    let mut reader = ExportReader::new(export.as_bytes(), 0);
    let mut keys = Vec::new();
    loop {
        match reader.next().unwrap() {
            Step::Item => keys.push(Record { host: reader.host(), item: reader.item() }.key().to_string()),
            Step::End => break,
            Step::HostStart | Step::HostEnd | Step::Repeated => {}
        }
    }
    keys.sort();
    keys
}

proptest! {
    #[test]
    fn what_changes_from_scan_to_scan_changes_no_key(
        hosts in prop::collection::vec(prop::collection::vec(seen(), 0..6), 1..4), before in noise(), after in noise(),
        turned in any::<bool>(),
    ) {
        let first = keys_of(&hosts, &before, false);
        prop_assert_eq!(&keys_of(&hosts, &after, turned), &first);
        let parts: BTreeSet<&str> = first.iter().map(String::as_str).collect();
        let places: BTreeSet<_> = hosts.iter().enumerate().flat_map(|(host, items)| items.iter().map(move |item| (host, item.rule, item.port))).collect();
        prop_assert!(parts.len() >= places.len(), "hosts, plugins and ports are always told apart");
    }
}
