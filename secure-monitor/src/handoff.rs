//! What the boot stage hands to the runtime.
//!
//! The runtime is entered at its first byte at EL3 with MMU and caches off, every image in its place and clean to
//! memory, x0 = [`MAGIC`] and x1 = the address of a [`Handoff`] in the boot stage's SRAM. The other CPUs wait in the
//! boot stage's pen for the group 0 interrupt [`CALL`], with which the runtime calls each; then they go to
//! [`SECONDARY_ENTRY`] at EL3, MMU off. What calls them is an interrupt and not a word in memory, because a reset
//! leaves memory as it was and no interrupt pending: whenever a CPU comes to the pen, it is called once the runtime is
//! ready, and never before.
//!
//! All reading of the device tree happens in the boot stage: the runtime parses nothing that others wrote.

use crate::services::psci::{MAX_RAM, Ram};
use heapless::Vec;
use shared_abi::layout::{MAX_CPUS, MONITOR_RUNTIME, Range};

/// In x0, and names the version of this interface: a runtime of another build is not started by accident.
pub const MAGIC: u64 = if crate::trace::ON { 0x5452_4950_8003 } else { 0x5452_4950_0003 };

/// The SGI that calls a CPU from the pen, as later from its wait while it is off.
pub const CALL: u32 = 15;

/// Where a CPU goes that was called from the pen: the runtime's second instruction.
pub const SECONDARY_ENTRY: u64 = MONITOR_RUNTIME.base + 4;

/// What was found and loaded.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Handoff {
    /// The TEE's entry, or 0 when the package has none.
    pub tee: u64,
    /// The normal world's entry.
    pub normal: u64,
    /// The device tree, complete but for the TEE's node.
    pub dtb: u64,
    /// The tree with the TEE's node, in the boot stage's SRAM: it takes the other's place once the TEE has answered.
    pub dtb_with_tee: u64,
    /// Its length; 0 when there is no TEE.
    pub dtb_with_tee_size: u64,
    cpu_count: u64,
    cpus: [u64; MAX_CPUS],
    ram_count: u64,
    ram: [[u64; 2]; MAX_RAM],
    /// A [`shared_abi::trace::Way`], by number.
    #[cfg(tracing)]
    pub trace: u64,
}

impl Handoff {
    /// A hand-off with nothing but the machine: its CPUs' affinities and its non-secure RAM.
    pub fn new(cpus: &Vec<u64, MAX_CPUS>, ram: &Ram) -> Self {
        let mut handoff = Self {
            tee: 0,
            normal: 0,
            dtb: 0,
            dtb_with_tee: 0,
            dtb_with_tee_size: 0,
            cpu_count: cpus.len() as u64,
            cpus: [0; MAX_CPUS],
            ram_count: ram.len() as u64,
            ram: [[0; 2]; MAX_RAM],
            #[cfg(tracing)]
            trace: 0,
        };
        handoff.cpus[..cpus.len()].copy_from_slice(cpus);
        for (place, range) in handoff.ram.iter_mut().zip(ram) {
            *place = [range.base, range.size];
        }
        handoff
    }

    /// The CPUs' affinities, in the device tree's order.
    pub fn cpus(&self) -> Vec<u64, MAX_CPUS> {
        self.cpus.iter().copied().take(self.cpu_count as usize).collect()
    }

    /// The machine's non-secure RAM.
    pub fn ram(&self) -> Ram {
        self.ram.iter().take(self.ram_count as usize).map(|[base, size]| Range::new(*base, *size)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_comes_through() {
        let cpus: Vec<u64, MAX_CPUS> = [0, 1, 0x100].into_iter().collect();
        let ram: Ram = [Range::new(0x4000_0000, 0x8000_0000)].into_iter().collect();
        let handoff = Handoff::new(&cpus, &ram);
        assert_eq!(handoff.cpus(), cpus);
        assert_eq!(handoff.ram(), ram);
    }
}
