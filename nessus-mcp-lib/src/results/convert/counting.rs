//! What matches, counted while it passes by: findings by rating, machines, plugins, and groups of findings.
//!
//! A group is a small record, whatever it stands for: its counts, and where its first finding is. What the group is called
//! is read from that finding when the group is shown. Texts that findings are grouped by are kept as hashes with a secret
//! key, so that nobody can write texts that are taken for the same.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    rc::Rc,
};

use crate::results::{
    error::ResultsError,
    judge::HostList,
    query::{Ask, GroupBy, GroupSort, Place, Query, Size},
    record::{FieldId, RATINGS, Record, Value},
};

/// The most groups that are held.
const MOST_GROUPS: usize = 1 << 20;
/// The most plugins that a group names.
const MOST_PLUGINS: usize = 10;

/// What matches, as numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// By rating.
    pub ratings: [u64; RATINGS],
    /// Machines.
    pub hosts: u64,
    /// Plugins with a number.
    pub plugins: u64,
    /// How many groups there are, and those on the page.
    pub groups: Option<(u64, Rc<[Group]>)>,
}

/// Findings that share something.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Where the first of them stands.
    pub place: Place,
    /// Whether they share that they have no value.
    pub is_without: bool,
    pub size: Size,
    /// The first of the plugins, where that is what the group is good for.
    pub plugin_ids: Vec<i64>,
}

/// What must be known of an item to count it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    rating: usize,
    /// The number of its host: a block of the export, or a part of one. Numbers rise from item to item.
    host: u32,
    plugin: Option<i64>,
    /// What its group has in common, as a number; `None` for no value, and where there are no groups.
    key: Option<u64>,
}

/// Counts what matches.
pub(crate) struct Counting<'q> {
    query: &'q Query,
    ratings: [u64; RATINGS],
    hosts: HostList,
    plugins: Plugins,
    groups: Option<Groups>,
    hasher: RandomState,
}

impl<'q> Counting<'q> {
    pub(crate) fn new(query: &'q Query) -> Self {
        let groups = match query.ask {
            Ask::Groups(by, sort) => Some(Groups::new(by, sort)),
            Ask::Findings | Ask::Counts => None,
        };
        Self {
            query,
            ratings: [0; RATINGS],
            hosts: HostList::default(),
            plugins: Plugins::default(),
            groups,
            hasher: RandomState::new(),
        }
    }

    /// What must be known of an item with this rating on a host of this number. `first` gives the first value of a field, and
    /// `text` a number for the text of a group or nothing for no text. Each gives `None` when it cannot say; then neither can
    /// this.
    pub(crate) fn facts<'v>(
        &self,
        rating: usize,
        host: u32,
        first: impl Fn(FieldId) -> Option<Option<Value<'v>>>,
        text: impl Fn(GroupBy) -> Option<Option<u64>>,
    ) -> Option<Facts> {
        let whole = |id| {
            first(id).map(|value| match value {
                Some(Value::Integer(number)) => Some(number),
                _ => None,
            })
        };
        let plugin = whole(FieldId::PluginId)?;
        let key = match self.groups.as_ref().map(|groups| groups.by) {
            None => None,
            Some(GroupBy::Host) => Some(host.into()),
            Some(GroupBy::Severity | GroupBy::Result) => Some(rating as u64),
            Some(GroupBy::Plugin) => plugin.map(i64::cast_unsigned),
            Some(GroupBy::Port) => whole(FieldId::Port)?.map(i64::cast_unsigned),
            Some(by @ (GroupBy::Family | GroupBy::Solution | GroupBy::Check)) => text(by)?,
        };
        Some(Facts { rating, host, plugin, key })
    }

    /// What must be known of a record on a host of this number.
    pub(crate) fn facts_of(&self, record: &Record<'_>, host: u32) -> Facts {
        /// No number that an index has for a text is so large.
        const HASH: u64 = 1 << 63;
        let rating = record.rating();
        let hashed = |by: GroupBy| by.text_of(record).map(|text| self.hasher.hash_one(text) | HASH);
        self.facts(rating, host, |id| Some(record.first(id)), |by| Some(hashed(by))).unwrap_or(Facts {
            rating,
            host,
            plugin: None,
            key: None,
        })
    }

    /// Counts a matching item. `place` says where it stands, which is asked of the first item of each group.
    pub(crate) fn add(&mut self, facts: Facts, place: impl FnOnce() -> Place) -> Result<(), ResultsError> {
        if let Some(count) = self.ratings.get_mut(facts.rating) {
            *count += 1;
        }
        self.hosts.push(facts.host);
        let plugin = facts.plugin.map(|plugin| self.plugins.number(plugin));
        self.groups.as_mut().map_or(Ok(()), |groups| groups.add(facts, plugin, place))
    }

    /// All together; `machine` gives the number of the machine that a host belongs to.
    pub(crate) fn finish(self, machine: impl Fn(u32) -> usize) -> Counts {
        let mut machines = Distinct::default();
        let Self { query, ratings, hosts, plugins, groups, .. } = self;
        let hosts = machines.count(hosts.iter().map(&machine)).into();
        let groups = groups.map(|groups| {
            let all = groups.finish(&plugins, &machine, &mut machines);
            let total = all.len() as u64;
            let window = query.window(total);
            let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(all.len());
            (total, Rc::from(&all[at(window.start)..at(window.end)]))
        });
        Counts { ratings, hosts, plugins: plugins.count(), groups }
    }
}

