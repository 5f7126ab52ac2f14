// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's PL011 UART (Arm DDI 0183, revision r1p5).
//!
//! Transmission is instant: a byte that the guest writes goes into a line buffer, and lines go to the shared console,
//! which is not the device's to wait for: whoever has the device takes a [`Text`] out of it and prints that afterwards.
//! So the transmit FIFO is always empty and its interrupt, as in the device, is raised when a byte has left. Reception
//! has the device's 32-byte FIFO; what arrives while it is full waits in a queue behind it.

use super::{BOARD, CLOCK_PHANDLE, Device, Effect};
use crate::arch::timer;
use crate::console::{Console, Wire};
use crate::vgic::MAX_VCPUS;
use alloc::boxed::Box;
use alloc::string::String;
use heapless::{Deque, Vec};
use shared_abi::client::VmId;
use shared_abi::layout::Range;
use vm_fdt::{Error, FdtWriter};

/// Bytes of the receive FIFO when FIFOs are enabled; 1 otherwise.
const FIFO: usize = 32;
/// Bytes that wait for room in it: what can be typed, or pasted, before the guest looks.
const QUEUE: usize = 4096;
/// The longest line that is held back for its end, and room for what vCPUs write until it is taken: a byte each.
const LINE: usize = 256;
const ROOM: usize = LINE + MAX_VCPUS;

// Interrupts (DDI 0183 §3.3.10).
const RX: u16 = 1 << 4;
const TX: u16 = 1 << 5;
const RT: u16 = 1 << 6;
const ALL: u16 = 0x7FF;

// UARTCR.
const ENABLE: u32 = 1;
const LOOPBACK: u32 = 1 << 7;
const RX_ENABLE: u32 = 1 << 9;

/// UARTPeriphID and UARTPCellID, of an ARM Ltd. PL011 r1p5.
const ID: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

/// The device.
pub struct Pl011 {
    vm: VmId,
    line: Vec<u8, ROOM>,
    /// When the oldest byte of `line` was written.
    since: u64,
    /// When something was typed last.
    typed: Option<u64>,
    /// Apart, so that what stands beside the device is not far from what comes before it.
    received: Box<Deque<u8, QUEUE>>,
    /// Bytes that came when there was no room, since the guest last read.
    lost: u32,
    raised: u16,
    mask: u16,
    control: u32,
    line_control: u32,
    level_select: u32,
    integer_divisor: u32,
    fractional_divisor: u32,
    dma: u32,
}

impl Device for Pl011 {
    const NAME: &'static str = "pl011";
    const COMPATIBLE: &'static [&'static str] = &["arm,pl011", "arm,primecell"];
    const RANGE: Range = BOARD.uart.registers;
    const SPI: Option<u32> = Some(BOARD.uart.spi);

    fn new(vm: VmId) -> Self {
        Self::of(vm)
    }

    fn reset(&mut self) {
        *self = Self::of(self.vm);
    }

    #[inline(always)]
    fn read(&mut self, offset: u64) -> (u32, Effect) {
        let value = self.read_register(offset);
        (value, if offset == 0 && self.lost != 0 { Effect::Lost } else { Effect::Nothing })
    }

    #[inline(always)]
    fn write(&mut self, offset: u64, value: u32) -> Effect {
        self.write_register(offset, value, timer::now)
    }

    #[inline(always)]
    fn line(&self) -> bool {
        self.raised & self.mask != 0
    }

    fn deadline(&self) -> Option<u64> {
        self.due(timer::frequency())
    }

    fn look(&mut self, now: u64) -> Effect {
        if self.deadline().is_some_and(|due| due <= now) { Effect::Text } else { Effect::Nothing }
    }

    fn describe(node: &mut FdtWriter) -> Result<(), Error> {
        node.property_array_u32("clocks", &[CLOCK_PHANDLE, CLOCK_PHANDLE])?;
        node.property_string_list("clock-names", ["uartclk", "apb_pclk"].map(String::from).to_vec())
    }
}

/// What is to be printed.
pub struct Text {
    vm: VmId,
    bytes: Vec<u8, ROOM>,
}

impl Text {
    /// Prints it; what does not end its line leaves that open on the console.
    pub fn print<W: Wire>(&self, console: &mut Console<W>) {
        let mut rest = &self.bytes[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            console.line(self.vm, &rest[..end]);
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            console.partial(self.vm, rest);
        }
    }
}

