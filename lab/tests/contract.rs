// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest contract on each CPU model, with 1 to 8 CPUs, alone and beside a noisy VM: `cortex-a57::2::noise`.
//!
//! The last test says which known faults are none any more: their entries in `images/contract/known-faults.toml` go.

use anyhow::{Result, anyhow};
use lab::contract::compare::{Comparison, compare};
use lab::contract::lists::Lists;
use lab::contract::said::Said;
use lab::contract::{CPUS, Place, as_guest, kit, on_plain};
use lab_run::prepare::Kit;
use lab_run::progress::Progress;
use lab_run::workspace::Workspace;
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock, PoisonError};

/// How many CPUs, and whether beside noise.
const PLACES: [(u32, bool); 8] =
    [(1, false), (2, false), (4, false), (8, false), (1, true), (2, true), (4, true), (8, true)];

/// Lists what is looked at. Beside noise no CPU rests and the seconds of a clock are dear, so it is looked at in one
/// place.
fn topics(place: &Place) -> Vec<String> {
    let dear = place.beside_noise && place.cpus != 2;
    dear.then(|| "-pl031".to_owned()).into_iter().collect()
}

/// The places that have been judged so far, and the checks that failed there as known.
static JUDGED: Mutex<(usize, BTreeSet<String>)> = Mutex::new((0, BTreeSet::new()));

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // In order, so that the last one knows what became of the others.
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for cpu in CPUS {
        for (cpus, beside_noise) in PLACES {
            let place = Place { cpu: cpu.into(), cpus, beside_noise };
            trials.push(Trial::test(place.name(), move || judge(&place)));
        }
    }
    trials.push(Trial::test("known-faults-are-faults", faults));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn judge(place: &Place) -> Result<(), Failed> {
    let result = look(place).map_err(|error| Failed::from(format!("{error:#}")))?;
    let mut judged = JUDGED.lock().unwrap_or_else(PoisonError::into_inner);
    judged.0 += 1;
    judged.1.extend(result.known.iter().cloned());
    if result.passed() { Ok(()) } else { Err(Failed::from(result.complaints)) }
}

fn look(place: &Place) -> Result<Comparison> {
    static KIT: OnceLock<Result<Kit, String>> = OnceLock::new();
    let workspace = Workspace::locate()?;
    let build = || kit(&workspace, &Progress::silent()).map_err(|error| format!("{error:#}"));
    let kit = KIT.get_or_init(build).as_ref().map_err(|error| anyhow!("{error}"))?;
    let topics = topics(place);
    let guest = as_guest(&workspace, kit, place, &topics)?;
    Ok(compare(&plain(&workspace, kit, place, &topics)?, &guest, &Lists::read(&workspace.contract())?, place))
}

/// Returns what plain QEMU says, which does not depend on who else there is.
fn plain(workspace: &Workspace, kit: &Kit, place: &Place, topics: &[String]) -> Result<Said> {
    static SAID: Mutex<BTreeMap<(Place, Vec<String>), Said>> = Mutex::new(BTreeMap::new());
    let key = (Place { beside_noise: false, ..place.clone() }, topics.to_vec());
    let mut known = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(said) = known.get(&key) {
        return Ok(said.clone());
    }
    let said = on_plain(workspace, kit, &key.0, topics)?;
    known.insert(key, said.clone());
    Ok(said)
}

/// Checks that every known fault failed somewhere. Says nothing where a filter has left places out.
fn faults() -> Result<(), Failed> {
    let judged = JUDGED.lock().unwrap_or_else(PoisonError::into_inner);
    if judged.0 != CPUS.len() * PLACES.len() {
        return Ok(());
    }
    let lists = Workspace::locate().and_then(|workspace| Lists::read(&workspace.contract()));
    let lists = lists.map_err(|error| Failed::from(format!("{error:#}")))?;
    let mended: Vec<_> = lists.faults.iter().filter(|fault| !judged.1.contains(&fault.check)).collect();
    if mended.is_empty() {
        return Ok(());
    }
    let list: String = mended.iter().map(|fault| format!("\n  {} ({})", fault.check, fault.point)).collect();
    Err(Failed::from(format!("no fault any more: take them out of images/contract/known-faults.toml{list}")))
}
