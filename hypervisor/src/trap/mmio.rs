// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accesses to the devices of the guest contract.
#![forbid(unsafe_code)]

use super::instruction::{Element, Transfer};
use super::syndrome::Access;
use crate::address::Ipa;
use crate::arch::{guest, pstate};
use crate::device::{BOARD, Devices, Effect};
use crate::memory::GuestMemory;
use crate::vcpu::Vcpu;
use crate::vgic::{Concerned, VcpuMask};
use crate::vm::Vm;
use core::sync::atomic::Ordering;

/// What became of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// There is no device that answers it.
    Nobody,
    /// It is done.
    Done,
    /// It is done, and the VM's devices have to be looked at by then ([`Vm::look_at_devices`]).
    Due(u64),
    /// It is done, but the guest does not go on before other vCPUs have looked.
    DoneLater,
    /// It is to be done again when other vCPUs have looked.
    Held,
}

/// Emulates an access.
#[inline(always)]
pub fn emulate(vcpu: &mut Vcpu, ipa: u64, access: Access) -> Served {
    // Registers lie at multiples of their size; a device answers nothing else.
    if ipa & u64::from(access.width - 1) != 0 {
        return Served::Nobody;
    }
    let big_endian = guest::is_big_endian();
    if access.write {
        let value = access.stored(vcpu.read(access.register), big_endian);
        write(vcpu, ipa, access.width, value)
    } else {
        match read(vcpu, ipa, access.width) {
            Ok(value) => {
                vcpu.write(access.register, access.loaded(value, big_endian));
                Served::Done
            }
            Err(outcome) => outcome,
        }
    }
}

/// Emulates an access of which the syndrome says nothing but where it went, by a look at the instruction. What is
/// looked at is the guest's memory, which the guest may have changed: another instruction is nobody's access. What
/// became of it, and how many bytes behind the first one that was.
#[cold]
pub fn emulate_undescribed(vcpu: &mut Vcpu, ipa: u64, far: u64, esr: u64) -> (Served, u64) {
    const WNR: u64 = 1 << 6;
    // An address may have a tag on top.
    const TAG: u64 = 0xFF << 56;
    let nobody = (Served::Nobody, 0);
    if !is_device(vcpu, ipa) {
        return nobody;
    }
    let Some(transfer) = instruction(&*vcpu.vm.ram).and_then(Transfer::decode) else { return nobody };
    let base = match transfer.base {
        31 => guest::stack_pointer(),
        register => vcpu.read(register),
    };
    let is_it = transfer.address(base) & !TAG == far & !TAG && transfer.first.is_write() == (esr & WNR != 0);
    if !is_it {
        return nobody;
    }
    let (mut done, mut outcome) = (0, Served::Done);
    for element in transfer.elements() {
        outcome = match (outcome, emulate_element(vcpu, far.wrapping_add(done), &element)) {
            // Whatever was done of it is done again then.
            (_, Served::Held) => return (Served::Held, done),
            (_, Served::Nobody) => {
                vcpu.forget_asked();
                return (Served::Nobody, done);
            }
            (Served::Due(first), Served::Due(second)) => Served::Due(first.min(second)),
            (outcome @ (Served::Due(_) | Served::DoneLater), Served::Done) => outcome,
            (_, outcome) => outcome,
        };
        done += u64::from(element.width());
    }
    vcpu.forget_asked();
    if let Some(change) = transfer.change {
        let base = base.wrapping_add_signed(change);
        match transfer.base {
            31 => guest::set_stack_pointer(base),
            register => vcpu.write(register, base),
        }
    }
    (outcome, 0)
}

/// Reads the A64 instruction that trapped, if it can be read: it stands in `ram` and is mapped.
fn instruction(ram: &impl GuestMemory) -> Option<u32> {
    let pc = guest::elr();
    if pstate::is_aarch32(guest::spsr()) || !pc.is_multiple_of(4) {
        return None;
    }
    let ipa = guest::translate(pc, false)?;
    let pair = ram.words(Ipa(ipa & !7), 1)?.first()?.load(Ordering::Relaxed);
    Some((pair >> (8 * (pc & 4))) as u32)
}

/// Emulates the access to one element, at a virtual address: what is behind the end of a page may be anywhere.
fn emulate_element(vcpu: &mut Vcpu, address: u64, element: &Element) -> Served {
    let translate = |address| guest::translate(address, element.is_write());
    match *element {
        Element::General(access) => match translate(address) {
            Some(ipa) => emulate_part(vcpu, ipa, access),
            None => Served::Nobody,
        },
        Element::Vector { register, width, write } => {
            let (width, big_endian) = (usize::from(width), guest::is_big_endian());
            let mut bytes = guest::vector(register).to_le_bytes();
            if write && big_endian {
                bytes[..width].reverse();
            }
            let mut outcome = Served::Done;
            // A device has eight bytes at once at most.
            for (n, part) in bytes[..width].chunks_mut(8).enumerate() {
                outcome = match translate(address.wrapping_add(8 * n as u64)) {
                    Some(ipa) => emulate_bytes(vcpu, ipa, part, write),
                    None => Served::Nobody,
                };
                if matches!(outcome, Served::Nobody | Served::Held) {
                    return outcome;
                }
            }
            if !write {
                if big_endian {
                    bytes[..width].reverse();
                }
                bytes[width..].fill(0);
                guest::set_vector(register, u128::from_le_bytes(bytes));
            }
            outcome
        }
    }
}

