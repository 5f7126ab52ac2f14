// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a scenario to everything that QEMU needs: programs built, guests fetched, flash and tree written.

use crate::debian::{Depot, Unreachable};
use crate::firmware::{Firmware, Program};
use crate::flash::Flash;
use crate::foreign;
use crate::guests::{self, Guest, Linux, Module};
use crate::linux::{self, LinuxGuest, Recipe};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::qemu::{self, CommandLine};
use crate::runs::{RunFolder, TRACED};
use crate::scenario::{Chain, Foreign, Hardware, NormalWorld, Scenario, TeeMode, model, play};
use crate::stack::{Stack, Tee};
use crate::transplant;
use crate::tree::{self, Seeds, Whose};
use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result, bail, ensure};
use lab_trace::memory::Memory;
use lab_trace::{Traced, Tracing};
use shared_abi::fip::Image;
use shared_abi::layout::{DRAM_BASE, TRACE};
use shared_abi::trace::Way;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The flash's name in a run's folder.
const FLASH: &str = "flash.bin";

/// A run that is ready to start.
#[derive(Debug)]
pub struct Prepared {
    /// What is run.
    pub plan: Plan,
    /// QEMU's arguments.
    pub line: CommandLine,
    /// Where this run keeps its flash, tree and logs.
    pub folder: RunFolder,
    /// The tree that the chain boots with.
    pub tree: PathBuf,
    /// How its layers' records are read, if they write any.
    pub traced: Option<Traced>,
}

/// What scenarios are made of: programs and guests.
#[derive(Debug, Clone)]
pub struct Kit {
    firmware: Firmware,
    linux: Option<LinuxGuest>,
    /// The layers write records.
    traces: bool,
    /// Another TEE than the plan's.
    tee: Option<Given>,
    /// Another runtime of the monitor.
    runtime: Option<PathBuf>,
    /// Another program in the hypervisor's place than the probe.
    normal_world: Option<Given>,
}

/// An image that is not built here.
#[derive(Debug, Clone)]
enum Given {
    /// A file's, as it is when it is needed.
    File(PathBuf),
    /// What was fetched, or unpacked.
    Bytes(Arc<Vec<u8>>),
}

impl Given {
    fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(file) => fs::read(file).with_context(|| format!("cannot read {}", file.display())),
            Self::Bytes(bytes) => Ok(bytes.to_vec()),
        }
    }
}

impl Kit {
    /// Builds what changed of that which a plan needs, and fetches what it names.
    pub fn of(workspace: &Workspace, plan: &Plan, progress: &Progress) -> Result<Self> {
        let Plan { scenario, stack, tracing, .. } = plan;
        stack.check(scenario)?;
        let (layers, others) = (layers(&scenario.chain, stack), others(scenario));
        let untraced = if tracing.is_none() { [layers.clone(), others].concat() } else { others };
        let kit = Self::build(workspace, &untraced, guests::linux(scenario), progress)?;
        let mut kit = kit.with_layers_of(workspace, plan, progress)?;
        if let Some(tracing) = tracing {
            for layer in layers {
                let features = tracing.tee.iter().map(String::as_str).filter(|_| layer == Program::Tee);
                kit.firmware.trace(workspace, layer, &features.collect::<Vec<_>>(), progress)?;
            }
        }
        Ok(Self { traces: tracing.is_some(), ..kit })
    }

    /// Fetches, reads and builds what stands in layers' places in a plan.
    pub fn with_layers_of(mut self, workspace: &Workspace, plan: &Plan, progress: &Progress) -> Result<Self> {
        let Plan { scenario, stack, tracing, .. } = plan;
        self.fetch(&scenario.chain, &scenario.folder, stack, tracing.is_some(), workspace, progress)?;
        Ok(self)
    }

    fn fetch(
        &mut self,
        chain: &Chain,
        folder: &Path,
        stack: &Stack,
        traced: bool,
        workspace: &Workspace,
        progress: &Progress,
    ) -> Result<()> {
        let given = |program: foreign::Program| {
            program.instead.iter().for_each(|line| progress.note(line));
            Some(Given::Bytes(Arc::new(program.image)))
        };
        let (records, cache) = (workspace.package_records(), workspace.packages());
        let depot = Depot { records: &records, cache: &cache, progress: &|step| progress.step(step) };
        match &stack.tee {
            Tee::Package(package) => self.tee = given(foreign::tee(&depot, package)?),
            Tee::Featured(features) if !traced => {
                let features: Vec<_> = features.iter().map(String::as_str).collect();
                let name = features.join("-");
                let variant = self.firmware.build_variant(workspace, Program::Tee, &name, &features, progress)?;
                self.tee = Some(Given::File(variant.image));
            }
            // One that traces is built with its features.
            Tee::Featured(_) | Tee::Ours | Tee::Image(_) | Tee::OfFlash => {}
        }
        match &chain.normal_world {
            NormalWorld::Hypervisor | NormalWorld::Probe => {}
            NormalWorld::Linux => {
                self.normal_world = self.linux.as_ref().map(|linux| Given::File(linux.image.clone()));
            }
            NormalWorld::Foreign(Foreign::Image(file)) => {
                self.normal_world = Some(Given::Bytes(Arc::new(foreign::image(&folder.join(file))?)));
            }
            NormalWorld::Foreign(Foreign::Package(package)) => {
                self.normal_world = given(foreign::normal_world(&depot, package)?);
            }
        }
        Ok(())
    }

