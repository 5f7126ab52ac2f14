// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trees as `vm-fdt` writes them, and what can be wrong with them. `lab/tests/device_trees` has what nobody thought of.

use super::*;
use fdt::Fdt;
use std::vec::Vec;
use vm_fdt::{FdtReserveEntry, FdtWriter};

/// A tree with a node `gone` between two others, each of which has a child.
fn tree() -> Vec<u8> {
    let reserved = [FdtReserveEntry::new(0x4800_0000, 0x1000).unwrap()];
    let mut fdt = FdtWriter::new_with_mem_reserv(&reserved).unwrap();
    let root = fdt.begin_node("").unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 1).unwrap();
    fdt.property_string("compatible", "some,machine").unwrap();
    for name in ["first", "gone", "last"] {
        let node = fdt.begin_node(name).unwrap();
        fdt.property_u32("number", 4).unwrap();
        let child = fdt.begin_node("child@40").unwrap();
        fdt.property("odd", b"12345").unwrap();
        fdt.end_node(child).unwrap();
        fdt.end_node(node).unwrap();
    }
    fdt.end_node(root).unwrap();
    fdt.finish().unwrap()
}

fn place(blob: &[u8], what: &[u8]) -> usize {
    blob.windows(what.len()).position(|bytes| bytes == what).unwrap()
}

/// The tree with these bytes in place of others.
fn with(what: &[u8], other: &[u8]) -> Vec<u8> {
    let mut blob = tree();
    let at = place(&blob, what);
    blob[at..at + other.len()].copy_from_slice(other);
    blob
}

/// The tree with another number in a field of the header.
fn header(field: usize, number: u32) -> Vec<u8> {
    let mut blob = tree();
    put(&mut blob, field, number);
    blob
}

/// The tree with more words so many bytes before its structure's end.
fn with_words(before: usize, words: &[u32]) -> Vec<u8> {
    let mut blob = tree();
    let (strings, more) = (field(&blob, OFF_STRINGS), 4 * words.len() as u32);
    for at in [OFF_STRINGS, SIZE_STRUCTURE, TOTAL] {
        let number = field(&blob, at) + more;
        put(&mut blob, at, number);
    }
    let at = strings as usize - before;
    blob.splice(at..at, words.iter().flat_map(|word| word.to_be_bytes()));
    blob
}

fn field(blob: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(blob[at..at + 4].try_into().unwrap())
}

/// Why a tree is refused; it stays as it was.
fn refusal(mut blob: Vec<u8>) -> Option<Malformed> {
    let before = blob.clone();
    let refusal = Checked::new(&mut blob).err();
    assert!(refusal.is_none() || blob == before);
    refusal
}

/// The tree as QEMU takes nodes out.
fn tree_with_nops() -> Vec<u8> {
    let mut blob = tree();
    let begin = place(&blob, b"gone") - 4;
    let end = place(&blob, b"last") - 4;
    for word in blob[begin..end].chunks_exact_mut(4) {
        word.copy_from_slice(&NOP.to_be_bytes());
    }
    blob
}

#[test]
fn a_whole_tree_is_left_as_it_is() {
    let mut blob = tree();
    assert_eq!(Checked::new(&mut blob).unwrap().bytes(), tree());
}

#[test]
fn what_stands_behind_a_removed_node_is_found() {
    let mut blob = tree_with_nops();
    assert!(Fdt::new(&blob).unwrap().find_node("/last").is_none(), "fdt has learnt to skip: stripping can go");
    let tree = Fdt::new(Checked::new(&mut blob).unwrap().bytes()).unwrap();
    assert!(tree.find_node("/first/child").is_some() && tree.find_node("/last/child").is_some());
    assert!(tree.find_node("/gone").is_none());
    assert_eq!(tree.find_node("/last").unwrap().property("number").unwrap().as_usize(), Some(4));
    assert_eq!(tree.root().property("compatible").unwrap().as_str(), Some("some,machine"));
    assert_eq!(tree.find_node("/last/child@40").unwrap().property("odd").unwrap().value, b"12345");
    assert_eq!(tree.all_nodes().count(), 5);
}

