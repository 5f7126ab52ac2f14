// SPDX-License-Identifier: MIT OR Apache-2.0
//! Code that does one thing wrong, and is found out.

use super::*;
use crate::arch::tables::{PAGE_ATTRIBUTES, Root, TABLE};
use crate::nexus::peephole;
use std::panic::{AssertUnwindSafe, catch_unwind};

const TABLES: [u64; 2] = [TEE.base + 0x10_0000, TEE.base + 0x11_0000];
/// Pages of both VMs, one after the other.
const PAGES_OF_VM: [u64; 2] = [TEE.base + 0x12_0000, TEE.base + 0x13_0000];
const STRUCT: usize = 1;
const SHAPE: Shape = Shape { pages: 2, zero: 2 };

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    OneAsid,
    Global,
    SelectsWithoutIsb,
    StaysSelected,
    RootBeforeAsid,
    AsidBeforeRoot,
    NotUnmapped,
    NotInvalidated,
    OtherInvalidated,
    InvalidatedBeforeUnmapping,
    InvalidatedBeforeItIsSeen,
    NotWaitedFor,
    WaitedForHereAlone,
    MapsWithoutDsb,
    UsesWithoutIsb,
    Replaced,
    NotScrubbed,
    PeepholeNotInvalidated,
    PeepholeInvalidatedBeforeClosing,
    Executable,
    NonSecure,
    User,
}
use Wrong::*;

struct Code {
    machine: Machine,
    roots: [Root; 2],
    wrong: Wrong,
}

impl Code {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn asid(&self, vm: usize) -> u64 {
        if self.is(OneAsid) { 1 } else { vm as u64 + 1 }
    }

    fn root(&self, vm: usize) -> *mut u64 {
        self.roots[vm].ttbr1() as *mut u64
    }

    fn map(&self, table: u64, place: usize, page: u64) {
        let extra = match self.wrong {
            Global => 0,
            Executable => NON_GLOBAL | 1 << 53,
            NonSecure => NON_GLOBAL | 1 << 5,
            User => NON_GLOBAL | 1 << 6,
            _ => NON_GLOBAL,
        };
        // SAFETY: this code is the page's only user.
        unsafe { peephole::with(&self.machine, table, |entries| entries[place] = (page | PAGE_ATTRIBUTES) ^ extra) };
    }

    fn create(&self, vm: usize, table: u64, page: u64) {
        for pa in [table, page] {
            if !self.is(NotScrubbed) {
                // SAFETY: nobody uses the page.
                unsafe { peephole::zero(&self.machine, pa) };
            }
        }
        self.map(table, STRUCT, page);
        // SAFETY: the VM's own table.
        unsafe {
            self.machine.set_entry(self.root(vm).add(15), PEEPHOLE_TABLE.pa() | TABLE);
            self.machine.set_entry(self.root(vm), table | TABLE);
        }
        if !self.is(MapsWithoutDsb) {
            self.machine.dsb_ishst();
        }
    }

    fn set_ttbr1(&self, value: u64) {
        // SAFETY: nobody refers to what was mapped.
        unsafe { self.machine.set_ttbr1(value) };
    }

    fn select(&self, vm: usize) {
        let (root, asid) = (self.roots[vm].ttbr1(), self.asid(vm) << 48);
        if self.is(RootBeforeAsid) {
            self.set_ttbr1(root);
            self.machine.isb();
        } else if self.is(AsidBeforeRoot) {
            self.set_ttbr1(NONE.ttbr1() | asid);
            self.machine.isb();
        }
        self.set_ttbr1(root | asid);
        if !self.is(SelectsWithoutIsb) {
            self.machine.isb();
        }
    }

    fn deselect(&self) {
        if !self.is(StaysSelected) {
            self.set_ttbr1(NONE.ttbr1());
            self.machine.isb();
        }
        self.machine.assert_idle();
    }

    fn peep(&self, pa: u64) {
        let va = 0xFFFF_FFFF_FFE0_0000 + cpu::index() * PAGE_SIZE;
        let entry = (PEEPHOLE_TABLE.pa() as *mut u64).wrapping_add(cpu::index());
        // SAFETY: this CPU's own entry.
        unsafe { self.machine.set_entry(entry, pa | PAGE_ATTRIBUTES) };
        self.machine.dsb_ishst();
        self.machine.isb();
        self.machine.at(va, PAGE_SIZE);
        if self.is(PeepholeInvalidatedBeforeClosing) {
            self.machine.tlbi_vaae1(va);
            self.machine.dsb_nsh();
        }
        // SAFETY: this CPU's own entry.
        unsafe { self.machine.set_entry(entry, 0) };
        self.machine.dsb_ishst();
        self.machine.isb();
    }

