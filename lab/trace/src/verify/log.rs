// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's own log of exceptions (`-d int`), line by line.
//!
//! What an Arm machine writes there has been the same since long before QEMU 7.2: an exception is a line `Taking
//! exception N [Name] on CPU C` and further ones that begin with `...`; a return is one line. Lines of other kinds are
//! passed over.

/// An exception that a CPU took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which CPU.
    pub cpu: u8,
    /// What QEMU calls it.
    pub name: String,
    /// The exception level that it came from.
    pub from: u8,
    /// The one that takes it.
    pub to: u8,
    /// ESR_ELx, where the exception has one.
    pub esr: Option<u64>,
    /// ELR_ELx.
    pub elr: Option<u64>,
}

/// A return from an exception, or the first entry of a level. QEMU does not say on which CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The level that is left.
    pub from: u8,
    /// The level that is entered.
    pub to: u8,
    /// Where.
    pub pc: u64,
}

/// What QEMU saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An exception.
    Taken(Taken),
    /// A return.
    Returned(Returned),
}

/// What QEMU saw, and in which line of its log it begins to say so, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which line.
    pub number: usize,
    /// What.
    pub seen: Seen,
}

/// Reads a log. What a line that is cut off would have said is left out.
pub fn read(log: impl Iterator<Item = impl AsRef<str>>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (text, number) in log.zip(1..) {
        let text = text.as_ref();
        if let Some(detail) = text.strip_prefix("...") {
            if let Some(Line { seen: Seen::Taken(taken), .. }) = lines.last_mut() {
                taken.add(detail);
            }
        } else if let Some(taken) = Taken::parse(text) {
            lines.push(Line { number, seen: Seen::Taken(taken) });
        } else if let Some(returned) = Returned::parse(text) {
            lines.push(Line { number, seen: Seen::Returned(returned) });
        }
    }
    lines
}

impl Taken {
    /// Reads `Taking exception 13 [Secure Monitor Call] on CPU 0`; older versions don't name the CPU when there is one.
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.strip_prefix("Taking exception ")?.split_once('[')?.1.split_once(']')?;
        let cpu = rest.rsplit_once("CPU ").map_or(Some(0), |(_, number)| number.trim().parse().ok())?;
        Some(Self { cpu, name: name.to_owned(), from: 0, to: 0, esr: None, elr: None })
    }

    /// Adds what a further line says: `from EL2 to EL3`, `with ESR 0x17/0x5e000000`, `with ELR 0x60001074`.
    fn add(&mut self, detail: &str) {
        if let Some((from, to)) = detail.strip_prefix("from EL").and_then(|levels| levels.split_once(" to EL")) {
            self.from = from.parse().unwrap_or(self.from);
            self.to = to.trim().parse().unwrap_or(self.to);
        } else if let Some(syndrome) = detail.strip_prefix("with ESR ") {
            self.esr = syndrome.rsplit_once('/').and_then(|(_, esr)| hexadecimal(esr));
        } else if let Some(address) = detail.strip_prefix("with ELR ") {
            self.elr = hexadecimal(address);
        }
    }
}

impl Returned {
    /// Reads `Exception return from AArch64 EL3 to AArch64 EL1 PC 0xe100000`.
    fn parse(text: &str) -> Option<Self> {
        let (from, rest) = text.strip_prefix("Exception return from ")?.split_once(" to ")?;
        let (to, pc) = rest.split_once(" PC ")?;
        let level = |text: &str| text.rsplit_once("EL")?.1.parse().ok();
        Some(Self { from: level(from)?, to: level(to)?, pc: hexadecimal(pc)? })
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of QEMU 7.2.22, with an exception within EL1, an interrupt, and lines of other kinds.
    pub(super) const LOG: &str = "\
Exception return from AArch64 EL3 to AArch64 EL1 PC 0xe100000
Taking exception 2 [SVC] on CPU 0
...from EL1 to EL1
...with ESR 0x15/0x56000000
...with ELR 0xe108fb4
...to EL1 PC 0xe100800 PSTATE 0x3c5
Exception return from AArch64 EL1 to AArch64 EL1 PC 0xe108fb4
something else
...of another kind
Taking exception 5 [IRQ] on CPU 3
...from EL1 to EL2
...with ELR 0xffff800080010a2c
...to EL2 PC 0x60001480 PSTATE 0x3c9
Taking exception 13 [Secure Monitor Call] on CPU 0
...from EL1 to EL3
...with ESR 0x17/0x5e000000
...with ELR 0xe100078
...to EL3 PC 0xe000c00 PSTATE 0x3cd
Exception return from AArch64 EL3 to AArch32 EL2 PC 0x60000000
Exception return from AArch64 EL3 to AArch64 EL2 P";

    #[test]
    fn what_qemu_saw_is_read() {
        let lines = read(LOG.lines());
        let taken = |cpu, name: &str, from, to, esr, elr| {
            Seen::Taken(Taken { cpu, name: name.into(), from, to, esr, elr: Some(elr) })
        };
        let returned = |from, to, pc| Seen::Returned(Returned { from, to, pc });
        let expected = [
            (1, returned(3, 1, 0xe10_0000)),
            (2, taken(0, "SVC", 1, 1, Some(0x5600_0000), 0xe10_8fb4)),
            (7, returned(1, 1, 0xe10_8fb4)),
            (10, taken(3, "IRQ", 1, 2, None, 0xffff_8000_8001_0a2c)),
            (14, taken(0, "Secure Monitor Call", 1, 3, Some(0x5e00_0000), 0xe10_0078)),
            (19, returned(3, 2, 0x6000_0000)),
        ];
        assert_eq!(lines, expected.map(|(number, seen)| Line { number, seen }));
    }

    #[test]
    fn a_log_that_is_cut_off_anywhere_is_read_so_far() {
        for end in 0..LOG.len() {
            assert!(read(LOG[..end].lines()).len() <= 6);
        }
    }
}
