// SPDX-License-Identifier: MIT OR Apache-2.0
//! How this machine builds for the bare-metal target.
//!
//! Most have the target from rustup and plain `cargo` does it. Where setup had to take another way (a distribution's
//! cargo with `-Z build-std`, for one), it wrote that down in `target/setup/toolchain.toml`.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The target of every layer and of the guests that we build.
pub const TARGET: &str = "aarch64-unknown-none-softfloat";

/// How it is built (`Cargo.toml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What the machine boots.
    Firmware,
    /// What it boots to be checked: with overflow checks and debug assertions.
    Checked,
}

impl Profile {
    /// Returns its name in `Cargo.toml`; also that of its folder under `target/`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Checked => "checked",
        }
    }
}

/// What setup wrote.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Toolchain {
    /// The cargo to call.
    cargo: String,
    /// Arguments after `build` or `clippy`.
    args: Vec<String>,
    /// Environment of that cargo.
    env: BTreeMap<String, String>,
}

impl Default for Toolchain {
    fn default() -> Self {
        Self { cargo: "cargo".into(), args: Vec::new(), env: BTreeMap::new() }
    }
}

impl Toolchain {
    /// Reads setup's file; without one takes the plain cargo.
    pub fn read(file: &Path) -> Result<Self> {
        match fs::read_to_string(file) {
            Ok(text) => toml::from_str(&text)
                .with_context(|| format!("{} is damaged; `make setup` writes it anew", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Makes a cargo command (`build`, `clippy`) for the bare-metal target; packages and features are still to be
    /// added.
    pub fn cargo(&self, action: &str, profile: Profile) -> Command {
        let mut command = Command::new(&self.cargo);
        command.arg(action).args(&self.args).args(["--target", TARGET, "--profile", profile.name()]);
        command.envs(&self.env);
        // What `cargo test` tells a test about itself would reach build scripts and change their fingerprints.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_setups_file_plain_cargo_builds() {
        let toolchain = Toolchain::read(Path::new("/nonexistent/toolchain.toml")).unwrap();
        assert_eq!(toolchain, Toolchain::default());
        assert_eq!(toolchain.cargo("build", Profile::Firmware).get_program(), "cargo");
    }

    #[test]
    fn setups_arguments_and_environment_reach_cargo() {
        let toolchain: Toolchain = toml::from_str(
            "cargo = '/usr/bin/cargo'\nargs = ['-Z', 'build-std=core,alloc']\nenv = { RUSTC_BOOTSTRAP = '1' }",
        )
        .unwrap();
        let command = toolchain.cargo("build", Profile::Firmware);
        assert_eq!(command.get_program(), "/usr/bin/cargo");
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args[..3], ["build", "-Z", "build-std=core,alloc"]);
        assert!(command.get_envs().any(|(name, value)| name == "RUSTC_BOOTSTRAP" && value.is_some()));
    }
}
