// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupt controller: GICv3, registers by interrupt.

use crate::arch::cpu::Cpu;
use crate::arch::mmio::{read32, write8, write32, write64};
use crate::arch::sysreg::{read, write};
use crate::devices::GICD;
use crate::inventory;
use core::ops::Range;
use firmware_support::board::{REDISTRIBUTOR, VIRT};

/// The virtual timer's PPI.
pub const VIRTUAL_TIMER: u32 = 27;
/// The EL1 physical timer's PPI.
pub const PHYSICAL_TIMER: u32 = 30;
/// The PL011's SPI.
pub const UART: u32 = VIRT.uart.intid();
/// The PL031's SPI.
pub const RTC: u32 = VIRT.rtc.intid();
/// What an acknowledge register reads when there is nothing.
pub const NONE: u64 = 1023;

/// Registers with a bit for each interrupt, by their offset.
pub mod bits {
    /// Group 1, else 0.
    pub const GROUP: u64 = 0x080;
    /// Enables.
    pub const SET_ENABLE: u64 = 0x100;
    /// Disables.
    pub const CLEAR_ENABLE: u64 = 0x180;
    /// Makes pending.
    pub const SET_PENDING: u64 = 0x200;
    /// Makes not pending.
    pub const CLEAR_PENDING: u64 = 0x280;
    /// Makes active.
    pub const SET_ACTIVE: u64 = 0x300;
    /// Makes inactive.
    pub const CLEAR_ACTIVE: u64 = 0x380;
}

/// GICD_CTLR.
pub const CTLR: u64 = GICD.base;
/// GICD_IPRIORITYR.
pub const PRIORITY: u64 = 0x400;
/// GICD_ICFGR.
pub const CONFIG: u64 = 0xC00;
/// GICD_IROUTER.
pub const ROUTER: u64 = 0x6000;

/// Returns the distributor's register at an offset.
pub const fn distributor(offset: u64) -> u64 {
    GICD.base + offset
}

/// Returns a register of a CPU's `RD_base` frame.
pub const fn redistributor(cpu: usize, offset: u64) -> u64 {
    VIRT.redistributors.base + REDISTRIBUTOR * cpu as u64 + offset
}

/// Returns a register of a CPU's `SGI_base` frame.
pub const fn private(cpu: usize, offset: u64) -> u64 {
    redistributor(cpu, 0x1_0000 + offset)
}

/// Returns the frame that an interrupt's registers are in, the calling CPU's for a private one.
pub fn frame(intid: u32) -> u64 {
    if intid < 32 { private(Cpu::this().number(), 0) } else { GICD.base }
}

fn word(intid: u32, register: u64) -> u64 {
    frame(intid) + register + u64::from(intid / 32 * 4)
}

/// Sets an interrupt's bit; in these registers zeros do nothing.
pub fn set(intid: u32, register: u64) {
    write32(word(intid, register), 1 << (intid % 32));
}

/// Returns an interrupt's bit.
pub fn get(intid: u32, register: u64) -> u32 {
    read32(word(intid, register)) >> (intid % 32) & 1
}

