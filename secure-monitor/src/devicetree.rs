//! The machine's device tree: what the monitor learns from it, and what it adds.
//!
//! With firmware at EL3 QEMU leaves PSCI and the TEE to the firmware to describe. The boot stage adds both by way of
//! dtoolkit's model, with a heap that is gone after it. There are two complete trees, with the TEE's node and without:
//! the runtime puts the former in place once the TEE has answered.

use crate::services::psci::Ram;
use alloc::vec::Vec;
use core::fmt;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Node, ToPropertyValue};
use shared_abi::layout::{MAX_CPUS, Range};

/// What is wrong with a device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is none, or it is damaged.
    Unreadable,
    /// It describes no CPU.
    NoCpus,
    /// It describes no memory.
    NoMemory,
    /// With what was added it does not fit where it must be.
    TooLarge {
        /// Bytes it has.
        size: usize,
        /// Bytes there are.
        room: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("none there, or damaged"),
            Self::NoCpus => f.write_str("describes no CPU"),
            Self::NoMemory => f.write_str("describes no memory"),
            Self::TooLarge { size, room } => write!(f, "is {size} bytes when complete, and has room for {room}"),
        }
    }
}

/// What the monitor needs to know.
#[derive(Clone, Debug)]
pub struct Machine {
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
    room: usize,
}

/// The complete tree, in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// As it is without a TEE.
    pub plain: Vec<u8>,
    /// As it is with one, if one may come.
    pub with_tee: Option<Vec<u8>>,
}

impl<'a> Tree<'a> {
    /// The tree at the start of `area`, checked. It may grow to the whole of it.
    pub fn parse(area: &'a [u8]) -> Result<Self, Error> {
        let total = area.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let size = total.ok_or(Error::Unreadable)? as usize;
        let fdt = Fdt::new(area.get(..size).ok_or(Error::Unreadable)?).map_err(|_| Error::Unreadable)?;
        Ok(Self { fdt, room: area.len() })
    }

    /// What it says of the machine.
    pub fn machine(&self) -> Result<Machine, Error> {
        let mut machine = Machine { cpus: heapless::Vec::new(), left_out: 0, ram: Ram::new() };
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

    /// The tree with PSCI, and with the TEE's node as well if `tee`. Everything else stays as it is.
    pub fn complete(&self, tee: bool) -> Result<Completed, Error> {
        let mut model = DeviceTree::from_fdt(&self.fdt);
        add_psci(&mut model.root)?;
        let plain = self.write(&model)?;
        let with_tee = if tee {
            add_tee(&mut model.root)?;
            Some(self.write(&model)?)
        } else {
            None
        };
        // The heap ends with the boot stage: taking the model apart would be in vain.
        core::mem::forget(model);
        Ok(Completed { plain, with_tee })
    }

    fn write(&self, model: &DeviceTree) -> Result<Vec<u8>, Error> {
        let mut bytes = model.to_dtb();
        if bytes.len() > self.room {
            return Err(Error::TooLarge { size: bytes.len(), room: self.room });
        }
        // The model does not carry this one number of the header (Devicetree Specification 0.4 §5.2).
        bytes[BOOT_CPUID].copy_from_slice(&self.fdt.boot_cpuid_phys().to_be_bytes());
        Ok(bytes)
    }
}

/// `boot_cpuid_phys` in the header.
const BOOT_CPUID: core::ops::Range<usize> = 28..32;

fn add_psci(root: &mut DeviceTreeNode) -> Result<(), Error> {
    root.remove_child("psci");
    root.add_child(
        DeviceTreeNode::builder("psci")
            .map_err(|_| Error::Unreadable)?
            .property(property("compatible", ["arm,psci-1.0", "arm,psci-0.2"].as_slice())?)
            .property(property("method", "smc")?)
            .build(),
    );
    if let Some(cpus) = root.child_mut("cpus") {
        for cpu in cpus.children_mut().filter(|node| node.name_without_address() == "cpu") {
            cpu.remove_property("enable-method");
            cpu.add_property(property("enable-method", "psci")?);
        }
    }
    Ok(())
}

fn add_tee(root: &mut DeviceTreeNode) -> Result<(), Error> {
    let optee = DeviceTreeNode::builder("optee")
        .map_err(|_| Error::Unreadable)?
        .property(property("compatible", "linaro,optee-tz")?)
        .property(property("method", "smc")?)
        .build();
    if root.child_mut("firmware").is_none() {
        root.add_child(DeviceTreeNode::new("firmware").map_err(|_| Error::Unreadable)?);
    }
    if let Some(firmware) = root.child_mut("firmware") {
        firmware.remove_child("optee");
        firmware.add_child(optee);
    }
    Ok(())
}

fn property<T: ToPropertyValue>(name: &str, value: T) -> Result<DeviceTreeProperty, Error> {
    DeviceTreeProperty::new(name, value).map_err(|_| Error::Unreadable)
}

#[cfg(test)]
mod tests;
