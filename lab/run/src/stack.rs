// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose the layers are that a scenario runs on: ours, or what a user puts in their place.
//!
//! A scenario says how the chain is joined (`[chain]`); this says which monitor, which TEE and which normal world stand
//! in it. It is the one place that knows, for what is built, for what is judged and for what is told of a run.

use crate::scenario::{NormalWorld, Scenario};
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

/// Layers of a user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub struct Options {
    /// Another TEE: an image for 0x0E10_0000, raw, as an ELF file or as OP-TEE's build leaves it (tee.bin,
    /// tee-header_v2.bin). Or ours, built with features: as-reported, and with it client-id, pristine-template or
    /// fallible-pool.
    #[arg(long, value_name = "FILE|FEATURES")]
    pub tee: Option<String>,
    /// Another monitor with its TEE: a flash image as of TF-A, BL1 at 0 and the firmware image package at 0x4_0000.
    /// Our normal world takes the place of the BL33 in it.
    #[arg(long, value_name = "FILE", conflicts_with = "tee")]
    pub flash: Option<PathBuf>,
}

/// The layers below the normal world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stack {
    /// Our monitor and our TEE.
    #[default]
    Ours,
    /// Our monitor and our TEE, which is built with these features.
    Featured(Vec<String>),
    /// Our monitor and another TEE: its raw image.
    Tee(Foreign),
    /// Another flash: its monitor and its TEE.
    Flash(Foreign),
}

