// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layers and our own guests, built from source.

use crate::elf;
use crate::lock;
use crate::progress::Progress;
use crate::toolchain::{Profile, TARGET, Toolchain};
use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
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
    /// What a guest sees of its hardware, line by line.
    Contract,
    /// Both worlds, each of which overwrites the other's registers.
    Worlds,
    /// The client that the Linux guest runs; an ELF file, not a raw image.
    LinuxClient,
}

impl Program {
    /// All of them, in the order in which they start.
    pub const ALL: [Self; 9] = [
        Self::Boot,
        Self::Runtime,
        Self::Tee,
        Self::Hypervisor,
        Self::BareGuest,
        Self::Probe,
        Self::Contract,
        Self::Worlds,
        Self::LinuxClient,
    ];

    /// What the flash is made of.
    pub const LAYERS: [Self; 4] = [Self::Boot, Self::Runtime, Self::Tee, Self::Hypervisor];

    /// Returns the package, which is also its folder's name.
    const fn package(self) -> &'static str {
        match self {
            Self::Boot | Self::Runtime => "secure-monitor",
            Self::Tee => "tee-core",
            Self::Hypervisor => "hypervisor",
            Self::BareGuest => "bare-guest",
            Self::Probe => "probe",
            Self::Contract => "contract",
            Self::Worlds => "worlds",
            Self::LinuxClient => "linux-client",
        }
    }

    /// Returns the binary's name: what cargo calls its file.
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Runtime => "runtime",
            other => other.package(),
        }
    }
}

/// A program that was built with features.
#[derive(Debug, Clone)]
pub struct Variant {
    /// With its symbols.
    pub elf: PathBuf,
    /// The raw image.
    pub image: PathBuf,
}

/// Builds programs and knows where the results are.
#[derive(Debug, Clone)]
pub struct Firmware {
    elves: PathBuf,
    images: PathBuf,
    /// What stands in a program's place.
    variants: BTreeMap<Program, Variant>,
}

