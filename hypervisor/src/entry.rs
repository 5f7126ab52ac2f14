// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way out of a guest and the way in: where the vectors come to, where they leave to, and the records of both.
//!
//! The three functions have the vCPU that was running, its x0 to x30 saved. They end by entering a guest: they never
//! return, so they restore none of the registers that they use. Nothing of a record is left where nothing is recorded.

use crate::arch::{guest, interrupt, vectors};
use crate::cpu::ThisCpu;
use crate::trace::{Client, ON, record};
use crate::trap;
use crate::trap::syndrome::{self, Class};
use crate::vcpu::Vcpu;
use shared_abi::trace::event::Conduit;
use shared_abi::trace::{Event, World};

/// Handles a synchronous exception of a guest's.
///
/// # Safety
///
/// As for [`ThisCpu::left_by`].
#[unsafe(no_mangle)]
unsafe extern "C" fn guest_sync(vcpu: *mut Vcpu) -> ! {
    // SAFETY: as the vectors promise.
    let mut cpu = unsafe { ThisCpu::left_by(vcpu) };
    if ON {
        came(cpu.vcpu(), guest::esr());
    }
    enter(trap::sync(cpu))
}

/// Handles a physical interrupt.
///
/// # Safety
///
/// As for [`ThisCpu::left_by`].
#[unsafe(no_mangle)]
unsafe extern "C" fn guest_irq(vcpu: *mut Vcpu) -> ! {
    // SAFETY: as the vectors promise.
    let mut cpu = unsafe { ThisCpu::left_by(vcpu) };
    if ON {
        // The most urgent one, which the handler is about to acknowledge.
        let (vcpu, intid) = (cpu.vcpu(), interrupt::most_urgent());
        record(client(vcpu), || Event::Interrupt { vcpu: vcpu.index as u8, intid, pc: guest::elr() });
    }
    enter(cpu.interrupted())
}

/// Handles an asynchronous external abort: memory or a bus is broken.
///
/// # Safety
///
/// As for [`ThisCpu::left_by`].
#[unsafe(no_mangle)]
unsafe extern "C" fn guest_serror(vcpu: *mut Vcpu) -> ! {
    // SAFETY: as the vectors promise.
    let mut cpu = unsafe { ThisCpu::left_by(vcpu) };
    if ON {
        exit(cpu.vcpu(), guest::esr(), false);
    }
    enter(trap::serror(cpu))
}

#[inline(always)]
fn client(vcpu: &Vcpu) -> Client {
    Client::of(vcpu.vm.config.id)
}

/// Records a synchronous exception.
#[inline(always)]
fn came(vcpu: &mut Vcpu, esr: u64) {
    let conduit = match Class::of(esr) {
        Class::Smc => Conduit::Smc,
        Class::Hvc => Conduit::Hvc,
        class => return exit(vcpu, esr, matches!(class, Class::DataAbort | Class::InstructionAbort)),
    };
    let x = vcpu.frame.x.first_chunk().copied().unwrap_or_default();
    record(client(vcpu), || Event::Call { conduit, from: World::Normal, vcpu: vcpu.index as u8, x });
    vcpu.called = true;
}

#[inline(always)]
fn exit(vcpu: &Vcpu, esr: u64, is_abort: bool) {
    record(client(vcpu), || {
        // Only an abort says where.
        let (far, hpfar) = if is_abort { (guest::far(), guest::hpfar()) } else { (0, 0) };
        let ipa = syndrome::fault_address(hpfar, far) & !0xFFF;
        Event::Exit { vcpu: vcpu.index as u8, esr, pc: guest::elr(), far, ipa: if is_abort { ipa } else { 0 } }
    });
}

/// Goes on with the vCPU that is loaded.
#[inline(always)]
pub fn enter(mut cpu: ThisCpu) -> ! {
    if ON {
        goes(cpu.vcpu());
    }
    // SAFETY: the vCPU is loaded; whoever had the CPU gave it away and does not come back. A vCPU begins with its
    // frame.
    unsafe { vectors::enter_guest(cpu.give_away().cast()) }
}

/// Records that a guest is entered: the last that happens before.
#[inline(always)]
fn goes(vcpu: &mut Vcpu) {
    let (client, index, pc) = (client(vcpu), vcpu.index as u8, guest::elr());
    if core::mem::take(&mut vcpu.called) {
        let x = vcpu.frame.x.first_chunk().copied().unwrap_or_default();
        record(client, || Event::Answer { to: World::Normal, vcpu: index, x, pc });
    } else {
        record(client, || Event::Enter { vcpu: index, pc, pstate: guest::spsr() });
    }
}
