// SPDX-License-Identifier: MIT OR Apache-2.0
//! vCPUs and VMs that begin and end.

use super::*;

const CPU_SUSPEND: u64 = 0xC400_0001;
const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xC400_0003;
const AFFINITY_INFO: u64 = 0xC400_0004;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

const ALREADY_ON: u64 = -4i64 as u64;
const ON_PENDING: u64 = -5i64 as u64;

#[test]
fn a_vcpu_is_started_where_its_sibling_says() {
    let mut host = Host::started(2, &[2]);
    assert_eq!(host.hvc(0, [AFFINITY_INFO, 1, 0, 0]), 1, "off");
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL + 8, 0xC0FFEE]), 0);
    assert!(machine::with(|machine| machine.cpus[1].kicked), "its CPU is told");
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), ON_PENDING);
    assert_eq!(host.hvc(0, [AFFINITY_INFO, 1, 0, 0]), 2, "on its way");
    host.begin(1);
    assert_eq!(host.runs(1), (1, 1));
    assert_eq!(host.vcpu(1).frame.x[0], 0xC0FFEE);
    assert_eq!(guest(1, |guest| (guest.pc, guest.mpidr)), (KERNEL + 8, 1));
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), ALREADY_ON);
    assert_eq!(host.hvc(0, [AFFINITY_INFO, 1, 0, 0]), 0, "on");
}

#[test]
fn a_vcpu_that_goes_off_leaves_its_cpu_to_others_and_nothing_of_itself() {
    let mut host = Host::started(1, &[2, 1]);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 1]), 0);
    host.until(0, (1, 1));
    guest(0, |guest| guest.stacks = [7; 2]);
    host.vcpu(0).frame.x = [7; 31];
    host.hvc(0, [CPU_OFF, 0, 0, 0]);
    assert_ne!(host.runs(0), (1, 1));
    host.until(0, (1, 0));
    assert_eq!(host.hvc(0, [AFFINITY_INFO, 1, 0, 0]), 1);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 2]), 0);
    host.until(0, (1, 1));
    let x = host.vcpu(0).frame.x;
    assert_eq!((x[0], x[1..].iter().max()), (2, Some(&0)));
    assert_eq!(guest(0, |guest| guest.stacks), [0; 2]);
}

#[test]
fn suspending_is_waiting_with_success() {
    let mut host = Host::started(1, &[1, 1]);
    let deadline = timer::now() + SLICE / 4;
    guest(0, |guest| guest.timers[0] = (1, deadline));
    host.vcpu(0).frame.x[..2].copy_from_slice(&[CPU_SUSPEND, 0]);
    host.exception(0, SMC, 0, 0);
    assert_eq!(host.runs(0), (2, 0));
    host.run(0, SLICE / 4);
    assert_eq!(host.runs(0), (1, 0));
    assert_eq!(host.vcpu(0).frame.x[0], 0);
    assert_eq!(guest(0, |guest| guest.pc), KERNEL + 4, "behind the SMC");
}

#[test]
fn the_machine_goes_off_with_the_last_vm() {
    let mut host = Host::started(1, &[1, 1]);
    host.hvc(0, [SYSTEM_OFF, 0, 0, 0]);
    assert_eq!(host.runs(0), (2, 0));
    assert_eq!(host.vms.iter().map(|vm| vm.is_alive()).collect::<Vec<_>>(), [false, true]);
    assert!(printed().contains("[HYP] vm1: powered off\r\n"));
    assert!(switches_off(|| {
        host.hvc(0, [CPU_OFF, 0, 0, 0]);
    }));
    assert!(printed().contains("[HYP] vm2: powered off\r\n[HYP] all VMs are off\r\n"));
}

#[test]
fn a_vm_ends_when_all_its_cpus_have_let_go_of_it() {
    let mut host = Host::started(2, &[2, 1, 1]);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.begin(1);
    host.until(1, (1, 1));
    host.interrupts(1);
    host.hvc(0, [SYSTEM_OFF, 0, 0, 0]);
    host.run(0, 2 * SLICE);
    assert_eq!(host.runs(0), (2, 0));
    assert!(host.vms[0].is_alive(), "the other CPU may still be in it");
    assert!(machine::with(|machine| machine.cpus[1].kicked));
    host.interrupts(1);
    host.run(1, 2 * SLICE);
    assert_eq!(host.runs(1), (3, 0));
    assert!(!host.vms[0].is_alive());
}

