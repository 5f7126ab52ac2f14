// SPDX-License-Identifier: MIT OR Apache-2.0
//! Another firmware's flash with a normal world of ours, or with a TEE of another one's.
//!
//! The flash is one for this machine: boot code at its first byte, and at 0x4_0000 a firmware image package, where
//! TF-A's port for it has one. A new image goes behind the package's last one, so that no other moves; its entry in the
//! table of contents and the table's end are all that changes.

use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};
use shared_abi::fip::{Error, Fip, Image, Manifest, ManifestEntry};
use shared_abi::layout::{FLASH, FLASH_FIP, FLASH_MANIFEST};
use uuid::{Uuid, uuid};
use zerocopy::IntoBytes;

/// TF-A's certificate of BL33's hash (`firmware_image_package.h`). It is there if the images before BL33 check it.
const CERTIFICATE: Uuid = uuid!("8ec4c1f3-5d63-e411-a7a9-87ee40b23fa7");
/// TF-A's BL2 (the same place).
const BL2: Uuid = uuid!("5ff9ec0b-4d22-3e4d-a544-c39d81c73f0a");
/// The package's first words (`TOC_HEADER_NAME`, `TOC_HEADER_SERIAL_NUMBER`).
const TOC: [u32; 2] = [0xAA64_0001, 0x1234_5678];
/// Bytes of the table's header and of its entries (`fip_toc_header_t`, `fip_toc_entry_t`).
const HEADER: usize = 16;
const ENTRY: usize = 40;
/// Where an entry says where its image is, and how long.
const OFFSET: usize = 16;
const SIZE: usize = 24;

/// Checks that a flash is one whose BL33 can be ours.
pub(crate) fn check(flash: &[u8]) -> Result<()> {
    with_image(flash, Image::Bl33, &[]).map(|_| ())
}

/// Makes the flash with this in an image's place.
pub(crate) fn with_image(flash: &[u8], image: Image, bytes: &[u8]) -> Result<Vec<u8>> {
    let base = FLASH_FIP.base as usize;
    if Fip::parse(flash).is_ok() {
        bail!("it is a firmware image package alone; in a flash BL1 stands at 0 and the package at {base:#x}");
    }
    let package = flash.get(base..).unwrap_or_default();
    let fip = match Fip::parse(package) {
        Ok(fip) => fip,
        Err(Error::NoPackage) => bail!(
            "it has no firmware image package at {base:#x}, where TF-A's port has it (the word there is not 0xaa640001)"
        ),
        Err(error) => bail!("its firmware image package, at {base:#x}, is damaged ({error})"),
    };
    match fip.image(image) {
        Some(Ok(_)) => {}
        Some(Err(error)) => bail!("its {image} is damaged ({error})"),
        None => bail!("it has no {image} whose place another could take"),
    }
    let entries = || package[HEADER..].chunks_exact(ENTRY);
    let find = |uuid: &[u8]| entries().position(|entry| entry.starts_with(uuid));
    let (Some(index), Some(end)) = (find(image.uuid().as_bytes()), find(&[0; 16])) else {
        bail!("its table of contents has no end");
    };
    ensure!(
        find(CERTIFICATE.as_bytes()).is_none_or(|certificate| certificate > end),
        "it was built with TRUSTED_BOARD_BOOT: BL2 starts no other images than those whose hashes are certified"
    );
    let entry = |index: usize| base + HEADER + index * ENTRY;
    let length = u64::from_le_bytes(flash[entry(end) + OFFSET..][..8].try_into()?) as usize;
    let at = length.next_multiple_of(64);
    let mut new = flash[..base + length].to_vec();
    new.resize(base + at, 0);
    new.extend_from_slice(bytes);
    ensure!(new.len() as u64 <= FLASH.size, "with this {image} it does not fit the machine's flash");
    let mut put = |at: usize, number: usize| new[at..at + 8].copy_from_slice(&(number as u64).to_le_bytes());
    put(entry(index) + OFFSET, at);
    put(entry(index) + SIZE, bytes.len());
    put(entry(end) + OFFSET, at + bytes.len());
    certify(&mut new, image, bytes);
    Ok(new)
}

/// Makes a flash of TF-A's images, with nothing yet in the places of TEE and normal world.
pub(crate) fn of_parts(bl1: &[u8], bl2: &[u8], bl31: &[u8]) -> Result<Vec<u8>> {
    let base = FLASH_FIP.base as usize;
    ensure!(!bl1.is_empty() && bl1.len() <= base, "BL1 has {} bytes: 1 to {base:#x} are possible", bl1.len());
    for (name, bytes) in [("BL2", bl2), ("BL31", bl31)] {
        ensure!(!bytes.is_empty(), "{name} is empty");
    }
    let images: [(Uuid, &[u8]); 4] =
        [(BL2, bl2), (Image::Bl31.uuid(), bl31), (Image::Bl32.uuid(), &[]), (Image::Bl33.uuid(), &[])];
    let mut at = HEADER + (images.len() + 1) * ENTRY;
    let (mut table, mut content) = (TOC.map(u32::to_le_bytes).concat(), Vec::new());
    table.resize(HEADER, 0);
    for (uuid, bytes) in images.into_iter().chain([(Uuid::nil(), &[][..])]) {
        table.extend_from_slice(uuid.as_bytes());
        table.extend([at, bytes.len(), 0].map(|number| (number as u64).to_le_bytes()).concat());
        content.extend_from_slice(bytes);
        at += bytes.len();
    }
    let mut flash = bl1.to_vec();
    flash.resize(base, 0);
    Ok([flash, table, content].concat())
}

