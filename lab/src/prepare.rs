//! From a scenario to everything that QEMU needs: programs built, guests fetched, flash and tree written.

use crate::firmware::{Firmware, Program};
use crate::flash::Flash;
use crate::guests::{self, Guest};
use crate::linux::{self, LinuxGuest, Recipe, Suite};
use crate::probe;
use crate::progress::Progress;
use crate::qemu::{self, CommandLine};
use crate::scenario::{Machine, NormalWorld, Scenario, model};
use crate::trace::memory::Memory;
use crate::transplant;
use crate::tree::{self, Seeds};
use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result};
use shared_abi::layout::{DRAM_BASE, TRACE};
use shared_abi::trace::Way;
use std::fs;
use std::path::{Path, PathBuf};

/// The flash's name in a run's folder.
const FLASH: &str = "flash.bin";

/// A scenario on one CPU model, ready to start.
#[derive(Debug)]
pub struct Prepared {
    /// QEMU's arguments.
    pub line: CommandLine,
    /// Where this run keeps its flash, tree and logs.
    pub folder: PathBuf,
    /// The tree that the chain boots with.
    pub tree: PathBuf,
    /// How its layers' records are read, if they write any.
    pub traced: Option<Traced>,
}

/// How a run is traced.
#[derive(Debug, Clone)]
pub struct Tracing {
    /// How records leave the machine. Rings become frames where the machine has no memory for them.
    pub way: Way,
    /// Time is the count of executed instructions, whatever the scenario says.
    pub icount: bool,
    /// QEMU writes its own log of exceptions.
    pub exceptions: bool,
    /// Features that the TEE is built with besides.
    pub tee: Vec<String>,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { way: Way::Rings, icount: true, exceptions: false, tee: Vec::new() }
    }
}

/// A machine that is traced.
#[derive(Debug)]
pub struct Traced {
    /// How records leave it.
    pub way: Way,
    /// The file behind its memory, where the rings are.
    pub memory: Option<Memory>,
    /// Ticks of its counter in a second.
    pub frequency: u64,
    /// A tick is an instruction.
    pub instructions: bool,
    /// Where QEMU's log of exceptions is.
    pub exceptions: Option<PathBuf>,
}

/// What scenarios are made of: programs and guests.
#[derive(Debug, Clone)]
pub struct Kit {
    firmware: Firmware,
    linux: Option<LinuxGuest>,
    /// Another TEE than the default one.
    tee: Option<PathBuf>,
    /// The layers write records.
    tracing: Option<Tracing>,
    /// Another runtime of the monitor.
    runtime: Option<PathBuf>,
    /// Another program in the hypervisor's place than the probe.
    normal_world: Option<PathBuf>,
}

impl Kit {
    /// Builds what changed for a scenario, and fetches what it names.
    pub fn of(workspace: &Workspace, scenario: &Scenario, progress: &Progress) -> Result<Self> {
        let programs = [layers(scenario), others(scenario)].concat();
        Self::build(workspace, &programs, guests::needs_linux(scenario), progress)
    }

    /// The same with layers that write records.
    pub fn traced(workspace: &Workspace, scenario: &Scenario, tracing: Tracing, progress: &Progress) -> Result<Self> {
        let mut kit = Self::build(workspace, &others(scenario), guests::needs_linux(scenario), progress)?;
        for layer in layers(scenario) {
            let features: Vec<_> = tracing.tee.iter().map(String::as_str).filter(|_| layer == Program::Tee).collect();
            kit.firmware.trace(workspace, layer, &features, progress)?;
        }
        kit.tracing = Some(tracing);
        Ok(kit)
    }

    /// Builds and fetches all that a scenario without Linux, or with it, can name.
    pub fn whole(workspace: &Workspace, linux: bool, progress: &Progress) -> Result<Self> {
        Self::build(workspace, &Program::ALL, linux, progress)
    }

    fn build(workspace: &Workspace, programs: &[Program], linux: bool, progress: &Progress) -> Result<Self> {
        qemu::check()?;
        let firmware = Firmware::build(workspace, programs, progress)?;
        let linux = if linux { Some(linux_guest(workspace, &firmware, progress)?) } else { None };
        Ok(Self { firmware, linux, tee: None, runtime: None, normal_world: None, tracing: None })
    }

    /// The same with another TEE.
    pub fn and_tee(self, tee: &Path) -> Self {
        Self { tee: Some(tee.to_path_buf()), ..self }
    }

    /// The same with another runtime of the monitor, and another program in the probe's place.
    pub fn with_worlds(self, runtime: &Path, normal_world: &Path) -> Self {
        Self { runtime: Some(runtime.to_path_buf()), normal_world: Some(normal_world.to_path_buf()), ..self }
    }

    /// The programs.
    pub const fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// What was built, with another TEE.
    pub fn with_tee(firmware: &Firmware, tee: &Path) -> Self {
        Self {
            firmware: firmware.clone(),
            linux: None,
            tee: Some(tee.to_path_buf()),
            runtime: None,
            normal_world: None,
            tracing: None,
        }
    }
}

