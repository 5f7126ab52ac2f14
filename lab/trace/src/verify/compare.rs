// SPDX-License-Identifier: MIT OR Apache-2.0
//! Goes through a trace and QEMU's log, side by side.

use super::log::{Line, Returned, Seen, Taken};
use crate::text::line;
use crate::{Entry, Trace};
use shared_abi::layout::MAX_CPUS;
use shared_abi::trace::{Event, Layer, World};
use std::fmt;

/// How many of either side a difference shows before and after it.
const CONTEXT: usize = 4;
/// Exception classes of calls (Arm ARM D24.2.40): HVC and SMC from AArch64.
const CALLS: [u64; 2] = [0x16, 0x17];

/// How much was found on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Exceptions taken to EL3.
    pub to_el3: usize,
    /// Returns from EL3.
    pub from_el3: usize,
    /// Exceptions taken to EL2 from a VM.
    pub to_el2: usize,
    /// Returns from EL2 into a VM.
    pub from_el2: usize,
}

impl Agreement {
    fn of(&mut self, layer: Layer, seen: &Seen) -> &mut usize {
        match (layer, seen) {
            (Layer::Monitor, Seen::Taken(_)) => &mut self.to_el3,
            (Layer::Monitor, Seen::Returned(_)) => &mut self.from_el3,
            (_, Seen::Taken(_)) => &mut self.to_el2,
            (_, Seen::Returned(_)) => &mut self.from_el2,
        }
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to_el3, from_el3, to_el2, from_el2 } = self;
        write!(f, "{to_el3} exceptions to EL3, {from_el3} returns from it; {to_el2} to EL2, {from_el2} from it")
    }
}

/// The first thing that one saw and the other didn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose records.
    pub layer: Layer,
    /// On which CPU.
    pub cpu: u8,
    /// What is wrong, in words.
    pub what: String,
    /// QEMU's log around it.
    pub log: Vec<String>,
    /// The trace around it.
    pub trace: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on CPU {}: {}", self.layer.name(), self.cpu, self.what)?;
        for (side, lines) in [("QEMU saw", &self.log), ("the trace says", &self.trace)] {
            writeln!(f, "{side}:")?;
            for line in lines {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

/// Compares the two. A machine is stopped wherever it is: on each CPU the last return may be told and not yet done, and
/// the last exception taken and not yet told.
pub fn compare(trace: &Trace, log: &[Line], hypervisor: bool) -> Result<Agreement, Box<Difference>> {
    let mut sides = Sides { trace, log, tracks: tracks(trace), levels: [3; MAX_CPUS], hypervisor };
    let mut agreement = Agreement::default();
    for (index, seen) in log.iter().enumerate() {
        if let Seen::Taken(Taken { cpu, to, .. }) = seen.seen
            && let Some(level) = sides.levels.get_mut(usize::from(cpu))
        {
            *level = to;
        }
        let layer = match (level(&seen.seen), hypervisor) {
            (3, _) => Layer::Monitor,
            (2, true) => Layer::Hypervisor,
            _ => {
                sides.pass_over(&seen.seen);
                continue;
            }
        };
        if sides.step(layer, index)? {
            *agreement.of(layer, &seen.seen) += 1;
        }
    }
    sides.finish()?;
    Ok(agreement)
}

/// Returns the level that takes an exception of a lower one, or returns to a lower one; 0 if no lower one is about.
fn level(seen: &Seen) -> u8 {
    let (lower, level) = match seen {
        Seen::Taken(taken) => (taken.from, taken.to),
        Seen::Returned(returned) => (returned.to, returned.from),
    };
    if lower < level { level } else { 0 }
}

/// The records of a layer on a CPU that the log has something for.
struct Track {
    layer: Layer,
    cpu: u8,
    /// Places in the trace.
    entries: Vec<usize>,
    /// How many were found in the log.
    matched: usize,
    /// The log's lines that they were found in.
    lines: Vec<usize>,
    /// A line of the log beyond the last record.
    beyond: Option<usize>,
}

impl Track {
    /// Says where in the trace the next record stands.
    fn next(&self) -> Option<usize> {
        self.entries.get(self.matched).copied()
    }
}

fn tracks(trace: &Trace) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    for layer in [Layer::Monitor, Layer::Hypervisor] {
        for cpu in 0..MAX_CPUS as u8 {
            let of = |(_, entry): &(usize, &Entry)| {
                entry.layer == layer && entry.cpu == cpu && is_passage(&entry.record.event)
            };
            let entries = trace.entries.iter().enumerate().filter(of).map(|(index, _)| index).collect();
            tracks.push(Track { layer, cpu, entries, matched: 0, lines: Vec::new(), beyond: None });
        }
    }
    tracks
}

/// Says whether an exception level is entered or left.
const fn is_passage(event: &Event) -> bool {
    is_entry(event)
        || matches!(
            event,
            Event::Answer { .. } | Event::WorldSwitch { .. } | Event::Resume { .. } | Event::Enter { .. }
        )
}

const fn is_entry(event: &Event) -> bool {
    matches!(event, Event::Call { .. } | Event::Interrupt { .. } | Event::Exit { .. })
}

struct Sides<'s> {
    trace: &'s Trace,
    log: &'s [Line],
    tracks: Vec<Track>,
    /// The exception level of each CPU, as far as the log says. Every CPU leaves reset at EL3.
    levels: [u8; MAX_CPUS],
    hypervisor: bool,
}

