// SPDX-License-Identifier: MIT OR Apache-2.0
//! Power: PSCI 1.1 (DEN 0022) and the calling convention (SMCCC, DEN 0028).

use crate::arch::boot::AT_ENTRY;
use crate::arch::others::{at_entry, entry, join, start};
use crate::arch::psci::{ask, call};
use crate::arch::snippet::snippet;
use crate::arch::sysreg::{read, write};
use crate::arch::{mmio, wait_for_interrupt};
use crate::check::{Answer, Topic, check, check_with};
use crate::clock;
use crate::gic;
use crate::inventory;
use crate::shared::Words;
use shared_abi::psci::*;
use shared_abi::smccc::{FunctionId, SMCCC_ARCH_FEATURES, SMCCC_VERSION};

pub(super) const TOPIC: Topic = Topic {
    name: "psci",
    checks: &[
        check("version", version),
        check("features", features),
        check("features-of-nothing", features_of_nothing),
        check("migrate", migrate),
        check("unknown-functions", unknown),
        check("smccc-version", smccc_version),
        check("registers-kept", registers_kept),
        check("immediates", immediates),
        check("by-smc", by_smc),
        check("from-el0", from_el0),
        check("entry-state", entry_state),
        check("affinity-info", affinity_info),
        check("affinity-info-levels", affinity_levels),
        check("affinity-info-of-nobody", affinity_nobody),
        check("on-itself", on_itself),
        check("on-nobody", on_nobody),
        check("on-narrow-arguments", narrow),
        check_with("on-and-off", 2, on_and_off),
        check_with("on-entry-state", 2, on_entry_state),
        check_with("on-context", 2, on_context),
        check_with("on-by-32-bits", 2, on_by_32),
        check_with("on-twice", 2, on_twice),
        check_with("on-bad-entry", 2, on_bad_entry),
        check_with("on-and-off-often", 2, on_off_often),
        check_with("on-from-other", 3, on_from_other),
        check_with("on-all", 2, on_all),
        check_with("off-keeps-memory", 2, off_keeps_memory),
        check("suspend-pending", suspend_pending),
        check("suspend-timer", suspend_timer),
        check("suspend-state-ids", suspend_states),
        check_with("suspend-sgi", 2, suspend_sgi),
    ],
};

static WORDS: Words = Words::new();

fn version(answer: &mut Answer) {
    answer.hex("version", ask(PSCI_VERSION, [0; 3]));
    answer.hex("with-arguments", ask(PSCI_VERSION, [u64::MAX; 3]));
}

/// Functions by their names in the specification.
const FUNCTIONS: [(&str, FunctionId); 18] = [
    ("version", PSCI_VERSION),
    ("suspend", PSCI_CPU_SUSPEND_32),
    ("suspend64", PSCI_CPU_SUSPEND_64),
    ("off", PSCI_CPU_OFF),
    ("on", PSCI_CPU_ON_32),
    ("on64", PSCI_CPU_ON_64),
    ("affinity", PSCI_AFFINITY_INFO_32),
    ("affinity64", PSCI_AFFINITY_INFO_64),
    ("migrate", FunctionId(0x8400_0005)),
    ("migrate-type", PSCI_MIGRATE_INFO_TYPE),
    ("migrate-cpu", FunctionId(0x8400_0007)),
    ("system-off", PSCI_SYSTEM_OFF),
    ("system-reset", PSCI_SYSTEM_RESET),
    ("features", PSCI_FEATURES),
    ("freeze", FunctionId(0x8400_000B)),
    ("default-suspend", FunctionId(0x8400_000C)),
    ("system-suspend", FunctionId(0x8400_000E)),
    ("set-suspend-mode", FunctionId(0x8400_000F)),
];

fn features(answer: &mut Answer) {
    for (name, function) in FUNCTIONS {
        answer.put(name, ask(PSCI_FEATURES, [function.0.into(), 0, 0]));
    }
}

/// What is optional, and what is none of PSCI's.
fn features_of_nothing(answer: &mut Answer) {
    for id in [0x8400_0010u32, 0x8400_0011, 0x8400_0014, 0x8400_001F, 0xC400_0000, 0x8400_FFFF, 0, 0x8600_0000] {
        answer.say(format_args!("{id:#x}:{}", ask(PSCI_FEATURES, [id.into(), 0, 0])));
    }
    answer.put("smccc", ask(PSCI_FEATURES, [SMCCC_VERSION.0.into(), 0, 0]));
    answer.put("reset2", ask(PSCI_FEATURES, [PSCI_SYSTEM_RESET2_64.0.into(), 0, 0]));
}

