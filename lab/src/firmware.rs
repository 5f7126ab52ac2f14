//! The layers and our own guests, built from source.

use crate::elf;
use crate::progress::Progress;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

/// A program of this workspace that runs in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The monitor's boot stage, which runs in place in flash.
    Boot,
    /// The monitor's runtime: BL31.
    Runtime,
    /// The TEE core: BL32.
    Tee,
    /// The hypervisor: BL33.
    Hypervisor,
    /// The guest without an operating system.
    BareGuest,
    /// The probe.
    Probe,
    /// The client that the Linux guest runs; an ELF file, not a raw image.
    LinuxClient,
}

impl Program {
    /// All of them, in the order in which they start.
    pub const ALL: [Self; 7] =
        [Self::Boot, Self::Runtime, Self::Tee, Self::Hypervisor, Self::BareGuest, Self::Probe, Self::LinuxClient];

    /// What the flash is made of.
    pub const LAYERS: [Self; 4] = [Self::Boot, Self::Runtime, Self::Tee, Self::Hypervisor];

    /// The package, which is also its folder's name.
    const fn package(self) -> &'static str {
        match self {
            Self::Boot | Self::Runtime => "secure-monitor",
            Self::Tee => "tee-core",
            Self::Hypervisor => "hypervisor",
            Self::BareGuest => "bare-guest",
            Self::Probe => "probe",
            Self::LinuxClient => "linux-client",
        }
    }

    /// The binary's name: what cargo calls its file.
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Runtime => "runtime",
            other => other.package(),
        }
    }
}

/// Builds programs and knows where the results are.
#[derive(Debug, Clone)]
pub struct Firmware {
    elves: PathBuf,
    images: PathBuf,
}

impl Firmware {
    /// Builds what changed of these programs and writes their raw images.
    pub fn build(workspace: &Workspace, programs: &[Program], progress: &Progress) -> Result<Self> {
        let firmware = Self { elves: workspace.target().join(TARGET).join("firmware"), images: workspace.images()? };
        let toolchain = Toolchain::read(&workspace.toolchain_file())?;
        let symbols = workspace.symbols()?;
        let mut built = "";
        for &program in programs {
            // One package at a time: built together they would share the features of their common dependencies.
            if program.package() != built {
                built = program.package();
                progress.step(&format!("building {built}"));
                run_cargo(workspace, &toolchain, "build", built, progress)?;
            }
            let elf = fs::read(firmware.elf(program))
                .with_context(|| format!("cargo built no {}", firmware.elf(program).display()))?;
            write_if_changed(&symbols.join(program.binary()).with_extension("elf"), &elf)?;
            if program != Program::LinuxClient {
                let raw =
                    elf::raw(&elf).with_context(|| format!("{} is not bootable", firmware.elf(program).display()))?;
                write_if_changed(&firmware.image(program), &raw)?;
            }
        }
        Ok(firmware)
    }

    /// The program with its symbols.
    pub fn elf(&self, program: Program) -> PathBuf {
        self.elves.join(program.binary())
    }

    /// The raw image that the machine starts.
    pub fn image(&self, program: Program) -> PathBuf {
        self.images.join(program.binary()).with_extension("bin")
    }

    /// The raw image's bytes.
    pub fn read(&self, program: Program) -> Result<Vec<u8>> {
        let path = self.image(program);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Runs clippy over every program as it is built for the machine, warnings denied.
pub fn clippy(workspace: &Workspace, progress: &Progress) -> Result<()> {
    let toolchain = Toolchain::read(&workspace.toolchain_file())?;
    let mut packages = Program::ALL.map(Program::package).to_vec();
    packages.dedup();
    for package in packages {
        progress.step(&format!("checking {package}"));
        run_cargo(workspace, &toolchain, "clippy", package, progress)?;
    }
    Ok(())
}

/// Runs cargo for one package. Its messages are kept back unless it fails.
fn run_cargo(
    workspace: &Workspace,
    toolchain: &Toolchain,
    action: &str,
    package: &str,
    progress: &Progress,
) -> Result<()> {
    let mut command = toolchain.cargo(action);
    command.args(["--package", package, "--target-dir"]).arg(workspace.target());
    if action == "clippy" {
        command.args(["--", "-D", "warnings"]);
    }
    command.current_dir(workspace.root()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {:?}; install Rust from https://rustup.rs", command.get_program()))?;
    let mut said = String::new();
    let stderr = child.stderr.take().context("cargo has no standard error")?;
    for line in BufReader::new(stderr).lines() {
        let line = line.context("cannot read what cargo says")?;
        if let Some(what) = line.trim().strip_prefix("Compiling ") {
            progress.detail(&format!("building {package}: {what}"));
        }
        said.push_str(&line);
        said.push('\n');
    }
    if child.wait().context("cargo is gone")?.success() {
        return Ok(());
    }
    let remedy = if said.contains("can't find crate for `core`") {
        "\nremedy: `make setup` installs what the target needs"
    } else {
        ""
    };
    bail!("cargo {action} of {package} fails for {TARGET}:\n{said}{remedy}")
}
