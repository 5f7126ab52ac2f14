//! A VM's PL031 real-time clock (Arm DDI 0224).
//!
//! It shows the machine's time, read once at boot and carried on by the counter, plus what the guest set it apart.
#![forbid(unsafe_code)]

/// RTCPeriphID and RTCPCellID.
const ID: [u8; 8] = [0x31, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

/// The device.
#[derive(Clone, Default)]
pub struct Pl031 {
    /// What the guest added to the machine's time.
    offset: u32,
    matches: u32,
    load: u32,
    mask: bool,
    raised: bool,
    armed: bool,
}

impl Pl031 {
    /// The device out of reset.
    pub const fn new() -> Self {
        Self { offset: 0, matches: 0, load: 0, mask: false, raised: false, armed: false }
    }

    /// The device after a reset of its machine. What counts the seconds has a reset of its own, which a machine gives it
    /// when it is switched on (DDI 0224 §2.2), so the time that was set stays.
    pub fn after_reset(&self) -> Self {
        Self { offset: self.offset, ..Self::new() }
    }

    /// Whether the interrupt line is up.
    pub fn interrupt(&self) -> bool {
        self.raised && self.mask
    }

    /// Seconds until the alarm, seen at `now`; `None` if nobody waits for it.
    pub fn alarm_in(&self, now: u32) -> Option<u32> {
        (self.armed && self.mask).then(|| self.matches.wrapping_sub(self.time(now)))
    }

    /// The machine's time is `now`: raises the alarm if it is due. It is when the time equals the match register, and
    /// the clock may have been looked at late.
    pub fn tick(&mut self, now: u32) {
        let late = self.time(now).wrapping_sub(self.matches);
        if self.armed && late < 1 << 31 {
            self.raised = true;
            self.armed = false;
        }
    }

    fn time(&self, now: u32) -> u32 {
        now.wrapping_add(self.offset)
    }

    /// Reads a register, at the machine's time `now`.
    pub fn read(&self, offset: u64, now: u32) -> u32 {
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
    pub fn write(&mut self, offset: u64, value: u32, now: u32) {
        match offset {
            0x04 => {
                self.matches = value;
                // A match in the past comes true when the clock has wrapped, not now.
                self.armed = self.time(now).wrapping_sub(value) >= 1 << 31 || self.time(now) == value;
                self.tick(now);
            }
            0x08 => {
                self.load = value;
                self.offset = value.wrapping_sub(now);
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

    #[test]
    fn it_shows_the_machines_time_until_the_guest_sets_it() {
        let mut rtc = Pl031::new();
        assert_eq!(rtc.read(0, 1000), 1000);
        rtc.write(8, 5000, 1000);
        assert_eq!(rtc.read(0, 1010), 5010);
    }

    #[test]
    fn the_alarm_comes_once_when_it_is_due() {
        let mut rtc = Pl031::new();
        rtc.write(0x10, 1, 100);
        rtc.write(4, 103, 100);
        assert_eq!(rtc.alarm_in(101), Some(2));
        rtc.tick(102);
        assert!(!rtc.interrupt());
        rtc.tick(104);
        assert!(rtc.interrupt());
        assert_eq!(rtc.alarm_in(104), None);
        rtc.write(0x1C, 1, 104);
        rtc.tick(105);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn a_match_in_the_past_does_not_come_true() {
        let mut rtc = Pl031::new();
        rtc.write(0x10, 1, 100);
        rtc.write(4, 99, 100);
        assert!(!rtc.interrupt());
        rtc.tick(101);
        assert!(!rtc.interrupt());
    }

    #[test]
    fn linux_recognises_it_by_its_identification() {
        let rtc = Pl031::new();
        assert_eq!(
            (0..8).map(|n| rtc.read(0xFE0 + 4 * n, 0)).collect::<Vec<_>>(),
            [0x31, 0x10, 4, 0, 0xD, 0xF0, 5, 0xB1]
        );
    }

    #[test]
    fn a_reset_leaves_the_time_and_nothing_else() {
        let mut clock = Pl031::new();
        clock.write(0x08, 5000, 1000);
        clock.write(0x04, 5010, 1000);
        clock.write(0x10, 1, 1000);
        let clock = clock.after_reset();
        assert_eq!(clock.read(0x00, 1001), 5001);
        assert_eq!([0x04, 0x08, 0x10].map(|offset| clock.read(offset, 1001)), [0; 3]);
        assert_eq!(clock.alarm_in(1001), None);
    }
}
