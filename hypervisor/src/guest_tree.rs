// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree that a guest gets: the machine that this hypervisor builds for it, and nothing else.
//!
//! It describes QEMU's `virt` as far as it is there. Written with `vm-fdt`, which streams a tree;
//! `dtoolkit` would need one built in memory first, and a hash map for it.
#![forbid(unsafe_code)]

use crate::config::VmConfig;
use crate::device::pl011::Pl011;
use crate::device::{BOARD, CLOCK_PHANDLE, Devices, node_name};
use crate::interrupts::{EDGE_RISING, LEVEL_HIGH, PPI, SPI};
use crate::memory::GUEST_RAM;
use crate::vgic::redistributor::STRIDE;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use shared_abi::layout::Range;
use vm_fdt::{Error, FdtWriter};

const GIC_PHANDLE: u32 = 1;
/// PSCI 1.0 and later share one compatible string; 0.2's helps older kernels.
const PSCI: [&str; 2] = ["arm,psci-1.0", "arm,psci-0.2"];

/// What the tree tells beyond the configuration.
pub struct Boot {
    /// Where the initial RAM disk is, as the guest sees it.
    pub initrd: Option<Range>,
    /// Whether the guest may call the TEE.
    pub tee: bool,
    /// The SPI by which the TEE notifies the guest, if it does.
    pub notification: Option<u32>,
    /// Numbers nobody else knows, so that the guest's own generator starts right away.
    pub seed: [u64; 9],
}

/// Builds the tree.
pub fn build(vm: &VmConfig, boot: &Boot) -> Result<Vec<u8>, Error> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("interrupt-parent", GIC_PHANDLE)?;
    fdt.property_string("model", "Triptych VM")?;
    fdt.property_string("compatible", "linux,dummy-virt")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    chosen(&mut fdt, vm, boot)?;
    node(&mut fdt, "aliases", |fdt| fdt.property_string("serial0", &console()))?;
    node(&mut fdt, &format!("memory@{:x}", GUEST_RAM.0), |fdt| {
        fdt.property_string("device_type", "memory")?;
        fdt.property_array_u64("reg", &[GUEST_RAM.0, vm.memory])
    })?;
    cpus(&mut fdt, vm)?;
    node(&mut fdt, "psci", |fdt| {
        fdt.property_string_list("compatible", PSCI.map(ToString::to_string).to_vec())?;
        fdt.property_string("method", "smc")
    })?;
    devices(&mut fdt, vm)?;
    if boot.tee {
        node(&mut fdt, "firmware", |fdt| {
            node(fdt, "optee", |fdt| {
                fdt.property_string("compatible", "linaro,optee-tz")?;
                fdt.property_string("method", "smc")?;
                match boot.notification {
                    Some(spi) => fdt.property_array_u32("interrupts", &[SPI, spi, EDGE_RISING]),
                    None => Ok(()),
                }
            })
        })?;
    }
    fdt.end_node(root)?;
    fdt.finish()
}

/// Returns the path of what the guest prints on.
fn console() -> String {
    format!("/{}", node_name::<Pl011>())
}

fn node(fdt: &mut FdtWriter, name: &str, body: impl FnOnce(&mut FdtWriter) -> Result<(), Error>) -> Result<(), Error> {
    let node = fdt.begin_node(name)?;
    body(fdt)?;
    fdt.end_node(node)
}

fn chosen(fdt: &mut FdtWriter, vm: &VmConfig, boot: &Boot) -> Result<(), Error> {
    node(fdt, "chosen", |fdt| {
        if !vm.bootargs.is_empty() {
            fdt.property_string("bootargs", &vm.bootargs)?;
        }
        fdt.property_string("stdout-path", &console())?;
        if let Some(initrd) = boot.initrd {
            fdt.property_u64("linux,initrd-start", initrd.base)?;
            fdt.property_u64("linux,initrd-end", initrd.end())?;
        }
        let [kaslr, rng @ ..] = &boot.seed;
        fdt.property_u64("kaslr-seed", *kaslr)?;
        fdt.property_array_u64("rng-seed", rng)
    })
}

fn cpus(fdt: &mut FdtWriter, vm: &VmConfig) -> Result<(), Error> {
    node(fdt, "cpus", |fdt| {
        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 0)?;
        for cpu in 0..vm.vcpus as u32 {
            node(fdt, &format!("cpu@{cpu}"), |fdt| {
                fdt.property_string("device_type", "cpu")?;
                fdt.property_string("compatible", "arm,armv8")?;
                fdt.property_u32("reg", cpu)?;
                fdt.property_string("enable-method", "psci")
            })?;
        }
        Ok(())
    })
}

