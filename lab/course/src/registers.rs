// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a register that a list has and should not, and of those that it lacks.

use lab_script::distance;
use worlds::REGISTERS;

/// What the registers that both worlds share are for.
const ROLES: [(&str, &[&str]); 6] = [
    (
        "where translation tables are and how they are used",
        &["ttbr0_el1", "ttbr1_el1", "tcr_el1", "mair_el1", "contextidr_el1"],
    ),
    ("what EL1 and EL0 may do", &["sctlr_el1", "cpacr_el1", "cntkctl_el1"]),
    ("stack pointers", &["sp_el0", "sp_el1"]),
    ("a thread's own pointer", &["tpidr_el1", "tpidr_el0", "tpidrro_el0"]),
    ("where an exception goes, and what it leaves behind", &["vbar_el1", "elr_el1", "spsr_el1", "esr_el1", "far_el1"]),
    ("what an instruction leaves for the next, or takes from the one before", &["par_el1", "csselr_el1"]),
];

/// Why a switch need not keep what some registers hold, by the beginning and the end of their names.
const REASONS: [(&[(&str, &str)], &str); 11] = [
    (
        &[("cntps_", ""), ("cntp_", "_el0"), ("cntv_", "_el0"), ("cntvct", ""), ("cntpct", ""), ("cntfrq", "")],
        "a timer that one world has for itself, or a counter that nobody below EL3 writes: CNTPS_* is the TEE's, and \
         CNTP_* and CNTV_* are left to the normal world",
    ),
    (
        &[("", "_el12"), ("", "_el02")],
        "another name, for use at EL2, of a register of EL1 or EL0: write that register's own",
    ),
    (&[("", "_el2")], "a register of EL2: secure EL1 can't reach it, and there is no secure EL2 here"),
    (
        &[("", "_el3")],
        "a register of EL3: neither world can reach it. (Where a world goes on, ELR_EL3 and SPSR_EL3, is part of \
         every switch anyway.)",
    ),
    (
        &[
            ("apia", ""),
            ("apib", ""),
            ("apda", ""),
            ("apdb", ""),
            ("apga", ""),
            ("tco", ""),
            ("gcr_", ""),
            ("rgsr_", ""),
            ("tfsr", ""),
            ("zcr_", ""),
            ("smcr_", ""),
            ("smpri", ""),
            ("svcr", ""),
            ("tpidr2_", ""),
            ("scxtnum_", ""),
            ("tcr2_", ""),
            ("sctlr2_", ""),
            ("pir_", ""),
            ("pire0_", ""),
            ("por_", ""),
            ("mair2_", ""),
            ("amair2_", ""),
            ("ffr", ""),
        ],
        "part of an extension that SCR_EL3 and CPTR_EL3 close to the TEE: its access traps to EL3, so only the \
         normal world uses it",
    ),
    (
        &[("fpcr", ""), ("fpsr", ""), ("fpmr", "")],
        "the TEE does not touch the floating-point registers, or saves what it uses itself",
    ),
    (
        &[("mdscr_", ""), ("mdccint", ""), ("dbg", ""), ("os", "_el1"), ("pm", "")],
        "debug or performance counters: MDCR_EL3 keeps what the normal world writes there from acting on the TEE, \
         and the TEE writes none of it",
    ),
    (
        &[("actlr_", ""), ("amair_", ""), ("afsr0_", ""), ("afsr1_", "")],
        "what it holds is the implementation's choice, and in the CPUs that this machine can have that is nothing: \
         it reads as a constant",
    ),
    (
        &[
            ("spsr_abt", ""),
            ("spsr_und", ""),
            ("spsr_irq", ""),
            ("spsr_fiq", ""),
            ("ifsr32", ""),
            ("dacr32", ""),
            ("fpexc32", ""),
        ],
        "a register of AArch32, which neither the TEE nor the monitor of this chain runs",
    ),
    (
        &[
            ("id_", ""),
            ("midr_", ""),
            ("mpidr_", ""),
            ("revidr_", ""),
            ("aidr_", ""),
            ("clidr_", ""),
            ("ccsidr", ""),
            ("ctr_", ""),
            ("dczid_", ""),
            ("isr_", ""),
            ("rvbar_", ""),
            ("rmr_", ""),
            ("gmid_", ""),
            ("rndr", ""),
        ],
        "it can't be written by EL1 or EL0: there is nothing of one world's in it",
    ),
    (
        &[("icc_", "")],
        "the interrupt controller's CPU interface: what acts in both worlds the hardware has once for each, and the \
         TEE changes nothing else of it",
    ),
];

