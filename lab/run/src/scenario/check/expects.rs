// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be seen: that it can be, and that it says something when it is.

use super::{Mistake, listed, mistake};
use crate::console::FOREIGN;
use crate::models::model;
use crate::scenario::error::Fault;
use crate::scenario::layer::NormalWorld;
use crate::scenario::tables::{Expect, Scenario, Vm};
use lab_script::source::OnlyWith;
use regex::Regex;

pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let top = |key, message| Err(Fault { table: "", index: 0, key, message });
    if scenario.expects.is_empty() {
        return top("name", "nothing is expected: add an [[expect]]".into());
    }
    for (index, expect) in scenario.expects.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &scenario.expects[before]);
        let checked = speaker(expect, scenario).and_then(|()| pattern(expect)).and_then(|()| layers(expect));
        if let Err((key, message)) = checked.and_then(|()| combination(expect, before, scenario)) {
            return Err(Fault { table: "[[expect]]", index, key, message });
        }
    }
    for cpu in scenario.cpus() {
        let (mut expects, model) = (scenario.expects_on(cpu), model(cpu));
        // What holds with some layers only may hold with none that run.
        expects.retain(|expect| expect.only_with == OnlyWith::default());
        if expects.is_empty() {
            return top("name", format!("nothing is expected on {model}"));
        }
        if expects.iter().all(|expect| expect.absent) {
            let message =
                format!("all that is expected on {model} is `absent`, so a machine that did nothing would do");
            return top("name", message + ": expect a line, too");
        }
    }
    Ok(())
}

fn layers(expect: &Expect) -> Result<(), Mistake> {
    match expect.only_with.unknown() {
        Some(word) => mistake("only-with", format!("`{word}` is no layer's")),
        None => Ok(()),
    }
}

/// Lists who speaks in a scenario's machine.
pub(super) fn speakers(scenario: &Scenario) -> Vec<String> {
    let normal_world = match scenario.chain.normal_world {
        NormalWorld::Hypervisor => "HYP",
        NormalWorld::Probe => "probe",
        // What its VMs say goes through its console.
        NormalWorld::Linux | NormalWorld::Foreign(_) => return of_layers(scenario, FOREIGN).collect(),
    };
    of_layers(scenario, normal_world).chain((0..scenario.vms.len()).map(|vm| scenario.console(vm))).collect()
}

fn of_layers(scenario: &Scenario, normal_world: &str) -> impl Iterator<Item = String> {
    let layers = [("EL3", true), ("TEE", scenario.chain.tee.is_some()), (normal_world, true)];
    layers.map(|(name, there)| there.then(|| name.to_owned())).into_iter().flatten()
}

/// Writes what is said of a name that nobody has.
pub(super) fn nobody(name: &str, scenario: &Scenario) -> String {
    let mut message = format!("`{name}` is nobody here: {} speak", listed(&speakers(scenario), "and"));
    if name == "probe" && scenario.vms.iter().any(Vm::is_probe) {
        message += ", and a VM's probe speaks as the VM";
    }
    message
}

fn speaker(expect: &Expect, scenario: &Scenario) -> Result<(), Mistake> {
    // That a TEE which is left out is silent shows that it was.
    let silent = expect.from == "TEE" && expect.absent && expect.line.is_none() && expect.regex.is_none();
    if !silent && !speakers(scenario).contains(&expect.from) {
        return mistake("from", nobody(&expect.from, scenario));
    }
    Ok(())
}

/// Says why a text is part of no line, or of every one.
pub(super) fn not_part_of_a_line(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is part of every line");
    }
    text.contains(char::is_control).then_some("no line has control characters: a tab is a space in them")
}

fn pattern(expect: &Expect) -> Result<(), Mistake> {
    if expect.line.is_some() && expect.regex.is_some() {
        return mistake("line", "an expectation has either a `line` or a `regex`");
    }
    if let Some(why) = expect.line.as_deref().and_then(not_part_of_a_line) {
        return mistake("line", format!("{why}; without `line` and `regex` any line meets an expectation"));
    }
    let regex = expect.regex.as_deref().map(Regex::new).transpose();
    let regex = regex.map_err(|error| ("regex", error.to_string()))?;
    if let Some(regex) = &regex {
        // A sample, but whoever meets both of these letters hardly asks for anything.
        let any = regex.is_match("") || ["x", "0"].iter().all(|line| regex.is_match(line));
        if any {
            let message =
                "it is found in lines that say nothing; without `line` and `regex` any line meets an expectation";
            return mistake("regex", message);
        }
    }
    if (expect.at_most.is_some() || expect.at_least.is_some()) && regex.is_none_or(|regex| regex.captures_len() < 2) {
        return mistake("regex", "`at-most` and `at-least` are about the first group of a `regex`");
    }
    for (key, bound) in [("at-most", expect.at_most), ("at-least", expect.at_least)] {
        if bound.is_some_and(|bound| !bound.is_finite()) {
            return mistake(key, "a bound is a number");
        }
    }
    match (expect.at_least, expect.at_most) {
        (Some(least), Some(most)) if least > most => {
            mistake("at-least", format!("no number is at least {least} and at most {most}"))
        }
        _ => Ok(()),
    }
}

fn combination(expect: &Expect, before: Option<&Expect>, scenario: &Scenario) -> Result<(), Mistake> {
    if expect.absent && (expect.count.is_some() || expect.at_most.is_some() || expect.at_least.is_some()) {
        return mistake("absent", "what is absent has no count and no bounds");
    }
    if expect.count == Some(0) {
        return mistake("count", "write `absent = true` for what must not be seen");
    }
    if let Some(name) = expect.on.iter().find(|name| !scenario.cpus().any(|cpu| model(cpu) == name.as_str())) {
        let models: Vec<_> = scenario.cpus().map(|cpu| model(cpu).to_owned()).collect();
        return mistake("on", format!("the scenario doesn't run on `{name}`, but on {}", listed(&models, "and")));
    }
    if !expect.in_order {
        return Ok(());
    }
    let Some(before) = before else { return mistake("in-order", "no expectation stands before it") };
    if before.absent {
        return mistake("in-order", "the expectation before it is `absent`: no line will meet it");
    }
    let everywhere = |expect: &Expect, cpu| expect.on.is_empty() || expect.on.iter().any(|name| name == model(cpu));
    match scenario.cpus().find(|cpu| everywhere(expect, cpu) && !everywhere(before, cpu)) {
        Some(cpu) => mistake("in-order", format!("the expectation before it does not count on {}", model(cpu))),
        None => Ok(()),
    }
}
