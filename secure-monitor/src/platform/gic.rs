// SPDX-License-Identifier: MIT OR Apache-2.0
//! GICv3 as the monitor configures it: group 0 is EL3's, secure group 1 the TEE's (docs/chain.md, Interrupts).
//!
//! Everything is non-secure group 1 but: SGIs 8 to 14 and the secure timer's PPI are secure group 1, the TEE's; SGI 15
//! is group 0, the monitor's, with which it wakes a waiting CPU. Arm recommends SGIs 8 to 15 for the secure side
//! (Arm IHI 0069, 2.2.1).

use crate::arch::{el3, switch::PARK_PRIORITY, sysreg};
use crate::complaints::complain;
use crate::handoff::CALL;
use arm_gic::gicv3::registers::{Gicd, GicdCtlr, GicrSgi};
use arm_gic::gicv3::{
    GicCpuInterface, GicDistributor, GicError, GicRedistributor, GicRedistributorIterator, Group, SecureIntGroup,
    SgiTarget, SgiTargetGroup,
};
use arm_gic::{IntId, InterruptGroup};
use core::ptr::NonNull;
use firmware_support::board::BOARD;
use heapless::Vec;
use safe_mmio::UniqueMmioPointer;
use shared_abi::layout::MAX_CPUS;

/// Wakes a waiting CPU.
const WAKE: IntId = IntId::sgi(CALL);
/// The secure physical timer, PPI 13 (Arm BSA: INTID 29).
const SECURE_TIMER: IntId = IntId::ppi(13);
/// EL2's physical timer, PPI 10 (Arm BSA: INTID 26): the normal world's, and so in a group that no TEE's driver takes
/// it out of.
const TIMER: IntId = IntId::ppi(10);
/// More urgent than anything non-secure.
const SECURE_PRIORITY: u8 = 0x20;
/// What the normal world's interrupts are, at the most urgent, and begin with.
const NORMAL_PRIORITY: u8 = 0x80;

/// Which interrupt EL3 was entered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Secure group 1: the TEE's.
    Tee,
    /// Group 0, acknowledged: the monitor's own or one that nobody asked for.
    Monitor(u32),
    /// Gone before it could be read.
    Nothing,
}

/// Returns the interrupt's number; 1023, which is none's, if it is gone.
pub fn number(pending: Pending) -> u32 {
    match pending {
        Pending::Tee => el3::as_secure_world(|| GicCpuInterface::get_pending_interrupt(InterruptGroup::Group1))
            .map_or(1023, u32::from),
        Pending::Monitor(id) => id,
        Pending::Nothing => 1023,
    }
}

/// Sets up the distributor.
///
/// # Safety
///
/// Once, by the first CPU, with the GIC mapped as device memory.
pub unsafe fn init_distributor() {
    let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<Gicd>(BOARD.distributor.base as usize))
        .expect("the GIC is not at address 0");
    // SAFETY: the caller vouches for the mapping, and this is the one use of the distributor.
    let mut distributor = GicDistributor::new(unsafe { UniqueMmioPointer::new(registers) });
    distributor.modify_control(GicdCtlr::ARE_S | GicdCtlr::ARE_NS, true);
    distributor.configure_default_settings();
    distributor.modify_control(GicdCtlr::EnableGrp0 | GicdCtlr::EnableGrp1S | GicdCtlr::EnableGrp1NS, true);
}

/// Wakes and sets up the redistributor of each of `cpus`, so that their SGIs reach them in the pen, or wait there for
/// them. Returns those of `cpus` that have one.
///
/// # Safety
///
/// As for [`init_distributor`], after it.
pub unsafe fn init_redistributors(cpus: &[u64]) -> Result<Vec<u64, MAX_CPUS>, GicError> {
    let mut found: Vec<u64, MAX_CPUS> = Vec::new();
    let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<GicrSgi>(BOARD.redistributors.base as usize))
        .expect("the GIC is not at address 0");
    // SAFETY: the caller vouches for the mapping, and this is the one use of the redistributors.
    for mut redistributor in unsafe { GicRedistributorIterator::new(registers)? } {
        let mpidr = redistributor.typer().core_mpidr();
        if !cpus.contains(&mpidr) {
            continue;
        }
        redistributor.power_on();
        // It is awake already after a reset of this stage alone.
        let _ = redistributor.mark_core_awake();
        redistributor.configure_default_settings();
        for sgi in 8..15 {
            redistributor.set_group(IntId::sgi(sgi), Group::Secure(SecureIntGroup::Group1S))?;
            redistributor.set_interrupt_priority(IntId::sgi(sgi), SECURE_PRIORITY)?;
        }
        redistributor.set_group(SECURE_TIMER, Group::Secure(SecureIntGroup::Group1S))?;
        redistributor.set_interrupt_priority(SECURE_TIMER, SECURE_PRIORITY)?;
        listen(&mut redistributor)?;
        // There is room for all that the device tree names.
        let _ = found.push(mpidr);
    }
    Ok(cpus.iter().copied().filter(|mpidr| found.contains(mpidr)).collect())
}

/// Makes this CPU's redistributor pass the wake-up on, whatever the TEE made of it: OP-TEE's driver puts SGIs 8 to 15
/// into its own group on each CPU that it initialises.
pub fn prepare_wait() {
    // The id is an SGI's, so this cannot fail.
    on_own_redistributor(|own| _ = listen(own));
}

/// Lets EL2's physical timer through to this CPU as an FIQ to EL3, while the TEE runs with those routed there
/// (Arm IHI 0069, 4.6.2: an interrupt of the normal world's is one), and nothing else of the normal world's.
pub fn listen_to_timer() {
    on_own_redistributor(|own| _ = set_timer(own, 0, true));
    hold_back_normal_world();
    GicCpuInterface::enable_group1_non_secure(true);
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb") };
}

