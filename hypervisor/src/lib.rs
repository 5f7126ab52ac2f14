// SPDX-License-Identifier: MIT OR Apache-2.0
//! Triptych's hypervisor: NS-EL2.
//!
//! It divides the normal world into virtual machines: memory by stage 2, CPUs by a scheduler, interrupts by a virtual
//! GICv3, and the TEE by a mediator. What a guest finds is written down in its device tree ([`guest_dtb`]); whatever
//! else it touches faults into the guest.
//!
//! | file | what |
//! |---|---|
//! | `main.rs` | boot, in the order in which it happens |
//! | [`config`] | what the device tree asks for |
//! | [`memory`], [`stage2`] | who owns which memory |
//! | [`vm`], [`vcpu`], [`machine`] | a VM, its CPUs, its devices |
//! | [`loader`], [`guest_dtb`], [`refill`] | what a VM starts with |
//! | [`scheduler`], [`cpu`] | which vCPU a CPU runs |
//! | [`trap`], [`id_registers`] | why a guest left, and what is done about it |
//! | `entry` | the way out of a guest and the way in |
//! | [`vgic`], [`vpl011`], [`vrtc`], [`vpsci`] | what a guest takes for hardware and firmware |
//! | [`mediator`] | what a guest takes for the TEE |
//! | [`console`], [`input`] | the shared console |
//! | [`trace`] | what it tells about its steps, in trace builds |
//! | [`firmware`], [`predictor`] | what it asks of EL3 for itself |
//! | [`percpu`], [`lock`] | what is a CPU's own wherever code runs, and how CPUs wait for each other |
//! | [`platform`] | MMIO, and memory by physical address |
//! | [`arch`] | assembly and system registers |
//!
//! On the host there are a fake CPU and a fake board in the place of the last two (`arch/host`, `platform/host`). The
//! tests of all together are in `tests`: VMs whose guests do what a test says.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod address;
pub mod arch;
pub mod config;
pub mod console;
pub mod cpu;
#[cfg(target_os = "none")]
pub mod entry;
pub mod firmware;
pub mod guest_dtb;
pub mod id_registers;
pub mod input;
pub mod loader;
pub mod lock;
pub mod machine;
pub mod mediator;
pub mod memory;
pub mod percpu;
pub mod platform;
pub mod predictor;
pub mod refill;
pub mod scheduler;
pub mod stage2;
pub mod trace;
pub mod trap;
pub mod vcpu;
pub mod vgic;
pub mod vm;
pub mod vpl011;
pub mod vpsci;
pub mod vrtc;

#[cfg(test)]
mod tests;
