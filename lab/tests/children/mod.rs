// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes, as only Linux tells of them this easily.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Finds the QEMU that a lab runs.
pub fn qemu(of: u32) -> Result<u32> {
    let children = format!("/proc/{of}/task/{of}/children");
    let text = fs::read_to_string(&children).with_context(|| format!("cannot read {children}"))?;
    let is_qemu = |child: &&str| arguments(child).first().is_some_and(|program| program.contains("qemu-system"));
    text.split_whitespace().find(is_qemu).context("the lab runs no QEMU")?.parse().context("not a number")
}

/// Reads what a process was started with; nothing if it has ended.
pub fn arguments(process: &str) -> Vec<String> {
    let bytes = fs::read(Path::new("/proc").join(process).join("cmdline")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}
