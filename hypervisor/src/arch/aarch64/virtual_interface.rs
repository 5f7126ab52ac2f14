// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GIC's virtual CPU interface: list registers and what a guest sees of ICC_* (GICv3 §12.4).
//!
//! `arm-gic` has the physical side only, so these registers are read and written here.

use super::sysreg::{read, write};
use crate::arch::interface::{Control, Filter, Group, ListRegisters};

// ICH_HCR_EL2.
const EN: u64 = 1;
const LRENPIE: u64 = 1 << 2;
const NPIE: u64 = 1 << 3;
const VGRP0_EIE: u64 = 1 << 4;
const VGRP0_DIE: u64 = 1 << 5;
const VGRP1_EIE: u64 = 1 << 6;
const VGRP1_DIE: u64 = 1 << 7;
const TALL0: u64 = 1 << 11;
const TALL1: u64 = 1 << 12;
const TDIR: u64 = 1 << 14;
const EOI_COUNT: u64 = 0x1F << 27;

// ICH_VTR_EL2.
const SEPARATE_DIR_TRAP: u64 = 1 << 19;

// ICH_VMCR_EL2.
const VCBPR: u64 = 1 << 4;
const VEOIM: u64 = 1 << 9;

/// The list registers of this CPU, with those of the loaded vCPU in them.
pub struct Interface;

/// Says how many list registers this CPU has: ICH_VTR_EL2.ListRegs + 1.
fn count() -> usize {
    (read!("ich_vtr_el2") & 0x1F) as usize + 1
}

macro_rules! lr {
    ($index:expr, $do:ident $(, $value:expr)?) => {
        match $index {
            0 => $do!("ich_lr0_el2" $(, $value)?),
            1 => $do!("ich_lr1_el2" $(, $value)?),
            2 => $do!("ich_lr2_el2" $(, $value)?),
            3 => $do!("ich_lr3_el2" $(, $value)?),
            4 => $do!("ich_lr4_el2" $(, $value)?),
            5 => $do!("ich_lr5_el2" $(, $value)?),
            6 => $do!("ich_lr6_el2" $(, $value)?),
            7 => $do!("ich_lr7_el2" $(, $value)?),
            8 => $do!("ich_lr8_el2" $(, $value)?),
            9 => $do!("ich_lr9_el2" $(, $value)?),
            10 => $do!("ich_lr10_el2" $(, $value)?),
            11 => $do!("ich_lr11_el2" $(, $value)?),
            12 => $do!("ich_lr12_el2" $(, $value)?),
            13 => $do!("ich_lr13_el2" $(, $value)?),
            14 => $do!("ich_lr14_el2" $(, $value)?),
            _ => $do!("ich_lr15_el2" $(, $value)?),
        }
    };
}

impl ListRegisters for Interface {
    #[inline]
    fn count(&self) -> usize {
        count()
    }

    #[inline]
    fn finished(&self) -> u16 {
        // EISR: those that asked for a maintenance interrupt at their end; ELRSR has the others.
        (read!("ich_elrsr_el2") | read!("ich_eisr_el2")) as u16
    }

    #[inline]
    fn read(&self, index: usize) -> u64 {
        // Most of the time there is one interrupt, and it is in the first.
        if index == 0 { read!("ich_lr0_el2") } else { read_list(index) }
    }

    #[inline]
    fn write(&mut self, index: usize, value: u64) {
        if index == 0 {
            write!("ich_lr0_el2", value);
        } else {
            write_list(index, value);
        }
    }

    fn set_control(&mut self, control: Control) {
        let bits = |on: bool, bits: u64| if on { bits } else { 0 };
        let groups = |groups: u8, zero: u64, one: u64| bits(groups & 1 != 0, zero) | bits(groups & 2 != 0, one);
        let acknowledge = match control.acknowledge {
            Some(Group::Zero) => TALL0,
            Some(Group::One) => TALL1,
            None => 0,
        };
        let value = always()
            | bits(control.none_pending, NPIE)
            | groups(control.enabled, VGRP0_EIE, VGRP1_EIE)
            | groups(control.disabled, VGRP0_DIE, VGRP1_DIE)
            | bits(control.unlisted_end, LRENPIE)
            | acknowledge;
        write!("ich_hcr_el2", read!("ich_hcr_el2") & EOI_COUNT | value);
    }

    fn take_unlisted_ends(&mut self) -> u32 {
        let value = read!("ich_hcr_el2");
        write!("ich_hcr_el2", value & !EOI_COUNT);
        ((value & EOI_COUNT) >> EOI_COUNT.trailing_zeros()) as u32
    }

    fn filter(&self) -> Filter {
        let vmcr = read!("ich_vmcr_el2");
        // ICC_BPR1 counts from one bit higher than ICC_BPR0 (GICv3 §4.8.2); with CBPR the latter is for both.
        let (group0, group1) = (0xFEu8 << (vmcr >> 21 & 7), 0xFFu8 << (vmcr >> 18 & 7));
        Filter {
            groups: (vmcr & 3) as u8,
            mask: (vmcr >> 24) as u8,
            running: running_priority(),
            preemption: [group0, if vmcr & VCBPR != 0 { group0 } else { group1 }],
        }
    }

    #[inline]
    fn priority_mask(&self) -> u8 {
        (read!("ich_vmcr_el2") >> 24) as u8
    }

