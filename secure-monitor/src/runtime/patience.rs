// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long the TEE may take to begin on a CPU.
//!
//! Until it has, there is nobody but the monitor who could take the CPU back: a TEE that loops there, as OP-TEE does on
//! a CPU that it was not built for, would keep it for ever. So FIQs go to EL3 meanwhile, which the TEE cannot mask, and
//! the timer of an EL2 that has not begun either comes as one.

use crate::arch::{el3, timer};
use crate::platform::gic;
use crate::world::cpu::Cpu;
use crate::world::tee::{Errand, LOOKS};

/// Begins to wait for the TEE, which is about to be entered for this errand.
pub fn begin(cpu: &mut Cpu, errand: Errand) {
    wait(errand);
    gic::listen_to_timer();
    control(cpu, el3::secure_world_under_watch());
}

/// Ends it: the TEE has come back, or is not to be entered any more.
pub fn end(cpu: &mut Cpu) {
    control(cpu, el3::secure_world());
    timer::stop();
    gic::forget_timer();
}

/// Says whether it has taken too long. If something else came, that is not for it to see to, and waits.
pub fn is_over(cpu: &mut Cpu) -> bool {
    if !timer::is_over() {
        gic::hold_back_normal_world();
        return false;
    }
    let over = cpu.tee.is_overdue();
    wait(cpu.tee.errand());
    over
}

/// Waits for a part of the time that an errand may take.
fn wait(errand: Errand) {
    timer::set(errand.patience(), LOOKS.into());
}

fn control(cpu: &mut Cpu, controls: el3::Controls) {
    cpu.secure.control(controls.scr, controls.cptr);
}