fn migrate(answer: &mut Answer) {
    answer.put("type", ask(PSCI_MIGRATE_INFO_TYPE, [0; 3]));
    answer.put("cpu", ask(FunctionId(0xC400_0007), [0; 3]));
    answer.put("migrate", ask(FunctionId(0xC400_0005), [1, 0, 0]));
}

fn unknown(answer: &mut Answer) {
    // Of PSCI, other owners, none at all, a yielding call, a hint of Xen's and KVM's.
    for id in
        [0x8400_001Fu32, 0xC400_001F, 0x8500_0000, 0xBF00_FF01, 0x8600_FF01, 0, 0xFFFF_FFFF, 0x0400_0000, 0x3200_0000]
    {
        let ran = call(&[id.into(), 1, 2, 3]);
        answer.say(format_args!("{id:#x}:{}", ran.x[0] as i64));
        if ran.caught.count() != 0 {
            answer.exceptions("", &ran.caught);
        }
    }
}

fn smccc_version(answer: &mut Answer) {
    answer.hex("version", ask(SMCCC_VERSION, [0; 3]));
    answer.put("features", ask(SMCCC_ARCH_FEATURES, [SMCCC_VERSION.0.into(), 0, 0]));
}

/// What a call may change: x0 to x3 of an SMC32 or SMC64 (SMCCC §2.6), of which PSCI gives x0.
fn registers_kept(answer: &mut Answer) {
    for function in [PSCI_VERSION, PSCI_FEATURES, PSCI_AFFINITY_INFO_64, FunctionId(0x8400_001F)] {
        let mut x: [u64; 29] = core::array::from_fn(|n| 0xA0 + n as u64);
        x[0] = function.0.into();
        let ran = call(&x);
        let kept = (1..29).filter(|n| ran.x[*n] == x[*n]).count();
        answer.say(format_args!("{:#x}:{kept}", function.0));
    }
    // Flags, vectors, the stack pointer.
    let ran = snippet!(
        "movi v3.16b, #7",
        "mov x9, sp",
        "cmp x0, x0",
        "hvc #0",
        "mrs x1, nzcv",
        "fmov x2, d3",
        "mov x10, sp",
        "sub x3, x10, x9"
    )
    .run(&[PSCI_VERSION.0.into()]);
    answer.say(format_args!("{:x?}", &ran.x[..4]));
}

/// The immediate of HVC says who is called; another one than 0 is not PSCI (SMCCC §2.9).
fn immediates(answer: &mut Answer) {
    for snippet in [snippet!("hvc #1"), snippet!("hvc #0xea1"), snippet!("hvc #0xffff")] {
        let ran = snippet.run(&[PSCI_VERSION.0.into()]);
        answer.hex("x0", ran.x[0]);
        answer.exceptions("", &ran.caught);
    }
}

fn by_smc(answer: &mut Answer) {
    let ran = snippet!("smc #0").run(&[PSCI_VERSION.0.into()]);
    answer.hex("x0", ran.x[0]);
    answer.exceptions("", &ran.caught);
}

fn from_el0(answer: &mut Answer) {
    for snippet in [snippet!("hvc #0", "svc #0xe0"), snippet!("smc #0", "svc #0xe0"), snippet!("wfi", "svc #0xe0")] {
        let ran = snippet.run_at_el0(&[PSCI_VERSION.0.into()]);
        answer.hex("x0", ran.x[0]);
        answer.exceptions("", &ran.caught);
    }
}

/// SCTLR_EL1's bits that the architecture gives a value out of reset: M, C, I, EE, E0E. DAIF, CurrentEL, SPSel.
fn state(answer: &mut Answer, registers: &[u64; AT_ENTRY]) {
    let [_, x1, x2, x3, sctlr, daif, level, spsel, _] = *registers;
    answer.say(format_args!("x1-x3={x1:x},{x2:x},{x3:x}"));
    answer.hex("sctlr", sctlr & (1 | 1 << 2 | 1 << 12 | 3 << 24));
    answer.say(format_args!("daif={daif:#x},el={},spsel={spsel}", level >> 2));
}

/// The boot CPU's, by the boot protocol of arm64 Linux.
fn entry_state(answer: &mut Answer) {
    state(answer, &at_entry(0));
}

fn affinity_info(answer: &mut Answer) {
    for cpu in 0..inventory::cpus() as u64 {
        answer.put("cpu", ask(PSCI_AFFINITY_INFO_64, [cpu, 0, 0]));
    }
    answer.put("by-32", ask(PSCI_AFFINITY_INFO_32, [0, 0, 0]));
}

