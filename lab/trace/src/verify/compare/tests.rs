// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::verify::log::read;
use shared_abi::trace::Record;
use shared_abi::trace::event::Conduit;

const SMC: u64 = 0x5e00_0000;
const TEE_ENTRY: u64 = 0xe10_11c4;
const PROBE: u64 = 0x6000_1074;
const GUEST: u64 = 0x4020_0000;

/// One entry of either side at once.
#[derive(Default)]
struct Run {
    log: String,
    entries: Vec<Entry>,
}

impl Run {
    fn tell(&mut self, layer: Layer, cpu: u8, event: Event) {
        let time = self.entries.len() as u64;
        self.entries.push(Entry { layer, cpu, record: Record { time, sequence: 0, client: 0, event } });
    }

    fn taken(&mut self, cpu: u8, name: &str, levels: (u8, u8), esr: Option<u64>, elr: u64) {
        let (from, to) = levels;
        self.log += &format!("Taking exception 99 [{name}] on CPU {cpu}\n...from EL{from} to EL{to}\n");
        if let Some(esr) = esr {
            self.log += &format!("...with ESR {:#x}/{esr:#x}\n", esr >> 26);
        }
        self.log += &format!("...with ELR {elr:#x}\n...to EL{to} PC 0xe000c00 PSTATE 0x3cd\n");
    }

    fn returned(&mut self, from: u8, to: u8, pc: u64) {
        self.log += &format!("Exception return from AArch64 EL{from} to AArch64 EL{to} PC {pc:#x}\n");
    }

    fn switch(&mut self, cpu: u8, to: World, pc: u64) {
        self.tell(Layer::Monitor, cpu, Event::WorldSwitch { to, errand: 2, pc });
        self.returned(3, if to == World::Secure { 1 } else { 2 }, pc);
    }

    fn call(&mut self, cpu: u8, from: World) {
        self.taken(cpu, "Secure Monitor Call", (if from == World::Secure { 1 } else { 2 }, 3), Some(SMC), 0);
        self.tell(Layer::Monitor, cpu, Event::Call { conduit: Conduit::Smc, from, vcpu: 0, x: [0; 8] });
    }

    /// Makes boot and a call of the TEE from EL2, on each of some CPUs, each a step after the other.
    fn of_cpus(cpus: u8) -> Self {
        let mut run = Self::default();
        (0..cpus).for_each(|cpu| run.switch(cpu, World::Normal, PROBE - u64::from(cpu)));
        (0..cpus).for_each(|cpu| run.call(cpu, World::Normal));
        (0..cpus).rev().for_each(|cpu| run.switch(cpu, World::Secure, TEE_ENTRY));
        run.taken(0, "SVC", (1, 1), Some(0x5600_0000), 0xe10_8fb4);
        run.returned(1, 1, 0xe10_8fb4);
        (0..cpus).for_each(|cpu| run.call(cpu, World::Secure));
        (0..cpus).for_each(|cpu| run.switch(cpu, World::Normal, PROBE));
        run
    }

