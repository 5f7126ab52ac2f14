// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fake machine's MMU: every CPU walks translation tables and caches whatever hardware may cache.
//!
//! It holds `nexus::{space, peephole}` to the rules of the architecture (Arm ARM D8.14 to D8.17), and where the
//! architecture leaves something open it does the worst:
//!
//! * What is written to a table is not seen before the writer's DSB, and not used by the writer before its ISB.
//! * A new TTBR1_EL1 is not used before the ISB.
//! * A CPU caches at any time all that it could walk to, also from the TTBR1_EL1 that it had before: a walk that was
//!   begun may end late. So what is invalidated must be unmapped before (D8.16.1, "break-before-make").
//! * An invalidation has not happened before the DSB that it takes: ISH for all CPUs, NSH for this one.
//! * An entry that is not global is used under its ASID alone, a global one under every ASID.
//!
//! A test fails as soon as a CPU could use an entry that the tables do not say (any more), or a page is zeroed or
//! mapped anew that a CPU still has an entry for: nothing must happen to be read through it.

use super::cpu;
use super::machine::Machine;
use super::tlb::{Leaf, Tlb};
use super::window::{Shape, Window};
use crate::arch::tables::{BASE, NONE, PEEPHOLE_TABLE};
use crate::memory::pages::PAGE_SIZE;
use shared_abi::layout::TEE;
use std::ops::Range;
use std::sync::MutexGuard;

/// Pages of the TEE's memory.
const PAGES: usize = TEE.size as usize / PAGE_SIZE;
/// Bits of an entry that are an address.
const ADDRESS: u64 = 0xFFFF_FFFF_F000;
const NON_GLOBAL: u64 = 1 << 11;
/// Entries of a table.
const PLACES: usize = 512;

type Entries = Box<[u64; PLACES]>;

/// A page that is, or was, a translation table of level 3.
struct Table {
    pa: u64,
    /// What the TEE wrote.
    written: Entries,
    /// What walks find.
    seen: Entries,
    /// Another number for each content that any table ever had.
    version: u64,
    /// What it maps, once somebody looked.
    window: Option<Window>,
}

/// A page of the TEE's memory.
#[derive(Clone, Copy)]
struct PageState {
    /// Whether it may hold something.
    dirty: bool,
    /// Entries in TLBs that lead to it.
    cached: u16,
}

struct Cpu {
    number: usize,
    ttbr1: u64,
    /// What TTBR1_EL1 will be after the ISB.
    next: Option<u64>,
    /// What it was before.
    before: u64,
    /// Entries in memory of the nexus that were written, and are not seen yet.
    writes: Vec<(u64, u64)>,
    /// The page that the CPU's peephole shows.
    open: Option<u64>,
    /// Invalidations that have not ended: an ASID on all CPUs, an address on this one.
    asids: Vec<u64>,
    addresses: Vec<usize>,
    /// Whether there was an ISB since the last DSB.
    synchronized: bool,
    tlb: Tlb,
    /// What its peephole was translated to.
    peephole: Option<(usize, u64)>,
    /// Pages of a partition that were translated last, to which table, and in which epoch.
    found: Option<(Range<usize>, u64, u64)>,
}

impl Cpu {
    fn new(number: usize) -> Self {
        Self {
            number,
            ttbr1: NONE.ttbr1(),
            next: None,
            before: NONE.ttbr1(),
            writes: Vec::new(),
            open: None,
            asids: Vec::new(),
            addresses: Vec::new(),
            synchronized: true,
            tlb: Tlb::default(),
            peephole: None,
            found: None,
        }
    }
}

/// The MMUs of all CPUs, and the tables that they walk.
pub(super) struct Mmu {
    shape: Shape,
    cpus: Vec<Cpu>,
    /// Entries in memory of the nexus, as walks find them: of root tables, and of the peepholes.
    words: Vec<(u64, u64)>,
    tables: Vec<Table>,
    pages: Vec<PageState>,
    versions: u64,
    /// Another one after each change of what is mapped.
    epoch: u64,
}

/// Address of the root table, and the ASID.
fn split(ttbr1: u64) -> (u64, u64) {
    (ttbr1 & (ADDRESS | 0xF80), ttbr1 >> 48)
}

