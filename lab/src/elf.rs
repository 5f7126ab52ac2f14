//! From ELF to the raw bytes that a machine without a loader starts.

use anyhow::{Context, Result, bail, ensure};
use object::LittleEndian as Le;
use object::elf::{EM_AARCH64, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// No image of ours comes near this; a wrong address in a linker script would.
const LARGEST: u64 = 32 << 20;

/// The image in memory order from its first loaded byte: file contents at their *load* addresses, gaps zero, what is
/// only zeroed at run time (`.bss`) left out.
///
/// All our images are entered at their first byte, so an entry elsewhere is a mistake in a linker script.
pub fn raw(elf: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<Le>::parse(elf).context("not a 64-bit ELF file")?;
    let endian = header.endian().context("not little-endian")?;
    ensure!(header.e_machine(endian) == EM_AARCH64, "not an AArch64 image");
    let mut loads = Vec::new();
    for segment in header.program_headers(endian, elf).context("damaged program headers")? {
        if segment.p_type(endian) == PT_LOAD && segment.p_filesz(endian) != 0 {
            let Ok(data) = segment.data(endian, elf) else { bail!("a segment lies outside of the file") };
            loads.push((segment.p_paddr(endian), segment.p_vaddr(endian), data));
        }
    }
    loads.sort_by_key(|(address, ..)| *address);
    let Some(&(base, first_virtual, _)) = loads.first() else { bail!("nothing to load in it") };
    ensure!(
        header.e_entry(endian) == first_virtual,
        "its entry {:#x} is not its first byte {first_virtual:#x}",
        header.e_entry(endian)
    );
    let mut image = Vec::new();
    for (address, _, data) in loads {
        let offset = address - base;
        ensure!(offset >= image.len() as u64, "segments overlap at {address:#x}");
        ensure!(offset + data.len() as u64 <= LARGEST, "spans more than {} MiB", LARGEST >> 20);
        image.resize(offset as usize, 0);
        image.extend_from_slice(data);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Segment {
        virtual_address: u64,
        physical_address: u64,
        data: &'static [u8],
        memory: u64,
    }

    fn elf(entry: u64, segments: &[Segment]) -> Vec<u8> {
        let headers_end = 64 + 56 * segments.len();
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(2u16.to_le_bytes());
        file.extend(EM_AARCH64.0.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(entry.to_le_bytes());
        file.extend(64u64.to_le_bytes());
        file.extend(0u64.to_le_bytes());
        file.extend(0u32.to_le_bytes());
        for half in [64, 56, segments.len() as u16, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let mut offset = headers_end as u64;
        for segment in segments {
            file.extend(PT_LOAD.0.to_le_bytes());
            file.extend(5u32.to_le_bytes());
            let size = segment.data.len() as u64;
            for word in [offset, segment.virtual_address, segment.physical_address, size, segment.memory, 1] {
                file.extend(word.to_le_bytes());
            }
            offset += size;
        }
        for segment in segments {
            file.extend(segment.data);
        }
        file
    }

    const TEXT: Segment = Segment { virtual_address: 0x1000, physical_address: 0x1000, data: b"text", memory: 4 };

    #[test]
    fn segments_are_laid_out_by_load_address_and_bss_is_left_out() {
        let data = Segment { virtual_address: 0xe00_0000, physical_address: 0x1008, data: b"data", memory: 0x1000 };
        let bss = Segment { virtual_address: 0xe10_0000, physical_address: 0xe10_0000, data: b"", memory: 0x1000 };
        assert_eq!(raw(&elf(0x1000, &[data, TEXT, bss])).unwrap(), b"text\0\0\0\0data");
    }

    #[test]
    fn an_entry_that_is_not_the_first_byte_is_refused() {
        assert!(raw(&elf(0x1002, &[TEXT])).unwrap_err().to_string().contains("entry 0x1002"));
    }

    #[test]
    fn overlapping_and_far_segments_are_refused() {
        let over = Segment { virtual_address: 0x1002, physical_address: 0x1002, data: b"x", memory: 1 };
        assert!(raw(&elf(0x1000, &[TEXT, over])).is_err());
        let far = Segment { virtual_address: 0x1000_0000, physical_address: 0x1000_0000, data: b"x", memory: 1 };
        assert!(raw(&elf(0x1000, &[TEXT, far])).is_err());
    }

    #[test]
    fn a_cut_file_is_refused_without_a_panic() {
        let whole = elf(0x1000, &[TEXT]);
        for length in 0..whole.len() {
            assert!(raw(&whole[..length]).is_err(), "{length}");
        }
    }
}
