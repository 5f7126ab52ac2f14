// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run as Chrome's trace events, which `ui.perfetto.dev` and `chrome://tracing` open.
//!
//! The format is the public document "Trace Event Format": complete events (`X`), counters (`C`), instants (`i`) and
//! names of processes and threads (`M`). A process is an exception level, a thread of it a CPU; one more process has
//! the calls, with a thread for each caller. Times are the machine's counter in microseconds, what tracing took
//! included: nothing is moved.

use super::kept::Kept;
use super::story::call::{Call, Caller, Outcome};
use super::story::{LEVELS, Place, Story, Stretch, level, names};
use lab_trace::Trace;
use serde_json::{Value, json};
use shared_abi::trace::Event;
use std::collections::BTreeMap;

/// Process of the calls; the levels come after it.
const CALLS: u64 = 1;

/// Collects who executes when.
#[derive(Debug, Default)]
pub struct Timeline {
    /// What each CPU does, and since when.
    now: BTreeMap<u8, (Place, u64, u64)>,
    slices: Vec<(u8, Place, u64, u64)>,
}

impl Timeline {
    /// Takes note of a stretch, in the order of time on each CPU.
    pub fn hear(&mut self, stretch: &Stretch) {
        let whole = stretch.begin.saturating_add(stretch.whole);
        let now = self.now.entry(stretch.cpu).or_insert((stretch.place, stretch.begin, whole));
        if now.0 == stretch.place {
            now.2 = whole;
            return;
        }
        self.slices.push((stretch.cpu, now.0, now.1, now.2));
        *now = (stretch.place, stretch.begin, whole);
    }

    fn finish(mut self) -> Vec<(u8, Place, u64, u64)> {
        self.slices.extend(self.now.iter().map(|(cpu, (place, begin, end))| (*cpu, *place, *begin, *end)));
        self.slices
    }
}

/// Writes the whole file.
pub fn json(kept: &Kept, trace: &Trace, story: &Story, timeline: Timeline) -> Value {
    let clock = Clock { begin: story.span.map_or(0, |(begin, _)| begin), frequency: trace.frequency.max(1) };
    let normal = if kept.probe { "probe" } else { "hypervisor" };
    let mut events = vec![name("process_name", CALLS, 0, "Calls")];
    for (index, (at, who)) in LEVELS.iter().zip(["VMs", normal, "monitor", "TEE"]).enumerate() {
        events.push(name("process_name", process(index), 0, &format!("{at} {who}")));
    }
    let mut threads = BTreeMap::new();
    for (cpu, place, begin, end) in timeline.finish() {
        let Some(index) = level(place) else { continue };
        let pid = process(index);
        threads.entry((pid, u64::from(cpu))).or_insert_with(|| format!("CPU {cpu}"));
        let who = match place {
            Place::Vm(id) => format!("vm{id}"),
            _ => ["VM", normal, "monitor", "TEE"][index].to_owned(),
        };
        events.push(json!({
            "ph": "X", "name": who, "cat": "level", "pid": pid, "tid": cpu, "ts": clock.at(begin),
            "dur": clock.at(end) - clock.at(begin),
        }));
    }
    for call in &story.calls {
        let (tid, who) = thread(call, normal);
        threads.entry((CALLS, tid)).or_insert(who);
        events.push(slice(call, tid, &clock));
    }
    for entry in &trace.entries {
        let pid = level(Place::of(entry.layer)).map_or(CALLS, process);
        let ts = clock.at(entry.record.time);
        match entry.record.event {
            Event::Heap { used, peak, .. } => events.push(json!({
                "ph": "C", "name": format!("heap of vm{}", entry.record.client), "pid": pid, "tid": 0, "ts": ts,
                "args": {"used": used, "peak": peak},
            })),
            // With its partition the heap is gone.
            Event::VmReclaimed { .. } => events.push(json!({
                "ph": "C", "name": format!("heap of vm{}", entry.record.client), "pid": pid, "tid": 0, "ts": ts,
                "args": {"used": 0, "peak": 0},
            })),
            Event::Refused { .. } | Event::Panic { .. } | Event::VmState { .. } => events.push(json!({
                "ph": "i", "s": "t", "name": names::title(entry, None), "pid": pid, "tid": entry.cpu, "ts": ts,
            })),
            _ => {}
        }
    }
    for ((pid, tid), text) in threads {
        events.push(name("thread_name", pid, tid, &text));
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "scenario": kept.name,
            "verdict": kept.verdict(),
            "tick": if trace.instructions { "an instruction is shown as a nanosecond" } else { "real time" },
        },
    })
}

/// Ticks as microseconds.
struct Clock {
    begin: u64,
    frequency: u64,
}

impl Clock {
    fn at(&self, time: u64) -> f64 {
        self.duration(time.saturating_sub(self.begin))
    }

