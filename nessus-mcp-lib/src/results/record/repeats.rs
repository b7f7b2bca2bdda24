//! Which findings of one export stand in several blocks of a machine, as in a merged file; `docs/identity.md` has the rule.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{
    fields::{ALL, FieldId, Origin},
    finding::Record,
    host::Host,
    identity::{FindingPart, HostEvidence, HostPart, Machines},
    item::Item,
    kind::RecordKind,
};

/// The most findings of machines with several blocks that are compared; more are counted and said. 48 bytes each.
const MOST: usize = if cfg!(test) { 300 } else { 1_000_000 };

/// What a reader must know of an export in which machines have several blocks. Items and blocks are known by the places of
/// their first bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repeats {
    /// Items that repeat what another block of the machine has, sorted.
    items: Vec<u64>,
    /// Blocks of machines that are known better than the block knows, sorted, with what keys say of the machine.
    blocks: Vec<(u64, HostPart)>,
    /// Findings that were too many to be compared.
    pub not_compared: u64,
}

impl Repeats {
    /// Whether the item that begins there repeats a finding.
    pub(crate) fn has_item(&self, offset: u64) -> bool {
        self.items.binary_search(&offset).is_ok()
    }

    /// What keys say of the host of a block, where the block alone does not say it.
    pub(crate) fn part_of(&self, block: u64) -> Option<HostPart> {
        let at = self.blocks.binary_search_by_key(&block, |(begin, _)| *begin).ok()?;
        self.blocks.get(at).map(|(_, part)| *part)
    }
}

/// Finds the repeats while an export is read once more, when it is known which blocks are one machine.
#[derive(Debug)]
pub(crate) struct RepeatFinder<'m> {
    machines: &'m Machines,
    /// Whether each machine has several blocks.
    is_repeated: Vec<bool>,
    /// The number of the present block.
    block: usize,
    evidence: HashMap<usize, HostEvidence>,
    /// The blocks whose hosts are to be known by their machine: where they begin, and the number of that.
    blocks: Vec<(u64, usize)>,
    ranks: HashMap<u32, BlockRank>,
    found: Vec<Found>,
    /// Only findings before this are compared: which are left aside must not depend on the order of the blocks.
    limit: Option<FindingPart>,
    not_compared: u64,
}

/// A finding in a block of a machine that has several.
#[derive(Debug, Clone, Copy)]
struct Found {
    part: FindingPart,
    machine: u32,
    block: u32,
    /// How bad it is, the worst lowest.
    worst: u8,
    /// A hash of what it says.
    content: u64,
    offset: u64,
}

/// Which of two blocks is shown, where both have the same findings: the last that was scanned, then the one that was scanned
/// by a name. The rest only makes that it is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct BlockRank {
    /// The end of the scan, as digits; later ones are lower.
    end: u64,
    is_address: bool,
    /// A hash of what is known of the host, in lower case.
    host: u64,
}

impl<'m> RepeatFinder<'m> {
    pub(crate) fn new(machines: &'m Machines) -> Self {
        let mut blocks = vec![0_u32; machines.count as usize];
        for machine in &machines.of_blocks {
            if let Some(blocks) = blocks.get_mut(*machine as usize) {
                *blocks += 1;
            }
        }
        Self {
            machines,
            is_repeated: blocks.into_iter().map(|blocks| blocks > 1).collect(),
            block: 0,
            evidence: HashMap::new(),
            blocks: Vec::new(),
            ranks: HashMap::new(),
            found: Vec::new(),
            limit: None,
            not_compared: 0,
        }
    }

    /// The machine of the present block, where it has several.
    fn machine(&self) -> Option<usize> {
        Some(self.machines.of(self.block)).filter(|machine| self.is_repeated.get(*machine) == Some(&true))
    }

