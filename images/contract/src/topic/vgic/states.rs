// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state machine of an interrupt: inactive, pending, active, active and pending (§4.1.2).

use crate::arch::mmio::{read32, write32};
use crate::arch::sysreg::write;
use crate::check::Answer;
use crate::clock;
use crate::devices::{RTC, UART};
use crate::gic::{self, CTLR, VIRTUAL_TIMER, bits, private};

/// An SPI without a device.
const SPI: u32 = 40;
const PRIORITY: u8 = 0x80;

/// Pending and active as seen, and what is highest.
fn look(answer: &mut Answer, when: &str, intid: u32) {
    answer.say(format_args!("{when}:state={},hppir={},rpr={:#x}", gic::state(intid), gic::highest(), gic::running()));
}

/// The PL011's line goes up: its transmit interrupt is raised by a byte and let through.
fn raise_uart_line() {
    write32(UART.base + 0x30, 0x301);
    // In loopback nobody sees the byte where there is loopback; where there is none it is a line's end.
    write32(UART.base, b'\r'.into());
    write32(UART.base + 0x38, 1 << 5);
}

fn drop_uart_line() {
    write32(UART.base + 0x38, 0);
    write32(UART.base + 0x44, 0x7FF);
}

pub(super) fn spi_life(answer: &mut Answer) {
    look(answer, "before", SPI);
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    look(answer, "pending", SPI);
    answer.put("iar", gic::ack());
    look(answer, "active", SPI);
    answer.put("iar-again", gic::ack());
    gic::end(SPI.into());
    look(answer, "ended", SPI);
    answer.put("iar-after", gic::ack());
}

pub(super) fn ppi_life(answer: &mut Answer) {
    for intid in [16, 20, 23, 31] {
        gic::open(intid, PRIORITY, 0);
        gic::pend(intid);
        look(answer, "pending", intid);
        answer.put("iar", gic::ack());
        look(answer, "active", intid);
        gic::end(intid.into());
        look(answer, "ended", intid);
    }
}

pub(super) fn spurious(answer: &mut Answer) {
    answer.say(format_args!("{}/{}/{}/{}", gic::ack(), gic::ack0(), gic::highest(), gic::highest0()));
    gic::end(gic::NONE);
    gic::end(1022);
    gic::end(1020);
    gic::dir(gic::NONE);
    answer.hex("rpr", gic::running());
    answer.put("iar", gic::ack());
}

pub(super) fn withdrawn(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    gic::unpend(SPI);
    look(answer, "unpended", SPI);
    answer.put("iar", gic::ack());
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::pend(SPI);
    look(answer, "active-pending", SPI);
    gic::unpend(SPI);
    look(answer, "active", SPI);
    gic::end(SPI.into());
    answer.put("iar", gic::ack());
}

