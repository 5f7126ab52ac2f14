// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's PL031 real-time clock (Arm DDI 0224).
//!
//! It shows the machine's time ([`crate::clock`]), plus what the guest set it apart. The machine's time is a number of
//! seconds that never wraps; the device's registers have its lower 32 bits.

use super::{BOARD, CLOCK_PHANDLE, Device, Effect};
use crate::arch::timer;
use crate::clock;
use shared_abi::client::VmId;
use shared_abi::layout::Range;
use vm_fdt::{Error, FdtWriter};

/// RTCPeriphID and RTCPCellID, of an r1p3 as QEMU's.
const ID: [u8; 8] = [0x31, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

/// The device.
#[derive(Clone, Default)]
pub struct Pl031 {
    /// What the guest added to the machine's time.
    offset: u32,
    matches: u32,
    load: u32,
    /// RTCIMSC.
    mask: bool,
    /// RTCRIS: the match has happened, whether or not anybody is to hear of it.
    raised: bool,
    /// The machine's time at which the match happens.
    due: Option<u64>,
}

impl Device for Pl031 {
    const NAME: &'static str = "pl031";
    const COMPATIBLE: &'static [&'static str] = &["arm,pl031", "arm,primecell"];
    const RANGE: Range = BOARD.rtc.registers;
    const SPI: Option<u32> = Some(BOARD.rtc.spi);

    fn new(_: VmId) -> Self {
        Self::new()
    }

    // What counts the seconds has a reset of its own, which a machine gives it when it is switched on (DDI 0224 §2.2),
    // so the time that was set stays.
    fn reset(&mut self) {
        *self = Self { offset: self.offset, ..Self::new() };
    }

    fn read(&mut self, offset: u64) -> (u32, Effect) {
        (self.read_at(offset, clock::machine().seconds(timer::now())), Effect::Nothing)
    }

    fn write(&mut self, offset: u64, value: u32) -> Effect {
        self.write_at(offset, value, clock::machine().seconds(timer::now()));
        Effect::Due
    }

    fn line(&self) -> bool {
        self.interrupt()
    }

    fn deadline(&self) -> Option<u64> {
        self.due.map(|due| clock::machine().count(due))
    }

    fn look(&mut self, now: u64) -> Effect {
        self.tick(clock::machine().seconds(now));
        Effect::Nothing
    }

    fn describe(node: &mut FdtWriter) -> Result<(), Error> {
        node.property_u32("clocks", CLOCK_PHANDLE)?;
        node.property_string("clock-names", "apb_pclk")
    }
}

impl Pl031 {
    /// Makes the device out of reset.
    const fn new() -> Self {
        Self { offset: 0, matches: 0, load: 0, mask: false, raised: false, due: None }
    }

    /// Says whether the interrupt line is up (RTCMIS).
    fn interrupt(&self) -> bool {
        self.raised && self.mask
    }

