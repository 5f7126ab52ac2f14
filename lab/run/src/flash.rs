// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flash that the machine is started from: boot stage, manifest, firmware package.
//!
//! A scenario may ask for a flash with one thing wrong. The damage is done here, to the packed bytes, so that the
//! images in it are the ones that a good flash holds.

use crate::firmware::{Firmware, Program};
use crate::scenario::{Chain, Damage, Image as Name};
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use shared_abi::fip::{Fip, Image, Manifest, ManifestEntry, fip_size, write_fip};
use shared_abi::layout::{FLASH, FLASH_BOOT, FLASH_FIP, FLASH_MANIFEST};
use std::fs;
use std::path::Path;
use zerocopy::IntoBytes;

/// Offset of an image's size in its entry of the package's table of contents, after UUID and offset
/// (TF-A's `fip_toc_entry_t`).
const ENTRY_SIZE_FIELD: usize = 24;

/// A flash under construction.
pub struct Flash {
    boot: Vec<u8>,
    images: Vec<(Image, Vec<u8>)>,
}

impl Flash {
    /// Takes the layers as built, with this TEE, if any, and this normal world.
    pub fn of(firmware: &Firmware, tee: Option<Vec<u8>>, normal_world: Vec<u8>) -> Result<Self> {
        let mut images = vec![(Image::Bl31, firmware.read(Program::Runtime)?)];
        images.extend(tee.map(|tee| (Image::Bl32, tee)));
        images.push((Image::Bl33, normal_world));
        Ok(Self { boot: firmware.read(Program::Boot)?, images })
    }

    /// Takes another runtime of the monitor.
    pub fn with_runtime(mut self, file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.images[0] = (Image::Bl31, bytes);
        Ok(self)
    }

    /// Makes the bytes of the flash that a scenario's chain describes.
    pub fn bytes(mut self, chain: &Chain) -> Result<Vec<u8>> {
        if let Some(size) = chain.images {
            self.fill(size.0 as usize)?;
        }
        if let Some(Damage::Drop(name)) = chain.damage {
            self.images.retain(|(image, _)| *image != place(name));
        }
        let boot = self.boot.len() as u64;
        ensure!(boot <= FLASH_BOOT.size, "the boot stage has {boot:#x} bytes, its place {:#x}", FLASH_BOOT.size);
        let mut flash = self.boot.clone();
        flash.resize(FLASH_MANIFEST.base as usize, 0);
        flash.extend_from_slice(self.manifest(chain.damage).as_bytes());
        flash.resize(FLASH_FIP.base as usize, 0);
        let package = self.package();
        flash.extend_from_slice(&package);
        ensure!(flash.len() as u64 <= FLASH.size, "the images do not fit the flash");
        if let Some(damage) = chain.damage {
            harm(&mut flash, &package, damage)?;
        }
        Ok(flash)
    }

    /// Makes all images together as large as this.
    fn fill(&mut self, size: usize) -> Result<()> {
        let have: usize = self.images.iter().map(|(_, bytes)| bytes.len()).sum();
        ensure!(have <= size, "the images have {have:#x} bytes already, not {size:#x}");
        if let Some((_, last)) = self.images.last_mut() {
            last.resize(last.len() + size - have, 0);
        }
        Ok(())
    }

    fn package(&self) -> Vec<u8> {
        let images: Vec<_> = self.images.iter().map(|(image, bytes)| (*image, bytes.as_slice())).collect();
        let mut package = vec![0; fip_size(&images)];
        write_fip(&images, &mut package);
        package
    }

    fn manifest(&self, damage: Option<Damage>) -> Manifest {
        let unlisted = match damage {
            Some(Damage::Unlisted(name)) => Some(place(name)),
            _ => None,
        };
        let entries: Vec<_> = self
            .images
            .iter()
            .filter(|(image, _)| Some(*image) != unlisted)
            .map(|(image, bytes)| ManifestEntry {
                uuid: image.uuid().into_bytes(),
                size: bytes.len() as u64,
                sha256: Sha256::digest(bytes).into(),
            })
            .collect();
        Manifest::new(&entries)
    }
}

const fn place(name: Name) -> Image {
    match name {
        Name::Bl31 => Image::Bl31,
        Name::Bl32 => Image::Bl32,
        Name::Bl33 => Image::Bl33,
    }
}

