// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages that are right, and every way of being wrong.

use super::*;
use crate::digest::SOFTWARE;
use sha2::{Digest, Sha256};
use shared_abi::fip::{ManifestEntry, fip_size, write_fip};
use std::vec;
use std::vec::Vec;

const PLACE: Range = Range::new(0x1000, 0x100);

fn entry(image: Image, bytes: &[u8]) -> ManifestEntry {
    let sha256 = Sha256::digest(bytes).into();
    ManifestEntry { uuid: image.uuid().into_bytes(), size: bytes.len() as u64, sha256 }
}

fn package(images: &[(Image, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; fip_size(images)];
    write_fip(images, &mut bytes);
    bytes
}

/// Loads BL32 from `package`, as the manifest has it for `expected`.
fn load(package: &[u8], manifest: &Manifest, place: Range) -> Option<Result<Vec<u8>, Refusal>> {
    let package = match Fip::parse(package) {
        Ok(package) => package,
        Err(error) => return Some(Err(Refusal::Package(error))),
    };
    Some(find(&package, manifest, Image::Bl32, place)?.and_then(|candidate| {
        let mut destination = vec![0xEE; candidate.place.size as usize];
        candidate.load(&mut destination, SOFTWARE).map(|()| destination)
    }))
}

fn good() -> (Vec<u8>, Manifest) {
    (package(&[(Image::Bl31, b"runtime"), (Image::Bl32, b"trusted")]), Manifest::new(&[entry(Image::Bl32, b"trusted")]))
}

#[test]
fn what_the_manifest_names_is_loaded() {
    let (package, manifest) = good();
    assert_eq!(load(&package, &manifest, PLACE), Some(Ok(b"trusted".to_vec())));
}

#[test]
fn what_is_not_in_the_package_is_not_there() {
    let (_, manifest) = good();
    assert_eq!(load(&package(&[(Image::Bl31, b"runtime")]), &manifest, PLACE), None);
}

#[test]
fn every_changed_bit_is_found() {
    let (package, manifest) = good();
    let start = package.len() - b"trusted".len();
    for bit in 0..8 * b"trusted".len() {
        let mut package = package.clone();
        package[start + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(load(&package, &manifest, PLACE), Some(Err(Refusal::Hash)));
    }
}

#[test]
fn a_package_cut_short_anywhere_loads_nothing() {
    let (package, manifest) = good();
    for len in 0..package.len() {
        let result = load(&package[..len], &manifest, PLACE);
        assert!(matches!(result, Some(Err(Refusal::Package(_)))), "{len}: {result:?}");
    }
}

#[test]
fn a_hostile_table_of_contents_loads_nothing_and_breaks_nothing() {
    let (package, manifest) = good();
    // The second entry: after the header (16), the first entry (40) and its own UUID (16).
    let offset_at = 16 + 40 + 16;
    let len = package.len() as u64;
    for offset in [0, 1, len - 1, len, len + 1, u64::MAX, u64::MAX - 6, 1 << 63] {
        for size in [0, 1, 6, 8, len, u64::MAX, u64::MAX - offset, (1u64 << 63).wrapping_sub(offset)] {
            let mut package = package.clone();
            package[offset_at..offset_at + 8].copy_from_slice(&offset.to_le_bytes());
            package[offset_at + 8..offset_at + 16].copy_from_slice(&size.to_le_bytes());
            assert!(matches!(load(&package, &manifest, PLACE), Some(Err(_))), "{offset:#x} {size:#x}");
        }
    }
}

#[test]
fn the_manifest_decides_what_may_be_loaded_and_how_long_it_is() {
    let (package, _) = good();
    let stranger = Manifest::new(&[entry(Image::Bl31, b"runtime")]);
    assert_eq!(load(&package, &stranger, PLACE), Some(Err(Refusal::Unknown)));
    let mut longer = entry(Image::Bl32, b"trusted");
    longer.size += 1;
    let wrong = Refusal::Size { found: 7, expected: 8 };
    assert_eq!(load(&package, &Manifest::new(&[longer]), PLACE), Some(Err(wrong)));
}

#[test]
fn an_image_must_fit_its_place_and_have_bytes() {
    let (bytes, manifest) = good();
    assert!(matches!(load(&bytes, &manifest, Range::new(0, 7)), Some(Ok(_))));
    assert_eq!(load(&bytes, &manifest, Range::new(0, 6)), Some(Err(Refusal::TooLarge { size: 7, room: 6 })));
    let empty = Manifest::new(&[entry(Image::Bl32, b"")]);
    assert_eq!(load(&package(&[(Image::Bl32, b"")]), &empty, PLACE), Some(Err(Refusal::Empty)));
}

#[test]
fn the_normal_world_has_the_ram_from_its_address_on_and_none_where_there_is_none() {
    let ram = |size| [Range::new(0x4000_0000, size)];
    assert_eq!(place(Image::Bl33, &ram(1 << 30)), Range::new(BL33_BASE, 0x2000_0000));
    assert_eq!(place(Image::Bl33, &ram(0x2000_0000)).size, 0);
    assert_eq!(place(Image::Bl33, &[]).size, 0);
    assert_eq!(place(Image::Bl31, &[]), MONITOR_RUNTIME);
    assert_eq!(place(Image::Bl32, &[]), TEE);
}
