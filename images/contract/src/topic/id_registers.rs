// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the CPU says that it is: ID registers, caches, and what EL1 has not.

use crate::arch::snippet::snippet;
use crate::arch::sysreg::{read, write};
use crate::check::{Answer, Topic, check, check_with};
use crate::shared::Words;
use crate::{arch::others::start, inventory};

/// The eight registers of a CRm.
macro_rules! row {
    ($crm:literal) => {
        [
            read!(concat!("s3_0_c0_c", $crm, "_0")),
            read!(concat!("s3_0_c0_c", $crm, "_1")),
            read!(concat!("s3_0_c0_c", $crm, "_2")),
            read!(concat!("s3_0_c0_c", $crm, "_3")),
            read!(concat!("s3_0_c0_c", $crm, "_4")),
            read!(concat!("s3_0_c0_c", $crm, "_5")),
            read!(concat!("s3_0_c0_c", $crm, "_6")),
            read!(concat!("s3_0_c0_c", $crm, "_7")),
        ]
    };
}

/// Fields that a guest sees as the CPU has them, row by row from CRm 1 on; of the others a guest may see less.
const KEPT: [[u64; 8]; 7] = [
    // Not RAS and AMU; of PFR1 only what is not EL1's; not the PMU and trace.
    [!0xF0F0_0000, !0xF000_FFF0, !0xFF00_00F0, 0, !0, !0, !0, !0],
    [!0; 8],
    [!0; 8],
    // EL0, FP, AdvSIMD, GIC, DIT, CSV3; BT, SSBS.
    [fields(&[0, 16, 20, 24, 48, 60]), fields(&[0, 4]), 0, 0, 0, 0, 0, 0],
    // BRPs, WRPs, CTX_CMPs, DoubleLock.
    [fields(&[12, 20, 28, 36]), 0, 0, 0, 0, 0, 0, 0],
    // All but TME; all but XS and LS64; RPRES, GPA3, APA3, BC, PAC_frac, CLRBHB.
    [!(0xF << 24), !(0xFF << 56), fields(&[4, 8, 12, 20, 24, 28]), 0, 0, 0, 0, 0],
    // ASIDBits, BigEnd, BigEndEL0, TGran64, ExS; HAFDBS, HPDS, PAN, SpecSEI, TWED and so on.
    [
        fields(&[4, 8, 16, 24, 44]),
        fields(&[0, 12, 20, 24, 36, 44, 48]),
        fields(&[0, 4, 8, 16, 20, 28, 32, 48, 52, 60]),
        0,
        0,
        0,
        0,
        0,
    ],
];

const fn fields(shifts: &[u32]) -> u64 {
    let (mut mask, mut n) = (0, 0);
    while n < shifts.len() {
        mask |= 0xF << shifts[n];
        n += 1;
    }
    mask
}

/// A row, the kept fields or the others.
fn show(answer: &mut Answer, crm: usize, kept: bool, values: [u64; 8]) {
    for (op2, (value, mask)) in values.into_iter().zip(KEPT[crm - 1]).enumerate() {
        answer.say(format_args!("{op2}={:#x}", value & if kept { mask } else { !mask }));
    }
}

pub(super) const TOPIC: Topic = Topic {
    name: "id-registers",
    checks: &[
        check("main", main_ids),
        check("mpidr", mpidr),
        check_with("mpidr-of-others", 2, mpidr_of_others),
        check("revision", revision),
        check("processor-features", |answer| show(answer, 4, true, row!(4))),
        check("processor-features-hidden", |answer| show(answer, 4, false, row!(4))),
        check("debug-features", |answer| show(answer, 5, true, row!(5))),
        check("debug-features-hidden", |answer| show(answer, 5, false, row!(5))),
        check("instructions", |answer| show(answer, 6, true, row!(6))),
        check("instructions-hidden", |answer| show(answer, 6, false, row!(6))),
        check("memory-model", |answer| show(answer, 7, true, row!(7))),
        check("memory-model-hidden", |answer| show(answer, 7, false, row!(7))),
        check("aarch32", |answer| show(answer, 1, true, row!(1))),
        check("aarch32-hidden", |answer| show(answer, 1, false, row!(1))),
        check("aarch32-instructions", |answer| show(answer, 2, true, row!(2))),
        check("aarch32-more", |answer| show(answer, 3, true, row!(3))),
        check("reserved", reserved),
        check("cache-type", cache_type),
        check("cache-geometry", cache_geometry),
        check("zeroing", zeroing),
        check("from-el0", from_el0),
        check("written", written),
        check("other-levels", other_levels),
        check("performance-monitors", performance_monitors),
        check("implementation-defined", implementation_defined),
        check("thread-registers", thread_registers),
        check("control-registers", control_registers),
        check("features-work", features_work),
    ],
};

fn main_ids(answer: &mut Answer) {
    answer.hex("midr", read!("midr_el1"));
}

fn mpidr(answer: &mut Answer) {
    answer.hex("mpidr", read!("mpidr_el1"));
}

