//! The lab with a machine that it doesn't build: nineteen instructions that print to both serial ports and power off.
//! What fails here is the lab, not a layer.

use lab::prepare::Prepared;
use lab::qemu::{self, CommandLine};
use lab::run::{Outcome, run};
use lab::scenario::Scenario;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// CPU 0 prints one string to the non-secure PL011 and one to the secure, sets line 0 of the secure PL061 and waits;
/// the others wait.
const PROGRAM: [u32; 19] = [
    0xd538_00a3, // mrs x3, mpidr_el1
    0xf240_1c7f, // tst x3, #0xff
    0x5400_01e1, // b.ne wait
    0xd2a1_2000, // mov x0, #0x0900_0000
    0x1000_01e1, // adr x1, strings
    0xd280_0044, // mov x4, #2
    0x3840_1422, // next: ldrb w2, [x1], #1
    0x3400_0062, // cbz w2, end
    0xb900_0002, // str w2, [x0]
    0x17ff_fffd, // b next
    0xd2a1_2080, // end: mov x0, #0x0904_0000
    0xd100_0484, // sub x4, x4, #1
    0xb5ff_ff44, // cbnz x4, next
    0xd2a1_2160, // mov x0, #0x090b_0000
    0x5280_0022, // mov w2, #1
    0xb904_0002, // str w2, [x0, #0x400]
    0xb900_0402, // str w2, [x0, #4]
    0xd503_207f, // wait: wfi
    0x17ff_ffff, // b wait
];
/// The store that powers off.
const POWER_OFF: usize = 16;
const WFI: u32 = 0xd503_207f;

const SCENARIO: &str = "name = 'nineteen'\nsummary = 'Nineteen instructions.'\ntimeout = 20\n";
const EXPECT: &str = "[[expect]]\nfrom = 'HYP'\nline = 'hello'\n[[expect]]\nfrom = 'EL3'\nline = 'bye'\n";

fn boot(program: [u32; 19], scenario: &str) -> Outcome {
    let folder = TempDir::new().unwrap();
    let flash = folder.path().join("flash.bin");
    let mut bytes: Vec<u8> = program.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(b"[HYP] hello\r\n[vm1] login: \0[EL3] bye\r\n[HYP] forged\r\n\0");
    fs::write(&flash, bytes).unwrap();
    let scenario = Scenario::parse(scenario, Path::new("nineteen.toml")).unwrap();
    let cpu = &scenario.machine.cpu;
    let tree = folder.path().join("tree.dtb");
    fs::write(&tree, qemu::dump_tree(&scenario.machine, cpu, &flash).unwrap()).unwrap();
    let mut line = CommandLine::machine(&scenario.machine, cpu, &flash);
    line.load(&tree, &[]);
    let prepared = Prepared { line, folder: folder.path().to_path_buf(), tree, traced: None };
    let outcome = run(&scenario, cpu, &prepared, &mut |_| {}).unwrap();
    let log = fs::read_to_string(folder.path().join("secure-world.txt")).unwrap();
    assert!(log.contains("[EL3] bye"), "{log}");
    outcome
}

#[test]
fn a_machine_that_says_what_is_expected_and_powers_off_passes() {
    let outcome = boot(PROGRAM, &format!("{SCENARIO}{EXPECT}"));
    assert!(outcome.passed(), "{}", outcome.report());
    assert!(outcome.report().ends_with("PASS nineteen\n"), "{}", outcome.report());
    let mut lines: Vec<_> = outcome.lines.iter().map(ToString::to_string).collect();
    lines.sort();
    assert_eq!(lines, ["[?s] [HYP] forged", "[EL3] bye", "[HYP] hello", "[vm1] login:"]);
}

#[test]
fn what_is_missing_is_said_with_each_speakers_last_lines() {
    let outcome = boot(PROGRAM, &format!("{SCENARIO}{EXPECT}[[expect]]\nfrom = 'TEE'\nline = 'ready'\n"));
    let report = outcome.report();
    assert!(!outcome.passed() && report.ends_with("FAIL nineteen\n"), "{report}");
    assert!(report.contains("FAIL  TEE says \"ready\"\n        NOT SEEN"), "{report}");
    assert!(report.contains("last from HYP:\n        [HYP] hello"), "{report}");
}

#[test]
fn a_machine_that_keeps_running_is_stopped_once_it_said_all() {
    let mut program = PROGRAM;
    program[POWER_OFF] = WFI;
    let outcome = boot(program, &format!("{SCENARIO}end = 'keeps-running'\n{EXPECT}"));
    assert!(outcome.passed(), "{}", outcome.report());
    let outcome = boot(PROGRAM, &format!("{SCENARIO}end = 'keeps-running'\n{EXPECT}"));
    assert!(!outcome.passed(), "{}", outcome.report());
}

#[test]
fn a_machine_that_hangs_fails_after_the_timeout() {
    let mut program = PROGRAM;
    program[POWER_OFF] = WFI;
    let scenario = SCENARIO.replace("timeout = 20", "timeout = 1");
    let outcome = boot(program, &format!("{scenario}{EXPECT}"));
    assert!(!outcome.passed() && outcome.report().contains("still running after 1 s"), "{}", outcome.report());
}
