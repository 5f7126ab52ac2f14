//! From a scenario to everything that QEMU needs: programs built, guests fetched, flash and tree written.

use crate::firmware::{Firmware, Program};
use crate::flash::Flash;
use crate::guests;
use crate::linux::{self, LinuxGuest, Recipe, Suite};
use crate::progress::Progress;
use crate::qemu::{self, CommandLine};
use crate::scenario::{NormalWorld, Scenario, model};
use crate::tree::{self, Seeds};
use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A scenario on one CPU model, ready to start.
#[derive(Debug)]
pub struct Prepared {
    /// QEMU's arguments.
    pub line: CommandLine,
    /// Where this run keeps its flash, tree and logs.
    pub folder: PathBuf,
    /// The tree that the chain boots with.
    pub tree: PathBuf,
}

/// What scenarios are made of: programs and guests.
#[derive(Debug, Clone)]
pub struct Kit {
    firmware: Firmware,
    linux: Option<LinuxGuest>,
    /// Another TEE than the default one.
    tee: Option<PathBuf>,
}

impl Kit {
    /// Builds what changed for a scenario, and fetches what it names.
    pub fn of(workspace: &Workspace, scenario: &Scenario, progress: &Progress) -> Result<Self> {
        let mut programs = Program::LAYERS.to_vec();
        if scenario.chain.normal_world == NormalWorld::Probe {
            programs.retain(|program| *program != Program::Hypervisor);
            programs.push(Program::Probe);
        }
        programs.extend(guests::programs(scenario));
        Self::build(workspace, &programs, guests::needs_linux(scenario), progress)
    }

    /// Builds and fetches all that a scenario without Linux, or with it, can name.
    pub fn whole(workspace: &Workspace, linux: bool, progress: &Progress) -> Result<Self> {
        Self::build(workspace, &Program::ALL, linux, progress)
    }

    fn build(workspace: &Workspace, programs: &[Program], linux: bool, progress: &Progress) -> Result<Self> {
        qemu::check()?;
        let firmware = Firmware::build(workspace, programs, progress)?;
        let linux = if linux { Some(linux_guest(workspace, &firmware, progress)?) } else { None };
        Ok(Self { firmware, linux, tee: None })
    }

    /// What was built, with another TEE.
    pub fn with_tee(firmware: &Firmware, tee: &Path) -> Self {
        Self { firmware: firmware.clone(), linux: None, tee: Some(tee.to_path_buf()) }
    }
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
    let flash = folder.join("flash.bin");
    let probe = kit.firmware.image(Program::Probe);
    let normal_world = (scenario.chain.normal_world == NormalWorld::Probe).then_some(probe.as_path());
    let images = Flash::with(&kit.firmware, scenario.chain.tee, kit.tee.as_deref(), normal_world)?;
    write_if_changed(&flash, &images.bytes(&scenario.chain)?)?;
    let guests = guests::place(scenario, &kit.firmware, kit.linux.as_ref(), &folder)?;
    let machine = qemu::dump_tree(&scenario.machine, cpu, &flash)?;
    let seeds = if scenario.machine.icount { Seeds::Fixed } else { Seeds::Random };
    let tree = folder.join("tree.dtb");
    let mut bytes = tree::with_guests(&machine, &guests, seeds)?;
    if let Some(script) = &scenario.script {
        bytes = tree::with_script(&bytes, script)?;
    }
    if scenario.machine.tree_ballast.0 != 0 {
        bytes = tree::with_ballast(&bytes, scenario.machine.tree_ballast)?;
    }
    write_if_changed(&tree, &bytes)?;
    let mut line = CommandLine::machine(&scenario.machine, cpu, &flash);
    line.load(&tree, &guests);
    let by_hand = folder.join("qemu.sh");
    fs::write(&by_hand, line.by_hand()).with_context(|| format!("cannot write {}", by_hand.display()))?;
    Ok(Prepared { line, folder, tree })
}