    /// Builds and fetches what a flash alone needs. Relative paths start in `folder`.
    pub fn for_flash(
        stack: &Stack,
        workspace: &Workspace,
        chain: &Chain,
        folder: &Path,
        progress: &Progress,
    ) -> Result<Self> {
        let mut programs = layers(chain, stack);
        if chain.normal_world == NormalWorld::Probe {
            programs.push(Program::Probe);
        }
        let firmware = Firmware::build(workspace, &programs, progress)?;
        let mut kit = Self::made_of(&firmware);
        if chain.normal_world == NormalWorld::Linux {
            let firmware = Firmware::build(workspace, &[Program::LinuxClient], progress)?;
            kit.linux = Some(linux_guest(workspace, &firmware, false, progress)?);
        }
        kit.fetch(chain, folder, stack, false, workspace, progress)?;
        Ok(kit)
    }

    /// Builds all that a scenario can name, and fetches so much of Linux.
    pub fn whole(workspace: &Workspace, linux: Linux, progress: &Progress) -> Result<Self> {
        Self::build(workspace, &Program::ALL, linux, progress)
    }

    /// Takes layers that check that nothing overflows and that what they assert is so.
    pub fn checked(self, workspace: &Workspace, progress: &Progress) -> Result<Self> {
        let mut kit = self;
        for layer in Program::LAYERS {
            kit.firmware.check(workspace, layer, progress)?;
        }
        Ok(kit)
    }

    fn build(workspace: &Workspace, programs: &[Program], linux: Linux, progress: &Progress) -> Result<Self> {
        qemu::check()?;
        let firmware = Firmware::build(workspace, programs, progress)?;
        let linux = match linux {
            Linux::None => None,
            some => Some(linux_guest(workspace, &firmware, some == Linux::Xtest, progress)?),
        };
        Ok(Self { linux, ..Self::made_of(&firmware) })
    }

    /// Takes what was built, and nothing else.
    pub fn made_of(firmware: &Firmware) -> Self {
        Self { firmware: firmware.clone(), linux: None, traces: false, tee: None, runtime: None, normal_world: None }
    }

    /// Takes another TEE.
    pub fn and_tee(self, tee: &Path) -> Self {
        Self { tee: Some(Given::File(tee.to_path_buf())), ..self }
    }

    /// Takes raw images in the places of TEE and normal world, where they are given.
    pub fn and_images(self, tee: Option<&Path>, normal_world: Option<&Path>) -> Self {
        let given = |file: &Path| Given::File(file.to_path_buf());
        let tee = tee.map(given).or(self.tee);
        Self { tee, normal_world: normal_world.map(given).or(self.normal_world), ..self }
    }

    /// Takes another runtime of the monitor, and another program in the probe's place.
    pub fn with_worlds(self, runtime: &Path, normal_world: &Path) -> Self {
        let normal_world = Some(Given::File(normal_world.to_path_buf()));
        Self { runtime: Some(runtime.to_path_buf()), normal_world, ..self }
    }

    /// Returns the programs.
    pub const fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// Reads what stands at BL33, without the steps of a probe.
    fn normal_world(&self, chain: &Chain) -> Result<Vec<u8>> {
        match (&self.normal_world, &chain.normal_world) {
            (Some(given), _) => given.bytes(),
            (None, NormalWorld::Probe) => self.firmware.read(Program::Probe),
            (None, NormalWorld::Hypervisor) => self.firmware.read(Program::Hypervisor),
            (None, NormalWorld::Linux | NormalWorld::Foreign(_)) => bail!("the kit has no other normal world"),
        }
    }

    /// Reads what stands at BL32.
    fn tee(&self, chain: &Chain, stack: &Stack) -> Result<Option<Vec<u8>>> {
        if chain.tee.is_none() {
            return Ok(None);
        }
        Ok(match (&self.tee, &stack.tee) {
            (Some(given), _) => Some(given.bytes()?),
            (None, Tee::Image(tee)) => Some(tee.bytes.clone()),
            (None, Tee::OfFlash) => None,
            (None, Tee::Featured(features)) if !self.traces => bail!("the kit has no TEE with {}", features.join(", ")),
            (None, Tee::Ours | Tee::Featured(_)) => Some(self.firmware.read(Program::Tee)?),
            (None, Tee::Package(package)) => bail!("the kit has no {package}"),
        })
    }

