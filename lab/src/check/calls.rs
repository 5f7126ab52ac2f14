//! What a script says, before any machine has played it.

use crate::probe::source::{Number, RawStep, RawSteps, Value};
use crate::probe::{Ram, numbers};
use crate::scenario::Scenario;
use shared_abi::smccc::FunctionId;

/// Every step of a scenario, with those inside loops and in lists.
pub fn steps(scenario: &Scenario) -> Vec<&RawStep> {
    let mut all = Vec::new();
    for steps in scenario.lists.values().chain([&scenario.steps]) {
        descend(steps, &mut all);
    }
    all
}

fn descend<'s>(steps: &'s RawSteps, all: &mut Vec<&'s RawStep>) {
    for step in steps {
        all.push(step.get_ref());
        descend(&step.get_ref().steps, all);
    }
}

/// A value that is a number or the name of one; not one that only the machine can work out.
pub fn constant(value: &Number) -> Option<u64> {
    match value.get_ref() {
        Value::Number(number) => Some(*number as u64),
        Value::Text(text) => {
            let known = numbers(Ram { base: 0, end: 0 }).find(|(name, _)| name == text).map(|(_, number)| number);
            known.or_else(|| literal(text))
        }
    }
}

fn literal(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// The steps that call this function by SMC.
pub fn calling(scenario: &Scenario, function: FunctionId) -> Vec<&RawStep> {
    let calls = |step: &&RawStep| step.smc.as_ref().and_then(constant) == Some(u64::from(function.0));
    steps(scenario).into_iter().filter(calls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::psci::PSCI_VERSION;
    use std::path::Path;

    #[test]
    fn calls_are_found_by_name_and_by_number_however_deep() {
        let text = "name = 'x'\nsummary = ''\n[chain]\nnormal-world = 'probe'\n[[step]]\nsmc = 'PSCI_VERSION'\n\
                    [[step]]\nplay = 'more'\n[[steps.more]]\nloop = 2\nsteps = [{ smc = 0x8400_0000 }, { smc = 1 }]\n";
        let scenario = Scenario::parse(text, Path::new("x.toml")).unwrap();
        assert_eq!(calling(&scenario, PSCI_VERSION).len(), 2);
        assert_eq!((literal("0x1_0000"), literal("12"), literal("x0")), (Some(0x1_0000), Some(12), None));
    }
}
