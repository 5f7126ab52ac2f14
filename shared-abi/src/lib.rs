// SPDX-License-Identifier: MIT OR Apache-2.0
//! The contracts between Triptych's layers, as types.
//!
//! Everything two layers must agree on stands here once: function ids, return codes, message structures, addresses and
//! image formats. There is no code that runs on a CPU's behalf and no `unsafe`; the crate is tested on the host.
//!
//! | module | contract | source |
//! |---|---|---|
//! | [`smccc`] | function ids: their fields, names and ranges | Arm DEN 0028 (SMCCC) 1.4 |
//! | [`psci`] | power state function ids | Arm DEN 0022 (PSCI) 1.1 |
//! | [`optee_smc`] | TEE calls: ids, return codes, capabilities | OP-TEE `optee_smc.h` |
//! | [`optee_msg`] | TEE messages in shared memory | OP-TEE `optee_msg.h`, `optee_rpc_cmd.h` |
//! | [`tee`] | result codes and origins | GlobalPlatform TEE Internal Core API 1.3 §3.3 |
//! | [`pta`] | pseudo-TAs: UUIDs and commands | OP-TEE `pta_*.h`; `vault` is ours |
//! | [`opteed`] | monitor to TEE | TF-A `services/spd/opteed` |
//! | [`client`] | who speaks: the hypervisor or a VM | OP-TEE virtualization |
//! | [`fip`] | the flash image: package and manifest | TF-A `firmware_image_package.h`; the manifest is ours |
//! | [`chosen`] | what the chain is told in the device tree | ours |
//! | [`dtb`] | the flattened device tree: what a whole one is | Devicetree Specification 0.4 §5 |
//! | [`image`] | the arm64 `Image` header | Linux `Documentation/arch/arm64/booting.rst` |
//! | [`trace`] | what the layers tell about themselves, for the people outside | ours |
//! | [`layout`] | who has which memory of the machine | QEMU `hw/arm/virt.c`; ours where it leaves a choice |
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![deny(unreachable_pub)]

pub mod chosen;
pub mod client;
pub mod dtb;
pub mod fip;
pub mod image;
pub mod layout;
pub mod optee_msg;
pub mod optee_smc;
pub mod opteed;
pub mod psci;
pub mod pta;
pub mod smccc;
pub mod tee;
pub mod trace;
