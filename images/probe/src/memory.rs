// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that others hand over: the device tree and the script.

use crate::player::Machine;
use crate::script::LARGEST;
use crate::script::Script;
use crate::script::expression::Width;
use crate::{image, tree};
use fdt::Fdt;
use shared_abi::image::ImageHeader;
use shared_abi::layout;

/// First word of a device tree as a little-endian CPU reads it.
const FDT_MAGIC: u64 = 0xEDFE_0DD0;

/// Finds the device tree: at x0, or where it lies when the firmware puts something else there (TF-A: the CPU's MPIDR).
pub fn find_tree(machine: &mut impl Machine, x0: u64) -> Option<Fdt<'static>> {
    let address = [x0, layout::DTB.base]
        .into_iter()
        .find(|address| address.is_multiple_of(8) && machine.load(Width::Bits32, *address) == Ok(FDT_MAGIC))?;
    // SAFETY: a tree begins there, and nobody writes to it while the probe runs: it is the script that decides what is
    // written, after this was read.
    unsafe { Fdt::from_ptr(core::ptr::with_exposed_provenance(address as usize)) }.ok()
}

/// Finds the bytes of the script: appended to the image, in the tree, or as the initial RAM disk.
pub fn script(machine: &impl Machine, tree: Option<&Fdt<'static>>) -> Option<&'static [u8]> {
    appended(machine).or_else(|| tree::script(tree?)).or_else(|| ramdisk(tree?))
}

fn appended(machine: &impl Machine) -> Option<&'static [u8]> {
    let image = machine.image();
    // SAFETY: the image begins with its header, which nobody writes to.
    let header = unsafe { &*core::ptr::with_exposed_provenance::<ImageHeader>(image as usize) };
    let (place, size) = image::appended(header)?;
    // SAFETY: the linker script keeps this room free of anything else, and `size` is checked against it.
    Some(unsafe { bytes(image.checked_add(place)?, size) })
}

fn ramdisk(tree: &Fdt<'_>) -> Option<&'static [u8]> {
    let (start, end) = tree::initrd(tree)?;
    let size = usize::try_from(end - start).ok()?.min(LARGEST);
    // SAFETY: whoever describes the machine says that this is the RAM disk, so it is memory and nobody's but ours.
    let bytes = unsafe { bytes(start, size) };
    Script::size(bytes).map(|_| bytes)
}

/// # Safety
///
/// There is memory, of this size, which nobody writes to.
unsafe fn bytes(address: u64, size: usize) -> &'static [u8] {
    // SAFETY: as the caller promises.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(address as usize), size) }
}
