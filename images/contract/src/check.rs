// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks: what each one sees is a line.

use crate::arch::cpu::Cpu;
use crate::arch::exceptions::Exception;
use crate::arch::others::{self, Outcome};
use crate::arch::{cpu, mask};
use crate::console::Console;
use crate::{devices, gic, inventory};
use core::fmt::{self, Write};

/// A topic of the contract.
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// What it looks at, in order.
    pub checks: &'static [Check],
}

/// One check.
pub struct Check {
    name: &'static str,
    cpus: usize,
    look: fn(&mut Answer),
}

/// Makes a check for one CPU.
pub const fn check(name: &'static str, look: fn(&mut Answer)) -> Check {
    Check { name, cpus: 1, look }
}

/// Makes a check that needs so many CPUs.
pub const fn check_with(name: &'static str, cpus: usize, look: fn(&mut Answer)) -> Check {
    Check { name, cpus, look }
}

/// What a check sees.
pub struct Answer {
    text: [u8; 2048],
    length: usize,
}

impl Answer {
    const fn new() -> Self {
        Self { text: [0; 2048], length: 0 }
    }

    /// Writes a number by its name.
    pub fn put(&mut self, name: &str, value: impl fmt::Display) {
        // What doesn't fit is cut off, on either machine alike.
        let _ = write!(self, " {name}={value}");
    }

    /// Adds a value, hexadecimal.
    pub fn hex(&mut self, name: &str, value: impl fmt::LowerHex) {
        let _ = write!(self, " {name}={value:#x}");
    }

    /// Writes a word without a name.
    pub fn say(&mut self, what: impl fmt::Display) {
        let _ = write!(self, " {what}");
    }

    /// Writes what exceptions were taken: class and the rest of ESR_EL1.
    pub fn exceptions(&mut self, name: &str, caught: &cpu::Caught) {
        let _ = write!(self, " {name}=[");
        for (n, exception) in caught.list().iter().enumerate() {
            let _ = write!(self, "{}{:#x}", if n == 0 { "" } else { "," }, exception.esr);
        }
        let _ = write!(self, "]");
    }

    /// Writes how another CPU's job ended, unless as it should.
    pub fn join(&mut self, cpu: usize) {
        match others::join(cpu) {
            Outcome::Done => {}
            Outcome::Late => self.put("cpu-late", cpu),
            Outcome::Ended(exception) => self.unexpected(&exception),
        }
    }

    fn unexpected(&mut self, exception: &Exception) {
        let (vector, esr, far) = (exception.vector, exception.esr, exception.far);
        let _ = write!(self, " EXCEPTION vector={vector} esr={esr:#x} far={far:#x}");
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.text[..self.length]).unwrap_or("?")
    }
}

impl Write for Answer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let place = self.text.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl Topic {
    /// Looks at all of it that this machine has the CPUs for. How many lines that makes.
    pub fn look(&self) -> usize {
        let mut lines = 0;
        for check in self.checks.iter().filter(|check| check.cpus <= inventory::cpus()) {
            let mut answer = Answer::new();
            devices::init();
            gic::init();
            let ended = Cpu::this().attempt(|| (check.look)(&mut answer));
            mask();
            if let Err(exception) = ended {
                answer.unexpected(&exception);
            }
            let _ = writeln!(Console, "contract {}: {}:{}", self.name, check.name, answer.text());
            lines += 1;
        }
        lines
    }
}
