// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices, and their interrupts.

use super::*;

const UART: u64 = 0x0900_0000;
const RTC: u64 = 0x0901_0000;
const GICD: u64 = 0x0800_0000;

/// A register of each device, and what it reads as at first.
const REGISTERS: &[(u64, u32)] = &[(UART + 0xFE0, 0x11), (RTC + 0xFE0, 0x31)];

#[test]
fn each_device_answers_where_its_node_says() {
    let mut host = Host::started(1, &[1]);
    for (register, value) in REGISTERS {
        assert_eq!(host.load(0, *register), *value, "{register:#x}: is its device in `devices!`?");
    }
    for (node, range) in Devices::places() {
        assert!(REGISTERS.iter().any(|(register, _)| range.holds(*register, 4)), "`REGISTERS` has none of {node}");
    }
}

/// An SPI is enabled, in group 1.
fn enable(host: &mut Host, intid: u32) {
    host.store(0, GICD + 0x84, u32::MAX);
    host.store(0, GICD + 0x104, 1 << (intid - 32));
}

fn print(host: &mut Host, text: &str) {
    for byte in text.bytes() {
        host.store(0, UART, byte.into());
    }
}

#[test]
fn lines_are_printed_with_their_vms_name() {
    let mut host = Host::started(1, &[1]);
    print(&mut host, "hello");
    assert_eq!(printed(), "");
    print(&mut host, "\n");
    assert_eq!(printed(), "[vm1] hello\r\n");
}

#[test]
fn an_incomplete_line_is_printed_after_a_while() {
    let mut host = Host::started(1, &[1]);
    print(&mut host, "work");
    host.run(0, machine::FREQUENCY / 4);
    assert_eq!(printed(), "");
    host.run(0, machine::FREQUENCY / 2);
    assert_eq!(printed(), "[vm1] work");
}

#[test]
fn what_is_typed_comes_to_the_selected_vm_and_interrupts_it() {
    let mut host = Host::started(1, &[1, 1]);
    scheduling::open(&mut host, 0);
    enable(&mut host, 33);
    // UARTCR: it receives; UARTIMSC: and interrupts for that.
    host.store(0, UART + 0x30, 0x301);
    host.store(0, UART + 0x38, 1 << 4 | 1 << 6);
    machine::with(|machine| machine.typed.extend(b"x\x01ny"));
    host.interrupts(0);
    assert!(printed().contains("[HYP] console: vm2\r\n"));
    host.run(0, SLICE / 10);
    assert_eq!(pending(0), [33]);
    assert_eq!(host.load(0, UART), b'x'.into());
    assert_ne!(host.load(0, UART + 0x18) & 1 << 4, 0, "nothing more");
    host.until(0, (2, 0));
    assert_eq!(host.load(0, UART), b'y'.into());
}

#[test]
fn what_nobody_reads_is_lost_and_said_to_be() {
    let mut host = Host::started(1, &[1]);
    for _ in 0..300 {
        machine::with(|machine| machine.typed.extend([b'x'; 32]));
        host.interrupts(0);
    }
    assert_eq!(printed(), "[HYP] vm1: does not read what is typed; more of it is lost\r\n");
    host.load(0, UART);
    let said = printed();
    assert!(said.contains("bytes typed for it are lost"), "{said}");
}

#[test]
fn an_alarm_wakes_who_waits_for_it() {
    let mut host = Host::started(1, &[1, 1]);
    scheduling::open(&mut host, 0);
    enable(&mut host, 34);
    let now = host.load(0, RTC);
    host.store(0, RTC + 4, now + 2);
    host.store(0, RTC + 0x10, 1);
    host.wfi(0);
    host.run(0, machine::FREQUENCY);
    assert_eq!(host.runs(0), (2, 0));
    host.run(0, machine::FREQUENCY);
    assert_eq!(host.runs(0), (1, 0));
    assert_eq!(pending(0), [34]);
}

#[test]
fn a_timer_reaches_its_guest_and_is_not_taken_again_before_it_was_handled() {
    let mut host = Host::started(1, &[1]);
    scheduling::open(&mut host, 0);
    for (timer, intid) in [(0, 27), (1, 30)] {
        guest(0, |guest| guest.timers[timer] = (1, 0));
        host.interrupts(0);
        assert_eq!(pending(0), [intid]);
        let interface = |f: fn(&mut crate::arch::host::interface::VirtualInterface) -> u32| {
            machine::with(|machine| f(&mut machine.cpus[0].interface))
        };
        assert_eq!(interface(|interface| interface.acknowledge(crate::arch::interface::Group::One)), intid);
        assert_ne!(interface(|interface| interface.physical()) & 1 << intid, 0);
        guest(0, |guest| guest.timers[timer] = (0, 0));
        machine::with(|machine| machine.cpus[0].interface.end(intid));
        assert_eq!(interface(|interface| interface.physical()), 0);
    }
}

/// Who is switched away from keeps a timer's interrupt that he is handling.
#[test]
fn a_timer_that_is_being_handled_stays_so_over_a_switch() {
    let mut host = Host::started(1, &[1, 1]);
    scheduling::open(&mut host, 0);
    guest(0, |guest| guest.timers[0] = (1, 0));
    host.interrupts(0);
    let physical = || machine::with(|machine| machine.cpus[0].interface.physical());
    assert_eq!(physical(), 1 << 27);
    host.until(0, (2, 0));
    assert_eq!(physical(), 0);
    host.until(0, (1, 0));
    assert_eq!(physical(), 1 << 27);
}

