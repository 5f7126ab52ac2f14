// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMs that come and go: what is left of them.

use super::*;
use crate::resources::free;
use crate::trace;
use shared_abi::trace::Event;
use shared_abi::trace::event::VmState;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;

const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
const CPU_ON: u64 = 0xC400_0003;

impl Host {
    /// A VM more, while others run.
    fn add(&mut self, config: VmConfig) {
        self.vms.push(start(make(config).unwrap()));
    }

    /// Lets go of a VM. What there is of it as long as somebody else has it.
    fn forget(&mut self, vm: usize) -> Weak<Vm> {
        Arc::downgrade(&self.vms.remove(vm))
    }

    /// The guest that runs on this CPU switches its VM off.
    fn off(&mut self, cpu: usize) {
        self.vcpu(cpu).frame.x[0] = SYSTEM_OFF;
        self.exception(cpu, HVC, 0, 0);
    }
}

/// What is free, with a range more.
fn with(mut free: (Vec<Range>, u32, usize), range: Range) -> (Vec<Range>, u32, usize) {
    let mut memory = FreeMemory::new();
    free.0.iter().chain([&range]).for_each(|range| memory.add(*range));
    free.0 = memory.ranges().to_vec();
    free
}

#[test]
fn nothing_is_left_of_a_vm_when_every_cpu_has_let_go_of_it() {
    let mut host = Host::new(2, &[1, 1]);
    host.begin(0);
    host.begin(1);
    let before = free();
    host.add(config(2, 2));
    host.until(0, (3, 0));
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.interrupts(1);
    host.until(1, (3, 1));
    let vm = host.forget(2);

    host.until(0, (3, 0));
    host.off(0);
    host.run(0, SLICE);
    assert!(vm.upgrade().is_some() && free() != before, "the other CPU may still be in it");
    host.interrupts(1);
    assert!(vm.upgrade().is_some(), "the last one has left it, and CPU 0 does not know");
    host.interrupts(0);
    assert!(vm.upgrade().is_none());
    assert_eq!(free(), before);
    assert_eq!((host.runs(0), host.runs(1)), ((1, 0), (2, 0)), "others went on");
}

#[test]
fn a_vm_is_recorded_as_running_when_its_first_vcpu_starts() {
    let states = || {
        let states = trace::taken().into_iter().filter_map(|(vm, event)| match event {
            Event::VmState { state } => Some((vm, state)),
            _ => None,
        });
        states.collect::<Vec<_>>()
    };
    let mut host = Host::new(1, &[2]);
    assert_eq!(states(), [(1, VmState::Made)]);
    host.begin(0);
    assert_eq!(states(), [(1, VmState::Running)]);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.until(0, (1, 1));
    assert_eq!(states(), []);
    host.hvc(0, [SYSTEM_RESET, 0, 0, 0]);
    host.until(0, (1, 0));
    assert_eq!(states(), [(1, VmState::Reset), (1, VmState::Running)]);
}

#[test]
fn a_vm_goes_with_vcpus_that_no_cpu_has_seen_and_by_a_crash() {
    let mut host = Host::new(2, &[1, 1]);
    host.begin(0);
    let before = free();
    host.add(config(2, 8));
    let vm = host.forget(2);
    host.until(0, (3, 0));
    // CPU 1 is still on its way.
    host.leave(0, trap::serror);
    host.run(0, SLICE);
    assert!(vm.upgrade().is_none());
    assert_eq!(free(), before);
    host.begin(1);
    assert_eq!(host.runs(1), (2, 0));
}

/// That nobody walks its tables then holds the fake machine.
#[test]
fn a_vm_goes_while_its_cpu_has_nothing_else_to_do() {
    let mut host = Host::new(1, &[1]);
    host.begin(0);
    host.add(config(1, 1));
    let vm = host.forget(1);
    let deadline = timer::now() + 20 * SLICE;
    guest(0, |guest| guest.timers[0] = (1, deadline));
    host.wfi(0);
    assert_eq!(host.runs(0), (2, 0));
    host.off(0);
    assert!(timer::now() >= deadline && vm.upgrade().is_none());
    assert_eq!(host.runs(0), (1, 0));
}