fn devices(fdt: &mut FdtWriter, vm: &VmConfig) -> Result<(), Error> {
    node(fdt, "timer", |fdt| {
        fdt.property_string("compatible", "arm,armv8-timer")?;
        // Secure, non-secure, virtual and hypervisor timer. The binding wants all; a guest at EL1 without EL2 uses the
        // virtual one.
        let specifiers = [13, 14, 11, 10].map(|ppi| [PPI, ppi, LEVEL_HIGH]);
        fdt.property_array_u32("interrupts", specifiers.as_flattened())?;
        fdt.property_null("always-on")
    })?;
    node(fdt, &format!("intc@{:x}", BOARD.distributor.base), |fdt| {
        fdt.property_string("compatible", "arm,gic-v3")?;
        fdt.property_u32("#interrupt-cells", 3)?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_null("ranges")?;
        fdt.property_null("interrupt-controller")?;
        fdt.property_array_u64(
            "reg",
            &[BOARD.distributor.base, BOARD.distributor.size, BOARD.redistributors.base, STRIDE * vm.vcpus as u64],
        )?;
        fdt.property_phandle(GIC_PHANDLE)
    })?;
    node(fdt, "apb-pclk", |fdt| {
        fdt.property_string("compatible", "fixed-clock")?;
        fdt.property_u32("#clock-cells", 0)?;
        fdt.property_u32("clock-frequency", 24_000_000)?;
        fdt.property_string("clock-output-names", "clk24mhz")?;
        fdt.property_phandle(CLOCK_PHANDLE)
    })?;
    Devices::describe(fdt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdt::Fdt;
    use shared_abi::client::VmId;

    fn built(vcpus: usize, tee: bool, initrd: Option<Range>) -> Vec<u8> {
        built_with(vcpus, Boot { initrd, tee, notification: None, seed: [7; 9] })
    }

    fn built_with(vcpus: usize, boot: Boot) -> Vec<u8> {
        let vm = VmConfig {
            node: "domU1".into(),
            id: VmId::new(1).unwrap(),
            name: None,
            memory: 64 << 20,
            vcpus,
            tee: boot.tee,
            kernel: Range::new(0, 0),
            places: Default::default(),
            ramdisk: None,
            bootargs: "console=ttyAMA0 quiet".into(),
        };
        build(&vm, &boot).unwrap()
    }

    #[test]
    fn the_guest_finds_its_machine() {
        let blob = built(3, true, Some(Range::new(0x4400_0000, 0x1000)));
        assert!(blob.len() < crate::loader::MAX_DTB);
        let tree = Fdt::new(&blob).unwrap();
        assert_eq!(tree.chosen().bootargs(), Some("console=ttyAMA0 quiet"));
        assert_eq!(tree.chosen().stdout().unwrap().name, "pl011@9000000");
        assert_eq!(tree.cpus().count(), 3);
        let memory: Vec<_> = tree.memory().regions().collect();
        assert_eq!((memory[0].starting_address as u64, memory[0].size), (0x4000_0000, Some(64 << 20)));
        assert_eq!(tree.find_node("/chosen").unwrap().property("linux,initrd-end").unwrap().value[6..], [0x10, 0x00]);
        assert_eq!(tree.find_node("/chosen").unwrap().property("rng-seed").unwrap().value.len(), 64);
        let gic = tree.find_compatible(&["arm,gic-v3"]).unwrap();
        assert_eq!(gic.reg().unwrap().nth(1).unwrap().size, Some(3 * 0x2_0000));
        let uart = tree.find_compatible(&["arm,pl011"]).unwrap();
        assert_eq!(uart.property("interrupts").unwrap().value, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4]);
        for (node, range) in Devices::places() {
            let place = tree.find_node(&format!("/{node}")).expect(&node).reg().unwrap().next().unwrap();
            assert_eq!((place.starting_address as u64, place.size), (range.base, Some(range.size as usize)), "{node}");
        }
    }

    #[test]
    fn only_a_vm_that_may_use_the_tee_hears_of_it() {
        assert!(Fdt::new(&built(1, true, None)).unwrap().find_node("/firmware/optee").is_some());
        assert!(Fdt::new(&built(1, false, None)).unwrap().find_node("/firmware").is_none());
    }

    #[test]
    fn the_tee_has_an_interrupt_only_if_it_notifies() {
        let interrupts = |notification| {
            let blob = built_with(1, Boot { initrd: None, tee: true, notification, seed: [7; 9] });
            let tree = Fdt::new(&blob).unwrap();
            tree.find_node("/firmware/optee").unwrap().property("interrupts").map(|property| property.value.to_vec())
        };
        assert_eq!(interrupts(None), None);
        assert_eq!(interrupts(Some(95)), Some(vec![0, 0, 0, 0, 0, 0, 0, 95, 0, 0, 0, 1]));
    }

    #[test]
    fn nothing_is_promised_that_is_not_built() {
        let blob = built(1, true, None);
        let tree = Fdt::new(&blob).unwrap();
        let names: Vec<String> = tree.all_nodes().map(|node| node.name.into()).collect();
        assert!(!names.iter().any(|name| name.contains("virtio") || name.contains("pcie") || name.contains("its")));
    }
}
