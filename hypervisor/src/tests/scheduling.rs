// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which vCPU a CPU runs.

use super::*;
use crate::vgic::sgi::SgiRegister;

/// ICC_SGI1R_EL1.
const SGI1R: (u64, u64, u64, u64, u64) = (3, 0, 12, 11, 5);
const CPU_ON: u64 = 0xC400_0003;

#[test]
fn a_vm_begins_at_its_kernel_with_its_tree() {
    let mut host = Host::started(1, &[1]);
    assert_eq!(host.runs(0), (1, 0));
    assert_eq!(host.vcpu(0).frame.x[0], BASE);
    assert_eq!(guest(0, |guest| (guest.pc, guest.mpidr, guest.pstate)), (KERNEL, 0, 0x3C5));
    assert_eq!(host.word(0, KERNEL + 4088), MARK);
    assert_eq!(host.word(0, BASE) as u32, u32::from_be(0xD00D_FEED), "a device tree");
}

#[test]
fn busy_vms_take_turns_and_have_the_same() {
    let mut host = Host::started(1, &[1, 1, 1]);
    let shares = host.shares(0, 300 * SLICE);
    assert!(shares.iter().all(|share| share.abs_diff(100 * SLICE) <= SLICE), "{shares:?}");
}

#[test]
fn alone_nobody_is_interrupted_often() {
    let mut host = Host::started(1, &[1]);
    let next = machine::with(|machine| machine.cpus[0].timer).unwrap();
    assert_eq!(next - timer::now(), machine::FREQUENCY / 20);
    host.run(0, machine::FREQUENCY);
    assert_eq!(host.runs(0), (1, 0));
}

#[test]
fn each_vcpu_finds_its_own_registers() {
    let mut host = Host::started(1, &[1, 1]);
    for (first, second) in [(1, 2), (2, 1)] {
        assert_eq!(host.runs(0).0, first);
        guest(0, |guest| {
            guest.stacks = [first.into(), 0];
            guest.vectors[7] = first.into();
        });
        host.vcpu(0).frame.x[30] = first.into();
        host.run(0, SLICE);
        assert_eq!(host.runs(0).0, second);
    }
    assert_eq!(guest(0, |guest| (guest.stacks[0], guest.vectors[7])), (1, 1));
    assert_eq!(host.vcpu(0).frame.x[30], 1);
    assert_eq!(machine::with(|machine| machine.cpus[0].stage2) >> 48, 1, "the VM's stage 2");
}

#[test]
fn who_waits_leaves_the_cpu_and_runs_at_once_when_his_timer_fires() {
    let mut host = Host::started(1, &[1, 1]);
    assert_eq!(host.runs(0), (1, 0));
    let deadline = timer::now() + SLICE / 2;
    guest(0, |guest| guest.timers[0] = (1, deadline));
    host.wfi(0);
    assert_eq!(host.runs(0), (2, 0));
    host.run(0, SLICE / 2 - 1);
    assert_eq!(host.runs(0), (2, 0));
    host.run(0, 1);
    assert_eq!(host.runs(0), (1, 0), "he has had less than the other");
}

/// Nobody else is ready: his own turn's end does not keep the other one waiting.
#[test]
fn who_wakes_takes_over_though_the_other_has_just_begun() {
    let mut host = Host::started(1, &[1, 1]);
    host.until(0, (2, 0));
    let deadline = timer::now() + 1;
    guest(0, |guest| guest.timers[1] = (1, deadline));
    host.wfi(0);
    assert_eq!(host.runs(0), (1, 0));
    host.run(0, 10);
    assert_eq!(host.runs(0), (2, 0));
}

#[test]
fn an_interrupt_that_is_there_keeps_a_guest_from_sleeping() {
    let mut host = Host::started(1, &[1, 1]);
    // Group 1 on, all priorities let through, SGI 3 enabled.
    open(&mut host, 0);
    host.msr(0, SGI1R, 3 << 24 | 1);
    assert_eq!(pending(0), [3]);
    host.wfi(0);
    assert_eq!(host.runs(0), (1, 0));
}

#[test]
fn a_cpu_with_nothing_to_do_sleeps_until_a_timer() {
    let mut host = Host::started(1, &[1]);
    open(&mut host, 0);
    let deadline = timer::now() + 12_345;
    guest(0, |guest| guest.timers[0] = (1, deadline));
    host.wfi(0);
    assert_eq!((host.runs(0), timer::now()), ((1, 0), deadline));
}