/// The layers of a scenario.
fn layers(scenario: &Scenario) -> Vec<Program> {
    let probe = scenario.chain.normal_world == NormalWorld::Probe;
    Program::LAYERS.into_iter().filter(|program| !(probe && *program == Program::Hypervisor)).collect()
}

/// Its other programs.
fn others(scenario: &Scenario) -> Vec<Program> {
    let probe = (scenario.chain.normal_world == NormalWorld::Probe).then_some(Program::Probe);
    probe.into_iter().chain(guests::programs(scenario)).collect()
}

/// Makes the Linux guest.
fn linux_guest(workspace: &Workspace, firmware: &Firmware, progress: &Progress) -> Result<LinuxGuest> {
    progress.step("making the Linux guest");
    let recipe = Recipe {
        cache: &workspace.packages(),
        suite: Suite::default(),
        init: &workspace.root().join("images/linux/init"),
        client: &firmware.elf(Program::LinuxClient),
    };
    linux::guest(&recipe, &|step| progress.step(step))
}

/// Fetches the packages that the Linux guest is made of.
pub fn fetch(workspace: &Workspace, progress: &Progress) -> Result<()> {
    linux::fetch(&workspace.packages(), Suite::default(), &|step| progress.step(step))
}

/// Writes flash and tree for a scenario on a CPU model, and QEMU's command line.
pub fn prepare(workspace: &Workspace, scenario: &Scenario, cpu: &str, kit: &Kit) -> Result<Prepared> {
    let folder = workspace.fresh_run(&format!("{}/{}", scenario.name, model(cpu)))?;
    let probe = kit.normal_world.clone().unwrap_or_else(|| kit.firmware.image(Program::Probe));
    let normal_world = (scenario.chain.normal_world == NormalWorld::Probe).then_some(probe.as_path());
    let mut images = Flash::with(&kit.firmware, scenario.chain.tee, kit.tee.as_deref(), normal_world)?;
    if let Some(runtime) = &kit.runtime {
        images = images.with_runtime(runtime)?;
    }
    write_if_changed(&folder.join(FLASH), &images.bytes(&scenario.chain)?)?;
    let guests = guests::place(scenario, &kit.firmware, kit.linux.as_ref(), &folder)?;
    with_tree(scenario, cpu, folder, &guests, scenario.script.as_deref(), kit.tracing.as_ref())
}

/// The same for another firmware's flash, in which the probe with its script takes the normal world's place.
pub fn with_flash(workspace: &Workspace, scenario: &Scenario, cpu: &str, kit: &Kit, other: &Path) -> Result<Prepared> {
    let folder = workspace.fresh_run(&format!("{}-other/{}", scenario.name, model(cpu)))?;
    let script = scenario.script.as_deref().context("the scenario has no probe in the hypervisor's place")?;
    let probe = probe::append(kit.firmware.read(Program::Probe)?, script)?;
    let bytes = fs::read(other).with_context(|| format!("cannot read {}", other.display()))?;
    let bytes = transplant::with_normal_world(&bytes, &probe)
        .with_context(|| format!("{} cannot be measured", other.display()))?;
    write_if_changed(&folder.join(FLASH), &bytes)?;
    with_tree(scenario, cpu, folder, &[], None, None)
}

/// Writes the tree for the flash in `folder`, and QEMU's command line.
fn with_tree(
    scenario: &Scenario,
    cpu: &str,
    folder: PathBuf,
    guests: &[Guest<'_>],
    script: Option<&[u8]>,
    tracing: Option<&Tracing>,
) -> Result<Prepared> {
    let flash = folder.join(FLASH);
    let mut machine = scenario.machine.clone();
    machine.icount |= tracing.is_some_and(|tracing| tracing.icount);
    let traced = tracing.map(|tracing| Traced::new(tracing, &machine, &folder)).transpose()?;
    let seeds = if machine.icount { Seeds::Fixed } else { Seeds::Random };
    let tree = folder.join("tree.dtb");
    let mut bytes = tree::with_guests(&qemu::dump_tree(&machine, cpu, &flash)?, guests, seeds)?;
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
    line.load(&tree, guests);
    if let Some(traced) = &traced {
        line.trace(&machine, traced);
    }
    let by_hand = folder.join("qemu.sh");
    fs::write(&by_hand, line.by_hand()).with_context(|| format!("cannot write {}", by_hand.display()))?;
    Ok(Prepared { line, folder, tree, traced })
}

impl Traced {
    /// What tracing comes to on a machine.
    fn new(tracing: &Tracing, machine: &Machine, folder: &Path) -> Result<Self> {
        let room = machine.memory.0 >= TRACE.end() - DRAM_BASE;
        let way = if tracing.way == Way::Rings && !room { Way::Frames } else { tracing.way };
        let memory = (way == Way::Rings).then(|| Memory::new(machine.memory.0)).transpose()?;
        Ok(Self {
            way,
            memory,
            frequency: qemu::frequency(machine),
            instructions: machine.icount,
            exceptions: tracing.exceptions.then(|| folder.join("exceptions.txt")),
        })
    }
}