#[test]
fn accesses_that_no_device_answers_are_nobodys() {
    let mut host = Host::started(1, &[1]);
    for ipa in [UART + 2, RTC + 1, GICD + 2, 0x080C_0000] {
        host.exception(0, ACCESS, ipa, ipa);
        assert_eq!(guest(0, |guest| guest.exception[3]), ipa);
    }
}

#[test]
fn pairs_and_write_back_are_decoded_from_the_instruction() {
    let mut host = Host::started(1, &[1]);
    // str w1, [x2], #4
    host.set_word(0, KERNEL, 0xB800_4441);
    host.vcpu(0).frame.x[2] = UART;
    for byte in b"hi\n" {
        guest(0, |guest| guest.pc = KERNEL);
        host.vcpu(0).frame.x[1..3].copy_from_slice(&[u64::from(*byte), UART]);
        host.exception(0, DATA_ABORT | WRITE, UART, UART);
        assert_eq!(host.vcpu(0).frame.x[2], UART + 4);
        assert_eq!(guest(0, |guest| guest.pc), KERNEL + 4);
    }
    assert_eq!(printed(), "[vm1] hi\r\n");
    // ldp w3, w4, [x2]: GICR_IPRIORITYR0 and the next.
    let frame = 0x080B_0400;
    host.store(0, frame, 0x1020_3040);
    host.store(0, frame + 4, 0x5060_7080);
    host.set_word(0, KERNEL, 0x2940_1043);
    host.vcpu(0).frame.x[2] = frame;
    guest(0, |guest| guest.pc = KERNEL);
    host.exception(0, DATA_ABORT, frame, frame);
    assert_eq!(host.vcpu(0).frame.x[3..5], [0x1020_3040, 0x5060_7080]);
}

/// What another vCPU holds is read when that one has looked: once for all of a pair, and again the next time.
#[test]
fn a_pair_of_states_is_read_once_who_holds_them_has_looked() {
    const CPU_ON: u64 = 0xC400_0003;
    const STATES: u64 = GICD + 0x204;
    let mut host = Host::started(1, &[2]);
    host.store(0, GICD, 2);
    for (n, bit) in [(1, 8), (2, 6)] {
        host.store(0, GICD + 0x80 + 4 * n, u32::MAX);
        host.store(0, GICD + 0x100 + 4 * n, 1 << bit);
        host.store(0, GICD + 0x6000 + 8 * (32 * n + bit), 1);
        host.store(0, GICD + 0x200 + 4 * n, 1 << bit);
    }
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.until(0, (1, 1));
    assert_eq!(pending(0), [40, 70]);
    host.until(0, (1, 0));
    // ldp w3, w4, [x2]; ldp s3, s4, [x2]
    for (instruction, vector) in [(0x2940_1043, false), (0x2940_1043, false), (0x2D40_1043, true)] {
        host.set_word(0, KERNEL, instruction);
        host.vcpu(0).frame.x[2..5].copy_from_slice(&[STATES, 0, 0]);
        guest(0, |guest| guest.pc = KERNEL);
        host.exception(0, DATA_ABORT, STATES, STATES);
        assert_eq!(host.runs(0), (1, 1), "it waits");
        host.until(0, (1, 0));
        assert_eq!(guest(0, |guest| guest.pc), KERNEL, "it begins again");
        host.exception(0, DATA_ABORT, STATES, STATES);
        assert_eq!(host.runs(0), (1, 0));
        assert_eq!(guest(0, |guest| guest.pc), KERNEL + 4, "and does not wait again");
        if !vector {
            assert_eq!(host.vcpu(0).frame.x[3..5], [1 << 8, 1 << 6]);
        }
    }
}

/// The instruction is the guest's to change: one that does not fit the fault is not believed.
#[test]
fn another_instruction_than_the_one_that_faulted_is_not_served() {
    let mut host = Host::started(1, &[1]);
    host.vcpu(0).frame.x[2] = UART;
    for (instruction, write) in [(0xB840_4441, WRITE), (0xB800_4441, 0), (0xD503_201F, 0), (0xB800_4443, 0)] {
        guest(0, |guest| guest.pc = KERNEL);
        host.set_word(0, KERNEL, instruction);
        host.exception(0, DATA_ABORT | write, UART, UART);
        assert_ne!(guest(0, |guest| guest.pc), KERNEL + 4, "{instruction:#x}");
        assert_eq!(host.vcpu(0).frame.x[2], UART);
    }
    assert!(printed().contains("by an instruction that devices are not accessed with"));
}

#[test]
fn a_big_endian_guest_has_its_bytes_in_its_order() {
    const EE: u64 = 1 << 25;
    let mut host = Host::started(1, &[1]);
    let frame = 0x080B_0400;
    guest(0, |guest| (guest.sctlr, guest.pstate) = (EE, 5));
    host.store(0, frame, 0x1020_3040);
    assert_eq!(host.load(0, frame), 0x1020_3040);
    guest(0, |guest| guest.sctlr = 0);
    assert_eq!(host.load(0, frame), 0x4030_2010);
}
