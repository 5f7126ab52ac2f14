// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was done to a machine, as a scenario that the probe plays in QEMU.

use super::nexus::{HOLE, RAM};
use shared_abi::layout::Range;
use std::fmt::Write;

/// Something that the normal world did.
#[derive(Clone, Debug)]
pub enum Event {
    /// Wrote numbers.
    Write(u64, Vec<u64>),
    /// Made a call; what the model says to it, and which numbers it says are different in memory then.
    Smc([u32; 8], [u64; 4], Vec<(u64, u64)>),
    /// What the probe cannot do: interrupts and other CPUs at an exact access.
    Else(String),
}

/// A number; one that is an address of the test's RAM is one of the probe's buffer.
fn number(n: u64) -> String {
    let (upper, lower) = (Range::new(RAM.end() - 0x3000, 0x3000), RAM);
    match n {
        _ if HOLE.holds(n, 1) || n == RAM.end() || upper.holds(n, 1) => {
            format!("\"RAM_END - {}\"", (RAM.end() as i64).wrapping_sub(n as i64))
        }
        _ if lower.holds(n, 1) => format!("\"ram + {:#x}\"", n - RAM.base),
        // TOML's numbers have a sign.
        n if i64::try_from(n).is_err() => format!("\"{n:#x}\""),
        n if n < 10 => n.to_string(),
        n => format!("{n:#x}"),
    }
}

fn step(text: &mut String, event: &Event) {
    match event {
        Event::Else(what) => {
            let _ = writeln!(text, "\n# Here the probe would have to do this, which it cannot:\n# {what}");
        }
        Event::Write(at, values) => {
            let values: Vec<_> = values.iter().map(|value| number(*value)).collect();
            let _ = writeln!(text, "\n[[step]]\nwrite = {}\nvalues = [{}]", number(*at), values.join(", "));
        }
        Event::Smc(x, answer, changes) => {
            let _ = writeln!(text, "\n[[step]]\nsmc = {}", number(x[0].into()));
            for (n, x) in x.iter().enumerate().skip(1).filter(|(_, x)| **x != 0) {
                let _ = writeln!(text, "x{n} = {}", number((*x).into()));
            }
            let answer = answer.iter().enumerate().map(|(n, x)| match *x {
                // "No such function", of which an SMC32's caller sees 32 bits.
                u64::MAX => format!("w{n} = 0xffffffff"),
                x => format!("x{n} = {}", number(x)),
            });
            let answer: Vec<_> = answer.collect();
            let _ = writeln!(text, "expect = {{ {} }}", answer.join(", "));
            for (at, value) in changes {
                let value = number(*value);
                let _ = writeln!(text, "\n[[step]]\nread = {}\nexpect = {{ value = {value} }}", number(*at));
            }
        }
    }
}

/// The scenario.
pub fn scenario(name: &str, events: &[Event]) -> String {
    let mut text = format!("name = \"{name}\"\nsummary = \"Say here what must hold.\"\ntimeout = 60\n\n");
    if events.iter().any(|event| matches!(event, Event::Else(_))) {
        text += "# Something here is beyond the probe (see below): it may see other answers.\n\n";
    }
    text += "[machine]\ncpu = \"cortex-a57\"\ncpus = 1\n\n[chain]\nnormal-world = \"probe\"\n\n";
    let _ = writeln!(text, "[buffers]\nram = \"{}K\"", RAM.size >> 10);
    events.iter().for_each(|event| step(&mut text, event));
    text + "\n[[step]]\nname = \"the end\"\nsmc = \"PSCI_SYSTEM_OFF\"\nreturns = false\n"
}