/// The groups, while they are made.
struct Groups {
    by: GroupBy,
    sort: GroupSort,
    /// The place of each among all, by what its items have in common.
    index: HashMap<Option<u64>, u32>,
    /// By first appearance.
    all: Vec<Growing>,
    /// Which plugin is in which group: both numbers, that of the group first.
    plugins: HashSet<u64>,
}

struct Growing {
    place: Place,
    is_without: bool,
    ratings: [u32; RATINGS],
    hosts: HostList,
}

impl Groups {
    fn new(by: GroupBy, sort: GroupSort) -> Self {
        Self { by, sort, index: HashMap::new(), all: Vec::new(), plugins: HashSet::new() }
    }

    fn add(&mut self, facts: Facts, plugin: Option<u32>, place: impl FnOnce() -> Place) -> Result<(), ResultsError> {
        let next = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let number = *self.index.entry(facts.key).or_insert(next);
        if number == next {
            if self.all.len() == MOST_GROUPS {
                return Err(ResultsError::TooManyGroups { limit: MOST_GROUPS });
            }
            let (is_without, hosts) = (facts.key.is_none(), HostList::default());
            self.all.push(Growing { place: place(), is_without, ratings: [0; RATINGS], hosts });
        }
        if let Some(group) = self.all.get_mut(number as usize) {
            if let Some(count) = group.ratings.get_mut(facts.rating) {
                *count = count.saturating_add(1);
            }
            group.hosts.push(facts.host);
        }
        if self.by != GroupBy::Plugin
            && let Some(plugin) = plugin
        {
            self.plugins.insert(u64::from(number) << 32 | u64::from(plugin));
        }
        Ok(())
    }

    /// The groups in their order.
    fn finish(self, plugins: &Plugins, machine: &impl Fn(u32) -> usize, machines: &mut Distinct) -> Vec<Group> {
        let Self { by, sort, index, all, plugins: pairs } = self;
        drop(index);
        // Where the groups are hosts, those of one machine are one group.
        let mut numbers: Vec<u32> = Vec::new();
        let mut groups: Vec<Group> = Vec::with_capacity(all.len());
        let mut of_machine: Vec<Option<u32>> = Vec::new();
        for Growing { place, is_without, ratings, hosts } in all {
            let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
            let number = match hosts.iter().next().filter(|_| by == GroupBy::Host).map(machine) {
                Some(machine) => {
                    of_machine.resize(of_machine.len().max(machine + 1), None);
                    of_machine.get_mut(machine).map_or(next, |number| *number.get_or_insert(next))
                }
                None => next,
            };
            numbers.push(number);
            if let Some(group) = groups.get_mut(number as usize) {
                for (count, more) in group.size.ratings.iter_mut().zip(ratings) {
                    *count = count.saturating_add(more);
                }
                continue;
            }
            let size = Size { ratings, hosts: machines.count(hosts.iter().map(machine)), plugins: 0 };
            groups.push(Group { place, is_without, size, plugin_ids: Vec::new() });
        }
        // What is one group now may have a plugin twice.
        let mut seen: HashSet<u64> = HashSet::new();
        let is_merged = numbers.len() > groups.len();
        for pair in pairs {
            let (Ok(group), Ok(plugin)) = (usize::try_from(pair >> 32), u32::try_from(pair & 0xFFFF_FFFF)) else {
                continue;
            };
            let Some(number) = numbers.get(group).copied() else { continue };
            let Some(group) = groups.get_mut(number as usize) else { continue };
            if is_merged && !seen.insert(u64::from(number) << 32 | u64::from(plugin)) {
                continue;
            }
            group.size.plugins += 1;
            if by == GroupBy::Solution {
                keep_least(&mut group.plugin_ids, plugins.id(plugin));
            }
        }
        groups.sort_unstable_by_key(|group| (sort.key(&group.size), group.place.offset));
        groups
    }
}