#[test]
fn a_tree_claims_no_byte_behind_its_last() {
    let packed = tree();
    let mut roomy = header(TOTAL, 1 << 30);
    roomy.resize(packed.len() + 100, 0xAA);
    assert_eq!(Checked::new(&mut roomy).unwrap().bytes(), packed);
    // Nor one behind the token that ends it, within its structure: `fdt` would go on there.
    let nodes = field(&packed, SIZE_STRUCTURE);
    let mut longer = with_words(0, &[END_NODE; 3]);
    let tree = Checked::new(&mut longer).unwrap();
    assert_eq!(field(tree.bytes(), SIZE_STRUCTURE), nodes);
    assert_eq!(Fdt::new(tree.bytes()).unwrap().all_nodes().count(), 7);
}

#[test]
fn what_is_no_tree_is_told_from_what_is_a_damaged_one() {
    for bytes in [vec![], vec![0; 39], vec![0; 64], vec![0xFF; 64]] {
        assert_eq!(refusal(bytes), Some(Malformed::Absent));
    }
    assert_eq!(refusal(header(20, 16)), Some(Malformed::Version));
    assert_eq!(refusal(header(24, 18)), Some(Malformed::Version));
    assert_eq!(refusal(header(20, 18)), None);
}

#[test]
fn a_tree_that_is_cut_short_says_how_long_it_is() {
    let blob = tree();
    for room in HEADER..blob.len() {
        assert_eq!(refusal(blob[..room].to_vec()), Some(Malformed::Cut { size: blob.len(), room }), "{room}");
    }
}

#[test]
fn parts_lie_in_the_tree_and_beside_each_other() {
    let blob = tree();
    let (structure, strings) = (field(&blob, OFF_STRUCTURE), field(&blob, OFF_STRINGS));
    for (at, number) in [
        (TOTAL, blob.len() as u32 - 1),
        (OFF_STRUCTURE, structure + 2),
        (OFF_STRUCTURE, structure - 4),
        (OFF_STRUCTURE, 0),
        (OFF_STRUCTURE, u32::MAX),
        (SIZE_STRUCTURE, u32::MAX),
        (SIZE_STRUCTURE, strings - structure + 4),
        (OFF_STRINGS, strings - 4),
        (OFF_STRINGS, 36),
        (OFF_STRINGS, u32::MAX),
        (SIZE_STRINGS, u32::MAX),
        (OFF_RESERVATIONS, 32),
        (OFF_RESERVATIONS, 44),
        (OFF_RESERVATIONS, structure + 8),
        (OFF_RESERVATIONS, u32::MAX - 7),
    ] {
        assert_eq!(refusal(header(at, number)), Some(Malformed::Parts), "{at}: {number:#x}");
    }
    // Reservations without an end.
    let end = structure as usize - 16;
    let mut endless = tree();
    endless[end..].fill(1);
    endless[structure as usize..].copy_from_slice(&blob[structure as usize..]);
    assert_eq!(refusal(endless), Some(Malformed::Parts));
}

#[test]
fn nodes_and_properties_are_within_each_other_to_the_end() {
    let blob = tree();
    let word = |number: u32| number.to_be_bytes();
    let begin = place(&blob, b"first") - 4;
    let prop = begin + place(&blob[begin..], &word(PROP));
    let (structure, end) = (field(&blob, OFF_STRUCTURE) as usize, field(&blob, OFF_STRINGS) as usize - 4);
    let put_at = |at: usize, number: u32| {
        let mut blob = tree();
        put(&mut blob, at, number);
        blob
    };
    for (why, blob) in [
        ("no root", put_at(structure, PROP)),
        ("nothing", put_at(structure, END)),
        ("an end too many", put_at(structure, END_NODE)),
        ("no such token", put_at(begin, 5)),
        ("a value beyond the end", put_at(prop + 4, u32::MAX)),
        ("a value up to the end", put_at(prop + 4, (end - prop - 12) as u32)),
        ("an end too early", put_at(begin, END)),
        ("no end", put_at(end, NOP)),
        ("an open root", put_at(end - 4, NOP)),
        ("two roots", with_words(4, &[BEGIN_NODE, 0, END_NODE])),
        ("a property of no node", with_words(4, &[PROP, 0, 0])),
    ] {
        assert_eq!(refusal(blob), Some(Malformed::Structure), "{why}");
    }
    // A property behind a child: what was the second node becomes a NOP, its property the root's.
    let second = place(&blob, b"gone") - 4;
    let mut late = put_at(second, NOP);
    put(&mut late, second + 4, NOP);
    put(&mut late, second + 8, NOP);
    assert_eq!(refusal(late), Some(Malformed::Structure));
}

