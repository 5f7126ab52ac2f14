// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which CPU models the installed QEMU has for the machine. Asked of QEMU itself: each release knows others.

use lab_script::distance;
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// QEMU.
pub const PROGRAM: &str = "qemu-system-aarch64";
/// The machine, which QEMU makes, and leaves once it has written its tree.
const BOARD: &str = "virt,secure=on,virtualization=on,gic-version=3,dumpdtb=";
/// A model that is 64-bit in every release.
const KNOWN: &str = "max";
/// As many models are proposed for one that isn't there, and so far from it.
const PROPOSED: usize = 3;
const NEAR: usize = 3;

/// Returns the model's name without its properties.
pub fn model(cpu: &str) -> &str {
    cpu.split(',').next().unwrap_or(cpu)
}

/// Writes a path as the value of an option of QEMU's, which a comma would end unless it is doubled.
pub(crate) fn doubled(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Says what is wrong with a CPU model and its properties; nothing if QEMU takes them, or if there is no QEMU to be
/// asked.
pub fn mistake(cpu: &str) -> Option<String> {
    static ASKED: Mutex<Option<HashMap<String, Option<String>>>> = Mutex::new(None);
    let mut known = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().entry(cpu.to_owned()).or_insert_with(|| ask(cpu)).clone()
}

fn ask(cpu: &str) -> Option<String> {
    let said = refusal(cpu)?;
    // A property that only 64-bit models have, and that means nothing there: whoever refuses it is 32-bit, as long as
    // QEMU has it at all.
    if lacks_64_bit(&said) && refusal(KNOWN).is_some_and(|said| lacks_64_bit(&said)) {
        return None;
    }
    let name = model(cpu);
    let what = if lacks_64_bit(&said) {
        format!("`{name}` is a 32-bit CPU, and every layer is 64-bit code")
    } else if said.contains("unable to find CPU model") {
        format!("QEMU has no CPU model `{name}`")
    } else {
        return Some(format!("QEMU refuses the CPU `{cpu}`: {said}"));
    };
    let near = nearest(name, &names()?, |model| refusal(model).is_none());
    Some(match near.as_slice() {
        [] => what,
        near => format!("{what}; did you mean `{}`?", near.join("`, `")),
    })
}

/// Says what QEMU has against a 64-bit CPU of this model, if anything.
fn refusal(cpu: &str) -> Option<String> {
    // QEMU puts a new file in the place of the one that it is given, even of a device like /dev/null.
    let folder = tempfile::tempdir().ok()?;
    let board = format!("{BOARD}{}", doubled(&folder.path().join("tree.dtb")));
    let arguments = ["-M", &board, "-cpu", &format!("{cpu},aarch64=on"), "-display", "none", "-nodefaults"];
    let output = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    (!output.status.success()).then(|| said.trim().trim_start_matches(PROGRAM).trim_start_matches(": ").to_owned())
}

fn lacks_64_bit(said: &str) -> bool {
    said.contains(".aarch64' not found")
}

/// Lists every model that QEMU has, for whatever machine.
fn names() -> Option<Vec<String>> {
    let output = Command::new(PROGRAM).args(["-cpu", "help"]).stdin(Stdio::null()).output().ok()?;
    Some(listed(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads QEMU's list: a heading, then a name in each line; newer releases say more behind it.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().filter(|line| line.starts_with(' '));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Lists the names that may have been meant, the likeliest first.
fn nearest(name: &str, names: &[String], fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut near: Vec<_> = names.iter().map(|other| (distance(name, other), other)).collect();
    near.retain(|(distance, _)| *distance <= NEAR);
    near.sort();
    near.into_iter().map(|(_, other)| other.clone()).filter(|other| fits(other)).take(PROPOSED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_refused_with_those_that_may_have_been_meant() {
        assert_eq!(mistake("cortex-a57"), None);
        assert_eq!(mistake("max,pauth-impdef=on"), None);
        let said = mistake("cortex-a58").unwrap();
        assert!(said.starts_with("QEMU has no CPU model `cortex-a58`; did you mean `cortex-a5"), "{said}");
        assert!(said.contains("`cortex-a57`"), "{said}");
        assert_eq!(mistake("pentium").unwrap(), "QEMU has no CPU model `pentium`");
    }

    #[test]
    fn a_32_bit_model_is_refused_before_it_says_nothing() {
        let said = mistake("cortex-a15").unwrap();
        let what = "`cortex-a15` is a 32-bit CPU, and every layer is 64-bit code; did you mean `cortex-a";
        assert!(said.starts_with(what), "{said}");
        assert!(!said.contains("`cortex-a8`") && !said.contains("`cortex-a7`"), "{said}");
    }

    #[test]
    fn an_unknown_property_is_refused_in_qemus_words() {
        let said = mistake("max,pauth-imdef=on").unwrap();
        assert!(said.starts_with("QEMU refuses the CPU `max,pauth-imdef=on`: "), "{said}");
        assert!(said.contains("pauth-imdef"), "{said}");
    }

    #[test]
    fn models_are_read_as_old_and_new_releases_list_them() {
        assert_eq!(listed("Available CPUs:\n  a64fx\n  cortex-a57\n"), ["a64fx", "cortex-a57"]);
        assert_eq!(listed("Available CPUs:\n  cortex-a57  (deprecated)\n\nother\n"), ["cortex-a57"]);
    }
}
