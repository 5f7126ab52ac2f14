// SPDX-License-Identifier: MIT OR Apache-2.0
//! Triptych's hypervisor: NS-EL2.
//!
//! It divides the normal world into virtual machines: memory by stage 2, CPUs by a scheduler, interrupts by a virtual
//! GICv3, and the TEE by a mediator. What a guest finds is written down in its device tree ([`guest_tree`]); whatever
//! else it touches faults into the guest.
//!
//! # Rooms
//!
//! From the highest to the lowest. Imports go down this list only, and rooms of one line do not know each other
//! (`lab/tests/rooms` holds it). The program is `boot`: what is done, in the order in which it happens.
//!
//! 1. `entry`: the way out of a guest and the way in
//! 2. `trap`: why a guest left, and what is done about it
//! 3. `cpu`: which vCPU a CPU runs
//! 4. `input`, `lifecycle`, `notification`: what is typed, and for whom; how VMs come and go; what the TEE has for them
//! 5. `arrivals`, `registry`: the vCPUs on their way to a CPU, and the VMs that there are
//! 6. `vcpu`: a vCPU's registers
//! 7. `vm`: a VM, what it is made of and what becomes of it
//! 8. `guest_tree`, `power`, `refill`, `stage2`, `tee`, `wake`: what a VM consists of: its device tree, its devices,
//!    its images, its memory, what is between it and the TEE; how its vCPUs are woken
//! 9. `config`, `device`, `vpsci`: what the device tree asks for; what a guest takes for hardware and firmware
//! 10. `loader`, `vgic`: where images go; the interrupt controller
//! 11. `id_registers`, `muster`, `predictor`: what a guest sees of the CPU, which CPUs come, and what may not be learnt
//!     by them
//! 12. `clock`, `firmware`: the machine's time; what is asked of EL3
//! 13. `trace`: what the hypervisor tells about its steps, in trace builds
//! 14. `platform`: the board: devices, and memory by physical address
//! 15. `resources`: what VMs are made of and give back
//! 16. `console`, `lock`: the shared console; how CPUs wait for each other
//! 17. `percpu`: what is a CPU's own wherever code runs
//! 18. `arch`: assembly and system registers
//! 19. `memory`, `scheduler`: who owns which memory; whose turn it is
//! 20. `address`, `interrupts`: addresses of a guest; interrupts by number
//!
//! On the host there are a fake CPU and a fake board (`arch/host`, `platform/host`). The tests of all together are in
//! `tests`: VMs whose guests do what a test says.
#![cfg_attr(target_os = "none", no_std)]
#![deny(unreachable_pub)]

extern crate alloc;

pub mod address;
pub mod arch;
pub mod arrivals;
pub mod clock;
pub mod config;
pub mod console;
pub mod cpu;
pub mod device;
#[cfg(target_os = "none")]
pub mod entry;
pub mod firmware;
pub mod guest_tree;
pub mod id_registers;
pub mod input;
pub mod interrupts;
pub mod lifecycle;
pub mod loader;
pub mod lock;
pub mod memory;
pub mod muster;
pub mod notification;
pub mod percpu;
pub mod platform;
pub mod power;
pub mod predictor;
pub mod refill;
pub mod registry;
pub mod resources;
pub mod scheduler;
pub mod stage2;
pub mod tee;
pub mod trace;
pub mod trap;
pub mod vcpu;
pub mod vgic;
pub mod vm;
pub mod vpsci;
pub mod wake;

#[cfg(test)]
mod tests;
