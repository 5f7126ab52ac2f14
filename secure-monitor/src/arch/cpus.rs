// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each CPU owns, and how a CPU knows which one it is.

use super::{el3, stacks, sysreg};
use crate::world::cpu::Cpu;
use crate::world::predictor::Predictor;
use core::cell::UnsafeCell;
use shared_abi::layout::MAX_CPUS;

/// The affinities of the CPUs in the order of the device tree, for those that come from the pen to find their place.
#[repr(C)]
pub(super) struct Mpidrs(UnsafeCell<[u64; MAX_CPUS]>);

// SAFETY: written by `publish` before any other CPU reads.
unsafe impl Sync for Mpidrs {}

/// See [`Mpidrs`].
pub(super) static MPIDRS: Mpidrs = Mpidrs(UnsafeCell::new([u64::MAX; MAX_CPUS]));

struct PerCpu(UnsafeCell<[Cpu; MAX_CPUS]>);

// SAFETY: `claim` hands each CPU its own element, once.
unsafe impl Sync for PerCpu {}

static CPUS: PerCpu = PerCpu(UnsafeCell::new([Cpu::ZERO; MAX_CPUS]));

/// Tells the CPUs that will come from the pen who they are.
///
/// # Safety
///
/// Once, by the first CPU, before it releases the others.
pub unsafe fn publish(mpidrs: impl Iterator<Item = u64>) {
    // SAFETY: nobody reads yet.
    let table = unsafe { &mut *MPIDRS.0.get() };
    for (place, mpidr) in table.iter_mut().zip(mpidrs) {
        *place = mpidr;
    }
}

/// Hands this CPU what it owns, with its registers set up for both worlds.
///
/// # Safety
///
/// Once on each CPU, with the index that is its own and less than [`MAX_CPUS`].
pub unsafe fn claim(index: usize) -> &'static mut Cpu {
    let normal = el3::normal_world();
    el3::init(normal);
    // SAFETY: the caller's index is its own, so no other reference to this element exists, and it is in bounds.
    let cpu = unsafe { &mut *CPUS.0.get().cast::<Cpu>().add(index) };
    let predictor = Predictor::of(sysreg::read!("midr_el1"), sysreg::read!("id_aa64pfr0_el1") >> 56 & 0xF);
    *cpu = Cpu::new(index, stacks::guarded(index).end(), predictor);
    let secure = el3::secure_world();
    cpu.normal.control(normal.scr, normal.cptr);
    cpu.secure.control(secure.scr, secure.cptr);
    // SAFETY: the register is the monitor's own, and from here on points to what this CPU owns.
    unsafe { sysreg::write!("tpidr_el3", core::ptr::from_mut(cpu).addr() as u64) };
    cpu
}

/// Finds the index of the CPU that executes this, once it has what it owns.
#[inline(always)]
pub fn this_cpu() -> Option<usize> {
    let own = sysreg::read!("tpidr_el3") as usize;
    (own != 0).then(|| (own - CPUS.0.get().addr()) / size_of::<Cpu>())
}