fn mpidr_of_others(answer: &mut Answer) {
    static WORDS: Words = Words::new();
    WORDS.clear();
    for cpu in 1..inventory::cpus() {
        start(cpu, || {
            let mpidr = read!("mpidr_el1");
            WORDS.set((mpidr & 7) as usize, mpidr);
        });
        answer.join(cpu);
        answer.hex("mpidr", WORDS.get(cpu));
    }
}

fn revision(answer: &mut Answer) {
    answer.say(format_args!("revidr={:#x},aidr={:#x}", read!("revidr_el1"), read!("aidr_el1")));
}

/// Encodings of the ID space that are for later read as zero (Arm ARM D19.3.1).
fn reserved(answer: &mut Answer) {
    let ran = snippet!(
        "mrs x0, s3_0_c0_c0_1",
        "mrs x1, s3_0_c0_c0_2",
        "mrs x2, s3_0_c0_c0_3",
        "mrs x3, s3_0_c0_c0_4",
        "mrs x4, s3_0_c0_c0_7",
        "mrs x5, s3_0_c0_c8_0"
    )
    .run(&[]);
    answer.exceptions("c0", &ran.caught);
}

fn cache_type(answer: &mut Answer) {
    answer.say(format_args!("ctr={:#x},clidr={:#x}", read!("ctr_el0"), read!("clidr_el1")));
}

fn cache_geometry(answer: &mut Answer) {
    for selected in 0..8 {
        write!("csselr_el1", selected);
        answer.say(format_args!("{:#x}:{:#x}", read!("csselr_el1"), read!("ccsidr_el1")));
    }
    write!("csselr_el1", 0);
}

fn zeroing(answer: &mut Answer) {
    answer.hex("dczid", read!("dczid_el0"));
}

fn from_el0(answer: &mut Answer) {
    let ran = snippet!(
        "mrs x1, midr_el1",
        "mrs x1, id_aa64pfr0_el1",
        "mrs x2, ctr_el0",
        "mrs x3, dczid_el0",
        "mrs x4, mpidr_el1",
        "mrs x5, tpidr_el1",
        "mrs x6, s3_0_c0_c4_4",
        "svc #0xe0",
    )
    .run_at_el0(&[]);
    answer.exceptions("caught", &ran.caught);
}

fn written(answer: &mut Answer) {
    let ran = snippet!(
        "msr s3_0_c0_c0_0, x0",
        "msr s3_0_c0_c4_0, x0",
        "msr s3_0_c0_c0_5, x0",
        "msr s3_3_c0_c0_1, x0",
        "msr s3_0_c0_c0_6, x0"
    )
    .run(&[]);
    answer.exceptions("caught", &ran.caught);
}

/// Registers of EL2 and EL3.
fn other_levels(answer: &mut Answer) {
    let ran = snippet!(
        "mrs x0, hcr_el2",
        "mrs x0, sctlr_el2",
        "mrs x0, vbar_el2",
        "mrs x0, vttbr_el2",
        "mrs x0, elr_el2",
        "mrs x0, sp_el1",
        "mrs x0, cptr_el2",
        "mrs x0, mdcr_el2",
        "mrs x0, hpfar_el2",
        "mrs x0, vmpidr_el2",
        "msr hcr_el2, x0",
        "mrs x0, scr_el3",
        "mrs x0, sctlr_el3",
        "mrs x0, s3_5_c1_c0_0",
        "tlbi alle1",
        "tlbi ipas2e1is, x0",
        "at s12e1r, x0",
        "at s1e2r, x0"
    )
    .run(&[]);
    answer.put("count", ran.caught.count());
    answer.put("undefined", ran.caught.list().iter().filter(|exception| exception.esr == 1 << 25).count());
}

fn performance_monitors(answer: &mut Answer) {
    let ran = snippet!(
        "mrs x1, pmcr_el0",
        "mrs x1, pmccntr_el0",
        "mrs x1, pmcntenset_el0",
        "msr pmuserenr_el0, xzr",
        "mrs x1, pmceid0_el0"
    )
    .run(&[]);
    answer.exceptions("caught", &ran.caught);
}

/// CRn 11 and 15 are the implementer's (Arm ARM D18.3.3); and ACTLR_EL1, whose bits are.
fn implementation_defined(answer: &mut Answer) {
    let ran = snippet!(
        "mrs x1, actlr_el1",
        "msr actlr_el1, x1",
        "mrs x1, s3_0_c15_c0_0",
        "mrs x1, s3_3_c11_c0_0",
        "msr s3_0_c15_c5_5, x0"
    )
    .run(&[]);
    answer.exceptions("caught", &ran.caught);
    answer.hex("actlr", ran.x[1]);
}

fn thread_registers(answer: &mut Answer) {
    let saved = read!("tpidr_el1");
    let ran = snippet!(
        "msr tpidr_el0, x0",
        "msr tpidrro_el0, x1",
        "msr contextidr_el1, x2",
        "msr par_el1, x3",
        "mrs x4, tpidr_el0",
        "mrs x5, tpidrro_el0",
        "mrs x6, contextidr_el1",
        "msr afsr0_el1, x0",
        "mrs x7, afsr0_el1",
        "msr contextidr_el1, xzr"
    )
    .run(&[0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321, 0x89AB_CDEF, 1]);
    answer.say(format_args!("{:x?}", &ran.x[4..8]));
    answer.put("tpidr-kept", read!("tpidr_el1") == saved);
}

