// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's PL031 real-time clock (Arm DDI 0224).
//!
//! It shows the machine's time, read once at boot and carried on by the counter, plus what the guest set it apart. The
//! machine's time is a number of seconds that never wraps; the device's registers have its lower 32 bits.
#![forbid(unsafe_code)]

/// RTCPeriphID and RTCPCellID, of an r1p3 as QEMU's.
const ID: [u8; 8] = [0x31, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The time when the counter stood at `count`, in seconds.
    pub start: u64,
    /// What the counter stood at.
    pub count: u64,
    /// Counts per second.
    pub frequency: u64,
}

impl Clock {
    /// The time at a count.
    pub fn seconds(&self, count: u64) -> u64 {
        self.start + count.saturating_sub(self.count) / self.frequency.max(1)
    }

    /// The count at which that time begins.
    pub fn count(&self, seconds: u64) -> u64 {
        let since = seconds.saturating_sub(self.start);
        self.count.saturating_add(since.saturating_mul(self.frequency.max(1)))
    }
}

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

impl Pl031 {
    /// The device out of reset.
    pub const fn new() -> Self {
        Self { offset: 0, matches: 0, load: 0, mask: false, raised: false, due: None }
    }

    /// The device after a reset of its machine. What counts the seconds has a reset of its own, which a machine gives
    /// it when it is switched on (DDI 0224 §2.2), so the time that was set stays.
    pub fn after_reset(&self) -> Self {
        Self { offset: self.offset, ..Self::new() }
    }

    /// Whether the interrupt line is up (RTCMIS).
    pub fn interrupt(&self) -> bool {
        self.raised && self.mask
    }

    /// When it has to be looked at: the machine's time of the next match.
    pub fn due(&self) -> Option<u64> {
        self.due
    }

    /// The machine's time is `now`, which may be late.
    pub fn tick(&mut self, now: u64) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.raised = true;
        }
    }

    fn time(&self, now: u64) -> u32 {
        (now as u32).wrapping_add(self.offset)
    }

    /// The match happens when the time equals the register: at once, or after as many seconds as that takes, all the
    /// way round for one in the past.
    fn set_match(&mut self, now: u64) {
        self.due = Some(now + u64::from(self.matches.wrapping_sub(self.time(now))));
        self.tick(now);
    }

    /// Reads a register, at the machine's time `now`.
    pub fn read(&mut self, offset: u64, now: u64) -> u32 {
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
    pub fn write(&mut self, offset: u64, value: u32, now: u64) {
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
        assert_eq!(rtc.read(DR, 1000), 1000);
        rtc.write(LR, 5000, 1000);
        assert_eq!(rtc.read(DR, 1010), 5010);
        assert_eq!(rtc.read(DR, 0x1_0000_0000), 4000);
    }

    #[test]
    fn the_alarm_comes_once_when_it_is_due() {
        let mut rtc = Pl031::new();
        rtc.write(IMSC, 1, 100);
        rtc.write(MR, 103, 100);
        assert_eq!(rtc.due(), Some(103));
        rtc.tick(102);
        assert!(!rtc.interrupt());
        rtc.tick(104);
        assert!(rtc.interrupt());
        assert_eq!(rtc.due(), None);
        rtc.write(ICR, 1, 104);
        rtc.tick(105);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn a_match_while_masked_is_raised_and_heard_of_once_it_is_unmasked() {
        let mut rtc = Pl031::new();
        rtc.write(MR, 103, 100);
        assert_eq!(rtc.due(), Some(103), "it happens whether or not anybody is to hear of it");
        // Even if nobody looked in time.
        assert_eq!((rtc.read(RIS, 103), rtc.read(MIS, 103)), (1, 0));
        assert!(!rtc.interrupt());
        rtc.write(IMSC, 1, 110);
        assert!(rtc.interrupt());
        assert_eq!(rtc.read(MIS, 110), 1);
        rtc.write(IMSC, 0, 110);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn the_alarm_does_not_move_because_somebody_looks() {
        let mut rtc = Pl031::new();
        rtc.write(IMSC, 1, 100);
        rtc.write(MR, 105, 100);
        for now in 100..105 {
            rtc.read(DR, now);
            rtc.tick(now);
            assert_eq!(rtc.due(), Some(105));
        }
        rtc.tick(105);
        assert!(rtc.interrupt());
    }

    #[test]
    fn it_matches_now_or_after_the_time_has_come_round() {
        let mut rtc = Pl031::new();
        rtc.write(MR, 100, 100);
        assert_eq!(rtc.read(RIS, 100), 1);
        let mut rtc = Pl031::new();
        rtc.write(IMSC, 1, 100);
        rtc.write(MR, 99, 100);
        assert_eq!(rtc.due(), Some(99 + (1 << 32)));
        rtc.tick(101);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn setting_the_time_moves_the_match() {
        let mut rtc = Pl031::new();
        rtc.write(MR, 5010, 100);
        rtc.write(LR, 5000, 100);
        assert_eq!(rtc.due(), Some(110));
    }

    #[test]
    fn the_machines_time_and_the_counter_agree() {
        let clock = Clock { start: 1000, count: 77, frequency: 10 };
        assert_eq!([0, 77, 86, 87].map(|count| clock.seconds(count)), [1000, 1000, 1000, 1001]);
        assert_eq!(clock.count(1001), 87);
        assert_eq!(clock.seconds(clock.count(1234)), 1234);
        assert_eq!(clock.count(u64::MAX), u64::MAX);
    }

    #[test]
    fn software_recognises_it_by_its_identification() {
        let mut rtc = Pl031::new();
        assert_eq!(
            (0..8).map(|n| rtc.read(0xFE0 + 4 * n, 0)).collect::<Vec<_>>(),
            [0x31, 0x10, 0x14, 0, 0xD, 0xF0, 5, 0xB1]
        );
    }

    #[test]
    fn a_reset_leaves_the_time_and_nothing_else() {
        let mut clock = Pl031::new();
        clock.write(LR, 5000, 1000);
        clock.write(MR, 5010, 1000);
        clock.write(IMSC, 1, 1000);
        let mut clock = clock.after_reset();
        assert_eq!(clock.read(DR, 1001), 5001);
        assert_eq!([MR, LR, IMSC, RIS].map(|offset| clock.read(offset, 1001)), [0; 4]);
        assert_eq!(clock.due(), None);
    }
}