/// How long an incomplete line waits for its end, in parts of a second: who writes it may have been held up in the
/// middle, and it should stay whole.
const WAITS: u64 = 2;
/// How long the echo of what was typed waits, which somebody wants to see.
const ECHO_WAITS: u64 = 50;
/// For so many seconds after something was typed, what is written is its echo.
const TYPED: u64 = 1;

impl Pl011 {
    /// Makes the device of this VM, out of reset.
    fn of(vm: VmId) -> Self {
        Self {
            vm,
            line: Vec::new(),
            since: 0,
            typed: None,
            received: Box::new(Deque::new()),
            lost: 0,
            raised: 0,
            mask: 0,
            control: 0x300,
            line_control: 0,
            level_select: 0x12,
            integer_divisor: 0,
            fractional_divisor: 0,
            dma: 0,
        }
    }

    /// Reads a register.
    #[inline]
    fn read_register(&mut self, offset: u64) -> u32 {
        match offset {
            0x000 => self.take_received(),
            0x018 => self.flags(),
            0x024 => self.integer_divisor,
            0x028 => self.fractional_divisor,
            0x02C => self.line_control,
            0x030 => self.control,
            0x034 => self.level_select,
            0x038 => u32::from(self.mask),
            0x03C => u32::from(self.raised),
            0x040 => u32::from(self.raised & self.mask),
            0x048 => self.dma,
            0xFE0..=0xFFC => u32::from(ID[(offset - 0xFE0) as usize / 4]),
            _ => 0,
        }
    }

    /// Writes a register, at the time `now`.
    #[inline]
    fn write_register(&mut self, offset: u64, value: u32, now: impl FnOnce() -> u64) -> Effect {
        // Its registers take a page.
        match offset & 0xFFF {
            0x000 => return self.transmit(value as u8, now),
            0x024 => self.integer_divisor = value & 0xFFFF,
            0x028 => self.fractional_divisor = value & 0x3F,
            0x02C => {
                // Switching the FIFOs on or off empties them (DDI 0183 §3.3.7).
                if (self.line_control ^ value) & 1 << 4 != 0 {
                    self.received.clear();
                }
                self.line_control = value & 0xFF;
                self.update_receive();
            }
            0x030 => {
                self.control = value & 0xFFFF;
                self.update_receive();
            }
            0x034 => {
                self.level_select = value & 0x3F;
                self.update_receive();
            }
            0x038 => self.mask = value as u16 & ALL,
            0x044 => {
                self.raised &= !(value as u16);
            }
            0x048 => self.dma = value & 7,
            _ => {}
        }
        Effect::Nothing
    }

    fn transmit(&mut self, byte: u8, now: impl FnOnce() -> u64) -> Effect {
        if self.control & LOOPBACK != 0 {
            // What finds no room is lost as in the device, but it is nothing that anybody typed.
            let _ = self.received.push_back(byte);
            self.update_receive();
            return Effect::Nothing;
        }
        self.raised |= TX;
        let begun = self.line.is_empty();
        if begun {
            self.since = now();
        }
        if byte == b'\n' && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        // There is room: who fills the line takes it next.
        let _ = self.line.push(byte);
        match begun {
            _ if byte == b'\n' || self.line.len() >= LINE => Effect::Text,
            true => Effect::Due,
            false => Effect::Nothing,
        }
    }

    /// Says when the incomplete line has waited long enough, if there is one. `second` is so many counts.
    fn due(&self, second: u64) -> Option<u64> {
        let typed = self.typed.is_some_and(|typed| self.since.saturating_sub(typed) < TYPED * second);
        let waits = second / if typed { ECHO_WAITS } else { WAITS };
        (!self.line.is_empty()).then(|| self.since + waits)
    }

    /// Takes what is to be printed, if there is anything.
    pub fn take(&mut self) -> Option<Text> {
        if self.line.is_empty() {
            return None;
        }
        // Only what there is is copied.
        let mut bytes = Vec::new();
        let _ = bytes.extend_from_slice(&self.line);
        self.line.clear();
        Some(Text { vm: self.vm, bytes })
    }