impl Sides<'_> {
    /// Takes a line of the log that no record is about.
    fn pass_over(&mut self, seen: &Seen) {
        // Without a hypervisor of ours nobody tells of EL2, but somebody is there.
        if let Seen::Returned(Returned { from: 2, to, .. }) = seen
            && !self.hypervisor
            && let Some(level) = self.levels.iter_mut().find(|level| **level == 2)
        {
            *level = *to;
        }
    }

    /// Takes a line that one of this layer's records is about; says whether it was found.
    fn step(&mut self, layer: Layer, index: usize) -> Result<bool, Box<Difference>> {
        let seen = &self.log[index].seen;
        let track = match seen {
            Seen::Taken(taken) => self.track(layer, taken.cpu),
            Seen::Returned(returned) => self.returning(layer, returned),
        };
        let Some(track) = track else { return Ok(false) };
        if matches!(seen, Seen::Taken(_)) {
            self.take_back(track);
        }
        if let Some(first) = self.tracks[track].beyond {
            return Err(self.difference(track, first, "QEMU saw what the layer did not tell"));
        }
        let Some(event) = self.next(track) else {
            self.tracks[track].beyond = Some(index);
            return Ok(false);
        };
        if let Err(what) = fits(seen, event) {
            return Err(self.difference(track, index, &what));
        }
        if let Seen::Returned(returned) = seen {
            self.levels[usize::from(self.tracks[track].cpu)] = returned.to;
        }
        let track = &mut self.tracks[track];
        track.matched += 1;
        track.lines.push(index);
        Ok(true)
    }

    fn track(&self, layer: Layer, cpu: u8) -> Option<usize> {
        self.tracks.iter().position(|track| track.layer == layer && track.cpu == cpu)
    }

    /// Returns the record that this CPU's side of the trace has next.
    fn next(&self, track: usize) -> Option<&Event> {
        self.tracks[track].next().map(|index| &self.trace.entries[index].record.event)
    }

    /// Finds the CPU that returns: one that is at the level that is left, if possible one whose record says the same.
    fn returning(&self, layer: Layer, returned: &Returned) -> Option<usize> {
        let there = |track: &usize| {
            let track = &self.tracks[*track];
            track.layer == layer && self.levels[usize::from(track.cpu)] == returned.from
        };
        let mut candidates: Vec<_> = (0..self.tracks.len()).filter(there).collect();
        // Guests begin at the same address. Both sides are in order of time, so the CPU that tells of it first did it
        // first.
        candidates.sort_by_key(|track| self.tracks[*track].next().unwrap_or(usize::MAX));
        let says_so =
            |track: &&usize| self.next(**track).is_some_and(|event| fits(&Seen::Returned(*returned), event).is_ok());
        // Else one that is expected to leave, so that a difference names the CPU that it most likely is about.
        let leaves = |track: &&usize| self.next(**track).is_some_and(|event| !is_entry(event));
        candidates.iter().find(says_so).or_else(|| candidates.iter().find(leaves)).or(candidates.first()).copied()
    }

    /// Takes it that a CPU which takes an exception did return before. If the log's last return to that place was
    /// thought to be another CPU's, which was to go there too, that one has yet to.
    fn take_back(&mut self, track: usize) {
        let Some(event) = self.next(track).filter(|event| !is_entry(event)) else { return };
        let layer = self.tracks[track].layer;
        let fitting = |other: &Track| {
            let line = *other.lines.last()?;
            let Seen::Returned(returned) = self.log[line].seen else { return None };
            let there = self.levels[usize::from(other.cpu)] == returned.to;
            (other.layer == layer && there && fits_returned(&returned, event).is_ok()).then_some((line, returned))
        };
        let found = self.tracks.iter().enumerate().find_map(|(index, other)| Some((index, fitting(other)?)));
        if let Some((index, (line, returned))) = found.filter(|(index, _)| *index != track) {
            let other = &mut self.tracks[index];
            other.matched -= 1;
            other.lines.pop();
            self.levels[usize::from(other.cpu)] = returned.from;
            self.tracks[track].matched += 1;
            self.tracks[track].lines.push(line);
        }
    }

    /// Ends the comparison at the log's end: what the trace has beyond it is a difference.
    fn finish(&self) -> Result<(), Box<Difference>> {
        for (index, track) in self.tracks.iter().enumerate() {
            if !self.hypervisor && track.layer == Layer::Hypervisor && !track.entries.is_empty() {
                return Err(self.difference(index, self.log.len(), "a hypervisor tells of itself, and there is none"));
            }
            let left = track.entries.len() - track.matched;
            let told_and_not_done = left == 1 && self.next(index).is_some_and(|event| !is_entry(event));
            if left > 0 && !told_and_not_done {
                return Err(self.difference(index, self.log.len(), "the layer tells what QEMU did not see"));
            }
            let taken = |line: usize| matches!(self.log[line].seen, Seen::Taken(_));
            if let Some(line) = track.beyond
                && !taken(line)
            {
                return Err(self.difference(index, line, "QEMU saw what the layer did not tell"));
            }
        }
        Ok(())
    }

    fn difference(&self, track: usize, at: usize, what: &str) -> Box<Difference> {
        let track = &self.tracks[track];
        let about = |line: &&Line| match &line.seen {
            Seen::Taken(taken) => taken.cpu == track.cpu && taken.to >= 2,
            Seen::Returned(returned) => returned.from >= 2,
        };
        let before: Vec<_> = self.log[..at].iter().rev().filter(about).take(CONTEXT).collect();
        let after = self.log[at..].iter().filter(about).take(CONTEXT).enumerate();
        let mut log: Vec<_> = before.into_iter().rev().map(|line| format!("  {line}")).collect();
        log.extend(after.map(|(n, line)| format!("{} {line}", if n == 0 { '>' } else { ' ' })));
        let shown = track.matched.saturating_sub(CONTEXT)..(track.matched + CONTEXT).min(track.entries.len());
        let trace = shown
            .map(|n| {
                let mark = if n == track.matched { '>' } else { ' ' };
                format!("{mark} {}", line(&self.trace.entries[track.entries[n]]))
            })
            .collect();
        Box::new(Difference { layer: track.layer, cpu: track.cpu, what: what.to_owned(), log, trace })
    }
}

