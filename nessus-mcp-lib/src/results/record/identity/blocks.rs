//! Which blocks of one export are one machine, told out of little memory.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

use super::evidence::HostEvidence;

/// What is remembered of the blocks of an export: 16 bytes of each, and 16 of each name that was found where a block was
/// scanned by its address.
///
/// Names and addresses are kept as hashes with a secret key, so that nobody can write names that are taken for the same.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    hasher: RandomState,
    all: Vec<Block>,
    /// Addresses that were scanned as such, with the names that were found there.
    found: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    /// What was scanned. Odd when that is a name, 0 when nobody says.
    name: u64,
    /// 0 when there is none.
    address: u64,
}

/// The machines of an export.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    /// The number of each block's machine, by first appearance.
    pub of_blocks: Vec<u32>,
    /// How many machines there are.
    pub count: u32,
}

impl Blocks {
    /// Takes the next block.
    pub(crate) fn add(&mut self, host: &HostEvidence) {
        let name = if host.name().is_empty() { 0 } else { self.hash(host.name()) };
        let address = host.address().map_or(0, |address| self.hasher.hash_one(address).max(1));
        let is_name = host.hostname().is_some();
        self.all.push(Block { name: if is_name { name } else { name & !1 }, address });
        if !is_name && address != 0 {
            for found in host.names() {
                let found = (address, self.hash(found));
                self.found.push(found);
            }
        }
    }

    /// The machines that the blocks belong to.
    ///
    /// Blocks are of one machine when they were scanned under the same name at the same address. A block that says no
    /// address belongs to the only one of its name. A block that was scanned by its address belongs to the one block that
    /// was scanned there under a name which is among its own. All others are machines of their own, as are those that say
    /// neither name nor address.
    pub(crate) fn machines(&self) -> Machines {
        let (addresses, names) = (self.addresses(), self.names());
        let mut numbers: HashMap<(u64, u64), u32> = HashMap::with_capacity(self.all.len());
        let mut count = 0_u32;
        let number = |block: &Block| {
            let known = || addresses.get(&block.name).filter(|_| block.name != 0).copied().flatten();
            let address = if block.address == 0 { known().unwrap_or(0) } else { block.address };
            let name = if block.name & 1 == 1 { None } else { names.get(&address).copied().flatten() };
            let mut next = || {
                count += 1;
                count - 1
            };
            match (name.unwrap_or(block.name), address) {
                (0, 0) => next(),
                machine => *numbers.entry(machine).or_insert_with(next),
            }
        };
        let of_blocks = self.all.iter().map(number).collect();
        Machines { of_blocks, count }
    }

    /// The only address of each name that a block without one has; `None` for a name that has several.
    fn addresses(&self) -> HashMap<u64, Option<u64>> {
        let without = self.all.iter().filter(|block| block.address == 0).map(|block| (block.name, None));
        let mut addresses: HashMap<u64, Option<u64>> = without.collect();
        let mut several = Vec::new();
        for block in self.all.iter().filter(|block| block.address != 0) {
            if let Some(known) = addresses.get_mut(&block.name)
                && *known.get_or_insert(block.address) != block.address
            {
                several.push(block.name);
            }
        }
        addresses.extend(several.into_iter().map(|name| (name, None)));
        addresses
    }

    /// At addresses that were scanned as such, the only name that was found there and also scanned; `None` for an address
    /// that has several.
    fn names(&self) -> HashMap<u64, Option<u64>> {
        let mut found = self.found.clone();
        found.sort_unstable();
        let mut names: HashMap<u64, Option<u64>> = HashMap::new();
        for block in self.all.iter().filter(|block| block.name & 1 == 1) {
            if found.binary_search(&(block.address, block.name)).is_ok() {
                let name = names.entry(block.address).or_insert(Some(block.name));
                *name = name.filter(|name| *name == block.name);
            }
        }
        names
    }

    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name) | 1
    }
}

impl Machines {
    /// Whether a machine has several blocks.
    pub(crate) fn has_repeated(&self) -> bool {
        self.of_blocks.len() > self.count as usize
    }

    /// The machine of a block; one that is not known is a machine of its own.
    pub(crate) fn of(&self, block: usize) -> usize {
        self.of_blocks.get(block).map_or(block, |number| *number as usize)
    }
}

/// The number of the machine that each block of an export belongs to, by first appearance.
pub(crate) fn group(blocks: &[HostEvidence]) -> Vec<usize> {
    let mut all = Blocks::default();
    for block in blocks {
        all.add(block);
    }
    all.machines().of_blocks.into_iter().map(|number| number as usize).collect()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn blocks_of_one_machine_are_one() {
        for (blocks, expected) in [
            (vec!["web01 ip=192.0.2.20", "WEB01. ip=192.0.2.20"], vec![0, 0]),
            (vec!["web01 ip=192.0.2.20", "web01 ip=192.0.2.21", "web01"], vec![0, 1, 2]),
            (vec!["web01", "web01 ip=192.0.2.21"], vec![0, 0]),
            (vec!["192.0.2.20 fqdn=web01.example", "web01.example ip=192.0.2.20"], vec![0, 0]),
            (
                vec!["web01.example ip=192.0.2.20", "shop.example ip=192.0.2.20", "192.0.2.20 fqdn=shop.example"],
                vec![0, 1, 1],
            ),
            (vec!["192.0.2.20 fqdn=web01.example", "web02.example ip=192.0.2.20"], vec![0, 1]),
            (vec!["192.0.2.20", "192.0.2.20 fqdn=web01.example", "web01.example ip=192.0.2.20"], vec![0, 0, 0]),
            (vec!["web01", "web01"], vec![0, 0]),
            (vec!["a.example ip=192.0.2.20", "b.example ip=192.0.2.20"], vec![0, 1]),
            (vec!["192.0.2.20 fqdn=a.example", "a.example ip=192.0.2.20", "A.example"], vec![0, 0, 0]),
            (vec!["192.0.2.20 fqdn=a.example", "b.example ip=192.0.2.20", "192.0.2.20 fqdn=b.example"], vec![0, 0, 0]),
        ] {
            let blocks: Vec<HostEvidence> = blocks.into_iter().map(HostEvidence::written).collect();
            assert_eq!(group(&blocks), expected, "{blocks:?}");
        }
    }

    #[test]
    fn a_block_takes_few_bytes() {
        assert_eq!(size_of::<Block>(), 16);
    }
}