impl Firmware {
    /// Builds what changed of these programs and writes their raw images.
    pub fn build(workspace: &Workspace, programs: &[Program], progress: &Progress) -> Result<Self> {
        let elves = workspace.target().join(TARGET).join(Profile::Firmware.name());
        let firmware = Self { elves, images: workspace.images()?, variants: BTreeMap::new() };
        let toolchain = Toolchain::read(&workspace.toolchain_file())?;
        let symbols = workspace.symbols()?;
        // Cargo's own lock ends before what it built is read.
        let _building = lock::hold(&firmware.images, progress)?;
        let mut built = "";
        for &program in programs {
            // One package at a time: built together they would share the features of their common dependencies.
            if program.package() != built {
                built = program.package();
                progress.step(&format!("building {built}"));
                run_cargo(workspace, &toolchain, "build", &Job::of(workspace, built), progress)?;
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

    /// Builds a program with features and writes its raw image, which becomes known by `name`. All such builds are in a
    /// folder of their own, so that none of them ever is where the program itself is looked for.
    pub fn build_variant(
        &self,
        workspace: &Workspace,
        program: Program,
        name: &str,
        features: &[&str],
        progress: &Progress,
    ) -> Result<Variant> {
        let target = workspace.target().join("variants");
        let job = Job { package: program.package(), features, target, profile: Profile::Firmware };
        self.build_as(workspace, program, name, &job, progress)
    }

    fn build_as(
        &self,
        workspace: &Workspace,
        program: Program,
        name: &str,
        job: &Job<'_>,
        progress: &Progress,
    ) -> Result<Variant> {
        let toolchain = Toolchain::read(&workspace.toolchain_file())?;
        progress.step(&format!("building {} {name}", program.package()));
        let _building = lock::hold(&job.target, progress)?;
        run_cargo(workspace, &toolchain, "build", job, progress)?;
        let built = job.target.join(TARGET).join(job.profile.name()).join(program.binary());
        let bytes = fs::read(&built).with_context(|| format!("cargo built no {}", built.display()))?;
        let elf = workspace.symbols()?.join(format!("{}-{name}.elf", program.binary()));
        write_if_changed(&elf, &bytes)?;
        let image = self.images.join(format!("{}-{name}.bin", program.binary()));
        write_if_changed(&image, &elf::raw(&bytes).with_context(|| format!("{} is not bootable", elf.display()))?)?;
        Ok(Variant { elf, image })
    }

    /// Builds a layer with the feature `trace` and some others; from now on it stands in the layer's place.
    pub fn trace(
        &mut self,
        workspace: &Workspace,
        program: Program,
        features: &[&str],
        progress: &Progress,
    ) -> Result<()> {
        let features = [features, &["trace"]].concat();
        let variant = self.build_variant(workspace, program, &features.join("-"), &features, progress)?;
        self.variants.insert(program, variant);
        Ok(())
    }

    /// Builds a layer with overflow checks and debug assertions; from now on it stands in the layer's place.
    pub fn check(&mut self, workspace: &Workspace, program: Program, progress: &Progress) -> Result<()> {
        let target = workspace.target().join("variants");
        let job = Job { package: program.package(), features: &[], target, profile: Profile::Checked };
        let variant = self.build_as(workspace, program, job.profile.name(), &job, progress)?;
        self.variants.insert(program, variant);
        Ok(())
    }

    /// Returns the program with its symbols.
    pub fn elf(&self, program: Program) -> PathBuf {
        self.variants.get(&program).map_or_else(|| self.elves.join(program.binary()), |variant| variant.elf.clone())
    }

    /// Returns the path of the raw image that the machine starts.
    pub fn image(&self, program: Program) -> PathBuf {
        let usual = || self.images.join(program.binary()).with_extension("bin");
        self.variants.get(&program).map_or_else(usual, |variant| variant.image.clone())
    }

    /// Reads the raw image.
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
        run_cargo(workspace, &toolchain, "clippy", &Job::of(workspace, package), progress)?;
    }
    // The image of the report, with and without what mends it.
    for features in [["as-reported"].as_slice(), &["client-id", "pristine-template", "fallible-pool"]] {
        let job = Job { features, ..Job::of(workspace, Program::Tee.package()) };
        run_cargo(workspace, &toolchain, "clippy", &job, progress)?;
    }
    // Layers that record what they do.
    for program in TRACED {
        let job = Job { features: &["trace"], ..Job::of(workspace, program.package()) };
        run_cargo(workspace, &toolchain, "clippy", &job, progress)?;
    }
    let report = Job { features: &["trace", "as-reported"], ..Job::of(workspace, Program::Tee.package()) };
    run_cargo(workspace, &toolchain, "clippy", &report, progress)
}

/// Programs with a feature `trace`.
const TRACED: [Program; 3] = [Program::Runtime, Program::Tee, Program::Hypervisor];

/// What cargo is to do.
struct Job<'j> {
    package: &'j str,
    features: &'j [&'j str],
    target: PathBuf,
    profile: Profile,
}

impl<'j> Job<'j> {
    /// Names a package as it is, in the usual place.
    fn of(workspace: &Workspace, package: &'j str) -> Self {
        Self { package, features: &[], target: workspace.target().to_path_buf(), profile: Profile::Firmware }
    }
}

/// Runs cargo for one package. Its messages are kept back unless it fails.
fn run_cargo(
    workspace: &Workspace,
    toolchain: &Toolchain,
    action: &str,
    job: &Job<'_>,
    progress: &Progress,
) -> Result<()> {
    let package = job.package;
    let mut command = toolchain.cargo(action, job.profile);
    command.args(["--package", package, "--target-dir"]).arg(&job.target);
    if !job.features.is_empty() {
        command.args(["--features", &job.features.join(",")]);
    }
    if action == "clippy" {
        command.args(["--", "-D", "warnings"]);
    }
    command.current_dir(workspace.sources()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
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