/// Leaves the timer as the normal world finds it where it begins, and lets all priorities through again.
pub fn forget_timer() {
    GicCpuInterface::enable_group1_non_secure(false);
    on_own_redistributor(|own| _ = set_timer(own, NORMAL_PRIORITY, false));
    GicCpuInterface::set_priority_mask(PARK_PRIORITY);
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb") };
}

/// Masks what has one of the normal world's priorities: what waits for that, and what it left enabled.
pub fn hold_back_normal_world() {
    GicCpuInterface::set_priority_mask(NORMAL_PRIORITY);
}

fn set_timer(redistributor: &mut GicRedistributor<'_>, priority: u8, enable: bool) -> Result<(), GicError> {
    redistributor.set_interrupt_priority(TIMER, priority)?;
    redistributor.enable_interrupt(TIMER, enable)?;
    redistributor.wait_for_pending_write();
    Ok(())
}

/// Does something with the redistributor of this CPU, which no normal world is on.
fn on_own_redistributor(action: impl FnOnce(&mut GicRedistributor<'_>)) {
    let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<GicrSgi>(BOARD.redistributors.base as usize))
        .expect("the GIC is not at address 0");
    // SAFETY: the redistributors are mapped. Of those that belong to other CPUs only a constant register is read; this
    // CPU's own is nobody else's while the CPU is off, or the TEE is yet to begin on it.
    let Ok(mut all) = (unsafe { GicRedistributorIterator::new(registers) }) else { return };
    if let Some(mut own) = all.find(|redistributor| redistributor.typer().core_mpidr() == crate::arch::mpidr()) {
        action(&mut own);
    }
}

/// Makes the wake-up the monitor's on one CPU.
fn listen(redistributor: &mut GicRedistributor<'_>) -> Result<(), GicError> {
    redistributor.set_group(WAKE, Group::Secure(SecureIntGroup::Group0))?;
    redistributor.set_interrupt_priority(WAKE, 0)?;
    redistributor.enable_interrupt(WAKE, true)?;
    redistributor.wait_for_pending_write();
    Ok(())
}

/// Sets up this CPU's interface for all levels: system registers, nothing masked by priority, group 0 on.
pub fn init_cpu_interface() {
    GicCpuInterface::enable_system_register_el3(true);
    GicCpuInterface::disable_legacy_interrupt_bypass_el3(true);
    el3::as_normal_world(|| {
        // ICC_SRE_EL2 first: it lets EL1 set its own.
        GicCpuInterface::enable_system_register_el2(true);
        GicCpuInterface::disable_legacy_interrupt_bypass_el2(true);
        GicCpuInterface::enable_system_register_el1();
    });
    GicCpuInterface::enable_system_register_el1();
    GicCpuInterface::set_priority_mask(PARK_PRIORITY);
    GicCpuInterface::enable_group0(true);
}

/// Lets the worlds' interrupts reach this CPU: the TEE's at once, the normal world's when it asks.
pub fn open() {
    GicCpuInterface::enable_group1_secure(true);
}

/// Keeps the worlds' interrupts from this CPU, so that only the monitor wakes it.
pub fn close() {
    GicCpuInterface::enable_group1_secure(false);
    GicCpuInterface::enable_group1_non_secure(false);
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("isb") };
}

/// Wakes the CPU with these affinities from its wait.
pub fn wake(mpidr: u64) {
    let affinity = |level: u32| (mpidr >> level) as u8;
    let target = SgiTarget::List {
        affinity3: affinity(32),
        affinity2: affinity(16),
        affinity1: affinity(8),
        target_list: 1 << (affinity(0) & 0xF),
    };
    // SAFETY: a barrier: what the CPU is woken for is visible before it wakes.
    unsafe { core::arch::asm!("dsb sy") };
    // The id is an SGI's, so this cannot fail.
    let _ = GicCpuInterface::send_sgi(WAKE, target, SgiTargetGroup::Group0);
    // SAFETY: a barrier: the SGI is sent now.
    unsafe { core::arch::asm!("isb") };
}

/// Finds which interrupt is pending for EL3. One of group 0 is acknowledged and ended.
pub fn take() -> Pending {
    match GicCpuInterface::get_pending_interrupt(InterruptGroup::Group0) {
        Some(IntId::SPECIAL_SECURE) => Pending::Tee,
        Some(id) if u32::from(id) < u32::from(IntId::SPECIAL_SECURE) => {
            match GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group0) {
                Some(id) if u32::from(id) < u32::from(IntId::SPECIAL_SECURE) => {
                    GicCpuInterface::end_interrupt(id, InterruptGroup::Group0);
                    Pending::Monitor(id.into())
                }
                _ => Pending::Nothing,
            }
        }
        _ => Pending::Nothing,
    }
}

/// Says whether an acknowledged group 0 interrupt is the monitor's own.
pub fn is_wake(id: u32) -> bool {
    id == u32::from(WAKE)
}

/// Takes a secure group 1 interrupt that has no TEE to go to. At EL3 with SCR_EL3.NS = 0 the group 1 registers are the
/// secure ones.
pub fn discard_secure() {
    let secure = sysreg::read!("scr_el3");
    // SAFETY: the world's SCR_EL3 is put back before it is entered.
    unsafe {
        sysreg::write!("scr_el3", secure & !1);
        core::arch::asm!("isb");
    }
    if let Some(id) = GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1) {
        complain(format_args!("secure interrupt {} without a TEE", u32::from(id)));
        GicCpuInterface::end_interrupt(id, InterruptGroup::Group1);
    }
    // SAFETY: as above.
    unsafe {
        sysreg::write!("scr_el3", secure);
        core::arch::asm!("isb");
    }
}
