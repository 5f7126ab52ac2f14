//! The way in and out of a guest in trace builds: one record for each exception that comes from a guest, one for each
//! return into one. The vectors jump to these in the handlers' place.

use super::syndrome::{self, Class};
use crate::arch::sysreg::{self, read};
use crate::cpu::ThisCpu;
use crate::trace::{Client, record};
use crate::vcpu::Vcpu;
use shared_abi::trace::event::Conduit;
use shared_abi::trace::{Event, World};

/// [`super::guest_sync`], recorded.
///
/// # Safety
///
/// As there.
pub unsafe extern "C" fn guest_sync(vcpu: *mut Vcpu) -> ! {
    // SAFETY: As the vectors promise.
    let mut cpu = unsafe { ThisCpu::left_by(vcpu) };
    came(cpu.vcpu(), sysreg::esr());
    // The one call of the handler, so that it is a part of this function.
    super::sync(cpu).enter()
}

/// [`super::guest_irq`], recorded.
///
/// # Safety
///
/// As there.
pub unsafe extern "C" fn guest_irq(vcpu: *mut Vcpu) -> ! {
    // SAFETY: As the vectors promise.
    let mut cpu = unsafe { ThisCpu::left_by(vcpu) };
    // The most urgent one, which the handler is about to acknowledge (GICv3 §12.2.10); 1023 for none.
    let intid = read!("icc_hppir1_el1") as u32;
    let vcpu = cpu.vcpu();
    record(client(vcpu), || Event::Interrupt { vcpu: vcpu.index as u8, intid, pc: sysreg::elr() });
    cpu.interrupted().enter()
}

/// [`super::guest_serror`], recorded.
///
/// # Safety
///
/// As there.
pub unsafe extern "C" fn guest_serror(vcpu: *mut Vcpu) -> ! {
    // SAFETY: As the vectors promise.
    let mut cpu = unsafe { ThisCpu::left_by(vcpu) };
    exit(cpu.vcpu(), sysreg::esr(), false);
    super::serror(cpu).enter()
}

#[inline(always)]
fn client(vcpu: &Vcpu) -> Client {
    Client::of(vcpu.vm.config.id)
}

/// A synchronous exception.
#[inline(always)]
fn came(vcpu: &mut Vcpu, esr: u64) {
    let conduit = match Class::of(esr) {
        Class::Smc => Conduit::Smc,
        Class::Hvc => Conduit::Hvc,
        class => return exit(vcpu, esr, matches!(class, Class::DataAbort | Class::InstructionAbort)),
    };
    let x = vcpu.x.first_chunk().copied().unwrap_or_default();
    record(client(vcpu), || Event::Call { conduit, from: World::Normal, vcpu: vcpu.index as u8, x });
    vcpu.called = true;
}

#[inline(always)]
fn exit(vcpu: &Vcpu, esr: u64, is_abort: bool) {
    record(client(vcpu), || {
        // Only an abort says where.
        let (far, hpfar) = if is_abort { (sysreg::far(), sysreg::hpfar()) } else { (0, 0) };
        let ipa = syndrome::fault_address(hpfar, far) & !0xFFF;
        Event::Exit { vcpu: vcpu.index as u8, esr, pc: sysreg::elr(), far, ipa: if is_abort { ipa } else { 0 } }
    });
}

/// The last that happens before a guest is entered: a record of it.
///
/// # Safety
///
/// The vCPU must be loaded on this CPU, and nobody refer to it.
#[inline(always)]
pub unsafe fn enter(pointer: *mut Vcpu) -> *mut Vcpu {
    // SAFETY: As the caller promises.
    let vcpu = unsafe { &mut *pointer };
    let (client, index, pc) = (client(vcpu), vcpu.index as u8, sysreg::elr());
    if core::mem::take(&mut vcpu.called) {
        let x = vcpu.x.first_chunk().copied().unwrap_or_default();
        record(client, || Event::Answer { to: World::Normal, vcpu: index, x, pc });
    } else {
        record(client, || Event::Enter { vcpu: index, pc, pstate: sysreg::spsr() });
    }
    pointer
}