pub(super) fn disabled_while_pending(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    gic::disable(SPI);
    look(answer, "disabled", SPI);
    answer.put("iar", gic::ack());
    gic::enable(SPI);
    look(answer, "enabled", SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
    look(answer, "ended", SPI);
}

pub(super) fn disabled_while_active(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::disable(SPI);
    gic::pend(SPI);
    look(answer, "disabled", SPI);
    gic::end(SPI.into());
    look(answer, "ended", SPI);
    answer.put("iar", gic::ack());
    gic::enable(SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn distributor_off(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    write32(CTLR, 1 << 4);
    look(answer, "off", SPI);
    answer.put("iar", gic::ack());
    write32(CTLR, 0b10 | 1 << 4);
    look(answer, "on", SPI);
    answer.put("iar", gic::ack());
    write32(CTLR, 1 << 4);
    gic::pend(SPI);
    gic::end(SPI.into());
    look(answer, "ended-off", SPI);
    write32(CTLR, 0b10 | 1 << 4);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn group_off(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    write!("icc_igrpen1_el1", 0);
    look(answer, "off", SPI);
    answer.put("iar", gic::ack());
    write!("icc_igrpen1_el1", 1);
    answer.put("iar", gic::ack());
    write!("icc_igrpen1_el1", 0);
    look(answer, "active-off", SPI);
    gic::end(SPI.into());
    write!("icc_igrpen1_el1", 1);
    look(answer, "ended", SPI);
}

pub(super) fn edge_again(answer: &mut Answer) {
    for edge in [true, false] {
        gic::set_edge(SPI, edge);
        gic::open(SPI, PRIORITY, 0);
        gic::pend(SPI);
        answer.put("iar", gic::ack());
        gic::pend(SPI);
        look(answer, "active-pending", SPI);
        answer.put("iar", gic::ack());
        gic::end(SPI.into());
        look(answer, "ended", SPI);
        answer.put("iar", gic::ack());
        gic::end(SPI.into());
        look(answer, "over", SPI);
    }
}

pub(super) fn edge_twice(answer: &mut Answer) {
    gic::set_edge(SPI, true);
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    look(answer, "active", SPI);
    gic::end(SPI.into());
    answer.put("iar", gic::ack());
}

/// ISPENDR on a level-sensitive interrupt holds until it is taken, whatever its line does (§4.1.2).
pub(super) fn level_latched(answer: &mut Answer) {
    gic::open(gic::UART, PRIORITY, 0);
    gic::pend(gic::UART);
    look(answer, "latched", gic::UART);
    raise_uart_line();
    drop_uart_line();
    look(answer, "line-came-and-went", gic::UART);
    answer.put("iar", gic::ack());
    look(answer, "taken", gic::UART);
    gic::end(gic::UART.into());
    answer.put("iar", gic::ack());
}

pub(super) fn line_level(answer: &mut Answer) {
    gic::open(gic::UART, PRIORITY, 0);
    raise_uart_line();
    look(answer, "up", gic::UART);
    gic::unpend(gic::UART);
    look(answer, "unpended", gic::UART);
    answer.put("iar", gic::ack());
    look(answer, "active", gic::UART);
    answer.put("iar-again", gic::ack());
    gic::end(gic::UART.into());
    look(answer, "ended-up", gic::UART);
    answer.put("iar", gic::ack());
    drop_uart_line();
    look(answer, "active-down", gic::UART);
    gic::end(gic::UART.into());
    look(answer, "ended-down", gic::UART);
    raise_uart_line();
    drop_uart_line();
    look(answer, "came-and-went", gic::UART);
    answer.put("iar", gic::ack());
    gic::disable(gic::UART);
    raise_uart_line();
    look(answer, "up-disabled", gic::UART);
    gic::enable(gic::UART);
    look(answer, "up-enabled", gic::UART);
    drop_uart_line();
}

pub(super) fn line_edge(answer: &mut Answer) {
    gic::set_edge(gic::UART, true);
    gic::open(gic::UART, PRIORITY, 0);
    raise_uart_line();
    drop_uart_line();
    look(answer, "came-and-went", gic::UART);
    answer.put("iar", gic::ack());
    raise_uart_line();
    look(answer, "again-while-active", gic::UART);
    gic::end(gic::UART.into());
    answer.put("iar", gic::ack());
    gic::end(gic::UART.into());
    look(answer, "still-up", gic::UART);
    drop_uart_line();
}

pub(super) fn line_becomes_edge(answer: &mut Answer) {
    gic::open(gic::UART, PRIORITY, 0);
    gic::disable(gic::UART);
    raise_uart_line();
    look(answer, "level-up", gic::UART);
    gic::set_edge(gic::UART, true);
    look(answer, "edge", gic::UART);
    drop_uart_line();
    raise_uart_line();
    look(answer, "edge-rose", gic::UART);
    gic::set_edge(gic::UART, false);
    drop_uart_line();
    look(answer, "level-down", gic::UART);
    gic::unpend(gic::UART);
    look(answer, "unpended", gic::UART);
}

pub(super) fn set_active(answer: &mut Answer) {
    for intid in [SPI, 20, 5] {
        gic::open(intid, PRIORITY, 0);
        gic::activate(intid);
        look(answer, "active", intid);
        gic::pend(intid);
        look(answer, "active-pending", intid);
        answer.put("iar", gic::ack());
        gic::deactivate(intid);
        look(answer, "pending", intid);
        answer.put("iar", gic::ack());
        gic::end(intid.into());
        look(answer, "ended", intid);
    }
}

pub(super) fn set_active_then_dir(answer: &mut Answer) {
    gic::set_eoi_mode(true);
    for intid in [SPI, 20, 5, VIRTUAL_TIMER] {
        gic::open(intid, PRIORITY, 0);
        gic::activate(intid);
        look(answer, "active", intid);
        gic::dir(intid.into());
        look(answer, "dir", intid);
        gic::pend(intid);
        answer.put("iar", gic::ack());
        gic::end(intid.into());
        gic::dir(intid.into());
    }
}

pub(super) fn set_active_then_end(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::activate(SPI);
    gic::end(SPI.into());
    look(answer, "ended", SPI);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
    look(answer, "over", SPI);
}

pub(super) fn set_active_while_pending(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    gic::activate(SPI);
    look(answer, "active-pending", SPI);
    answer.put("iar", gic::ack());
    gic::deactivate(SPI);
    look(answer, "pending", SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
    look(answer, "ended", SPI);
}

/// ICACTIVER on one that is handled: it may come again, the running priority stays until its end.
pub(super) fn clear_active(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::deactivate(SPI);
    look(answer, "deactivated", SPI);
    gic::end(SPI.into());
    look(answer, "ended", SPI);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn clear_active_then_again(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::open(SPI + 1, 0x20, 0);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::deactivate(SPI);
    gic::pend(SPI);
    look(answer, "pending-again", SPI);
    answer.put("iar", gic::ack());
    gic::pend(SPI + 1);
    answer.put("iar", gic::ack());
    gic::end(u64::from(SPI) + 1);
    gic::end(SPI.into());
    look(answer, "ended", SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
}

pub(super) fn pend_disabled_timer(answer: &mut Answer) {
    for intid in [VIRTUAL_TIMER, gic::PHYSICAL_TIMER] {
        gic::set_priority(intid, PRIORITY);
        gic::pend(intid);
        look(answer, "pending", intid);
        clock::spin(1);
        look(answer, "later", intid);
        gic::enable(intid);
        look(answer, "enabled", intid);
        answer.put("iar", gic::ack());
        gic::end(intid.into());
        look(answer, "ended", intid);
        gic::pend(intid);
        gic::unpend(intid);
        look(answer, "unpended", intid);
    }
}

/// Takes `count` pending interrupts of one priority, in whatever order, and ends them: those from 32 `n` on as bits.
fn drain(answer: &mut Answer, count: usize) {
    let mut taken = [0u32; 4];
    for _ in 0..count {
        let intid = gic::ack();
        if intid == gic::NONE {
            answer.say("too-few");
            break;
        }
        taken[intid as usize / 32] ^= 1 << (intid % 32);
        gic::end(intid);
    }
    answer.say(format_args!("taken={taken:x?}"));
    answer.put("more", gic::ack());
}

pub(super) fn pend_all_ppis(answer: &mut Answer) {
    write32(private(0, bits::SET_PENDING), 0xFFFF_0000);
    answer.hex("pending", read32(private(0, bits::SET_PENDING)));
    write32(private(0, bits::SET_ENABLE), 0xFFFF_0000);
    drain(answer, 16);
    answer.hex("pending", read32(private(0, bits::SET_PENDING)));
    answer.hex("active", read32(private(0, bits::SET_ACTIVE)));
}

pub(super) fn pend_all_spis(answer: &mut Answer) {
    for intid in 40..96 {
        gic::open(intid, PRIORITY, 0);
    }
    for intid in (40..96).rev() {
        gic::pend(intid);
    }
    drain(answer, 56);
}

pub(super) fn ends_out_of_order(answer: &mut Answer) {
    for (n, intid) in (SPI..SPI + 3).enumerate() {
        gic::open(intid, 0xC0 - 0x40 * n as u8, 0);
        gic::pend(intid);
        answer.put("iar", gic::ack());
    }
    // The outermost first: the running priority that drops is the highest, whatever the number (§4.1.1).
    for intid in SPI..SPI + 3 {
        gic::end(intid.into());
        look(answer, "ended", intid);
    }
    answer.put("iar", gic::ack());
    for intid in SPI..SPI + 3 {
        answer.put("state", gic::state(intid));
    }
}

pub(super) fn end_of_nothing(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::end(SPI.into());
    look(answer, "inactive", SPI);
    gic::pend(SPI);
    gic::end(SPI.into());
    look(answer, "pending", SPI);
    answer.put("iar", gic::ack());
    gic::end(u64::from(SPI) + 1);
    look(answer, "another-ended", SPI);
    gic::end(SPI.into());
    look(answer, "ended", SPI);
}

pub(super) fn eoimode_dir(answer: &mut Answer) {
    gic::set_eoi_mode(true);
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
    look(answer, "dropped", SPI);
    gic::pend(SPI);
    look(answer, "active-pending", SPI);
    answer.put("iar", gic::ack());
    gic::dir(SPI.into());
    look(answer, "deactivated", SPI);
    answer.put("iar", gic::ack());
    gic::end(SPI.into());
    gic::dir(SPI.into());
    look(answer, "over", SPI);
}

pub(super) fn dir_of_inactive(answer: &mut Answer) {
    gic::set_eoi_mode(true);
    gic::open(SPI, PRIORITY, 0);
    gic::dir(SPI.into());
    look(answer, "inactive", SPI);
    gic::pend(SPI);
    gic::dir(SPI.into());
    look(answer, "pending", SPI);
    answer.put("iar", gic::ack());
    // Deactivated before the priority drop.
    gic::dir(SPI.into());
    look(answer, "deactivated", SPI);
    gic::end(SPI.into());
    look(answer, "ended", SPI);
}

pub(super) fn dir_without_eoimode(answer: &mut Answer) {
    gic::open(SPI, PRIORITY, 0);
    gic::pend(SPI);
    answer.put("iar", gic::ack());
    gic::dir(SPI.into());
    look(answer, "dir", SPI);
    gic::end(SPI.into());
    look(answer, "ended", SPI);
}

/// Takes `count` SPIs one by one, drops their priority and leaves them active.
fn leave_active(answer: &mut Answer, count: u32) {
    gic::set_eoi_mode(true);
    for intid in SPI..SPI + count {
        gic::open(intid, PRIORITY, 0);
        gic::pend(intid);
        let taken = gic::ack();
        gic::end(taken);
        if taken != u64::from(intid) {
            answer.put("instead", taken);
        }
    }
}

pub(super) fn eoimode_many(answer: &mut Answer) {
    leave_active(answer, 4);
    gic::open(SPI + 4, PRIORITY, 0);
    gic::pend(SPI + 4);
    look(answer, "fifth", SPI + 4);
    answer.put("iar", gic::ack());
    gic::end(u64::from(SPI) + 4);
    for intid in SPI..SPI + 5 {
        answer.put("state", gic::state(intid));
        gic::dir(intid.into());
        answer.put("dir", gic::state(intid));
    }
}

pub(super) fn eoimode_then_timer(answer: &mut Answer) {
    leave_active(answer, 8);
    gic::open(VIRTUAL_TIMER, PRIORITY, 0);
    write!("cntv_cval_el0", clock::now());
    write!("cntv_ctl_el0", 1);
    let comes = clock::until(20, || gic::highest() == VIRTUAL_TIMER.into());
    answer.put("timer", comes);
    answer.put("iar", gic::ack());
    write!("cntv_ctl_el0", 0);
    gic::end(VIRTUAL_TIMER.into());
    gic::dir(VIRTUAL_TIMER.into());
    answer.put("sgi", {
        gic::open(3, PRIORITY, 0);
        gic::send(3, 1);
        gic::ack()
    });
    gic::end(3);
    gic::dir(3);
    for intid in SPI..SPI + 8 {
        gic::dir(intid.into());
        answer.put("state", gic::state(intid));
    }
}

pub(super) fn eoimode_twenty(answer: &mut Answer) {
    leave_active(answer, 20);
    let actives = |from: u32| read32(gic::frame(from) + bits::SET_ACTIVE + u64::from(from / 32 * 4));
    answer.hex("active", actives(32));
    // All pending again, and one after the other deactivated.
    for intid in SPI..SPI + 20 {
        gic::pend(intid);
    }
    answer.put("iar", gic::ack());
    for intid in (SPI..SPI + 20).rev() {
        gic::dir(intid.into());
        let taken = gic::ack();
        answer.say(taken);
        gic::end(taken);
    }
    answer.hex("active", actives(32));
    for intid in SPI..SPI + 20 {
        gic::dir(intid.into());
    }
    answer.hex("active", actives(32));
    // The RTC is left alone here; its line is down.
    answer.hex("rtc", read32(RTC.base + 0x18));
}