    /// Makes the flash with this normal world.
    fn flash(&self, chain: &Chain, stack: &Stack, normal_world: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(flash) = &stack.flash {
            let put = |bytes: &[u8], image, new: &[u8]| {
                transplant::with_image(bytes, image, new)
                    .with_context(|| format!("cannot put another {image} into {}", flash.name))
            };
            let bytes = put(&flash.bytes, Image::Bl33, &normal_world)?;
            return match self.tee(chain, stack)? {
                Some(tee) => put(&bytes, Image::Bl32, &tee),
                None => Ok(bytes),
            };
        }
        let mut images = Flash::of(&self.firmware, self.tee(chain, stack)?, normal_world)?;
        if let Some(runtime) = &self.runtime {
            images = images.with_runtime(runtime)?;
        }
        images.bytes(chain)
    }
}

/// Lists the layers of a chain that are ours.
fn layers(chain: &Chain, stack: &Stack) -> Vec<Program> {
    let ours = |program: &Program| match program {
        Program::Hypervisor => chain.normal_world == NormalWorld::Hypervisor,
        Program::Tee => stack.has_our_tee(),
        _ => stack.flash.is_none(),
    };
    Program::LAYERS.into_iter().filter(ours).collect()
}

/// Lists the chain's other programs.
fn others(scenario: &Scenario) -> Vec<Program> {
    let probe = (scenario.chain.normal_world == NormalWorld::Probe).then_some(Program::Probe);
    probe.into_iter().chain(guests::programs(scenario)).collect()
}

/// Makes the Linux guest.
fn linux_guest(workspace: &Workspace, firmware: &Firmware, xtest: bool, progress: &Progress) -> Result<LinuxGuest> {
    progress.step("making the Linux guest");
    let (records, cache) = (workspace.package_records(), workspace.packages());
    let depot = Depot { records: &records, cache: &cache, progress: &|step| progress.step(step) };
    let recipe = Recipe {
        depot,
        init: &workspace.root().join("images/linux/init"),
        client: &firmware.elf(Program::LinuxClient),
        xtest,
    };
    let guest = linux::guest(&recipe)?;
    guest.instead.iter().for_each(|line| progress.note(line));
    Ok(guest)
}

/// Fetches the packages that the Linux guest is made of; or the newest of all that are recorded, which then become the
/// record.
pub fn fetch(workspace: &Workspace, newest: bool, progress: &Progress) -> Result<()> {
    let (records, cache) = (workspace.package_records(), workspace.packages());
    let depot = Depot { records: &records, cache: &cache, progress: &|step| progress.step(step) };
    if newest {
        let _lock = depot.lock()?;
        depot.renew()?;
    }
    linux::fetch(&depot, false)?.iter().for_each(|line| progress.note(line));
    Ok(())
}

/// Fetches the packages of a plan's layers and guests, and builds nothing. Returns why that is not possible now, if no
/// mirror can be read.
pub fn fetch_for(workspace: &Workspace, plan: &Plan, progress: &Progress) -> Result<Option<String>> {
    match fetch_packages(workspace, plan, progress) {
        Err(error) if error.downcast_ref::<Unreachable>().is_some() => Ok(Some(format!("{error:#}"))),
        fetched => fetched.map(|()| None),
    }
}

fn fetch_packages(workspace: &Workspace, plan: &Plan, progress: &Progress) -> Result<()> {
    let (records, cache) = (workspace.package_records(), workspace.packages());
    let depot = Depot { records: &records, cache: &cache, progress: &|step| progress.step(step) };
    let mut packages = Vec::new();
    if let Tee::Package(package) = &plan.stack.tee {
        packages.push(&package.package);
    }
    if let NormalWorld::Foreign(Foreign::Package(package)) = &plan.scenario.chain.normal_world {
        packages.push(&package.package);
    }
    for package in packages {
        let _lock = depot.lock()?;
        depot.obtain(&depot.set_with(package)?)?;
    }
    match guests::linux(&plan.scenario) {
        Linux::None => {}
        some => drop(linux::fetch(&depot, some == Linux::Xtest)?),
    }
    Ok(())
}

/// Builds, fetches and writes what one run needs; after that the machine has the screen.
pub fn ready(workspace: &Workspace, plan: &Plan, progress: &Progress) -> Result<Prepared> {
    let kit = Kit::of(workspace, plan, progress)?;
    progress.finish();
    prepare(workspace, plan, &kit)
}

