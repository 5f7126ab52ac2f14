// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a scenario file may say, table by table.

use super::chain::Chain;
use super::play::Play;
use crate::console::FOREIGN;
use crate::models::model;
use lab_script::Size;
use lab_script::source::{OnlyWith, RawSteps};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;

/// A scenario file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Its name; also the file's.
    pub name: String,
    /// What it shows, in a sentence.
    pub summary: String,
    /// Takes long: only `make test-all` runs it.
    #[serde(default)]
    pub slow: bool,
    /// Seconds of real time after which the machine counts as hanging. A bound, not a measurement.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// How it must end.
    #[serde(default)]
    pub end: End,
    /// The machine.
    #[serde(default)]
    pub machine: Hardware,
    /// What is in the flash.
    #[serde(default)]
    pub chain: Chain,
    /// The virtual machines, in the order in which the hypervisor makes them.
    #[serde(default, rename = "vm")]
    pub vms: Vec<Vm>,
    /// What is typed into it.
    #[serde(default, rename = "send")]
    pub sends: Vec<Send>,
    /// What must be seen.
    #[serde(default, rename = "expect")]
    pub expects: Vec<Expect>,
    /// Files with further lists of steps; relative to this one.
    #[serde(default)]
    pub include: Vec<String>,
    /// What a probe does: the list without a name.
    #[serde(default, rename = "step")]
    pub steps: RawSteps,
    /// Further lists of steps, by name.
    #[serde(default, rename = "steps")]
    pub lists: BTreeMap<String, RawSteps>,
    /// Memory of a probe's own, by name.
    #[serde(default)]
    pub buffers: BTreeMap<String, Spanned<Size>>,
    /// What the probe in the hypervisor's place plays, compiled.
    #[serde(skip)]
    pub script: Option<Vec<u8>>,
    /// What the scripts were compiled from.
    #[serde(skip)]
    pub play: Option<Arc<Play>>,
    /// Speakers that are not ours by the file itself: what it expects of them is their own words.
    #[serde(skip)]
    pub quotes: Vec<&'static str>,
    /// Steps that are not played, as they are for other layers: where each stands, and its name.
    #[serde(skip)]
    pub left_out: Vec<String>,
    /// The folder of the file: relative paths in it start there.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// How a run ends when nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The machine switches itself off.
    #[default]
    PowersOff,
    /// It never does: once all that is expected was seen the lab waits a moment and stops it.
    KeepsRunning,
}

/// The machine that QEMU makes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Hardware {
    /// QEMU's CPU model with its properties.
    pub cpu: String,
    /// Further models that the scenario must hold on.
    pub also_on: Vec<String>,
    /// How many CPUs.
    pub cpus: u32,
    /// Memory, as `512M` or `2G`.
    pub memory: Size,
    /// Virtual time is the count of executed instructions, and runs repeat exactly.
    pub icount: bool,
    /// With `icount`, an instruction takes two to the power of this nanoseconds.
    pub icount_shift: u32,
    /// So many bytes that mean nothing make its device tree larger.
    pub tree_ballast: Size,
    /// Until this is seen only the first CPU executes anything.
    pub late_cpus: Option<Cue>,
    /// A reset starts it again, with memory as it was. Else it is the end.
    pub resets: bool,
    /// What every word of the secure memory is before the first instruction, instead of 0; and the other CPUs begin
    /// before the first one.
    pub secure_memory: Option<u64>,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            cpu: "max,pauth-impdef=on".into(),
            also_on: Vec::new(),
            cpus: 2,
            memory: Size(2 << 30),
            icount: false,
            icount_shift: 0,
            tree_ballast: Size(0),
            late_cpus: None,
            resets: false,
            secure_memory: None,
        }
    }
}

/// A line at which something is done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cue {
    /// Who says it.
    pub from: String,
    /// Part of it.
    pub line: String,
}

/// One virtual machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Vm {
    /// What it is called in the hypervisor's lines.
    pub name: String,
    /// `linux`, `bare-guest`, `probe`, `contract`, or the path of a kernel: [`crate::kernel`]. Without one the VM has
    /// no kernel module.
    pub kernel: Option<String>,
    /// `linux`, `linux-xtest` or a path.
    pub initramfs: Option<String>,
    /// Its RAM.
    pub memory: Size,
    /// Its virtual CPUs.
    #[serde(default = "one")]
    pub cpus: u32,
    /// The kernel's command line.
    #[serde(default)]
    pub bootargs: String,
    /// Whether it gets the TEE.
    #[serde(default)]
    pub tee: bool,
    /// Its id, which the TEE knows it by and its console is named after; else its place in the order, from 1.
    pub id: Option<u32>,
    /// So many zeroes make its kernel larger.
    #[serde(default)]
    pub kernel_ballast: Size,
    /// Says something else about the kernel's module than is true.
    #[serde(default)]
    pub kernel_module: Placement,
    /// Where its device tree is; else at the start of its RAM.
    pub dtb: Option<DtbPlace>,
    /// What its node in the machine's tree says besides: Xen's binding has more than there are keys for.
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
    /// The list of steps that its probe plays; else the one without a name.
    pub play: Option<String>,
    /// What its probe plays, compiled.
    #[serde(skip)]
    pub script: Option<Vec<u8>>,
}