/// Emulates an access to bytes as they stand in memory.
fn emulate_bytes(vcpu: &mut Vcpu, ipa: u64, bytes: &mut [u8], is_write: bool) -> Served {
    let width = bytes.len() as u8;
    if ipa & u64::from(width - 1) != 0 {
        return Served::Nobody;
    }
    let mut word = [0; 8];
    if is_write {
        word[..bytes.len()].copy_from_slice(bytes);
        return write(vcpu, ipa, width, u64::from_le_bytes(word));
    }
    match read(vcpu, ipa, width) {
        Ok(value) => {
            word = value.to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
            Served::Done
        }
        Err(outcome) => outcome,
    }
}

/// Emulates an access of the distributor's or a redistributor's. Apart, so that the way of all others has it in one
/// piece.
#[inline(never)]
fn emulate_part(vcpu: &mut Vcpu, ipa: u64, access: Access) -> Served {
    emulate(vcpu, ipa, access)
}

/// Says whether a device is there.
pub fn is_device(vcpu: &Vcpu, ipa: u64) -> bool {
    Devices::has(ipa)
        || BOARD.distributor.holds(ipa, 1)
        || BOARD.redistributors.holds(ipa, 1) && vcpu.vm.vgic.has_redistributor(ipa - BOARD.redistributors.base)
}

#[inline(always)]
fn read(vcpu: &mut Vcpu, ipa: u64, width: u8) -> Result<u64, Served> {
    let vm = &vcpu.vm;
    if BOARD.distributor.holds(ipa, 1) {
        let offset = ipa - BOARD.distributor.base;
        if is_state(offset) {
            let holders = vm.vgic.distributor_holders(offset);
            look(vcpu, holders)?;
        }
        Ok(vcpu.vm.vgic.read_distributor(offset, width))
    } else if Devices::is_first(ipa) {
        let ((value, effect), vcpus) = vm.devices.read_first(&vm.vgic, ipa);
        vcpu.notify(vcpus);
        act(&vcpu.vm, effect);
        Ok(value.into())
    } else {
        read_other(vcpu, ipa, width)
    }
}

#[inline(never)]
fn read_other(vcpu: &mut Vcpu, ipa: u64, width: u8) -> Result<u64, Served> {
    let vm = &vcpu.vm;
    if BOARD.redistributors.holds(ipa, 1) {
        let offset = ipa - BOARD.redistributors.base;
        if is_state(offset & 0xFFFF) {
            let holders = vm.vgic.redistributor_holders(offset);
            look(vcpu, holders)?;
        }
        return vcpu.vm.vgic.read_redistributor(vcpu.index, vcpu.timers(), offset, width).ok_or(Served::Nobody);
    }
    let ((value, effect), vcpus) = vm.devices.read_other(&vm.vgic, ipa).ok_or(Served::Nobody)?;
    vcpu.notify(vcpus);
    act(&vcpu.vm, effect);
    Ok(value.into())
}

/// Brings what a register of states shows up to date, where others hold it, too.
#[cold]
fn look(vcpu: &mut Vcpu, holders: VcpuMask) -> Result<(), Served> {
    if vcpu.ask_first((guest::elr(), guest::far()), holders) {
        return Err(Served::Held);
    }
    if Access::of(guest::esr()).is_some() {
        // There is no more to it.
        vcpu.forget_asked();
    }
    vcpu.inspect();
    Ok(())
}

#[inline(always)]
fn write(vcpu: &mut Vcpu, ipa: u64, width: u8, value: u64) -> Served {
    let vm = &vcpu.vm;
    if Devices::is_first(ipa) {
        let (effect, vcpus) = vm.devices.write_first(&vm.vgic, ipa, value as u32);
        vcpu.notify(vcpus);
        act(&vcpu.vm, effect)
    } else {
        write_other(vcpu, ipa, width, value)
    }
}

#[inline(never)]
fn write_other(vcpu: &mut Vcpu, ipa: u64, width: u8, value: u64) -> Served {
    let vm = &vcpu.vm;
    if BOARD.distributor.holds(ipa, 1) {
        let concerned = vm.vgic.write_distributor(ipa - BOARD.distributor.base, width, value);
        return settle(vcpu, concerned);
    }
    if BOARD.redistributors.holds(ipa, 1) {
        let concerned = vm.vgic.write_redistributor(ipa - BOARD.redistributors.base, width, value);
        return concerned.map_or(Served::Nobody, |concerned| settle(vcpu, concerned));
    }
    let Some((effect, vcpus)) = vm.devices.write_other(&vm.vgic, ipa, value as u32) else {
        return Served::Nobody;
    };
    vcpu.notify(vcpus);
    act(&vcpu.vm, effect)
}

#[inline(always)]
fn settle(vcpu: &mut Vcpu, concerned: Concerned) -> Served {
    if vcpu.concern(concerned) { Served::DoneLater } else { Served::Done }
}

/// Does what a device calls for.
#[inline(always)]
fn act(vm: &Vm, effect: Effect) -> Served {
    if effect == Effect::Nothing { Served::Done } else { act_on(vm, effect) }
}

#[cold]
fn act_on(vm: &Vm, effect: Effect) -> Served {
    vm.act(effect).map_or(Served::Done, Served::Due)
}

/// Says whether a register is one of GICx_ISPENDR to GICx_ICACTIVER: what they show may have changed in the list
/// registers.
fn is_state(offset: u64) -> bool {
    (0x200..0x400).contains(&offset)
}