#[test]
fn images_are_memory_once_their_vm_is_gone() {
    let mut host = Host::new(1, &[1, 1]);
    host.begin(0);
    let (extent, kernel) = (host.vms[1].ram.extents()[0], host.vms[1].config.kernel);
    let before = free();
    let after = with(with(before.clone(), kernel), Range::new(extent.pa.0, extent.size));
    host.until(0, (2, 0));
    host.hvc(0, [SYSTEM_RESET, 0, 0, 0]);
    host.until(0, (2, 0));
    assert_eq!(free(), before, "a reset gives nothing back");
    host.forget(1);
    host.off(0);
    host.run(0, SLICE);
    assert_eq!(free(), (after.0, before.1 + 1, before.2 + 1));
}

/// It has the memory, the VMID and the place that the other one had.
#[test]
fn a_vm_finds_nothing_of_one_that_was_there_before() {
    let mut host = Host::new(1, &[1]);
    host.begin(0);
    let of = |vm: &Vm| (vm.vttbr() >> 48, *vm.places[0], vm.ram.extents()[0].pa);
    host.add(config(1, 1));
    host.until(0, (2, 0));
    let first = of(&host.vms[1]);
    for ipa in (BASE..BASE + RAM).step_by(4096) {
        host.set_word(1, ipa, 0xBAD);
    }
    host.vcpu(0).frame.x = [0xBAD; 31];
    guest(0, |guest| guest.stacks = [0xBAD; 2]);
    host.forget(1);
    host.off(0);
    host.run(0, SLICE);
    let flushes = machine::with(|machine| machine.cpus[0].flushes);

    host.add(config(1, 1));
    assert_eq!(of(&host.vms[1]), first);
    assert!(machine::with(|machine| machine.cpus[0].flushes) > flushes, "its VMID was another one's");
    host.until(0, (2, 0));
    assert_eq!(host.vcpu(0).frame.x, std::array::from_fn(|n| if n == 0 { BASE } else { 0 }));
    assert_eq!(guest(0, |guest| (guest.pc, guest.stacks)), (KERNEL, [0; 2]));
    assert!((BASE + 0x1_0000..KERNEL).step_by(4096).all(|ipa| host.word(1, ipa) == 0));
    let shares = host.shares(0, 100 * SLICE);
    assert!((48..=52).contains(&(shares[1] / SLICE)), "{shares:?} of {}", 100 * SLICE);
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let mut host = Host::new(2, &[1]);
    host.begin(0);
    let before = free();
    let change = |change: fn(&mut VmConfig)| {
        let mut config = config(1, 8);
        change(&mut config);
        make(config).err().unwrap_or_default()
    };
    let reasons = [
        (change(|config| config.memory = 8 << 20), "asks for 8192 KiB of memory, which is not free"),
        (change(|config| config.kernel.size = RAM), "is too small for its images"),
        (change(|config| config.places.entry = Some(Ipa(0))), "has a triptych,kernel-entry of"),
    ];
    for (reason, expected) in reasons {
        assert!(reason.starts_with(expected), "{reason}");
        assert_eq!(free(), before);
    }
    let taken: Vec<_> = (0..before.2 - 7).map(|_| resources::Seat::take().unwrap()).collect();
    assert_eq!(change(|_| ()), "asks for 8 CPUs, more than the machine's have room for");
    drop(taken);
    assert_eq!(free(), before);
    let vmids: Vec<_> = std::iter::from_fn(resources::OwnVmid::take).collect();
    assert_eq!(change(|_| ()), "is one VM too many: there can be 64");
    drop(vmids);
    assert_eq!(free(), before);
}

/// It is woken for a vCPU before all VMs are there, and then for all of them.
#[test]
fn a_cpu_that_is_woken_while_it_waits_to_begin_is_woken_again() {
    static ALL_THERE: AtomicBool = AtomicBool::new(false);
    let _host = Host::new(2, &[1, 1]);
    assert!(machine::with(|machine| machine.cpus[1].kicked), "its vCPU was given to it");
    machine::with(|machine| {
        machine.current = 1;
        machine.elsewhere = Some(|| {
            ALL_THERE.store(true, Ordering::Release);
            machine::with(|machine| machine.current = 0);
            crate::wake::kick_others();
            machine::with(|machine| machine.current = 1);
            false
        });
    });
    cpu::sleep_until(&ALL_THERE);
}
