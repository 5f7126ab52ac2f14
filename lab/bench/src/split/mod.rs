// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the instructions of each figure go: by level and function, from QEMU's log of executed instructions.
//!
//! The scenario is run again with that log, in which each instruction is a line, and read as it is written. Its
//! readings must be those of the run without it, and what lies between two readings must be as many instructions as
//! they say: a figure that the log doesn't account for is an error.

mod log;
mod symbols;
mod windows;

pub use symbols::Symbols;
pub use windows::Window;

use super::level::Level;
use super::measured::{self, Measured};
use super::table::{Run, Unit};
use anyhow::{Context, Result, bail, ensure};
use lab_run::console::{Line, is_vm};
use lab_run::firmware::{Firmware, Program};
use lab_run::plan::Plan;
use lab_run::prepare::{Kit, prepare};
use lab_run::run::run_logged;
use lab_run::scenario::{NormalWorld, Scenario};
use lab_run::workspace::Workspace;
use shared_abi::layout::{BL33_BASE, FLASH_BOOT, MONITOR, Range, TEE};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use windows::{Batch, Exits, Watcher};

/// Running with the log takes so many times as long.
const SLOWER: u64 = 10;
/// A page or two: the code of the probe around its readings, and the buffers that scripts execute.
const NEAR: u64 = 0x400;
const BUFFERS: u64 = 0x1_0000;

/// Where the instructions of a figure went.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// What they were executed for.
    pub name: String,
    /// By level and function.
    pub parts: BTreeMap<(Level, String), u64>,
}

impl Split {
    fn of(name: &str, symbols: &Symbols, window: &[u64], other: Level) -> Self {
        let mut split = Self { name: name.to_owned(), parts: BTreeMap::new() };
        split.add(symbols, window, other);
        split
    }

    /// Adds instructions. Those of no program are the script's own, which is executed at the level `other`.
    fn add(&mut self, symbols: &Symbols, window: &[u64], other: Level) {
        let mut counts: HashMap<Option<usize>, u64> = HashMap::new();
        for pc in window {
            *counts.entry(symbols.find(*pc)).or_default() += 1;
        }
        for (index, count) in counts {
            let part = match index.map(|index| symbols.function(index)) {
                Some(function) => (function.level, function.name.clone()),
                None => (other, "(the script's own code)".to_owned()),
            };
            *self.parts.entry(part).or_default() += count;
        }
    }

    /// Sums the instructions of a level.
    fn at(&self, level: Level) -> u64 {
        self.parts.iter().filter(|((of, _), _)| *of == level).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole: u64 = self.parts.values().sum();
        let share = |count: u64| 100.0 * count as f64 / whole.max(1) as f64;
        writeln!(f, "\n{}: {whole}", self.name)?;
        for level in [Level::El3, Level::SecureEl1, Level::El2, Level::El1] {
            let mut parts: Vec<_> = self.parts.iter().filter(|((of, _), _)| *of == level).collect();
            if parts.is_empty() {
                continue;
            }
            writeln!(f, "  {level:<6}{:>10} {:>6.1} %", self.at(level), share(self.at(level)))?;
            parts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for ((_, function), count) in parts {
                writeln!(f, "        {count:>8} {:>6.1} %  {function}", share(*count))?;
            }
        }
        Ok(())
    }
}

/// What a run's log says.
#[derive(Debug, Default)]
pub struct Logged {
    /// Of every figure that the probe prints, one of the samples that are its median.
    pub splits: Vec<Split>,
    /// By figure, what its samples take at each level.
    levels: HashMap<(String, Level), Vec<f64>>,
    /// By figure, what the last sample takes that is not accounted for.
    lengths: HashMap<String, usize>,
    /// What is executed between a VM's exits, if there is a hypervisor.
    pub exits: Option<Split>,
}

impl Logged {
    /// Says what a figure's samples take at a level.
    pub fn at(&self, figure: &str, level: Level) -> Option<Measured> {
        Measured::of(self.levels.get(&(figure.to_owned(), level))?.clone())
    }

    /// Says what is executed at a level between a VM's exits.
    pub(crate) fn between_exits(&self, level: Level) -> Option<u64> {
        self.exits.as_ref().map(|exits| exits.at(level))
    }
}

