// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which probe plays what: the scripts of a scenario, and what is expected of every probe without being written down.

use super::error::{Error, Fault};
use super::layer::NormalWorld;
use super::tables::{End, Expect, Scenario};
use anyhow::{anyhow, bail};
use lab_script::source::{Included, OnlyWith};
use lab_script::{Mistake, Ram, Source, Target, compile};
use probe::image::{self, Unfit};
use shared_abi::layout::DRAM_BASE;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;

#[cfg(test)]
mod tests;

/// What a probe ends with when all is well.
const DONE: &str = r"done(?:| but for .*): \d+ steps, \d+ expectations, 0 failed$";
/// What it says of an expectation that does not hold.
const FAILED: &str = r"(?:step \d+ |no script|the script|CPU \d+: exception|PANIC)";

/// Compiles the scripts of a scenario's probes and adds what is expected of them.
pub fn prepare(scenario: &mut Scenario, text: &str, file: &Path) -> Result<(), Error> {
    let blame = |message: &str, key: &str| Err(Error::at(file, text, find(text, key), message.to_owned(), None));
    let in_place = scenario.chain.normal_world == NormalWorld::Probe;
    let players: Vec<_> = (0..scenario.vms.len()).filter(|index| scenario.vms[*index].is_probe()).collect();
    if in_place && !scenario.vms.is_empty() {
        return blame("with the probe in the hypervisor's place there are no VMs", "[[vm]]");
    }
    if !in_place && players.is_empty() {
        let keys = [
            ("[[step]]", !scenario.steps.is_empty()),
            ("[[steps.", !scenario.lists.is_empty()),
            ("[buffers]", !scenario.buffers.is_empty()),
            ("include", !scenario.include.is_empty()),
        ];
        return match keys.iter().find(|(_, there)| *there) {
            Some((key, _)) => {
                blame("nobody plays steps: no VM has the kernel `probe`, and it is not the normal world", key)
            }
            None => Ok(()),
        };
    }
    let play =
        Arc::new(Play { name: file_name(file), text: text.to_owned(), included: read_included(scenario, text, file)? });
    let sources = play.sources(scenario);
    let folder = file.parent().unwrap_or(Path::new(""));
    let located = |mistake: Mistake| {
        let text = sources.get(mistake.file).map_or(text, |source| source.text);
        let path = match mistake.file.checked_sub(1).and_then(|index| scenario.include.get(index)) {
            Some(included) => folder.join(included),
            None => file.to_path_buf(),
        };
        Error::at(&path, text, mistake.span, mistake.message, mistake.nearest)
    };
    let all = |_: &OnlyWith| true;
    let target = |memory| target(scenario, memory, &all);
    let memory = scenario.machine.memory.0;
    let script = in_place.then(|| compile(&sources, None, &target(memory))).transpose().map_err(&located)?;
    let mut scripts = Vec::new();
    for &index in &players {
        let vm = &scenario.vms[index];
        let fault = |key, message| Fault { table: "[[vm]]", index, key, message }.at(file, text);
        match &vm.play {
            Some(name) if !sources.iter().any(|source| source.lists.contains_key(name)) => {
                return Err(fault("play", format!("there is no list `{name}` to play")));
            }
            None if scenario.steps.is_empty() => {
                return Err(fault(
                    "kernel",
                    "its probe has nothing to play: there is no [[step]], and no `play`".into(),
                ));
            }
            _ => {}
        }
        scripts.push(compile(&sources, vm.play.as_deref(), &target(vm.memory.0)).map_err(&located)?);
    }
    let played: Vec<_> = script.iter().chain(&scripts).flat_map(|script| &script.played).collect();
    if !scenario.steps.is_empty() && played.iter().all(|list| list.is_some()) {
        return blame("nobody plays [[step]]: each probe plays a list of its own", "[[step]]");
    }
    let idle = |name: &&String| !played.iter().any(|list| list.as_ref() == Some(name));
    if let Some(name) = scenario.lists.keys().find(idle) {
        let span = scenario.lists[name].first().map_or(0..0, Spanned::span);
        return Err(Error::at(file, text, span, format!("nobody plays the list `{name}`"), None));
    }
    if in_place {
        scenario.expects.extend(expects("probe", ""));
    }
    scenario.script = script.map(|script| script.bytes);
    for (&index, script) in players.iter().zip(scripts) {
        scenario.vms[index].script = Some(script.bytes);
        scenario.expects.extend(expects(&scenario.console(index), r"\[probe\] "));
    }
    scenario.play = Some(play);
    Ok(())
}

