// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose the layers are that a scenario runs on: ours, or what a user puts in their place.
//!
//! A scenario says how the chain is joined (`[chain]`); this says which monitor, which TEE and which normal world stand
//! in it. It is the one place that knows, for what is built, for what is judged and for what is told of a run.

use crate::scenario::{Chain, Foreign, MonitorLayer, NormalWorld, OnlyWith, Package, Parts, Scenario, TeeLayer, Words};
use crate::tee_image;
use crate::transplant;
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use lab_trace::Tracing;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What our TEE can be built with: the reported bug, and remedies of it.
const FEATURES: [&str; 4] = ["as-reported", "client-id", "pristine-template", "fallible-pool"];
/// What our layers are called.
const OURS: &str = "Triptych";
/// And one that is left out.
const NONE: &str = "none";
/// What a path begins with, or has in it: no package does.
const OF_PATHS: [char; 2] = ['/', '.'];

/// Layers of a user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub struct Options {
    /// Another TEE: an image for 0x0E10_0000, raw, as an ELF file or as OP-TEE's build leaves it (tee.bin,
    /// tee-header_v2.bin). Or Debian's: optee-os:virtualized or optee-os:plain. Or ours, built with features:
    /// as-reported, and with it client-id, pristine-template or fallible-pool; or `ours` as it is.
    #[arg(long, value_name = "FILE|PACKAGE|FEATURES")]
    pub tee: Option<String>,
    /// Another monitor: a flash image as of TF-A, BL1 at 0 and the firmware image package at 0x4_0000. Our normal world
    /// takes the place of the BL33 in it, and its TEE stays unless --tee names one.
    #[arg(long, visible_alias = "flash", value_name = "FLASH")]
    pub monitor: Option<PathBuf>,
    /// Another normal world: probe, linux, a package (u-boot-qemu, xen-hypervisor-4.20-arm64), or a raw image.
    #[arg(long, value_name = "NAME|PACKAGE|FILE")]
    pub normal_world: Option<String>,
}

/// The layers below the normal world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Somebody else's flash, whose monitor it is; else it is ours.
    pub flash: Option<UserFile>,
    /// Whose the TEE is.
    pub tee: Tee,
}

/// Whose the TEE of a stack is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tee {
    /// Ours.
    #[default]
    Ours,
    /// Ours, built with these features.
    Featured(Vec<String>),
    /// A user's: its raw image.
    Image(UserFile),
    /// A package's.
    Package(Package),
    /// That of the flash.
    OfFlash,
}

/// A user's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFile {
    /// What it is called: the file's name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Options {
    /// Puts these layers into the places of a scenario's.
    pub fn put_into(&self, scenario: &mut Scenario) -> Result<()> {
        let (chain, name) = (&mut scenario.chain, &scenario.name);
        for (option, given) in
            [("tee", self.tee.clone()), ("monitor", self.monitor.as_ref().map(|file| file.display().to_string()))]
        {
            if let Some(given) = given.filter(|_| chain.tee.is_none()) {
                bail!("--{option} {given}: {name} leaves the TEE out (`tee` of its [chain]), so this would not run");
            }
        }
        self.replace(chain)?;
        if self.monitor.is_some() {
            scenario.quotes.clear();
        }
        if self.tee.is_some() {
            scenario.quotes.retain(|speaker| *speaker != "TEE");
        }
        if let Some(world) = &self.normal_world {
            scenario.check_again().map_err(|why| anyhow!("--normal-world {world}: {}: {why}", scenario.name))?;
        }
        Ok(())
    }

    fn replace(&self, chain: &mut Chain) -> Result<()> {
        if let Some(flash) = &self.monitor {
            chain.monitor = MonitorLayer::Flash(absolute(flash)?);
            chain.tee = Some(TeeLayer::Usual);
        }
        if let Some(tee) = &self.tee {
            chain.tee = Some(named_tee(tee)?);
        }
        if let Some(world) = &self.normal_world {
            chain.normal_world = match world.as_str() {
                "hypervisor" => NormalWorld::Hypervisor,
                "probe" => NormalWorld::Probe,
                "linux" => NormalWorld::Linux,
                other => NormalWorld::Foreign(foreign(other)?),
            };
        }
        Ok(())
    }

    /// Makes a chain of them.
    pub fn chain(&self) -> Result<Chain> {
        let mut chain = Chain::default();
        self.replace(&mut chain)?;
        Ok(chain)
    }

    /// Makes a stack of them, below normal worlds of the caller's own.
    pub fn stack(&self) -> Result<Stack> {
        if let Some(world) = &self.normal_world {
            bail!("--normal-world {world}: this command has its own normal worlds");
        }
        Stack::of(&self.chain()?, Path::new(""))
    }
}

