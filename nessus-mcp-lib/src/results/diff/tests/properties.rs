//! What changes no answer: the order of hosts and items, the letter case of names; and a scan does not differ from itself.

use proptest::prelude::*;

use super::*;

/// One block of a host: its name, its properties, its items.
#[derive(Debug, Clone)]
struct Block {
    name: String,
    address: Option<String>,
    fqdn: Option<String>,
    /// A scanner reports it at most once for a host.
    information: Option<String>,
    items: Vec<String>,
}

fn block() -> impl Strategy<Value = Block> {
    let name = prop_oneof!["[ab]\\.example", "192\\.0\\.2\\.[12]"];
    let address = prop::option::of("192\\.0\\.2\\.[12]");
    let fqdn = prop::option::of("[ab]\\.example");
    (name, address, fqdn, prop::option::of(information()), prop::collection::vec(item(), 0..8))
        .prop_map(|(name, address, fqdn, information, items)| Block { name, address, fqdn, information, items })
}

fn information() -> impl Strategy<Value = String> {
    let lines = prop_oneof![
        Just("Port range : 1-65535"),
        Just("Port range : 1"),
        Just("Port range : 2\nThorough tests : yes"),
        Just("CGI scanning : disabled\nCredentialed checks : no"),
        Just("Thorough tests : no\nCredentialed checks : yes"),
    ];
    lines.prop_map(|lines| {
        format!(
            "<ReportItem pluginID='19506' severity='0' port='0' protocol='tcp'><plugin_output>{lines}</plugin_output></ReportItem>"
        )
    })
}

fn item() -> impl Strategy<Value = String> {
    let finding = (1_u32..4, 0_u8..5, 0_u16..3, "[xy]{0,2}").prop_map(|(plugin, severity, port, output)| {
        format!(
            "<ReportItem pluginID='{plugin}' pluginName='P{plugin}' pluginFamily='CGI abuses' severity='{severity}' \
             port='{port}' protocol='tcp'><plugin_output>{output}</plugin_output></ReportItem>"
        )
    });
    let check = ("[12]", "[ab]", prop_oneof!["PASSED", "FAILED", "ERROR"]).prop_map(|(name, audit, result)| {
        format!(
            "<ReportItem pluginID='21157' severity='3' port='0' protocol='tcp'>\
             <cm:compliance-check-name>{name}</cm:compliance-check-name>\
             <cm:compliance-audit-file>{audit}</cm:compliance-audit-file>\
             <cm:compliance-result>{result}</cm:compliance-result></ReportItem>"
        )
    });
    prop_oneof![4 => finding, 1 => check]
}

fn scan() -> impl Strategy<Value = Vec<Block>> {
    prop::collection::vec(block(), 0..5)
}

/// The same scan in another order.
fn shuffled(blocks: Vec<Block>) -> impl Strategy<Value = Vec<Block>> {
    let items: Vec<_> = blocks.iter().map(|block| Just(block.items.clone()).prop_shuffle()).collect();
    (Just(blocks), items).prop_flat_map(|(blocks, items)| {
        let blocks = blocks.into_iter().zip(items).map(|(block, items)| Block { items, ..block });
        Just(blocks.collect::<Vec<_>>()).prop_shuffle()
    })
}

fn written(blocks: &[Block], name: impl Fn(&str) -> String) -> String {
    let tag = |id: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("<tag name='{id}'>{}</tag>", name(value))).unwrap_or_default()
    };
    let blocks: Vec<String> = blocks
        .iter()
        .map(|block| {
            let properties = [tag("host-ip", &block.address), tag("host-fqdn", &block.fqdn)].concat();
            let items = [block.items.concat(), block.information.clone().unwrap_or_default()].concat();
            format!(
                "<ReportHost name='{}'><HostProperties>{properties}</HostProperties>{items}</ReportHost>",
                name(&block.name)
            )
        })
        .collect();
    export(&blocks.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The whole answer, names in lower case.
fn answer(before: &str, after: &str) -> String {
    let mut diff = ScanDiff::read(std::io::Cursor::new(before), std::io::Cursor::new(after)).unwrap();
    diff.read_outputs(before.as_bytes(), after.as_bytes()).unwrap();
    serde_json::to_string_pretty(&diff.view(1_000_000)).unwrap().to_lowercase()
}

proptest! {
    #[test]
    fn order_and_letter_case_change_no_answer(
        (before, turned) in scan().prop_flat_map(|blocks| (Just(blocks.clone()), shuffled(blocks))),
        (after, later_turned) in scan().prop_flat_map(|blocks| (Just(blocks.clone()), shuffled(blocks))),
    ) {
        let as_it_is = str::to_owned;
        let expected = answer(&written(&before, as_it_is), &written(&after, as_it_is));
        let found = answer(&written(&turned, as_it_is), &written(&later_turned, as_it_is));
        prop_assert_eq!(&found, &expected);
        let found = answer(&written(&before, str::to_uppercase), &written(&after, as_it_is));
        prop_assert_eq!(&found, &expected);
    }

    #[test]
    fn a_scan_compared_with_itself_has_nothing_new_and_nothing_fixed(
        (blocks, turned) in scan().prop_flat_map(|blocks| (Just(blocks.clone()), shuffled(blocks))),
    ) {
        let (first, second) = (written(&blocks, str::to_owned), written(&turned, str::to_owned));
        let view = diff(first.as_bytes(), second.as_bytes());
        for counts in [
            view.counts.new,
            view.counts.fixed,
            view.counts.severity_changed,
            view.counts.changed_output,
            view.counts.not_comparable,
        ] {
            prop_assert_eq!(counts.total(), 0);
        }
        prop_assert_eq!(view.differences, []);
        if let Some(compliance) = view.compliance {
            prop_assert_eq!((compliance.newly_failed.total, compliance.newly_passed.total), (0, 0));
            prop_assert_eq!((compliance.gone, compliance.not_comparable, compliance.changed_otherwise), (0, 0, 0));
        }
    }
}
