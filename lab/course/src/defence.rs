// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 8: a hole in the TEE's check of addresses, a script that shows it, and the mended check in a booted TEE.

use super::bench::{Bench, holds};
use super::function::{self, Wrong};
use super::grade::{contradictions, grade};
use super::overlay::overlay;
use super::sheet::Sheet;
use super::verdict;
use anyhow::{Result, ensure};
use lab_run::firmware::{Firmware, Program};
use lab_run::judge::Verdict;
use lab_run::run::Outcome;
use lab_run::scenario::Scenario;
use shared_abi::layout::{DRAM_BASE, Range};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where the TEE asks whether bytes are non-secure RAM, and how.
const PLACE: &str = "tee-core/src/memory/ns_ram.rs";
const QUESTION: &str = "range.holds(pa, len)";
const STUDENTS_QUESTION: &str = "course::holds(range.base, range.size, pa, len)";

/// The function with the hole: what 08.rs says before anybody has mended it.
const HOLE: &str = "\
/// As the exercise finds it.
pub fn holds(base: u64, size: u64, pa: u64, len: u64) -> bool {
    base <= pa && pa.wrapping_add(len) <= base + size
}
";

/// Played after the student's script.
const STILL_SERVES: &str = r#"
[[step]]
name = "the checker: a fresh VM can be used"
set = { vm = 1 }
play = "use-vm"
"#;

/// How many references the checker tries.
const TRIES: usize = 300;

/// Said to whoever's function is wrong.
const HINT: &str = "What is the sum of two numbers of 64 bits, in a build in which it wraps around? The chapter, \
                    \"How to defend\". And a check that refuses what a client needs is none.";

/// Judges that the student's script fails against the hole and holds on the default TEE, and that the student's
/// function passes questions on the host, then, in a booted TEE, both the script and references of the checker's own.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let script = sheet.scenario(STILL_SERVES)?;
    let default = bench.boot(&script, "default")?;
    let mut verdicts = grade(sheet, &default, bench.numbers);
    if super::passed(&verdicts) {
        let broken = tee(bench, "check-hole", &format!("mod course {{\n{HOLE}\n}}"))?;
        let outcome = bench.boot_with(&script, "hole", Some(&broken))?;
        verdicts.push(attacked(sheet, &outcome)?);
    }
    let file = bench.file("08.rs");
    let function = function(&function::mistakes(bench.workspace, &file)?, bench.numbers);
    let mended = super::passed(&function);
    verdicts.extend(function);
    if !mended || !super::passed(&verdicts) {
        return Ok(verdicts);
    }
    // The student's own file, so that a compiler's complaint names it.
    let mended = format!("#[path = {:?}]\nmod course;", file.canonicalize()?.display().to_string());
    let mended = tee(bench, "check-mended", &mended)?;
    verdicts
        .push(holds("your script holds on a TEE with your 08.rs", &bench.boot_with(&script, "mended", Some(&mended))?));
    let ours = references(&script)?;
    let outcome = bench.boot_with(&ours, "references", Some(&mended))?;
    verdicts.push(holds(&format!("so do {TRIES} references of the checker's own"), &outcome));
    Ok(verdicts)
}

/// Judges that the script fails on the TEE with the hole: it gets an answer that is not the one of a right TEE, or
/// none, because the TEE is dead.
fn attacked(sheet: &Sheet, outcome: &Outcome) -> Result<Verdict> {
    let claim = "your script does not hold on a TEE with the hole";
    let dead = outcome.lines.iter().find(|line| line.speaker == "TEE" && line.text.contains("PANIC"));
    let shown = contradictions(outcome).next().or_else(|| dead.map(ToString::to_string));
    let hint = &sheet.answered("the devices, as they must not be asked for", "size")?.question.hint;
    Ok(verdict(shown.is_some(), claim, shown.unwrap_or_else(|| hint.clone())))
}

/// Judges the function by the questions on the host.
fn function(wrong: &[Wrong], numbers: bool) -> Vec<Verdict> {
    if let Some(Wrong::Broken(said)) = wrong.iter().find(|wrong| matches!(wrong, Wrong::Broken(_))) {
        return vec![verdict(false, "08.rs is a function that can be asked", said)];
    }
    let lenient = wrong.iter().find(|wrong| matches!(wrong, Wrong::Lenient(_)));
    let strict = wrong.iter().find(|wrong| matches!(wrong, Wrong::Strict(_)));
    let claims = [("08.rs refuses what is not wholly in RAM", lenient), ("08.rs takes what is in RAM", strict)];
    claims
        .map(|(claim, found)| match found {
            None => verdict(true, claim, ""),
            Some(Wrong::Lenient(example) | Wrong::Strict(example)) if numbers => {
                verdict(false, claim, format!("{HINT}\n{example} is wrong"))
            }
            Some(_) => verdict(false, claim, HINT),
        })
        .into()
}

