// SPDX-License-Identifier: MIT OR Apache-2.0
//! From ELF to the raw bytes that a machine without a loader starts.

use anyhow::{Context, Result, bail, ensure};
use object::LittleEndian as Le;
use object::elf::{EM_AARCH64, ET_DYN, FileHeader64, PT_INTERP, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// No image of ours comes near this; a wrong address in a linker script would.
const LARGEST: u64 = 32 << 20;

/// Guest-physical addresses that a program was linked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of its first byte.
    pub address: u64,
    /// Of its first instruction.
    pub entry: u64,
}

/// Makes the image in memory order from its first loaded byte: file contents at their *load* addresses, gaps zero, what
/// is only zeroed at run time (`.bss`) left out.
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

/// A program of somebody else's, as it is to be in memory, what is zeroed at run time included.
#[derive(Debug)]
pub struct Loadable {
    /// From its first byte on.
    pub bytes: Vec<u8>,
    /// Where it must stand; none for one that runs anywhere.
    pub place: Option<Place>,
}

/// Reads a program that was linked for bare metal, as other loaders take it: each segment at its *load* address.
pub fn program(elf: &[u8]) -> Result<Loadable> {
    let header = FileHeader64::<Le>::parse(elf).context("it is not 64-bit, or damaged")?;
    let endian = header.endian().context("it is not little-endian")?;
    ensure!(header.e_machine(endian) == EM_AARCH64, "it is for another machine than AArch64");
    let entry = header.e_entry(endian);
    let mut loads = Vec::new();
    let mut entered = None;
    for segment in header.program_headers(endian, elf).context("it has damaged program headers")? {
        let kind = segment.p_type(endian);
        ensure!(kind != PT_INTERP, "it is a program for an operating system");
        let (address, memory) = (segment.p_paddr(endian), segment.p_memsz(endian));
        if kind != PT_LOAD || memory == 0 {
            continue;
        }
        let Ok(data) = segment.data(endian, elf) else { bail!("a segment lies outside of the file") };
        ensure!(data.len() as u64 <= memory, "a segment has more in the file than in memory");
        if let Some(offset) = entry.checked_sub(segment.p_vaddr(endian)).filter(|offset| *offset < memory) {
            entered = address.checked_add(offset);
        }
        loads.push((address, memory, data));
    }
    loads.sort_by_key(|(address, ..)| *address);
    let Some(&(base, ..)) = loads.first() else { bail!("there is nothing to load in it") };
    let entered = entered.with_context(|| format!("its entry {entry:#x} is in none of its segments"))?;
    let mut bytes = Vec::new();
    for (address, memory, data) in loads {
        let offset = address - base;
        let end = offset.checked_add(memory).filter(|end| *end <= LARGEST_PROGRAM);
        let end = end.with_context(|| format!("its segments span more than {} MiB", LARGEST_PROGRAM >> 20))?;
        ensure!(offset >= bytes.len() as u64, "its segments overlap at {address:#x}");
        bytes.resize(offset as usize, 0);
        bytes.extend_from_slice(data);
        bytes.resize(end as usize, 0);
    }
    let place = Place { address: base, entry: entered };
    if header.e_type(endian) == ET_DYN && base == 0 {
        ensure!(entered == base, "it runs anywhere, but is not entered at its first byte");
        return Ok(Loadable { bytes, place: None });
    }
    Ok(Loadable { bytes, place: Some(place) })
}

/// The most that a program may span.
const LARGEST_PROGRAM: u64 = 512 << 20;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) struct Segment {
        pub(crate) virtual_address: u64,
        pub(crate) physical_address: u64,
        pub(crate) data: &'static [u8],
        pub(crate) memory: u64,
    }

    pub(crate) fn elf(entry: u64, segments: &[Segment]) -> Vec<u8> {
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
            assert!(program(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_program_is_laid_out_with_what_is_zeroed_and_entered_by_its_load_address() {
        let text = Segment { virtual_address: 0x8_0000, physical_address: 0x4008_0000, data: b"text", memory: 8 };
        let data = Segment { virtual_address: 0x9_0000, physical_address: 0x4008_0010, data: b"data", memory: 16 };
        let bss = Segment { virtual_address: 0xA_0000, physical_address: 0x4008_0020, data: b"", memory: 16 };
        let program = program(&elf(0x8_0002, &[data, text, bss])).unwrap();
        assert_eq!(program.place, Some(Place { address: 0x4008_0000, entry: 0x4008_0002 }));
        assert_eq!(program.bytes, [b"text".as_slice(), &[0; 12], b"data", &[0; 28]].concat());
    }

    #[test]
    fn what_is_no_program_for_a_vm_says_why() {
        let why = |elf: Vec<u8>| program(&elf).unwrap_err().to_string();
        assert!(why(elf(0x2000, &[TEXT])).contains("entry 0x2000 is in none of its segments"));
        let over = Segment { virtual_address: 0x1002, physical_address: 0x1002, data: b"x", memory: 1 };
        assert!(why(elf(0x1000, &[TEXT, over])).contains("overlap at 0x1002"));
        let far = Segment { virtual_address: 1 << 40, physical_address: 1 << 40, data: b"x", memory: 1 };
        assert!(why(elf(0x1000, &[TEXT, far])).contains("more than 512 MiB"));
        let endless = Segment { virtual_address: 0x2000, physical_address: 0x2000, data: b"x", memory: u64::MAX };
        assert!(why(elf(0x1000, &[TEXT, endless])).contains("more than 512 MiB"));
        let small = Segment { virtual_address: 0x1000, physical_address: 0x1000, data: b"text", memory: 3 };
        assert!(why(elf(0x1000, &[small])).contains("more in the file"));
        assert!(why(elf(0x1000, &[])).contains("nothing to load"));
        let mut x86 = elf(0x1000, &[TEXT]);
        x86[18] = 62;
        assert!(why(x86).contains("another machine"));
        let mut linux = elf(0x1000, &[TEXT]);
        linux[64] = 3;
        assert!(why(linux).contains("operating system"));
        // Linked to run anywhere.
        let low = Segment { virtual_address: 0, physical_address: 0, data: b"text", memory: 4 };
        let mut pie = elf(0, &[low]);
        pie[16] = 3;
        assert_eq!(program(&pie).unwrap().place, None);
    }
}
