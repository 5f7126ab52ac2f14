//! The GIC's virtual CPU interface: list registers and what a guest sees of ICC_* (GICv3 §12.4).
//!
//! `arm-gic` has the physical side only, so these registers are read and written here.

use super::sysreg::{read, write};
use crate::vgic::ListRegisters;

const EN: u64 = 1;
const UIE: u64 = 1 << 1;

/// The list registers of this CPU, with those of the loaded vCPU in them.
pub struct Interface;

/// How many list registers this CPU has: ICH_VTR_EL2.ListRegs + 1.
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

    fn set_underflow(&mut self, on: bool) {
        write!("ich_hcr_el2", EN | if on { UIE } else { 0 });
    }

    fn deactivate(&mut self, intid: u32) {
        crate::platform::gic::deactivate(intid);
    }

    fn timer_fires(&self) -> bool {
        super::timer::guest_timer_fires()
    }
}

/// Apart, because sixteen cases are not to stand wherever a list register is read.
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
    /// The interface of a vCPU out of reset: nothing pending, all groups off, priority mask 0.
    pub fn reset() -> Self {
        Self { hcr: EN, ..Self::default() }
    }

    /// Takes the state from the CPU.
    pub fn save(&mut self) {
        self.vmcr = read!("ich_vmcr_el2");
        self.hcr = read!("ich_hcr_el2") & (EN | UIE);
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
type Access = (fn() -> u64, fn(u64));

/// Goes over the active priority registers that the CPU has: 1, 2 or 4 per group, for 5, 6 or 7 bits of preemption.
fn active_priorities(mut each: impl FnMut(Access, Access, usize)) {
    macro_rules! access {
        ($name:literal) => {
            (|| read!($name), |value| write!($name, value))
        };
    }
    let bits = (read!("ich_vtr_el2") >> 26 & 7) + 1;
    each(access!("ich_ap0r0_el2"), access!("ich_ap1r0_el2"), 0);
    if bits >= 6 {
        each(access!("ich_ap0r1_el2"), access!("ich_ap1r1_el2"), 1);
    }
    if bits >= 7 {
        each(access!("ich_ap0r2_el2"), access!("ich_ap1r2_el2"), 2);
        each(access!("ich_ap0r3_el2"), access!("ich_ap1r3_el2"), 3);
    }
}