/// Bits of SCTLR_EL1, TCR_EL1 and CPACR_EL1 as they are after boot.
fn control_registers(answer: &mut Answer) {
    answer.hex("sctlr", read!("sctlr_el1"));
    answer.hex("tcr", read!("tcr_el1"));
    answer.hex("mair", read!("mair_el1"));
    answer.hex("cpacr", read!("cpacr_el1"));
    answer.hex("daif", read!("daif"));
    answer.hex("level", read!("CurrentEL"));
    answer.hex("vbar-low", read!("vbar_el1") & 0x7FF);
}

/// Does the CPU do what its ID registers promise, and nothing that they don't?
fn features_work(answer: &mut Answer) {
    let field = |register: u64, shift: u32| register >> shift & 0xF;
    let (isar0, isar1) = (read!("id_aa64isar0_el1"), read!("id_aa64isar1_el1"));
    let (pfr0, pfr1) = (read!("id_aa64pfr0_el1"), read!("id_aa64pfr1_el1"));
    let (mmfr1, mmfr2) = (read!("id_aa64mmfr1_el1"), read!("id_aa64mmfr2_el1"));
    let tries = [
        ("atomics", field(isar0, 20) != 0, snippet!("mov x9, sp", "sub x9, x9, #64", "ldadd x0, x1, [x9]")),
        ("crc32", field(isar0, 16) != 0, snippet!(".arch_extension crc", "crc32x w0, w1, x2")),
        ("rdm", field(isar0, 28) != 0, snippet!(".arch armv8.1-a", "sqrdmlah v0.4s, v1.4s, v2.4s")),
        ("aes", field(isar0, 4) != 0, snippet!(".arch_extension crypto", "aese v0.16b, v1.16b")),
        ("sha512", field(isar0, 12) > 1, snippet!(".inst 0xce608400")),
        ("dot", field(isar0, 44) != 0, snippet!(".inst 0x6e809400")),
        ("flagm", field(isar0, 52) != 0, snippet!(".inst 0xd500401f")),
        ("random", field(isar0, 60) != 0, snippet!("mrs x1, s3_3_c2_c4_0")),
        ("rcpc", field(isar1, 20) != 0, snippet!("mov x9, sp", "ldapr x0, [x9]")),
        ("dpb", field(isar1, 0) != 0, snippet!("mov x9, sp", "sys #3, c7, c12, #1, x9")),
        ("frint", field(isar1, 32) != 0, snippet!(".inst 0x1e684000")),
        ("jscvt", field(isar1, 12) != 0, snippet!(".inst 0x1e7e0000")),
        ("bf16", field(isar1, 44) != 0, snippet!(".inst 0x1e634000")),
        ("i8mm", field(isar1, 52) != 0, snippet!(".inst 0x4e80a400")),
        ("fp16", field(pfr0, 16) == 1, snippet!(".inst 0x1ee02800")),
        ("ssbs", field(pfr1, 4) > 1, snippet!("mrs x1, s3_3_c4_c2_6")),
        ("dit", field(pfr0, 48) != 0, snippet!("mrs x1, s3_3_c4_c2_5")),
        ("pan", field(mmfr1, 20) != 0, snippet!("mrs x1, s3_0_c4_c2_3")),
        ("uao", field(mmfr2, 4) != 0, snippet!("mrs x1, s3_0_c4_c2_4")),
        ("mte", field(pfr1, 8) > 1, snippet!("mrs x1, s3_0_c1_c0_6")),
        ("ras", field(pfr0, 28) != 0, snippet!("mrs x1, s3_0_c5_c3_0")),
        ("lor", field(mmfr1, 16) != 0, snippet!("mrs x1, s3_0_c10_c4_7")),
        ("mpam", field(pfr0, 40) != 0, snippet!("mrs x1, s3_0_c10_c5_1")),
        ("amu", field(pfr0, 44) != 0, snippet!("mrs x1, s3_3_c13_c2_0")),
        ("trace-filter", field(read!("id_aa64dfr0_el1"), 40) != 0, snippet!("mrs x1, s3_0_c1_c2_1")),
        ("spe", field(read!("id_aa64dfr0_el1"), 32) != 0, snippet!("mrs x1, s3_0_c9_c9_0")),
        ("scxtnum", field(pfr0, 56) > 1, snippet!("mrs x1, s3_0_c13_c0_7")),
        ("pauth-keys", field(isar1, 4) | field(isar1, 8) != 0, snippet!("mrs x1, s3_0_c2_c1_0")),
    ];
    for (name, promised, code) in tries {
        let works = code.run(&[]).caught.count() == 0;
        // Where nothing is promised, nothing need be refused by the CPU, but a hypervisor's guest has no business
        // there.
        if works != promised {
            answer.say(format_args!("{name}:promised={promised},works={works}"));
        }
    }
    answer.say("rest-as-promised");
}
