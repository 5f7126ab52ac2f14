// SPDX-License-Identifier: MIT OR Apache-2.0
//! Another TEE as its build leaves it: what is put at 0x0E10_0000, and entered at its first byte.
//!
//! A raw image is that already. OP-TEE's build also writes one behind a header (`tee.bin`), or beside one
//! (`tee-header_v2.bin` and `tee-pager_v2.bin`); `scripts/gen_tee_bin.py` there says what stands in either.

use crate::elf;
use anyhow::{Context, Result, bail, ensure};
use shared_abi::fip::Fip;
use shared_abi::layout::{FLASH_FIP, TEE};
use std::fs;
use std::path::{Path, PathBuf};

/// The first bytes of OP-TEE's headers.
const MAGIC: &[u8; 4] = b"OPTE";
/// What a header of version 1 says before the image: magic, version, architecture, flags, and five words.
const HEADER_V1: usize = 28;
/// What one of version 2 says before its list of images, and in each entry of it.
const HEADER_V2: usize = 12;
const ENTRY_V2: usize = 16;
/// The architecture field of 64-bit code.
const ARM64: u8 = 1;
/// How each of OP-TEE's files is called whose header stands beside it.
const HEADER_NAME: &str = "header";
const IMAGE_NAME: &str = "pager";
const MIB: u64 = 1 << 20;

/// Reads the raw image in a file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let image = raw(bytes, file).with_context(|| format!("{} is no TEE for this machine", file.display()))?;
    ensure!(
        image.len() as u64 <= TEE.size,
        "the TEE in {} has {} bytes, and {} MiB are its memory at {:#x}: build it smaller",
        file.display(),
        image.len(),
        TEE.size / MIB,
        TEE.base
    );
    Ok(image)
}

