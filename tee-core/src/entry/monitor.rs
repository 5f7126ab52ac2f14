// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE does when the monitor enters it (`arch/aarch64/smc.S`).
#![expect(unsafe_code, reason = "the assembly's way in")]

use super::caller;
use crate::arch::Arguments;
use crate::arch::aarch64::machine::Machine;
use crate::nexus::tee::Tee;
use crate::platform::{self, interrupts, recorder};
use crate::trace::{self, event};

/// The TEE.
pub static TEE: Tee = Tee::new(Machine);

/// Makes a fast call; the answer replaces the first four arguments.
#[unsafe(no_mangle)]
extern "C" fn fast_call(x: &mut Arguments) {
    trace::called(x);
    // SAFETY: the monitor enters on this CPU's empty stack.
    let answer = unsafe { caller::fast(&TEE, x) };
    trace::answered(&answer);
    x[..4].copy_from_slice(&answer);
}

/// Makes a yielding call; the answer replaces the first four arguments.
#[unsafe(no_mangle)]
extern "C" fn yielding_call(x: &mut Arguments) {
    trace::called(x);
    // SAFETY: the monitor enters on this CPU's empty stack.
    let answer = unsafe { caller::yielding(&TEE, x) };
    trace::answered(&answer);
    x[..4].copy_from_slice(&answer);
}

/// Prepares this CPU, which was switched on.
#[unsafe(no_mangle)]
extern "C" fn cpu_on() {
    platform::init_cpu();
    if trace::ON {
        recorder::begin();
    }
}

/// Sets again, on a CPU that wakes up, what the monitor does not keep across a suspension.
#[unsafe(no_mangle)]
extern "C" fn cpu_resume() {
    platform::init_cpu();
}

/// Handles an interrupt of secure group 1, during a call (context.S) or while the normal world ran (smc.S).
#[unsafe(no_mangle)]
extern "C" fn native_interrupt() {
    // It may have come to the monitor, which does not say where the normal world was.
    interrupts::handle(|intid| event!(Interrupt { vcpu: 0, intid, pc: 0 }));
}
