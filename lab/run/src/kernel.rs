// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels as they come: compressed, for EFI, as ELF. What can be unpacked is, down to what a VM starts; of the rest is
//! said what it is.

use crate::elf::{self, Place};
use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;
use shared_abi::image::Format;
use std::io::Read;

/// No kernel is larger; what claims to be unpacks for ever.
const LARGEST: u64 = 1 << 30;
/// Layers of packing within each other.
const MOST: usize = 4;
/// The most that a decoder may take for its dictionary, in KiB.
const DICTIONARY: u32 = 1 << 20;

/// What a VM starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// An arm64 `Image`, or a flat program.
    pub bytes: Vec<u8>,
    /// Where a program that was linked for one address must stand, and where it is entered there. Anything else runs
    /// anywhere.
    pub place: Option<Place>,
    /// What it was packed in, from the outside to the inside.
    pub packed: Vec<Format>,
}

/// Unpacks a kernel's file.
pub fn unpack(file: Vec<u8>) -> Result<Kernel> {
    let mut kernel = Kernel { bytes: file, place: None, packed: Vec::new() };
    loop {
        let format = Format::of(&kernel.bytes);
        if format.runs() {
            return Ok(kernel);
        }
        ensure!(kernel.packed.len() < MOST, "it is packed more than {MOST} times");
        kernel.packed.push(format);
        kernel.bytes = match format {
            Format::Zboot => zboot(&kernel.bytes)?,
            Format::Elf => {
                let program = elf::program(&kernel.bytes).context("it is an ELF file, but cannot be started")?;
                // Linux's own, `vmlinux`, is an Image in its memory, and runs anywhere.
                let anywhere = Format::of(&program.bytes) == Format::Image;
                kernel.place = program.place.filter(|_| !anywhere);
                kernel.bytes = program.bytes;
                return Ok(kernel);
            }
            _ => decompress(format, &kernel.bytes)?,
        };
    }
}

/// Finds the payload of a kernel that unpacks itself under EFI (Linux `drivers/firmware/efi/libstub/zboot-header.S`).
fn zboot(file: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    let payload = word(8).zip(word(12)).and_then(|(at, size)| file.get(at..at.checked_add(size)?));
    let payload = payload.context("it is a kernel for EFI (zboot) that is cut short")?;
    let name = file.get(24..56).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
    let format = match name {
        b"gzip" => Format::Gzip,
        b"lz4" => Format::Lz4Legacy,
        b"lzma" => Format::Lzma,
        b"xz" | b"xzkern" => Format::Xz,
        b"zstd" | b"zstd22" => Format::Zstd,
        other => bail!("it is a kernel for EFI (zboot) compressed by {}: {REMEDY}", String::from_utf8_lossy(other)),
    };
    decompress(format, payload).context("it is a kernel for EFI (zboot)")
}

/// What to do about what the lab can't unpack.
const REMEDY: &str = "unpack it to an arm64 Image";

fn decompress(format: Format, packed: &[u8]) -> Result<Vec<u8>> {
    match format {
        Format::Gzip => read(MultiGzDecoder::new(packed)),
        Format::Xz => read(XzReader::new_mem_limit(packed, true, DICTIONARY)),
        Format::Lzma => LzmaReader::new_mem_limit(packed, DICTIONARY, None).map_err(anyhow::Error::from).and_then(read),
        Format::Zstd => StreamingDecoder::new(packed).map_err(anyhow::Error::from).and_then(read),
        Format::Lz4 | Format::Lz4Legacy => read(FrameDecoder::new(packed)),
        Format::UImage | Format::Tree => bail!("it is {format}: take the kernel out of it, or {REMEDY}"),
        Format::Arm32 => bail!("it is {format}: VMs are 64-bit"),
        Format::Efi => bail!("it is {format}: VMs have no EFI"),
        _ => bail!("it is {format}: {REMEDY}"),
    }
    .with_context(|| format!("it is {format}, and damaged"))
}

fn read(packed: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    packed.take(LARGEST + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LARGEST, "it unpacks to more than {} MiB", LARGEST >> 20);
    Ok(bytes)
}

/// Unpacks an xz file.
pub(crate) fn unxz(packed: &[u8]) -> Result<Vec<u8>> {
    read(XzReader::new_mem_limit(packed, true, DICTIONARY))
}

#[cfg(test)]
mod tests;