    /// Makes a guest that calls, touches what it does not have, and is interrupted for EL3.
    fn of_a_guest() -> Self {
        let mut run = Self::default();
        let (hyp, monitor) = (Layer::Hypervisor, Layer::Monitor);
        run.switch(0, World::Normal, 0x6000_0000);
        run.tell(hyp, 0, Event::Enter { vcpu: 0, pc: GUEST, pstate: 0x3c5 });
        run.returned(2, 1, GUEST);
        run.taken(0, "Hypervisor Trap", (1, 2), Some(SMC), GUEST + 4);
        run.tell(hyp, 0, Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x: [0; 8] });
        run.tell(hyp, 0, Event::Send { x: [0; 8] });
        run.call(0, World::Normal);
        run.tell(monitor, 0, Event::Answer { to: World::Normal, vcpu: 0, x: [0; 4], pc: PROBE });
        run.returned(3, 2, PROBE);
        run.tell(hyp, 0, Event::Answer { to: World::Normal, vcpu: 0, x: [0; 4], pc: GUEST + 8 });
        run.returned(2, 1, GUEST + 8);
        run.taken(0, "Data Abort", (1, 2), Some(0x9200_0006), GUEST + 12);
        run.tell(hyp, 0, Event::Exit { vcpu: 0, esr: 0x9200_0006, pc: GUEST + 12, far: 0, ipa: 0 });
        run.tell(hyp, 0, Event::Enter { vcpu: 0, pc: GUEST + 16, pstate: 0x3c5 });
        run.returned(2, 1, GUEST + 16);
        run.taken(0, "FIQ", (1, 3), None, GUEST + 20);
        run.tell(monitor, 0, Event::Interrupt { vcpu: 0, intid: 8, pc: GUEST + 20 });
        run.tell(monitor, 0, Event::Resume { to: World::Normal, pc: GUEST + 20 });
        run.returned(3, 1, GUEST + 20);
        run.taken(0, "IRQ", (0, 2), None, GUEST + 24);
        run.tell(hyp, 0, Event::Interrupt { vcpu: 0, intid: 27, pc: GUEST + 24 });
        run.tell(hyp, 0, Event::Enter { vcpu: 0, pc: GUEST + 24, pstate: 0x3c0 });
        run.returned(2, 0, GUEST + 24);
        run
    }

    fn compare(&self, hypervisor: bool) -> Result<Agreement, Box<Difference>> {
        let trace = Trace { entries: self.entries.clone(), ..Trace::default() };
        compare(&trace, &read(self.log.lines()), hypervisor)
    }
}

#[test]
fn what_both_saw_is_counted() {
    let expected = Agreement { to_el3: 2, from_el3: 3, to_el2: 0, from_el2: 0 };
    assert_eq!(Run::of_cpus(1).compare(false), Ok(expected));
    let expected = Agreement { to_el3: 2, from_el3: 3, to_el2: 3, from_el2: 4 };
    assert_eq!(Run::of_a_guest().compare(true), Ok(expected));
}

#[test]
fn returns_find_their_cpu_when_many_are_at_el3_at_once() {
    let expected = Agreement { to_el3: 16, from_el3: 24, to_el2: 0, from_el2: 0 };
    assert_eq!(Run::of_cpus(8).compare(false), Ok(expected));
}

#[test]
fn cpus_that_go_to_the_same_place_are_told_apart_by_time() {
    let mut run = Run::default();
    (0..2).for_each(|cpu| run.switch(cpu, World::Normal, PROBE));
    for cpu in [1, 0] {
        run.tell(Layer::Hypervisor, cpu, Event::Enter { vcpu: 0, pc: GUEST, pstate: 0x3c5 });
        run.returned(2, 1, GUEST);
        run.taken(cpu, "IRQ", (1, 2), None, GUEST + 24);
        run.tell(Layer::Hypervisor, cpu, Event::Interrupt { vcpu: 0, intid: 27, pc: GUEST + 24 });
    }
    assert_eq!(run.compare(true), Ok(Agreement { to_el3: 0, from_el3: 2, to_el2: 2, from_el2: 2 }));
}

#[test]
fn a_cpu_that_tells_first_and_returns_last_is_told_apart_by_what_comes_after() {
    let mut run = Run::default();
    let enter = Event::Enter { vcpu: 0, pc: GUEST, pstate: 0x3c5 };
    (0..2).for_each(|cpu| run.switch(cpu, World::Normal, PROBE));
    run.tell(Layer::Hypervisor, 0, enter);
    run.tell(Layer::Hypervisor, 1, enter);
    run.returned(2, 1, GUEST);
    run.taken(1, "IRQ", (1, 2), None, GUEST + 24);
    run.tell(Layer::Hypervisor, 1, Event::Interrupt { vcpu: 0, intid: 27, pc: GUEST + 24 });
    run.returned(2, 1, GUEST);
    run.taken(0, "IRQ", (1, 2), None, GUEST + 28);
    run.tell(Layer::Hypervisor, 0, Event::Interrupt { vcpu: 0, intid: 27, pc: GUEST + 28 });
    assert_eq!(run.compare(true), Ok(Agreement { to_el3: 0, from_el3: 2, to_el2: 2, from_el2: 2 }));
    run.entries.pop();
    run.entries.remove(2);
    assert!(run.compare(true).is_err());
}

