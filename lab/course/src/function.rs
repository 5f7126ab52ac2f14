// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 8's function on its own: compiled for the host, where it can be asked about a hundred thousand cases.
//!
//! What does not compile is told here, with the student's own file and line. It gets nothing but `core`: what is to be
//! mended is this function, not who is asked instead.

use anyhow::{Context, Result, bail};
use lab_run::files::shown;
use lab_run::workspace::{Workspace, write_if_changed};
use shared_abi::layout::DRAM_BASE;
use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the function must look like.
const SIGNATURE: &str = "pub fn holds(base: u64, size: u64, pa: u64, len: u64) -> bool";

/// Answers questions on standard input, one in a line. A function that never returns is given up after a minute.
const ASKER: &str = "\
use std::io::BufRead;
fn main() {
    std::thread::spawn(|| {
        std::thread::sleep(std::time::Duration::from_secs(60));
        std::process::exit(3);
    });
    let mut answers = String::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let n: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        answers.push(if function::answer::holds(n[0], n[1], n[2], n[3]) { '1' } else { '0' });
    }
    println!(\"{answers}\");
}
";

/// RAM, and bytes that may or may not lie in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    base: u64,
    size: u64,
    pa: u64,
    len: u64,
}

/// What is wrong with a function.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It does not compile, or does not come to an end; in the compiler's words, or its own.
    Broken(String),
    /// It says yes to bytes that are not all in RAM.
    Lenient(Case),
    /// It says no to bytes that are.
    Strict(Case),
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { base, size, pa, len } = self;
        write!(f, "holds({base:#x}, {size:#x}, {pa:#x}, {len:#x})")
    }
}

impl Case {
    /// Says whether all of the bytes lie in the RAM; it counts with numbers that are wide enough.
    fn is_inside(&self) -> bool {
        let wide = |n: u64| u128::from(n);
        self.base <= self.pa && wide(self.pa) + wide(self.len) <= wide(self.base) + wide(self.size)
    }

    /// Lists bytes around every edge that there is, and many that are at none. There is always a byte: what is said of
    /// none at all is nobody's concern.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for size in [0x1000, 512 << 20, 2 << 30, 1 << 40] {
            let (base, end) = (DRAM_BASE, DRAM_BASE + size);
            let near = |n: u64| [0, 1, 2, 8, 16].into_iter().flat_map(move |d| [n.wrapping_sub(d), n.wrapping_add(d)]);
            let edges: Vec<u64> =
                [0, base, base + size / 2, end, 1 << 32, 1 << 63].into_iter().flat_map(near).collect();
            for pa in edges.iter().copied() {
                // The lengths after which an edge comes, the end of all numbers among them.
                let until = edges.iter().map(|edge| edge.wrapping_sub(pa));
                let lengths = edges.iter().copied().chain(until);
                all.extend(lengths.filter(|len| *len != 0).map(|len| Self { base, size, pa, len }));
            }
            let mut state = 0x7182_u64;
            let mut next = || {
                // Marsaglia's xorshift64.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            for _ in 0..10_000 {
                let (pa, shift) = (next(), next() % 64);
                let len = (next() >> shift).max(1);
                all.push(Self { base, size, pa: pa >> (next() % 64), len });
                all.push(Self { base, size, pa: base + pa % size, len });
                all.push(Self { base, size, pa: base + pa % size, len: 1 + len % size });
            }
        }
        all
    }
}

/// Asks the function in `file` about all cases; returns the first of each kind of mistake.
pub(super) fn mistakes(workspace: &Workspace, file: &Path) -> Result<Vec<Wrong>> {
    let folder = workspace.target().join("check/function");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = file.canonicalize().with_context(|| format!("cannot read {}", file.display()))?;
    let library = format!(
        "#![no_std]\n#![forbid(unsafe_code)]\n#[path = {:?}]\npub mod answer;\n\
         const _: fn(u64, u64, u64, u64) -> bool = answer::holds;\n",
        file.display().to_string()
    );
    write_if_changed(&folder.join("function.rs"), library.as_bytes())?;
    write_if_changed(&folder.join("asker.rs"), ASKER.as_bytes())?;
    if let Err(said) = compile(&folder, &["--crate-type", "rlib", "function.rs"])? {
        let name = file.display().to_string();
        let blames = said.contains(&name);
        let hint = if blames { String::new() } else { format!("it needs the function `{SIGNATURE}`\n") };
        return Ok(vec![Wrong::Broken(hint + &said.replace(&name, &shown(&file)))]);
    }
    if let Err(said) = compile(&folder, &["-L", ".", "--extern", "function=libfunction.rlib", "asker.rs"])? {
        bail!("the checker's own program does not compile: {said}");
    }
    let cases = Case::all();
    let answers = match answers(&folder, &cases)? {
        Ok(answers) => answers,
        Err(said) => return Ok(vec![Wrong::Broken(said)]),
    };
    let judged = || cases.iter().zip(answers.bytes()).map(|(case, answer)| (case, answer == b'1'));
    let lenient = judged().find(|(case, yes)| *yes && !case.is_inside());
    let strict = judged().find(|(case, yes)| !*yes && case.is_inside());
    let lenient = lenient.map(|(case, _)| Wrong::Lenient(*case));
    Ok(lenient.into_iter().chain(strict.map(|(case, _)| Wrong::Strict(*case))).collect())
}

