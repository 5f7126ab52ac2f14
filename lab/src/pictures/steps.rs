// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records of a trace, one below the other: at which level the CPU went on, and for how many instructions.

use super::svg::{Drawing, WIDTH, room, wrapped};
use anyhow::{Result, ensure};
use lab_report::story::names;
use lab_report::story::{Caller, LEVELS, Outcome, Place, Request, Story, level};
use lab_trace::{Entry, Trace};
use shared_abi::optee_smc::OPTEE_SMC_VM_CREATED;
use shared_abi::smccc::FunctionId;
use shared_abi::trace::{Event, Layer, World};

/// Width of a level's lane, and height of a line of a record's row.
const LANE: u32 = 28;
const LINE: u32 = 15;
/// The most lines of a row.
const MOST: usize = 4;
/// Where texts begin, where they end, and the room for a number at the end of their first line.
const TEXTS: u32 = 10 + LANE * LEVELS.len() as u32;
const END: u32 = WIDTH - 12;
const NUMBER: u32 = 52;
const CLASSES: [&str; LEVELS.len()] = ["vm", "el2", "el3", "tee"];

/// A record and what the CPU did after it.
struct Row {
    text: String,
    bad: bool,
    place: Place,
    ticks: u64,
}

/// Draws the calls of a trace with these names, each the next one of its name after the call before.
pub(super) fn calls(trace: &Trace, names: &[&str]) -> Result<Drawing> {
    let story = Story::of(trace, |_| {});
    let mut from = 0;
    let mut drawing = Lanes::default();
    for name in names {
        let found = story
            .calls
            .iter()
            .find(|call| call.begin >= from && !call.steps.is_empty() && call.request.name() == *name);
        ensure!(found.is_some(), "there is no further call of {name} in the trace");
        let Some(call) = found else { continue };
        from = call.end.max(call.begin + 1);
        let steps = call.steps.iter().map(|step| row(&step.entry, Some(call.request), step.place, step.ticks));
        let (who, place) = caller(call.caller);
        let said = |text: String| Row { text, bad: false, place, ticks: 0 };
        let end = matches!(call.outcome, Outcome::Answered(_)).then(|| said(format!("{who} goes on")));
        let total = format!("{}: {} instructions, {}", call.title(), call.total(), call.outcome_words());
        drawing.group(&total, std::iter::once(said(format!("{who} calls"))).chain(steps).chain(end));
    }
    Ok(drawing.drawing)
}

/// Says who calls, and where that is. In the hypervisor's place is the probe, which writes no records.
fn caller(caller: Caller) -> (String, Place) {
    match caller {
        Caller::Vm(id) => (format!("vm{id}"), Place::Vm(id)),
        Caller::Hypervisor => ("the hypervisor".into(), Place::El2),
        Caller::NormalWorld(_) => ("the probe".into(), Place::El2),
        Caller::Monitor => ("the monitor".into(), Place::El3),
    }
}

/// Draws what happened before the normal world's first call: layers begin, and the TEE is entered.
pub(super) fn boot(trace: &Trace) -> Drawing {
    let mut stretches = Vec::new();
    Story::of(trace, |stretch| stretches.push(*stretch));
    let first = |entry: &Entry| matches!(entry.record.event, Event::Call { from: World::Normal, .. });
    let end = trace.entries.iter().position(first).unwrap_or(trace.entries.len());
    let wanted = |entry: &&Entry| entry.cpu == 0 && !matches!(entry.record.event, Event::Calibration { .. });
    let rows = trace.entries[..end].iter().filter(wanted).map(|entry| {
        let after = stretches.iter().find(|stretch| stretch.cpu == 0 && stretch.begin == entry.record.time);
        let begins = match entry.layer {
            Layer::Monitor => Place::El3,
            Layer::Tee => Place::Tee,
            Layer::Hypervisor => Place::El2,
        };
        let (place, ticks) = after.map_or((begins, 0), |stretch| (stretch.place, stretch.ticks));
        row(entry, None, if place == Place::Unknown { begins } else { place }, ticks)
    });
    let mut drawing = Lanes::default();
    drawing.group("from the runtime's first record to the normal world's first call", rows);
    drawing.drawing
}