fn affinity_levels(answer: &mut Answer) {
    for level in [1, 2, 3, 4, u64::MAX] {
        answer.say(format_args!("{level:#x}:{}", ask(PSCI_AFFINITY_INFO_64, [0, level, 0])));
    }
}

/// MPIDRs that no CPU has.
const NOBODY: [u64; 6] = [8, 0xFF, 0x100, 0x1_0000, 0x1_0000_0000, u64::MAX];

fn affinity_nobody(answer: &mut Answer) {
    for cpu in NOBODY {
        answer.say(format_args!("{cpu:#x}:{}", ask(PSCI_AFFINITY_INFO_64, [cpu, 0, 0])));
    }
}

fn on_itself(answer: &mut Answer) {
    answer.put("on", ask(PSCI_CPU_ON_64, [0, entry(), 0]));
    answer.put("on-32", ask(PSCI_CPU_ON_32, [0, entry(), 0]));
}

fn on_nobody(answer: &mut Answer) {
    for cpu in NOBODY {
        answer.say(format_args!("{cpu:#x}:{}", ask(PSCI_CPU_ON_64, [cpu, entry(), 0])));
    }
    answer.put("next", ask(PSCI_CPU_ON_64, [inventory::cpus() as u64, entry(), 0]));
}

/// Bits 63:32 of an SMC32's arguments are none.
fn narrow(answer: &mut Answer) {
    let high = 0xFFFF_FFFF << 32;
    answer.put("affinity", ask(PSCI_AFFINITY_INFO_32, [high, high, 0]));
    answer.put("on", ask(PSCI_CPU_ON_32, [high, entry() | high, high]));
    answer.put("features", ask(PSCI_FEATURES, [high | u64::from(PSCI_VERSION.0), 0, 0]));
    // And those of the function's number.
    let ran = call(&[high | u64::from(PSCI_VERSION.0)]);
    answer.hex("version", ran.x[0]);
}

fn off_by(cpu: usize) -> bool {
    clock::until(500, || ask(PSCI_AFFINITY_INFO_64, [cpu as u64, 0, 0]) == 1)
}

fn on_and_off(answer: &mut Answer) {
    WORDS.clear();
    answer.put("before", ask(PSCI_AFFINITY_INFO_64, [1, 0, 0]));
    answer.put(
        "on",
        start(1, || {
            WORDS.set(0, 1);
            WORDS.wait(1, 1);
        }),
    );
    WORDS.wait(0, 1);
    answer.put("while", ask(PSCI_AFFINITY_INFO_64, [1, 0, 0]));
    WORDS.set(1, 1);
    answer.join(1);
    answer.put("after", ask(PSCI_AFFINITY_INFO_64, [1, 0, 0]));
}

fn on_entry_state(answer: &mut Answer) {
    for _ in 0..2 {
        start(1, || {
            WORDS.set(0, read!("mpidr_el1") & 0xFF_00FF_FFFF);
            WORDS.set(1, read!("cntv_ctl_el0") & 3);
            WORDS.set(2, read!("icc_igrpen1_el1"));
            WORDS.set(3, read!("icc_pmr_el1"));
            WORDS.set(4, read!("cntkctl_el1"));
            WORDS.set(5, read!("icc_ctlr_el1") & 3);
            // Left behind for the next time.
            gic::init_cpu();
            gic::set_eoi_mode(true);
            write!("cntkctl_el1", 3);
            write!("cntv_cval_el0", u64::MAX);
            write!("cntv_ctl_el0", 1);
        });
        answer.join(1);
        state(answer, &at_entry(1));
        for word in 0..6 {
            answer.hex("", WORDS.get(word));
        }
    }
}

fn on_context(answer: &mut Answer) {
    // The context is whatever the caller likes; contract_entry takes it for the CPU's number.
    answer.put("on", ask(PSCI_CPU_ON_64, [1, entry(), 1]));
    answer.put("off", off_by(1));
    answer.hex("x0", at_entry(1)[0]);
}

fn on_by_32(answer: &mut Answer) {
    answer.put("on", ask(PSCI_CPU_ON_32, [1, entry(), 1]));
    answer.put("off", off_by(1));
    state(answer, &at_entry(1));
}

fn on_twice(answer: &mut Answer) {
    WORDS.clear();
    start(1, || {
        WORDS.set(0, 1);
        WORDS.wait(1, 1);
    });
    WORDS.wait(0, 1);
    answer.put("again", ask(PSCI_CPU_ON_64, [1, entry(), 1]));
    WORDS.set(1, 1);
    answer.join(1);
}