macro_rules! set {
    ($($name:ident $register:ident $what:literal;)*) => {
        $(#[doc = $what] pub fn $name(intid: u32) { set(intid, bits::$register); })*
    };
}

set! {
    enable SET_ENABLE "Enables.";
    disable CLEAR_ENABLE "Disables.";
    pend SET_PENDING "Makes pending.";
    unpend CLEAR_PENDING "Makes not pending.";
    activate SET_ACTIVE "Makes active.";
    deactivate CLEAR_ACTIVE "Makes inactive.";
}

/// Says whether it is pending (1) and active (2).
pub fn state(intid: u32) -> u32 {
    get(intid, bits::SET_PENDING) | get(intid, bits::SET_ACTIVE) << 1
}

/// Puts it into a group.
pub fn set_group(intid: u32, group: u32) {
    let (register, bit) = (word(intid, bits::GROUP), 1 << (intid % 32));
    write32(register, read32(register) & !bit | if group == 1 { bit } else { 0 });
}

/// Sets its priority.
pub fn set_priority(intid: u32, priority: u8) {
    write8(frame(intid) + PRIORITY + u64::from(intid), priority);
}

/// Makes it edge-triggered or level-sensitive.
pub fn set_edge(intid: u32, edge: bool) {
    let register = frame(intid) + CONFIG + u64::from(intid / 16 * 4);
    let bit = 2 << (2 * (intid % 16));
    write32(register, read32(register) & !bit | if edge { bit } else { 0 });
}

/// Routes an SPI.
pub fn route(intid: u32, affinity: u64) {
    write64(distributor(ROUTER + 8 * u64::from(intid)), affinity);
}

/// Enables an SPI of a priority for a CPU.
pub fn open(intid: u32, priority: u8, cpu: u64) {
    set_priority(intid, priority);
    if intid >= 32 {
        route(intid, cpu);
    }
    enable(intid);
}

/// Reads ICC_IAR1_EL1.
pub fn ack() -> u64 {
    read!("icc_iar1_el1")
}

/// Reads ICC_IAR0_EL1.
pub fn ack0() -> u64 {
    read!("icc_iar0_el1")
}

/// Writes ICC_EOIR1_EL1.
pub fn end(intid: u64) {
    write!("icc_eoir1_el1", intid);
}

/// Writes ICC_EOIR0_EL1.
pub fn end0(intid: u64) {
    write!("icc_eoir0_el1", intid);
}

/// Writes ICC_DIR_EL1.
pub fn dir(intid: u64) {
    write!("icc_dir_el1", intid);
}

/// Reads ICC_RPR_EL1.
pub fn running() -> u64 {
    read!("icc_rpr_el1")
}

/// Reads ICC_HPPIR1_EL1.
pub fn highest() -> u64 {
    read!("icc_hppir1_el1")
}

/// Reads ICC_HPPIR0_EL1.
pub fn highest0() -> u64 {
    read!("icc_hppir0_el1")
}

/// Writes ICC_PMR_EL1.
pub fn set_mask(priority: u64) {
    write!("icc_pmr_el1", priority);
}

/// Writes ICC_CTLR_EL1.EOImode.
pub fn set_eoi_mode(separate: bool) {
    let other = read!("icc_ctlr_el1") & !2;
    write!("icc_ctlr_el1", other | u64::from(separate) << 1);
}

/// Sends an SGI by ICC_SGI1R_EL1.
pub fn send(intid: u64, targets: u64) {
    write!("icc_sgi1r_el1", intid << 24 | targets);
}

/// Sets up the CPU interface as checks expect it: group 1 on, nothing masked, ends deactivate.
pub fn init_cpu() {
    write!("icc_sre_el1", 7);
    write!("icc_igrpen0_el1", 0);
    write!("icc_igrpen1_el1", 1);
    write!("icc_pmr_el1", 0xFF);
    write!("icc_ctlr_el1", 0);
    write!("icc_bpr0_el1", 0);
    write!("icc_bpr1_el1", 0);
    // Active priorities that a check has left behind.
    write!("icc_ap0r0_el1", 0);
    write!("icc_ap1r0_el1", 0);
}

/// SPIs that checks use.
const SPIS: Range<u32> = 32..96;

fn init_frame(frame: u64, intids: Range<u32>) {
    for first in intids.clone().step_by(32) {
        let word = u64::from(first / 32 * 4);
        for register in [bits::CLEAR_ENABLE, bits::CLEAR_PENDING, bits::CLEAR_ACTIVE, bits::GROUP] {
            write32(frame + register + word, u32::MAX);
        }
    }
    for first in intids.clone().step_by(4) {
        write32(frame + PRIORITY + u64::from(first), 0);
    }
    for first in intids.step_by(16) {
        write32(frame + CONFIG + u64::from(first / 16 * 4), 0);
    }
}

/// Sets up the whole controller as checks expect it: nothing enabled, pending or active; group 1, priority 0,
/// level-sensitive, SPIs routed to CPU 0.
pub fn init() {
    write32(CTLR, 0);
    for cpu in 0..inventory::cpus() {
        init_frame(private(cpu, 0), 0..32);
    }
    init_frame(GICD.base, SPIS);
    for spi in SPIS {
        route(spi, 0);
    }
    init_cpu();
    write32(CTLR, 0b10 | 1 << 4);
}