/// A user's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// What it is called: the file's name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Options {
    /// Makes a stack of them. Files are read, and refused if they can't be what they are given for.
    pub fn stack(&self) -> Result<Stack> {
        if let Some(file) = &self.flash {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            transplant::check(&bytes)
                .map_err(|why| anyhow!("{} is no flash for this machine: {why}", file.display()))?;
            return Ok(Stack::Flash(Foreign { name: name_of(file), bytes }));
        }
        let Some(tee) = &self.tee else { return Ok(Stack::Ours) };
        let words: Vec<_> = tee.split(',').collect();
        if words.iter().all(|word| FEATURES.contains(word)) {
            return Ok(Stack::Featured(words.into_iter().map(str::to_owned).collect()));
        }
        let file = Path::new(tee);
        if !file.is_file() {
            bail!("--tee {tee}: there is no such file, and our TEE has no such features: {} are", FEATURES.join(", "));
        }
        Ok(Stack::Tee(Foreign { name: name_of(file), bytes: tee_image::read(file)? }))
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

impl Stack {
    /// Checks that a scenario can run on it.
    pub fn check(&self, scenario: &Scenario) -> Result<()> {
        let (what, foreign) = match self {
            Self::Ours | Self::Featured(_) => return Ok(()),
            Self::Tee(tee) => ("tee", tee),
            Self::Flash(flash) => ("flash", flash),
        };
        let (chain, name) = (&scenario.chain, &scenario.name);
        let option = format!("--{what} {}", foreign.name);
        ensure!(
            chain.tee.is_some(),
            "{option}: {name} leaves the TEE out (`tee` of its [chain]), so this would not run"
        );
        if let Self::Flash(_) = self {
            let ours = [
                ("damage", chain.damage.is_some()),
                ("images", chain.images.is_some()),
                ("secure-memory", scenario.machine.secure_memory.is_some()),
            ];
            if let Some((key, _)) = ours.iter().find(|(_, there)| *there) {
                bail!("{option}: {name} is about a flash of ours (its `{key}`)");
            }
        }
        Ok(())
    }

    /// Lists the features that our TEE is built with.
    pub fn features(&self) -> &[String] {
        match self {
            Self::Featured(features) => features,
            _ => &[],
        }
    }

    /// Says how its layers trace: those with the reported bug always do, since that is what they are looked at for.
    pub fn tracing(&self, asked: Option<Tracing>) -> Option<Tracing> {
        match self {
            Self::Featured(features) => Some(Tracing { tee: features.clone(), ..asked.unwrap_or_default() }),
            _ => asked,
        }
    }

    /// Says whether it is ours as it is shipped.
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Ours)
    }

    /// Lists the speakers that are not ours.
    pub const fn foreign(&self) -> &'static [&'static str] {
        match self {
            Self::Ours | Self::Featured(_) => &[],
            Self::Tee(_) => &["TEE"],
            Self::Flash(_) => &["TEE", "EL3"],
        }
    }

    /// Names it for a table.
    pub fn label(&self) -> String {
        match self {
            Self::Ours => OURS.to_owned(),
            Self::Featured(features) => features.join("+"),
            Self::Tee(foreign) | Self::Flash(foreign) => foreign.name.clone(),
        }
    }

    /// Returns what is added to the name of a run's folder.
    pub fn suffix(&self) -> String {
        match self {
            Self::Ours | Self::Featured(_) => String::new(),
            Self::Tee(foreign) | Self::Flash(foreign) => {
                let stem = foreign.name.split('.').next().unwrap_or_default();
                let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
                format!("-on-{}", stem.chars().map(plain).collect::<String>())
            }
        }
    }

    /// Says in words what a scenario runs on.
    pub fn names(&self, scenario: &Scenario) -> Names {
        let tee = match self {
            _ if scenario.chain.tee.is_none() => NONE.to_owned(),
            Self::Ours => OURS.to_owned(),
            Self::Featured(features) => features.join(", "),
            Self::Tee(tee) => tee.name.clone(),
            Self::Flash(flash) => format!("of {}", flash.name),
        };
        let monitor = match self {
            Self::Flash(flash) => flash.name.clone(),
            _ => OURS.to_owned(),
        };
        let normal_world = match scenario.chain.normal_world {
            NormalWorld::Hypervisor => "hypervisor",
            NormalWorld::Probe => "probe",
        };
        Names { monitor, tee, normal_world: normal_world.to_owned() }
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
            monitor => f.write_str(monitor),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { monitor: OURS.to_owned(), tee: OURS.to_owned(), normal_world: "hypervisor".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(chain: &str) -> Scenario {
        let text = format!("name = 'a'\nsummary = 'b'\n[chain]\n{chain}\n[[expect]]\nfrom = 'EL3'\n");
        Scenario::parse(&text, Path::new("a.toml")).unwrap()
    }

    fn tee(tee: &str) -> Result<Stack, String> {
        let options = Options { tee: Some(tee.to_owned()), flash: None };
        options.stack().map_err(|error| format!("{error:#}"))
    }

    fn foreign() -> Foreign {
        Foreign { name: "my tee.v2.bin".into(), bytes: vec![1] }
    }

    #[test]
    fn features_are_told_from_files() {
        assert_eq!(Options::default().stack().unwrap(), Stack::Ours);
        let features = |words: &[&str]| Stack::Featured(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(tee("as-reported"), Ok(features(&["as-reported"])));
        assert_eq!(tee("as-reported,client-id"), Ok(features(&["as-reported", "client-id"])));
        let said = tee("as-reporte").unwrap_err();
        assert_eq!(
            said,
            "--tee as-reporte: there is no such file, and our TEE has no such features: as-reported, client-id, \
             pristine-template, fallible-pool are"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("as.bin");
        fs::write(&file, [0xAA; 8]).unwrap();
        let stack = tee(file.to_str().unwrap()).unwrap();
        assert_eq!(stack, Stack::Tee(Foreign { name: "as.bin".into(), bytes: vec![0xAA; 8] }));
        let options = Options { tee: None, flash: Some(folder.path().join("none.bin")) };
        assert!(options.stack().unwrap_err().to_string().starts_with("cannot read "));
        // The file is named as the user names it.
        let options = Options { tee: None, flash: Some(file.clone()) };
        let said = format!(
            "{} is no flash for this machine: it has no firmware image package at 0x40000, where TF-A's port has it \
             (the word there is not 0xaa640001)",
            file.display()
        );
        assert_eq!(format!("{:#}", options.stack().unwrap_err()), said);
    }

    #[test]
    fn a_scenario_that_would_not_run_what_is_given_is_refused() {
        let said = |stack: Stack, chain: &str| stack.check(&scenario(chain)).map_err(|error| error.to_string());
        let name = "my tee.v2.bin";
        assert_eq!(said(Stack::Tee(foreign()), ""), Ok(()));
        let left_out = "a leaves the TEE out (`tee` of its [chain]), so this would not run";
        assert_eq!(said(Stack::Tee(foreign()), "tee = false"), Err(format!("--tee {name}: {left_out}")));
        assert_eq!(said(Stack::Flash(foreign()), "tee = false"), Err(format!("--flash {name}: {left_out}")));
        assert_eq!(said(Stack::Tee(foreign()), "damage = 'cut-toc'"), Ok(()));
        let damage = format!("--flash {name}: a is about a flash of ours (its `damage`)");
        assert_eq!(said(Stack::Flash(foreign()), "damage = 'cut-toc'"), Err(damage));
    }

    #[test]
    fn what_ran_is_told_by_name() {
        let names = |stack: &Stack, chain: &str| stack.names(&scenario(chain));
        assert_eq!(names(&Stack::Ours, ""), Names::default());
        assert_eq!(names(&Stack::Ours, "tee = false").tee, "none");
        let named = names(&Stack::Tee(foreign()), "");
        assert_eq!((named.monitor.as_str(), named.tee.as_str()), ("Triptych", "my tee.v2.bin"));
        let named = names(&Stack::Flash(foreign()), "");
        assert_eq!((named.monitor.as_str(), named.tee.as_str()), ("my tee.v2.bin", "of my tee.v2.bin"));
        assert_eq!(Stack::Tee(foreign()).suffix(), "-on-my-tee");
    }
}
