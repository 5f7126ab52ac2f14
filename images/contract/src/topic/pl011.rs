// SPDX-License-Identifier: MIT OR Apache-2.0
//! The UART, a PL011 (Arm DDI 0183).

use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Frame;
use crate::arch::mmio::{read8, read16, read32, read64, write8, write16, write32};
use crate::arch::snippet::snippet;
use crate::check::{Answer, Topic, check};
use crate::clock;
use crate::console::Console;
use crate::devices::UART;
use crate::gic;
use crate::shared::Words;
use core::fmt::Write;

pub(super) const TOPIC: Topic = Topic {
    name: "pl011",
    checks: &[
        check("identification", identification),
        check("flags", flags),
        check("modem-lines", modem),
        check("line-registers", line_registers),
        check("reserved-bits", reserved_bits),
        check("interrupt-registers", interrupt_registers),
        check("control", control),
        check("error-register", errors),
        check("dma-and-test", dma_and_test),
        check("reserved-offsets", reserved),
        check("widths", widths),
        check("read-only", read_only),
        check("nothing-received", nothing_received),
        check("transmit-interrupt", transmit_interrupt),
        check("transmit-interrupt-cleared", transmit_cleared),
        check("transmit-by-byte-and-half", transmit_widths),
        check("transmit-disabled", transmit_disabled),
        check("transmit-handler", transmit_handler),
        check("masks", masks),
        check("raw-is-not-written", raw),
        check("received", received),
        check("received-one-by-one", received_one),
        check("received-by-handler", received_handler),
        check("received-fifo-off", received_fifo_off),
        check("received-cleared", received_cleared),
    ],
};

const fn register(offset: u64) -> u64 {
    UART.base + offset
}

const DR: u64 = register(0x00);
const RSR: u64 = register(0x04);
const FR: u64 = register(0x18);
const ILPR: u64 = register(0x20);
const IBRD: u64 = register(0x24);
const FBRD: u64 = register(0x28);
const LCR: u64 = register(0x2C);
const CR: u64 = register(0x30);
const IFLS: u64 = register(0x34);
const IMSC: u64 = register(0x38);
const RIS: u64 = register(0x3C);
const MIS: u64 = register(0x40);
const ICR: u64 = register(0x44);
const DMACR: u64 = register(0x48);

/// UARTLCR_H: eight bits, with and without FIFOs. UARTCR: on, to both sides.
const FIFOS: u32 = 0x70;
const NO_FIFOS: u32 = 0x60;
const ON: u32 = 0x301;
/// Interrupts: received, transmitted, received some time ago.
const RX: u32 = 1 << 4;
const TX: u32 = 1 << 5;
const RT: u32 = 1 << 6;

/// As a driver sets it up; FIFOs change, which empties them.
fn set_up(line: u32) {
    write32(CR, 0);
    write32(LCR, line ^ FIFOS ^ NO_FIFOS);
    write32(LCR, line);
    write32(IFLS, 0);
    write32(ICR, 0x7FF);
    write32(CR, ON);
}

/// Leaves the console as others expect it.
fn leave() {
    write32(IMSC, 0);
    set_up(FIFOS);
}

fn look(answer: &mut Answer, when: &str) {
    answer.say(format_args!("{when}:ris={:x},mis={:x},spi={}", read32(RIS), read32(MIS), gic::state(gic::UART)));
}

fn identification(answer: &mut Answer) {
    let ids: [u32; 8] = core::array::from_fn(|n| read32(register(0xFE0 + 4 * n as u64)));
    answer.say(format_args!("{ids:x?}"));
}

fn flags(answer: &mut Answer) {
    set_up(FIFOS);
    answer.hex("idle", flags_now());
    write32(FR, u32::MAX);
    answer.hex("written", flags_now());
    write32(DR, b'\r'.into());
    answer.hex("after-byte", flags_now());
    set_up(NO_FIFOS);
    answer.hex("no-fifos", flags_now());
    leave();
}

fn line_registers(answer: &mut Answer) {
    for (name, register, all) in [("ibrd", IBRD, 0xFFFF), ("fbrd", FBRD, 0x3F), ("ifls", IFLS, 0x3F)] {
        for value in [0, 0x15, all] {
            write32(register, value);
            answer.say(format_args!("{name}:{:#x}", read32(register)));
        }
        write32(register, 0);
    }
    // Not with SPS, PEN, BRK and bits above, which would disturb the console.
    for value in [0, 0x60, 0x70] {
        write32(LCR, value);
        answer.hex("lcr", read32(LCR));
    }
    leave();
}

