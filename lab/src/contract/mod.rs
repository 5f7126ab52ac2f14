// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest contract: the same bare program on plain QEMU and as our guest, whose lines must be the same.
//!
//! The program is `images/contract`; beside it stand the lists of what may differ. Time is the count of instructions on
//! both machines, so that what a check sees does not depend on how busy the host is.

pub mod compare;
pub mod lists;
pub mod said;

use anyhow::{Context, Result};
use lab_run::console::{Listeners, Port};
use lab_run::firmware::Program;
use lab_run::machine::{Event, Machine};
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::qemu::CommandLine;
use lab_run::qmp::Ending;
use lab_run::scenario::{Scenario, Size, model};
use lab_run::workspace::Workspace;
use said::Said;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// CPU models that the contract holds on.
pub const CPUS: [&str; 2] = ["cortex-a57", "max,pauth-impdef=on"];
/// An instruction takes 64 ns: seconds of a clock that is waited for are not too many of them.
const ICOUNT_SHIFT: u32 = 6;
/// After so long a machine counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the program says when it wants something to be typed, and what that is.
const ASKS: &str = "contract? type";
const TYPED: &[u8] = b"abcdefgh";

/// Where the program runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// QEMU's CPU model with its properties.
    pub cpu: String,
    /// How many CPUs the program has.
    pub cpus: u32,
    /// Whether another VM shares all of them.
    pub beside_noise: bool,
}

impl Place {
    /// Returns its name.
    pub fn name(&self) -> String {
        format!("{}::{}{}", model(&self.cpu), self.cpus, if self.beside_noise { "::noise" } else { "" })
    }

    fn folder(&self) -> String {
        format!("{}-{}{}", model(&self.cpu), self.cpus, if self.beside_noise { "-noise" } else { "" })
    }
}

/// Lists the program's topics, each a file or a folder of `images/contract/src/topic`.
pub fn topics(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.contract().join("src/topic");
    let context = || format!("cannot read {}", folder.display());
    let mut topics = Vec::new();
    for entry in fs::read_dir(&folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        // Not what an editor leaves beside them.
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") {
            topics.extend(path.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-")));
        }
    }
    topics.retain(|topic| topic != "mod");
    topics.sort();
    Ok(topics)
}

/// Builds what both machines need.
pub fn kit(workspace: &Workspace, progress: &lab_run::progress::Progress) -> Result<Kit> {
    let place = Place { cpu: CPUS[0].into(), cpus: 1, beside_noise: false };
    Kit::of(workspace, &plan(&place, &[])?, progress)
}

/// Runs the program on plain QEMU.
pub fn on_plain(workspace: &Workspace, kit: &Kit, place: &Place, topics: &[String]) -> Result<Said> {
    let folder = workspace.fresh_run(&format!("contract-plain/{}", place.folder()))?;
    let machine = lab_run::scenario::Hardware {
        cpus: place.cpus,
        memory: Size(64 << 20),
        icount: true,
        icount_shift: ICOUNT_SHIFT,
        ..Default::default()
    };
    let image = kit.firmware().image(Program::Contract);
    let line = CommandLine::plain(&machine, &place.cpu, &image, &topics.join(" "));
    let by_hand = folder.join("qemu.sh");
    fs::write(&by_hand, line.by_hand()).with_context(|| format!("cannot write {}", by_hand.display()))?;
    hear(Machine::with_line(&line, &folder)?, "?ns")
}

/// Runs the program as our guest.
pub fn as_guest(workspace: &Workspace, kit: &Kit, place: &Place, topics: &[String]) -> Result<Said> {
    let prepared = prepare(workspace, &plan(place, topics)?, kit)?;
    hear(Machine::start_as_described(&prepared)?, "vm1")
}

/// Plans the chain with the program as its first VM.
fn plan(place: &Place, topics: &[String]) -> Result<Plan> {
    let Place { cpu, cpus, beside_noise } = place;
    let vm = |name: &str, bootargs: &str| {
        format!(
            "[[vm]]\nname = '{name}'\nkernel = 'contract'\nmemory = '64M'\ncpus = {cpus}\nbootargs = '{bootargs}'\n"
        )
    };
    let text = format!(
        "name = 'contract'\nsummary = 'The guest contract.'\n\
         [machine]\ncpu = '{cpu}'\ncpus = {cpus}\nicount = true\nicount-shift = {ICOUNT_SHIFT}\n{}{}\
         [[expect]]\nfrom = 'vm1'\nline = 'contract'\n",
        vm("contract", &topics.join(" ")),
        if *beside_noise { vm("noise", "noise") } else { String::new() },
    );
    let mut scenario = Scenario::parse(&text, Path::new("contract.toml"))?;
    scenario.name = format!("contract-{}", place.folder());
    Plan::of(scenario)
}

/// Listens to a machine until its program has ended.
fn hear(mut machine: Machine, speaker: &str) -> Result<Said> {
    let (mut said, mut listeners) = (Said::default(), Listeners::new(false));
    while said.end.is_none() {
        match machine.next_until(PATIENCE)? {
            Event::Bytes(Port::NonSecure, bytes) => {
                for line in listeners.at(Port::NonSecure).hear(&bytes).iter().filter(|line| line.speaker == speaker) {
                    match line.text.as_str() {
                        ASKS => machine.type_in(TYPED),
                        text => said.hear(text),
                    }
                }
            }
            Event::Bytes(Port::Secure, _) => {}
            Event::Ended(Ending::PoweredOff | Ending::Reset) | Event::Silence | Event::Interrupted => break,
            Event::Ended(Ending::Broken(words)) => anyhow::bail!(words),
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn a_topic_is_called_as_its_file() {
        let workspace = Workspace::locate().unwrap();
        let named = Regex::new(r#"TOPIC: Topic = Topic \{\s+name: "([^"]+)""#).unwrap();
        let topics = topics(&workspace).unwrap();
        assert!(topics.len() > 10, "{topics:?}");
        for topic in topics {
            let place = workspace.contract().join("src/topic").join(topic.replace('-', "_"));
            // Large ones are folders.
            let file = [place.with_extension("rs"), place.join("mod.rs")].into_iter().find(|file| file.is_file());
            let text = fs::read_to_string(file.unwrap()).unwrap();
            assert_eq!(named.captures(&text).map(|found| found[1].to_owned()), Some(topic));
        }
    }
}
