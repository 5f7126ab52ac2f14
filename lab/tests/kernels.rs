// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels as they come, started: packed, linked for one place, and looking for their tree behind themselves.

use flate2::Compression;
use flate2::write::GzEncoder;
use lab_run::firmware::Program;
use lab_run::guests::Linux;
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::progress::Progress;
use lab_run::run::run;
use lab_run::scenario::Scenario;
use lab_run::workspace::Workspace;
use std::fs;
use std::io::Write;

/// A program that looks for its tree behind itself, 2 MiB by 2 MiB; says `DTB` if x0 says the same, `???` if not; and
/// switches itself off. If there is none it falls off the end of its RAM.
const SEARCHES: [u32; 28] = [
    0xD2A8_0401, // movz x1, #0x4020, lsl #16
    0x5281_BA02, // movz w2, #0x0DD0
    0x72BD_BFC2, // movk w2, #0xEDFE, lsl #16
    0xB940_0023, // ldr  w3, [x1]
    0x6B02_007F, // cmp  w3, w2
    0x5400_0060, // b.eq .+12
    0x9148_0021, // add  x1, x1, #0x200, lsl #12
    0x17FF_FFFC, // b    .-16
    0xD2A1_2004, // movz x4, #0x0900, lsl #16
    0x5280_07E5, // movz w5, #'?'
    0x5280_07E6, // movz w6, #'?'
    0x5280_07E7, // movz w7, #'?'
    0xEB01_001F, // cmp  x0, x1
    0x5400_0081, // b.ne .+16
    0x5280_0885, // movz w5, #'D'
    0x5280_0A86, // movz w6, #'T'
    0x5280_0847, // movz w7, #'B'
    0xB900_0085, // str  w5, [x4]
    0xB900_0086, // str  w6, [x4]
    0xB900_0087, // str  w7, [x4]
    0x5280_0148, // movz w8, #'\n'
    0xB900_0088, // str  w8, [x4]
    0x5280_0100, // movz w0, #8
    0x72B0_8000, // movk w0, #0x8400, lsl #16
    0xD400_0003, // smc  #0
    0x1400_0000, // b    .
    0,
    0,
];

fn code(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Puts a kernel for EFI around a payload, as Linux's `vmlinuz` is.
fn zboot(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x200];
    file[..8].copy_from_slice(b"MZ\0\0zimg");
    file[8..12].copy_from_slice(&0x200u32.to_le_bytes());
    file[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file[24..28].copy_from_slice(b"gzip");
    [&file, payload].concat()
}

/// Makes an ELF file of one segment, entered after its first two words.
fn elf(address: u64, data: &[u8], memory: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xB7\0\x01\0\0\0".to_vec();
    for word in [address + 8, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0; 4]);
    for half in [64u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    file.extend(5u32.to_le_bytes());
    for word in [0x1000, address, address, data.len() as u64, memory, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.resize(0x1000, 0);
    file.extend(data);
    file
}

#[test]
fn kernels_start_as_they_come() {
    let workspace = Workspace::locate().unwrap();
    let kit = Kit::whole(&workspace, Linux::None, &Progress::silent()).unwrap();
    let guest = kit.firmware().read(Program::BareGuest).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    put("gzip", &gzip(&guest));
    put("zboot", &zboot(&gzip(&guest)));
    put("flat", &code(&SEARCHES));
    put("elf", &elf(0x4010_0000, &code(&[&[0, 0], &SEARCHES[..]].concat()), 0x5000));
    let vm = |name: &str, more: &str| format!("[[vm]]\nname = '{name}'\nkernel = '{name}'\nmemory = '16M'\n{more}\n");
    let expect = |from: &str, line: &str| format!("[[expect]]\nfrom = '{from}'\nline = '{line}'\n");
    let text = [
        "name = 'kernels'\nsummary = 'Kernels as they come.'\n".to_owned(),
        vm("gzip", "properties = { 'xen,tee' = 'optee', 'direct-map' = true }\nbootargs = 'print=hello'"),
        vm("zboot", "tee = true"),
        vm("flat", "dtb = 'after-kernel'"),
        vm("elf", "dtb = 'after-kernel'"),
        expect("vm1", "hello"),
        expect("vm1", "bare-guest: PASS"),
        expect("vm2", "bare-guest: PASS"),
        expect("vm3", "DTB"),
        expect("vm4", "DTB"),
        expect("HYP", "domU1 has direct-map, which is not followed: its RAM begins at 0x40000000"),
        expect("HYP", "vm3: its kernel has no arm64 Image header: it is started as code at 0x40080000"),
        expect("HYP", "vm4: its kernel has no arm64 Image header: it is started as code at 0x40100008"),
        expect("HYP", "all VMs are off"),
        "[[expect]]\nfrom = 'HYP'\nline = 'vm1: its kernel'\nabsent = true\n".into(),
    ];
    let scenario = Scenario::parse(&text.concat(), &folder.path().join("kernels.toml")).unwrap();
    let outcome = run(&prepare(&workspace, &Plan::of(scenario).unwrap(), &kit).unwrap(), &mut |_| {}).unwrap();
    assert!(outcome.passed(), "{}", outcome.report());
}

#[test]
fn a_kernel_that_cannot_start_is_named_before_anything_boots() {
    let workspace = Workspace::locate().unwrap();
    let kit = Kit::whole(&workspace, Linux::None, &Progress::silent()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let refusal = |bytes: &[u8]| {
        fs::write(folder.path().join("file"), bytes).unwrap();
        let text = "name = 'kernel'\nsummary = 'One.'\n[[vm]]\nname = 'one'\nkernel = 'file'\nmemory = '16M'\n\
                    [[expect]]\nfrom = 'vm1'\nline = 'x'\n";
        let scenario = Scenario::parse(text, &folder.path().join("kernel.toml")).unwrap();
        format!("{:#}", prepare(&workspace, &Plan::of(scenario).unwrap(), &kit).unwrap_err())
    };
    let said = refusal(b"BZh91AY&SY");
    assert!(said.contains("the VM one cannot start") && said.ends_with("unpack it to an arm64 Image"), "{said}");
    let said = refusal(&elf(0x8_0000, &[0; 16], 16));
    assert!(
        said.contains("it is linked for 0x80000, 16 bytes, and the VM's RAM is 0x40000000 to 0x41000000"),
        "{said}"
    );
    assert!(refusal(b"\x1F\x8B\x08 cut").contains("compressed by gzip, and damaged"));
}