/// Bits that a register has not, and the low-power counter of a device without infrared.
fn reserved_bits(answer: &mut Answer) {
    for (name, register) in [("ibrd", IBRD), ("fbrd", FBRD), ("ifls", IFLS), ("imsc", IMSC), ("ilpr", ILPR)] {
        write32(register, u32::MAX);
        answer.hex(name, read32(register));
        write32(register, 0);
    }
    leave();
}

fn interrupt_registers(answer: &mut Answer) {
    for value in [0, 0x7FF, 0x70, 0] {
        write32(IMSC, value);
        answer.hex("imsc", read32(IMSC));
    }
    leave();
}

fn control(answer: &mut Answer) {
    for value in [0, 0x301, 0xF300 | 1, 0] {
        write32(CR, value);
        answer.hex("cr", read32(CR));
    }
    leave();
}

fn errors(answer: &mut Answer) {
    answer.hex("rsr", read32(RSR));
    write32(RSR, u32::MAX);
    answer.hex("cleared", read32(RSR));
}

fn dma_and_test(answer: &mut Answer) {
    answer.hex("dmacr", read32(DMACR));
    write32(DMACR, 0);
    answer.hex("zero", read32(DMACR));
}

fn reserved(answer: &mut Answer) {
    for offset in [0x08, 0x0C, 0x10, 0x14, 0x1C, 0x4C, 0x50, 0x80, 0x8C, 0x90, 0x100, 0xF00, 0xFDC] {
        write32(register(offset), u32::MAX);
        answer.say(format_args!("{offset:#x}:{:#x}", read32(register(offset))));
    }
    let behind = snippet!("ldr w1, [x0]").run(&[register(0x1000)]);
    answer.exceptions("behind", &behind.caught);
}

fn widths(answer: &mut Answer) {
    write32(IBRD, 0x1234);
    answer.say(format_args!("{:#x}/{:#x}", read8(IBRD), read16(IBRD)));
    write16(IBRD, 0x5678);
    answer.hex("half", read32(IBRD));
    write8(IBRD, 0x9A);
    answer.hex("byte", read32(IBRD));
    answer.put("double", read64(register(0xFE0)) as u32 == 0x11);
    answer.say(format_args!("{:#x}/{:#x}", read8(register(0xFE4)), read16(register(0xFF8))));
    leave();
}

fn read_only(answer: &mut Answer) {
    for register in [RIS, MIS, register(0xFE0)] {
        let before = read32(register);
        write32(register, u32::MAX);
        answer.put("kept", read32(register) == before);
    }
    answer.hex("icr", read32(ICR));
}

fn nothing_received(answer: &mut Answer) {
    set_up(FIFOS);
    answer.hex("dr", read32(DR));
    answer.hex("fr", flags_now());
    look(answer, "read");
}

fn transmit_interrupt(answer: &mut Answer) {
    set_up(FIFOS);
    gic::open(gic::UART, 0x80, 0);
    look(answer, "idle");
    write32(DR, b'\r'.into());
    look(answer, "byte");
    write32(IMSC, TX);
    look(answer, "unmasked");
    answer.put("iar", gic::ack());
    write32(IMSC, 0);
    look(answer, "masked");
    gic::end(gic::UART.into());
    answer.put("iar", gic::ack());
    leave();
}

fn transmit_cleared(answer: &mut Answer) {
    set_up(FIFOS);
    write32(IMSC, TX);
    write32(DR, b'\r'.into());
    look(answer, "byte");
    write32(ICR, RX);
    look(answer, "other-cleared");
    write32(ICR, TX);
    look(answer, "cleared");
    write32(DR, b'\r'.into());
    look(answer, "again");
    write32(ICR, 0x7FF);
    look(answer, "all-cleared");
    leave();
}

fn transmit_widths(answer: &mut Answer) {
    set_up(FIFOS);
    write8(DR, b'\r');
    look(answer, "byte");
    write32(ICR, 0x7FF);
    write16(DR, b'\r'.into());
    look(answer, "half");
    write32(ICR, 0x7FF);
    // Bits 31:8 of a written word mean nothing.
    write32(DR, 0xFFFF_FF00 | u32::from(b'\r'));
    look(answer, "word");
    leave();
}

fn transmit_disabled(answer: &mut Answer) {
    set_up(FIFOS);
    for control in [0, 0x300, 0x201] {
        write32(CR, control);
        answer.hex("fr", flags_now());
    }
    leave();
}

static WORDS: Words = Words::new();