impl Vm {
    /// Says whether the probe is its kernel.
    pub fn is_probe(&self) -> bool {
        self.kernel.as_deref() == Some("probe")
    }

    /// Says whether its initramfs is made here, so that its init plays the steps in its command line.
    pub fn has_our_init(&self) -> bool {
        self.initramfs.as_deref().is_some_and(is_our_initramfs)
    }

    /// Says whether OP-TEE's client side is in that.
    pub fn has_xtest(&self) -> bool {
        self.initramfs.as_deref() == Some("linux-xtest")
    }
}

/// Says whether an initramfs is made here.
pub(super) fn is_our_initramfs(name: &str) -> bool {
    ["linux", "linux-xtest"].contains(&name)
}

/// Where a VM's device tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DtbPlace {
    /// Behind the kernel and its RAM disk, and these where QEMU's own loader puts them.
    AfterKernel,
}

/// The value of a property in a device tree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Property {
    /// It is there, without a value.
    Empty(bool),
    /// A cell.
    Number(u32),
    /// Several of them.
    Cells(Vec<u32>),
    /// A string.
    Text(String),
}

/// Where the tree says that a module is, instead of where it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Placement {
    /// Its address.
    pub address: Option<u64>,
    /// Its length in bytes.
    pub size: Option<u64>,
}

/// Something to type, once a line was seen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Send {
    /// The VM whose console gets it.
    pub to: String,
    /// Part of a line, or of a prompt, that is seen before.
    pub after: String,
    /// Who says that line; else the VM itself.
    pub from: Option<String>,
    /// The text; a carriage return is added.
    pub text: String,
    /// How often it is typed, on one line.
    #[serde(default = "once")]
    pub times: usize,
}

/// Something that must, or must not, be seen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// Who says it: `EL3`, `TEE`, `HYP`, `vm1`; `probe` in the hypervisor's place, or `EL2` for whoever else is there.
    pub from: String,
    /// Part of the line, word for word. Without this and `regex`, any line.
    pub line: Option<String>,
    /// A regular expression that is found in the line, instead.
    pub regex: Option<String>,
    /// It must not be seen.
    #[serde(default)]
    pub absent: bool,
    /// How often it must be seen; else once or more.
    pub count: Option<usize>,
    /// It must come after the line that met the expectation before this one.
    #[serde(default)]
    pub in_order: bool,
    /// The number in the expression's first group is at most this.
    pub at_most: Option<f64>,
    /// The number in the expression's first group is at least this.
    pub at_least: Option<f64>,
    /// Only on these CPU models; else on all.
    #[serde(default)]
    pub on: Vec<String>,
    /// Only with these layers; with others it is not judged.
    #[serde(default)]
    pub only_with: OnlyWith,
}

impl Expect {
    /// Expects any line of this one's, once or more.
    pub fn any_of(from: &str) -> Self {
        Self {
            from: from.to_owned(),
            line: None,
            regex: None,
            absent: false,
            count: None,
            in_order: false,
            at_most: None,
            at_least: None,
            on: Vec::new(),
            only_with: OnlyWith::default(),
        }
    }
}

const fn default_timeout() -> u64 {
    120
}

const fn one() -> u32 {
    1
}

const fn once() -> usize {
    1
}

impl Scenario {
    /// Lists every CPU model that it must hold on, the usual one first.
    pub fn cpus(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.machine.cpu).chain(&self.machine.also_on).map(String::as_str)
    }

    /// Finds the CPU model, properties included, that goes by this name.
    pub fn cpu(&self, name: &str) -> anyhow::Result<&str> {
        self.cpus().find(|cpu| model(cpu) == name || *cpu == name).ok_or_else(|| {
            let known: Vec<_> = self.cpus().map(model).collect();
            anyhow::anyhow!("{} is not for the CPU {name}; it names {}", self.name, known.join(", "))
        })
    }

    /// Lists the expectations that count on this CPU.
    pub fn expects_on(&self, cpu: &str) -> Vec<&Expect> {
        let model = model(cpu);
        self.expects
            .iter()
            .filter(|expect| expect.on.is_empty() || expect.on.iter().any(|name| name == model))
            .collect()
    }

    /// Says after which time the machine counts as hanging.
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Says whose the keyboard is at first.
    pub fn keyboard(&self) -> String {
        if self.chain.normal_world.is_foreign() { FOREIGN.to_owned() } else { self.console(0) }
    }

    /// Returns the console prefix of the VM with this index.
    pub fn console(&self, index: usize) -> String {
        let number = self.vms.get(index).and_then(|vm| vm.id).unwrap_or(index as u32 + 1);
        format!("vm{number}")
    }
}
