// SPDX-License-Identifier: MIT OR Apache-2.0
//! Traces that were never recorded: what the layers would write, for tests of those who read traces.

use lab_trace::{Entry, Trace};
use shared_abi::layout::{BL33_BASE, MONITOR_RUNTIME, TEE};
use shared_abi::optee_msg::Cmd;
use shared_abi::optee_smc::{
    OPTEE_SMC_CALL_RETURN_FROM_RPC, OPTEE_SMC_CALL_WITH_ARG, OPTEE_SMC_VM_CREATED, OPTEE_SMC_VM_DESTROYED, Rpc,
};
use shared_abi::opteed::TEESMC_OPTEED_RETURN_CALL_DONE;
use shared_abi::smccc::FunctionId;
use shared_abi::trace::event::{Conduit, VmState};
use shared_abi::trace::{Event, Layer, Owner, Record, Refusal, World};
use std::collections::BTreeMap;

/// Ticks that writing a record takes in these traces.
pub const COST: u64 = 40;
/// Where the list of the report's allocator has its head, and the first block of a heap.
const HEAD: u64 = 0xFFFF_FFFF_FE00_4638;
const HEAP: u64 = 0xFFFF_FFFF_FE02_0000;

/// A trace in the making. Every record comes some ticks after the one before and takes [`COST`] itself.
#[derive(Debug, Default)]
pub struct Sample {
    time: u64,
    entries: Vec<Entry>,
    sequences: BTreeMap<Layer, u32>,
}

impl Sample {
    /// Makes a chain that has just booted, without a VM.
    pub fn new() -> Self {
        let mut sample = Self { time: 1_000_000, ..Self::default() };
        for (layer, base, size) in [
            (Layer::Monitor, MONITOR_RUNTIME.base, MONITOR_RUNTIME.size),
            (Layer::Tee, TEE.base, 0x5_4000),
            (Layer::Hypervisor, BL33_BASE, 0x7_0000),
        ] {
            for round in 0..4 {
                sample.record(layer, 0, 0, Event::Calibration { round });
            }
            sample.record(layer, 100, 0, Event::Start { base, size });
        }
        sample
    }

    /// Returns what has been recorded, as a run leaves it.
    pub fn trace(&self) -> Trace {
        Trace { frequency: 1_000_000_000, entries: self.entries.clone(), lost: 0, damaged: 0, instructions: true }
    }

    /// Writes a record, `after` ticks of a layer's own work.
    pub fn record(&mut self, layer: Layer, after: u64, client: u16, event: Event) {
        self.time += after;
        let sequence = self.sequences.entry(layer).or_default();
        let record = Record { time: self.time, sequence: *sequence, client, event };
        *sequence += 1;
        self.time += COST;
        self.entries.push(Entry { layer, cpu: 0, record });
    }

    /// Loses so many records of a layer.
    pub fn lose(&mut self, layer: Layer, count: u32) {
        *self.sequences.entry(layer).or_default() += count;
    }

    fn heap(&mut self, vm: u16, used: u64) {
        self.record(Layer::Tee, 12, vm, Event::Heap { used, peak: used + 2048, size: 0x1_0000 });
    }

