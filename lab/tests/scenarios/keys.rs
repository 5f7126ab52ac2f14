// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux boots with each key of `[machine]` and `[chain]`: `key::chain.harden-branch-predictor=true::cortex-a57`.
//!
//! Each test is two-guests.toml with one more key, and all that is expected there must hold. The keys are those that a
//! scenario takes: one that is new to it and not known here fails `key::all`.

use crate::play::{Layers, judge};
use anyhow::{Context, Result, ensure};
use lab_run::guests::{Linux, linux};
use lab_run::scenario::{Scenario, model};
use libtest_mimic::{Failed, Trial};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What each is a change of.
const BASE: &str = "two-guests.toml";
/// Its first CPU model, and another one.
const MAX: &str = "max,pauth-impdef=on";
const A57: &str = "cortex-a57";

/// Linux with a key.
struct Row {
    /// It, and what else it needs.
    sets: &'static [(&'static str, &'static str)],
    /// Models on which it matters.
    on: &'static [&'static str],
    /// What is expected besides, which shows that the key has arrived.
    shows: &'static str,
}

impl Row {
    /// Names the key, with its value if that is short.
    fn name(&self) -> String {
        let (key, value) = self.sets[0];
        let value = value.trim_matches(['\'', '[', ']']);
        if value.starts_with('{') { key.to_owned() } else { format!("{key}={value}") }
    }
}

const ROWS: &[Row] = &[
    Row { sets: &[("machine.cpu", "'cortex-a76'")], on: &["cortex-a76"], shows: "" },
    Row { sets: &[("machine.cpu", "'neoverse-n1'")], on: &["neoverse-n1"], shows: "" },
    // Without features that layers and guests use where they are there.
    Row {
        sets: &[("machine.cpu", "'max,pauth=off,sve=off,sme=off'")],
        on: &["max,pauth=off,sve=off,sme=off"],
        shows: "",
    },
    Row { sets: &[("machine.also-on", "['cortex-a53']")], on: &["cortex-a53"], shows: "" },
    Row {
        sets: &[("machine.cpus", "8")],
        on: &[A57],
        shows: "
            expect = [{ from = 'EL3', regex = '^8 CPUs$' }, { from = 'HYP', regex = '^8 of 8 CPUs run$' }]
        ",
    },
    // The modules end not far below it.
    Row {
        sets: &[("machine.memory", "'833M'")],
        on: &[MAX],
        shows: "expect = [{ from = 'TEE', line = 'non-secure RAM 0x40000000..0x74100000' }]",
    },
    // Some of it is above 4 GiB.
    Row {
        sets: &[("machine.memory", "'4G'")],
        on: &[MAX],
        shows: "expect = [{ from = 'TEE', line = 'non-secure RAM 0x40000000..0x140000000' }]",
    },
    // The hypervisor counts instructions where QEMU does, if there is one CPU.
    Row {
        sets: &[("machine.icount", "true"), ("machine.cpus", "1")],
        on: &[A57],
        shows: "
            expect = [{ from = 'EL3', regex = '^1 CPU$' }, { from = 'HYP', regex = '^vm1: instructions EL2=[0-9]+' }]
        ",
    },
    Row { sets: &[("machine.icount-shift", "4"), ("machine.icount", "true")], on: &[MAX], shows: "" },
    Row { sets: &[("machine.tree-ballast", "'780K'")], on: &[MAX], shows: "" },
    // The second VM's CPU is the second one.
    Row {
        sets: &[("machine.late-cpus", "{ from = 'vm1', line = 'init: PASS' }")],
        on: &[MAX],
        shows: "
            expect = [
                { from = 'vm1', regex = '^init: PASS$' },
                { from = 'vm2', regex = '^bare-guest: EL1', in-order = true },
            ]
        ",
    },
    Row { sets: &[("machine.resets", "true")], on: &[A57], shows: "" },
    Row { sets: &[("machine.secure-memory", "0x0E00_0000")], on: &[MAX], shows: "" },
    Row {
        sets: &[("chain.images", "'1M'")],
        on: &[A57],
        shows: "expect = [{ from = 'EL3', regex = '^BL33 [^:]*: ([0-9]+) KiB', at-least = 600 }]",
    },
    Row {
        sets: &[("chain.harden-branch-predictor", "true")],
        on: &[A57, "cortex-a72"],
        shows: "
            expect = [
                { from = 'HYP', line = 'the branch predictor forgets at every exit (SMCCC_ARCH_WORKAROUND_1)' },
            ]
        ",
    },
    // Its VMs are two as they should be: the bug does not show.
    Row { sets: &[("chain.tee", "'as-reported'")], on: &[A57], shows: "" },
    // A CPU that needs no such thing.
    Row {
        sets: &[("chain.harden-branch-predictor", "true")],
        on: &[MAX],
        shows: "expect = [{ from = 'HYP', line = 'the branch predictor need not forget on this CPU' }]",
    },
];

/// Keys that scenarios of their own have, with each value that there is; those that are marked so leave Linux booting.
/// The others are machines without guests, or whose firmware stops.
const ELSEWHERE: [(&str, bool); 6] = [
    ("chain.monitor", true),
    ("chain.tee", true),
    ("chain.tee-mode", true),
    ("chain.hypervisor", true),
    ("chain.normal-world", false),
    ("chain.damage", false),
];

/// Keys that have no list of values, for a normal world that is not ours.
const OF_OTHERS: [&str; 4] = ["chain.kernel", "chain.initramfs", "chain.bootargs", "chain.hypervisor-bootargs"];