    /// Takes a byte that is typed. Where there is no room it is lost, as it would be in the device; says how many were,
    /// since the guest last read.
    pub fn receive(&mut self, byte: u8, now: u64) -> u32 {
        self.typed = Some(now);
        if self.received.push_back(byte).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
        self.update_receive();
        self.lost
    }

    /// Says how many bytes were lost before the one that the guest has just read.
    pub fn take_lost(&mut self) -> u32 {
        core::mem::take(&mut self.lost)
    }

    fn fifo(&self) -> usize {
        if self.line_control & 1 << 4 != 0 { FIFO } else { 1 }
    }

    /// Returns the bytes in the FIFO at which the receive interrupt is raised (UARTIFLS.RXIFLSEL: 1/8, 1/4, 1/2, 3/4,
    /// 7/8).
    fn trigger(&self) -> usize {
        match (self.fifo(), self.level_select >> 3 & 7) {
            (1, _) => 1,
            (size, 0) => size / 8,
            (size, 1) => size / 4,
            (size, 2) => size / 2,
            (size, 3) => size * 3 / 4,
            (size, _) => size * 7 / 8,
        }
    }

    /// Raises or drops the interrupts of the FIFO, whose level has changed. Fewer bytes than the trigger level time out
    /// after 32 bit times; that time passes at once, because nothing is gained by waiting for a sender that is not a
    /// wire.
    fn update_receive(&mut self) {
        const ENABLED: u32 = ENABLE | RX_ENABLE;
        let waiting = self.received.len();
        self.raised &= !(RX | RT);
        if waiting == 0 || self.control & ENABLED != ENABLED {
            return;
        }
        self.raised |= if waiting >= self.trigger() { RX } else { RT };
    }

    fn take_received(&mut self) -> u32 {
        let byte = self.received.pop_front().unwrap_or(0);
        self.update_receive();
        u32::from(byte)
    }