/// Returns the number of a page of the TEE's memory.
fn index(pa: u64) -> usize {
    assert!(TEE.holds(pa, PAGE_SIZE as u64), "{pa:#x} is no page of the TEE's memory");
    (pa - TEE.base) as usize / PAGE_SIZE
}

/// Returns the page that an entry of level 3 leads to, if it is valid.
fn leaf(entry: u64) -> Option<u64> {
    if entry & 1 == 0 {
        return None;
    }
    let bit = |n: u32| entry & 1 << n != 0;
    assert!(entry & 0b11 == 0b11 && bit(10), "{entry:#x} is no page that was accessed");
    assert!(entry >> 2 & 0b111 == 0 && entry >> 8 & 0b11 == 3, "{entry:#x} is not shareable normal memory");
    assert!(!bit(5) && !bit(6) && !bit(7), "{entry:#x} is not secure memory that EL1 alone reads and writes");
    assert!(bit(53) && bit(54), "{entry:#x} can be executed");
    Some(entry & ADDRESS)
}

impl Mmu {
    pub(crate) fn new(shape: Shape) -> Self {
        let unknown = PageState { dirty: true, cached: 0 };
        Self {
            shape,
            cpus: Vec::new(),
            words: Vec::new(),
            tables: Vec::new(),
            pages: vec![unknown; PAGES],
            versions: 0,
            epoch: 0,
        }
    }

    /// Finds the CPU that this runs on.
    fn here(&mut self) -> usize {
        let number = cpu::index();
        self.cpus.iter().position(|cpu| cpu.number == number).unwrap_or_else(|| {
            self.cpus.push(Cpu::new(number));
            self.cpus.len() - 1
        })
    }

    fn word(&self, pa: u64) -> u64 {
        self.words.iter().find(|(at, _)| *at == pa).map_or(0, |(_, entry)| *entry)
    }

    fn set_word(&mut self, pa: u64, entry: u64) {
        match self.words.iter_mut().find(|(at, _)| *at == pa) {
            Some((_, old)) => *old = entry,
            None => self.words.push((pa, entry)),
        }
    }

    /// Returns the table of level 3 that an entry of a root table leads to.
    fn table(&self, root: u64, entry: u64) -> Option<u64> {
        let word = self.word(root + 8 * entry);
        (word & 0b11 == 0b11).then_some(word & ADDRESS)
    }

    /// Lets CPUs walk where they can, and cache what they find.
    fn speculate(&mut self) {
        for n in 0..self.cpus.len() {
            self.walk(n, self.cpus[n].before);
            self.walk(n, self.cpus[n].ttbr1);
        }
    }

    fn walk(&mut self, n: usize, ttbr1: u64) {
        let (root, asid) = split(ttbr1);
        let Some(pa) = self.table(root, 0) else { return };
        let Some(table) = self.tables.iter().find(|table| table.pa == pa) else { return };
        let leaves = table.seen[..self.shape.pages].iter().map(|entry| {
            let global = entry & NON_GLOBAL == 0;
            leaf(*entry).map(|pa| Leaf { page: index(pa) as u16, global })
        });
        let cached = |page: u16| self.pages[usize::from(page)].cached += 1;
        self.cpus[n].tlb.fill((asid, pa, table.version), leaves, cached);
    }

    /// Fails if a CPU that may use what it cached from now on has cached what is not so.
    fn check(&self, n: usize) {
        let (root, asid) = split(self.cpus[n].ttbr1);
        if let Err(why) = self.cpus[n].tlb.check(asid, self.table(root, 0)) {
            panic!("CPU {} has a stale TLB under ASID {asid}: {why}", self.cpus[n].number);
        }
    }

    /// Makes what this CPU wrote to tables seen.
    fn publish(&mut self, n: usize) {
        self.cpus[n].synchronized = false;
        let mut writes = std::mem::take(&mut self.cpus[n].writes);
        // A CPU uses no peephole but its own, and so looks there when it does.
        writes.retain(|(at, entry)| {
            let of_peephole = (at & ADDRESS) == PEEPHOLE_TABLE.pa();
            if of_peephole {
                self.set_word(*at, *entry);
            }
            !of_peephole
        });
        let open = self.cpus[n].open;
        let open = self.tables.iter().position(|table| Some(table.pa) == open && table.written != table.seen);
        if writes.is_empty() && open.is_none() {
            return;
        }
        self.epoch += 1;
        // Once more what was seen until now.
        self.speculate();
        writes.into_iter().for_each(|(at, entry)| self.set_word(at, entry));
        if let Some(table) = open {
            self.publish_table(table);
        }
        self.speculate();
        for n in 0..self.cpus.len() {
            self.check(n);
        }
    }

