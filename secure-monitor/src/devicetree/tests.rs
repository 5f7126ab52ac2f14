//! Trees as QEMU writes them, and damaged ones.

use super::*;
use dtoolkit::Property;
use std::string::String;
use std::{format, vec};

/// A machine of these CPUs, with what QEMU's `virt` has beside them.
fn machine(cpus: &[u64]) -> DeviceTree {
    let text = |name: &str, value: &str| DeviceTreeProperty::new(name, value).unwrap();
    let cells = |name: &str, value: &[u32]| DeviceTreeProperty::new(name, value).unwrap();
    let node = |name: &str| DeviceTreeNode::builder(String::from(name)).unwrap();
    let mut tree = DeviceTree::new();
    tree.root.add_property(cells("#address-cells", &[2]));
    tree.root.add_property(cells("#size-cells", &[2]));
    tree.root.add_property(text("compatible", "linux,dummy-virt"));
    let mut all = node("cpus").property(cells("#address-cells", &[1])).property(cells("#size-cells", &[0])).build();
    for mpidr in cpus {
        let cpu = node(&format!("cpu@{mpidr:x}")).property(cells("reg", &[*mpidr as u32]));
        all.add_child(cpu.property(text("device_type", "cpu")).build());
    }
    all.add_child(node("cpu-map").build());
    tree.root.add_child(all);
    let memory = node("memory@40000000").property(text("device_type", "memory"));
    tree.root.add_child(memory.property(cells("reg", &[0, 0x4000_0000, 0, 0x8000_0000])).build());
    let secure = node("secram@e000000").property(text("device_type", "memory"));
    tree.root.add_child(secure.property(cells("reg", &[0, 0x0E00_0000, 0, 0x0100_0000])).build());
    tree.root.add_child(node("chosen").property(text("bootargs", "quiet")).build());
    tree
}

fn read(area: &[u8]) -> Result<Machine, Error> {
    Tree::parse(area)?.machine()
}

/// The complete tree, in the form with a TEE if `tee`.
fn complete(area: &[u8], tee: bool) -> Result<Vec<u8>, Error> {
    let completed = Tree::parse(area)?.complete(tee)?;
    assert_eq!(completed.with_tee.is_some(), tee);
    Ok(completed.with_tee.unwrap_or(completed.plain))
}

/// As it stands in its place: with room behind it.
fn area(tree: &DeviceTree) -> Vec<u8> {
    let mut bytes = tree.to_dtb();
    bytes.resize(1 << 16, 0xAA);
    bytes
}

#[test]
fn the_machines_cpus_and_its_non_secure_memory_are_read() {
    let machine = read(&area(&machine(&[0, 1, 0x100]))).unwrap();
    assert_eq!(machine.cpus[..], [0, 1, 0x100]);
    assert_eq!(machine.ram[..], [Range::new(0x4000_0000, 0x8000_0000)]);
    assert_eq!(machine.left_out, 0);
}

#[test]
fn cpus_beyond_the_eighth_are_counted() {
    let ten: Vec<u64> = (0..10).collect();
    let machine = read(&area(&machine(&ten))).unwrap();
    assert_eq!((machine.cpus.len(), machine.left_out), (8, 2));
}

#[test]
fn psci_is_added_and_everything_else_stays() {
    let before = machine(&[0, 1]);
    let bytes = complete(&area(&before), false).unwrap();
    let mut after = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());

    let psci = after.root.remove_child("psci").unwrap();
    assert_eq!(psci.property("compatible").unwrap().value(), b"arm,psci-1.0\0arm,psci-0.2\0");
    assert_eq!(psci.property("method").unwrap().value(), b"smc\0");
    for cpu in after.root.child_mut("cpus").unwrap().children_mut() {
        let method = cpu.remove_property("enable-method");
        assert_eq!(
            method.map(|method| (&method).value().to_vec()),
            cpu.name().starts_with("cpu@").then(|| b"psci\0".to_vec())
        );
    }
    assert_eq!(after.to_dtb(), before.to_dtb());
}

#[test]
fn the_tees_node_is_there_if_there_is_a_tee() {
    let before = area(&machine(&[0]));
    let node = |tee| {
        let completed = Tree::parse(&before).unwrap().complete(true).unwrap();
        let bytes = if tee { completed.with_tee.unwrap() } else { completed.plain };
        let tree = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());
        tree.find_node("/firmware/optee").map(|node| node.property("compatible").unwrap().value().to_vec())
    };
    assert_eq!(node(true), Some(b"linaro,optee-tz\0".to_vec()));
    assert_eq!(node(false), None);
}

#[test]
fn completing_twice_adds_nothing() {
    let mut area = area(&machine(&[0, 1]));
    let once = complete(&area, true).unwrap();
    area[..once.len()].copy_from_slice(&once);
    // Replaced nodes may stand elsewhere among their siblings.
    assert_eq!(complete(&area, true).unwrap().len(), once.len());
}

#[test]
fn the_boot_cpu_of_the_header_stays() {
    let mut area = area(&machine(&[0, 1]));
    area[BOOT_CPUID].copy_from_slice(&1u32.to_be_bytes());
    assert_eq!(complete(&area, false).unwrap()[BOOT_CPUID], 1u32.to_be_bytes());
}

#[test]
fn a_tree_that_grows_out_of_its_place_is_an_error() {
    let bytes = machine(&[0]).to_dtb();
    assert!(matches!(complete(&bytes, true), Err(Error::TooLarge { .. })));
}

#[test]
fn no_tree_is_an_error_and_so_is_one_that_says_too_little() {
    assert_eq!(read(&[]).unwrap_err(), Error::Unreadable);
    assert_eq!(read(&vec![0; 1 << 16]).unwrap_err(), Error::Unreadable);
    assert_eq!(read(&vec![0xFF; 1 << 16]).unwrap_err(), Error::Unreadable);
    assert_eq!(read(&area(&machine(&[]))).unwrap_err(), Error::NoCpus);
    let mut nowhere = machine(&[0]);
    nowhere.root.remove_child("memory@40000000");
    assert_eq!(read(&area(&nowhere)).unwrap_err(), Error::NoMemory);
}

#[test]
fn a_damaged_tree_is_an_error_and_never_a_panic() {
    let area = area(&machine(&[0, 1]));
    let len = u32::from_be_bytes(area[4..8].try_into().unwrap()) as usize;
    for at in 0..len {
        for damage in [0x00, 0xFF, 0x80, 0x01] {
            let mut area = area.clone();
            area[at] ^= damage;
            let _ = read(&area);
            let _ = complete(&area, true);
        }
    }
    for len in 0..len {
        let _ = read(&area[..len]);
    }
}