/// Reads which TEE an option names.
fn named_tee(name: &str) -> Result<TeeLayer> {
    let words: Vec<_> = name.split(',').collect();
    if name == "ours" {
        return Ok(TeeLayer::Ours);
    }
    if words.iter().all(|word| FEATURES.contains(word)) {
        return Ok(TeeLayer::Featured(words.into_iter().map(str::to_owned).collect()));
    }
    let file = Path::new(name);
    if file.is_file() {
        return Ok(TeeLayer::Foreign(Foreign::Image(absolute(file)?)));
    }
    if name.contains(OF_PATHS) {
        bail!("--tee {name}: there is no such file, and our TEE has no such features: {} are", FEATURES.join(", "));
    }
    Ok(TeeLayer::Foreign(Foreign::Package(Package::from(name))))
}

/// Reads a program that an option names: a file if there is one, else a package.
fn foreign(name: &str) -> Result<Foreign> {
    let file = Path::new(name);
    Ok(if file.is_file() || name.contains('/') {
        Foreign::Image(absolute(file)?)
    } else {
        Foreign::Package(Package::from(name))
    })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

fn tee_of(file: &Path) -> Result<Tee> {
    Ok(Tee::Image(UserFile { name: name_of(file), bytes: tee_image::read(file)? }))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

impl UserFile {
    /// Reads a flash image.
    fn flash(file: &Path) -> Result<Self> {
        let bytes = read(file)?;
        transplant::check(&bytes).with_context(|| format!("{} is no flash for this machine", file.display()))?;
        Ok(Self { name: name_of(file), bytes })
    }

    /// Makes a flash of TF-A's parts.
    fn of_parts(parts: &Parts, folder: &Path) -> Result<Self> {
        let part = |path: &Path| read(&folder.join(path));
        let bytes = transplant::of_parts(&part(&parts.bl1)?, &part(&parts.bl2)?, &part(&parts.bl31)?)
            .with_context(|| format!("{} and its companions make no flash", parts.bl1.display()))?;
        Ok(Self { name: name_of(&parts.bl31), bytes })
    }
}

impl Stack {
    /// Reads the layers that a chain names. Relative paths start in `folder`. Files are refused if they can't be what
    /// they are given for.
    pub fn of(chain: &Chain, folder: &Path) -> Result<Self> {
        let flash = match &chain.monitor {
            MonitorLayer::Ours => None,
            MonitorLayer::Flash(file) => Some(UserFile::flash(&folder.join(file))?),
            MonitorLayer::Parts(parts) => Some(UserFile::of_parts(parts, folder)?),
        };
        let brings_one = matches!(chain.monitor, MonitorLayer::Flash(_));
        let tee = match &chain.tee {
            Some(TeeLayer::Usual) if brings_one => Tee::OfFlash,
            None | Some(TeeLayer::Usual | TeeLayer::Ours) => Tee::Ours,
            Some(TeeLayer::Featured(features)) => Tee::Featured(features.clone()),
            Some(TeeLayer::Foreign(Foreign::Package(package))) => Tee::Package(package.clone()),
            Some(TeeLayer::Foreign(Foreign::Image(file))) => tee_of(&folder.join(file))?,
        };
        Ok(Self { flash, tee })
    }

    /// Takes our monitor, and our TEE built with these features.
    pub const fn featured(features: Vec<String>) -> Self {
        Self { flash: None, tee: Tee::Featured(features) }
    }

    /// Takes a flash with its TEE.
    pub const fn of_flash(flash: UserFile) -> Self {
        Self { flash: Some(flash), tee: Tee::OfFlash }
    }

    /// Checks that a scenario can run on it.
    pub fn check(&self, scenario: &Scenario) -> Result<()> {
        let what = match (&self.flash, &self.tee) {
            (Some(flash), _) => format!("the monitor {}", flash.name),
            (None, Tee::Image(tee)) => format!("the TEE {}", tee.name),
            (None, Tee::Package(package)) => format!("the TEE {package}"),
            (None, Tee::Ours | Tee::Featured(_) | Tee::OfFlash) => return Ok(()),
        };
        let (chain, name) = (&scenario.chain, &scenario.name);
        ensure!(chain.tee.is_some(), "{what}: {name} leaves the TEE out (`tee` of its [chain]), so this would not run");
        if self.flash.is_some() {
            let ours = [
                ("damage", chain.damage.is_some()),
                ("images", chain.images.is_some()),
                ("secure-memory", scenario.machine.secure_memory.is_some()),
            ];
            if let Some((key, _)) = ours.iter().find(|(_, there)| *there) {
                bail!("{what}: {name} is about a flash of ours (its `{key}`)");
            }
        }
        Ok(())
    }

    /// Lists the features that our TEE is built with.
    pub fn features(&self) -> &[String] {
        match &self.tee {
            Tee::Featured(features) => features,
            _ => &[],
        }
    }

    /// Says whether the TEE is ours, whatever it is built with.
    pub const fn has_our_tee(&self) -> bool {
        matches!(self.tee, Tee::Ours | Tee::Featured(_))
    }

    /// Says how its layers trace: those with the reported bug always do, since that is what they are looked at for.
    pub fn tracing(&self, asked: Option<Tracing>) -> Option<Tracing> {
        match &self.tee {
            Tee::Featured(features) => Some(Tracing { tee: features.clone(), ..asked.unwrap_or_default() }),
            _ => asked,
        }
    }

    /// Says whether it is ours as it is shipped.
    pub const fn is_ours(&self) -> bool {
        self.flash.is_none() && matches!(self.tee, Tee::Ours)
    }

    /// Lists the speakers that are not ours, and whose words a scenario does not quote.
    pub fn foreign(&self, scenario: &Scenario) -> Vec<&'static str> {
        let tee = (!self.has_our_tee()).then_some("TEE");
        let speakers = tee.into_iter().chain(self.flash.is_some().then_some("EL3"));
        speakers.filter(|speaker| !scenario.quotes.contains(speaker)).collect()
    }

    /// Says whether something that is expected with these layers only is expected here.
    pub fn is_meant(&self, only: &OnlyWith, chain: &Chain) -> bool {
        let ours = || "ours".to_owned();
        let package = |package: &Package| vec![package.package.clone(), package.to_string()];
        let monitor = vec![self.flash.as_ref().map_or_else(ours, |flash| flash.name.clone())];
        let tee = match &self.tee {
            _ if chain.tee.is_none() => vec![NONE.to_owned()],
            Tee::Ours => vec![ours()],
            Tee::Featured(features) => [features.as_slice(), &[ours()]].concat(),
            Tee::Image(tee) => vec![tee.name.clone()],
            Tee::Package(tee) => package(tee),
            Tee::OfFlash => Vec::new(),
        };
        let normal_world = match &chain.normal_world {
            NormalWorld::Foreign(Foreign::Package(there)) => package(there),
            other => vec![world_name(other)],
        };
        let one_of = |words: &Words, there: &[String]| {
            words.all().is_empty() || words.all().iter().any(|word| there.contains(word))
        };
        one_of(&only.monitor, &monitor) && one_of(&only.tee, &tee) && one_of(&only.normal_world, &normal_world)
    }

    fn tee_name(&self) -> String {
        match (&self.tee, &self.flash) {
            (Tee::Ours, _) => OURS.to_owned(),
            (Tee::Featured(features), _) => features.join(", "),
            (Tee::Image(tee), _) => tee.name.clone(),
            (Tee::Package(package), _) => package.to_string(),
            (Tee::OfFlash, flash) => format!("of {}", flash.as_ref().map_or("a flash", |flash| &flash.name)),
        }
    }

    /// Names it for a table.
    pub fn label(&self) -> String {
        match (&self.flash, &self.tee) {
            (None, Tee::Featured(features)) => features.join("+"),
            (None, _) => self.tee_name(),
            (Some(flash), Tee::OfFlash) => flash.name.clone(),
            (Some(flash), _) => format!("{}+{}", flash.name, self.tee_name()),
        }
    }

    /// Returns what is added to the name of a run's folder.
    pub fn suffix(&self) -> String {
        let stem = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let tee = match &self.tee {
            Tee::Ours | Tee::Featured(_) | Tee::OfFlash => None,
            Tee::Image(tee) => Some(stem(&tee.name)),
            Tee::Package(package) => Some(package.to_string()),
        };
        let names = self.flash.as_ref().map(|flash| stem(&flash.name)).into_iter().chain(tee);
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        names.map(|name| format!("-on-{}", name.chars().map(plain).collect::<String>())).collect()
    }

    /// Says in words what a scenario runs on.
    pub fn names(&self, scenario: &Scenario) -> Names {
        let tee = if scenario.chain.tee.is_none() { NONE.to_owned() } else { self.tee_name() };
        let monitor = self.flash.as_ref().map_or_else(|| OURS.to_owned(), |flash| flash.name.clone());
        Names { monitor, tee, normal_world: world_name(&scenario.chain.normal_world) }
    }
}

fn world_name(normal_world: &NormalWorld) -> String {
    match normal_world {
        NormalWorld::Hypervisor => "hypervisor".to_owned(),
        NormalWorld::Probe => "probe".to_owned(),
        NormalWorld::Linux => "linux".to_owned(),
        NormalWorld::Foreign(Foreign::Package(package)) => package.to_string(),
        NormalWorld::Foreign(Foreign::Image(file)) => name_of(file),
    }
}

/// What ran, layer by layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// EL3.
    pub monitor: String,
    /// S-EL1.
    pub tee: String,
    /// NS-EL2.
    pub normal_world: String,
}

impl Names {
    /// Says whether all of it is ours as it is shipped, or left out.
    pub fn are_ours(&self) -> bool {
        self.monitor == OURS && [OURS, NONE].contains(&self.tee.as_str())
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.monitor.as_str() {
            OURS => f.write_str(&self.tee),
            monitor if self.tee.starts_with("of ") => f.write_str(monitor),
            monitor => write!(f, "{monitor} with {}", self.tee),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { monitor: OURS.to_owned(), tee: OURS.to_owned(), normal_world: "hypervisor".to_owned() }
    }
}

#[cfg(test)]
mod tests;
