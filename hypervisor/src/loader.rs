// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a VM's images go in its RAM: the device tree first, the kernel at the next 2 MiB, the RAM disk behind it; or
//! as the VM's node says.
#![forbid(unsafe_code)]

use crate::address::{Ipa, PAGE_SIZE};
use crate::memory::{BLOCK, GUEST_RAM};
use alloc::format;
use alloc::string::String;
use shared_abi::image::{Format, ImageHeader};

/// The most that a guest's device tree may take.
pub const MAX_DTB: usize = 0x1_0000;
/// Where a kernel goes that does not say: from RAM's start, before Linux 3.17 (booting.rst), and QEMU's loader since.
const OLD_OFFSET: u64 = 0x8_0000;
/// What QEMU's loader puts at RAM's start for itself (`BOOTLOADER_MAX_SIZE`), and where it puts what follows a kernel.
const QEMU_BOOTLOADER: u64 = 4 << 10;
const QEMU_BEHIND: u64 = 128 << 20;

/// Where the guest's device tree is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtbPlace {
    /// At the start of RAM, where bare programs and U-Boot look.
    #[default]
    Base,
    /// Behind kernel and RAM disk, and these where QEMU's loader has them: for programs that begin near the start of
    /// RAM, or look for their tree behind themselves.
    AfterKernel,
}

/// What a VM's node says of places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Where the tree is to be.
    pub dtb: DtbPlace,
    /// Where the kernel's first byte is to be: it was linked for there.
    pub kernel: Option<Ipa>,
    /// Where it is entered, if not there.
    pub entry: Option<Ipa>,
}

/// The places of a VM's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The device tree, which the guest gets in x0.
    pub dtb: Ipa,
    /// The kernel.
    pub kernel: Ipa,
    /// Its entry: its first byte, unless the VM's node says otherwise.
    pub entry: Ipa,
    /// The RAM disk.
    pub ramdisk: Option<Ipa>,
}

/// Places a kernel (its first bytes and its size) and a RAM disk of `ramdisk` bytes in `memory` bytes of RAM.
///
/// An arm64 `Image` says itself where it wants to be and how much memory it needs; anything else is taken for a flat
/// binary that runs where it is put. The error says what to do.
pub fn place(
    kernel: &[u8],
    kernel_size: u64,
    ramdisk: Option<u64>,
    memory: u64,
    wish: Wish,
) -> Result<Placement, String> {
    let header = ImageHeader::parse(kernel);
    let needs = header.map_or(0, |header| header.image_size.get()).max(kernel_size);
    let start = match (wish.kernel, header) {
        (Some(ipa), _) => ipa.0.checked_sub(GUEST_RAM.0).filter(|start| *start < memory).ok_or_else(|| {
            format!("has a triptych,kernel-address of {ipa}: its RAM is {GUEST_RAM} to {:#x}", GUEST_RAM.0 + memory)
        })?,
        (None, header) => offset(header, wish.dtb)?,
    };
    if wish.dtb == DtbPlace::Base && start < MAX_DTB as u64 {
        let ipa = Ipa(GUEST_RAM.0 + start);
        return Err(format!(
            "has its kernel at {ipa}, where its device tree is: give it triptych,dtb = \"after-kernel\""
        ));
    }
    let end = start.checked_add(needs);
    let (ramdisk_start, end) = match wish.dtb {
        DtbPlace::Base => match ramdisk {
            Some(size) => behind(end, BLOCK, size),
            None => (None, end),
        },
        // QEMU's `arm_setup_direct_kernel_boot`: a RAM disk half-way in a small RAM, and not over the kernel.
        DtbPlace::AfterKernel => {
            let from = end.map(|end| end.max(QEMU_BEHIND.min(memory / 2)));
            behind(from, PAGE_SIZE, ramdisk.unwrap_or(0))
        }
    };
    let (dtb, end) = match wish.dtb {
        DtbPlace::Base => (Some(0), end),
        DtbPlace::AfterKernel => behind(end, BLOCK, MAX_DTB as u64),
    };
    let (Some(end), Some(dtb)) = (end, dtb) else {
        return Err("has a kernel that claims more memory than there can be".into());
    };
    if end > memory {
        let needed = end.div_ceil(BLOCK) * (BLOCK / 1024);
        return Err(format!(
            "is too small for its images: memory is {} KiB, at least {needed} are needed",
            memory / 1024
        ));
    }
    let ipa = |offset| Ipa(GUEST_RAM.0 + offset);
    let entry = wish.entry.unwrap_or(ipa(start));
    if entry.0.checked_sub(GUEST_RAM.0 + start).is_none_or(|offset| offset >= kernel_size) || !entry.is_aligned(4) {
        return Err(format!("has a triptych,kernel-entry of {entry}: that is no instruction of its kernel"));
    }
    let ramdisk = ramdisk.and(ramdisk_start).map(ipa);
    Ok(Placement { dtb: ipa(dtb), kernel: ipa(start), entry, ramdisk })
}

/// Finds a place for so many bytes behind `from`, and where it ends.
fn behind(from: Option<u64>, align: u64, size: u64) -> (Option<u64>, Option<u64>) {
    let start = from.and_then(|from| from.checked_next_multiple_of(align));
    (start, start.and_then(|start| start.checked_add(size)))
}

/// Says where a kernel goes that nobody has a wish for, from the start of RAM.
fn offset(header: Option<&ImageHeader>, dtb: DtbPlace) -> Result<u64, String> {
    // The header's offset counts if there is a size beside it.
    let said = header.filter(|header| header.image_size.get() != 0).map(|header| header.text_offset.get());
    if let Some(offset) = said.filter(|offset| *offset >= BLOCK) {
        return Err(format!("has a kernel with a text_offset of {offset:#x}: at most 2 MiB are sensible"));
    }
    Ok(match (dtb, said) {
        (DtbPlace::Base, Some(offset)) => BLOCK + offset,
        (DtbPlace::Base, None) if header.is_some() => BLOCK + OLD_OFFSET,
        (DtbPlace::Base, None) => BLOCK,
        (DtbPlace::AfterKernel, Some(offset)) if offset < QEMU_BOOTLOADER => BLOCK + offset,
        (DtbPlace::AfterKernel, Some(offset)) => offset,
        (DtbPlace::AfterKernel, None) => OLD_OFFSET,
    })
}

/// Says what people should know of a kernel that does not say itself what it is.
pub fn remark(kernel: &[u8], placement: &Placement) -> Option<String> {
    let entry = placement.entry;
    match Format::of(kernel) {
        Format::Image => None,
        Format::Flat => Some(format!("its kernel has no arm64 Image header: it is started as code at {entry}")),
        format => Some(format!(
            "its kernel is {format}, which does not run as it is, and is started as code at {entry} all the same: \
             unpack it"
        )),
    }
}

#[cfg(test)]
mod tests;