/// Compiles as the TEE is compiled as far as it matters here: sums wrap around.
fn compile(folder: &Path, arguments: &[&str]) -> Result<Result<(), String>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc)
        .args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "overflow-checks=off",
            "-C",
            "debug-assertions=off",
            "--color",
            "never",
        ])
        .args(["-A", "warnings"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", rustc.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(said) })
}

/// Returns what the compiled program says to all cases, a digit for each.
fn answers(folder: &Path, cases: &[Case]) -> Result<Result<String, String>> {
    let mut questions = String::new();
    for Case { base, size, pa, len } in cases {
        // Writing to a String cannot fail.
        let _ = writeln!(questions, "{base} {size} {pa} {len}");
    }
    let mut asker = Command::new(folder.join("asker"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the compiled function")?;
    let mut input = asker.stdin.take().context("it has no standard input")?;
    // Whoever panics does not read to the end.
    let _ = input.write_all(questions.as_bytes());
    drop(input);
    let output = asker.wait_with_output().context("the compiled function is gone")?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && said.len() == cases.len() {
        return Ok(Ok(said));
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(Err(if why.is_empty() { "it does not come to an end".to_owned() } else { why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(function: &str) -> Vec<Wrong> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("08.rs");
        fs::write(&file, function).unwrap();
        // A target folder of its own: tests run at the same time.
        let workspace = Workspace::locate().unwrap().with_target(folder.path().to_path_buf());
        mistakes(&workspace, &file).unwrap()
    }

    fn holds(body: &str) -> String {
        format!("{SIGNATURE} {{ {body} }}")
    }

    #[test]
    fn a_right_function_is_right_however_it_is_written() {
        for body in [
            "base <= pa && pa.checked_add(len).is_some_and(|end| end <= base + size)",
            "pa >= base && len <= size && pa - base <= size - len",
            "base as u128 <= pa as u128 && pa as u128 + len as u128 <= base as u128 + size as u128",
            "let (end, wraps) = pa.overflowing_add(len); !wraps && base <= pa && end <= base + size",
            "pa.checked_sub(base).is_some_and(|from| from.checked_add(len).is_some_and(|to| to <= size))",
            "base <= pa && pa.saturating_add(len) <= base + size",
        ] {
            assert!(wrong(&holds(body)).is_empty(), "{body}");
        }
    }

    #[test]
    fn a_function_that_only_looks_right_is_not() {
        for (body, lenient, strict) in [
            ("base <= pa && pa + len <= base + size", true, false),
            ("false", false, true),
            ("true", true, false),
            ("base <= pa && pa < base + size && len < size", true, true),
            ("base <= pa && pa + len <= base + size && len <= size", true, false),
            ("base <= pa && pa + len <= base + size && len < 1 << 32", true, true),
            ("base <= pa && pa + len <= base + size && pa < u64::MAX / 2", true, false),
            ("base < pa && pa.checked_add(len).is_some_and(|end| end <= base + size)", false, true),
            ("base <= pa && pa.checked_add(len).is_some_and(|end| end < base + size)", false, true),
            ("base <= pa && pa.checked_add(len).is_some()", true, false),
            ("base <= pa && pa.checked_add(len - 1).is_some_and(|end| end <= base + size)", true, false),
            ("base <= pa && pa + len >= pa && pa + len <= base + size && size == 2 << 30", false, true),
        ] {
            let found = wrong(&holds(body));
            let is = |wanted: fn(&Wrong) -> bool| found.iter().any(wanted);
            assert_eq!(is(|wrong| matches!(wrong, Wrong::Lenient(_))), lenient, "{body}: {found:?}");
            assert_eq!(is(|wrong| matches!(wrong, Wrong::Strict(_))), strict, "{body}: {found:?}");
        }
    }

    #[test]
    fn what_is_no_such_function_is_told_with_the_students_line() {
        let told = |function: &str| match wrong(function).as_slice() {
            [Wrong::Broken(said)] => said.clone(),
            other => panic!("{other:?}"),
        };
        let wrong_type = told(&holds("\n    base <= pa && 7"));
        assert!(wrong_type.contains("08.rs:2:") && !wrong_type.contains("function.rs"), "{wrong_type}");
        assert!(told("").contains("it needs the function `pub fn holds"));
        assert!(told("pub fn holds() -> bool { true }").contains("it needs the function"));
        // Neither std nor the project's own function, nor anything unsafe, nor the end of a module that is none.
        assert!(
            told(&format!("use shared_abi::layout::Range;\n{}", holds("Range::new(base, size).holds(pa, len)")))
                .contains("08.rs:1:")
        );
        assert!(told(&holds("std::process::exit(0)")).contains("08.rs:1:"));
        assert!(told(&holds("unsafe { core::hint::unreachable_unchecked() }")).contains("08.rs:1:"));
        assert!(told(&format!("{} }} pub mod more {{", holds("true"))).contains("08.rs:1:"));
        assert!(told(&holds("[true][(pa / len) as usize % 7]")).contains("panicked"));
    }
}
