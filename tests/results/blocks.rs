//! The order of the blocks of an export, and the letter case of names, change no answer.

use std::collections::BTreeMap;

use nessus_mcp_lib::results::{DEFAULT_CHARS, ExportStats, LoginExpected, ScanSummary, Validation};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{engine, indexed::Indexed};

/// One `ReportHost`.
pub(crate) fn block() -> BoxedStrategy<String> {
    let name = select(vec![
        "192.0.2.20",
        "192.0.2.21",
        "web01.corp.example",
        "web01",
        "db07.corp.example",
        "https://shop.corp.example/a",
        "2001:db8::7",
    ]);
    let tag = prop_oneof![
        3 => select(vec!["192.0.2.20", "192.0.2.21", "2001:db8::7"]).prop_map(|ip| ("host-ip", ip)),
        2 => select(vec!["web01.corp.example", "db07.corp.example"]).prop_map(|name| ("host-fqdn", name)),
        1 => select(vec!["web01", "db07"]).prop_map(|name| ("hostname", name)),
        1 => select(vec!["true", "false"]).prop_map(|said| ("Credentialed_Scan", said)),
        1 => select(vec!["Linux Kernel 6.1", "Microsoft Windows 11"]).prop_map(|system| ("operating-system", system)),
    ];
    let about = (1..4_u8, 1..4_u8, any::<bool>()).prop_map(|(feed, version, credentialed)| {
        let said = if credentialed { "yes" } else { "no" };
        let output = format!(
            "Nessus version : 10.{version}.0\nPlugin feed version : 20260{feed}010000\nScan policy used : P{version}\n\
             Credentialed checks : {said}"
        );
        format!(
            "<ReportItem pluginID='19506' severity='0' port='0'><plugin_output>{output}</plugin_output></ReportItem>"
        )
    });
    let login = select(vec![104_410, 110_095, 110_385, 117_887, 141_118, 21_745])
        .prop_map(|plugin| format!("<ReportItem pluginID='{plugin}' severity='0' svc_name='ssh' port='22'/>"));
    let flaw = (0..15_u32, 0..5_u8, 0..10_u8, select(vec!["80", "443"])).prop_map(|(plugin, severity, score, port)| {
        format!(
            "<ReportItem pluginID='{}' pluginName='Flaw {plugin}.{score}' severity='{severity}' port='{port}'>\
             <cvss3_base_score>{score}.5</cvss3_base_score><epss_score>0.{score}</epss_score><vpr_score>{score}.1</vpr_score>\
             <exploit_available>{}</exploit_available><cisa-known-exploited>2026/01/0{}</cisa-known-exploited>\
             <solution>Update {}.</solution></ReportItem>",
            900_000 + plugin,
            score % 2 == 0,
            score.max(1),
            plugin / 12
        )
    });
    let ping = Just("<ReportItem pluginID='10180' severity='0' port='0'/>".to_owned());
    let item = prop_oneof![1 => about, 2 => login, 6 => flaw, 1 => ping];
    (name, vec(tag, 0..5), vec(item, 0..5))
        .prop_map(|(name, tags, items)| {
            let tags: BTreeMap<&str, &str> = tags.into_iter().collect();
            let tags: Vec<String> =
                tags.iter().map(|(tag, value)| format!("<tag name='{tag}'>{value}</tag>")).collect();
            let tags = tags.concat();
            format!("<ReportHost name='{name}'><HostProperties>{tags}</HostProperties>{}</ReportHost>", items.concat())
        })
        .boxed()
}

pub(crate) fn export(blocks: &[String]) -> String {
    format!("<NessusClientData_v2><Report name='r'>{}</Report></NessusClientData_v2>", blocks.concat())
}

/// The names in other letters.
fn in_other_case(block: &str) -> String {
    ["web01", "db07", "shop", "corp.example"]
        .into_iter()
        .fold(block.to_owned(), |block, name| block.replace(name, &name.to_uppercase()))
}

/// Everything that is said of an export as a whole.
fn answers(export: &str) -> Value {
    let bytes = export.as_bytes();
    let validation = Validation::new()
        .login(LoginExpected::Yes)
        .targets("192.0.2.20,192.0.2.30-192.0.2.99,web01.corp.example,db07,nowhere.example".parse().unwrap())
        .reported_hosts(3)
        .hosts_listed(4);
    let report = validation.run(std::io::Cursor::new(bytes)).unwrap();
    let summary = ScanSummary::read(std::io::Cursor::new(bytes), LoginExpected::NotSaid).unwrap();
    json!({ "report": report, "summary": summary.view(DEFAULT_CHARS), "text": summary.view(DEFAULT_CHARS).to_string() })
}