/// Says why this is none of the registers that a switch keeps; `None` if it is one.
pub(super) fn reason(name: &str) -> Option<String> {
    if REGISTERS.contains(&name) {
        return None;
    }
    // Below 31, with the letter of a general or of a vector register.
    let numbered = |letters: &[char]| {
        let number = name.strip_prefix(letters).and_then(|number| number.parse::<u8>().ok());
        number.is_some_and(|number| number < 32)
    };
    if numbered(&['x', 'w']) || ["sp", "pc", "lr", "xzr", "wzr"].contains(&name) {
        return Some(
            "a general register: what becomes of those in a call is a contract of its own (SMCCC §2.6)".into(),
        );
    }
    if numbered(&['v', 'q', 'd', 's', 'z', 'p']) {
        return Some("the TEE does not touch vector registers, or saves what it uses itself".into());
    }
    if ["nzcv", "daif", "daifset", "daifclr", "spsel", "currentel", "pan", "uao", "dit", "ssbs", "pstate"]
        .contains(&name)
    {
        return Some("a part of PSTATE: an exception puts that into SPSR_EL3, and ERET takes it from there".into());
    }
    let fits = |(start, end): &(&str, &str)| name.starts_with(start) && name.ends_with(end);
    if let Some((_, reason)) = REASONS.iter().find(|(names, _)| names.iter().any(fits)) {
        return Some((*reason).to_owned());
    }
    let near = REGISTERS.iter().map(|known| (distance(name, known), known)).min();
    Some(match near {
        Some((edits, known)) if edits <= 2 => format!("there is no such register; did you mean `{known}`?"),
        _ => {
            "there is no such register, or the checker does not know it; one name stands in each pair of quotes".into()
        }
    })
}

/// Says of what kinds these registers are, and how many of each.
pub(super) fn kinds(names: &[&str]) -> String {
    let of = |(role, members): &(&str, &[&str])| {
        let count = members.iter().filter(|name| names.contains(name)).count();
        (count != 0).then(|| format!("{count} of the kind \"{role}\""))
    };
    ROLES.iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_that_is_kept_has_one_role_and_no_reason_against_it() {
        for name in REGISTERS {
            assert_eq!(ROLES.iter().filter(|(_, members)| members.contains(&name)).count(), 1, "{name}");
            assert_eq!(reason(name), None);
        }
        assert_eq!(ROLES.iter().map(|(_, members)| members.len()).sum::<usize>(), REGISTERS.len());
    }

    #[test]
    fn a_reason_fits_its_register() {
        for (name, word) in [
            ("vttbr_el2", "of EL2"),
            ("scr_el3", "of EL3"),
            ("sctlr_el12", "another name"),
            ("cntps_ctl_el1", "CNTPS_* is the TEE's"),
            ("cntv_cval_el0", "normal world"),
            ("apiakeylo_el1", "close to the TEE"),
            ("zcr_el1", "close to the TEE"),
            ("amair_el1", "implementation's choice"),
            ("mdscr_el1", "MDCR_EL3"),
            ("pmcr_el0", "MDCR_EL3"),
            ("midr_el1", "written"),
            ("x19", "§2.6"),
            ("v31", "vector"),
            ("fpcr", "floating"),
            ("nzcv", "PSTATE"),
            ("spsr_abt", "AArch32"),
            ("icc_pmr_el1", "interrupt"),
            ("ttbr0_e1", "did you mean `ttbr0_el1`"),
            ("everything", "no such register"),
            (".*", "no such register"),
            ("", "no such register"),
            ("cntkctl_el12", "another name"),
            ("cnthp_ctl_el2", "of EL2"),
        ] {
            let reason = reason(name).unwrap_or_default();
            assert!(reason.contains(word), "{name}: {reason}");
        }
    }

    #[test]
    fn what_is_missing_is_told_by_kind() {
        assert_eq!(
            kinds(&["sp_el0", "par_el1", "sp_el1"]),
            "2 of the kind \"stack pointers\", \
             1 of the kind \"what an instruction leaves for the next, or takes from the one before\""
        );
    }
}
