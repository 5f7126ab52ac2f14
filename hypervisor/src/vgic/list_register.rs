// SPDX-License-Identifier: MIT OR Apache-2.0
//! A list register: what a guest can take without an exit (GICv3 §12.4.8).

use super::bank::Bank;
use crate::arch::interface::{Group, TIMERS};

pub(super) const PENDING: u64 = 1 << 62;
pub(super) const ACTIVE: u64 = 1 << 63;
pub(super) const STATE: u64 = PENDING | ACTIVE;
pub(super) const HW: u64 = 1 << 61;
const GROUP1: u64 = 1 << 60;
const PRIORITY: u64 = 0xFF << 48;
/// A maintenance interrupt when the guest ends it: the device's line may still be up.
const EOI: u64 = 1 << 41;
/// The physical interrupt that it is linked to.
const LINK: u64 = HW | 0x1FFF << 32;

/// Composes the list register of an interrupt in this state. `linked` to the physical interrupt of the same number,
/// which the guest deactivates with it.
#[inline]
pub(super) fn compose(intid: u32, bank: &Bank, state: u64, linked: bool) -> u64 {
    let bit = 1 << (intid % 32);
    let mut value = state | u64::from(intid) | u64::from(bank.priority(intid)) << 48;
    if bank.group.get() & bit != 0 {
        value |= GROUP1;
    }
    if linked {
        value |= HW | u64::from(intid) << 32;
    } else if bank.edge.get() & bit == 0 || intid < 32 && TIMERS & bit != 0 {
        value |= EOI;
    }
    value
}

/// Gives a list register the priority and group that its interrupt has now: when it is acknowledged, they count.
#[inline]
pub(super) fn with_configuration(value: u64, intid: u32, bank: &Bank) -> u64 {
    let group = if bank.group.get() & 1 << (intid % 32) != 0 { GROUP1 } else { 0 };
    value & !(PRIORITY | GROUP1) | group | u64::from(bank.priority(intid)) << 48
}

/// Has the hypervisor hear of the end of what is in a list register, until which a physical interrupt stays active.
#[inline]
pub(super) fn with_maintenance(value: u64) -> u64 {
    if value & HW != 0 { value & !LINK | EOI } else { value | EOI }
}

/// Says whether the guest lets the group of an interrupt through, of these.
#[inline]
pub(super) fn lets_through(groups: u8, intid: u32, bank: &Bank) -> bool {
    groups & 1 << (bank.group.get() >> (intid % 32) & 1) != 0
}

/// Returns the group of the interrupt in a list register.
#[inline]
pub(super) fn group(value: u64) -> Group {
    if value & GROUP1 != 0 { Group::One } else { Group::Zero }
}