/// Keeps the smallest numbers, in rising order.
fn keep_least(ids: &mut Vec<i64>, id: i64) {
    let at = ids.partition_point(|known| *known < id);
    if at < MOST_PLUGINS {
        ids.insert(at, id);
        ids.truncate(MOST_PLUGINS);
    }
}

/// Numbers of plugins, each once: a bit for each that is as small as plugins are, more for others.
#[derive(Debug, Default)]
struct Plugins {
    small: Vec<u64>,
    large: HashMap<i64, u32>,
    /// The large ones, by their number.
    ids: Vec<i64>,
}

impl Plugins {
    /// Plugins of scanners have at most seven digits.
    const SMALL: u32 = 1 << 24;

    /// Remembers a plugin; a short number that stands for it.
    fn number(&mut self, id: i64) -> u32 {
        if let Some(small) = u32::try_from(id).ok().filter(|id| *id < Self::SMALL) {
            let word = small as usize / 64;
            if self.small.len() <= word {
                self.small.resize(word + 1, 0);
            }
            if let Some(word) = self.small.get_mut(word) {
                *word |= 1 << (small % 64);
            }
            return small;
        }
        let next = u32::try_from(self.ids.len()).unwrap_or(u32::MAX).saturating_add(Self::SMALL);
        let number = *self.large.entry(id).or_insert(next);
        if number == next {
            self.ids.push(id);
        }
        number
    }

    fn id(&self, number: u32) -> i64 {
        let large = number.checked_sub(Self::SMALL).and_then(|at| self.ids.get(at as usize).copied());
        large.unwrap_or_else(|| number.into())
    }

    fn count(&self) -> u64 {
        let small: u64 = self.small.iter().map(|word| u64::from(word.count_ones())).sum();
        small + self.ids.len() as u64
    }
}

/// Counts numbers that are different, again and again.
#[derive(Debug, Default)]
struct Distinct {
    /// In which round each number was seen last.
    seen: Vec<u32>,
    round: u32,
}

impl Distinct {
    fn count(&mut self, numbers: impl Iterator<Item = usize>) -> u32 {
        self.round += 1;
        let mut count = 0;
        for number in numbers {
            if self.seen.len() <= number {
                self.seen.resize(number + 1, 0);
            }
            if let Some(seen) = self.seen.get_mut(number).filter(|seen| **seen != self.round) {
                *seen = self.round;
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_count_once_whatever_their_numbers() {
        let mut plugins = Plugins::default();
        let ids = [10, 10, 1_000_103, 0, -5, i64::MAX, -5, 1 << 24, (1 << 24) + 1];
        let numbers: Vec<u32> = ids.iter().map(|id| plugins.number(*id)).collect();
        assert_eq!(plugins.count(), 7);
        assert_eq!(numbers.iter().map(|number| plugins.id(*number)).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn different_numbers_are_counted_in_each_round() {
        let mut distinct = Distinct::default();
        assert_eq!(distinct.count([3, 1, 3, 9].into_iter()), 3);
        assert_eq!(distinct.count([9, 9].into_iter()), 1);
        assert_eq!(distinct.count(std::iter::empty()), 0);
    }

    #[test]
    fn the_first_plugins_are_kept() {
        let mut ids = Vec::new();
        (0..30).rev().for_each(|id| keep_least(&mut ids, id));
        assert_eq!(ids, (0..10).collect::<Vec<_>>());
    }
}
