// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trees as QEMU writes them, and damaged ones.

use super::*;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::{Property, fdt::Fdt};
use std::string::String;
use std::vec::Vec;
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

#[test]
fn trace_records_go_where_the_tree_reserves_memory_for_them_or_says_how() {
    let way = |tree: &DeviceTree| {
        let mut bytes = tree.to_dtb();
        let tree = Tree::parse(&mut bytes).unwrap();
        tree.trace(&tree.inventory().unwrap())
    };
    let mut tree = machine(&[0]);
    assert_eq!(way(&tree), trace::Way::Nowhere);
    let text = |name: &str, value: &str| DeviceTreeProperty::new(name, value).unwrap();
    let cells = |name: &str, value: &[u32]| DeviceTreeProperty::new(name, value).unwrap();
    tree.root.child_mut("chosen").unwrap().add_property(text(trace::CHOSEN, trace::CHOSEN_UART));
    assert_eq!(way(&tree), trace::Way::Frames);
    let mut memory = DeviceTreeNode::new("reserved-memory").unwrap();
    memory.add_property(cells("#address-cells", &[2]));
    memory.add_property(cells("#size-cells", &[2]));
    memory.add_child(
        DeviceTreeNode::builder("trace@44000000")
            .unwrap()
            .property(text("compatible", trace::COMPATIBLE))
            .property(cells("reg", &[0, 0x4400_0000, 0, 96 << 20]))
            .build(),
    );
    tree.root.add_child(memory);
    assert_eq!(way(&tree), trace::Way::Rings);
}

fn read(area: &[u8]) -> Result<Inventory, Error> {
    Tree::parse(&mut area.to_vec())?.inventory()
}

/// The complete tree, in the form with a TEE if `tee`.
fn complete(area: &[u8], tee: bool) -> Result<Vec<u8>, Error> {
    let mut room = vec![0xBB; area.len()];
    let size = super::complete(Tree::parse(&mut area.to_vec())?.bytes(), tee, &mut room)?;
    assert!(room[size..].iter().all(|byte| *byte == 0xBB));
    room.truncate(size);
    Ok(room)
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
        let bytes = complete(&before, tee).unwrap();
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
    area[28..32].copy_from_slice(&1u32.to_be_bytes());
    assert_eq!(complete(&area, false).unwrap()[28..32], 1u32.to_be_bytes());
}

#[test]
fn what_was_there_before_is_replaced_wherever_it_stands() {
    let text = |name: &str, value: &str| DeviceTreeProperty::new(name, value).unwrap();
    let node = |name: &str| DeviceTreeNode::builder(String::from(name)).unwrap();
    let mut tree = DeviceTree::new();
    let old = node("optee").property(text("method", "hvc")).property(text("theirs", "stays"));
    let old = old.child(node("psci").build());
    let firmware = node("firmware").child(old.build()).child(node("scmi").property(text("method", "smc")).build());
    tree.root.add_child(firmware.build());
    tree.root.add_child(node("psci").property(text("method", "hvc")).child(node("optee").build()).build());
    let cpu = node("cpu@0").property(text("enable-method", "spin-table")).child(node("l2").build());
    tree.root.add_child(node("cpus").child(cpu.build()).build());

    let bytes = complete(&area(&tree), true).unwrap();
    let mut after = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());
    let method = |tree: &DeviceTree, path, name| Some(tree.find_node(path)?.property(name)?.value().to_vec());
    assert_eq!(method(&after, "/psci", "method"), Some(b"smc\0".to_vec()));
    assert_eq!(method(&after, "/firmware/optee", "method"), Some(b"smc\0".to_vec()));
    assert_eq!(method(&after, "/firmware/scmi", "method"), Some(b"smc\0".to_vec()));
    assert_eq!(method(&after, "/cpus/cpu@0", "enable-method"), Some(b"psci\0".to_vec()));
    assert!(after.find_node("/cpus/cpu@0/l2").is_some());
    // And nothing besides: not even what the old node of PSCI held. What one of the TEE's says besides is its own.
    let optee = after.root.child_mut("firmware").unwrap().remove_child("optee").unwrap();
    let psci = after.root.remove_child("psci").unwrap();
    assert_eq!([optee, psci].map(|node| (node.properties().count(), node.children().count())), [(3, 1), (2, 0)]);
    assert_eq!(
        method(&DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap()), "/firmware/optee", "theirs"),
        Some(b"stays\0".to_vec())
    );
}

#[test]
fn memory_reservations_stay() {
    let mut tree = machine(&[0]);
    tree.memory_reservations = vec![dtoolkit::memreserve::MemoryReservation::new(0x4800_0000, 0x1000)];
    let bytes = complete(&area(&tree), true).unwrap();
    let kept: Vec<_> = Fdt::new(&bytes).unwrap().memory_reservations().map(|it| (it.address(), it.size())).collect();
    assert_eq!(kept, [(0x4800_0000, 0x1000)]);
}

#[test]
fn what_a_tree_has_but_does_not_use_does_not_count() {
    let packed = area(&machine(&[0]));
    let mut roomy = packed.clone();
    roomy[4..8].copy_from_slice(&(1u32 << 30).to_be_bytes());
    assert_eq!(complete(&roomy, true), complete(&packed, true));
}

#[test]
fn a_tree_that_does_not_fit_is_an_error_with_what_it_needs() {
    let bytes = machine(&[0]).to_dtb();
    let mut area = bytes.clone();
    let tree = Tree::parse(&mut area).unwrap();
    let mut room = vec![0xBB; 1 << 12];
    let size = super::complete(tree.bytes(), true, &mut room).unwrap();
    assert!(size > bytes.len());
    for room in 0..size {
        let mut short = vec![0xBB; room];
        assert_eq!(super::complete(tree.bytes(), true, &mut short), Err(Error::TooLarge { size, room }));
    }
    assert_eq!(super::complete(tree.bytes(), true, &mut room[..size]), Ok(size));

    let cut = &bytes[..bytes.len() - 1];
    assert_eq!(read(cut).unwrap_err(), Error::TooLarge { size: bytes.len(), room: cut.len() });
}

#[test]
fn a_large_tree_is_no_more_than_its_size() {
    let mut tree = machine(&[0]);
    let script = DeviceTreeProperty::new("triptych,script", vec![0x5A_u8; 800 << 10]).unwrap();
    tree.root.child_mut("chosen").unwrap().add_property(script);
    for n in 0..2000 {
        tree.root.add_child(DeviceTreeNode::new(format!("n{n}")).unwrap());
    }
    let mut area = tree.to_dtb();
    area.resize(1 << 20, 0);
    let bytes = complete(&area, true).unwrap();
    assert!(bytes.len() < tree.to_dtb().len() + 500);
}

#[test]
fn no_tree_is_an_error_and_so_is_one_that_says_too_little() {
    assert_eq!(read(&[]).unwrap_err(), Error::Malformed(Malformed::Absent));
    assert_eq!(read(&vec![0; 1 << 16]).unwrap_err(), Error::Malformed(Malformed::Absent));
    assert_eq!(read(&vec![0xFF; 1 << 16]).unwrap_err(), Error::Malformed(Malformed::Absent));
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
