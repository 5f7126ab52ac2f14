// SPDX-License-Identifier: MIT OR Apache-2.0
//! A noisy neighbour: every CPU has its registers full, is interrupted a thousand times a second, calls its siblings,
//! touches every device, and never rests for long.

use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Frame;
use crate::arch::mmio::{read32, write32};
use crate::arch::others::start;
use crate::arch::psci::ask;
use crate::arch::snippet::snippet;
use crate::arch::sysreg::{read, write};
use crate::arch::{catch, wait_for_interrupt};
use crate::console::Console;
use crate::devices::RTC;
use crate::shared::Words;
use crate::{clock, gic, inventory};
use core::fmt::Write;
use shared_abi::psci::{PSCI_AFFINITY_INFO_64, PSCI_VERSION};

/// Ticks, SGIs and rounds of all CPUs.
static COUNTS: Words = Words::new();
const SGI: u32 = 7;

/// Makes noise for ever.
pub fn make() -> ! {
    gic::init();
    for cpu in 1..inventory::cpus() {
        start(cpu, || work(false));
    }
    work(true);
    unreachable!("it is for ever")
}

fn take(_: &mut Frame, _: bool) {
    let intid = gic::ack();
    if intid == gic::VIRTUAL_TIMER.into() {
        write!("cntv_cval_el0", clock::now() + clock::ms(1));
        COUNTS.add(0, 1);
    } else if intid == SGI.into() {
        COUNTS.add(1, 1);
    } else {
        write32(RTC.base + 0x1C, 1);
        write32(crate::gic::distributor(gic::bits::CLEAR_PENDING + 4), u32::MAX);
    }
    if intid != gic::NONE {
        gic::end(intid);
    }
}

fn work(first: bool) {
    let me = Cpu::this().number();
    gic::init_cpu();
    gic::open(gic::VIRTUAL_TIMER, 0x80, 0);
    gic::open(SGI, 0x90, 0);
    gic::open(gic::RTC, 0xA0, 0);
    // Debug registers that are on are copied at every switch; nothing is at this address.
    write!("dbgbvr0_el1", 0x7777_7770);
    write!("dbgbcr0_el1", 0x1E5);
    write!("mdscr_el1", 1 << 15);
    write!("cntkctl_el1", 3);
    write!("cntv_cval_el0", clock::now());
    write!("cntv_ctl_el0", 1);
    Cpu::this().interruptible(take, || {
        for round in 0u64.. {
            // Registers that the neighbour has, too.
            snippet!(
                "dup v0.2d, x0",
                "not v1.16b, v0.16b",
                "mov v2.16b, v0.16b",
                "mov v7.16b, v0.16b",
                "mov v15.16b, v0.16b",
                "mov v16.16b, v1.16b",
                "mov v31.16b, v1.16b",
                "mov x9, #(7 << 22)",
                "msr s3_3_c4_c4_0, x9",
                "msr tpidrro_el0, x0"
            )
            .run(&[0xDEAD_BEEF_0000_0000 | round]);
            gic::send(SGI.into(), 1 << 40);
            gic::send(SGI.into(), 1 << me);
            gic::pend(40 + me as u32);
            gic::unpend(40 + me as u32);
            ask(PSCI_VERSION, [0; 3]);
            ask(PSCI_AFFINITY_INFO_64, [me as u64, 0, 0]);
            let _ = (read!("id_aa64pfr0_el1"), read!("cntpct_el0"));
            catch(|| write!("cntp_ctl_el0", 0));
            if first {
                write32(RTC.base + 0x10, 1);
                write32(RTC.base + 4, read32(RTC.base) + 1);
                if round % 64 == 0 {
                    let (ticks, sgis) = (COUNTS.get(0), COUNTS.get(1));
                    let _ = writeln!(Console, "noise: {ticks} ticks, {sgis} SGIs, {round} rounds");
                }
            }
            let end = clock::now() + clock::ms(round % 4);
            while clock::now() < end {}
            if round % 8 == 0 {
                wait_for_interrupt();
            }
        }
    });
}