    fn publish_table(&mut self, table: usize) {
        let table = &mut self.tables[table];
        let beyond = &table.written[self.shape.pages..];
        assert!(beyond.iter().all(|entry| *entry == 0), "there is no such page in a partition");
        for (seen, written) in table.seen.iter_mut().zip(table.written.iter()).filter(|(seen, written)| seen != written)
        {
            assert!(*seen & 1 == 0 || *written & 1 == 0, "a mapping is replaced by another one");
            if let Some(pa) = leaf(*written) {
                let page = &mut self.pages[index(pa)];
                assert!(!page.dirty, "page {pa:#x} is mapped as its last owner left it");
                assert!(page.cached == 0, "page {pa:#x} is mapped while a TLB still has it");
                page.dirty = true;
            }
            *seen = *written;
        }
        self.versions += 1;
        table.version = self.versions;
    }

    /// Ends the invalidations of this CPU: its own, or for all.
    fn invalidate(&mut self, n: usize, everywhere: bool) {
        for va in std::mem::take(&mut self.cpus[n].addresses) {
            self.cpus[n].peephole.take_if(|(of, _)| *of == va);
            // What is still mapped is cached again.
            if let Some(pa) = self.shown(n, va) {
                self.cpus[n].peephole = Some((va, pa));
            }
            assert!((va - BASE) / PAGE_SIZE >= PLACES, "the partition's pages are not invalidated one by one");
        }
        if everywhere && !self.cpus[n].asids.is_empty() {
            for asid in std::mem::take(&mut self.cpus[n].asids) {
                for cpu in &mut self.cpus {
                    cpu.tlb.forget(asid, |page| self.pages[usize::from(page)].cached -= 1);
                }
            }
            // What is still mapped is cached again.
            self.speculate();
        }
    }

    /// Finds an address of the partition's range in the host's memory.
    fn partition(&mut self, n: usize, places: Range<usize>) -> *mut u8 {
        let found = self.cpus[n].found.as_ref().filter(|found| found.0 == places && found.2 == self.epoch);
        let (root, _) = split(self.cpus[n].ttbr1);
        let pa = found.map(|found| found.1).or_else(|| self.table(root, 0));
        let pa = pa.expect("a translation fault: no partition is selected");
        let known = found.is_some();
        let table = self.tables.iter_mut().find(|table| table.pa == pa);
        let table = table.expect("a translation fault: the table is empty");
        let mapped = |place: &usize| leaf(table.seen[*place]).is_some();
        let fault = if known { None } else { places.clone().find(|place| !mapped(place)) };
        assert!(fault.is_none(), "a translation fault: page {fault:?} is not mapped");
        let start = table.window.get_or_insert_with(|| Window::new(self.shape)).page(places.start);
        self.cpus[n].found = Some((places, pa, self.epoch));
        start
    }

    /// Returns what a CPU's peephole shows.
    fn shown(&self, n: usize, va: usize) -> Option<u64> {
        let (root, _) = split(self.cpus[n].ttbr1);
        let table = self.table(root, ((va - BASE) / PAGE_SIZE / PLACES) as u64)?;
        leaf(self.word(table + 8 * ((va - BASE) / PAGE_SIZE % PLACES) as u64))
    }

    /// Finds a CPU's peephole in the host's memory.
    fn peephole(&mut self, n: usize, va: usize) -> *mut u8 {
        let pa = self.shown(n, va).expect("a translation fault: the peephole is closed");
        let (number, known) = (self.cpus[n].number, self.cpus[n].peephole.replace((va, pa)));
        assert!(
            known.is_none_or(|known| known == (va, pa)),
            "CPU {number} has a stale TLB for its peephole: {known:x?}"
        );
        let page = &mut self.pages[index(pa)];
        let filling = if std::mem::replace(&mut page.dirty, true) { 0xA5A5_A5A5_A5A5_A5A5 } else { 0 };
        let known = self.tables.iter().position(|table| table.pa == pa);
        let table = known.unwrap_or_else(|| {
            self.versions += 1;
            let (written, seen) = (Box::new([filling; PLACES]), Box::new([0; PLACES]));
            self.tables.push(Table { pa, written, seen, version: self.versions, window: None });
            self.tables.len() - 1
        });
        self.cpus[n].open = Some(pa);
        self.tables[table].written.as_mut_ptr().cast()
    }
}

