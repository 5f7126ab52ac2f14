// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the CPUs of a machine are, as QEMU's monitor prints their registers (`info registers -a`).

use std::fmt;

/// Where a CPU is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its number.
    cpu: u32,
    /// Its exception level, with the world that it is in: `S-EL1`.
    level: String,
    /// Its next instruction.
    pc: u64,
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu{} is at {:#x} in {}", self.cpu, self.pc, self.level)
    }
}

/// Reads where each CPU is.
pub(crate) fn read(registers: &str) -> Vec<Whereabouts> {
    registers.split("CPU#").skip(1).filter_map(of_cpu).collect()
}

fn of_cpu(text: &str) -> Option<Whereabouts> {
    let (cpu, registers) = text.split_once(char::is_whitespace)?;
    let cpu = cpu.parse().ok()?;
    let value = |name: &str| registers.split_whitespace().find_map(|word| word.strip_prefix(name));
    if let Some(pc) = value("PC=") {
        // `PSTATE=600003c5 -ZC- S EL1h`; EL3 is in no world but its own.
        let (_, state) = registers.split_once("PSTATE=")?;
        let mut words = state.lines().next()?.split_whitespace().skip(2);
        let level = match words.next()? {
            "NS" => words.next()?.to_owned(),
            "S" => format!("S-{}", words.next()?),
            level => level.to_owned(),
        };
        // Which of two stack pointers it uses tells nobody anything.
        let level = level.trim_end_matches(['h', 't']).to_owned();
        return Some(Whereabouts { cpu, level, pc: u64::from_str_radix(pc, 16).ok()? });
    }
    let pc = value("R15=")?;
    Some(Whereabouts { cpu, level: "AArch32".into(), pc: u64::from_str_radix(pc, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cpu_is_somewhere_at_its_level_in_its_world() {
        let text = "\r\nCPU#0\r\n PC=0000000060001234 X00=00000000be000000 X01=0000000000000010\r\nX02=0 SP=0\r\n\
            PSTATE=600003c9 -ZC- NS EL2h    FPCR=00000000 FPSR=00000000\r\n\r\n\
            CPU#1\r\n PC=000000000e101200 X00=0\r\nPSTATE=000003c5 ---- S EL1h  BTYPE=0\r\n\r\n\
            CPU#2\r\n PC=000000000e000040 X00=0\r\nPSTATE=000003cd ---- EL3h\r\n\r\n\
            CPU#10\r\n PC=0000000000400040 X00=0\r\nPSTATE=00000000 ---- NS EL0t\r\n\r\n\
            CPU#11\r\nR00=00000000 R01=00000000\r\nR12=0 R13=0 R14=0 R15=00008000\r\nPSR=000001d3 ---- A NS svc32\r\n";
        let read: Vec<_> = read(text).iter().map(ToString::to_string).collect();
        let expected = [
            "cpu0 is at 0x60001234 in EL2",
            "cpu1 is at 0xe101200 in S-EL1",
            "cpu2 is at 0xe000040 in EL3",
            "cpu10 is at 0x400040 in EL0",
            "cpu11 is at 0x8000 in AArch32",
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_says_nothing_of_a_cpu_is_nothing() {
        for text in ["", "unknown command: 'info'", "CPU#0", "CPU#x\r\n PC=0", "CPU#0\r\n PC=0\r\nPSTATE=0"] {
            assert_eq!(read(text), [], "{text}");
        }
    }
}
