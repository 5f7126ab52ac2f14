// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is typed: to whom, and after what.

use super::expects::{nobody, not_part_of_a_line, speakers};
use super::{Mistake, listed, mistake};
use crate::console::FOREIGN;
use crate::scenario::error::Fault;
use crate::scenario::tables::{Scenario, Send};

/// The hypervisor's escape: Ctrl-A.
const ESCAPE: char = '\u{1}';
/// The longest text that is typed at once.
const LONGEST: usize = 64 << 10;

pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    for (index, send) in scenario.sends.iter().enumerate() {
        if let Err((key, message)) = one(send, scenario) {
            return Err(Fault { table: "[[send]]", index, key, message });
        }
    }
    Ok(())
}

fn one(send: &Send, scenario: &Scenario) -> Result<(), Mistake> {
    let foreign = scenario.chain.normal_world.is_foreign();
    let vms = (0..scenario.vms.len()).filter(|_| !foreign).map(|vm| scenario.console(vm));
    let consoles: Vec<_> = vms.chain(foreign.then(|| FOREIGN.to_owned())).collect();
    if !consoles.contains(&send.to) {
        return mistake("to", format!("there is no VM `{}`, but {}", send.to, listed(&consoles, "and")));
    }
    if let Some(from) = send.from.as_ref().filter(|from| !speakers(scenario).contains(from)) {
        return mistake("from", nobody(from, scenario));
    }
    if let Some(why) = not_part_of_a_line(&send.after) {
        return mistake("after", format!("{why}; name the line, or the prompt, to wait for"));
    }
    if send.text.contains(ESCAPE) {
        return mistake("text", "Ctrl-A is for the hypervisor, which then takes the next key itself");
    }
    if send.times == 0 || send.text.len().saturating_mul(send.times) > LONGEST {
        return mistake("times", format!("{} times; once or more, and {LONGEST} bytes at most", send.times));
    }
    Ok(())
}