/// Writes flash and tree for a plan, and QEMU's command line.
pub fn prepare(workspace: &Workspace, plan: &Plan, kit: &Kit) -> Result<Prepared> {
    let plan = &plan.clone().with_steps_for_layers()?;
    let Plan { scenario, cpu, stack, tracing } = plan;
    ensure!(kit.traces == tracing.is_some(), "{}: the layers were built for another way of tracing", scenario.name);
    let traced = if kit.traces { TRACED } else { "" };
    let folder = workspace.fresh_run(&format!("{}{}/{}{traced}", scenario.name, stack.suffix(), model(cpu)))?;
    let mut script = scenario.script.as_deref();
    let flash = if stack.flash.is_some() {
        // Another monitor may hand another tree on, so the steps are in the image.
        script = None;
        flash(&scenario.chain, scenario.script.as_deref(), stack, kit)?
    } else {
        kit.flash(&scenario.chain, stack, kit.normal_world(&scenario.chain)?)?
    };
    write_if_changed(&folder.join(FLASH), &flash)?;
    let first = guests::first(scenario, kit.linux.as_ref())?;
    let guests = guests::place(scenario, &first, &kit.firmware, kit.linux.as_ref(), &folder)?;
    with_tree(plan, folder, &first, &guests, script)
}

/// Makes a chain's flash by itself: with the steps that a probe in the hypervisor's place plays in the probe's image.
pub fn flash(chain: &Chain, script: Option<&[u8]>, stack: &Stack, kit: &Kit) -> Result<Vec<u8>> {
    let normal_world = kit.normal_world(chain)?;
    let normal_world = match script {
        Some(script) => play::append(normal_world, script)?,
        None => normal_world,
    };
    kit.flash(chain, stack, normal_world)
}

/// Writes the tree for the flash in `folder`, and QEMU's command line.
fn with_tree(
    plan: &Plan,
    folder: RunFolder,
    first: &[Module],
    guests: &[Guest<'_>],
    script: Option<&[u8]>,
) -> Result<Prepared> {
    let Plan { scenario, cpu, .. } = plan;
    let tracing = plan.tracing.as_ref();
    let flash = folder.join(FLASH);
    let mut machine = scenario.machine.clone();
    machine.icount |= tracing.is_some_and(|tracing| tracing.icount);
    let traced = tracing.map(|tracing| traced(tracing, &machine, &folder)).transpose()?;
    let seeds = if machine.icount { Seeds::Fixed } else { Seeds::Random };
    let tree = folder.join("tree.dtb");
    let chain = &scenario.chain;
    let whose = if chain.normal_world.is_foreign() { Whose::Foreign } else { Whose::Ours };
    let mut bytes = tree::with_guests(&qemu::dump_tree(&machine, cpu, &flash)?, guests, whose, seeds)?;
    if whose == Whose::Foreign {
        bytes = tree::with_first(&bytes, chain, first)?;
    }
    if chain.tee.is_some() && chain.tee_mode() == TeeMode::Single {
        bytes = tree::with_single_client(&bytes)?;
        if plan.stack.flash.is_some() && plan.stack.has_our_tee() {
            bytes = tree::with_tee(&bytes)?;
        }
    }
    if let Some(script) = script {
        bytes = tree::with_script(&bytes, script)?;
    }
    if scenario.machine.tree_ballast.0 != 0 {
        bytes = tree::with_ballast(&bytes, scenario.machine.tree_ballast)?;
    }
    if scenario.chain.harden_branch_predictor {
        bytes = tree::with_hardened_predictor(&bytes)?;
    }
    if let Some(traced) = &traced {
        bytes = tree::with_trace(&bytes, traced.way)?;
    }
    write_if_changed(&tree, &bytes)?;
    let mut line = CommandLine::machine(&machine, cpu, &flash);
    line.load(&tree, first, guests);
    // Without the file behind its memory, which nobody would read.
    let by_hand = folder.join("qemu.sh");
    fs::write(&by_hand, line.by_hand()).with_context(|| format!("cannot write {}", by_hand.display()))?;
    if let Some(traced) = &traced {
        line.trace(&machine, traced);
    }
    Ok(Prepared { plan: plan.clone(), line, folder, tree, traced })
}

/// Says what tracing comes to on a machine.
fn traced(tracing: &Tracing, machine: &Hardware, folder: &Path) -> Result<Traced> {
    let room = machine.memory.0 >= TRACE.end() - DRAM_BASE;
    let way = if tracing.way == Way::Rings && !room { Way::Frames } else { tracing.way };
    let memory = (way == Way::Rings).then(|| Memory::new(machine.memory.0).map(Arc::new)).transpose()?;
    Ok(Traced {
        way,
        memory,
        frequency: qemu::frequency(machine),
        instructions: machine.icount,
        exceptions: tracing.exceptions.then(|| folder.join("exceptions.txt")),
    })
}
