// SPDX-License-Identifier: MIT OR Apache-2.0
//! Goes through a whole script before anything of it is played.

use super::step::{Action, Assignment, Call, Step};
use super::wire::{Damage, List};
use super::{ARENA, BARRIERS, NESTING, SAMPLES, Script, Steps, VARIABLES};
use shared_abi::layout::MAX_CPUS;

/// Says whether every record can be read, and every number in them means something.
pub(super) fn check(script: &Script<'_>) -> Result<(), Damage> {
    let mut files = 0;
    for file in script.files.records() {
        file?;
        files += 1;
    }
    let mut variables = 0;
    for name in script.variables.records() {
        name?;
        variables += 1;
    }
    if variables > VARIABLES {
        return Err(Damage::TooMany("variables"));
    }
    if script.arena > ARENA {
        return Err(Damage::TooMany("bytes of buffers"));
    }
    let lists = script.lists.records().try_fold(0, |count, list| list.map(|_| count + 1))?;
    let bounds = Bounds { files, lists };
    for list in script.lists.iter() {
        bounds.steps(list, NESTING)?;
    }
    if lists == 0 { Err(Damage::Truncated) } else { Ok(()) }
}

struct Bounds {
    files: usize,
    lists: usize,
}

impl Bounds {
    fn steps(&self, steps: Steps<'_>, nesting: usize) -> Result<(), Damage> {
        for step in steps.records() {
            self.step(&step?, nesting)?;
        }
        Ok(())
    }

    fn step(&self, step: &Step<'_>, nesting: usize) -> Result<(), Damage> {
        if usize::from(step.file) >= self.files {
            return Err(Damage::Unknown("file", step.file.into()));
        }
        assignments(step.sets)?;
        assignments(step.keeps)?;
        for write in step.writes.records() {
            write?.items.records().try_for_each(|item| item.map(|_| ()))?;
        }
        step.checks.records().try_for_each(|check| check.map(|_| ()))?;
        match step.action {
            Action::Call(call) => arguments(&call),
            Action::Measure { samples, call, .. } => {
                if samples == 0 || usize::from(samples) > SAMPLES {
                    return Err(Damage::Unknown("number of samples", samples.into()));
                }
                arguments(&call)
            }
            Action::Start { list, .. } | Action::Play(list) if usize::from(list) >= self.lists => {
                Err(Damage::Unknown("list", list.into()))
            }
            Action::Barrier { barrier, .. } if usize::from(barrier) >= BARRIERS => {
                Err(Damage::Unknown("barrier", barrier.into()))
            }
            Action::Barrier { cpus, .. } if !(1..=MAX_CPUS).contains(&cpus.into()) => {
                Err(Damage::Unknown("number of CPUs", cpus.into()))
            }
            Action::Loop(body) => {
                if let Some(variable) = body.variable {
                    known(variable)?;
                }
                let nesting = nesting.checked_sub(1).ok_or(Damage::TooMany("loops inside each other"))?;
                self.steps(body.body, nesting)
            }
            _ => Ok(()),
        }
    }
}

fn arguments(call: &Call<'_>) -> Result<(), Damage> {
    call.arguments.records().try_for_each(|argument| match argument?.register {
        0..=28 => Ok(()),
        other => Err(Damage::Unknown("register for an argument", other.into())),
    })
}

fn assignments(list: List<'_, Assignment<'_>>) -> Result<(), Damage> {
    list.records().try_for_each(|assignment| known(assignment?.variable))
}

const fn known(variable: u8) -> Result<(), Damage> {
    if (variable as usize) < VARIABLES { Ok(()) } else { Err(Damage::Unknown("variable", variable as u32)) }
}