    #[inline]
    fn splits_ends(&self) -> bool {
        read!("ich_vmcr_el2") & VEOIM != 0
    }

    fn raise_priority(&mut self, register: u64) {
        let filter = self.filter();
        let group = (register >> 60 & 1) as usize;
        let level = ((register >> 48) as u8 & filter.preemption[group]) >> (8 - preemption_bits());
        let bit = 1 << (level % 32);
        active_priorities(|ap0, ap1, n| {
            if n == usize::from(level / 32) {
                let (read, write) = if group == 0 { ap0 } else { ap1 };
                write(read() | bit);
            }
        });
    }

    fn drop_priority(&mut self) {
        let mut done = false;
        active_priorities(|ap0, ap1, n| {
            let _ = n;
            let (first, second) = (ap0.0(), ap1.0());
            if done || first | second == 0 {
                return;
            }
            done = true;
            // The lower bit is the more urgent one; the same level is not active in both.
            let (write, value) = if second == 0 || first != 0 && first.trailing_zeros() < second.trailing_zeros() {
                (ap0.1, first)
            } else {
                (ap1.1, second)
            };
            write(value & (value - 1));
        });
    }

    fn deactivate(&mut self, intid: u32) {
        super::interrupt::deactivate(intid);
    }

    #[inline]
    fn timers(&self) -> u32 {
        super::timer::guest_timers()
    }
}

/// Returns ICH_HCR_EL2 of a guest with nothing out of the ordinary. A CPU without a trap for ICC_DIR alone has none:
/// there, what is in no list register of the vCPU that names it stays active.
fn always() -> u64 {
    if read!("ich_vtr_el2") & SEPARATE_DIR_TRAP != 0 { EN | TDIR } else { EN }
}

/// Returns the priority of what the guest handles: the lowest bit that is set in its active priorities registers (GICv3
/// §4.8.5).
#[inline]
fn running_priority() -> u8 {
    let bits = preemption_bits();
    // The first of them say it all on a CPU with 5 bits of preemption, as most are.
    let mut active = [read!("ich_ap0r0_el2") | read!("ich_ap1r0_el2"), 0, 0, 0];
    if bits > 5 {
        active_priorities(|ap0, ap1, n| active[n] = ap0.0() | ap1.0());
    }
    for (n, active) in (0..).zip(active) {
        if active != 0 {
            return ((n * 32 + active.trailing_zeros()) << (8 - bits)) as u8;
        }
    }
    u8::MAX
}

/// Returns ICH_VTR_EL2.PREbits: bits of preemption, 5 to 7.
fn preemption_bits() -> u64 {
    (read!("ich_vtr_el2") >> 26 & 7) + 1
}

/// Reads a list register. Apart, because sixteen cases are not to stand wherever one is read.
#[inline(never)]
fn read_list(index: usize) -> u64 {
    lr!(index, read)
}

#[inline(never)]
fn write_list(index: usize, value: u64) {
    lr!(index, write, value);
}

/// The virtual CPU interface of a vCPU that is not loaded.
#[derive(Clone, Default)]
pub struct Saved {
    vmcr: u64,
    hcr: u64,
    ap0: [u64; 4],
    ap1: [u64; 4],
    lrs: [u64; 16],
}

impl Saved {
    /// Returns the interface of a vCPU out of reset: nothing pending, all groups off, priority mask 0.
    pub fn reset() -> Self {
        Self { hcr: always(), ..Self::default() }
    }

    /// Takes the state from the CPU.
    pub fn save(&mut self) {
        self.vmcr = read!("ich_vmcr_el2");
        self.hcr = read!("ich_hcr_el2");
        active_priorities(|ap0, ap1, n| {
            self.ap0[n] = ap0.0();
            self.ap1[n] = ap1.0();
        });
        for (index, lr) in self.lrs.iter_mut().enumerate().take(count()) {
            *lr = read_list(index);
        }
        write!("ich_hcr_el2", 0);
    }

    /// Gives the state to the CPU.
    pub fn restore(&self) {
        write!("ich_vmcr_el2", self.vmcr);
        active_priorities(|ap0, ap1, n| {
            ap0.1(self.ap0[n]);
            ap1.1(self.ap1[n]);
        });
        for (index, lr) in self.lrs.iter().enumerate().take(count()) {
            write_list(index, *lr);
        }
        write!("ich_hcr_el2", self.hcr);
    }
}

/// How to read and how to write a register.
type Accessors = (fn() -> u64, fn(u64));

/// Goes over the active priority registers that the CPU has: 1, 2 or 4 per group, for 5, 6 or 7 bits of preemption.
fn active_priorities(mut each: impl FnMut(Accessors, Accessors, usize)) {
    macro_rules! access {
        ($name:literal) => {
            (|| read!($name), |value| write!($name, value))
        };
    }
    let bits = preemption_bits();
    each(access!("ich_ap0r0_el2"), access!("ich_ap1r0_el2"), 0);
    if bits >= 6 {
        each(access!("ich_ap0r1_el2"), access!("ich_ap1r1_el2"), 1);
    }
    if bits >= 7 {
        each(access!("ich_ap0r2_el2"), access!("ich_ap1r2_el2"), 2);
        each(access!("ich_ap0r3_el2"), access!("ich_ap1r3_el2"), 3);
    }
}
