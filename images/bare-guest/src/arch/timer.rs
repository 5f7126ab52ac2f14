// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleeping, by the virtual timer.

use aarch64_cpu::asm::{barrier, wfi};
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, Readable, Writeable};
use arm_gic::InterruptGroup;
use arm_gic::gicv3::GicCpuInterface;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether the timer's interrupt wakes the CPU.
static USABLE: AtomicBool = AtomicBool::new(false);

/// Says whether the timer's interrupt wakes the CPU. Until it does, sleeping is looking at the clock.
pub fn set_usable(usable: bool) {
    USABLE.store(usable, Ordering::Relaxed);
}

/// Sleeps so many milliseconds.
///
/// Interrupts stay masked: a pending one ends WFI all the same (Arm ARM D1.6.2). Once the timer is off it should be
/// gone; where a hypervisor keeps it pending, it is taken here, or it would end every WFI from now on.
pub fn sleep(ms: u64) {
    let ticks = (CNTFRQ_EL0.get() / 1000).saturating_mul(ms);
    let end = now().saturating_add(ticks);
    CNTV_CVAL_EL0.set(end);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    barrier::isb(barrier::SY);
    while now() < end {
        if USABLE.load(Ordering::Relaxed) {
            wfi();
        } else {
            core::hint::spin_loop();
        }
    }
    CNTV_CTL_EL0.set(0);
    barrier::isb(barrier::SY);
    if USABLE.load(Ordering::Relaxed)
        && let Some(intid) = GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1)
    {
        GicCpuInterface::end_interrupt(intid, InterruptGroup::Group1);
    }
}

fn now() -> u64 {
    barrier::isb(barrier::SY);
    CNTVCT_EL0.get()
}