    fn flags(&self) -> u32 {
        const TX_EMPTY: u32 = 1 << 7;
        const RX_FULL: u32 = 1 << 6;
        const RX_EMPTY: u32 = 1 << 4;
        // CTS, DSR and DCD (bits 2:0) as a modem that is always ready.
        const MODEM: u32 = 7;
        let waiting = self.received.len();
        TX_EMPTY | MODEM | if waiting == 0 { RX_EMPTY } else { 0 } | if waiting >= self.fifo() { RX_FULL } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DR: u64 = 0;
    const FR: u64 = 0x18;
    const LCR: u64 = 0x2C;
    const CR: u64 = 0x30;
    const IMSC: u64 = 0x38;
    const MIS: u64 = 0x40;
    const ICR: u64 = 0x44;

    fn device() -> Pl011 {
        let mut uart = Pl011::of(VmId::new(1).unwrap());
        uart.write_register(LCR, 0x70, || 0);
        uart.write_register(CR, 0x301, || 0);
        uart
    }

    fn send(uart: &mut Pl011, text: &str) -> std::string::String {
        let mut console = Console::new(std::vec::Vec::new());
        for byte in text.bytes() {
            if uart.write_register(DR, u32::from(byte), || 7) == Effect::Text {
                uart.take().unwrap().print(&mut console);
            }
        }
        std::string::String::from_utf8(core::mem::take(console.wire())).unwrap()
    }

    #[test]
    fn linux_recognises_it_by_its_identification() {
        let mut uart = device();
        let id: std::vec::Vec<u32> = (0..8).map(|n| uart.read_register(0xFE0 + 4 * n)).collect();
        assert_eq!(id, [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1]);
    }

    #[test]
    fn a_line_is_printed_when_it_ends_and_an_incomplete_one_is_kept() {
        let mut uart = device();
        assert_eq!(send(&mut uart, "hello\r\nwor"), "[vm1] hello\r\n");
        assert!(uart.due(1000).is_some());
        assert_eq!(send(&mut uart, "ld\n"), "[vm1] world\r\n");
        assert_eq!(uart.due(1000), None);
        assert!(uart.take().is_none());
    }

    #[test]
    fn an_incomplete_line_waits_unless_somebody_types() {
        let mut uart = device();
        send(&mut uart, "/ # ");
        assert_eq!(uart.due(1000), Some(507));
        let mut console = Console::new(std::vec::Vec::new());
        uart.take().unwrap().print(&mut console);
        assert_eq!(console.wire(), b"[vm1] / # ");
        // The echo of what is typed is written at 7.
        uart.receive(b'l', 5);
        send(&mut uart, "l");
        assert_eq!(uart.due(1000), Some(27));
        uart.receive(b's', 5);
        uart.take();
        uart.write_register(DR, u32::from(b'x'), || 1006);
        assert_eq!(uart.due(1000), Some(1506), "that was more than a second ago");
    }

    #[test]
    fn what_others_write_before_a_line_is_taken_comes_behind_it() {
        let mut uart = device();
        for byte in b"one\r\ntwo\nth" {
            uart.write_register(DR, u32::from(*byte), || 7);
        }
        let mut console = Console::new(std::vec::Vec::new());
        uart.take().unwrap().print(&mut console);
        assert_eq!(console.wire(), b"[vm1] one\r\n[vm1] two\r\n[vm1] th");
        // All vCPUs of a VM at once find room.
        for _ in 0..LINE - 1 {
            uart.write_register(DR, u32::from(b'x'), || 7);
        }
        for _ in 0..=MAX_VCPUS {
            assert_eq!(uart.write_register(DR, u32::from(b'y'), || 7), Effect::Text);
        }
        assert_eq!(uart.take().unwrap().bytes.len(), ROOM);
    }

    #[test]
    fn a_line_longer_than_the_buffer_stays_one_line() {
        let mut uart = device();
        let long = "x".repeat(LINE + 10) + "\n";
        assert_eq!(send(&mut uart, &long[..LINE]), std::format!("[vm1] {}", "x".repeat(LINE)));
        assert!(send(&mut uart, &long[LINE..]).ends_with("xxxxxxxxxx\r\n"));
    }

    #[test]
    fn a_received_byte_raises_the_interrupt_until_it_is_read() {
        let mut uart = device();
        uart.write_register(IMSC, u32::from(RX | RT), || 0);
        assert!(!uart.line());
        assert_eq!(uart.receive(b'a', 0), 0);
        assert!(uart.line());
        assert_eq!(uart.read_register(MIS), u32::from(RT));
        assert_eq!(uart.read_register(FR) & 1 << 4, 0);
        assert_eq!(uart.read_register(DR), u32::from(b'a'));
        assert!(!uart.line());
        assert_eq!(uart.read_register(FR) & 1 << 4, 1 << 4);
    }

    #[test]
    fn the_receive_interrupt_comes_at_its_level() {
        let mut uart = device();
        for byte in 0..16 {
            uart.receive(byte, 0);
        }
        assert_eq!(uart.read_register(0x3C) & u32::from(RX | RT), u32::from(RX));
        uart.read_register(DR);
        assert_eq!(uart.read_register(0x3C) & u32::from(RX | RT), u32::from(RT));
    }

    #[test]
    fn the_transmit_interrupt_comes_with_a_byte_and_is_cleared_by_the_guest() {
        let mut uart = device();
        uart.write_register(IMSC, u32::from(TX), || 0);
        assert!(!uart.line());
        send(&mut uart, "x");
        assert!(uart.line());
        uart.write_register(ICR, u32::from(TX), || 0);
        assert!(!uart.line());
    }

    #[test]
    fn no_byte_is_received_before_the_guest_enables_it_nor_beyond_the_room() {
        let mut uart = Pl011::of(VmId::new(1).unwrap());
        uart.write_register(IMSC, u32::from(RX | RT), || 0);
        uart.receive(b'a', 0);
        assert!(!uart.line());
        let mut uart = device();
        for n in 0..QUEUE - 1 {
            assert_eq!(uart.receive(n as u8, 0), 0);
        }
        let lost = [b'x'; 4].map(|byte| uart.receive(byte, 0));
        assert!(lost[3] >= 2 && lost[3] == lost[2] + 1, "{lost:?}");
        let lost = lost[3];
        // What was there first stays, and the count is told once.
        assert_eq!(uart.read(DR), (0, Effect::Lost));
        assert_eq!((uart.take_lost(), uart.take_lost()), (lost, 0));
        assert_eq!(uart.read(DR), (1, Effect::Nothing));
        assert_eq!(uart.receive(b'y', 0), 0);
    }
}
