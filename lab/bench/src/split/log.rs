// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's log of executed instructions (`-d exec,nochain`, one instruction in each block).

use std::io::{self, BufRead};

/// Calls `each` with the address of every executed instruction, in order.
pub(super) fn read(mut log: impl BufRead, mut each: impl FnMut(u64)) -> io::Result<()> {
    let mut line = Vec::new();
    // A block is logged when it is entered. The next line may say that it was left before its instruction.
    let mut entered = None;
    while log.read_until(b'\n', &mut line)? != 0 {
        if line.starts_with(b"Trace") {
            if let Some(pc) = entered.replace(address(&line)).flatten() {
                each(pc);
            }
        } else if line.starts_with(b"Stopped execution") || line.starts_with(b"cpu_io_recompile") {
            entered = None;
        }
        line.clear();
    }
    if let Some(pc) = entered.flatten() {
        each(pc);
    }
    Ok(())
}

/// Reads the address in `Trace 0: 0x7f0004cc3d80 [0000000000000000/000000000e001388/00000061/ff020201] …`.
fn address(line: &[u8]) -> Option<u64> {
    let inside = &line[line.iter().position(|byte| *byte == b'[')? + 1..];
    let text = inside.split(|byte| *byte == b'/').nth(1)?;
    text.iter().try_fold(0, |number: u64, byte| Some(number << 4 | u64::from((*byte as char).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executed(log: &str) -> Vec<u64> {
        let mut all = Vec::new();
        read(log.as_bytes(), |pc| all.push(pc)).unwrap();
        all
    }

    #[test]
    fn every_block_is_an_instruction_but_those_that_were_left_before_it() {
        let log = "\
            Trace 0: 0x7ffb68458c80 [0000000000000000/00000000600011fc/00000061/ff020201] \n\
            Trace 0: 0x7ffb68458e80 [0000000000000000/000000000e001200/00000061/ff020201] name\n\
            cpu_io_recompile: rewound execution of TB to 000000000e001200\n\
            Trace 0: 0x7ffb68458e80 [0000000000000000/000000000e001200/00000061/ff020201] name\n\
            Trace 0: 0x7ffb68458fc0 [0000000000000000/ffff800000001204/00000061/ff020201] \n\
            Stopped execution of TB chain before 0x7ffb68458fc0 [ffff800000001204] \n\
            a line about something else\n\
            Trace 0: 0x7ffb68458fc0 [0000000000000000/ffff800000001204/00000061/ff020201]";
        assert_eq!(executed(log), [0x6000_11FC, 0x0E00_1200, 0xFFFF_8000_0000_1204]);
    }

    #[test]
    fn lines_without_an_address_are_no_instructions() {
        assert!(executed("Trace 0\nTrace 0: [\nTrace 0: [0/xyz/0]\n").is_empty());
    }
}