    /// Goes on to the machine's time `now`, which may be late.
    fn tick(&mut self, now: u64) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.raised = true;
        }
    }

    fn time(&self, now: u64) -> u32 {
        (now as u32).wrapping_add(self.offset)
    }

    /// Sets when the match happens: when the time equals the register, at once, or after as many seconds as that takes,
    /// all the way round for one in the past.
    fn set_match(&mut self, now: u64) {
        self.due = Some(now + u64::from(self.matches.wrapping_sub(self.time(now))));
        self.tick(now);
    }

    /// Reads a register, at the machine's time `now`.
    fn read_at(&mut self, offset: u64, now: u64) -> u32 {
        self.tick(now);
        match offset {
            0x00 => self.time(now),
            0x04 => self.matches,
            0x08 => self.load,
            // RTCCR: always on.
            0x0C => 1,
            0x10 => u32::from(self.mask),
            0x14 => u32::from(self.raised),
            0x18 => u32::from(self.interrupt()),
            0xFE0..=0xFFC => u32::from(ID[(offset - 0xFE0) as usize / 4]),
            _ => 0,
        }
    }

    /// Writes a register, at the machine's time `now`.
    fn write_at(&mut self, offset: u64, value: u32, now: u64) {
        self.tick(now);
        match offset {
            0x04 => {
                self.matches = value;
                self.set_match(now);
            }
            0x08 => {
                self.load = value;
                self.offset = value.wrapping_sub(now as u32);
                self.set_match(now);
            }
            0x10 => self.mask = value & 1 != 0,
            0x1C if value & 1 != 0 => self.raised = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DR: u64 = 0;
    const MR: u64 = 4;
    const LR: u64 = 8;
    const IMSC: u64 = 0x10;
    const RIS: u64 = 0x14;
    const MIS: u64 = 0x18;
    const ICR: u64 = 0x1C;

    #[test]
    fn it_shows_the_machines_time_until_the_guest_sets_it() {
        let mut rtc = Pl031::new();
        assert_eq!(rtc.read_at(DR, 1000), 1000);
        rtc.write_at(LR, 5000, 1000);
        assert_eq!(rtc.read_at(DR, 1010), 5010);
        assert_eq!(rtc.read_at(DR, 0x1_0000_0000), 4000);
    }

    #[test]
    fn the_alarm_comes_once_when_it_is_due() {
        let mut rtc = Pl031::new();
        rtc.write_at(IMSC, 1, 100);
        rtc.write_at(MR, 103, 100);
        assert_eq!(rtc.due, Some(103));
        rtc.tick(102);
        assert!(!rtc.interrupt());
        rtc.tick(104);
        assert!(rtc.interrupt());
        assert_eq!(rtc.due, None);
        rtc.write_at(ICR, 1, 104);
        rtc.tick(105);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn a_match_while_masked_is_raised_and_heard_of_once_it_is_unmasked() {
        let mut rtc = Pl031::new();
        rtc.write_at(MR, 103, 100);
        assert_eq!(rtc.due, Some(103), "it happens whether or not anybody is to hear of it");
        // Even if nobody looked in time.
        assert_eq!((rtc.read_at(RIS, 103), rtc.read_at(MIS, 103)), (1, 0));
        assert!(!rtc.interrupt());
        rtc.write_at(IMSC, 1, 110);
        assert!(rtc.interrupt());
        assert_eq!(rtc.read_at(MIS, 110), 1);
        rtc.write_at(IMSC, 0, 110);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn the_alarm_does_not_move_because_somebody_looks() {
        let mut rtc = Pl031::new();
        rtc.write_at(IMSC, 1, 100);
        rtc.write_at(MR, 105, 100);
        for now in 100..105 {
            rtc.read_at(DR, now);
            rtc.tick(now);
            assert_eq!(rtc.due, Some(105));
        }
        rtc.tick(105);
        assert!(rtc.interrupt());
    }

    #[test]
    fn it_matches_now_or_after_the_time_has_come_round() {
        let mut rtc = Pl031::new();
        rtc.write_at(MR, 100, 100);
        assert_eq!(rtc.read_at(RIS, 100), 1);
        let mut rtc = Pl031::new();
        rtc.write_at(IMSC, 1, 100);
        rtc.write_at(MR, 99, 100);
        assert_eq!(rtc.due, Some(99 + (1 << 32)));
        rtc.tick(101);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn setting_the_time_moves_the_match() {
        let mut rtc = Pl031::new();
        rtc.write_at(MR, 5010, 100);
        rtc.write_at(LR, 5000, 100);
        assert_eq!(rtc.due, Some(110));
    }

    #[test]
    fn software_recognises_it_by_its_identification() {
        let mut rtc = Pl031::new();
        assert_eq!(
            (0..8).map(|n| rtc.read_at(0xFE0 + 4 * n, 0)).collect::<Vec<_>>(),
            [0x31, 0x10, 0x14, 0, 0xD, 0xF0, 5, 0xB1]
        );
    }

    #[test]
    fn a_reset_leaves_the_time_and_nothing_else() {
        let mut clock = Pl031::new();
        clock.write_at(LR, 5000, 1000);
        clock.write_at(MR, 5010, 1000);
        clock.write_at(IMSC, 1, 1000);
        clock.reset();
        assert_eq!(clock.read_at(DR, 1001), 5001);
        assert_eq!([MR, LR, IMSC, RIS].map(|offset| clock.read_at(offset, 1001)), [0; 4]);
        assert_eq!(clock.due, None);
    }
}