    /// Takes in an item of the present block.
    pub(crate) fn item(&mut self, record: &Record<'_>) {
        let Some(machine) = self.machine() else { return };
        let part = FindingPart::of(record.item, record.host);
        if self.limit.is_some_and(|limit| part >= limit) {
            self.not_compared += 1;
            return;
        }
        let worst = match record.kind() {
            RecordKind::Compliance => record.compliance_result() as u8,
            RecordKind::Vulnerability => u8::MAX - record.severity().map_or(0, |severity| severity as u8 + 1),
        };
        self.found.push(Found {
            part,
            machine: narrow(machine),
            block: narrow(self.block),
            worst,
            content: content(record.item),
            offset: record.item.offset,
        });
        if self.found.len() >= MOST + MOST / 8 {
            let (_, first_out, _) = self.found.select_nth_unstable_by_key(MOST, |found| found.part);
            let limit = first_out.part;
            let before = self.found.len();
            self.found.retain(|found| found.part < limit);
            self.limit = Some(limit);
            self.not_compared += (before - self.found.len()) as u64;
        }
    }

    /// Ends the present block; `is_late` when its first items did not know all of its host.
    pub(crate) fn end_block(&mut self, host: &Host, is_late: bool) {
        let machine = self.machine();
        if machine.is_some() {
            self.ranks.insert(narrow(self.block), BlockRank::of(host));
        }
        if machine.is_some() || is_late {
            let machine = self.machines.of(self.block);
            let evidence = HostEvidence::of(host);
            self.evidence.entry(machine).and_modify(|known| known.merge(&evidence)).or_insert(evidence);
            self.blocks.push((host.begin, machine));
        }
        self.block += 1;
    }

    /// What was found.
    pub(crate) fn finish(self) -> Repeats {
        let Self { evidence, blocks, ranks, mut found, not_compared, .. } = self;
        let rank = |found: &Found| ranks.get(&found.block);
        found.sort_unstable_by(|one, another| {
            let place = |found: &Found| (found.machine, found.part, found.block);
            place(one).cmp(&place(another)).then_with(|| one.says().cmp(&another.says()))
        });
        let mut items = Vec::new();
        for same in found.chunk_by(|one, another| (one.machine, one.part) == (another.machine, another.part)) {
            let blocks: Vec<&[Found]> = same.chunk_by(|one, another| one.block == another.block).collect();
            let shown = blocks.iter().copied().min_by(|one, another| {
                let worst = |block: &[Found]| block.iter().map(|found| found.worst).collect::<Vec<_>>();
                let says = |block: &[Found]| block.iter().map(Found::says).collect::<Vec<_>>();
                let by_rank = || rank(&one[0]).cmp(&rank(&another[0]));
                let by_worst = another.len().cmp(&one.len()).then_with(|| worst(one).cmp(&worst(another)));
                by_worst.then_with(by_rank).then_with(|| says(one).cmp(&says(another)))
            });
            let shown = shown.and_then(<[Found]>::first).map(|found| found.block);
            items.extend(same.iter().filter(|found| Some(found.block) != shown).map(|found| found.offset));
        }
        items.sort_unstable();
        let part = |machine: usize| evidence.get(&machine).map(HostPart::of);
        let mut blocks: Vec<_> =
            blocks.into_iter().filter_map(|(begin, machine)| Some((begin, part(machine)?))).collect();
        blocks.sort_unstable();
        Repeats { items, blocks, not_compared }
    }
}

impl Found {
    fn says(&self) -> (u8, u64) {
        (self.worst, self.content)
    }
}

impl BlockRank {
    fn of(host: &Host) -> Self {
        let mut hash = DefaultHasher::new();
        let is_text = |id: &FieldId| id.field().origin == Origin::Host && *id != FieldId::HostEnd;
        for text in ALL.iter().copied().filter(is_text).map(|id| host.get(id)) {
            text.map(str::to_lowercase).hash(&mut hash);
        }
        host.listed_names().for_each(|name| name.to_lowercase().hash(&mut hash));
        let digits = host.get(FieldId::HostEnd).unwrap_or_default().bytes().filter(u8::is_ascii_digit).take(14);
        let end = digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        Self { end: u64::MAX - end, is_address: host.name.parse::<IpAddr>().is_ok(), host: hash.finish() }
    }
}

