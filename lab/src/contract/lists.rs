// SPDX-License-Identifier: MIT OR Apache-2.0
//! The committed lists: where the guest contract is another than plain QEMU's, and what is known to be wrong.

use super::Place;
use super::said::essence;
use anyhow::{Context, Result};
use lab_run::scenario::model;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Both lists.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// What the contract has instead.
    pub differences: Vec<Difference>,
    /// What the hypervisor does wrong.
    pub faults: Vec<Fault>,
}

/// A difference that the contract names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Difference {
    /// The check: `vgic: identification`.
    pub check: String,
    /// What plain QEMU says somewhere in its line; without it, the whole line, whatever it says…
    pub plain: Option<String>,
    /// …and what a guest sees there.
    pub guest: String,
    /// Why.
    pub reason: String,
    /// Only on these CPU models.
    #[serde(default)]
    pub on: Vec<String>,
    /// Only with so many CPUs.
    #[serde(default)]
    pub cpus: Vec<u32>,
}

/// A check that is known to fail, until it is mended.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fault {
    /// The check.
    pub check: String,
    /// What is wrong, and where that stands.
    pub point: String,
}

impl Lists {
    /// Reads `differences.toml` and `known-faults.toml` of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Differences {
            #[serde(default)]
            difference: Vec<Difference>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Faults {
            #[serde(default)]
            fault: Vec<Fault>,
        }
        let differences: Differences = read(&folder.join("differences.toml"))?;
        let faults: Faults = read(&folder.join("known-faults.toml"))?;
        Ok(Self { differences: differences.difference, faults: faults.fault })
    }

    /// Finds the fault that is known of a check.
    pub fn fault(&self, check: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.check == check)
    }

    /// Returns what a guest must see, given what plain QEMU says, both without spaces; and the differences that were
    /// named in vain, because plain QEMU does not say so.
    pub fn expected(&self, check: &str, plain: &str, place: &Place) -> (String, Vec<&Difference>) {
        let mut expected = plain.to_owned();
        let mut vain = Vec::new();
        for difference in self.differences.iter().filter(|difference| difference.concerns(check, place)) {
            match difference.plain.as_deref().map(essence) {
                None => expected = essence(&difference.guest),
                Some(from) if expected.contains(&from) => {
                    expected = expected.replacen(&from, &essence(&difference.guest), 1);
                }
                Some(_) => vain.push(difference),
            }
        }
        (expected, vain)
    }
}

impl Difference {
    fn concerns(&self, check: &str, place: &Place) -> bool {
        self.check == check
            && (self.on.is_empty() || self.on.iter().any(|name| name == model(&place.cpu)))
            && (self.cpus.is_empty() || self.cpus.contains(&place.cpus))
    }
}

fn read<T: for<'d> Deserialize<'d>>(file: &Path) -> Result<T> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
}