/// Does to a packed flash what a scenario asks for.
fn harm(flash: &mut Vec<u8>, package: &[u8], damage: Damage) -> Result<()> {
    let base = FLASH_FIP.base as usize;
    match damage {
        Damage::Flip(name) => {
            let (offset, size) = find(package, name)?;
            flash[base + offset + size / 2] ^= 0x10;
        }
        Damage::CutIn(name) => {
            let (offset, size) = find(package, name)?;
            flash.truncate(base + offset + size / 2);
        }
        // The header and half of the first entry are left.
        Damage::CutToc => flash.truncate(base + 36),
        Damage::Oversize(name) => {
            let uuid = place(name).uuid();
            let entry = package.windows(16).position(|bytes| bytes == uuid.as_bytes());
            let field = base + entry.context("the damage is to an image that is not there")? + ENTRY_SIZE_FIELD;
            flash[field..field + 8].copy_from_slice(&(u64::MAX - 0xFFF).to_le_bytes());
        }
        Damage::NoManifest => {
            flash[FLASH_MANIFEST.base as usize..][..FLASH_MANIFEST.size as usize].fill(0);
        }
        // Done before packing.
        Damage::Drop(_) | Damage::Unlisted(_) => {}
    }
    Ok(())
}

/// Finds an image in its package: its offset and its size.
fn find(package: &[u8], name: Name) -> Result<(usize, usize)> {
    let Ok(fip) = Fip::parse(package) else { bail!("the package that was just written is damaged") };
    match fip.image(place(name)) {
        Some(Ok(image)) if !image.is_empty() => Ok((image.as_ptr().addr() - package.as_ptr().addr(), image.len())),
        _ => bail!("the damage is to an image that is not there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flash(chain: &Chain) -> Result<Vec<u8>> {
        let images = [(Image::Bl31, b"runtime".to_vec()), (Image::Bl33, vec![7; 3000])];
        let mut flash = Flash { boot: b"boot".to_vec(), images: images.to_vec() };
        if chain.tee.is_some() {
            flash.images.insert(1, (Image::Bl32, vec![5; 1000]));
        }
        flash.bytes(chain)
    }

    fn damaged(damage: Damage) -> Vec<u8> {
        flash(&Chain { damage: Some(damage), ..Chain::default() }).unwrap()
    }

    /// Says which images are whole, by the manifest in the same flash.
    fn whole(flash: &[u8]) -> Vec<Image> {
        let mut flash = flash.to_vec();
        flash.resize(flash.len().max(1 << 20), 0);
        let Ok(manifest) = Manifest::parse(&flash[FLASH_MANIFEST.base as usize..]) else { return vec![] };
        let Ok(fip) = Fip::parse(&flash[FLASH_FIP.base as usize..]) else { return vec![] };
        let good = |image: &Image| {
            let Some(Ok(bytes)) = fip.image(*image) else { return false };
            manifest
                .entry(*image)
                .is_some_and(|entry| entry.size == bytes.len() as u64 && entry.sha256[..] == Sha256::digest(bytes)[..])
        };
        Image::ALL.into_iter().filter(good).collect()
    }

    #[test]
    fn a_good_flash_holds_every_image_under_its_hash() {
        let bytes = flash(&Chain::default()).unwrap();
        assert_eq!(&bytes[..4], b"boot");
        assert_eq!(whole(&bytes), Image::ALL);
        let bytes = flash(&Chain { tee: None, ..Chain::default() }).unwrap();
        assert_eq!(whole(&bytes), [Image::Bl31, Image::Bl33]);
    }

    #[test]
    fn images_are_filled_up_to_a_size_that_they_do_not_have_yet() {
        let sized = |size| flash(&Chain { images: Some(crate::scenario::Size(size)), ..Chain::default() });
        let bytes = sized(1 << 20).unwrap();
        assert_eq!(whole(&bytes), Image::ALL);
        let fip = Fip::parse(&bytes[FLASH_FIP.base as usize..]).unwrap();
        assert_eq!(Image::ALL.map(|image| fip.image(image).unwrap().unwrap().len()).iter().sum::<usize>(), 1 << 20);
        assert!(sized(100).is_err());
    }

    #[test]
    fn each_damage_hurts_what_it_names_and_nothing_else() {
        let others = [Image::Bl31, Image::Bl33];
        assert_eq!(whole(&damaged(Damage::Flip(Name::Bl32))), others);
        assert_eq!(whole(&damaged(Damage::Drop(Name::Bl32))), others);
        assert_eq!(whole(&damaged(Damage::Unlisted(Name::Bl32))), others);
        assert_eq!(whole(&damaged(Damage::Oversize(Name::Bl32))), others);
        assert_eq!(whole(&damaged(Damage::CutIn(Name::Bl33))), [Image::Bl31, Image::Bl32]);
        assert_eq!(whole(&damaged(Damage::CutToc)), []);
        assert_eq!(whole(&damaged(Damage::NoManifest)), []);
    }

    #[test]
    fn damage_to_an_image_that_is_not_there_is_an_error() {
        assert!(flash(&Chain { tee: None, damage: Some(Damage::Flip(Name::Bl32)), ..Chain::default() }).is_err());
    }

    #[test]
    fn a_boot_stage_that_reaches_into_the_manifest_is_refused() {
        let flash = Flash { boot: vec![0; FLASH_BOOT.size as usize + 1], images: vec![] };
        assert!(flash.bytes(&Chain::default()).is_err());
    }
}
