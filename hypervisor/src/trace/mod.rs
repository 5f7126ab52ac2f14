// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trace points: what the hypervisor tells about its steps (`shared_abi::trace`), where it is built to (feature
//! `trace`).
//!
//! [`record`] is given a closure that makes the event. Without the feature that closure is never called, and neither it
//! nor [`Client`] leaves an instruction or a byte behind. In tests all of it is there, and records are kept for the
//! test to look at.
//!
//! | file | what |
//! |---|---|
//! | [`refusal`] | why a call was refused, from the code that it is answered with |
//! | [`memory`] | who may use which memory |
//! | `trap/traced.rs` | exits from VMs and entries into them |
//! | `platform/trace.rs` | where this CPU's records go |
#![forbid(unsafe_code)]

pub mod memory;
pub mod refusal;

use fdt::Fdt;
use shared_abi::client::VmId;
use shared_abi::layout::Range;
use shared_abi::trace::{CHOSEN, COMPATIBLE, Event, Way};

/// Whom a record is about: a VM, or the hypervisor itself. Nothing, where nothing is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(#[cfg(any(feature = "trace", test))] u16);

impl Client {
    /// The hypervisor itself.
    pub const HYPERVISOR: Self = Self::alleged(0);

    /// Names a VM.
    #[inline(always)]
    pub const fn of(id: VmId) -> Self {
        Self::alleged(id.get() as u64)
    }

    /// Names whom a call is said to come from: x7.
    #[inline(always)]
    pub const fn alleged(_x7: u64) -> Self {
        Self(
            #[cfg(any(feature = "trace", test))]
            {
                _x7 as u16
            },
        )
    }
}

/// Whether anything is recorded.
pub const ON: bool = cfg!(any(feature = "trace", test));

/// Records an event. Only events that are recorded are made.
#[inline(always)]
pub fn record(_client: Client, _event: impl FnOnce() -> Event) {
    #[cfg(any(feature = "trace", test))]
    write(_client.0, _event());
}

/// Records that something is refused, and passes on what it is refused with.
#[inline(always)]
pub fn refuse<E>(client: Client, reason: shared_abi::trace::Refusal, value: u64, error: E) -> E {
    record(client, || Event::Refused { reason, value });
    error
}

#[cfg(all(feature = "trace", target_os = "none"))]
use crate::platform::trace::write;

// A host without a test: the library is compiled there for its documentation alone.
#[cfg(all(feature = "trace", not(test), not(target_os = "none")))]
fn write(_: u16, _: Event) {}

#[cfg(test)]
pub use kept::{taken, write};

/// Records of a test's own thread.
#[cfg(test)]
mod kept {
    use super::Event;
    use std::cell::RefCell;
    use std::vec::Vec;

    std::thread_local! {
        static KEPT: RefCell<Vec<(u16, Event)>> = const { RefCell::new(Vec::new()) };
    }

    /// Keeps a record.
    pub fn write(client: u16, event: Event) {
        KEPT.with_borrow_mut(|kept| kept.push((client, event)));
    }

    /// Takes the records so far.
    pub fn taken() -> Vec<(u16, Event)> {
        KEPT.take()
    }
}

/// Reads by which way records leave the machine, as its device tree says. `memory` is all memory, `used` what of it is
/// in use: where that is there can be no rings.
pub fn way(tree: &Fdt<'_>, memory: &[Range], used: &[Range]) -> Way {
    let node = tree.find_node("/reserved-memory").and_then(|reserved| {
        reserved
            .children()
            .find(|node| node.compatible().is_some_and(|names| names.all().any(|name| name == COMPATIBLE)))
    });
    let mut regions = node.and_then(|node| node.reg()).into_iter().flatten();
    let region =
        regions.next().map(|region| Range::new(region.starting_address as u64, region.size.unwrap_or(0) as u64));
    let only = region.filter(|region| regions.next().is_none() && !used.iter().any(|used| used.overlaps(region)));
    let chosen = tree.find_node("/chosen").and_then(|chosen| chosen.property(CHOSEN)?.as_str());
    Way::of(only, memory, chosen.map(|text| text.trim_end_matches('\0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::layout::TRACE;
    use vm_fdt::FdtWriter;

    const MEMORY: [Range; 1] = [Range::new(0x4000_0000, 0x8000_0000)];
    const IMAGE: Range = Range::new(0x6000_0000, 0x8_0000);

    /// A tree with this `reg` in the reserved memory's node, and this property in /chosen.
    fn tree(reg: &[u64], chosen: Option<&str>) -> Vec<u8> {
        let mut fdt = FdtWriter::new().unwrap();
        let root = fdt.begin_node("").unwrap();
        let cells = |fdt: &mut FdtWriter| {
            fdt.property_u32("#address-cells", 2).unwrap();
            fdt.property_u32("#size-cells", 2).unwrap();
        };
        cells(&mut fdt);
        let reserved = fdt.begin_node("reserved-memory").unwrap();
        cells(&mut fdt);
        let node = fdt.begin_node("trace@44000000").unwrap();
        fdt.property_string("compatible", COMPATIBLE).unwrap();
        fdt.property_array_u64("reg", reg).unwrap();
        fdt.end_node(node).unwrap();
        fdt.end_node(reserved).unwrap();
        let node = fdt.begin_node("chosen").unwrap();
        if let Some(value) = chosen {
            fdt.property_string(CHOSEN, value).unwrap();
        }
        fdt.end_node(node).unwrap();
        fdt.end_node(root).unwrap();
        fdt.finish().unwrap()
    }

    fn way_of(reg: &[u64], chosen: Option<&str>, image: Range) -> Way {
        way(&Fdt::new(&tree(reg, chosen)).unwrap(), &MEMORY, &[image])
    }

    #[test]
    fn the_tree_says_where_records_go() {
        let right = [TRACE.base, TRACE.size];
        assert_eq!(way_of(&right, None, IMAGE), Way::Rings);
        assert_eq!(way_of(&[TRACE.base, TRACE.size - 1], None, IMAGE), Way::Nowhere);
        assert_eq!(way_of(&[TRACE.base, TRACE.size, 0x9000_0000, 0x1000], None, IMAGE), Way::Nowhere);
        assert_eq!(way_of(&[0, 0], Some("uart"), IMAGE), Way::Frames);
        assert_eq!(way_of(&[0, 0], Some("paper"), IMAGE), Way::Nowhere);
    }

    #[test]
    fn rings_never_overwrite_what_is_in_use() {
        let image = Range::new(TRACE.end() - 0x1000, 0x8_0000);
        assert_eq!(way_of(&[TRACE.base, TRACE.size], None, image), Way::Nowhere);
        assert_eq!(way_of(&[TRACE.base, TRACE.size], Some("uart"), image), Way::Frames);
    }
}