#[test]
fn a_vcpu_that_was_about_to_start_does_not_when_its_vm_ends() {
    let mut host = Host::started(2, &[2, 1, 1]);
    host.begin(1);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.hvc(0, [SYSTEM_OFF, 0, 0, 0]);
    host.interrupts(1);
    assert_eq!(host.runs(1).0, 3);
    assert!(!host.vms[0].is_alive());
}

#[test]
fn a_reset_brings_everything_back_but_the_time() {
    let mut host = Host::started(1, &[1, 1]);
    scheduling::open(&mut host, 0);
    for ipa in (BASE..BASE + RAM).step_by(4096) {
        host.set_word(0, ipa, 0xBAD);
    }
    host.set_word(0, KERNEL + 4088, 0xBAD);
    // The clock is an hour ahead, its alarm is on, and the UART's interrupt is up.
    let seconds = host.load(0, 0x0901_0000);
    host.store(0, 0x0901_0008, seconds + 3600);
    host.store(0, 0x0901_0004, seconds + 3600);
    host.store(0, 0x0901_0010, 1);
    host.store(0, 0x0900_0038, 1 << 5);
    host.store(0, 0x0900_0000, b'!'.into());
    host.hvc(0, [SYSTEM_RESET, 0, 0, 0]);
    host.until(0, (1, 0));
    let (ram, kernel) = (BASE..BASE + RAM, KERNEL + 4088);
    let left =
        ram.step_by(8).filter(|ipa| *ipa != kernel && *ipa >= BASE + 0x1_0000).find(|ipa| host.word(0, *ipa) != 0);
    assert_eq!(left, None, "a word of the earlier life");
    assert_eq!((host.word(0, kernel), host.word(0, BASE) as u32), (MARK, u32::from_be(0xD00D_FEED)));
    assert_eq!(host.vcpu(0).frame.x[0], BASE);
    assert_eq!(guest(0, |guest| (guest.pc, guest.mpidr)), (KERNEL, 0));
    assert_eq!(host.load(0, 0x0800_0000) & 3, 0, "GICD_CTLR");
    assert_eq!(host.load(0, 0x0801_0000 - 0x1_0000 + 0x104), 0, "GICD_ISENABLER1");
    assert_eq!(host.load(0, 0x080B_0200), 0, "GICR_ISPENDR0");
    assert_eq!(host.load(0, 0x0801_0000 - 0x1_0000 + 0x204), 0, "GICD_ISPENDR1");
    assert_eq!(host.load(0, 0x0901_0010), 0, "the alarm's mask");
    assert!(host.load(0, 0x0901_0000) >= seconds + 3600, "the clock went on");
    assert!(printed().contains("vm1: reset\r\n"));
}

/// The other VM's guest goes on between the pieces of a reset.
#[test]
fn a_reset_takes_turns_with_others() {
    let mut host = Host::started(1, &[1, 1]);
    host.hvc(0, [SYSTEM_RESET, 0, 0, 0]);
    assert!(host.vms[0].is_resetting());
    assert_eq!(host.runs(0), (2, 0));
}

#[test]
fn a_crash_ends_the_vm_alone() {
    let mut host = Host::started(1, &[1, 1]);
    host.leave(0, trap::serror);
    assert_eq!(host.runs(0), (2, 0));
    assert!(printed().contains("vm1: crashed: asynchronous external abort\r\n"));
    assert!(!host.vms[0].is_alive());
}

#[test]
fn the_first_start_is_where_the_configuration_says() {
    let entry = |config: &mut VmConfig| config.places.entry = Some(Ipa(KERNEL + 64));
    let mut host = Host::with(1, &[1], entry);
    host.begin(0);
    assert_eq!(guest(0, |guest| guest.pc), KERNEL + 64);
}