/// What a scenario's scripts are compiled from, beside its own tables.
#[derive(Debug)]
pub struct Play {
    /// The file's name and text, which say where a step stands.
    name: String,
    text: String,
    /// Names, texts and tables of the files with further lists.
    included: Vec<(String, String, Included)>,
}

impl Play {
    fn sources<'s>(&'s self, scenario: &'s Scenario) -> Vec<Source<'s>> {
        let Scenario { steps, lists, buffers, .. } = scenario;
        let own = Source { name: &self.name, text: &self.text, main: steps, lists, buffers };
        let included = self.included.iter().map(|(name, text, included)| Source::included(name, text, included));
        [own].into_iter().chain(included).collect()
    }
}

impl Scenario {
    /// Leaves the steps out that are for other layers.
    pub fn with_steps(&self, meant: &dyn Fn(&OnlyWith) -> bool) -> anyhow::Result<Self> {
        let mut scenario = self.clone();
        let Some(play) = &self.play else { return Ok(scenario) };
        let sources = play.sources(self);
        let compiled = |list: Option<&str>, memory| {
            compile(&sources, list, &target(self, memory, meant)).map_err(|mistake| anyhow!("{}", mistake.message))
        };
        let mut left_out = BTreeSet::new();
        if self.chain.normal_world == NormalWorld::Probe {
            let script = compiled(None, self.machine.memory.0)?;
            scenario.script = Some(script.bytes);
            left_out.extend(script.left_out);
        }
        for vm in scenario.vms.iter_mut().filter(|vm| vm.is_probe()) {
            let script = compiled(vm.play.as_deref(), vm.memory.0)?;
            vm.script = Some(script.bytes);
            left_out.extend(script.left_out);
        }
        scenario.left_out = left_out.into_iter().collect();
        Ok(scenario)
    }
}

fn target<'t>(scenario: &Scenario, memory: u64, meant: &'t dyn Fn(&OnlyWith) -> bool) -> Target<'t> {
    let ram = Ram { base: DRAM_BASE, end: DRAM_BASE + memory };
    Target { ram, power_off: scenario.end == End::PowersOff, meant }
}

/// Appends a script to the probe's image: one file that any firmware can start.
pub fn append(mut image: Vec<u8>, script: &[u8]) -> anyhow::Result<Vec<u8>> {
    let place = match image::place_for(&image, script) {
        Ok(place) => place,
        Err(Unfit::NoProbe) => bail!("the image is not the probe's"),
        Err(Unfit::TooLarge(room)) => bail!("the script has {} bytes, the room for it {room}", script.len()),
    };
    image::announce(&mut image, script.len());
    image.resize(place, 0);
    image.extend_from_slice(script);
    Ok(image)
}

fn read_included(scenario: &Scenario, text: &str, file: &Path) -> Result<Vec<(String, String, Included)>, Error> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut all = Vec::new();
    for name in &scenario.include {
        let path = folder.join(name);
        let contents = std::fs::read_to_string(&path).map_err(|error| {
            Error::at(file, text, find(text, "include"), format!("cannot read {}: {error}", path.display()), None)
        })?;
        let included = toml::from_str(&contents).map_err(|error| Error::from_toml(&path, &contents, &error))?;
        all.push((file_name(&path), contents, included));
    }
    Ok(all)
}

fn file_name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// Finds where a key stands: at the start of a line.
fn find(text: &str, key: &str) -> std::ops::Range<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with(key) {
            return start..start + line.len();
        }
        start += line.len();
    }
    0..0
}

fn expects(speaker: &str, prefix: &str) -> [Expect; 2] {
    let expect = |pattern: &str, absent| Expect {
        regex: Some(format!("^{prefix}{pattern}")),
        absent,
        ..Expect::any_of(speaker)
    };
    [expect(DONE, false), expect(FAILED, true)]
}