fn raw(bytes: Vec<u8>, file: &Path) -> Result<Vec<u8>> {
    if bytes.starts_with(MAGIC) {
        return behind_header(&bytes, file);
    }
    if bytes.starts_with(b"\x7fELF") {
        return linked(&bytes);
    }
    let package = |at: u64| bytes.get(at as usize..).is_some_and(|bytes| Fip::parse(bytes).is_ok());
    let known: [(bool, &str); 7] = [
        (bytes.iter().all(|byte| *byte == 0), "it is empty, or nothing but zeroes"),
        (package(FLASH_FIP.base), "it is a whole flash image: give it as --monitor"),
        (package(0), "it is a firmware image package: its BL32 is what belongs here (`fiptool unpack`)"),
        (bytes.starts_with(&[0xD0, 0x0D, 0xFE, 0xED]), "it is a device tree, or a FIT image"),
        (bytes.starts_with(&[0x1F, 0x8B]), "it is compressed by gzip: unpack it"),
        (bytes.get(56..60) == Some(b"ARM\x64"), "it is an arm64 Image, as of Linux: a kernel"),
        (is_text(&bytes), "it is a text"),
    ];
    match known.iter().find(|(is, _)| *is) {
        Some((_, what)) => bail!("{what}"),
        None => Ok(bytes),
    }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().take(256).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Takes an ELF file that is linked for the TEE's memory.
fn linked(elf: &[u8]) -> Result<Vec<u8>> {
    let raw = elf::raw(elf).context("as an ELF file: give a raw image, such as objcopy -O binary makes")?;
    let entry = word(elf, 24)? | word(elf, 28)? << 32;
    ensure!(entry == TEE.base, "it is linked for {entry:#x}, and a TEE is entered at {:#x}: link it there", TEE.base);
    Ok(raw)
}

/// Takes what stands behind OP-TEE's header, or in the file beside it.
fn behind_header(bytes: &[u8], file: &Path) -> Result<Vec<u8>> {
    let [version, arch] = [4, 5].map(|at| bytes.get(at).copied());
    ensure!(arch == Some(ARM64), "OP-TEE's header says that it is 32-bit code: build it with CFG_ARM64_core=y");
    match version {
        Some(1) => {
            let (size, paged) = (word(bytes, 8)?, word(bytes, 24)?);
            placed(word(bytes, 12)?, word(bytes, 16)?)?;
            unpaged(paged)?;
            part(bytes, HEADER_V1, size).context("OP-TEE's header says more than the file has: copy it whole")
        }
        Some(2) => {
            let count = word(bytes, 8)?;
            let mut whole = 0;
            let mut first = None;
            for index in 0..count.min(8) as usize {
                let at = HEADER_V2 + index * ENTRY_V2;
                let (high, low, id, size) =
                    (word(bytes, at)?, word(bytes, at + 4)?, word(bytes, at + 8)?, word(bytes, at + 12)?);
                match id {
                    0 => {
                        placed(high, low)?;
                        first = Some(size);
                    }
                    _ => unpaged(size)?,
                }
                whole += size;
            }
            let size = first.context("OP-TEE's header names no image that is started")?;
            let behind = HEADER_V2 + count as usize * ENTRY_V2;
            if bytes.len() as u64 >= behind as u64 + whole {
                return part(bytes, behind, size);
            }
            let beside = beside(file)?;
            let image = fs::read(&beside).with_context(|| {
                format!("its header's image is looked for in {}, which can't be read", beside.display())
            })?;
            ensure!(
                image.len() as u64 == size,
                "its header says {size} bytes, and {} has {}: both must be of one build",
                beside.display(),
                image.len()
            );
            Ok(image)
        }
        other => bail!("OP-TEE's header has version {}; 1 and 2 are known", other.unwrap_or(0)),
    }
}

/// Reads the file with the image of a header that stands alone.
fn beside(header: &Path) -> Result<PathBuf> {
    let name = header.file_name().unwrap_or_default().to_string_lossy();
    ensure!(
        name.contains(HEADER_NAME),
        "it is OP-TEE's header without an image: keep the names of its build (tee-header_v2.bin, tee-pager_v2.bin)"
    );
    Ok(header.with_file_name(name.replace(HEADER_NAME, IMAGE_NAME)))
}

fn placed(high: u64, low: u64) -> Result<()> {
    let at = high << 32 | low;
    ensure!(
        at == TEE.base,
        "OP-TEE is built for {at:#x}, and a TEE is entered at {:#x}: build it with PLATFORM=vexpress-qemu_armv8a",
        TEE.base
    );
    Ok(())
}

fn unpaged(size: u64) -> Result<()> {
    ensure!(size == 0, "OP-TEE is built with a pager, which nobody here loads: build it with CFG_WITH_PAGER=n");
    Ok(())
}

/// Reads a little-endian word.
fn word(bytes: &[u8], at: usize) -> Result<u64> {
    let word = bytes.get(at..at + 4).context("it is cut short")?;
    Ok(u32::from_le_bytes(word.try_into()?).into())
}

fn part(bytes: &[u8], at: usize, size: u64) -> Result<Vec<u8>> {
    let end = at.checked_add(usize::try_from(size)?);
    Ok(end.and_then(|end| bytes.get(at..end)).context("it is cut short")?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &[u8] = &[0xF3, 0x03, 0x00, 0xAA, 0xF4, 0x03, 0x01, 0xAA];

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn v1(arch: u8, size: u32, at: u32, paged: u32) -> Vec<u8> {
        [&b"OPTE\x01"[..], &[arch, 0, 0], &words(&[size, 0, at, 0x10_0000, paged]), CODE].concat()
    }

    fn v2(images: &[[u32; 4]]) -> Vec<u8> {
        let list: Vec<_> = images.iter().flatten().copied().collect();
        [&b"OPTE\x02\x01\0\0"[..], &words(&[images.len() as u32]), &words(&list)].concat()
    }

    fn told(name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        fs::write(folder.path().join("tee-pager_v2.bin"), CODE).unwrap();
        read(&file).map_err(|error| format!("{error:#}").replace(&folder.path().display().to_string(), "t"))
    }

    const PAGER: [u32; 4] = [0, 0x0E10_0000, 0, 8];

    #[test]
    fn an_image_is_found_as_optees_build_leaves_it() {
        assert_eq!(told("tee-raw.bin", CODE).unwrap(), CODE);
        assert_eq!(told("tee.bin", &v1(1, 8, 0x0E10_0000, 0)).unwrap(), CODE);
        assert_eq!(told("tee-header_v2.bin", &v2(&[PAGER])).unwrap(), CODE);
        let whole = [v2(&[PAGER, [0, 0, 1, 0]]), CODE.to_vec()].concat();
        assert_eq!(told("tee_v2.bin", &whole).unwrap(), CODE);
    }

    #[test]
    fn what_is_no_tee_is_named_with_what_to_do() {
        let no = |name: &str, bytes: &[u8], why: &str| {
            assert_eq!(told(name, bytes).unwrap_err(), format!("t/{name} is no TEE for this machine: {why}"));
        };
        no("a", b"", "it is empty, or nothing but zeroes");
        no("a", &[0; 64], "it is empty, or nothing but zeroes");
        no("a", b"#!/bin/sh\nexit\n", "it is a text");
        no("a", &[0x1F, 0x8B, 8, 0], "it is compressed by gzip: unpack it");
        no("a", &[0xD0, 0x0D, 0xFE, 0xED, 1], "it is a device tree, or a FIT image");
        let mut kernel = [1; 64];
        kernel[56..60].copy_from_slice(b"ARM\x64");
        no("a", &kernel, "it is an arm64 Image, as of Linux: a kernel");
        no(
            "tee.bin",
            &v1(0, 8, 0x0E10_0000, 0),
            "OP-TEE's header says that it is 32-bit code: build it with CFG_ARM64_core=y",
        );
        no(
            "tee.bin",
            &v1(1, 8, 0x4010_0000, 0),
            "OP-TEE is built for 0x40100000, and a TEE is entered at 0xe100000: \
             build it with PLATFORM=vexpress-qemu_armv8a",
        );
        no(
            "tee.bin",
            &v1(1, 8, 0x0E10_0000, 4096),
            "OP-TEE is built with a pager, which nobody here loads: build it with CFG_WITH_PAGER=n",
        );
        no(
            "tee.bin",
            &v1(1, 9, 0x0E10_0000, 0),
            "OP-TEE's header says more than the file has: copy it whole: it is cut short",
        );
        no("tee.bin", &v1(1, 8, 0x0E10_0000, 0)[..20], "it is cut short");
        no("tee.bin", b"OPTE\x03\x01\0\0", "OP-TEE's header has version 3; 1 and 2 are known");
        no(
            "h.bin",
            &v2(&[PAGER]),
            "it is OP-TEE's header without an image: keep the names of its build (tee-header_v2.bin, tee-pager_v2.bin)",
        );
        no(
            "tee-header_v2.bin",
            &v2(&[[0, 0x0E10_0000, 0, 9]]),
            "its header says 9 bytes, and t/tee-pager_v2.bin has 8: both must be of one build",
        );
        no("tee-header_v2.bin", &v2(&[]), "OP-TEE's header names no image that is started");
        let said = told("other-header.bin", &v2(&[PAGER])).unwrap_err();
        assert!(said.contains("is looked for in t/other-pager.bin, which can't be read"), "{said}");
        let said = told("tee.elf", b"\x7fELF\x01\x01").unwrap_err();
        assert!(said.contains("as an ELF file: give a raw image") && said.contains("not a 64-bit ELF file"), "{said}");
    }

    #[test]
    fn firmware_is_told_from_a_tee() {
        use shared_abi::fip::{Image, fip_size, write_fip};
        let images: &[(Image, &[u8])] = &[(Image::Bl31, CODE)];
        let mut package = vec![0; fip_size(images)];
        write_fip(images, &mut package);
        assert!(told("fip.bin", &package).unwrap_err().ends_with("is what belongs here (`fiptool unpack`)"));
        let flash = [vec![0xA5; FLASH_FIP.base as usize], package].concat();
        assert!(told("flash.bin", &flash).unwrap_err().ends_with("it is a whole flash image: give it as --monitor"));
    }

    #[test]
    fn a_tee_that_does_not_fit_its_memory_is_refused() {
        let said = told("big.bin", &vec![0xAA; TEE.size as usize + 1]).unwrap_err();
        assert_eq!(
            said,
            "the TEE in t/big.bin has 15728641 bytes, and 15 MiB are its memory at 0xe100000: build it smaller"
        );
    }
}