/// Where no code can be: it is refused, or accepted and the CPU is lost. A started CPU that faults ends in its own
/// vectors, of which it has none, so only what is refused is asked for.
fn on_bad_entry(answer: &mut Answer) {
    answer.put("odd", ask(PSCI_CPU_ON_64, [1, entry() + 2, 1]));
    answer.put("state", ask(PSCI_AFFINITY_INFO_64, [1, 0, 0]));
}

fn on_off_often(answer: &mut Answer) {
    WORDS.clear();
    let mut failed = 0;
    for round in 0..100 {
        if start(1, || WORDS.add(0, 1)) != 0 || !off_by(1) || WORDS.get(0) != round + 1 {
            failed += 1;
        }
    }
    answer.say(format_args!("rounds={},failed={failed}", WORDS.get(0)));
}

/// One that was started starts another.
fn on_from_other(answer: &mut Answer) {
    WORDS.clear();
    start(1, || {
        WORDS.set(0, 1 + start(2, || WORDS.set(1, read!("mpidr_el1") & 0xFF)) as u64);
    });
    answer.join(1);
    answer.join(2);
    answer.say(format_args!("{}/{}", WORDS.get(0), WORDS.get(1)));
}

fn on_all(answer: &mut Answer) {
    WORDS.clear();
    for cpu in 1..inventory::cpus() {
        start(cpu, || {
            WORDS.add(0, 1);
            WORDS.wait(0, inventory::cpus() as u64 - 1);
            WORDS.add(1, 1 << (8 * (read!("mpidr_el1") & 7)));
        });
    }
    for cpu in 1..inventory::cpus() {
        answer.join(cpu);
    }
    answer.say(format_args!("{}/{:#x}", WORDS.get(0), WORDS.get(1)));
}

fn off_keeps_memory(answer: &mut Answer) {
    WORDS.clear();
    start(1, || {
        for word in 0..16 {
            WORDS.set(word, 0x1111 * word as u64);
        }
    });
    answer.put("off", join(1) == crate::arch::others::Outcome::Done);
    answer.put("kept", (0..16).all(|word| WORDS.get(word) == 0x1111 * word as u64));
}

/// A standby state: the call returns when an interrupt is pending.
fn suspend(answer: &mut Answer) {
    answer.put("suspend", ask(PSCI_CPU_SUSPEND_64, [0, entry(), 0]));
}

fn suspend_pending(answer: &mut Answer) {
    gic::open(40, 0x80, 0);
    gic::pend(40);
    suspend(answer);
    answer.put("iar", gic::ack());
    gic::end(40);
}

fn suspend_timer(answer: &mut Answer) {
    gic::open(gic::VIRTUAL_TIMER, 0x80, 0);
    let due = clock::now() + clock::ms(10);
    write!("cntv_cval_el0", due);
    write!("cntv_ctl_el0", 1);
    // As WFI it may end early.
    while clock::now() < due {
        suspend(answer);
        if gic::highest() == gic::NONE {
            wait_for_interrupt();
        }
    }
    clock::until(10, || gic::highest() != gic::NONE);
    answer.put("iar", gic::ack());
    write!("cntv_ctl_el0", 0);
    gic::end(gic::VIRTUAL_TIMER.into());
}

/// StateIDs with a standby type.
fn suspend_states(answer: &mut Answer) {
    gic::open(40, 0x80, 0);
    gic::pend(40);
    for state in [1, 2, 0x1234, 0xFFFF, 1 << 24, 3 << 24] {
        answer.say(format_args!("{state:#x}:{}", ask(PSCI_CPU_SUSPEND_64, [state, entry(), 0])));
    }
    answer.put("by-32", ask(PSCI_CPU_SUSPEND_32, [0, entry(), 0]));
    answer.put("iar", gic::ack());
    gic::end(40);
}

fn suspend_sgi(answer: &mut Answer) {
    WORDS.clear();
    start(1, || {
        gic::init_cpu();
        gic::open(3, 0x80, 0);
        WORDS.set(0, 1);
        while gic::highest() == gic::NONE {
            WORDS.set(1, ask(PSCI_CPU_SUSPEND_64, [0, entry(), 0]) as u64);
        }
        WORDS.set(2, gic::ack());
        gic::end(WORDS.get(2));
    });
    WORDS.wait(0, 1);
    clock::spin(5);
    gic::send(3, 2);
    answer.join(1);
    answer.say(format_args!("suspend={},iar={}", WORDS.get(1) as i64, WORDS.get(2)));
    // That the UART is still there says that nobody reset the machine.
    answer.hex("uart", mmio::read32(crate::devices::UART.base + 0xFE0));
}