#[test]
fn a_vcpu_is_kicked_out_of_its_guest_for_an_interrupt_of_a_sibling() {
    let mut host = Host::started(2, &[2]);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.begin(1);
    assert_eq!(host.runs(1), (1, 1));
    open(&mut host, 0);
    open(&mut host, 1);
    host.interrupts(1);
    host.msr(0, SGI1R, 5 << 24 | 2);
    assert!(machine::with(|machine| machine.cpus[1].kicked));
    assert!(pending(1).is_empty());
    host.interrupts(1);
    assert_eq!(pending(1), [5]);
}

/// Who waits for its turn finds what came when it comes, so that nobody's guest is disturbed for it.
#[test]
fn a_vcpu_that_waits_for_its_turn_is_no_reason_for_a_kick() {
    // vm1 has a vCPU on each CPU, vm2 is on the first, vm3 on the second.
    let mut host = Host::started(2, &[2, 1, 1]);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.begin(1);
    host.run(1, 3 * SLICE);
    host.until(1, (1, 1));
    open(&mut host, 1);
    host.until(1, (3, 0));
    host.interrupts(1);
    host.until(0, (1, 0));
    open(&mut host, 0);
    host.msr(0, SGI1R, 5 << 24 | 2);
    assert!(!machine::with(|machine| machine.cpus[1].kicked));
    host.until(1, (1, 1));
    assert_eq!(pending(1), [5]);
}

/// What an SGI storm against a vCPU that is off costs others: nothing.
#[test]
fn a_vcpu_that_is_off_is_not_woken() {
    let mut host = Host::started(2, &[2, 1, 1]);
    host.begin(1);
    assert_eq!(host.runs(1), (3, 0));
    host.interrupts(1);
    host.msr(0, SGI1R, 5 << 24 | 2);
    assert!(!machine::with(|machine| machine.cpus[1].kicked));
}

#[test]
fn vcpus_of_one_vm_on_one_cpu_do_not_share_translations() {
    let mut host = Host::started(1, &[2]);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    let flushes = || machine::with(|machine| machine.cpus[0].flushes);
    let before = flushes();
    host.until(0, (1, 1));
    assert_eq!(flushes(), before + 1);
    host.until(0, (1, 0));
    assert_eq!(flushes(), before + 2);
}

/// Who waits for another vCPU's answer may be woken by its siblings all the time: others that share its CPU do not
/// notice.
#[test]
fn a_vcpu_that_is_woken_in_vain_keeps_no_interrupt_from_its_cpu() {
    // vm1 has a vCPU on each CPU, vm2 is on the first and sleeps until its timer fires.
    let mut host = Host::started(2, &[2, 1]);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.begin(1);
    open(&mut host, 1);
    host.until(0, (2, 0));
    let deadline = timer::now() + SLICE;
    guest(0, |guest| guest.timers[0] = (1, deadline));
    host.wfi(0);
    assert_eq!(host.runs(0), (1, 0));
    open(&mut host, 0);
    // The second vCPU has SPI 40 in a list register and does not take it.
    host.store(0, 0x0800_0084, u32::MAX);
    host.store(0, 0x0800_0104, 1 << 8);
    host.store(0, 0x0800_6000 + 8 * 40, 1);
    host.store(0, 0x0800_0204, 1 << 8);
    host.interrupts(1);
    assert_eq!(pending(1), [40]);
    // A third one, as it were, sends the first SGIs while that waits for what the second has of it.
    machine::with(|machine| {
        machine.elsewhere = Some(|| {
            let current = machine::with(|machine| {
                machine.cpus[0].now += 1000;
                core::mem::replace(&mut machine.current, 1)
            });
            let vm = crate::registry::get(0).unwrap();
            vm.notify(vm.vgic.send_sgi(1, SgiRegister::Group1, 5 << 24 | 1));
            vm.notify(1);
            machine::with(|machine| machine.current = current);
            assert!(machine::with(|machine| machine.cpus[0].now) < 1_000_000_000, "the CPU serves nobody else");
            true
        });
    });
    host.exception(0, ACCESS, 0x0800_0204, 0x0800_0204);
    machine::with(|machine| machine.elsewhere = None);
    assert_eq!(host.runs(0), (2, 0));
    assert!(timer::now() < deadline + SLICE);
}

/// The guest takes interrupts: group 1 is on, all priorities pass, private interrupts are enabled.
pub(super) fn open(host: &mut Host, cpu: usize) {
    machine::with(|machine| machine.cpus[cpu].interface.open());
    let index = host.vcpu(cpu).index as u64;
    let frame = 0x080A_0000 + index * 0x2_0000 + 0x1_0000;
    // GICD_CTLR, GICR_IGROUPR0, GICR_ISENABLER0
    host.store(cpu, 0x0800_0000, 3);
    host.store(cpu, frame + 0x80, u32::MAX);
    host.store(cpu, frame + 0x100, u32::MAX);
}