/// Builds a TEE whose check is the function of this module `course`.
fn tee(bench: &Bench<'_>, name: &str, course: &str) -> Result<PathBuf> {
    let original = std::fs::read_to_string(bench.workspace.root().join(PLACE))?;
    ensure!(original.matches(QUESTION).count() == 1, "{PLACE} does not ask `{QUESTION}` once");
    let text = original.replace(QUESTION, STUDENTS_QUESTION);
    let sources = overlay(bench.workspace, PLACE, &format!("{text}\n/// The exercise's.\n{course}\n"))?;
    let firmware = Firmware::build(bench.workspace, &[Program::Tee], bench.progress)?;
    Ok(firmware.build_variant(&sources, Program::Tee, name, &[], bench.progress)?.image)
}

/// Makes a scenario of references, good and bad, each with the answer that it must get.
fn references(script: &Scenario) -> Result<Scenario> {
    let ram = Range::new(DRAM_BASE, script.machine.memory.0);
    let mut text = format!(
        "name = 'course-8'\nsummary = 'References of all kinds.'\ntimeout = 120\n\
         [machine]\ncpu = 'cortex-a57'\ncpus = 1\nmemory = '{}K'\n[chain]\nnormal-world = 'probe'\n\
         [buffers]\nmsg = '4K'\ndata = '64K'\n\
         [[step]]\nsmc = 'OPTEE_SMC_VM_CREATED'\nx1 = 1\nexpect = {{ x0 = 0 }}\n\
         [[step]]\nmessage = 'msg'\nopen = 'device'\nsmc = 'OPTEE_SMC_CALL_WITH_ARG'\nclient = 1\n\
         expect = {{ x0 = 0, ret = 'TEE_SUCCESS' }}\nkeep = {{ opened = 'session' }}\n",
        script.machine.memory.0 >> 10,
    );
    for reference in Reference::some(ram) {
        let (at, size, expect) = reference.words();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[[step]]\nname = 'a reference to {size} bytes at {at}'\nmessage = 'msg'\ncmd = 'INVOKE_COMMAND'\n\
             session = 'opened'\nparams = [{{ type = 'tmem-out', at = '{at}', size = '{size}' }}]\n\
             smc = 'OPTEE_SMC_CALL_WITH_ARG'\nclient = 1\nexpect = {{ x0 = 0, {expect} }}\n",
        );
    }
    Ok(Scenario::parse(&text, Path::new("references.toml"))?)
}

/// An address and a size, and whether the TEE must take them.
enum Reference {
    /// Inside the probe's own buffer, so that what is written there hurts nobody: offset and size.
    Good(u64, u64),
    /// Not wholly in RAM.
    Bad(u64, u64),
}

impl Reference {
    /// Picks references: edges first, then numbers that look like nothing; always the same ones.
    fn some(ram: Range) -> Vec<Self> {
        let mut all = Vec::new();
        for pa in [ram.base, ram.base + 8, ram.end() - 16, 0x1000, ram.base - 16, ram.end(), u64::MAX - 63] {
            for size in [1 << 32, ram.size + 1, u64::MAX, u64::MAX - pa, (u64::MAX - pa).saturating_add(1), 1 << 63] {
                if !ram.holds(pa, size) && size != 0 {
                    all.push(Self::Bad(pa, size));
                }
            }
        }
        let mut state = 0x7182_u64;
        let mut next = || {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        while all.len() < TRIES {
            let (number, shift) = (next(), next() % 64);
            let (pa, size) = (ram.base + number % ram.size, next() >> shift);
            match next() % 3 {
                0 => all.push(Self::Good(number % 0x8000, 1 + size % 0x8000)),
                // The sum wraps around, to less than the address.
                1 => all.push(Self::Bad(pa, (1 + number % ram.base).wrapping_neg())),
                _ if size != 0 && !ram.holds(pa, size) => all.push(Self::Bad(pa, size)),
                _ => {}
            }
        }
        all
    }

    /// Writes a reference as words: its address, its size, and the answer that is expected.
    fn words(&self) -> (String, String, &'static str) {
        match self {
            Self::Good(offset, size) => (
                format!("data + {offset:#x}"),
                format!("{size:#x}"),
                "'(ret == TEE_SUCCESS) | (ret == TEE_ERROR_SHORT_BUFFER)' = 1",
            ),
            Self::Bad(pa, size) => (format!("{pa:#x}"), format!("{size:#x}"), "ret = 'TEE_ERROR_BAD_PARAMETERS'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tee_asks_the_question_that_the_exercise_replaces_once() {
        let root = lab_run::workspace::Workspace::locate().unwrap();
        let source = std::fs::read_to_string(root.root().join(PLACE)).unwrap();
        assert_eq!(source.matches(QUESTION).count(), 1);
    }

    #[test]
    fn references_are_of_both_kinds_and_the_hole_lets_some_through() {
        let ram = Range::new(DRAM_BASE, 2 << 30);
        let all = Reference::some(ram);
        assert_eq!(all.len(), TRIES);
        let through = |reference: &&Reference| match reference {
            Reference::Bad(pa, size) => ram.base <= *pa && pa.wrapping_add(*size) <= ram.end(),
            Reference::Good(..) => false,
        };
        assert!(all.iter().filter(through).count() > 50);
        assert!(all.iter().filter(|reference| matches!(reference, Reference::Good(..))).count() > 10);
    }
}
