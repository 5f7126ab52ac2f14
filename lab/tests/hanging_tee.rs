// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TEE that never comes back: from where it is to begin, on some CPUs or at all, or from a call.
//!
//! It is thirty instructions, given as a person's own TEE is: `lab run SCENARIO --tee FILE`. OP-TEE built for fewer
//! CPUs than there are does the same.

mod program;

use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// A branch to itself.
const LOOP: u32 = 0x1400_0000;

/// Answers its first entry with its table and calls with "unknown"; begins on CPUs 0 and 1, and on the others loops
/// with all interrupts masked, as it was entered.
const ON_TWO_CPUS: [u32; 30] = [
    0xd2b7_c000, // mov x0, #0xbe00_0000
    0x1000_0061, // adr x1, table
    0xd400_0003, // smc #0
    LOOP,
    0x1400_0009, // table: b call (yielding)
    0x1400_0008, // b call (fast)
    0x1400_000b, // b on
    0x1400_0010, // b off
    LOOP,        // resume
    LOOP,        // suspend
    LOOP,        // interrupt
    0x1400_0010, // b system_off
    LOOP,        // system reset
    0xd2b7_c000, // call: mov x0, #0xbe00_0000
    0xf280_00a0, // movk x0, #5
    0x9280_0001, // mov x1, #-1
    0xd400_0003, // smc #0
    0xd538_00a1, // on: mrs x1, mpidr_el1
    0x927f_0021, // and x1, x1, #2
    0xb500_0001, // cbnz x1, .
    0xd2b7_c000, // mov x0, #0xbe00_0000
    0xf280_0020, // movk x0, #1
    0xd400_0003, // smc #0
    0xd2b7_c000, // off: mov x0, #0xbe00_0000
    0xf280_0040, // movk x0, #2
    0xd280_0001, // mov x1, #0
    0xd400_0003, // smc #0
    0xd2b7_c000, // system_off: mov x0, #0xbe00_0000
    0xf280_00e0, // movk x0, #7
    0xd400_0003, // smc #0
];

/// Sleeps for ever at its first entry, which under icount costs no time.
const NOWHERE: [u32; 2] = [
    0xd503_207f, // wfi
    0x17ff_ffff, // b back
];

/// Runs a scenario with a TEE; returns whether it passed, and what was said.
fn run(tee: &[u32], scenario: &str) -> (bool, String) {
    let folder = TempDir::new().unwrap();
    let [image, file] = ["tee.bin", "hanging.toml"].map(|name| folder.path().join(name));
    fs::write(&image, tee.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    fs::write(&file, format!("name = 'hanging'\nsummary = 'Its TEE hangs.'\n{scenario}")).unwrap();
    let output = Command::new(program::lab()).arg("run").arg(&file).arg("--tee").arg(&image).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (output.status.success(), said)
}

#[test]
fn a_cpu_on_which_the_tee_hangs_is_off_again_and_the_others_run() {
    let (passed, said) = run(
        &ON_TWO_CPUS,
        "
        [machine]
        cpu = 'cortex-a57'
        cpus = 4
        [chain]
        normal-world = 'probe'
        [[step]]
        loop = 2
        as = 'n'
        from = 2
        steps = [
            { name = 'it is switched on', smc = 'PSCI_CPU_ON_64', x1 = 'n', x2 = 'image', expect = { x0 = 0 } },
            { name = 'and about to begin', smc = 'PSCI_AFFINITY_INFO_64', x1 = 'n', expect = { x0 = 2 } },
        ]
        [[step]]
        start = 'other'
        cpu = 1
        [[step]]
        join = 1
        [[step]]
        loop = 2
        as = 'n'
        from = 2
        steps = [
            { name = 'until it is off', loop = '-1', until = 'x0 == 1', steps = [
                { smc = 'PSCI_AFFINITY_INFO_64', x1 = 'n', expect = { '(x0 == 1) | (x0 == 2)' = 1 } },
            ] },
            { name = 'for good', smc = 'PSCI_CPU_ON_64', x1 = 'n', x2 = 'image', expect = { w0 = 0xFFFF_FFFA } },
        ]
        [[steps.other]]
        name = 'a CPU on which it begins has it'
        smc = 'OPTEE_SMC_CALLS_UID'
        expect = { w0 = 0xFFFF_FFFF }
        [[expect]]
        from = 'EL3'
        regex = '^cpu[23]: the TEE does not begin here, and is at 0xe10004c after 2 s: the CPU stays off;'
        count = 2
        ",
    );
    assert!(passed, "{said}");
}

#[test]
fn vms_run_on_the_cpus_that_run() {
    let (passed, said) = run(
        &ON_TWO_CPUS,
        "
        [machine]
        cpu = 'cortex-a57'
        cpus = 4
        [[vm]]
        name = 'spread'
        kernel = 'probe'
        memory = '32M'
        cpus = 4
        [[step]]
        loop = 3
        as = 'n'
        from = 1
        steps = [{ start = 'other', cpu = 'n' }, { join = 'n' }]
        [[steps.other]]
        name = 'a vCPU is on'
        smc = 'PSCI_AFFINITY_INFO_64'
        x1 = 'cpu'
        expect = { x0 = 0 }
        [[expect]]
        from = 'HYP'
        regex = '^CPU [23] .*is off again'
        count = 2
        [[expect]]
        from = 'HYP'
        line = '2 of 4 CPUs run'
        [[expect]]
        from = 'HYP'
        line = 'all VMs are off'
        ",
    );
    assert!(passed, "{said}");
}

#[test]
fn a_tee_that_never_answers_is_said_to_be_where_it_is_and_the_machine_goes_on_without_it() {
    let (passed, said) = run(
        &NOWHERE,
        "
        [machine]
        cpu = 'cortex-a57'
        cpus = 1
        icount = true
        [[vm]]
        name = 'bare'
        kernel = 'bare-guest'
        memory = '16M'
        [[expect]]
        from = 'EL3'
        regex = '^cpu0: the TEE does not come back from its first entry, and is at 0xe10000[04] after 30 s'
        [[expect]]
        from = 'HYP'
        regex = '^VMs boot without a TEE'
        [[expect]]
        from = 'HYP'
        line = 'all VMs are off'
        ",
    );
    assert!(passed, "{said}");
}

/// From a call the normal world waits for what it has called, as long as whoever watches does.
#[test]
fn a_call_that_never_returns_ends_the_run_with_where_the_tee_is() {
    for (entry, id) in [(4, "OPTEE_SMC_CALL_WITH_ARG"), (5, "OPTEE_SMC_CALLS_UID")] {
        let mut tee = ON_TWO_CPUS;
        tee[entry] = LOOP;
        let scenario = format!(
            "
            timeout = 3
            [machine]
            cpu = 'cortex-a57'
            cpus = 1
            [chain]
            normal-world = 'probe'
            [[step]]
            smc = '{id}'
            "
        );
        let (passed, said) = run(&tee, &scenario);
        let place = 0xE10_0000 + 4 * entry;
        let words = format!("still running after 3 s; cpu0 is at {place:#x} in S-EL1\n");
        assert!(!passed && said.contains(&words), "{said}");
    }
}