impl Machine {
    fn mmu(&self) -> MutexGuard<'_, Mmu> {
        // A test that failed in here may go on to others with the same machine: it has failed already.
        self.mmu.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Writes an entry of a translation table.
    ///
    /// # Safety
    ///
    /// It must be an entry of a table that nobody else writes, and map what may be mapped there.
    pub unsafe fn set_entry(&self, at: *mut u64, entry: u64) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        mmu.cpus[here].writes.push((at as u64, entry));
    }

    /// Sets the upper range's root table and ASID, from the next ISB on.
    ///
    /// # Safety
    ///
    /// It must be a root table, and nobody refer to what is not mapped any more.
    pub unsafe fn set_ttbr1(&self, value: u64) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        mmu.cpus[here].next = Some(value);
    }

    /// Makes what was written to tables seen by the walks of all CPUs that come after it.
    pub fn dsb_ishst(&self) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        mmu.publish(here);
    }

    /// Does what [`dsb_ishst`](Self::dsb_ishst) does, and waits for the invalidations on all CPUs.
    pub fn dsb_ish(&self) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        mmu.invalidate(here, true);
        mmu.publish(here);
    }

    /// Waits for the invalidations on this CPU.
    pub fn dsb_nsh(&self) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        mmu.invalidate(here, false);
    }

    /// Executes what follows with all that was done before.
    pub fn isb(&self) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        let cpu = &mut mmu.cpus[here];
        cpu.synchronized = true;
        if let Some(next) = cpu.next.take() {
            cpu.before = std::mem::replace(&mut cpu.ttbr1, next);
            cpu.found = None;
            mmu.walk(here, next);
            mmu.check(here);
        }
    }

    /// Makes all CPUs forget what they cached under an ASID.
    pub fn tlbi_aside1is(&self, asid: u64) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        mmu.cpus[here].asids.push(asid);
    }

    /// Makes this CPU forget what it cached for the page of an address, under whatever ASID.
    pub fn tlbi_vaae1(&self, va: usize) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        mmu.cpus[here].addresses.push(va);
    }

    /// Returns what stands at `len` bytes from an address of the upper range on.
    pub fn at(&self, va: usize, len: usize) -> *mut u8 {
        let mut mmu = self.mmu();
        let here = mmu.here();
        assert!(mmu.cpus[here].synchronized, "what was written to tables is used without an ISB");
        let page = (va - BASE) / PAGE_SIZE;
        if page < PLACES {
            return mmu.partition(here, page..page + len.div_ceil(PAGE_SIZE));
        }
        mmu.peephole(here, va)
    }

    /// Zeroes the page at this physical address.
    ///
    /// # Safety
    ///
    /// The page must be secure RAM of the TEE that nothing else uses. It need not be reached by an address here.
    pub unsafe fn zero(&self, pa: u64, _reach: impl FnOnce(fn(&mut [u64; PAGE_SIZE / 8]))) {
        let mut mmu = self.mmu();
        mmu.epoch += 1;
        let page = &mut mmu.pages[index(pa)];
        assert!(page.cached == 0, "page {pa:#x} is zeroed while a TLB still has it");
        page.dirty = false;
        let table = mmu.tables.iter().position(|table| table.pa == pa);
        if let Some(Table { window: Some(window), .. }) = table.map(|table| mmu.tables.swap_remove(table)) {
            // The calls that were suspended on the partition's threads are gone with them.
            self.kill_threads(window.addresses());
        }
    }

    /// Fails unless what must hold on this CPU between calls does: no partition is mapped.
    pub fn assert_idle(&self) {
        let mut mmu = self.mmu();
        let here = mmu.here();
        let cpu = &mmu.cpus[here];
        let idle = cpu.next.is_none() && cpu.ttbr1 == NONE.ttbr1() && cpu.writes.is_empty();
        assert!(idle && cpu.asids.is_empty() && cpu.addresses.is_empty(), "CPU {} is left in the middle", cpu.number);
    }
}

#[cfg(test)]
mod tests;