/// Makes a test for each row and model, and one for the list.
pub fn trials(files: &[PathBuf]) -> Result<Vec<Trial>> {
    let file = files.iter().find(|file| file.ends_with(BASE)).with_context(|| format!("there is no {BASE}"))?;
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut trials = Vec::new();
    for row in ROWS {
        for &cpu in row.on {
            let (text, file) = (text.clone(), file.clone());
            let name = format!("key::{}::{}", row.name(), model(cpu));
            trials.push(Trial::test(name, move || boots(row, cpu, &text, &file)));
        }
    }
    let files = files.to_vec();
    trials.push(Trial::test("key::all", move || all(&files).map_err(|error| Failed::from(format!("{error:#}")))));
    Ok(trials)
}

fn boots(row: &Row, cpu: &str, text: &str, file: &Path) -> Result<(), Failed> {
    let scenario = scenario(row, text, file).map_err(|error| Failed::from(format!("{error:#}")))?;
    judge(&scenario, cpu, Layers::Usual)
}

/// Makes a scenario of the base with a row's keys.
fn scenario(row: &Row, text: &str, file: &Path) -> Result<Scenario> {
    let mut scenario: Table = text.parse()?;
    for (key, value) in row.sets {
        let (table, key) = key.split_once('.').context("a key is in a table")?;
        let value: Table = format!("value = {value}").parse()?;
        let table = scenario.entry(table).or_insert(Table::new().into()).as_table_mut().context("a table")?;
        table.insert(key.into(), value["value"].clone());
    }
    let machine = scenario["machine"].as_table().context("a table")?;
    let also = machine["also-on"].as_array().into_iter().flatten();
    let models: Vec<_> =
        also.chain([&machine["cpu"]]).filter_map(Value::as_str).map(model).map(str::to_owned).collect();
    let expects = scenario["expect"].as_array_mut().context("expectations")?;
    // What is expected of a model alone that is none of them any more.
    expects.retain_mut(|expect| match expect.get_mut("on").and_then(Value::as_array_mut) {
        Some(on) => {
            on.retain(|on| on.as_str().is_some_and(|on| models.iter().any(|model| model == on)));
            !on.is_empty()
        }
        None => true,
    });
    expects.extend(
        row.shows.parse::<Table>()?.remove("expect").and_then(|shows| shows.as_array().cloned()).unwrap_or_default(),
    );
    // A folder of its own.
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    scenario.insert("name".into(), format!("key-{}", row.name()).chars().map(plain).collect::<String>().into());
    Ok(Scenario::parse(&toml::to_string(&scenario)?, file)?)
}

/// Checks that every key is tried, and that every row is about a key.
fn all(files: &[PathBuf]) -> Result<()> {
    let mut known = BTreeSet::new();
    for table in ["machine", "chain"] {
        known.extend(expected(&format!("[{table}]\nno-such-key = 1"))?.iter().map(|key| format!("{table}.{key}")));
    }
    let rows = ROWS.iter().map(|row| row.sets[0].0).chain(ELSEWHERE.map(|(key, _)| key)).chain(OF_OTHERS);
    let tried: BTreeSet<_> = rows.map(str::to_owned).collect();
    let untried: Vec<_> = known.difference(&tried).collect();
    ensure!(untried.is_empty(), "{untried:?} boot Linux in no test: each wants a row in {}", file!());
    let vain: Vec<_> = tried.difference(&known).collect();
    ensure!(vain.is_empty(), "{vain:?} are no keys (any more): their rows in {} go", file!());
    let scenarios: Vec<Scenario> = files.iter().map(|file| Scenario::read(file)).collect::<Result<_>>()?;
    let texts: Vec<Table> = files.iter().map(|file| Ok(fs::read_to_string(file)?.parse()?)).collect::<Result<_>>()?;
    for (key, with_linux) in ELSEWHERE {
        let (table, name) = key.split_once('.').context("a key is in a table")?;
        let fitting =
            texts.iter().zip(&scenarios).filter(|(_, scenario)| !with_linux || linux(scenario) != Linux::None);
        let found: BTreeSet<_> = fitting.filter_map(|(text, _)| text.get(table)?.get(name).and_then(word)).collect();
        let values = match key {
            "chain.tee" => ["false", "ours", "package"].map(str::to_owned).to_vec(),
            _ => expected(&format!("[{table}]\n{name} = 'no-such-value'"))?,
        };
        // The hypervisor is there without being asked for.
        let missing: Vec<_> = values.iter().filter(|value| *value != "hypervisor" && !found.contains(*value)).collect();
        ensure!(missing.is_empty(), "no scenario has {key} = {missing:?}");
    }
    for key in OF_OTHERS {
        let (table, name) = key.split_once('.').context("a key is in a table")?;
        let there = |text: &Table| text.get(table).is_some_and(|table| table.get(name).is_some());
        ensure!(texts.iter().any(there), "no scenario has {key}");
    }
    Ok(())
}

/// Returns the value's name: a damage has one, and the image that it is done to; a layer of somebody else's is a
/// package, whichever build.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Table(value) if value.contains_key("package") => Some("package".to_owned()),
        Value::Table(value) => value.keys().next().cloned(),
        Value::Boolean(value) => Some(value.to_string()),
        value => value.as_str().map(str::to_owned),
    }
}

/// Says what a scenario takes in the place of something that it doesn't know.
fn expected(lines: &str) -> Result<Vec<String>> {
    let text = format!("name = 'x'\nsummary = 'x'\n{lines}\n");
    let error = Scenario::parse(&text, Path::new("x.toml")).err().context("it is taken")?.to_string();
    let list = error.split_once("expected one of ").or_else(|| error.split_once("expected "));
    let (list, _) = list.and_then(|(_, rest)| rest.split_once("; did you mean")).context(error.clone())?;
    let names: Vec<_> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    ensure!(!names.is_empty(), "{error}");
    Ok(names)
}
