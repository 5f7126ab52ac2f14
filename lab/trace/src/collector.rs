// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the rings of a running machine from the file behind its memory.
//!
//! QEMU maps the file as the machine's RAM; the lab only ever reads it, so the machine cannot notice. A thread looks
//! every `PERIOD`: the fastest that a layer can write is a record in some forty instructions, and a ring holds tens of
//! thousands.

use super::merge;
use super::{Entry, Trace};
use shared_abi::layout::{DRAM_BASE, MAX_CPUS};
use shared_abi::trace::Layer;
use shared_abi::trace::ring::{Reader, place};
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the rings are looked at.
const PERIOD: Duration = Duration::from_millis(1);

/// A thread that reads the rings until it is told to stop.
#[derive(Debug)]
pub(crate) struct Collector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Trace>>,
}

impl Collector {
    /// Begins to read `memory`, a file whose first byte is the first of DRAM; `instructions` says that a tick is one.
    ///
    /// Entries go to `live` as they come, in order as far as that can be known while CPUs still write; a receiver that
    /// is gone does not end collecting.
    pub(crate) fn start(memory: File, instructions: bool, live: Option<Sender<Entry>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut rings = Rings::of(memory);
            let mut live = live.map(Live::to);
            while !told.load(Ordering::Acquire) {
                rings.poll(live.as_mut());
                thread::sleep(PERIOD);
            }
            // The machine has stopped: what it wrote last.
            rings.poll(live.as_mut());
            if let Some(live) = &mut live {
                live.finish();
            }
            rings.into_trace(instructions)
        });
        Self { stop, thread: Some(thread) }
    }

    /// Reads what is left and stops. Call it when the machine has ended, or has all that is wanted.
    pub(crate) fn finish(mut self) -> Trace {
        self.stop.store(true, Ordering::Release);
        // A thread that panicked has nothing to give; the panic itself was printed.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// One ring as it is read.
#[derive(Debug)]
struct Ring {
    layer: Layer,
    cpu: u8,
    /// Where it begins in the file.
    offset: u64,
    reader: Reader,
    entries: VecDeque<Entry>,
}

/// Every ring that there can be.
#[derive(Debug)]
struct Rings {
    memory: File,
    rings: Vec<Ring>,
    frequency: u64,
}

impl Rings {
    fn of(memory: File) -> Self {
        let mut rings = Vec::new();
        for layer in Layer::ALL {
            for cpu in 0..MAX_CPUS {
                let Some(range) = place(layer, cpu) else { continue };
                let (offset, cpu) = (range.base - DRAM_BASE, cpu as u8);
                rings.push(Ring { layer, cpu, offset, reader: Reader::default(), entries: VecDeque::new() });
            }
        }
        Self { memory, rings, frequency: 0 }
    }

    /// Reads what is new.
    fn poll(&mut self, mut live: Option<&mut Live>) {
        for (index, ring) in self.rings.iter_mut().enumerate() {
            let read = |offset, buffer: &mut [u8]| self.memory.read_exact_at(buffer, ring.offset + offset).is_ok();
            let header = ring.reader.poll(read, |record| {
                let entry = Entry { layer: ring.layer, cpu: ring.cpu, record };
                ring.entries.push_back(entry);
                if let Some(live) = live.as_deref_mut() {
                    live.hold(index, entry);
                }
            });
            if let Some(header) = header {
                self.frequency = header.frequency;
            }
        }
        if let Some(live) = live {
            live.deliver();
        }
    }

    fn into_trace(self, instructions: bool) -> Trace {
        let lost = self.rings.iter().map(|ring| ring.reader.lost).sum();
        let damaged = self.rings.iter().map(|ring| ring.reader.damaged).sum();
        let entries = merge::all(self.rings.into_iter().map(|ring| ring.entries).collect());
        Trace { frequency: self.frequency, entries, lost, damaged, instructions }
    }
}

/// The way to who watches.
///
/// Rings are read one after another, so the last records of one round may be later than some that the next round finds
/// in another ring. They are held back for a round.
#[derive(Debug)]
struct Live {
    watcher: Sender<Entry>,
    held: Vec<VecDeque<Entry>>,
    /// The latest time of this round and the one before.
    latest: u64,
    before: u64,
}

impl Live {
    fn to(watcher: Sender<Entry>) -> Self {
        Self { watcher, held: vec![VecDeque::new(); Layer::ALL.len() * MAX_CPUS], latest: 0, before: 0 }
    }

    fn hold(&mut self, ring: usize, entry: Entry) {
        self.latest = self.latest.max(entry.record.time);
        self.held[ring].push_back(entry);
    }

    /// Hands over what is older than the last round.
    fn deliver(&mut self) {
        self.deliver_until(self.before);
        self.before = self.latest;
    }

    fn finish(&mut self) {
        self.deliver_until(u64::MAX);
    }

    fn deliver_until(&mut self, time: u64) {
        merge::take(&mut self.held, time, |entry| {
            // Who does not watch any more misses nothing.
            let _ = self.watcher.send(entry);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firmware_support::trace::ring::Writer;
    use shared_abi::layout::TRACE;
    use shared_abi::trace::ring::SLOT;
    use shared_abi::trace::{Event, Record};
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc::channel;

    /// Rings in ordinary memory, written to a file as QEMU's memory is.
    struct Machine {
        file: File,
        words: Vec<&'static [AtomicU64]>,
        writers: Vec<Writer>,
    }

    const LAYERS: [(Layer, usize); 2] = [(Layer::Monitor, 0), (Layer::Hypervisor, 1)];

    impl Machine {
        fn new() -> Self {
            let file = tempfile::tempfile().unwrap();
            file.set_len(TRACE.end() - DRAM_BASE).unwrap();
            let mut machine = Self { file, words: Vec::new(), writers: Vec::new() };
            for (layer, cpu) in LAYERS {
                let words: &'static [AtomicU64] = (0..SLOT / 8).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak();
                machine.writers.push(Writer::new(words, layer, cpu, 1_000_000_000).unwrap());
                machine.words.push(words);
            }
            machine
        }

        fn write(&mut self, ring: usize, time: u64) {
            let writer = &mut self.writers[ring];
            let sequence = writer.sequence();
            writer.write(&Record { time, sequence, client: 0, event: Event::Calibration { round: time } });
        }

        fn show(&self) {
            for ((layer, cpu), words) in LAYERS.iter().zip(&self.words) {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
                let offset = place(*layer, *cpu).unwrap().base - DRAM_BASE;
                // Backwards, as the contract has it: the count is raised after the record is whole.
                self.file.write_all_at(&bytes[64..], offset + 64).unwrap();
                self.file.write_all_at(&bytes[..64], offset).unwrap();
            }
        }
    }

    fn times(entries: impl IntoIterator<Item = Entry>) -> Vec<u64> {
        entries.into_iter().map(|entry| entry.record.time).collect()
    }

    #[test]
    fn what_one_round_finds_too_late_is_still_delivered_in_order() {
        let mut machine = Machine::new();
        let (sender, receiver) = channel();
        let (mut rings, mut live) = (Rings::of(machine.file.try_clone().unwrap()), Live::to(sender));
        [10, 30, 50].into_iter().for_each(|time| machine.write(0, time));
        machine.show();
        rings.poll(Some(&mut live));
        // The other ring's were written while this one was read.
        [20, 40, 60].into_iter().for_each(|time| machine.write(1, time));
        machine.show();
        rings.poll(Some(&mut live));
        assert_eq!(times(receiver.try_iter()), [10, 20, 30, 40, 50]);
        rings.poll(Some(&mut live));
        assert_eq!(times(receiver.try_iter()), [60]);
        machine.write(0, 70);
        machine.show();
        rings.poll(Some(&mut live));
        live.finish();
        assert_eq!(times(receiver.try_iter()), [70]);
        assert_eq!(times(rings.into_trace(true).entries), [10, 20, 30, 40, 50, 60, 70]);
    }

    #[test]
    fn what_the_rings_hold_in_the_end_is_the_trace() {
        let mut machine = Machine::new();
        let (sender, receiver) = channel();
        let collector = Collector::start(machine.file.try_clone().unwrap(), true, Some(sender));
        (0..1000).for_each(|time| machine.write(usize::from(time % 3 == 0), time));
        machine.show();
        let trace = collector.finish();
        assert!(times(trace.entries.iter().copied()).into_iter().eq(0..1000));
        assert_eq!((trace.frequency, trace.lost, trace.damaged, trace.instructions), (1_000_000_000, 0, 0, true));
        assert_eq!((trace.cpus(Layer::Monitor), trace.cpus(Layer::Hypervisor)), (vec![0], vec![1]));
        assert_eq!(receiver.iter().count(), 1000);
    }

    #[test]
    fn a_machine_that_does_not_trace_leaves_an_empty_trace() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Collector::start(file, false, None).finish(), Trace::default());
    }
}