fn transmit_handler(answer: &mut Answer) {
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        WORDS.set(1, intid);
        WORDS.add(0, 1);
        write32(ICR, TX);
        if WORDS.get(0) < 10 {
            write32(DR, b'\r'.into());
        }
        gic::end(intid);
    }
    WORDS.clear();
    set_up(FIFOS);
    gic::open(gic::UART, 0x80, 0);
    Cpu::this().interruptible(take, || {
        write32(IMSC, TX);
        write32(DR, b'\r'.into());
        clock::until(100, || WORDS.get(0) >= 10);
        clock::spin(1);
    });
    answer.say(format_args!("times={},intid={}", WORDS.get(0), WORDS.get(1)));
    leave();
}

fn masks(answer: &mut Answer) {
    set_up(FIFOS);
    write32(DR, b'\r'.into());
    for mask in [RX, TX, RT, RX | TX | RT, 0x7FF, 0] {
        write32(IMSC, mask);
        look(answer, "mask");
    }
    leave();
}

fn raw(answer: &mut Answer) {
    set_up(FIFOS);
    write32(RIS, TX);
    look(answer, "ris");
    write32(MIS, TX);
    look(answer, "mis");
}

/// What the lab types once it is asked to.
const TYPED: usize = 8;

/// UARTFR without what says that nothing can be heard of a modem or that one is ready.
fn flags_now() -> u32 {
    read32(FR) & !0x107
}

fn modem(answer: &mut Answer) {
    answer.hex("lines", read32(FR) & 0x107);
}

fn has_byte() -> bool {
    read32(FR) & 1 << 4 == 0
}

/// Asks for it, and waits until it begins to come. How soon that is, is the lab's affair: the CPU stays at work
/// meanwhile, because a clock that counts instructions would fly while it sleeps.
fn ask(answer: &mut Answer) {
    let _ = Console.write_str("contract? type\n");
    if !clock::until(60_000, has_byte) {
        answer.say("nothing-came");
    }
}

/// Reads what was typed.
fn drain(answer: &mut Answer, count: usize) {
    let mut text = [0; TYPED];
    for byte in &mut text[..count] {
        if !clock::until(10_000, has_byte) {
            answer.say("too-few");
            break;
        }
        *byte = read32(DR) as u8;
    }
    answer.put("text", core::str::from_utf8(&text[..count]).unwrap_or("?"));
    answer.put("more", has_byte());
}

fn received(answer: &mut Answer) {
    set_up(FIFOS);
    gic::open(gic::UART, 0x80, 0);
    write32(IMSC, RX | RT);
    ask(answer);
    answer.put("spi", gic::state(gic::UART));
    answer.put("iar", gic::ack());
    drain(answer, TYPED);
    gic::end(gic::UART.into());
    answer.put("rx", read32(RIS) & (RX | RT));
    answer.put("spi", gic::state(gic::UART));
    answer.hex("fr", flags_now());
    leave();
}

/// The interrupt stays until the last byte is read.
fn received_one(answer: &mut Answer) {
    set_up(FIFOS);
    write32(IMSC, RX | RT);
    ask(answer);
    answer.hex("first", read32(DR));
    answer.put("rest-comes", clock::until(10_000, has_byte));
    drain(answer, TYPED - 1);
    answer.put("rx", read32(RIS) & (RX | RT));
    leave();
}

fn received_handler(answer: &mut Answer) {
    fn take(_: &mut Frame, _: bool) {
        let intid = gic::ack();
        while has_byte() {
            WORDS.set(0, WORDS.get(0) << 8 | u64::from(read32(DR) & 0xFF));
            WORDS.add(1, 1);
        }
        gic::end(intid);
    }
    WORDS.clear();
    set_up(FIFOS);
    gic::open(gic::UART, 0x80, 0);
    write32(IMSC, RX | RT);
    Cpu::this().interruptible(take, || {
        let _ = Console.write_str("contract? type\n");
        clock::until(60_000, || WORDS.get(1) as usize >= TYPED);
    });
    answer.say(format_args!("bytes={},last={:x}", WORDS.get(1), WORDS.get(0)));
    leave();
}

/// One byte is a full FIFO.
fn received_fifo_off(answer: &mut Answer) {
    set_up(NO_FIFOS);
    write32(IMSC, RX | RT);
    ask(answer);
    answer.hex("full", read32(FR) & 1 << 6);
    answer.put("rx", read32(RIS) & RX != 0);
    drain(answer, TYPED);
    answer.hex("fr", flags_now());
    answer.put("rx", read32(RIS) & (RX | RT));
    leave();
}

/// Clearing the receive interrupt by hand while bytes wait.
fn received_cleared(answer: &mut Answer) {
    set_up(FIFOS);
    write32(IMSC, RX | RT);
    ask(answer);
    clock::spin(20);
    write32(ICR, RX | RT);
    answer.put("cleared", read32(RIS) & (RX | RT));
    drain(answer, TYPED);
    answer.put("rx", read32(RIS) & (RX | RT));
    leave();
}
