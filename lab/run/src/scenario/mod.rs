// SPDX-License-Identifier: MIT OR Apache-2.0
//! A scenario: one chain of trust, what boots on it, what is sent to it and what must be seen.
//!
//! Every table refuses keys it doesn't know; [`Error`] makes of that an error with the nearest key that exists.

mod chain;
mod check;
mod error;
mod implied;
mod layer;
pub mod play;
mod tables;

pub use crate::models::model;
pub use chain::{Chain, Damage, Image, TeeMode};
pub(crate) use error::Fault;
pub use error::{Error, new_name};
pub use lab_script::Size;
pub use lab_script::source::{OnlyWith, Words};
pub use layer::{Foreign, MonitorLayer, NormalWorld, Owner, Package, Parts, TeeLayer};
pub use tables::{Cue, DtbPlace, End, Expect, Hardware, Placement, Property, Scenario, Send, Vm};

use crate::models;
use std::path::Path;

impl Scenario {
    /// Reads and checks a file, with QEMU's knowledge of CPUs.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read the scenario {}", file.display()))?;
        let scenario = Self::parse(&text, file)?;
        scenario.check_models().map_err(|fault| fault.at(file, &text))?;
        Ok(scenario)
    }

    /// Checks that QEMU has its CPU models.
    fn check_models(&self) -> Result<(), Fault> {
        for (index, cpu) in self.cpus().enumerate() {
            if let Some(message) = models::mistake(cpu) {
                let key = if index == 0 { "cpu" } else { "also-on" };
                return Err(Fault { table: "[machine]", index: 0, key, message });
            }
        }
        Ok(())
    }

    /// Parses and checks a scenario's text; `file` is for messages, and its folder where relative paths start.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let mut scenario: Self = toml::from_str(text).map_err(|error| Error::from_toml(file, text, &error))?;
        scenario.folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
        check::what_boots(&scenario).map_err(|fault| fault.at(file, text))?;
        play::prepare(&mut scenario, text, file)?;
        check::what_is_seen(&scenario).map_err(|fault| fault.at(file, text))?;
        scenario.expect_no_failure();
        let chain = &scenario.chain;
        let tee = matches!(chain.tee, Some(TeeLayer::Foreign(_)));
        let monitor = chain.monitor != MonitorLayer::Ours;
        let of_flash = monitor && chain.tee == Some(TeeLayer::Usual);
        let quoted = [(tee || of_flash, "TEE"), (monitor, "EL3")];
        scenario.quotes = quoted.into_iter().filter(|(is, _)| *is).map(|(_, speaker)| speaker).collect();
        Ok(scenario)
    }

    /// Checks it again, now that another normal world stands in it.
    pub(crate) fn check_again(&self) -> Result<(), String> {
        if self.script.is_some() && self.chain.normal_world != NormalWorld::Probe {
            return Err("its steps are played by the probe in the hypervisor's place".into());
        }
        let checked = check::what_boots(self).and_then(|()| check::what_is_seen(self));
        checked.map_err(|fault| format!("`{}` of it: {}", fault.key, fault.message))
    }
}

#[cfg(test)]
mod tests;
