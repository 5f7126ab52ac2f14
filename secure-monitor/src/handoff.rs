// SPDX-License-Identifier: MIT OR Apache-2.0
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

use heapless::Vec;
use shared_abi::layout::{MAX_CPUS, MONITOR_RUNTIME, Range};
#[cfg(tracing)]
use shared_abi::trace::Way;

/// In x0, and names the version of this interface: a runtime of another build is not started by accident.
pub const MAGIC: u64 = if cfg!(tracing) { 0x5452_4950_8003 } else { 0x5452_4950_0003 };

/// The SGI that calls a CPU from the pen, as later from its wait while it is off.
pub const CALL: u32 = 15;

/// Where a CPU goes that was called from the pen: the runtime's second instruction.
pub const SECONDARY_ENTRY: u64 = MONITOR_RUNTIME.base + 4;

/// Ranges of RAM that a device tree may have.
const MAX_RAM: usize = 8;

/// Ranges of non-secure RAM.
pub type Ram = Vec<Range, MAX_RAM>;

/// What was found and loaded.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Handoff {
    normal: u64,
    dtb: u64,
    /// The TEE's entry; 0 when the package has none.
    tee: u64,
    /// The tree with the TEE's node, when there is a TEE.
    tree_with_tee: [u64; 2],
    cpu_count: u64,
    cpus: [u64; MAX_CPUS],
    ram_count: u64,
    ram: [[u64; 2]; MAX_RAM],
    /// A [`shared_abi::trace::Way`], by number.
    #[cfg(tracing)]
    trace: u64,
}

impl Handoff {
    /// Makes a hand-off without a TEE: the machine's CPUs by their affinities, its non-secure RAM, where the normal
    /// world is entered, and the device tree, complete but for the TEE's node.
    pub fn new(cpus: &Vec<u64, MAX_CPUS>, ram: &Ram, normal: u64, dtb: u64) -> Self {
        let mut handoff = Self {
            normal,
            dtb,
            tee: 0,
            tree_with_tee: [0; 2],
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

    /// Adds the TEE: where it is entered, and the tree with its node, in the boot stage's SRAM, which takes the other's
    /// place once the TEE has answered.
    pub const fn add_tee(&mut self, entry: u64, tree: Range) {
        self.tee = entry;
        self.tree_with_tee = [tree.base, tree.size];
    }

    /// Adds the way by which trace records leave the machine.
    #[cfg(tracing)]
    pub const fn add_trace(&mut self, way: Way) {
        self.trace = way as u64;
    }

    /// Says where the normal world is entered.
    pub const fn normal(&self) -> u64 {
        self.normal
    }

    /// Says where the device tree is.
    pub const fn dtb(&self) -> u64 {
        self.dtb
    }

    /// Returns the TEE's entry and the tree with its node, if the package has one.
    pub fn tee(&self) -> Option<(u64, Range)> {
        let [base, size] = self.tree_with_tee;
        (self.tee != 0).then(|| (self.tee, Range::new(base, size)))
    }

    /// Says by which way trace records leave the machine.
    #[cfg(tracing)]
    pub fn trace(&self) -> Way {
        Way::from_number(self.trace)
    }

    /// Lists the CPUs' affinities, in the device tree's order.
    pub fn cpus(&self) -> Vec<u64, MAX_CPUS> {
        self.cpus.iter().copied().take(self.cpu_count as usize).collect()
    }

    /// Lists the machine's non-secure RAM.
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
        let mut handoff = Handoff::new(&cpus, &ram, 0x6000_0000, 0x4000_0000);
        assert_eq!((handoff.cpus(), handoff.ram()), (cpus, ram));
        assert_eq!((handoff.normal(), handoff.dtb(), handoff.tee()), (0x6000_0000, 0x4000_0000, None));
        assert_eq!(handoff.trace(), Way::Nowhere);
        handoff.add_tee(0x0E10_0000, Range::new(0x0E03_0000, 0x4000));
        assert_eq!(handoff.tee(), Some((0x0E10_0000, Range::new(0x0E03_0000, 0x4000))));
        handoff.add_trace(Way::Rings);
        assert_eq!(handoff.trace(), Way::Rings);
    }
}
