// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's device tree: what the monitor learns from it, and what it adds.
//!
//! With firmware at EL3 QEMU leaves PSCI and the TEE to the firmware to describe, and the boot stage adds both. There
//! are two complete trees, with the TEE's node and without: the runtime puts the former in place once the TEE has
//! answered.

mod complete;

pub use complete::complete;

use crate::handoff::Ram;
use core::fmt;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use shared_abi::dtb::{Checked, Malformed};
use shared_abi::layout::{MAX_CPUS, Range};
use shared_abi::trace;

/// What is wrong with a device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is none, or it is damaged.
    Malformed(Malformed),
    /// It is damaged in a way that only shows in what is made of it.
    Unreadable,
    /// It describes no CPU.
    NoCpus,
    /// It describes no memory.
    NoMemory,
    /// It does not fit where it must be.
    TooLarge {
        /// Bytes it has, with what is added.
        size: usize,
        /// Bytes there are.
        room: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(how) => write!(f, "{how}"),
            Self::Unreadable => f.write_str("damaged"),
            Self::NoCpus => f.write_str("describes no CPU"),
            Self::NoMemory => f.write_str("describes no memory"),
            Self::TooLarge { size, room } => {
                write!(f, "{size} bytes when complete, and at most {room} are possible: give the machine a smaller one")
            }
        }
    }
}

impl From<Malformed> for Error {
    fn from(how: Malformed) -> Self {
        match how {
            Malformed::Cut { size, room } => Self::TooLarge { size, room },
            how => Self::Malformed(how),
        }
    }
}

/// What the monitor needs to know.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Affinities of the CPUs.
    pub cpus: heapless::Vec<u64, MAX_CPUS>,
    /// CPUs there are besides.
    pub left_out: usize,
    /// Non-secure RAM.
    pub ram: Ram,
}

/// A device tree in its place.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    fdt: Fdt<'a>,
    bytes: &'a [u8],
}

impl<'a> Tree<'a> {
    /// Takes the tree at the start of `area`, checked.
    pub fn parse(area: &'a mut [u8]) -> Result<Self, Error> {
        let bytes = Checked::new(area)?.bytes();
        Ok(Self { fdt: Fdt::new(bytes).map_err(|_| Error::Unreadable)?, bytes })
    }

    /// Returns its bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads what it says of the machine.
    pub fn inventory(&self) -> Result<Inventory, Error> {
        let mut machine = Inventory { cpus: heapless::Vec::new(), left_out: 0, ram: Ram::new() };
        for node in self.fdt.root().children() {
            match node.name_without_address() {
                "cpus" => {
                    for cpu in node.children().filter(|cpu| cpu.name_without_address() == "cpu") {
                        let Ok(Some(mut reg)) = cpu.reg() else { continue };
                        let Some(Ok(mpidr)) = reg.next().map(|reg| reg.address::<u64>()) else { continue };
                        if machine.cpus.push(mpidr).is_err() {
                            machine.left_out += 1;
                        }
                    }
                }
                // Only what the normal world may use: QEMU also describes the secure SRAM, with another name.
                "memory" => {
                    let Ok(Some(reg)) = node.reg() else { continue };
                    for range in reg {
                        if let (Ok(base), Ok(size)) = (range.address::<u64>(), range.size::<u64>()) {
                            // More ranges than there is room for are no places to begin at.
                            let _ = machine.ram.push(Range::new(base, size));
                        }
                    }
                }
                _ => {}
            }
        }
        if machine.cpus.is_empty() {
            return Err(Error::NoCpus);
        }
        if machine.ram.is_empty() {
            return Err(Error::NoMemory);
        }
        Ok(machine)
    }

    /// Finds the way by which trace records are to leave the machine.
    pub fn trace(&self, machine: &Inventory) -> trace::Way {
        let root = self.fdt.root();
        let reserved = root.child("reserved-memory").and_then(|memory| {
            let node = memory.children().find(|node| is_compatible(node, trace::COMPATIBLE))?;
            let reg = node.reg().ok().flatten()?.next()?;
            Some(Range::new(reg.address().ok()?, reg.size().ok()?))
        });
        let chosen = root.child("chosen").and_then(|node| node.property(trace::CHOSEN)?.value_as::<&str>().ok());
        trace::Way::of(reserved, &machine.ram, chosen)
    }
}

fn is_compatible(node: &FdtNode<'_>, with: &str) -> bool {
    node.property("compatible").is_some_and(|property| property.value_as::<&str>() == Ok(with))
}

#[cfg(test)]
mod tests;