/// Runs a scenario with the log. `lines` is what was said without it. Unless `all` levels are asked for, only EL3's
/// instructions are logged.
pub fn log(
    workspace: &Workspace,
    of: &Run,
    scenario: &Scenario,
    kit: &Kit,
    lines: &[Line],
    all: bool,
) -> Result<Logged> {
    let scenario = Scenario { timeout: scenario.timeout * SLOWER, ..scenario.clone() };
    let world = World::of(&scenario, kit.firmware(), lines)?;
    let mut prepared = prepare(workspace, &Plan::of(scenario)?, kit)?;
    prepared.line.log_instructions(&world.ranges(all)?)?;
    let reader = Reader::new(&world, of, lines, all)?;
    let (outcome, logged) = run_logged(&prepared, |log| reader.read(log))?;
    ensure!(outcome.passed(), "with QEMU's log of instructions the scenario fails:\n{}", outcome.report());
    ensure!(
        figures(&outcome.lines).eq(figures(lines)),
        "{}: with QEMU's log of instructions the figures are others",
        outcome.name
    );
    logged.with_context(|| format!("in QEMU's log of {}", outcome.name))
}

/// Returns the figures that a probe prints: names and values.
fn figures(lines: &[Line]) -> impl Iterator<Item = (&str, &str)> {
    let said = lines.iter().filter_map(|line| match line.speaker.as_str() {
        "probe" => Some(line.text.as_str()),
        vm if is_vm(vm) => line.text.strip_prefix("[probe] "),
        _ => None,
    });
    said.filter_map(|text| text.strip_prefix("figure ")?.split_once(' '))
}

/// Which programs are where.
struct World {
    symbols: Symbols,
    /// The level of who measures.
    measurer: Level,
    /// Its first byte and its buffers, if there is a probe.
    probe: Option<(u64, u64)>,
    hypervisor: bool,
}

impl World {
    fn of(scenario: &Scenario, firmware: &Firmware, lines: &[Line]) -> Result<Self> {
        let mut symbols = Symbols::default();
        let mut add = |program, level, moved| {
            let file = firmware.elf(program);
            let elf = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            symbols.add(&elf, level, moved).with_context(|| format!("in {}", file.display()))
        };
        add(Program::Boot, Level::El3, 0)?;
        add(Program::Runtime, Level::El3, 0)?;
        add(Program::Tee, Level::SecureEl1, 0)?;
        let hypervisor = scenario.chain.normal_world == NormalWorld::Hypervisor;
        let measurer = if hypervisor { Level::El1 } else { Level::El2 };
        if hypervisor {
            add(Program::Hypervisor, Level::El2, BL33_BASE)?;
        }
        let place = regex::Regex::new(r"EL[12], image at 0x([0-9a-f]+), buffers at 0x([0-9a-f]+)")?;
        let found = lines.iter().find_map(|line| place.captures(&line.text));
        let probe = found.map(|found| {
            let number = |group: usize| u64::from_str_radix(&found[group], 16);
            anyhow::Ok((number(1)?, number(2)?))
        });
        let probe = probe.transpose()?;
        if let Some((image, _)) = probe {
            add(Program::Probe, measurer, image)?;
        }
        Ok(Self { symbols, measurer, probe, hypervisor })
    }

    /// Says where instructions are logged.
    fn ranges(&self, all: bool) -> Result<Vec<Range>> {
        let mut ranges = vec![MONITOR];
        if all {
            ranges.extend([FLASH_BOOT, TEE]);
        }
        if let Some((image, buffers)) = self.probe {
            ranges.extend([Range::new(self.symbols.label("probe_guarded")?, NEAR)]);
            ranges.extend([Range::new(image, NEAR), Range::new(buffers, BUFFERS)]);
        }
        if self.hypervisor {
            // Without the rest, its vectors show when a VM runs.
            ranges.push(Range::new(BL33_BASE, if all { 1 << 20 } else { 0x1000 }));
        }
        Ok(ranges)
    }
}

