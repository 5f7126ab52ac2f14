// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is not Rust's own: flash, the places images are copied to, the device tree.

use shared_abi::layout::{DTB, FLASH_FIP, FLASH_MANIFEST, Range};

/// Returns the manifest's part of the flash.
pub fn manifest() -> &'static [u8] {
    flash(FLASH_MANIFEST)
}

/// Returns the package's part of the flash.
pub fn package() -> &'static [u8] {
    flash(FLASH_FIP)
}

fn flash(range: Range) -> &'static [u8] {
    // SAFETY: the range is flash, mapped read-only, and nothing programs it while the machine runs.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(range.base as usize), range.size as usize) }
}

/// Borrows the `len` bytes at `place`, for an image to be copied to.
///
/// # Safety
///
/// The range must be mapped writable, hold nothing that is in use, and not be borrowed twice.
pub unsafe fn destination(place: u64, len: usize) -> &'static mut [u8] {
    // SAFETY: as the caller says.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::with_exposed_provenance_mut(place as usize), len) }
}

/// Borrows the memory that holds the device tree, whatever is in it.
///
/// # Safety
///
/// Mapped, and borrowed once at a time.
pub unsafe fn dtb() -> &'static mut [u8] {
    // SAFETY: as the caller says.
    unsafe { destination(DTB.base, DTB.size as usize) }
}

/// Borrows what the boot stage left in its SRAM.
///
/// # Safety
///
/// The range must be mapped, and nobody may write there.
pub unsafe fn left_by_boot(range: Range) -> &'static [u8] {
    // SAFETY: as the caller says.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(range.base as usize), range.size as usize) }
}
