// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the page draws, as JSON. `lab/report/page/*.js` reads it.

use super::fields;
use super::kept::Kept;
use super::story::call::{Call, Caller, Mood, Outcome, Step};
use super::story::crash::{FreeList, Panic};
use super::story::names;
use super::story::vm::{Vm, VmChange};
use super::story::{LEVELS, Story, level};
use super::strings::Strings;
use lab_trace::Trace;
use serde_json::{Value, json};
use shared_abi::trace::event::VmState;
use shared_abi::trace::{Event, Layer};

/// Lines of the console that are kept: the first and the last ones.
const MOST_LINES: usize = 6000;
/// Calls of a panic's path.
const PATH: usize = 6;
/// Lines that a layer says around its panic.
const LAST_WORDS: usize = 4;

/// Gathers everything that the page shows.
pub(crate) fn data(kept: &Kept, trace: &Trace, story: &Story) -> Value {
    let mut strings = Strings::default();
    let (begin, end) = story.span.unwrap_or((0, 1));
    let normal = if kept.probe { "probe" } else { "hypervisor" };
    // Exits come behind the calls: a panic's path names calls by their place.
    let calls: Vec<Value> = story.calls.iter().chain(&story.exits).map(|c| call(c, normal, &mut strings)).collect();
    let vms: Vec<Value> =
        story.vms.iter().filter(|(id, vm)| is_shown(**id, vm)).map(|(id, vm)| self::vm(*id, vm, kept)).collect();
    let lists: Vec<Value> = story.crash.lists.iter().map(list).collect();
    let panics: Vec<Value> = story.crash.panics.iter().map(|p| panic(p, kept, story)).collect();
    let half = MOST_LINES / 2;
    let left_out = kept.lines.len().saturating_sub(MOST_LINES);
    let line = |line: &lab_run::console::Line| json!([line.speaker, line.text]);
    let console: Vec<Value> = if left_out == 0 {
        kept.lines.iter().map(line).collect()
    } else {
        kept.lines[..half].iter().chain(&kept.lines[kept.lines.len() - half..]).map(line).collect()
    };
    let (texts, fields) = strings.into_tables();
    json!({
        "name": kept.name,
        "summary": kept.summary,
        "verdict": kept.verdict(),
        "facts": facts(kept, trace, story),
        "expectations": kept.verdicts.iter()
            .map(|v| json!({"holds": v.holds, "claim": v.claim, "evidence": v.evidence})).collect::<Vec<_>>(),
        "instructions": trace.instructions,
        "frequency": trace.frequency,
        "begin": begin,
        "end": end.max(begin + 1),
        "normal": normal,
        "levels": LEVELS,
        "who": ["VMs", normal, "monitor", "TEE"],
        "layers": Layer::ALL.map(|layer| json!({
            "name": layer.name(),
            "at": layer.exception_level(),
            "level": level(super::story::Place::of(layer)),
        })),
        "calls": calls,
        "first": first(story),
        "vms": vms,
        "memory": {
            "changes": story.memory.changes.iter()
                .map(|c| json!([c.time, c.owner as u8, c.vm, c.base, c.size, c.ipa])).collect::<Vec<_>>(),
            "more": story.memory.more,
        },
        "panics": panics,
        "lists": lists,
        "console": console,
        "consoleMore": left_out,
        "measured": measured(trace, story, normal),
        "strings": texts,
        "fields": fields,
    })
}

/// Says whether somebody is worth a card: the hypervisor only where the TEE made a VM of it.
fn is_shown(id: u16, vm: &Vm) -> bool {
    let made = vm.changes.iter().any(|(_, change)| matches!(change, VmChange::PartitionMade(_)));
    made || (id != 0 && (!vm.changes.is_empty() || !vm.exits.is_empty() || vm.calls > 0))
}

fn facts(kept: &Kept, trace: &Trace, story: &Story) -> Vec<[String; 2]> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| facts.push([name.to_owned(), value]);
    let cpus = if kept.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", kept.cpus) };
    add("Machine", format!("{cpus}, {}", kept.cpu));
    if !kept.tee.is_empty() {
        add("TEE", kept.tee.clone());
    }
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let calls = story.calls.len() + story.minor.values().map(|left| left.calls as usize).sum::<usize>();
    add("Calls", count(calls, "call"));
    add("Records", count(trace.entries.len(), "record"));
    for (name, version) in &kept.versions {
        add(name, version.clone());
    }
    facts
}

