// SPDX-License-Identifier: MIT OR Apache-2.0
//! Another firmware's flash with a normal world of ours.
//!
//! The flash is one for this machine: boot code at its first byte, and at 0x4_0000 a firmware image package, where
//! TF-A's port for it has one. The new BL33 goes behind the package's last image, so that no other image moves; its
//! entry in the table of contents and the table's end are all that changes.

use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};
use shared_abi::fip::{Error, Fip, Image, Manifest, ManifestEntry};
use shared_abi::layout::{FLASH, FLASH_FIP, FLASH_MANIFEST};
use uuid::{Uuid, uuid};
use zerocopy::IntoBytes;

/// TF-A's certificate of BL33's hash (`firmware_image_package.h`). It is there if the images before BL33 check it.
const CERTIFICATE: Uuid = uuid!("8ec4c1f3-5d63-e411-a7a9-87ee40b23fa7");
/// Bytes of the table's header and of its entries (`fip_toc_header_t`, `fip_toc_entry_t`).
const HEADER: usize = 16;
const ENTRY: usize = 40;
/// Where an entry says where its image is, and how long.
const OFFSET: usize = 16;
const SIZE: usize = 24;

/// Checks that a flash is one whose BL33 can be ours.
pub(crate) fn check(flash: &[u8]) -> Result<()> {
    with_normal_world(flash, &[]).map(|_| ())
}

/// Makes the flash with this image as its BL33.
pub(crate) fn with_normal_world(flash: &[u8], bl33: &[u8]) -> Result<Vec<u8>> {
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
    match fip.image(Image::Bl33) {
        Some(Ok(_)) => {}
        Some(Err(error)) => bail!("its {} is damaged ({error})", Image::Bl33),
        None => bail!("it has no {} whose place our normal world could take", Image::Bl33),
    }
    let entries = || package[HEADER..].chunks_exact(ENTRY);
    let find = |uuid: &[u8]| entries().position(|entry| entry.starts_with(uuid));
    let (Some(index), Some(end)) = (find(Image::Bl33.uuid().as_bytes()), find(&[0; 16])) else {
        bail!("its table of contents has no end");
    };
    ensure!(
        find(CERTIFICATE.as_bytes()).is_none_or(|certificate| certificate > end),
        "it was built with TRUSTED_BOARD_BOOT: BL2 starts no other BL33 than the one whose hash is certified"
    );
    let entry = |index: usize| base + HEADER + index * ENTRY;
    let length = u64::from_le_bytes(flash[entry(end) + OFFSET..][..8].try_into()?) as usize;
    let at = length.next_multiple_of(64);
    let mut new = flash[..base + length].to_vec();
    new.resize(base + at, 0);
    new.extend_from_slice(bl33);
    ensure!(new.len() as u64 <= FLASH.size, "with our normal world it does not fit the machine's flash");
    let mut put = |at: usize, number: usize| new[at..at + 8].copy_from_slice(&(number as u64).to_le_bytes());
    put(entry(index) + OFFSET, at);
    put(entry(index) + SIZE, bl33.len());
    put(entry(end) + OFFSET, at + bl33.len());
    certify(&mut new, bl33);
    Ok(new)
}

/// Writes into the manifest that an earlier flash of ours has beside the package what its images hash to now.
fn certify(flash: &mut [u8], bl33: &[u8]) {
    let place = FLASH_MANIFEST.base as usize;
    let Ok(manifest) = Manifest::parse(&flash[place..]) else { return };
    let entries = Image::ALL.map(|image| match image {
        Image::Bl33 => Some(ManifestEntry {
            uuid: image.uuid().into_bytes(),
            size: bl33.len() as u64,
            sha256: Sha256::digest(bl33).into(),
        }),
        _ => manifest.entry(image).copied(),
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
        with_normal_world(flash, b"probe").unwrap_err().to_string()
    }

    #[test]
    fn another_normal_world_takes_the_place_of_the_first_and_nothing_else_moves() {
        let old = flash();
        let new = with_normal_world(&old, &[7; 5000]).unwrap();
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
        let new = with_normal_world(&old, b"probe").unwrap();
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
}
