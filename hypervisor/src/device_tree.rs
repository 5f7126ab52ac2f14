//! Prepares the machine's device tree for the `fdt` crate.
//!
//! `fdt` 0.1.5 stops searching a node's children at the first `FDT_NOP` between them, and QEMU leaves such tokens where
//! it took nodes out. So they are taken out for good, in place, before the tree is read; and as this walks over every
//! token, a tree that is cut short or garbled is found out here.
#![forbid(unsafe_code)]

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// The tree is not one, or is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Removes all `FDT_NOP` tokens from a tree's structure block.
pub fn strip_nops(tree: &mut [u8]) -> Result<(), Malformed> {
    const OFF_DT_STRUCT: usize = 8;
    let (mut from, mut to) = (word(tree, OFF_DT_STRUCT)? as usize, word(tree, OFF_DT_STRUCT)? as usize);
    let mut depth = 0u32;
    loop {
        let token = word(tree, from)?;
        let length = match token {
            BEGIN_NODE => {
                depth += 1;
                let name = tree.get(from + 4..).ok_or(Malformed)?;
                4 + name.iter().position(|byte| *byte == 0).ok_or(Malformed)? + 1
            }
            END_NODE => {
                depth = depth.checked_sub(1).ok_or(Malformed)?;
                4
            }
            PROP => 12 + word(tree, from + 4)? as usize,
            NOP | END => 4,
            _ => return Err(Malformed),
        };
        let next = from.checked_add(length.next_multiple_of(4)).filter(|next| *next <= tree.len()).ok_or(Malformed)?;
        if token != NOP {
            tree.copy_within(from..next, to);
            to += next - from;
        }
        from = next;
        if token == END {
            return if depth == 0 { Ok(()) } else { Err(Malformed) };
        }
    }
}

fn word(tree: &[u8], at: usize) -> Result<u32, Malformed> {
    let bytes = tree.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Malformed)?;
    Ok(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdt::Fdt;
    use vm_fdt::FdtWriter;

    /// A tree with a node `gone` between two others.
    fn tree() -> Vec<u8> {
        let mut fdt = FdtWriter::new().unwrap();
        let root = fdt.begin_node("").unwrap();
        for name in ["first", "gone", "last"] {
            let node = fdt.begin_node(name).unwrap();
            fdt.property_u32("number", 4).unwrap();
            fdt.end_node(node).unwrap();
        }
        fdt.end_node(root).unwrap();
        fdt.finish().unwrap()
    }

    /// The same as QEMU takes nodes out.
    fn tree_with_nops() -> Vec<u8> {
        let mut blob = tree();
        let at = blob.windows(4).position(|bytes| bytes == b"gone").unwrap();
        // BEGIN_NODE before the name; name, property (16 bytes) and END_NODE behind.
        for word in blob[at - 4..at + 8 + 16 + 4].chunks_exact_mut(4) {
            word.copy_from_slice(&NOP.to_be_bytes());
        }
        blob
    }

    #[test]
    fn what_stands_behind_a_removed_node_is_found() {
        let mut blob = tree_with_nops();
        assert!(Fdt::new(&blob).unwrap().find_node("/last").is_none(), "fdt has learnt to skip: this module can go");
        strip_nops(&mut blob).unwrap();
        let tree = Fdt::new(&blob).unwrap();
        assert!(tree.find_node("/last").is_some() && tree.find_node("/first").is_some());
        assert!(tree.find_node("/gone").is_none());
        assert_eq!(tree.find_node("/last").unwrap().property("number").unwrap().as_usize(), Some(4));
    }

    #[test]
    fn a_tree_that_is_cut_short_or_garbled_is_found_out() {
        let blob = tree();
        let end = blob.windows(4).rposition(|bytes| bytes == END.to_be_bytes()).unwrap();
        for cut in 0..end + 4 {
            assert_eq!(strip_nops(&mut blob[..cut].to_vec()), Err(Malformed), "{cut}");
        }
        let mut blob = tree();
        blob[end + 3] = 7;
        assert_eq!(strip_nops(&mut blob), Err(Malformed));
        let mut huge = tree();
        let length = huge.windows(4).position(|bytes| bytes == PROP.to_be_bytes()).unwrap() + 4;
        huge[length..length + 4].copy_from_slice(&[0xFF; 4]);
        assert_eq!(strip_nops(&mut huge), Err(Malformed));
    }
}