/// Chooses the call that is shown first: the one that a layer died of, else the first of a VM with a message to the
/// TEE, which crosses every level and finds its partition.
fn first(story: &Story) -> usize {
    let position = |wanted: &dyn Fn(&Call) -> bool| story.calls.iter().position(wanted);
    let by_vm = |call: &Call| matches!(call.caller, Caller::Vm(_)) && call.ticks[3] > 0;
    position(&|call| call.mood() == Mood::Fatal)
        .or_else(|| position(&|call| by_vm(call) && call.message.is_some()))
        .or_else(|| position(&by_vm))
        .or_else(|| position(&|call| call.ticks[3] > 0))
        .unwrap_or(0)
}

fn caller(of: Caller, normal: &str) -> String {
    match of {
        Caller::Vm(id) => format!("vm{id}"),
        Caller::Hypervisor => "hypervisor".into(),
        Caller::NormalWorld(0) => normal.into(),
        Caller::NormalWorld(alleged) => format!("{normal} as {alleged}"),
        Caller::Monitor => "EL3".into(),
    }
}

const fn mood(of: Mood) -> &'static str {
    match of {
        Mood::Good => "good",
        Mood::Waiting => "wait",
        Mood::Bad => "bad",
        Mood::Fatal => "fatal",
    }
}

fn call(call: &Call, normal: &str, strings: &mut Strings) -> Value {
    let (who, title, outcome) = (caller(call.caller, normal), call.title(), call.outcome_words());
    let refusals: Vec<_> = call
        .refusals
        .iter()
        .map(|(layer, reason, value)| format!("{} refuses: {reason} ({value:#x})", layer.name()))
        .collect();
    let vm = match call.caller {
        Caller::Vm(id) => Some(id),
        _ => None,
    };
    json!({
        "cpu": call.cpu,
        "exit": call.request.is_exit(),
        "caller": who,
        "vm": vm,
        "title": title,
        "argument": argument(call),
        "search": format!("{who} {title} {outcome} {}", refusals.join(" ")).to_lowercase(),
        "mood": mood(call.mood()),
        "outcome": outcome,
        "answered": matches!(call.outcome, Outcome::Answered(_) | Outcome::Left),
        "refusals": refusals,
        "begin": call.begin,
        "end": call.end,
        "total": call.total(),
        "ticks": call.ticks,
        "more": call.more,
        "steps": call.steps.iter().map(|s| step(s, call, strings)).collect::<Vec<_>>(),
    })
}

/// Names the arguments that tell one VM_CREATED from another.
fn argument(call: &Call) -> String {
    use shared_abi::optee_smc::{OPTEE_SMC_VM_CREATED, OPTEE_SMC_VM_DESTROYED};
    let x = call.steps.first().and_then(|step| match step.entry.record.event {
        Event::Call { x, .. } | Event::Send { x } => Some(x),
        _ => None,
    });
    match x {
        Some(x) if [OPTEE_SMC_VM_CREATED.0, OPTEE_SMC_VM_DESTROYED.0].contains(&(x[0] as u32)) => {
            format!("a1 = {:#x}, a7 = {:#x}", x[1], x[7])
        }
        _ => String::new(),
    }
}

/// Packs a record as the page's script reads it: level, ticks, elsewhere, layer, time, title, client, sequence, kind,
/// fields …
fn step(step: &Step, call: &Call, strings: &mut Strings) -> Value {
    let record = &step.entry.record;
    let kind = match record.event {
        Event::Refused { .. } => 1,
        Event::Panic { .. } => 2,
        Event::FreeBlock { .. } => 3,
        _ => 0,
    };
    let mut parts: Vec<Value> = vec![
        level(step.place).map_or(json!(-1), |level| json!(level)),
        json!(step.ticks),
        json!(step.elsewhere),
        json!(step.entry.layer as u8),
        json!(record.time),
        json!(strings.text(&names::title(&step.entry, Some(call.request)))),
        json!(strings.text(&names::client(record.client))),
        json!(record.sequence),
        json!(kind),
    ];
    parts.extend(fields::fields(&step.entry, Some(call.request)).iter().map(|field| json!(strings.field(field))));
    Value::Array(parts)
}

