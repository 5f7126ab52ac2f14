// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab with a machine that it doesn't build: nineteen instructions that print to both serial ports and power off.
//! What fails here is the lab, not a layer.

use lab_run::plan::Plan;
use lab_run::prepare::Prepared;
use lab_run::qemu::{self, CommandLine};
use lab_run::run::{Outcome, run};
use lab_run::scenario::Scenario;
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
/// The stores that power off, and the value they store.
const POWER_OFF: usize = 16;
const LINE: usize = 14;
const WFI: u32 = 0xd503_207f;

const SCENARIO: &str = "name = 'nineteen'\nsummary = 'Nineteen instructions.'\ntimeout = 20\n";
const EXPECT: &str = "[[expect]]\nfrom = 'HYP'\nline = 'hello'\n[[expect]]\nfrom = 'EL3'\nline = 'bye'\n";

/// What it prints to either port.
const LINES: &[u8] = b"[HYP] hello\r\n[vm1] login: \0[EL3] bye\r\n[HYP] forged\r\n\0";

fn boot(program: [u32; 19], scenario: &str) -> Outcome {
    boot_saying(program, LINES, scenario)
}

fn boot_saying(program: [u32; 19], lines: &[u8], scenario: &str) -> Outcome {
    let folder = TempDir::new().unwrap();
    let flash = folder.path().join("flash.bin");
    let mut bytes: Vec<u8> = program.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(lines);
    fs::write(&flash, bytes).unwrap();
    let scenario = Scenario::parse(scenario, Path::new("nineteen.toml")).unwrap();
    let cpu = &scenario.machine.cpu;
    let tree = folder.path().join("tree.dtb");
    fs::write(&tree, qemu::dump_tree(&scenario.machine, cpu, &flash).unwrap()).unwrap();
    let mut line = CommandLine::machine(&scenario.machine, cpu, &flash);
    line.load(&tree, &[], &[]);
    let run_folder = folder.path().to_path_buf().into();
    let prepared = Prepared { plan: Plan::of(scenario).unwrap(), line, folder: run_folder, tree, traced: None };
    let outcome = run(&prepared, &mut |_| {}).unwrap();
    let log = fs::read_to_string(folder.path().join("secure-world.txt")).unwrap();
    assert!(log.contains("[EL3]"), "{log}");
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
    let report = outcome.report();
    // Each CPU is behind the instruction that makes it wait.
    let last = "still running after 1 s; cpu0 is at 0x44 in EL3; cpu1 is at 0x48 in EL3\n";
    assert!(!outcome.passed() && report.contains(last), "{report}");
}

/// Builds the program without its last act.
fn hanging() -> [u32; 19] {
    let mut program = PROGRAM;
    program[POWER_OFF] = WFI;
    program
}

#[test]
fn a_machine_that_resets_has_not_powered_off() {
    let mut program = PROGRAM;
    program[LINE] = 0x5280_0042; // mov w2, #2
    program[POWER_OFF] = 0xb900_0802; // str w2, [x0, #8]
    let outcome = boot(program, &format!("{SCENARIO}{EXPECT}"));
    let report = outcome.report();
    assert!(!outcome.passed() && report.contains("FAIL  the machine powers off\n        it reset itself"), "{report}");
}

const VM: &str = "[[vm]]\nname = 'one'\nmemory = '2M'\n";
const SEND: &str = "[[send]]\nto = 'vm1'\nafter = 'password:'\ntext = 'secret'\n";

#[test]
fn what_was_never_typed_fails_the_run_however_it_ends() {
    let not_typed = "FAIL  vm1 is sent \"secret\" after vm1 says \"password:\"\n        NOT TYPED: its line never came";
    let outcome = boot(PROGRAM, &format!("{SCENARIO}{VM}{SEND}{EXPECT}"));
    assert!(!outcome.passed() && outcome.report().contains(not_typed), "{}", outcome.report());
    let scenario = SCENARIO.replace("timeout = 20", "timeout = 1\nend = 'keeps-running'");
    let outcome = boot(hanging(), &format!("{scenario}{VM}{SEND}{EXPECT}"));
    assert!(!outcome.passed() && outcome.report().contains(not_typed), "{}", outcome.report());
    // It waits for the prompt that comes, and is typed.
    let outcome = boot(PROGRAM, &format!("{SCENARIO}{VM}{}{EXPECT}", SEND.replace("password:", "login:")));
    assert!(outcome.passed(), "{}", outcome.report());
    assert!(outcome.report().contains("ok    vm1 is sent \"secret\""), "{}", outcome.report());
}

#[test]
fn a_vm_that_is_skipped_ends_the_run_at_once_unless_that_is_expected() {
    let lines =
        b"[HYP] domU1 is too small for its images: memory is 2048 KiB; skipped\r\n[vm2] hi\r\n\0[EL3] bye\r\n\0";
    let two = format!("{VM}{}", VM.replace("one", "two"));
    // All that is written down holds.
    let expects = "[[expect]]\nfrom = 'vm1'\nabsent = true\n[[expect]]\nfrom = 'vm2'\nline = 'hi'\n";
    let scenario = SCENARIO.replace("timeout = 20", "timeout = 60");
    let outcome = boot_saying(hanging(), lines, &format!("{scenario}{two}{expects}"));
    let report = outcome.report();
    assert!(!outcome.passed(), "{report}");
    assert!(report.contains("FAIL  the hypervisor makes every VM\n        [HYP] domU1 is too small"), "{report}");
    assert!(report.contains("the lab stopped it, after [HYP] domU1 is too small"), "{report}");
    let skipped = "[[expect]]\nfrom = 'HYP'\nregex = 'domU1 is too small'\n";
    let outcome = boot_saying(PROGRAM, lines, &format!("{SCENARIO}{two}{expects}{skipped}"));
    assert!(outcome.passed(), "{}", outcome.report());
}

#[test]
fn firmware_that_stops_ends_the_run_at_once() {
    let lines = b"\0[EL3] BL33 (normal world): wrong SHA-256; stopped\r\n\0";
    let scenario = SCENARIO.replace("timeout = 20", "timeout = 60");
    let outcome = boot_saying(hanging(), lines, &format!("{scenario}{EXPECT}"));
    let report = outcome.report();
    assert!(report.contains("FAIL  the firmware boots\n        [EL3] BL33 (normal world): wrong SHA-256"), "{report}");
}

#[test]
fn silence_about_a_crash_counts_only_of_one_who_spoke() {
    let absent = |from: &str| format!("{EXPECT}[[expect]]\nfrom = '{from}'\nline = 'crash'\nabsent = true\n");
    assert!(boot(PROGRAM, &format!("{SCENARIO}{VM}{}", absent("vm1"))).passed());
    let outcome = boot(PROGRAM, &format!("{SCENARIO}{}", absent("TEE")));
    let report = outcome.report();
    assert!(!outcome.passed() && report.contains("TEE said nothing at all, so this shows nothing"), "{report}");
}
