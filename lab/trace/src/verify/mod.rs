// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the layers told the truth: a trace beside QEMU's own log of exceptions.
//!
//! The contract ([`shared_abi::trace`]) has one record for each exception that EL3 takes and for each return from it,
//! and the same at EL2 for exceptions that come from a VM. QEMU logs them too (`-d int`), and knows nothing of records.
//! Here the two are laid side by side, on each CPU and for each level in order; the first that one has and the other
//! hasn't is a [`Difference`].
//!
//! [`log`] reads QEMU's; [`mod@compare`] goes through both.

pub mod compare;
pub mod log;

pub use compare::{Agreement, Difference, compare};

use crate::Trace;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Compares a trace with the log in a file; returns what they agree on. With `hypervisor`, EL2 is one of our layers.
pub fn verify(trace: &Trace, log: &Path, hypervisor: bool) -> Result<Agreement> {
    ensure!(
        trace.lost == 0 && trace.damaged == 0,
        "{} records were lost and {} damaged: there is no whole trace to compare with QEMU's log",
        trace.lost,
        trace.damaged
    );
    let file = File::open(log).with_context(|| format!("QEMU wrote no log {}", log.display()))?;
    let seen = log::read(BufReader::new(file).split(b'\n').map_while(Result::ok).map(|line| lossy(&line)));
    match compare(trace, &seen, hypervisor) {
        Ok(agreement) => Ok(agreement),
        Err(difference) => bail!("trace and QEMU's log {} differ\n{difference}", log.display()),
    }
}

fn lossy(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