fn vm(id: u16, vm: &Vm, kept: &Kept) -> Value {
    let known = kept.vms.iter().find(|vm| vm.id == id);
    let name = match (known, id) {
        (Some(known), _) if known.name != format!("vm{id}") => format!("vm{id} {}", known.name),
        (None, 0) => "VM 0".into(),
        _ => format!("vm{id}"),
    };
    let mut exits: Vec<_> = vm.exits.iter().collect();
    exits.sort_by_key(|(_, count)| std::cmp::Reverse((count.times, count.ticks)));
    let mut interrupts: Vec<_> = vm.interrupts.iter().collect();
    interrupts.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    let change = |(time, change): &(u64, VmChange)| {
        let kind = match change {
            VmChange::State(VmState::Made) => "made",
            VmChange::State(VmState::Running) => "running",
            VmChange::State(VmState::Reset) => "reset",
            VmChange::State(VmState::Off | VmState::Crashed) => "over",
            VmChange::PartitionMade(_) => "partition",
            VmChange::PartitionEnds(_) => "ends",
            VmChange::PartitionGone(_) => "gone",
        };
        json!([time, change.words(), kind])
    };
    json!({
        "id": id,
        "name": name,
        "kernel": known.map_or("", |known| known.kernel.as_str()),
        "changes": vm.changes.iter().map(change).collect::<Vec<_>>(),
        "heap": vm.heap.iter()
            .map(|(time, heap)| json!([time, heap.map(|heap| [heap.used, heap.peak, heap.size])])).collect::<Vec<_>>(),
        "shared": vm.shared,
        "exits": exits.iter().map(|(name, count)| json!([name, count.times, count.ticks])).collect::<Vec<_>>(),
        "interrupts": interrupts.iter()
            .map(|(intid, times)| json!([intid, names::interrupt(**intid), times])).collect::<Vec<_>>(),
        "ticks": vm.ticks,
        "calls": vm.calls,
        "refusals": vm.refusals,
    })
}

fn list(list: &FreeList) -> Value {
    let hex = |value: u64| format!("{value:#x}");
    json!({
        "time": list.time,
        "verdict": list.verdict(),
        "blocks": list.blocks.iter().map(|block| json!({
            "address": hex(block.address), "size": hex(block.size),
            "next": hex(block.next), "previous": hex(block.previous),
        })).collect::<Vec<_>>(),
        "defects": list.defects().iter().map(|defect| json!({
            "from": defect.from, "forward": defect.forward, "to": hex(defect.to), "back": defect.back.map(hex),
        })).collect::<Vec<_>>(),
    })
}

fn panic(panic: &Panic, kept: &Kept, story: &Story) -> Value {
    let is_last_words = |line: &&lab_run::console::Line| {
        line.speaker == panic.layer.name()
            && ["assertion '", "anic", "PANIC", "exception:"].iter().any(|words| line.text.contains(words))
    };
    let said: Vec<_> = kept.lines.iter().filter(is_last_words).take(LAST_WORDS).map(|line| &line.text).collect();
    json!({
        "layer": panic.layer.name(),
        "cpu": panic.cpu,
        "time": panic.time,
        "text": panic.text,
        "said": said,
        "path": story.path_to(panic, PATH),
    })
}

fn measured(trace: &Trace, story: &Story, normal: &str) -> Value {
    let mut costs = Vec::new();
    for layer in Layer::ALL {
        for cpu in trace.cpus(layer) {
            let count = trace.of(layer, cpu).count();
            let name = format!("{}, {} on CPU {cpu}", layer.name(), layer.exception_level());
            costs.push(json!([name, count, story.costs.get(layer, cpu)]));
        }
    }
    let mut kinds: Vec<_> = story.kinds.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    json!({
        "records": story.records.iter().map(|(layer, count)| json!([layer.name(), count])).collect::<Vec<_>>(),
        "kinds": kinds,
        "costs": costs,
        "ticks": story.ticks,
        "lost": trace.lost,
        "damaged": trace.damaged,
        // What the rings' own counts know to be lost is missing in the numbers too.
        "missing": story.missing.saturating_sub(trace.lost),
        "dropped": story.dropped,
        "minor": story.minor.iter()
            .map(|((who, name), left)| json!([caller(*who, normal), name, left.calls, left.ticks])).collect::<Vec<_>>(),
    })
}
