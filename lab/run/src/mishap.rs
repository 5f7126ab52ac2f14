// SPDX-License-Identifier: MIT OR Apache-2.0
//! What layers say when the machine is not the one that a scenario describes.
//!
//! A run in which one of these lines comes fails, and ends soon, unless the scenario expects the line: whatever else is
//! seen, it was seen of something else.

use crate::console::Line;

/// A layer's last words. "Panic at" and "Core …" are OP-TEE's, and the first that of the TEE with the reported bug.
const LAST_WORDS: [&str; 8] = [
    "panicked at",
    "PANIC",
    "Panic at ",
    "Panic '",
    "fault in the monitor",
    "Core data-abort at",
    "Core prefetch-abort at",
    "Core undef-abort at",
];

/// Returns what is claimed of every run, and refuted by this line.
pub fn refuted_by(line: &Line, vms_want_tee: bool) -> Option<&'static str> {
    let text = line.text.as_str();
    match line.speaker.as_str() {
        "EL3" | "TEE" | "HYP" if LAST_WORDS.iter().any(|words| text.contains(words)) => Some("no layer panics"),
        "EL3" if text.ends_with("; stopped") => Some("the firmware boots"),
        "HYP" if text.starts_with("domU") && text.ends_with("; skipped") => Some("the hypervisor makes every VM"),
        "HYP" if lost_cpus(text) => Some("every CPU starts"),
        "HYP" if vms_want_tee && (text.starts_with("VMs boot without a TEE: ") || refused_vm(text)) => {
            Some("VMs that ask for the TEE get it")
        }
        _ => None,
    }
}

/// Says whether the TEE says that it stops: an assertion of the report's kind, or its own panic.
pub fn ends_tee(line: &Line) -> bool {
    line.speaker == "TEE" && (line.text.contains("assertion '") || refuted_by(line, false).is_some())
}

/// Says whether a text is one such as `2 of 4 CPUs run`. Those that may still come are another line.
fn lost_cpus(text: &str) -> bool {
    let numbers = text.strip_suffix(" CPUs run").and_then(|numbers| numbers.split_once(" of "));
    numbers.is_some_and(|(run, all)| run != all)
}

/// Says whether a text is one such as `vm3: no TEE: the TEE refused the VM: …`.
fn refused_vm(text: &str) -> bool {
    text.split_once(": ").is_some_and(|(vm, rest)| crate::console::is_vm(vm) && rest.starts_with("no TEE: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuted(speaker: &str, text: &str) -> Option<&'static str> {
        refuted_by(&Line { speaker: speaker.into(), text: text.into() }, true)
    }

    #[test]
    fn a_layers_last_words_are_told_from_a_guests() {
        let panics = Some("no layer panics");
        for (speaker, text) in [
            ("HYP", "PANIC explicit panic (src/main.rs:1)"),
            ("TEE", "PANIC panicked at tee-core/src/arch/aarch64/exceptions.rs:12:5:"),
            ("TEE", "E/TC:0 0   Panic at tee-core/src/as_reported/assertion.rs:15 <failed>"),
            ("TEE", "E/TC:0 0 Panic 'unpageable' at core/kernel/panic.c:1"),
            ("TEE", "E/TC:0 0 Core data-abort at address 0x8 (translation fault)"),
            ("EL3", "fault in the monitor: ESR 0x96000010"),
        ] {
            assert_eq!(refuted(speaker, text), panics, "{text}");
        }
        assert_eq!(refuted("vm1", "PANIC"), None);
        assert_eq!(refuted("?s", "PANIC"), None);
        assert_eq!(refuted("TEE", "E/TC:0 0 User mode data-abort at address 0x8"), None);
    }

    #[test]
    fn a_machine_that_is_not_the_scenarios_is_noticed() {
        let words = "domU2 kernel at 0xa0000000, 4 bytes, is missing: nothing was loaded there; skipped";
        assert_eq!(refuted("HYP", words), Some("the hypervisor makes every VM"));
        assert_eq!(refuted("vm1", words), None);
        let stopped = "BL33 (normal world): too large: 58544 bytes, and room for 0; stopped";
        assert_eq!(refuted("EL3", stopped), Some("the firmware boots"));
        assert_eq!(refuted("HYP", "3 of 4 CPUs run"), Some("every CPU starts"));
        assert_eq!(refuted("HYP", "4 of 4 CPUs run"), None);
        assert_eq!(refuted("HYP", "1 of 4 CPUs run, 3 may still come"), None);
        assert_eq!(refuted("HYP", "vm1: bare, 1 CPUs, 16 MiB, with the TEE"), None);
    }

    #[test]
    fn a_tee_that_takes_no_vm_matters_to_those_that_want_one() {
        let said = ["VMs boot without a TEE: no TEE answers", "vm3: no TEE: the TEE refused the VM: ENOTAVAIL"];
        for text in said {
            assert_eq!(refuted("HYP", text), Some("VMs that ask for the TEE get it"));
            assert_eq!(refuted_by(&Line { speaker: "HYP".into(), text: text.into() }, false), None);
        }
    }
}
