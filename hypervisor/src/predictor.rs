// SPDX-License-Identifier: MIT OR Apache-2.0
//! What guests teach the branch predictor is not to steer the hypervisor (CVE-2017-5715, "Spectre v2"): an option, as
//! it costs a call to EL3 at every exit. QEMU predicts nothing, so that a chain on it is no safer with the option; it
//! shows what the protection costs.
#![forbid(unsafe_code)]

use crate::firmware;
use core::sync::atomic::{AtomicBool, Ordering};
use shared_abi::smccc::SUCCESS;

static WANTED: AtomicBool = AtomicBool::new(false);
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Notes that the machine's owner wants it. Before any CPU is set up.
pub fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// Says whether the CPU that executes this is to use the hardened vectors: if it is wanted, there, and needed. On a CPU
/// that the firmware does not know, or that needs nothing, exits stay as they are.
pub fn is_needed() -> bool {
    let needed = WANTED.load(Ordering::Relaxed) && firmware::workaround_1() == SUCCESS;
    if needed {
        IN_USE.store(true, Ordering::Relaxed);
    }
    needed
}

/// Says whether exits make the predictor forget, on some CPU: a guest that asks for the same has it by asking.
pub fn is_in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

/// Says in words whether the predictor is hardened, as was wished; `None` if nobody wished it.
pub fn outcome() -> Option<&'static str> {
    WANTED.load(Ordering::Relaxed).then(|| match firmware::workaround_1() {
        SUCCESS => "the branch predictor forgets at every exit (SMCCC_ARCH_WORKAROUND_1)",
        1.. => "the branch predictor need not forget on this CPU",
        _ => "the firmware cannot make the branch predictor forget on this CPU",
    })
}