    fn duration(&self, ticks: u64) -> f64 {
        ticks as f64 * 1e6 / self.frequency as f64
    }
}

const fn process(level: usize) -> u64 {
    CALLS + 1 + level as u64
}

fn name(what: &str, pid: u64, tid: u64, text: &str) -> Value {
    json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": text}})
}

/// Returns the thread of a call's caller.
fn thread(call: &Call, normal: &str) -> (u64, String) {
    match call.caller {
        Caller::Vm(id) => (0x100 + u64::from(id) * 64 + u64::from(call.vcpu), format!("vm{id} vCPU {}", call.vcpu)),
        Caller::Hypervisor => (0x10 + u64::from(call.cpu), format!("hypervisor on CPU {}", call.cpu)),
        Caller::NormalWorld(_) => (0x20 + u64::from(call.cpu), format!("{normal} on CPU {}", call.cpu)),
        Caller::Monitor => (0x30 + u64::from(call.cpu), format!("monitor on CPU {}", call.cpu)),
    }
}

fn slice(call: &Call, tid: u64, clock: &Clock) -> Value {
    let mut args = json!({"outcome": call.outcome_words(), "cpu": call.cpu, "ticks without tracing": call.total()});
    for (at, ticks) in LEVELS.iter().zip(call.ticks) {
        args[*at] = json!(ticks);
    }
    if let Outcome::Answered(x) = call.outcome {
        args["x0"] = json!(format!("{:#x}", x[0]));
    }
    json!({
        "ph": "X", "name": call.title(), "cat": "call", "pid": CALLS, "tid": tid, "ts": clock.at(call.begin),
        "dur": clock.duration(call.end.saturating_sub(call.begin)), "args": args,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    fn events() -> Vec<Value> {
        let trace = Sample::two_guests(12).trace();
        let mut timeline = Timeline::default();
        let story = Story::of(&trace, |stretch| timeline.hear(stretch));
        let kept = Kept { name: "two-guests".into(), ..Kept::default() };
        json(&kept, &trace, &story, timeline)["traceEvents"].as_array().unwrap().clone()
    }

    fn of<'e>(events: &'e [Value], phase: &str) -> Vec<&'e Value> {
        events.iter().filter(|event| event["ph"] == phase).collect()
    }

    #[test]
    fn every_event_has_what_its_phase_needs() {
        let events = events();
        for event in &events {
            assert!(event["pid"].is_u64() && event["tid"].is_u64() && event["name"].is_string(), "{event}");
            match event["ph"].as_str().unwrap() {
                "X" => assert!(event["ts"].as_f64().unwrap() >= 0.0 && event["dur"].as_f64().unwrap() >= 0.0),
                "C" => assert!(event["args"]["used"].is_u64() && event["ts"].is_f64()),
                "i" => assert!(event["s"] == "t" && event["ts"].is_f64()),
                "M" => assert!(event["args"]["name"].is_string()),
                other => panic!("{other}"),
            }
        }
        assert!(!of(&events, "C").is_empty() && !of(&events, "i").is_empty());
        let named: Vec<_> = of(&events, "M").iter().map(|event| (&event["pid"], &event["tid"])).collect();
        assert!(of(&events, "X").iter().all(|event| named.contains(&(&event["pid"], &event["tid"]))));
    }

    #[test]
    fn a_heap_counts_nothing_once_its_partition_is_gone() {
        let events = events();
        let of_vm = |vm: u16| {
            let name = format!("heap of vm{vm}");
            of(&events, "C").into_iter().rfind(|event| event["name"] == name.as_str()).unwrap()["args"]["used"].clone()
        };
        assert_eq!((of_vm(2), of_vm(1) != 0), (json!(0), true));
    }

    #[test]
    fn a_cpu_is_at_one_level_at_a_time() {
        let events = events();
        let mut slices: Vec<_> = of(&events, "X").into_iter().filter(|event| event["cat"] == "level").collect();
        slices.sort_by(|a, b| a["ts"].as_f64().unwrap().total_cmp(&b["ts"].as_f64().unwrap()));
        assert!(slices.len() > 40);
        for pair in slices.windows(2) {
            let end = pair[0]["ts"].as_f64().unwrap() + pair[0]["dur"].as_f64().unwrap();
            assert!(end <= pair[1]["ts"].as_f64().unwrap() + 1e-6, "{} {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn a_call_is_a_slice_of_its_callers_thread() {
        let events = events();
        let calls: Vec<_> = of(&events, "X").into_iter().filter(|event| event["cat"] == "call").collect();
        assert_eq!(calls.len(), 12 + 3);
        let guest = calls.iter().find(|call| call["tid"] == 0x100 + 64).unwrap();
        assert_eq!((guest["args"]["x0"].as_str(), guest["args"]["EL3"].as_u64()), (Some("0x0"), Some(99)));
    }
}
