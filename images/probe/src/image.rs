// SPDX-License-Identifier: MIT OR Apache-2.0
//! A script appended to the probe's image.
//!
//! The image is an arm64 `Image`; of its header's reserved words the first says where in memory, from the image's first
//! byte, an appended script stands, the second how much room is there, and the third how long it is: 0 in an image that
//! has none.

use crate::script::{LARGEST, Script};
use shared_abi::image::ImageHeader;
use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

/// Why a script can't be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The image isn't the probe's.
    NoProbe,
    /// The script is larger than the room for it, which is this.
    TooLarge(usize),
}

/// Says where an appended script stands from the image's first byte, and how long it is.
pub fn appended(header: &ImageHeader) -> Option<(u64, usize)> {
    let [place, _, size] = header.reserved.map(U64::get);
    let size = usize::try_from(size).ok().filter(|size| (1..=LARGEST).contains(size))?;
    Some((place, size))
}

/// Says where a script goes in the file of this image: it is padded to there.
pub fn place_for(image: &[u8], script: &[u8]) -> Result<usize, Unfit> {
    let header = ImageHeader::parse(image).ok_or(Unfit::NoProbe)?;
    let [place, room, _] = header.reserved.map(U64::get);
    let (Ok(place), Ok(room)) = (usize::try_from(place), usize::try_from(room)) else { return Err(Unfit::NoProbe) };
    if place < image.len() || room == 0 || room > LARGEST {
        return Err(Unfit::NoProbe);
    }
    if script.len() > room || Script::parse(script).is_err() {
        return Err(Unfit::TooLarge(room));
    }
    Ok(place)
}

/// Says in an image's header that a script of this length is appended.
pub fn announce(image: &mut [u8], script: usize) {
    if let Ok((header, _)) = ImageHeader::mut_from_prefix(image) {
        header.reserved[2] = U64::new(script as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::wire::{List, Record};

    fn image() -> Vec<u8> {
        let mut image = vec![0; 100];
        image[56..60].copy_from_slice(b"ARM\x64");
        image[32] = 128;
        image[41] = 0x10;
        image
    }

    fn script() -> Vec<u8> {
        let (mut lists, mut script) = (Vec::new(), Vec::new());
        List::<'_, u8>::EMPTY.write(&mut lists);
        let empty =
            Script { files: List::EMPTY, variables: List::EMPTY, arena: 0, power_off: true, lists: List::of(&lists) };
        empty.write(&mut script);
        script
    }

    #[test]
    fn an_appended_script_is_found_by_the_header() {
        let (mut image, script) = (image(), script());
        assert_eq!(appended(ImageHeader::parse(&image).unwrap()), None);
        assert_eq!(place_for(&image, &script), Ok(128));
        announce(&mut image, script.len());
        assert_eq!(appended(ImageHeader::parse(&image).unwrap()), Some((128, script.len())));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(place_for(&[0; 100], &script()), Err(Unfit::NoProbe));
        assert_eq!(place_for(&image(), &[0; 0x1001]), Err(Unfit::TooLarge(0x1000)));
        let mut longer = image();
        longer.resize(129, 0);
        assert_eq!(place_for(&longer, &script()), Err(Unfit::NoProbe));
    }
}