/// Checks that a record tells what QEMU saw; says what is wrong otherwise.
fn fits(seen: &Seen, event: &Event) -> Result<(), String> {
    match seen {
        Seen::Taken(taken) => fits_taken(taken, event),
        Seen::Returned(returned) => fits_returned(returned, event),
    }
}

fn fits_taken(taken: &Taken, event: &Event) -> Result<(), String> {
    let class = taken.esr.map(|esr| esr >> 26 & 0x3F);
    let interrupt = ["IRQ", "FIQ"].contains(&taken.name.as_str());
    let call = !interrupt && class.is_some_and(|class| CALLS.contains(&class));
    let pc = match event {
        Event::Call { .. } if call => None,
        Event::Interrupt { pc, .. } if interrupt => Some(*pc),
        Event::Exit { pc, esr, .. } if !call && !interrupt => {
            if taken.esr.is_some_and(|seen| seen != *esr & 0xFFFF_FFFF) {
                return Err(format!("the exception's syndrome is {:#x}", taken.esr.unwrap_or_default()));
            }
            Some(*pc)
        }
        _ => return Err(format!("QEMU saw {}, the layer tells of something else", taken.name)),
    };
    match (pc, taken.elr) {
        (Some(pc), Some(elr)) if pc != elr => Err(format!("the exception came at {elr:#x}")),
        _ => Ok(()),
    }
}

fn fits_returned(returned: &Returned, event: &Event) -> Result<(), String> {
    let (pc, to) = match event {
        Event::Answer { to, pc, .. } | Event::WorldSwitch { to, pc, .. } | Event::Resume { to, pc } => (*pc, Some(*to)),
        Event::Enter { pc, .. } => (*pc, None),
        _ => return Err("QEMU saw a return, the layer tells of something else".to_owned()),
    };
    if pc != 0 && pc != returned.pc {
        return Err(format!("QEMU saw a return to {:#x}", returned.pc));
    }
    // Only the TEE is at S-EL1; the normal world may be anywhere below EL3.
    if returned.from == 3 && to == Some(World::Secure) && returned.to > 1 {
        return Err(format!("QEMU saw a return to EL{}, which is not the TEE", returned.to));
    }
    Ok(())
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.number)?;
        match &self.seen {
            Seen::Taken(Taken { cpu, name, from, to, esr, elr }) => {
                write!(f, "CPU {cpu}: {name} from EL{from} to EL{to}")?;
                if let Some(esr) = esr {
                    write!(f, ", ESR {esr:#x}")?;
                }
                if let Some(elr) = elr {
                    write!(f, ", ELR {elr:#x}")?;
                }
                Ok(())
            }
            Seen::Returned(Returned { from, to, pc }) => write!(f, "return from EL{from} to EL{to} at {pc:#x}"),
        }
    }
}

#[cfg(test)]
mod tests;
