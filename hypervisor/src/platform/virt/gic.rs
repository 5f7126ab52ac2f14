// SPDX-License-Identifier: MIT OR Apache-2.0
//! The physical GICv3: which interrupts come to EL2, and what becomes of them.
//!
//! `arm-gic` sets it up. What it has no function for (a private interrupt's active state) is written here.

use crate::interrupts::{HYPERVISOR_TIMER, KICK, MAINTENANCE};
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicV3, Group, SgiTarget, SgiTargetGroup};
use arm_gic::{IntId, Trigger};
use core::ptr::NonNull;
use firmware_support::board::{BOARD, REDISTRIBUTOR};
use safe_mmio::UniqueMmioPointer;
use spin::{Mutex, Once};

use crate::arch::aarch64::sysreg::{isb, publish, write};
use crate::arch::interface::{PHYSICAL_TIMER, TIMERS, VIRTUAL_TIMER};

static GIC: Once<Mutex<GicV3<'static>>> = Once::new();

/// Sets up the distributor. Once, on the first CPU.
///
/// # Safety
///
/// Once only, with the devices mapped.
pub unsafe fn init(cpus: usize) {
    let distributor = NonNull::new(BOARD.distributor.base as *mut Gicd).expect("not at 0");
    let redistributors = NonNull::new(BOARD.redistributors.base as *mut GicrSgi).expect("not at 0");
    // SAFETY: the registers are there and nobody else has them, as the caller promises.
    let gic = unsafe { GicV3::new(UniqueMmioPointer::new(distributor), redistributors, cpus) };
    let mut gic = gic.expect("the GIC is a version 3");
    gic.distributor().configure_default_settings();
    let uart = IntId::spi(BOARD.uart.spi);
    let this_cpu = crate::arch::cpu::affinity();
    let routed = gic.distributor().set_routing(uart, Some(this_cpu));
    routed.and_then(|()| gic.enable_interrupt(uart, None, true)).expect("the UART's interrupt exists");
    GIC.call_once(|| Mutex::new(gic));
}

/// Sets up this CPU's redistributor and interface.
pub fn init_cpu(cpu: usize) {
    // ICC_SRE_EL2: system registers at EL2 and below, no bypass.
    write!("icc_sre_el2", 0xF);
    isb();
    let mut gic = gic().lock();
    gic.init_cpu(cpu);
    let mut redistributor = gic.redistributor(cpu).expect("every CPU has a redistributor");
    redistributor.configure_default_settings();
    let wanted = [
        IntId::sgi(KICK),
        IntId::ppi(MAINTENANCE - 16),
        IntId::ppi(HYPERVISOR_TIMER - 16),
        IntId::ppi(VIRTUAL_TIMER - 16),
        IntId::ppi(PHYSICAL_TIMER - 16),
    ];
    for intid in wanted {
        let done = redistributor.set_group(intid, Group::Group1NS);
        let done = done.and_then(|()| redistributor.enable_interrupt(intid, true));
        done.expect("the interrupt exists");
        if !intid.is_sgi() {
            // Refused where the GIC's wiring fixes the trigger, which then is the right one.
            let _ = redistributor.set_trigger(intid, Trigger::Level);
        }
    }
    drop(gic);
    // EOImode: ending an interrupt drops its priority only, so that a guest can be the one to deactivate its timer's.
    write!("icc_ctlr_el1", 1 << 1);
    GicCpuInterface::set_priority_mask(0xFF);
    GicCpuInterface::enable_group1(true);
    isb();
}

/// Makes these of the guest's timers' interrupts active on `cpu`, which must be this one, and the others inactive:
/// active are those that the vCPU that is loaded has taken and not deactivated, which will reach them.
pub fn set_timers_active(cpu: usize, active: u32) {
    const SGI_FRAME: u64 = 0x1_0000;
    const ISACTIVER0: u64 = 0x300;
    const ICACTIVER0: u64 = 0x380;
    let frame = BOARD.redistributors.base + cpu as u64 * REDISTRIBUTOR + SGI_FRAME;
    for (register, bits) in [(ICACTIVER0, TIMERS & !active), (ISACTIVER0, TIMERS & active)] {
        let address = core::ptr::with_exposed_provenance_mut::<u32>((frame + register) as usize);
        // SAFETY: the register is this CPU's; writing a bit sets that interrupt's state and changes no other's.
        unsafe { address.write_volatile(bits) };
    }
}

/// Has an SPI, its INTID, come to this CPU whenever its line rises. Says whether there is such an SPI.
pub fn take_edges(intid: u32) -> bool {
    let mut gic = gic().lock();
    let spi = intid.checked_sub(32).filter(|spi| *spi < gic.typer().num_spis());
    let Some(intid) = spi.map(IntId::spi) else { return false };
    let distributor = gic.distributor();
    let routed = distributor.set_routing(intid, Some(crate::arch::cpu::affinity()));
    let set = routed.and_then(|()| distributor.set_trigger(intid, Trigger::Edge));
    set.and_then(|()| gic.enable_interrupt(intid, None, true)).is_ok()
}

/// Lets one that was taken come, or keeps it back: it waits then.
pub fn enable(intid: u32, on: bool) {
    let spi = intid.checked_sub(32).map(IntId::spi);
    let done = spi.map(|intid| gic().lock().enable_interrupt(intid, None, on));
    done.and_then(Result::ok).expect("it was taken");
}

fn gic() -> &'static Mutex<GicV3<'static>> {
    GIC.get().expect("the distributor is set up first")
}

/// Kicks the CPU of this affinity.
pub fn kick(affinity: u64) {
    // What the other CPU is to find must be there before the interrupt is.
    publish();
    let target = SgiTarget::List {
        affinity3: (affinity >> 32) as u8,
        affinity2: (affinity >> 16) as u8,
        affinity1: (affinity >> 8) as u8,
        target_list: 1 << (affinity & 0xF),
    };
    GicCpuInterface::send_sgi(IntId::sgi(KICK), target, SgiTargetGroup::CurrentGroup1).expect("it is an SGI");
}