/// The findings in the order in which they are shown, and their order by what decides it.
fn findings(export: &str) -> (Vec<String>, Vec<String>) {
    let found = engine::ask(export.as_bytes(), engine::everything().sort("worst_first".parse().unwrap())).unwrap();
    let order = found
        .findings()
        .map(|finding| {
            let what = ["severity", "cvss_score", "host", "port", "plugin_id"]
                .map(|name| finding.get(name).map(ToString::to_string));
            format!("{what:?}").to_lowercase()
        })
        .collect();
    let mut all: Vec<String> = found.findings().map(|finding| Value::Object(finding.clone()).to_string()).collect();
    all.sort();
    (all, order)
}

fn in_lower_case(value: &Value) -> String {
    value.to_string().to_lowercase()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_the_blocks_changes_no_answer(
        (blocks, turned) in vec(block(), 0..9).prop_flat_map(|blocks| (Just(blocks.clone()), Just(blocks).prop_shuffle())),
    ) {
        let (one, another) = (export(&blocks), export(&turned));
        prop_assert_eq!(answers(&one), answers(&another), "{}\n{}", one, another);
        prop_assert_eq!(findings(&one), findings(&another));
    }

    #[test]
    fn the_letter_case_of_names_changes_no_answer(blocks in vec((block(), any::<bool>()), 0..9)) {
        let plain: Vec<String> = blocks.iter().map(|(block, _)| block.clone()).collect();
        let other: Vec<String> =
            blocks.iter().map(|(block, turns)| if *turns { in_other_case(block) } else { block.clone() }).collect();
        let (one, another) = (export(&plain), export(&other));
        prop_assert_eq!(in_lower_case(&answers(&one)), in_lower_case(&answers(&another)), "{}\n{}", one, another);
        for filter in [r#"{"host":"web01"}"#, r#"{"host":"=WEB01.corp.example."}"#, r#"{"host":"!=Db07"}"#, r#"{"host_fqdn":"=DB07.corp.example"}"#] {
            let ask = |export: &str| {
                let query = || engine::everything().filters(filter.parse().unwrap());
                let found = engine::ask(export.as_bytes(), query()).unwrap();
                let indexed = Indexed::new(export.as_bytes()).unwrap().ask(query());
                assert_eq!(format!("{:?}", Ok::<_, ()>(&found)), format!("{indexed:?}"), "the index gives the same answer");
                found.findings().count()
            };
            prop_assert_eq!(ask(&one), ask(&another), "{}", filter);
        }
    }

    #[test]
    fn counts_of_hosts_agree_everywhere(blocks in vec(block(), 0..9)) {
        let export = export(&blocks);
        let stats: ExportStats = nessus_mcp_lib::results::validate(std::io::Cursor::new(&export)).unwrap();
        let report = Validation::new().hosts_listed(usize::MAX).run(std::io::Cursor::new(&export)).unwrap();
        let view = ScanSummary::read(std::io::Cursor::new(&export), LoginExpected::NotSaid).unwrap().view(1_000_000);
        prop_assert_eq!(stats.hosts, report.authentication.counts.live() + report.authentication.dead_hosts);
        prop_assert_eq!(report.authentication.hosts.len() as u64, report.authentication.counts.live());
        prop_assert_eq!(stats.hosts, view.counts.hosts);
        let all = engine::ask(export.as_bytes(), engine::everything()).unwrap();
        prop_assert_eq!(all.findings().count() as u64, stats.items, "what stands in several blocks is one finding everywhere");
        prop_assert_eq!(stats.items + stats.repeated_items, export.matches("<ReportItem").count() as u64);
        prop_assert_eq!((&report.stats, view.counts.severity_counts), (&stats, stats.severity_counts));
        if let Some(by_host) = &view.authentication.unwrap().by_host {
            prop_assert_eq!(by_host.total, stats.hosts);
        }
        prop_assert!(view.plugins.unwrap().shown.iter().all(|plugin| plugin.hosts <= stats.hosts));
        for host in view.hosts.unwrap().shown.iter().filter(|host| host.filters.is_some()) {
            let filters = host.filters.as_ref().unwrap().to_string().parse().unwrap();
            let found = engine::ask(export.as_bytes(), engine::everything().filters(filters)).unwrap();
            prop_assert!(found.findings().count() as u64 >= host.severity_counts.total(), "{host:?}");
        }
    }
}