/// Writes into the manifest that an earlier flash of ours has beside the package what its images hash to now.
fn certify(flash: &mut [u8], new: Image, bytes: &[u8]) {
    let place = FLASH_MANIFEST.base as usize;
    let Ok(manifest) = Manifest::parse(&flash[place..]) else { return };
    let entries = Image::ALL.map(|image| {
        if image != new {
            return manifest.entry(image).copied();
        }
        let uuid = image.uuid().into_bytes();
        Some(ManifestEntry { uuid, size: bytes.len() as u64, sha256: Sha256::digest(bytes).into() })
    });
    let manifest = Manifest::new(&entries.into_iter().flatten().collect::<Vec<_>>());
    flash[place..place + size_of::<Manifest>()].copy_from_slice(manifest.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::fip::{fip_size, write_fip};

    fn flash() -> Vec<u8> {
        let images: &[(Image, &[u8])] = &[(Image::Bl31, b"runtime"), (Image::Bl33, b"loader"), (Image::Bl32, b"tee")];
        let mut package = vec![0; fip_size(images)];
        write_fip(images, &mut package);
        let mut flash = vec![0xA5; FLASH_FIP.base as usize];
        flash.extend(package);
        flash.extend([0xFF; 100]);
        flash
    }

    fn told(flash: &[u8]) -> String {
        with_image(flash, Image::Bl33, b"probe").unwrap_err().to_string()
    }

    #[test]
    fn another_normal_world_takes_the_place_of_the_first_and_nothing_else_moves() {
        let old = flash();
        let new = with_image(&old, Image::Bl33, &[7; 5000]).unwrap();
        let base = FLASH_FIP.base as usize;
        assert_eq!(new[..base], old[..base]);
        let fip = Fip::parse(&new[base..]).unwrap();
        assert_eq!(fip.image(Image::Bl33).unwrap().unwrap(), [7; 5000]);
        let place = |flash: &[u8], image: Image| {
            let bytes = Fip::parse(&flash[base..]).unwrap().image(image).unwrap().unwrap();
            (bytes.to_vec(), bytes.as_ptr().addr() - flash.as_ptr().addr())
        };
        for image in [Image::Bl31, Image::Bl32] {
            assert_eq!(place(&new, image), place(&old, image));
        }
    }

    #[test]
    fn a_manifest_of_ours_says_what_the_new_one_hashes_to() {
        let mut old = flash();
        let listed = [Image::Bl31, Image::Bl33].map(|image| ManifestEntry {
            uuid: image.uuid().into_bytes(),
            size: 7,
            sha256: [1; 32],
        });
        let place = FLASH_MANIFEST.base as usize;
        old[place..place + size_of::<Manifest>()].copy_from_slice(Manifest::new(&listed).as_bytes());
        let new = with_image(&old, Image::Bl33, b"probe").unwrap();
        let manifest = Manifest::parse(&new[place..]).unwrap();
        let entry = manifest.entry(Image::Bl33).unwrap();
        assert_eq!((entry.size, entry.sha256.to_vec()), (5, Sha256::digest(b"probe").to_vec()));
        assert_eq!(manifest.entry(Image::Bl31).unwrap().sha256, [1; 32]);
        assert!(manifest.entry(Image::Bl32).is_none());
    }

    #[test]
    fn what_has_no_bl33_to_replace_is_refused_with_the_reason() {
        assert!(told(b"").contains("no firmware image package"));
        assert!(told(&flash()[FLASH_FIP.base as usize..]).starts_with("it is a firmware image package alone"));
        assert!(told(&flash()[..FLASH_FIP.base as usize + 50]).contains("table of contents has no end"));
        assert!(told(&flash()[..flash().len() - 110]).contains("cut short"));
        let mut without = flash();
        without[FLASH_FIP.base as usize + HEADER + ENTRY] ^= 1;
        assert!(told(&without).contains("no BL33"));
    }

    #[test]
    fn a_bl33_that_is_certified_cannot_be_replaced() {
        let mut signed = flash();
        let third = FLASH_FIP.base as usize + HEADER + 2 * ENTRY;
        signed[third..third + 16].copy_from_slice(CERTIFICATE.as_bytes());
        assert!(told(&signed).contains("TRUSTED_BOARD_BOOT"));
    }

    #[test]
    fn parts_make_a_flash_in_which_tee_and_normal_world_have_their_places() {
        let flash = of_parts(b"bl1", b"the loader", b"the runtime").unwrap();
        let flash = with_image(&flash, Image::Bl32, b"a TEE").unwrap();
        let flash = with_image(&flash, Image::Bl33, &[7; 99]).unwrap();
        assert_eq!(&flash[..4], b"bl1\0");
        let base = FLASH_FIP.base as usize;
        let fip = Fip::parse(&flash[base..]).unwrap();
        let image = |image| fip.image(image).unwrap().unwrap();
        assert_eq!((image(Image::Bl31), image(Image::Bl32)), (&b"the runtime"[..], &b"a TEE"[..]));
        assert_eq!(image(Image::Bl33), [7; 99]);
        let bl2 = flash.windows(16).position(|bytes| bytes == BL2.as_bytes()).unwrap() + OFFSET;
        let at = base + u64::from_le_bytes(flash[bl2..bl2 + 8].try_into().unwrap()) as usize;
        assert!(flash[at..].starts_with(b"the loader"));
        assert!(of_parts(&vec![0; base + 1], b"2", b"31").unwrap_err().to_string().starts_with("BL1 has"));
        assert_eq!(of_parts(b"1", b"2", b"").unwrap_err().to_string(), "BL31 is empty");
    }
}