    /// A call of the VM writes to its page; returns what it found there.
    fn call(&self, vm: usize, value: u8) -> u8 {
        self.select(vm);
        // SAFETY: what the address shows is the VM's page, and this code its only user.
        let found = unsafe { self.machine.at(BASE + STRUCT * PAGE_SIZE, 1).replace(value) };
        self.deselect();
        found
    }

    fn destroy(&self, vm: usize) {
        let machine = &self.machine;
        let invalidate = || {
            if !self.is(NotInvalidated) {
                machine.tlbi_aside1is(self.asid(if self.is(OtherInvalidated) { 1 - vm } else { vm }));
            }
            match self.wrong {
                NotWaitedFor => {}
                WaitedForHereAlone => machine.dsb_nsh(),
                _ => machine.dsb_ish(),
            }
        };
        if self.is(InvalidatedBeforeUnmapping) {
            invalidate();
        }
        if !self.is(NotUnmapped) {
            // SAFETY: the VM's own table.
            unsafe { machine.set_entry(self.root(vm), 0) };
        }
        if self.is(InvalidatedBeforeUnmapping) {
            machine.dsb_ishst();
        } else {
            if !self.is(InvalidatedBeforeItIsSeen) {
                machine.dsb_ishst();
            }
            invalidate();
        }
        machine.isb();
    }

    /// Two VMs on two CPUs; the first one goes, and its pages become the second one's.
    fn run(&self) {
        // SAFETY: nothing was done on the machine yet.
        unsafe { self.machine.set_entry(NONE.peepholes(), PEEPHOLE_TABLE.pa() | TABLE) };
        self.machine.dsb_ishst();
        self.machine.isb();
        for vm in 0..2 {
            self.create(vm, TABLES[vm], PAGES_OF_VM[vm]);
        }
        for cpu in 0..2 {
            for vm in [1, 0] {
                cpu::on(cpu, || assert_eq!(self.call(vm, vm as u8 + 1), if cpu == 0 { 0 } else { vm as u8 + 1 }));
            }
        }
        if self.is(UsesWithoutIsb) {
            self.select(0);
            // SAFETY: it is closed.
            unsafe { self.machine.set_entry(PEEPHOLE_TABLE.pa() as *mut u64, 0) };
            self.machine.dsb_ishst();
            self.machine.at(BASE + STRUCT * PAGE_SIZE, 1);
        }
        if self.is(Replaced) {
            self.map(TABLES[0], STRUCT, PAGES_OF_VM[1] + 0x1000);
        }
        if self.is(PeepholeNotInvalidated) || self.is(PeepholeInvalidatedBeforeClosing) {
            TABLES.into_iter().for_each(|pa| self.peep(pa));
        }
        self.destroy(0);
        self.create(0, PAGES_OF_VM[0], TABLES[0]);
        for cpu in 0..2 {
            cpu::on(cpu, || self.call(0, 5));
        }
        assert_eq!(self.call(1, 7), 2, "the other VM's page");
    }
}

fn play(wrong: Wrong) -> Result<(), String> {
    let code = Code {
        machine: Machine::new(shared_abi::layout::Range::new(0x4000_0000, 0), SHAPE),
        roots: [Root::new(), Root::new()],
        wrong,
    };
    catch_unwind(AssertUnwindSafe(|| code.run())).map_err(|why| {
        let text = why.downcast_ref::<String>().cloned();
        text.or_else(|| why.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
    })
}

#[test]
fn right_code_passes_and_each_mistake_is_found() {
    assert_eq!(play(Nothing), Ok(()));
    for (wrong, why) in [
        (OneAsid, "has a stale TLB under ASID 1"),
        (Global, "is cached as global"),
        (SelectsWithoutIsb, "is used without an ISB"),
        (StaysSelected, "is left in the middle"),
        (RootBeforeAsid, "has a stale TLB under ASID 0"),
        (AsidBeforeRoot, "has a stale TLB under ASID 1"),
        (NotUnmapped, "while a TLB still has it"),
        (NotInvalidated, "while a TLB still has it"),
        (OtherInvalidated, "while a TLB still has it"),
        (InvalidatedBeforeUnmapping, "while a TLB still has it"),
        (InvalidatedBeforeItIsSeen, "while a TLB still has it"),
        (NotWaitedFor, "while a TLB still has it"),
        (WaitedForHereAlone, "while a TLB still has it"),
        (MapsWithoutDsb, "a translation fault"),
        (UsesWithoutIsb, "is used without an ISB"),
        (Replaced, "is replaced by another one"),
        (NotScrubbed, "there is no such page in a partition"),
        (PeepholeNotInvalidated, "has a stale TLB for its peephole"),
        (PeepholeInvalidatedBeforeClosing, "has a stale TLB for its peephole"),
        (Executable, "can be executed"),
        (NonSecure, "is not secure memory"),
        (User, "is not secure memory that EL1 alone reads"),
    ] {
        let end = play(wrong);
        assert!(end.as_ref().is_err_and(|is| is.contains(why)), "{wrong:?}: {end:?}");
    }
}
