// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TLB of one CPU, for the range of addresses where partitions stand.

/// What a CPU cached under one ASID.
struct Set {
    asid: u64,
    /// The table that the entries were found in, which hardware may have cached as well.
    table: u64,
    /// The version of the table of which all is cached.
    version: u64,
    /// For each place of the range a page's number and one; 0 is nothing.
    entries: Vec<u16>,
    /// A place for which the table says something else by now.
    stale: Option<usize>,
}

/// An entry of a table of level 3 that is valid.
pub(super) struct Leaf {
    /// Number of the page.
    pub page: u16,
    /// Whether it is used under every ASID.
    pub global: bool,
}

#[derive(Default)]
pub(super) struct Tlb {
    sets: Vec<Set>,
    /// Places that are cached as global.
    global: Vec<usize>,
}

impl Tlb {
    /// Caches all that a table maps. `cached` is told of each page that wasn't cached under this ASID yet.
    pub(crate) fn fill(
        &mut self,
        (asid, table, version): (u64, u64, u64),
        leaves: impl ExactSizeIterator<Item = Option<Leaf>>,
        mut cached: impl FnMut(u16),
    ) {
        let known = self.sets.iter().position(|set| set.asid == asid);
        let known = known.unwrap_or_else(|| {
            self.sets.push(Set { asid, table, version: 0, entries: vec![0; leaves.len()], stale: None });
            self.sets.len() - 1
        });
        let set = &mut self.sets[known];
        if set.table != table || set.version == version {
            return;
        }
        set.version = version;
        for ((place, leaf), known) in leaves.enumerate().zip(&mut set.entries) {
            match leaf {
                Some(Leaf { global: true, .. }) => self.global.push(place),
                Some(Leaf { page, .. }) if *known == 0 => {
                    *known = page + 1;
                    cached(page);
                }
                leaf if leaf.as_ref().map_or(0, |leaf| leaf.page + 1) != *known => set.stale = Some(place),
                _ => {}
            }
        }
    }

    /// Says what is wrong if an address of the range is used under this ASID, with this table.
    pub(crate) fn check(&self, asid: u64, table: Option<u64>) -> Result<(), String> {
        if let Some(place) = self.global.first() {
            return Err(format!("page {place} is cached as global, and so under every ASID"));
        }
        match self.sets.iter().find(|set| set.asid == asid) {
            Some(set) if Some(set.table) != table => Err(format!("what the table at {:#x} maps is cached", set.table)),
            Some(set) if set.stale.is_some() => {
                Err(format!("page {} is mapped otherwise than cached", set.stale.unwrap_or(0)))
            }
            _ => Ok(()),
        }
    }

    /// Forgets an ASID. `forgotten` is told of each page.
    pub(crate) fn forget(&mut self, asid: u64, mut forgotten: impl FnMut(u16)) {
        if let Some(place) = self.sets.iter().position(|set| set.asid == asid) {
            let set = self.sets.swap_remove(place);
            set.entries.iter().filter_map(|entry| entry.checked_sub(1)).for_each(&mut forgotten);
        }
    }
}