    /// Goes into the TEE with a call.
    fn enter_tee(&mut self, vm: u16, x: [u64; 8]) {
        self.record(Layer::Monitor, 34, vm, Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x });
        self.record(Layer::Monitor, 52, vm, Event::WorldSwitch { to: World::Secure, errand: 2, pc: TEE.base + 0x40 });
        self.record(Layer::Tee, 61, vm, Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x });
    }

    /// Comes out of the TEE with an answer.
    fn leave_tee(&mut self, vm: u16, x: [u64; 4]) {
        self.record(Layer::Tee, 22, vm, Event::Answer { to: World::Normal, vcpu: 0, x, pc: 0 });
        let done = u64::from(TEESMC_OPTEED_RETURN_CALL_DONE.0);
        let x = [done, x[0], x[1], x[2], x[3], 0, 0, 0];
        self.record(Layer::Monitor, 31, 0, Event::Call { conduit: Conduit::Smc, from: World::Secure, vcpu: 0, x });
        self.record(
            Layer::Monitor,
            47,
            0,
            Event::WorldSwitch { to: World::Normal, errand: 2, pc: BL33_BASE + 0x1_2344 },
        );
    }

    fn fast_by_hypervisor(&mut self, function: FunctionId, vm: u16, inside: impl FnOnce(&mut Self)) {
        let x = [u64::from(function.0), vm.into(), 0, 0, 0, 0, 0, 0];
        self.record(Layer::Hypervisor, 80, vm, Event::Send { x });
        self.enter_tee(0, x);
        inside(self);
        self.leave_tee(0, [0; 4]);
        self.record(Layer::Hypervisor, 20, vm, Event::Receive { x: [0; 4] });
    }

    /// Has the hypervisor make a VM and enter it.
    pub fn start_vm(&mut self, vm: u16) {
        let base = 0x8000_0000 + u64::from(vm) * 0x1000_0000;
        let memory = Event::Memory { owner: Owner::Vm, base, size: 0x1000_0000, ipa: 0x4000_0000 };
        self.record(Layer::Hypervisor, 500, vm, memory);
        self.record(Layer::Hypervisor, 10, vm, Event::VmState { state: VmState::Made });
        self.fast_by_hypervisor(OPTEE_SMC_VM_CREATED, vm, |sample| {
            let base = TEE.base + 0x10_0000 * u64::from(vm);
            sample.record(Layer::Tee, 90, vm, Event::Memory { owner: Owner::Partition, base, size: 29 * 4096, ipa: 0 });
            sample.record(Layer::Tee, 3000, vm, Event::VmCreated { pages: 29, free: 3000, vms: vm.into() });
        });
        self.record(Layer::Hypervisor, 10, vm, Event::VmState { state: VmState::Running });
        self.record(Layer::Hypervisor, 10, vm, Event::Enter { vcpu: 0, pc: 0x4020_0000, pstate: 0x3C5 });
    }

    /// Switches a VM off.
    pub fn end_vm(&mut self, vm: u16) {
        self.record(Layer::Hypervisor, 10, vm, Event::VmState { state: VmState::Off });
        self.fast_by_hypervisor(OPTEE_SMC_VM_DESTROYED, vm, |sample| {
            sample.record(Layer::Tee, 30, vm, Event::VmDestroyed { draining: false });
            sample.record(Layer::Tee, 900, vm, Event::VmReclaimed { pages: 29, free: 3029, vms: 0 });
        });
    }

    /// Has a VM call a pseudo-TA: across every level and back.
    pub fn guest_call(&mut self, vm: u16) {
        let function = OPTEE_SMC_CALL_WITH_ARG;
        let mut x = [u64::from(function.0), 0, 0x4123_4000, 0, 0, 0, 0, 0];
        let pc = 0xFFFF_8000_0810_2030;
        self.record(Layer::Hypervisor, 10, vm, Event::Enter { vcpu: 0, pc, pstate: 0x3C5 });
        let call = Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x };
        self.record(Layer::Hypervisor, 700, vm, call);
        x[2] = 0x6010_0000;
        x[7] = vm.into();
        self.record(Layer::Hypervisor, 410, vm, Event::Send { x });
        self.enter_tee(vm, x);
        self.record(Layer::Tee, 44, vm, Event::PartitionSelect { slot: vm as u8 });
        self.record(Layer::Tee, 25, vm, Event::ThreadStart { thread: 0, function: function.0 });
        let command = Cmd::INVOKE_COMMAND.0;
        self.record(Layer::Tee, 130, vm, Event::Message { command, function: 1, session: 1, params: 4 });
        self.record(Layer::Tee, 620, vm, Event::Reply { result: 0, origin: 4, session: 1 });
        self.record(Layer::Tee, 60, vm, Event::ThreadFinish { thread: 0, code: 0 });
        self.heap(vm, 4096 * u64::from(vm));
        self.record(Layer::Tee, 18, vm, Event::PartitionLeave { slot: vm as u8 });
        self.leave_tee(vm, [0; 4]);
        self.record(Layer::Hypervisor, 29, vm, Event::Receive { x: [0; 4] });
        self.record(Layer::Hypervisor, 160, vm, Event::Answer { to: World::Normal, vcpu: 0, x: [0; 4], pc: pc + 4 });
    }

    /// Has a VM's call interrupted in the TEE; the hypervisor takes the interrupt, and the call goes on.
    pub fn interrupted_call(&mut self, vm: u16) {
        let x = [u64::from(OPTEE_SMC_CALL_WITH_ARG.0), 0, 0x6010_0000, 0, 0, 0, 0, vm.into()];
        let call = Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x };
        self.record(Layer::Hypervisor, 700, vm, call);
        self.record(Layer::Hypervisor, 410, vm, Event::Send { x });
        self.enter_tee(vm, x);
        self.record(Layer::Tee, 44, vm, Event::ThreadStart { thread: 1, function: x[0] as u32 });
        let rpc = [Rpc::ForeignIntr.x0(), 0, 0];
        self.record(Layer::Tee, 300, vm, Event::ThreadSuspend { thread: 1, rpc });
        self.leave_tee(vm, [rpc[0], 0, 0, 1]);
        self.record(Layer::Hypervisor, 20, vm, Event::Receive { x: [rpc[0], 0, 0, 1] });
        self.record(Layer::Hypervisor, 20, vm, Event::Wake { intid: 27 });
        self.record(Layer::Hypervisor, 20, vm, Event::VirtualInterrupt { vcpu: 0, intid: 27 });
        let x = [u64::from(OPTEE_SMC_CALL_RETURN_FROM_RPC.0), 0, 0, 1, 0, 0, 0, vm.into()];
        self.record(Layer::Hypervisor, 90, vm, Event::Send { x });
        self.enter_tee(vm, x);
        self.record(Layer::Tee, 30, vm, Event::ThreadResume { thread: 1 });
        self.record(Layer::Tee, 500, vm, Event::ThreadFinish { thread: 1, code: 0 });
        self.leave_tee(vm, [0; 4]);
        self.record(Layer::Hypervisor, 29, vm, Event::Receive { x: [0; 4] });
        let pc = 0xFFFF_8000_0810_2034;
        self.record(Layer::Hypervisor, 160, vm, Event::Answer { to: World::Normal, vcpu: 0, x: [0; 4], pc });
    }

    /// Has a VM ask for something that the hypervisor refuses by itself.
    pub fn refused_call(&mut self, vm: u16) {
        let x = [u64::from(OPTEE_SMC_VM_CREATED.0), 9, 0, 0, 0, 0, 0, 0];
        let call = Event::Call { conduit: Conduit::Hvc, from: World::Normal, vcpu: 0, x };
        self.record(Layer::Hypervisor, 300, vm, call);
        let refused = Event::Refused { reason: Refusal::NotForCaller, value: x[0] };
        self.record(Layer::Hypervisor, 90, vm, refused);
        let answer = Event::Answer { to: World::Normal, vcpu: 0, x: [0xFFFF_FFFF, 0, 0, 0], pc: 0x4020_0400 };
        self.record(Layer::Hypervisor, 20, vm, answer);
    }

    /// Has a probe in the hypervisor's place say VM_CREATED. The TEE's part is `inside`.
    fn created_by_probe(&mut self, vm: u16, inside: impl FnOnce(&mut Self)) {
        let x = [u64::from(OPTEE_SMC_VM_CREATED.0), vm.into(), 0, 0, 0, 0, 0, 0];
        self.time += 2000;
        self.enter_tee(0, x);
        inside(self);
    }

    /// Plays the reported sequence to the TEE that has the bug: VM_CREATED of 0, then of 1, then a panic.
    pub fn second_vm() -> Self {
        let mut sample = Self::new();
        let block = |sample: &mut Self, index, address, size, next, previous| {
            let event = Event::FreeBlock { index, address, size, next, previous };
            sample.record(Layer::Tee, 10, 0, event);
        };
        sample.created_by_probe(0, |sample| {
            block(sample, 0, HEAD, 0, HEAD, HEAD);
            sample.record(Layer::Tee, 900, 0, Event::VmCreated { pages: 40, free: 3000, vms: 1 });
            sample.leave_tee(0, [0; 4]);
        });
        sample.created_by_probe(1, |sample| {
            sample.record(Layer::Tee, 30, 0, Event::PartitionSelect { slot: 0 });
            block(sample, 0, HEAD, 0, HEAP, HEAP);
            block(sample, 1, HEAP, 0, 0, 0);
            let words = "assertion 'poolset->freelist.ql.blink->ql.flink == &poolset->freelist' failed";
            sample.record(Layer::Tee, 30, 0, Event::panic(words));
        });
        sample
    }

    /// Makes VMs that come and go without a word, as where a pool is measured, around one that does something.
    pub fn crowd(vms: u16) -> Self {
        let mut sample = Self::new();
        sample.start_vm(1);
        sample.guest_call(1);
        for vm in 2..2 + vms {
            sample.start_vm(vm);
        }
        for vm in 2..2 + vms {
            sample.end_vm(vm);
        }
        sample.guest_call(1);
        sample.end_vm(1);
        sample
    }

    /// Makes two VMs that call the TEE in turn, one of them off in the end.
    pub fn two_guests(calls: u16) -> Self {
        let mut sample = Self::new();
        sample.start_vm(1);
        sample.start_vm(2);
        for n in 0..calls {
            sample.time += 20_000;
            match n % 4 {
                2 => sample.interrupted_call(1),
                3 => sample.refused_call(2),
                even => sample.guest_call(1 + even),
            }
            let vm = 1 + n % 2;
            sample.record(
                Layer::Hypervisor,
                900,
                vm,
                Event::Exit { vcpu: 0, esr: 0x0600_0000 | 1 << 26, pc: 1, far: 0, ipa: 0 },
            );
            sample.record(Layer::Hypervisor, 90, vm, Event::Enter { vcpu: 0, pc: 5, pstate: 0x3C5 });
        }
        sample.end_vm(2);
        sample
    }
}