#[test]
fn names_are_names() {
    let blob = tree();
    let first = place(&blob, b"first");
    let strings = field(&blob, OFF_STRINGS) as usize;
    for (why, blob) in [
        ("a root with a name", with(&[0, 0, 0, 1, 0, 0, 0, 0], &[0, 0, 0, 1, b'r', 0, 0, 0])),
        ("a child without one", with(b"first", b"\0\0\0\0\0")),
        ("no text", with(b"first", b"f\xFFrst")),
        ("a blank", with(b"first", b"f rst")),
        ("a path", with(b"first", b"fi/st")),
        ("a property's that is no text", with(b"number", b"n\xFFmber")),
        ("a property's that is a path", with(b"number", b"/umber")),
        ("a property's without an end", header(SIZE_STRINGS, field(&blob, SIZE_STRINGS) - 1)),
    ] {
        assert_eq!(refusal(blob), Some(Malformed::Name), "{why}");
    }
    let name_of = |at: usize| place(&blob[at..], &PROP.to_be_bytes()) + at + 8;
    for offset in [(blob.len() - strings) as u32, u32::MAX] {
        let mut blob = tree();
        put(&mut blob, name_of(first), offset);
        assert_eq!(refusal(blob), Some(Malformed::Name), "{offset}");
    }
    let mut nameless = tree();
    let end = place(&nameless[strings..], b"\0") as u32;
    put(&mut nameless, name_of(first), end);
    assert_eq!(refusal(nameless), Some(Malformed::Name));
}

#[test]
fn values_that_readers_rely_on_are_looked_at() {
    let value = |name: &str, value: &[u8]| {
        let mut fdt = FdtWriter::new().unwrap();
        let root = fdt.begin_node("").unwrap();
        fdt.property(name, value).unwrap();
        fdt.end_node(root).unwrap();
        refusal(fdt.finish().unwrap())
    };
    for cells in ["#address-cells", "#size-cells"] {
        assert_eq!(value(cells, &[0, 0, 0, 2]), None);
        for bytes in [&[][..], &[2], &[0, 0, 2], &[0, 0, 0, 0, 2]] {
            assert_eq!(value(cells, bytes), Some(Malformed::Value));
            assert_eq!(value(&cells[1..], bytes), None);
        }
    }
    assert_eq!(value("compatible", b"some,machine\0some\0"), None);
    for bytes in [&b""[..], b"some,machine", b"s\xFFme\0"] {
        assert_eq!(value("compatible", bytes), Some(Malformed::Value));
        assert_eq!(value("compatible-with", bytes), None);
    }
}

#[test]
fn nodes_are_nested_as_deep_as_readers_have_stack_for() {
    let nested = |depth: usize| {
        let mut fdt = FdtWriter::new().unwrap();
        let nodes: Vec<_> = (0..depth).map(|n| fdt.begin_node(if n == 0 { "" } else { "n" }).unwrap()).collect();
        nodes.into_iter().rev().for_each(|node| fdt.end_node(node).unwrap());
        refusal(fdt.finish().unwrap())
    };
    assert_eq!(nested(MAX_DEPTH), None);
    assert_eq!(nested(MAX_DEPTH + 1), Some(Malformed::Depth));
}

#[test]
fn every_refusal_says_what_is_wrong() {
    assert_eq!(Malformed::Cut { size: 9, room: 8 }.to_string(), "it has 9 bytes, and there is room for 8");
    assert!(Malformed::Depth.to_string().contains("16 deep"));
}