#[test]
fn a_record_that_is_dropped_is_missed() {
    for (run, hypervisor) in [(Run::of_cpus(1), false), (Run::of_cpus(3), false), (Run::of_a_guest(), true)] {
        for index in 0..run.entries.len() {
            if !is_passage(&run.entries[index].record.event) {
                continue;
            }
            let mut dropped = Run { log: run.log.clone(), entries: run.entries.clone() };
            dropped.entries.remove(index);
            assert!(dropped.compare(hypervisor).is_err(), "{index}");
        }
    }
}

#[test]
fn a_record_that_is_invented_is_noticed() {
    for (run, hypervisor) in [(Run::of_cpus(1), false), (Run::of_cpus(3), false), (Run::of_a_guest(), true)] {
        for index in 0..run.entries.len() {
            if !is_passage(&run.entries[index].record.event) {
                continue;
            }
            let mut invented = Run { log: run.log.clone(), entries: run.entries.clone() };
            let call = Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x: [0; 8] };
            let entry = Entry { record: Record { event: call, ..run.entries[index].record }, ..run.entries[index] };
            invented.entries.insert(index, entry);
            assert!(invented.compare(hypervisor).is_err(), "{index}");
            let last = run.entries[index];
            invented.entries.remove(index);
            invented.entries.extend([last; 2]);
            assert!(invented.compare(hypervisor).is_err(), "{index} twice in the end");
        }
    }
}

#[test]
fn a_record_that_says_something_else_is_noticed() {
    let run = Run::of_a_guest();
    for (index, entry) in run.entries.iter().enumerate() {
        let mut other = *entry;
        match &mut other.record.event {
            Event::Answer { pc, .. }
            | Event::WorldSwitch { pc, .. }
            | Event::Resume { pc, .. }
            | Event::Enter { pc, .. }
            | Event::Interrupt { pc, .. }
            | Event::Exit { pc, .. } => *pc += 4,
            _ => continue,
        }
        let mut lying = Run { log: run.log.clone(), entries: run.entries.clone() };
        lying.entries[index] = other;
        assert!(lying.compare(true).is_err(), "{index}");
    }
}

#[test]
fn a_machine_may_stop_between_what_it_does_and_what_it_tells() {
    let mut told = Run::of_cpus(1);
    told.call(0, World::Normal);
    told.tell(Layer::Monitor, 0, Event::WorldSwitch { to: World::Secure, errand: 2, pc: TEE_ENTRY });
    assert!(told.compare(false).is_ok());
    told.tell(Layer::Monitor, 0, Event::WorldSwitch { to: World::Secure, errand: 2, pc: TEE_ENTRY });
    assert!(told.compare(false).is_err());

    let mut taken = Run::of_cpus(1);
    taken.taken(0, "Secure Monitor Call", (2, 3), Some(SMC), 0);
    assert!(taken.compare(false).is_ok());
    taken.returned(3, 1, TEE_ENTRY);
    assert!(taken.compare(false).is_err());
}

#[test]
fn a_hypervisor_that_is_not_there_tells_nothing() {
    let mut run = Run::of_cpus(1);
    assert!(run.compare(true).is_ok());
    run.tell(Layer::Hypervisor, 0, Event::Enter { vcpu: 0, pc: GUEST, pstate: 0x3c5 });
    assert!(run.compare(false).is_err());
}

#[test]
fn a_difference_shows_both_sides_around_it() {
    let mut run = Run::of_a_guest();
    let place = run.entries.iter().position(|entry| matches!(entry.record.event, Event::Exit { .. })).unwrap();
    run.entries.remove(place);
    let text = run.compare(true).unwrap_err().to_string();
    assert!(text.starts_with("HYP on CPU 0: QEMU saw Data Abort, the layer tells of something else\n"), "{text}");
    assert!(text.contains(">  line ") || text.contains("> line "), "{text}");
    assert!(text.contains("CPU 0: Data Abort from EL1 to EL2, ESR 0x92000006, ELR 0x4020000c\n"), "{text}");
    assert!(text.contains("enters vcpu0 EL1 at 0x40200010"), "{text}");
}