fn row(entry: &Entry, asked: Option<Request>, place: Place, ticks: u64) -> Row {
    let text = match entry.record.event {
        // The list is the point of the picture that has one.
        Event::FreeBlock { index, address, next, previous, .. } => {
            let what = if index == 0 { "the list's head".to_owned() } else { format!("block {index} of it") };
            let link = |to: u64| match to {
                0 => "0".to_owned(),
                _ if to == address => "itself".to_owned(),
                // All of them begin with the same 32 bits.
                _ => format!("..{:08x}", to as u32),
            };
            format!("{what}, ..{:08x}: flink {}, blink {}", address as u32, link(next), link(previous))
        }
        Event::Memory { base, .. } => format!("{} at {base:#x}", names::title(entry, asked)),
        Event::Call { x, .. } => format!("{}{}", names::title(entry, asked), arguments(&x)),
        _ => names::title(entry, asked),
    };
    let bad = matches!(entry.record.event, Event::Panic { .. } | Event::Refused { .. });
    Row { text, bad, place, ticks }
}

/// Writes x1 and x7 of a call, as far as they say something.
fn arguments(x: &[u64; 8]) -> String {
    // Of a VM that is created, 0 says something too.
    let all = FunctionId(x[0] as u32) == OPTEE_SMC_VM_CREATED;
    [1, 7].into_iter().filter(|n| all || x[*n] != 0 && x[*n] < 1 << 32).map(|n| format!(" x{n}={:#x}", x[n])).collect()
}

/// The levels side by side, rows below each other.
#[derive(Default)]
struct Lanes {
    drawing: Drawing,
    y: u32,
}

impl Lanes {
    fn group(&mut self, title: &str, rows: impl Iterator<Item = Row>) {
        if self.y == 0 {
            for (n, name) in LEVELS.iter().enumerate() {
                self.drawing.text(6 + LANE * n as u32, 16, "dim", name);
            }
            self.y = 24;
        }
        self.y += 6;
        for line in wrapped(title, room(6, END), room(6, END)) {
            self.y += LINE;
            self.drawing.text(6, self.y, "head", line);
        }
        self.y += 6;
        let top = self.y;
        let mut last: Option<u32> = None;
        for row in rows {
            let first = if row.ticks == 0 { END } else { END - NUMBER };
            let mut lines = wrapped(&row.text, room(TEXTS, first), room(TEXTS, END));
            if lines.len() > MOST {
                lines.truncate(MOST);
                lines[MOST - 1].push('…');
            }
            let height = LINE * lines.len() as u32 + 4;
            if let Some(lane) = level(row.place) {
                let x = 6 + LANE * lane as u32;
                if let Some(last) = last.filter(|last| *last != x) {
                    let middle = LANE / 2 - 3;
                    self.drawing.line((last + middle, self.y + 1), (x + middle, self.y + 1), "");
                }
                self.drawing.bar(x, self.y + 2, LANE - 6, height - 3, CLASSES[lane]);
                last = Some(x);
            }
            if row.ticks != 0 {
                self.drawing.text_to(END, self.y + 14, "dim", row.ticks);
            }
            for (n, line) in lines.iter().enumerate() {
                self.drawing.text(TEXTS, self.y + 14 + LINE * n as u32, if row.bad { "bad" } else { "" }, line);
            }
            self.y += height;
        }
        for n in 0..=LEVELS.len() as u32 {
            let x = 3 + LANE * n;
            self.drawing.line((x, top), (x, self.y), "lane");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_report::sample::Sample;

    #[test]
    fn calls_are_drawn_in_their_order_and_missing_ones_are_named() {
        let trace = Sample::new().trace();
        assert!(calls(&trace, &["SMCCC_VERSION"]).is_err());
        let svg = boot(&trace).finish("boot");
        assert!(svg.contains("EL3 begins") && svg.contains("TEE begins"), "{svg}");
    }
}
