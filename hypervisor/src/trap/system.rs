// SPDX-License-Identifier: MIT OR Apache-2.0
//! System registers that trap: ID registers, SGIs, the debug registers of a guest that uses none.

use super::syndrome::SystemAccess;
use crate::arch::interface::Group;
use crate::arch::{cpu, one_per_machine};
use crate::id_registers::IdRegisters;
use crate::vcpu::Vcpu;
use crate::vgic::sgi::SgiRegister;
use spin::Once;

/// What became of the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done: on to the next instruction.
    Next,
    /// It is done: on to the next instruction when other vCPUs have looked.
    NextLater,
    /// It no longer traps: run it again.
    Again,
    /// The guest has no such register.
    Undefined,
}

one_per_machine! {
    /// Answers what guests read of the ID registers.
    fn id_registers() -> &'static Once<IdRegisters> = Once::new();
}

/// Emulates an access.
#[inline]
pub fn emulate(vcpu: &mut Vcpu, esr: u64) -> Done {
    let access = SystemAccess::of(esr);
    match access.register {
        (3, 0, 12, 11, 5) if !access.read => send_sgi(vcpu, SgiRegister::Group1, access.rt),
        (3, 0, 0, crm @ 1..=7, op2) if access.read => {
            if let Some(registers) = id_registers().get() {
                vcpu.write(access.rt, registers.get(u32::from(crm), u32::from(op2)));
            }
            Done::Next
        }
        (3, 0, 12, 11, 6 | 7) if !access.read => send_sgi(vcpu, SgiRegister::Group0, access.rt),
        (3, 0, 12, 8 | 9 | 11 | 12, _) => cpu_interface(vcpu, access),
        // REVIDR_EL1, AIDR_EL1 and ACTLR_EL1: implementation-defined, and here nothing.
        (3, 0, 0, 0, 6) | (3, 1, 0, 0, 7) | (3, 0, 1, 0, 1) => {
            if access.read {
                vcpu.write(access.rt, 0);
            }
            Done::Next
        }
        (2, ..) => debug(vcpu, access),
        _ => Done::Undefined,
    }
}

#[inline]
fn send_sgi(vcpu: &mut Vcpu, register: SgiRegister, rt: u8) -> Done {
    let vcpus = vcpu.vm.vgic.send_sgi(vcpu.index, register, vcpu.read(rt));
    vcpu.notify(vcpus);
    Done::Next
}

/// Answers ICC registers: DIR, which always traps, and others now and then ([`crate::arch::interface::Control`]).
#[cold]
fn cpu_interface(vcpu: &mut Vcpu, access: SystemAccess) -> Done {
    let (_, _, _, crm, op2) = access.register;
    let written = (vcpu.read(access.rt) & 0xFF_FFFF) as u32;
    let group = if crm == 8 { Group::Zero } else { Group::One };
    let shown = match (crm, op2, access.read) {
        // ICC_DIR_EL1
        (11, 1, false) => return if vcpu.deactivate(written) { Done::NextLater } else { Done::Next },
        _ if !vcpu.is_watched() => return Done::Undefined,
        // ICC_IAR0_EL1 and ICC_IAR1_EL1
        (8 | 12, 0, true) => match vcpu.acknowledge(group) {
            Some(intid) => intid,
            None => return Done::Again,
        },
        // ICC_EOIR0_EL1 and ICC_EOIR1_EL1
        (8 | 12, 1, false) => {
            vcpu.end_interrupt(written);
            return Done::Next;
        }
        // ICC_HPPIR0_EL1 and ICC_HPPIR1_EL1
        (8 | 12, 2, true) => {
            vcpu.inspect();
            vcpu.most_urgent_pending(group)
        }
        // Whether a group is on, the binary point, active priorities.
        _ => {
            vcpu.unwatch();
            return Done::Again;
        }
    };
    vcpu.write(access.rt, shown.into());
    Done::Next
}

/// Answers a guest's debug registers, before it has switched one on ([`crate::arch::debug`]).
fn debug(vcpu: &mut Vcpu, access: SystemAccess) -> Done {
    const MDSCR_ON: u64 = 1 | 1 << 13 | 1 << 15; // SS, KDE, MDE
    const OSLSR_IMPLEMENTED: u64 = 1 << 3;
    let value = vcpu.read(access.rt);
    let (_, op1, crn, crm, op2) = access.register;
    let shown = match (op1, crn, crm, op2) {
        // MDSCR_EL1
        (0, 0, 2, 2) if access.read => vcpu.debug.mdscr(),
        (0, 0, 2, 2) if value & MDSCR_ON != 0 => {
            vcpu.debug.make_live();
            return Done::Again;
        }
        (0, 0, 2, 2) => {
            vcpu.debug.set_mdscr(value);
            0
        }
        // DBGBVR, DBGBCR, DBGWVR, DBGWCR
        (0, 0, _, 4..=7) if access.read || value == 0 => 0,
        (0, 0, _, 4..=7) => {
            vcpu.debug.make_live();
            return Done::Again;
        }
        // OSLSR_EL1: there is an OS lock, which is open and stays so; OSLAR, OSDLR and DBGPRCR change nothing.
        (0, 1, 1, 4) => OSLSR_IMPLEMENTED,
        (0, 1, 0 | 3 | 4, 4) => 0,
        // MDRAR_EL1, DBGCLAIMSET and DBGCLAIMCLR, DBGAUTHSTATUS, MDCCINT, OSDTRRX, OSDTRTX, OSECCR: nothing there.
        (0, 1, 0, 0) | (0, 7, _, 6) | (0, 0, 2, 0) | (0, 0, 0 | 3 | 6, 2) => 0,
        // MDCCSR_EL0 and the data transfer registers: no debugger is listening.
        (3, 0, 1, 0) | (3, 0, 4 | 5, 0) => 0,
        _ => return Done::Undefined,
    };
    if access.read {
        vcpu.write(access.rt, shown);
    }
    Done::Next
}

/// Reads what the first CPU has, for all guests.
pub fn init() {
    let host = cpu::id_registers();
    id_registers().call_once(|| IdRegisters::new(|crm, op2| host[crm as usize - 1][op2 as usize]));
}