/// A hash of all that an item says, whatever stands between its elements.
fn content(item: &Item) -> u64 {
    let mut hash = DefaultHasher::new();
    for id in item.present().iter() {
        item.values(id).for_each(|text| (id, text).hash(&mut hash));
    }
    item.others().for_each(|other| (item.name(other), item.value(other)).hash(&mut hash));
    hash.finish()
}

/// There are far fewer than 2^32 blocks.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::results::{
        record::Blocks,
        xml::{Visit, reader, repeats, steps},
    };

    const EARLY: &str = "Fri Nov  7 13:25:52 2025";
    const LATE: &str = "Sat Nov  8 13:25:52 2025";
    const BY_NAME: &str = "web01.example";
    const BY_ADDRESS: &str = "192.0.2.1";

    fn item(plugin: usize, port: u16, severity: u8, output: &str) -> String {
        format!(
            "<ReportItem pluginID='{plugin}' port='{port}' protocol='tcp' severity='{severity}'>\
             <plugin_output>{output}</plugin_output></ReportItem>"
        )
    }

    fn block(name: &str, end: &str, items: &[String]) -> String {
        format!(
            "<ReportHost name='{name}'><HostProperties><tag name='host-ip'>{BY_ADDRESS}</tag>\
             <tag name='host-fqdn'>{BY_NAME}</tag><tag name='HOST_END'>{end}</tag></HostProperties>{}</ReportHost>",
            items.concat()
        )
    }

    /// What is shown, by its key; how many items are repeated; and how many were not compared.
    fn shown(blocks: &[String]) -> (Vec<(String, String)>, usize, u64) {
        let mut input =
            Cursor::new(format!("<NessusClientData_v2><Report>{}</Report></NessusClientData_v2>", blocks.concat()));
        let mut blocks = Blocks::default();
        let repairs = steps(reader(&mut input, 0).unwrap(), |visit| {
            if let Visit::HostEnd(host) = visit {
                blocks.add(&HostEvidence::of(host));
            }
        });
        let found = repeats(&mut input, 0, &blocks.machines(), repairs.unwrap(), false).unwrap();
        let (mut shown, mut repeated) = (Vec::new(), 0);
        let repairs = steps(reader(&mut input, 0).unwrap().knowing(found.as_ref()), |visit| match visit {
            Visit::Item(record) => {
                let severity = record.item.first(FieldId::Severity).unwrap();
                let (host, output) = (record.host.name.to_lowercase(), record.output());
                shown.push((record.key().to_string(), format!("{severity} {output} {host}")));
            }
            Visit::Repeated(_) => repeated += 1,
            Visit::HostStart | Visit::HostEnd(_) | Visit::End(_) => {}
        });
        shown.sort();
        (shown, repeated, repairs.unwrap().findings_not_united)
    }

    /// What is shown of two blocks, in either order.
    #[track_caller]
    fn check(one: &str, another: &str, expected: &[&str]) {
        for blocks in [[one.to_owned(), another.to_owned()], [another.to_owned(), one.to_owned()]] {
            let (shown, repeated, _) = shown(&blocks);
            assert_eq!(shown.len() + repeated, blocks.concat().matches("<ReportItem").count());
            let mut shown: Vec<String> = shown.into_iter().map(|(_, shown)| shown).collect();
            shown.sort();
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_finding_of_several_blocks_is_one() {
        let one = |severity, output: &str| item(900, 443, severity, output);
        let early = |items: &[String]| block(BY_ADDRESS, EARLY, items);
        let late = |items: &[String]| block(BY_NAME, LATE, items);
        // The worst, then the last that was scanned, then the one that was scanned by a name.
        check(&early(&[one(4, "a")]), &late(&[one(3, "b")]), &["4 a 192.0.2.1"]);
        check(&early(&[one(3, "a")]), &late(&[one(3, "b")]), &["3 b web01.example"]);
        check(&block(BY_ADDRESS, LATE, &[one(3, "a")]), &late(&[one(3, "b")]), &["3 b web01.example"]);
        // Findings that nothing tells apart: those of the block that has most of them.
        check(&early(&[one(3, "a"), one(2, "b")]), &late(&[one(4, "c")]), &["2 b 192.0.2.1", "3 a 192.0.2.1"]);
        // What only one block has stays, also twice, and at another port or of another plugin.
        check(
            &early(&[one(3, "a"), one(3, "a")]),
            &late(&[item(900, 80, 3, "a"), item(901, 443, 3, "a")]),
            &["3 a 192.0.2.1", "3 a 192.0.2.1", "3 a web01.example", "3 a web01.example"],
        );
    }

    #[test]
    fn keys_are_those_of_the_machine() {
        let keys = |blocks: &[String]| shown(blocks).0.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let without_properties = format!("<ReportHost name='{BY_NAME}'>{}</ReportHost>", item(900, 2, 3, ""));
        let in_blocks =
            [block(BY_ADDRESS, EARLY, &[item(900, 1, 3, "")]), without_properties, block(BY_NAME, LATE, &[])];
        let in_one = [block(BY_NAME, LATE, &[item(900, 1, 3, ""), item(900, 2, 3, "")])];
        assert_eq!(keys(&in_blocks), keys(&in_one));
        // What comes late is known of the first items, too.
        let (properties, items) = in_one[0].split_once("</HostProperties>").unwrap();
        let (start, properties) = properties.split_once("<HostProperties>").unwrap();
        let turned =
            items.replace("</ReportHost>", &format!("<HostProperties>{properties}</HostProperties></ReportHost>"));
        assert_eq!(keys(&[format!("{start}{turned}")]), keys(&in_one));
    }

    #[test]
    fn what_is_too_much_is_said_and_the_same_in_any_order() {
        let items: Vec<String> = (1..=MOST).map(|plugin| item(plugin, 443, 3, "")).collect();
        let blocks = [block(BY_ADDRESS, EARLY, &items), block(BY_NAME, LATE, &items)];
        let (found, repeated, not_compared) = shown(&blocks);
        assert_eq!(found.len() + repeated, 2 * MOST);
        assert_eq!(2 * repeated as u64 + not_compared, 2 * MOST as u64);
        assert!(repeated > 0 && not_compared > 0, "{repeated} {not_compared}");
        let [one, another] = blocks;
        assert_eq!(shown(&[another, one]), (found, repeated, not_compared));
    }

    /// Plugin, port, severity and output of items.
    type Items = Vec<(usize, u16, u8, String)>;

    fn written(blocks: &[(String, bool, Items)]) -> Vec<String> {
        let block = |(name, is_late, items): &(String, bool, Items)| {
            let item =
                |(plugin, port, severity, output): &(usize, u16, u8, String)| item(*plugin, *port, *severity, output);
            block(name, if *is_late { LATE } else { EARLY }, &items.iter().map(item).collect::<Vec<_>>())
        };
        blocks.iter().map(block).collect()
    }

    proptest! {
        #[test]
        fn the_order_of_blocks_and_items_changes_nothing(
            (blocks, turned) in vec(
                (select(vec![BY_NAME, "WEB01.example", BY_ADDRESS]).prop_map(str::to_owned),
                    any::<bool>(), vec((1..4_usize, 0..2_u16, 0..5_u8, "[ab]"), 0..6)),
                0..5,
            )
            .prop_flat_map(|blocks| {
                let items: Vec<_> = blocks.iter().map(|(_, _, items)| Just(items.clone()).prop_shuffle()).collect();
                let turned = (Just(blocks.clone()), items).prop_flat_map(|(blocks, items)| {
                    let blocks = blocks.into_iter().zip(items).map(|((name, is_late, _), items)| (name, is_late, items));
                    Just(blocks.collect::<Vec<_>>()).prop_shuffle()
                });
                (Just(blocks), turned)
            }),
        ) {
            prop_assert_eq!(shown(&written(&blocks)), shown(&written(&turned)));
        }
    }
}
