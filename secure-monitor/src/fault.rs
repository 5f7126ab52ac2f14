// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should not happen: faults of the monitor, which end its CPU, and traps of lower levels that nobody expects,
//! which do not.

use crate::arch;
use crate::complaints::complain;
use crate::platform::console;
use crate::trace;
use crate::world::context::World;
use core::panic::PanicInfo;

/// Says where the monitor itself is at fault, and stops this CPU.
pub extern "C" fn monitor_fault(esr: u64, elr: u64, vector: u64) -> ! {
    trace::panic(format_args!("fault: ESR {esr:#x} ELR {elr:#x}"));
    console::seize();
    log::error!(
        "cpu {:#x}: fault in the monitor, vector {vector}: ESR {esr:#x} ELR {elr:#x} FAR {:#x}; CPU stopped",
        arch::mpidr(),
        arch::mmu::fault_address()
    );
    arch::stop()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    trace::panic(format_args!("{}", info.message()));
    console::seize();
    // The panic's own text would take two lines.
    match info.location() {
        Some(place) => log::error!("cpu {:#x}: panicked at {place}: {}; CPU stopped", arch::mpidr(), info.message()),
        None => log::error!("cpu {:#x}: panicked at an unknown place: {}; CPU stopped", arch::mpidr(), info.message()),
    }
    arch::stop()
}

/// Class of an asynchronous error (Arm ARM D19.2.37).
const CLASS_SERROR: u64 = 0x2F;

/// Says that the TEE is about to take an asynchronous error: what it says then, if it says anything, are its last
/// words.
pub fn error_of_the_tee() {
    complain(format_args!(
        "cpu {:#x}: an asynchronous error is pending that is the TEE's: it is to take it",
        arch::mpidr()
    ));
}

/// Says which exception of a lower level came here that is no call. The world that made it goes on: after an
/// asynchronous error, which should not come here ([`crate::world::errors`]), where it was; otherwise with the
/// undefined-instruction exception it would have had without the monitor, for what traps here is what
/// [`crate::arch::el3`] closed.
pub fn lower_level_trap(from: World, esr: u64) {
    let class = (esr >> 26) & 0x3F;
    complain(format_args!(
        "cpu {:#x}: {from:?} world: exception class {class:#x}: ESR {esr:#x} ELR {:#x} FAR {:#x}",
        arch::mpidr(),
        arch::return_address(),
        arch::mmu::fault_address()
    ));
    if class != CLASS_SERROR {
        arch::undefined::inject(from);
    }
}
