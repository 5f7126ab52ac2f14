// SPDX-License-Identifier: MIT OR Apache-2.0
//! The self-hosted debug registers of a guest.
//!
//! Their accesses trap (MDCR_EL2.TDA) as long as a guest has not switched one on, which nearly no guest ever does, and
//! writes that leave everything off are absorbed: so most vCPUs have nothing to switch. The first write that matters
//! makes the registers live: from then on the vCPU owns them while it is loaded, and they are copied with it.

use super::sysreg::{read, write};

/// MDCR_EL2 with the guest's debug registers trapped, and its access to what it never has: PMU (TPM, TPMCR), OS lock
/// (TDOSA), debug ROM (TDRA), statistical profiling (TPMS), trace filter (TTRF), debug communication (TDCC).
pub const TRAPPED: u64 = TDA | ALWAYS;
const ALWAYS: u64 = 1 << 10 | 1 << 11 | 1 << 6 | 1 << 5 | 1 << 14 | 1 << 19 | 1 << 27;
const TDA: u64 = 1 << 9;

/// MDCR_EL2.HPMN: how many event counters the PMU has for all. Kept as it came out of reset.
const HPMN: u64 = 0x1F;

/// A vCPU's debug registers.
#[derive(Clone, Default)]
pub struct Debug {
    live: bool,
    mdscr: u64,
    // DBGBVR, DBGBCR, DBGWVR, DBGWCR
    pairs: [[u64; 16]; 4],
}

macro_rules! each {
    ($macro:ident, $($n:literal)*) => { $($macro!($n);)* };
}

impl Debug {
    /// Says what a guest wrote to MDSCR_EL1 while it was trapped, or had when it was last loaded.
    pub fn mdscr(&self) -> u64 {
        self.mdscr
    }

    /// Keeps a trapped MDSCR_EL1 that switches nothing on.
    pub fn set_mdscr(&mut self, value: u64) {
        self.mdscr = value;
    }

    /// Gives the registers to the guest from now on; the trapped instruction is to be run again.
    pub fn make_live(&mut self) {
        self.live = true;
        self.restore();
    }

    /// Takes the registers from the CPU and leaves them off.
    pub fn save(&mut self) {
        if !self.live {
            return;
        }
        self.mdscr = read!("mdscr_el1");
        let (breakpoints, watchpoints) = counts();
        macro_rules! save {
            ($n:literal) => {
                if $n < breakpoints {
                    self.pairs[0][$n] = read!(concat!("s2_0_c0_c", $n, "_4"));
                    self.pairs[1][$n] = read!(concat!("s2_0_c0_c", $n, "_5"));
                    write!(concat!("s2_0_c0_c", $n, "_5"), 0);
                }
                if $n < watchpoints {
                    self.pairs[2][$n] = read!(concat!("s2_0_c0_c", $n, "_6"));
                    self.pairs[3][$n] = read!(concat!("s2_0_c0_c", $n, "_7"));
                    write!(concat!("s2_0_c0_c", $n, "_7"), 0);
                }
            };
        }
        each!(save, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        write!("mdscr_el1", 0);
        set_trap(true);
    }

    /// Gives the registers to the CPU.
    pub fn restore(&self) {
        if !self.live {
            return;
        }
        let (breakpoints, watchpoints) = counts();
        macro_rules! restore {
            ($n:literal) => {
                if $n < breakpoints {
                    write!(concat!("s2_0_c0_c", $n, "_4"), self.pairs[0][$n]);
                    write!(concat!("s2_0_c0_c", $n, "_5"), self.pairs[1][$n]);
                }
                if $n < watchpoints {
                    write!(concat!("s2_0_c0_c", $n, "_6"), self.pairs[2][$n]);
                    write!(concat!("s2_0_c0_c", $n, "_7"), self.pairs[3][$n]);
                }
            };
        }
        each!(restore, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        write!("mdscr_el1", self.mdscr);
        set_trap(false);
    }
}

/// Breakpoints and watchpoints of the CPU (ID_AA64DFR0_EL1).
fn counts() -> (usize, usize) {
    let dfr0 = read!("id_aa64dfr0_el1");
    ((dfr0 >> 12 & 0xF) as usize + 1, (dfr0 >> 20 & 0xF) as usize + 1)
}

fn set_trap(on: bool) {
    let kept = read!("mdcr_el2") & HPMN;
    write!("mdcr_el2", kept | ALWAYS | if on { TDA } else { 0 });
}

/// Brings the CPU's debug registers into the state of a guest that uses none.
pub fn init() {
    let (breakpoints, watchpoints) = counts();
    macro_rules! off {
        ($n:literal) => {
            if $n < breakpoints {
                write!(concat!("s2_0_c0_c", $n, "_5"), 0);
            }
            if $n < watchpoints {
                write!(concat!("s2_0_c0_c", $n, "_7"), 0);
            }
        };
    }
    each!(off, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    write!("mdscr_el1", 0);
    write!("oslar_el1", 0);
    write!("mdcr_el2", read!("mdcr_el2") & HPMN | TRAPPED);
}
