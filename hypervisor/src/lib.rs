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
//! | `vm`, `vcpu`, [`machine`] | a VM, its CPUs, its devices |
//! | [`loader`], [`guest_dtb`], [`refill`] | what a VM starts with |
//! | [`scheduler`], `cpu` | which vCPU a CPU runs |
//! | [`trap`], [`id_registers`] | why a guest left, and what is done about it |
//! | [`vgic`], [`vpl011`], [`vrtc`], [`vpsci`] | what a guest takes for hardware and firmware |
//! | [`mediator`] | what a guest takes for the TEE |
//! | [`console`], `input` | the shared console |
//! | [`trace`] | what it tells about its steps, in trace builds |
//! | `arch` | assembly and system registers |
//! | `platform` | MMIO, and memory by physical address |
//!
//! Files without a link are compiled for the firmware only; the others are tested on the host.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod address;
pub mod config;
pub mod console;
pub mod guest_dtb;
pub mod id_registers;
pub mod loader;
pub mod lock;
pub mod machine;
pub mod mediator;
pub mod memory;
pub mod refill;
pub mod scheduler;
pub mod stage2;
pub mod trace;
pub mod trap;
pub mod vgic;
pub mod vpl011;
pub mod vpsci;
pub mod vrtc;

#[cfg(target_os = "none")]
pub mod arch;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(target_os = "none")]
pub mod input;
#[cfg(target_os = "none")]
pub mod platform;
#[cfg(target_os = "none")]
pub mod vcpu;
#[cfg(target_os = "none")]
pub mod vm;