/// Reads the log.
struct Reader<'w> {
    world: &'w World,
    /// The probe's figures in their order: name, value or median, samples.
    expected: Vec<(&'w str, usize, usize)>,
    /// By name, the median of all samples.
    medians: HashMap<&'w str, f64>,
    /// What must be split: figures, and the tick at which the normal world begins.
    wanted: Vec<&'w str>,
    began: Option<(&'w str, f64)>,
    all: bool,
}

impl<'w> Reader<'w> {
    fn new(world: &'w World, of: &'w Run, lines: &'w [Line], all: bool) -> Result<Self> {
        let mut expected = Vec::new();
        let mut medians = HashMap::new();
        for (name, value) in figures(lines) {
            let line = measured::line(value).with_context(|| format!("figure {name} has no value"))?;
            expected.push((name, line.median as usize, line.samples));
            if let Some(figure) = measured::printed(lines, name) {
                medians.insert(name, figure.median);
            }
        }
        let mut wanted = Vec::new();
        let mut began = None;
        for entry in of.figures.iter().filter(|entry| entry.unit == Unit::Instructions) {
            match &entry.source {
                Some(_) => began = measured::of(lines, entry).map(|tick| (entry.name.as_str(), tick.median)),
                None if !wanted.contains(&entry.printed()) => wanted.push(entry.printed()),
                None => {}
            }
        }
        Ok(Self { world, expected, medians, wanted, began, all })
    }

    fn read(self, log: File) -> Result<Logged> {
        let World { symbols, measurer, probe, hypervisor } = self.world;
        let vectors = hypervisor.then(|| symbols.label("vectors")).transpose()?;
        let mut watcher = probe.map(|_| Watcher::new(symbols, vectors)).transpose()?;
        let mut exits = vectors.map(Exits::new);
        let mut between = Split::of("between a VM's exits", symbols, &[], *measurer);
        // The second instruction of the normal world reads the counter, and is counted by then itself.
        let first = probe.map(|(image, _)| image);
        let mut boot = (self.all && self.began.is_some()).then(Window::new);
        let mut logged = Logged::default();
        let mut batches = 0;
        log::read(BufReader::with_capacity(1 << 20, log), |pc| {
            if let (Some(window), Some(first)) = (&mut boot, first) {
                window.push(pc);
                if pc > first && pc < first + NEAR {
                    logged.splits.extend(self.began.map(|(name, _)| Split::of(name, symbols, window, *measurer)));
                    boot = None;
                }
            }
            if let Some(window) = exits.as_mut().and_then(|exits| exits.see(pc)) {
                between.add(symbols, &window, *measurer);
            }
            if let Some(watcher) = &mut watcher
                && let Some(batch) = watcher.see(pc)
            {
                if let Some(expected) = self.expected.get(batches) {
                    self.take(*expected, &batch, watcher, &mut logged);
                }
                batches += 1;
            }
        })?;
        logged.exits = hypervisor.then_some(between);
        ensure!(batches == self.expected.len(), "{batches} figures are printed in it, not {}", self.expected.len());
        if self.all {
            self.check(&logged)?;
        }
        Ok(logged)
    }

    /// Takes what was executed for a figure.
    fn take(
        &self,
        (name, value, samples): (&str, usize, usize),
        batch: &Batch,
        watcher: &Watcher<'_>,
        logged: &mut Logged,
    ) {
        let World { symbols, measurer, .. } = self.world;
        let calls = &batch.calls[batch.calls.len().saturating_sub(samples)..];
        for level in [Level::El3, Level::SecureEl1] {
            let samples = calls.iter().map(|window| windows::at(symbols, window, level) as f64);
            logged.levels.entry((name.to_owned(), level)).or_default().extend(samples);
        }
        if !self.all || logged.splits.iter().any(|split| split.name == name) {
            return;
        }
        let median = self.medians.get(name).map_or(value, |median| *median as usize);
        let of_calls = calls.iter().find(|window| window.len() == median).map(Vec::as_slice);
        let of_code = || if value == median { watcher.measured(&batch.code, value) } else { None };
        match of_calls.or_else(of_code) {
            Some(window) => logged.splits.push(Split::of(name, symbols, window, *measurer)),
            None => {
                let last = calls.last().map_or(batch.code.len(), Vec::len);
                logged.lengths.insert(name.to_owned(), last);
            }
        }
    }

    /// Checks that every figure is accounted for, instruction by instruction.
    fn check(&self, logged: &Logged) -> Result<()> {
        for name in &self.wanted {
            if !logged.splits.iter().any(|split| split.name == **name) {
                let readings = self.medians.get(name).copied().unwrap_or_default();
                let log = logged.lengths.get(*name).copied().unwrap_or_default();
                bail!("{name}: {readings} instructions by its readings, but {log} in the last sample that is logged");
            }
        }
        let Some((name, tick)) = self.began else { return Ok(()) };
        let split = logged.splits.iter().find(|split| split.name == name);
        let whole: u64 = split.context("the normal world is not in it")?.parts.values().sum();
        ensure!(whole as f64 == tick, "{name}: {whole} instructions until the reading of {tick}");
        Ok(())
    }
}
