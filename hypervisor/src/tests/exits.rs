// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest does that it cannot do by itself.

use super::*;

/// Where exceptions of the guest's go.
const VBAR: u64 = 0xFFFF_0000_0000_1000;
const EL1H: u64 = 0x5;

fn at_el1(host: &mut Host) {
    let _ = host.runs(0);
    guest(0, |guest| (guest.vbar, guest.pstate, guest.pc) = (VBAR, EL1H, KERNEL));
}

#[test]
fn an_instruction_that_is_not_there_is_undefined_to_the_guest() {
    let mut host = Host::started(1, &[1]);
    at_el1(&mut host);
    // An exception class that nobody serves.
    host.exception(0, 0x07 << 26 | IL, 0, 0);
    let (pc, exception) = guest(0, |guest| (guest.pc, guest.exception));
    assert_eq!((pc, exception[0], exception[1]), (VBAR + 0x200, KERNEL, EL1H));
    assert_eq!(exception[2] >> 26, 0, "unknown reason");
}

#[test]
fn what_is_not_there_aborts_and_is_said_a_few_times() {
    let mut host = Host::started(1, &[1]);
    at_el1(&mut host);
    for _ in 0..20 {
        guest(0, |guest| guest.pc = KERNEL);
        host.exception(0, ACCESS | WRITE, 0xFFFF_0000_0000_0018, NOBODY);
    }
    let (pc, exception) = guest(0, |guest| (guest.pc, guest.exception));
    assert_eq!((pc, exception[3]), (VBAR + 0x200, 0xFFFF_0000_0000_0018));
    assert_eq!(exception[2] >> 26, 0x25, "a data abort at the same level");
    let said = printed();
    assert!(said.contains(&format!("vm1: nothing at IPA {:#x} for a write (pc 0x40200000)", NOBODY + 0x18)), "{said}");
    assert_eq!(said.matches("nothing at").count(), 5);
}

#[test]
fn nothing_is_run_where_nothing_is() {
    let mut host = Host::started(1, &[1]);
    at_el1(&mut host);
    host.exception(0, 0x20 << 26 | IL, 0xFFFF_0000_0000_0000, NOBODY);
    assert_eq!(guest(0, |guest| guest.exception[2]) >> 26, 0x21);
    assert!(printed().contains(&format!("nothing at IPA {NOBODY:#x} to run")));
}

#[test]
fn page_tables_outside_of_ram_are_said_to_be_that() {
    let mut host = Host::started(1, &[1]);
    at_el1(&mut host);
    host.exception(0, ACCESS | 1 << 7, 0xFFFF_0000_0000_0000, NOBODY);
    assert!(printed().contains(&format!("nothing at IPA {NOBODY:#x} for its page tables")));
}

#[test]
fn the_step_of_a_stepping_guest_was_the_instruction_that_trapped() {
    const SS: u64 = 1 << 21;
    let mut host = Host::started(1, &[1]);
    guest(0, |guest| guest.pstate = EL1H | SS);
    host.load(0, 0x0900_0018);
    assert_eq!(guest(0, |guest| (guest.pc, guest.pstate)), (KERNEL + 4, EL1H));
}

#[test]
fn unknown_calls_are_not_supported_and_leave_the_rest() {
    let mut host = Host::started(1, &[1]);
    for function in [0x8600_FF01, 0xC500_0001, 0x8300_0000] {
        assert_eq!(host.hvc(0, [function, 1, 2, 3]), u64::MAX);
        assert_eq!(host.vcpu(0).frame.x[1..4], [1, 2, 3]);
    }
    // SMCCC_VERSION, by an immediate that is nobody's.
    host.vcpu(0).frame.x[0] = 0x8000_0000;
    host.exception(0, HVC | 1, 0, 0);
    assert_eq!(host.vcpu(0).frame.x[0], u64::MAX);
    assert_eq!(host.hvc(0, [0x8000_0000, 0, 0, 0]), 0x1_0004);
}

#[test]
fn id_registers_can_be_read_and_others_cannot() {
    let mut host = Host::started(1, &[1]);
    at_el1(&mut host);
    host.vcpu(0).frame.x[1] = 77;
    // ID_AA64PFR0_EL1, of a fake CPU that has nothing, but for what a guest has in any case.
    assert_ne!(host.mrs(0, (3, 0, 0, 4, 0)), 77);
    assert_eq!(guest(0, |guest| guest.pc), KERNEL + 4);
    // ACTLR_EL1
    assert_eq!(host.mrs(0, (3, 0, 1, 0, 1)), 0);
    host.vcpu(0).frame.x[1] = 77;
    // LORC_EL1
    assert_eq!(host.mrs(0, (3, 0, 10, 4, 3)), 77);
    assert_eq!(guest(0, |guest| guest.pc), VBAR + 0x200);
}

#[test]
fn debug_registers_are_the_guests_once_it_switches_one_on() {
    const MDSCR: (u64, u64, u64, u64, u64) = (2, 0, 0, 2, 2);
    let mut host = Host::started(1, &[1]);
    at_el1(&mut host);
    host.msr(0, MDSCR, 1 << 12);
    assert_eq!(host.mrs(0, MDSCR), 1 << 12);
    assert!(!host.vcpu(0).debug.is_live());
    let pc = guest(0, |guest| guest.pc);
    host.msr(0, MDSCR, 1 << 15);
    assert!(host.vcpu(0).debug.is_live());
    assert_eq!(guest(0, |guest| guest.pc), pc, "the instruction runs again");
}
