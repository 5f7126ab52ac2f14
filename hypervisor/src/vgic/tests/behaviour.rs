// SPDX-License-Identifier: MIT OR Apache-2.0
//! What guests see, one thing at a time.

use super::*;
use crate::arch::host::interface;
use crate::arch::interface::{Group, PHYSICAL_TIMER, VIRTUAL_TIMER};
use crate::vgic::bank::Bits;

const HW: u64 = 1 << 61;

#[test]
fn an_sgi_reaches_its_targets_and_nobody_else() {
    let mut vm = Vm::enabled(4, 4);
    // INTID 5 to Aff0 1 and 2.
    assert_eq!(vm.sgi(0, SgiRegister::Group1, 5 << 24 | 0b0110), 0b0110);
    assert!(vm.waits(0) && !vm.waits(1) && !vm.waits(2) && vm.waits(3));
    assert_eq!(vm.acknowledge(1), 5);
    // IRM: everybody else.
    assert_eq!(vm.sgi(3, SgiRegister::Group1, 1 << 40), 0b0111);
    // Clusters and vCPUs that are not there, and a group that it is not in.
    assert_eq!(vm.sgi(0, SgiRegister::Group1, 1 << 16 | 1), 0);
    assert_eq!(vm.sgi(0, SgiRegister::Group1, 0xFFF0), 0);
    assert_eq!(vm.sgi(0, SgiRegister::Group0, 7 << 24 | 0b1000), 0);
    vm.gicr(3, 0x80, !(1 << 7));
    assert_eq!(vm.sgi(0, SgiRegister::Group1, 7 << 24 | 0b1000), 0);
    assert_eq!(vm.sgi(0, SgiRegister::Group0, 7 << 24 | 0b1000), 0b1000);
    // Where there is one range of affinities it is not selected (ICC_CTLR_EL1.RSS).
    assert_eq!(vm.sgi(0, SgiRegister::Group1, 1 << 44 | 0b0100), 0b0100);
}

#[test]
fn who_has_an_sgi_already_is_not_told_again() {
    let mut vm = Vm::new(2, 4);
    for _ in 0..100 {
        vm.sgi(0, SgiRegister::Group1, 0b10);
    }
    assert_eq!(vm.told, [0, 1]);
}

#[test]
fn an_sgi_sent_while_the_last_one_is_handled_comes_again() {
    let mut vm = Vm::enabled(1, 4);
    for _ in 0..2 {
        vm.sgi(0, SgiRegister::Group1, 1);
    }
    assert_eq!(vm.cpus[0].pending(), [0], "two before it is taken are one");
    assert_eq!(vm.acknowledge(0), 0);
    vm.sgi(0, SgiRegister::Group1, 1);
    vm.end(0, 0);
    assert_eq!(vm.acknowledge(0), 0);
    vm.end(0, 0);
    assert!(vm.waits(0));
    assert_eq!(vm.acknowledge(0), SPURIOUS);
}

#[test]
fn a_level_comes_again_until_the_device_lets_go() {
    let mut vm = Vm::enabled(1, 4);
    vm.line(UART, true);
    for _ in 0..3 {
        assert_eq!(vm.acknowledge(0), UART);
        vm.end(0, UART);
    }
    assert_eq!(vm.acknowledge(0), UART);
    vm.line(UART, false);
    vm.end(0, UART);
    assert_eq!(vm.acknowledge(0), SPURIOUS);
}

#[test]
fn a_level_that_falls_before_it_is_taken_is_withdrawn() {
    let mut vm = Vm::enabled(1, 4);
    vm.line(UART, true);
    assert!(!vm.waits(0));
    vm.line(UART, false);
    assert!(vm.waits(0));
    assert_eq!(vm.acknowledge(0), SPURIOUS);
}

#[test]
fn a_level_that_was_also_set_pending_stays_when_it_falls() {
    let mut vm = Vm::enabled(1, 4);
    vm.line(UART, true);
    vm.gicd(0x204, 1 << 1);
    vm.line(UART, false);
    assert!(vm.is_pending(0, UART));
    assert_eq!(vm.acknowledge(0), UART);
    vm.end(0, UART);
    assert_eq!(vm.acknowledge(0), SPURIOUS);
}

#[test]
fn an_interrupt_that_a_guest_is_given_is_recorded_once() {
    use shared_abi::trace::Event;
    let mut vm = Vm::enabled(2, 4);
    crate::trace::taken();
    vm.sgi(0, SgiRegister::Group1, 5 << 24 | 0b10);
    vm.inspect();
    vm.inspect();
    let given = [(3, Event::VirtualInterrupt { vcpu: 1, intid: 5 })];
    assert_eq!(crate::trace::taken(), given);
    // Again, while the guest handles it.
    assert_eq!(vm.acknowledge(1), 5);
    vm.sgi(0, SgiRegister::Group1, 5 << 24 | 0b10);
    vm.inspect();
    assert_eq!(crate::trace::taken(), given);
}

#[test]
fn an_interrupt_that_is_disabled_waits() {
    let mut vm = Vm::enabled(1, 4);
    vm.sgi(0, SgiRegister::Group1, 3 << 24 | 1);
    vm.gicr(0, 0x180, 1 << 3);
    assert!(vm.waits(0));
    assert_eq!(vm.acknowledge(0), SPURIOUS);
    assert!(vm.is_pending(0, 3));
    vm.gicr(0, 0x100, 1 << 3);
    assert!(!vm.waits(0));
    // The whole group.
    vm.gicd(0, 0);
    assert!(vm.waits(0));
    vm.gicd(0, 2);
    assert_eq!(vm.acknowledge(0), 3);
}

#[test]
fn the_most_urgent_interrupts_get_the_list_registers() {
    let mut vm = Vm::enabled(1, 2);
    for (intid, priority) in [(40, 0xA0), (41, 0x80), (42, 0x20), (43, 0x90)] {
        vm.priority(0, intid, priority);
        vm.line(intid, true);
    }
    let mut pending = vm.cpus[0].pending();
    pending.sort_unstable();
    assert_eq!(pending, [41, 42]);
    // A more urgent one pushes the least urgent out.
    vm.priority(0, 44, 0x10);
    vm.line(44, true);
    let order: Vec<u32> = (0..5)
        .map(|_| {
            let intid = vm.acknowledge(0);
            vm.line(intid, false);
            vm.end(0, intid);
            intid
        })
        .collect();
    assert_eq!(order, [44, 42, 41, 43, 40]);
    assert!(!vm.cpus[0].control.none_pending);
}

#[test]
fn a_priority_that_changes_while_its_interrupt_waits_counts() {
    let mut vm = Vm::enabled(1, 4);
    vm.priority(0, 40, 0x80);
    vm.priority(0, 41, 0x90);
    vm.line(40, true);
    vm.line(41, true);
    vm.priority(0, 41, 0x70);
    assert_eq!(vm.acknowledge(0), 41);
}

#[test]
fn interrupts_nest_as_deep_as_there_are_priorities() {
    for list_registers in [1, 2, 4, 16] {
        let mut vm = Vm::enabled(1, list_registers);
        // Each more urgent than the one before, each in the middle of the last one's handler.
        let depth = 30;
        for n in 0..depth {
            vm.priority(0, 40 + n, (0xF0 - 8 * n) as u8);
            vm.line(40 + n, true);
            assert_eq!(vm.acknowledge(0), 40 + n, "{list_registers} list registers");
        }
        for n in (0..depth).rev() {
            vm.line(40 + n, false);
            vm.end(0, 40 + n);
            assert!(!vm.is_active(0, 40 + n) && (n == 0 || vm.is_active(0, 39 + n)));
            assert_eq!(vm.acknowledge(0), SPURIOUS);
        }
        assert_eq!(vm.cpus[0].control, Default::default());
    }
}

#[test]
fn a_wish_that_its_holder_did_not_see_is_fulfilled_before_the_write_is_over() {
    let vm = Vm::enabled(1, 4);
    let bank = vm.vgic.bank(0, 1);
    for (register, active) in [(Bits::ClearPending, 0), (Bits::SetActive, 1), (Bits::ClearActive, 0)] {
        // It is held, as far as who writes the register can see, and its holder is looking no more.
        bank.held.set(1);
        bank.write(register, 1);
        assert_eq!(bank.settle(1), 1);
        bank.release(1);
        assert_eq!(vm.vgic.concerned(0, 1).hold, 0);
        assert_eq!((bank.wishes(), bank.active.get(), bank.held.get()), (0, active, 0), "{register:?}");
    }
}

#[test]
fn ends_of_nothing_end_nothing_later() {
    let mut vm = Vm::enabled(1, 1);
    // Counted by the CPU: neither is in a list register.
    vm.end(0, 77);
    vm.end(0, 78);
    for (intid, priority) in [(40, 0xA0), (41, 0x90)] {
        vm.priority(0, intid, priority);
        vm.line(intid, true);
        assert_eq!(vm.acknowledge(0), intid);
    }
    vm.line(42, true);
    assert!(vm.is_active(0, 40) && vm.is_active(0, 41));
}

#[test]
fn many_active_interrupts_block_neither_another_one_nor_the_timer() {
    let mut vm = Vm::enabled(1, 4);
    vm.cpus[0].split_end = true;
    // Their priority is dropped, they are not deactivated.
    for intid in 40..50 {
        vm.line(intid, true);
        assert_eq!(vm.acknowledge(0), intid);
        vm.end(0, intid);
    }
    vm.timer(0, VIRTUAL_TIMER, true);
    assert_eq!(vm.acknowledge(0), VIRTUAL_TIMER);
    vm.end(0, VIRTUAL_TIMER);
    // In any order, by register.
    for intid in [45, 40, 49, VIRTUAL_TIMER, 41, 42, 43, 44, 46, 47, 48] {
        assert!(vm.is_active(0, intid));
        vm.timer(0, VIRTUAL_TIMER, false);
        vm.line(intid, false);
        vm.deactivate(0, intid);
        assert!(!vm.is_active(0, intid), "{intid}");
    }
    assert_eq!(vm.cpus[0].physical(), 0);
    assert_eq!(vm.acknowledge(0), SPURIOUS);
}

#[test]
fn an_interrupt_that_was_set_active_is_deactivated_by_register() {
    let mut vm = Vm::enabled(1, 4);
    vm.cpus[0].split_end = true;
    vm.gicr(0, 0x300, 1 << 5);
    vm.gicd(0x304, 1 << 8);
    assert!(vm.is_active(0, 5) && vm.is_active(0, 40));
    // Active ones do not come.
    vm.sgi(0, SgiRegister::Group1, 5 << 24 | 1);
    vm.line(40, true);
    assert!(vm.waits(0));
    vm.deactivate(0, 5);
    assert!(!vm.is_active(0, 5));
    assert_eq!(vm.acknowledge(0), 5);
    vm.deactivate(0, 40);
    vm.end(0, 5);
    assert_eq!(vm.acknowledge(0), 40);
}

#[test]
fn a_vcpu_deactivates_what_another_one_handles() {
    let mut vm = Vm::enabled(2, 4);
    for cpu in &mut vm.cpus {
        cpu.split_end = true;
    }
    vm.inspect();
    vm.line(40, true);
    assert_eq!(vm.acknowledge(0), 40);
    vm.end(0, 40);
    vm.line(40, false);
    vm.deactivate(1, 40);
    assert!(!vm.is_active(0, 40));
    vm.line(40, true);
    assert_eq!(vm.acknowledge(0), 40);
}

#[test]
fn while_one_timer_is_handled_the_other_may_be_switched_off() {
    let mut vm = Vm::enabled(1, 4);
    vm.cpus[0].masked = true;
    vm.priority(0, VIRTUAL_TIMER, 0x80);
    vm.timer(0, VIRTUAL_TIMER, true);
    vm.timer(0, PHYSICAL_TIMER, true);
    assert_eq!(vm.acknowledge(0), PHYSICAL_TIMER);
    vm.cpus[0].set_timer(VIRTUAL_TIMER, false);
    vm.cpus[0].set_timer(PHYSICAL_TIMER, false);
    assert_eq!(vm.acknowledge(0), SPURIOUS);
    vm.end(0, PHYSICAL_TIMER);
    assert_eq!(vm.acknowledge(0), SPURIOUS);
    assert_eq!((vm.cpus[0].physical(), vm.cpus[0].running()), (0, 0xFF));
}

#[test]
fn who_asks_what_another_one_holds_waits_until_that_one_has_looked() {
    let mut vm = Vm::enabled(2, 4);
    vm.route(UART, 1);
    vm.line(UART, true);
    assert_eq!(vm.vgic.distributor_holders(0x204), 0b10);
    assert_eq!((vm.vgic.distributor_holders(0x208), vm.vgic.distributor_holders(0x104)), (0, 0));
    assert_eq!(vm.vgic.redistributor_holders(0x3_0200), 0);
    // It takes it, of which nobody knows yet.
    assert_eq!(vm.cpus[1].acknowledge(Group::One), UART);
    assert_eq!(vm.vgic.read_distributor(0x304, 4), 0);
    vm.vgic.ask(0, 0b10);
    assert!(vm.vgic.is_waiting(0) && !vm.vgic.is_waiting(1));
    assert_eq!(vm.lists[1].refresh(&vm.vgic, 1, &mut vm.cpus[1]), 0b01, "who asked is told");
    assert!(!vm.vgic.is_waiting(0));
    assert_eq!(vm.vgic.read_distributor(0x304, 4), 1 << 1);
    // What takes effect there is waited for, what shows at once is not.
    assert_eq!(vm.vgic.write_distributor(0x384, 4, 1 << 1).hold, 0b10);
    assert_eq!(vm.vgic.write_distributor(0x104, 4, 1 << 1).hold, 0);
    assert_eq!(vm.vgic.write_distributor(0x184, 4, 1 << 2).hold, 0);
    assert_eq!(vm.vgic.write_distributor(0x184, 4, 1 << 1).hold, 0b10);
    // One that goes off answers, too.
    vm.vgic.ask(0, 0b10);
    assert_eq!(vm.vgic.take_askers(1), 0b01);
    assert!(!vm.vgic.is_waiting(0));
}

#[test]
fn who_takes_a_question_back_does_not_wait_for_its_answer() {
    let vm = Vm::enabled(3, 4);
    vm.vgic.ask(0, 0b110);
    vm.vgic.withdraw_question(0, 0b010);
    assert!(vm.vgic.is_waiting(0));
    vm.vgic.withdraw_question(0, 0b100);
    assert!(!vm.vgic.is_waiting(0));
    // Another's question stays.
    vm.vgic.ask(1, 0b100);
    vm.vgic.withdraw_question(0, 0b100);
    assert_eq!(vm.vgic.take_askers(2), 0b010);
}

#[test]
fn what_is_no_interrupt_ends_nothing_while_ends_are_watched() {
    let mut vm = Vm::enabled(1, 4);
    vm.line(40, true);
    assert_eq!(vm.acknowledge(0), 40);
    let running = vm.cpus[0].running();
    for intid in 1020..1024 {
        vm.lists[0].end_by_guest(&vm.vgic, 0, intid, &mut vm.cpus[0]);
        assert_eq!((vm.cpus[0].running(), vm.is_active(0, 40)), (running, true));
    }
    vm.lists[0].end_by_guest(&vm.vgic, 0, 40, &mut vm.cpus[0]);
    assert_eq!((vm.cpus[0].running(), vm.is_active(0, 40)), (0xFF, false));
}

#[test]
fn the_timers_interrupts_are_linked_to_the_physical_ones() {
    for timer in [VIRTUAL_TIMER, PHYSICAL_TIMER] {
        let mut vm = Vm::enabled(1, 4);
        vm.timer(0, timer, true);
        assert_eq!(vm.lists[0].timers_in_flight(), 1 << timer);
        assert_eq!(vm.cpus[0].lrs[0] >> 32, 3 << 28 | HW >> 32 | u64::from(timer) | 1 << 30 & vm.cpus[0].lrs[0] >> 32);
        assert_eq!(vm.acknowledge(0), timer);
        assert_eq!(vm.lists[0].timers_in_flight(), 1 << timer);
        vm.timer(0, timer, false);
        vm.end(0, timer);
        assert_eq!(vm.cpus[0].physical(), 0);
        vm.inspect();
        assert_eq!(vm.lists[0].timers_in_flight(), 0);
    }
}

#[test]
fn both_timers_fire_at_once() {
    let mut vm = Vm::enabled(1, 4);
    vm.timer(0, PHYSICAL_TIMER, true);
    vm.timer(0, VIRTUAL_TIMER, true);
    let mut both = [0; 2];
    for timer in &mut both {
        *timer = vm.acknowledge(0);
        vm.timer(0, *timer, false);
        vm.end(0, *timer);
    }
    both.sort_unstable();
    assert_eq!(both, [VIRTUAL_TIMER, PHYSICAL_TIMER]);
}

#[test]
fn a_timer_that_is_switched_off_while_its_interrupt_is_disabled_is_not_pending() {
    let mut vm = Vm::enabled(1, 4);
    vm.gicr(0, 0x180, 1 << 27);
    vm.timer(0, VIRTUAL_TIMER, true);
    assert!(vm.waits(0));
    assert!(vm.is_pending(0, VIRTUAL_TIMER));
    vm.timer(0, VIRTUAL_TIMER, false);
    assert!(!vm.is_pending(0, VIRTUAL_TIMER));
    assert_eq!(vm.cpus[0].physical(), 0);
    vm.gicr(0, 0x100, 1 << 27);
    assert!(vm.waits(0));
}

/// Nothing is looked at meanwhile: it has to come when the guest ends the first one.
#[test]
fn what_becomes_pending_again_while_it_is_handled_comes_next() {
    for intid in [5, VIRTUAL_TIMER, UART] {
        for is_timer_up in [false, true] {
            for parks in [false, true] {
                let mut vm = Vm::enabled(1, 1);
                let urgent = 6;
                vm.priority(0, intid, 0x80);
                let pend = |vm: &mut Vm, intid| {
                    let bit = 1u32 << (intid % 32);
                    if intid < 32 { vm.gicr(0, 0x200, bit) } else { vm.gicd(0x204, bit) }
                };
                if intid == VIRTUAL_TIMER {
                    vm.timer(0, intid, true);
                } else {
                    pend(&mut vm, intid);
                }
                assert_eq!(vm.acknowledge(0), intid);
                vm.timer(0, VIRTUAL_TIMER, is_timer_up && intid == VIRTUAL_TIMER);
                if parks {
                    // It has to leave its list register for one that is more urgent, and comes back.
                    pend(&mut vm, urgent);
                    assert_eq!(vm.acknowledge(0), urgent);
                }
                pend(&mut vm, intid);
                if parks {
                    vm.end(0, urgent);
                    vm.inspect();
                }
                vm.cpus[0].set_timer(VIRTUAL_TIMER, false);
                vm.end(0, intid);
                let case = format!("{intid}, {is_timer_up}, {parks}");
                assert_eq!(vm.acknowledge(0), intid, "{case}");
                vm.end(0, intid);
                assert_eq!(vm.acknowledge(0), SPURIOUS, "{case}");
                assert_eq!(vm.cpus[0].physical(), 0, "{case}");
            }
        }
    }
}

#[test]
fn a_timer_that_fired_and_was_switched_off_is_not_seen_by_a_guest_that_had_interrupts_masked() {
    for group in [Group::One, Group::Zero] {
        let mut vm = Vm::enabled(1, 4);
        if group == Group::Zero {
            vm.gicd(0, 3);
            vm.gicr(0, 0x80, 0);
        }
        vm.cpus[0].masked = true;
        vm.timer(0, VIRTUAL_TIMER, true);
        assert_eq!(interface::watched(&vm.cpus[0]), Some(group));
        assert_eq!(vm.lists[0].most_urgent_pending(group, &vm.cpus[0]), VIRTUAL_TIMER);
        // No exit tells of that.
        vm.cpus[0].set_timer(VIRTUAL_TIMER, false);
        assert_eq!(vm.acknowledge(0), SPURIOUS);
        assert_eq!(vm.cpus[0].physical(), 0);
        assert_eq!(interface::watched(&vm.cpus[0]), None);
        // Nor is one that was out of reach when it was acknowledged in vain.
        vm.cpus[0].mask = 0;
        vm.timer(0, VIRTUAL_TIMER, true);
        assert_eq!(vm.acknowledge(0), SPURIOUS);
        vm.cpus[0].set_timer(VIRTUAL_TIMER, false);
        vm.cpus[0].mask = 0xFF;
        assert_eq!(vm.acknowledge(0), SPURIOUS);
        // And it comes when it fires again; a guest that takes it at once has no trap.
        vm.cpus[0].masked = false;
        vm.timer(0, VIRTUAL_TIMER, true);
        assert_eq!(interface::watched(&vm.cpus[0]), None);
        assert_eq!(vm.acknowledge(0), VIRTUAL_TIMER);
    }
}

#[test]
fn a_timers_interrupt_that_software_set_pending_stays_until_it_is_taken() {
    let mut vm = Vm::enabled(1, 4);
    vm.gicr(0, 0x180, 1 << 27);
    vm.gicr(0, 0x200, 1 << 27);
    assert!(vm.is_pending(0, VIRTUAL_TIMER));
    vm.inspect();
    vm.gicr(0, 0x100, 1 << 27);
    assert_eq!(vm.acknowledge(0), VIRTUAL_TIMER);
    // The timer itself fires meanwhile.
    vm.timer(0, VIRTUAL_TIMER, true);
    vm.end(0, VIRTUAL_TIMER);
    assert_eq!(vm.acknowledge(0), VIRTUAL_TIMER);
    vm.timer(0, VIRTUAL_TIMER, false);
    vm.end(0, VIRTUAL_TIMER);
    assert_eq!(vm.acknowledge(0), SPURIOUS);
    assert_eq!(vm.cpus[0].physical(), 0);
}

#[test]
fn an_spi_follows_its_route() {
    let mut vm = Vm::enabled(2, 4);
    vm.route(UART, 1);
    vm.line(UART, true);
    assert!(vm.waits(0) && !vm.waits(1));
    assert_eq!(vm.vgic.read_distributor(0x6108, 8), 1);
    // A vCPU that is not there gets nothing, and nobody else does.
    vm.route(34, 0xFF_00FF_FFFF);
    vm.line(34, true);
    assert!(vm.waits(0));
    assert_eq!(vm.vgic.read_distributor(0x6110, 8), 0xFF_00FF_FFFF);
    // By halves; there is no 1 of N, so that its bit says nothing, as little as reserved ones.
    assert_eq!(vm.vgic.write_distributor(0x6114, 4, 0xFF00).look, 0);
    assert_eq!(vm.vgic.write_distributor(0x6110, 4, 1 << 31).look, 1);
    vm.tell(1);
    assert_eq!(vm.acknowledge(0), 34);
}

#[test]
fn an_spi_that_waits_at_a_masked_vcpu_goes_where_it_is_routed_then() {
    let mut vm = Vm::enabled(2, 4);
    vm.cpus[0].mask = 0;
    vm.line(UART, true);
    assert!(vm.waits(0), "the mask lets nothing through");
    vm.route(UART, 1);
    assert!(vm.cpus[0].pending().is_empty());
    assert_eq!(vm.acknowledge(1), UART);
    // One that is handled stays, and comes to the other one after that.
    vm.route(UART, 0);
    vm.cpus[0].open();
    assert!(vm.waits(0));
    vm.end(1, UART);
    assert_eq!(vm.acknowledge(0), UART);
}

#[test]
fn an_edge_that_comes_while_its_predecessor_is_handled_elsewhere_goes_where_it_is_routed() {
    let mut vm = Vm::enabled(2, 4);
    vm.gicd(0xC08, 2 << 2);
    vm.line(UART, true);
    assert_eq!(vm.acknowledge(0), UART);
    vm.line(UART, false);
    vm.line(UART, true);
    vm.route(UART, 1);
    vm.end(0, UART);
    assert_eq!(vm.acknowledge(0), SPURIOUS);
    assert_eq!(vm.acknowledge(1), UART);
}

#[test]
fn the_guest_can_deactivate_by_register_of_the_distributor() {
    let mut vm = Vm::enabled(1, 4);
    vm.line(UART, true);
    vm.acknowledge(0);
    assert!(vm.is_active(0, UART));
    vm.line(UART, false);
    vm.gicd(0x384, 1 << 1);
    assert!(!vm.is_active(0, UART));
    assert_eq!(vm.cpus[0].lrs, [0; 4]);
}

#[test]
fn a_pending_edge_can_be_cleared() {
    let mut vm = Vm::enabled(1, 4);
    vm.gicd(0xC08, 2 << 2);
    vm.line(UART, true);
    vm.gicd(0x284, 1 << 1);
    assert!(!vm.is_pending(0, UART));
    assert_eq!(vm.acknowledge(0), SPURIOUS);
}

#[test]
fn a_vcpu_that_goes_off_leaves_what_waits_to_others() {
    let mut vm = Vm::enabled(2, 4);
    vm.timer(0, VIRTUAL_TIMER, true);
    vm.line(UART, true);
    vm.sgi(0, SgiRegister::Group1, 3 << 24 | 1);
    let others = vm.lists[0].give_back(&vm.vgic, 0, &mut vm.cpus[0]);
    vm.tell(others);
    assert_eq!(vm.lists[0].timers_in_flight(), 0);
    vm.cpus[0] = VirtualInterface::new(4);
    vm.route(UART, 1);
    assert_eq!(vm.acknowledge(1), UART);
    // What is its own waits for it.
    vm.cpus[0].open();
    vm.inspect();
    assert_eq!(vm.acknowledge(0), 3);
}

#[test]
fn guests_recognise_the_controller() {
    let vm = Vm::enabled(3, 4);
    let vgic = &vm.vgic;
    assert_eq!(vgic.read_distributor(0xFFE8, 4) >> 4 & 0xF, 3);
    assert_eq!(vgic.read_distributor(0, 4), 0x52);
    assert_eq!(vgic.read_distributor(4, 4) & 0x1F, 3);
    for vcpu in 0..3u64 {
        let base = vcpu * 0x2_0000;
        let typer = vgic.read_redistributor(0, 0, base + 8, 8).unwrap();
        assert_eq!((typer >> 32, typer >> 8 & 0xFFFF, typer >> 4 & 1), (vcpu, vcpu, u64::from(vcpu == 2)));
        for (offset, half) in [(8, typer & 0xFFFF_FFFF), (12, typer >> 32)] {
            assert_eq!(vgic.read_redistributor(0, 0, base + offset, 4), Some(half));
        }
        assert_eq!(vgic.read_redistributor(0, 0, base + 0x14, 4), Some(6));
        assert_eq!(vgic.write_redistributor(base + 0x14, 4, 0), Some(Concerned::default()));
        assert_eq!(vgic.read_redistributor(0, 0, base + 0x14, 4), Some(0));
    }
    assert_eq!(vgic.read_redistributor(0, 0, 3 * 0x2_0000, 4), None);
    assert_eq!(vgic.write_redistributor(3 * 0x2_0000, 4, 0), None);
}

#[test]
fn no_offset_width_or_value_is_too_much() {
    let mut vm = Vm::enabled(8, 4);
    for offset in 0..0x1_0000 {
        for width in [1, 2, 4, 8] {
            vm.vgic.write_distributor(offset, width, u64::MAX);
            vm.vgic.read_distributor(offset, width);
        }
    }
    for offset in (0..9 * 0x2_0000).step_by(4) {
        vm.vgic.write_redistributor(offset, 8, u64::MAX);
        vm.vgic.read_redistributor(0, u32::MAX, offset, 8);
    }
    for bit in 0..64 {
        vm.vgic.send_sgi(7, SgiRegister::Group1, 1 << bit);
    }
    vm.vgic.send_sgi(0, SgiRegister::Group0, u64::MAX);
    vm.tell(0xFF);
    vm.line(u32::MAX, true);
    vm.line(0, true);
}

#[test]
fn a_reset_forgets_everything() {
    let mut vm = Vm::enabled(2, 4);
    vm.line(UART, true);
    vm.route(40, 1);
    vm.priority(0, 3, 0x80);
    vm.gicd(0xC08, 2 << 2);
    vm.vgic.reset();
    let fresh = Vm::new(2, 4);
    for offset in (0..0x1_0000).step_by(4) {
        assert_eq!(vm.vgic.read_distributor(offset, 4), fresh.vgic.read_distributor(offset, 4), "GICD {offset:#x}");
    }
    for offset in (0..2 * 0x2_0000).step_by(4) {
        let [old, new] = [&vm.vgic, &fresh.vgic].map(|vgic| vgic.read_redistributor(0, 0, offset, 4));
        assert_eq!(old, new, "GICR {offset:#x}");
    }
}

/// What the guest does next would trap again, and find nothing that is watched.
#[test]
fn what_is_no_longer_watched_does_not_trap() {
    let mut vm = Vm::enabled(1, 4);
    vm.gicd(0, 3);
    vm.cpus[0].masked = true;
    vm.timer(0, 27, true);
    assert_eq!(interface::watched(&vm.cpus[0]), Some(Group::One));
    // It is put into group 0 and is taken there, which is not watched, and is over.
    vm.gicr(0, 0x80, !(1 << 27));
    assert_eq!(vm.acknowledge_in(0, Group::Zero), 27);
    vm.cpus[0].set_timer(27, false);
    vm.end(0, 27);
    assert_eq!(interface::watched(&vm.cpus[0]), Some(Group::One));
    assert!(vm.lists[0].is_watched());
    vm.lists[0].unwatch(&vm.vgic, 0, &mut vm.cpus[0]);
    assert_eq!(interface::watched(&vm.cpus[0]), None);
    assert!(!vm.lists[0].is_watched());
}

/// Who asks while somebody looks because of others' questions is not answered by that look.
#[test]
fn each_asker_is_answered_by_a_look_that_began_later() {
    let vm = Vm::enabled(3, 4);
    let (vgic, mut lists, mut cpu) = (vm.vgic.clone(), Lists::new(), VirtualInterface::new(4));
    vgic.ask(1, 0b001);
    let mut answered = 0;
    for step in 0.. {
        let other = vgic.clone();
        shared::act_at(step, move || other.ask(2, 0b001));
        lists.refresh(&vgic, 0, &mut cpu);
        assert!(!vgic.is_waiting(1));
        if shared::take_back() {
            break;
        }
        answered += usize::from(!vgic.is_waiting(2));
        vgic.take_askers(0);
        vgic.ask(1, 0b001);
    }
    assert!(answered <= 3, "only one that asked before the look began, which is when news and askers are taken");
}

/// Nobody else fulfils wishes of a vCPU's own interrupts: one that goes off does, and for one that is off, who asks.
#[test]
fn what_is_wished_of_the_interrupts_of_a_vcpu_that_is_off_happens() {
    const ICPENDR: u64 = 0x1_0280;
    for asks_in_time in [true, false] {
        let mut vm = Vm::enabled(2, 4);
        vm.sgi(1, SgiRegister::Group1, 1);
        if !asks_in_time {
            vm.lists[0].give_back(&vm.vgic, 0, &mut vm.cpus[0]);
            assert_eq!(vm.vgic.take_askers(0), 0);
        }
        let concerned = vm.vgic.write_redistributor(ICPENDR, 4, 1).unwrap();
        assert_eq!(concerned.hold, 0b01);
        if asks_in_time {
            vm.lists[0].give_back(&vm.vgic, 0, &mut vm.cpus[0]);
            // It was wished, and is asked for, after that has looked for the last time.
            vm.vgic.cpus[0].bank.latched.set(1);
            vm.vgic.cpus[0].bank.withdraw.set(1);
            vm.vgic.ask(1, concerned.hold);
            assert_eq!(vm.vgic.take_askers(0), 0b10);
        } else {
            vm.vgic.ask(1, concerned.hold);
            vm.vgic.withdraw_question(1, 0b01);
        }
        let bank = &vm.vgic.cpus[0].bank;
        assert_eq!((bank.wishes(), bank.latched.get()), (0, 0), "in time: {asks_in_time}");
        // And one that is sent then comes when it starts.
        vm.vgic.send_sgi(1, SgiRegister::Group1, 1);
        vm.lists[0] = Lists::new();
        vm.cpus[0] = VirtualInterface::new(4);
        vm.cpus[0].open();
        vm.vgic.look_everywhere(0);
        vm.tell(1);
        assert_eq!(vm.acknowledge(0), 0);
    }
}

#[test]
fn a_pulse_is_an_edge_and_nothing_where_levels_count() {
    let mut vm = Vm::enabled(2, 4);
    let spi = 31 + SPIS;
    let pulse = |vm: &mut Vm, intid| {
        let mask = vm.vgic.pulse(intid);
        vm.tell(mask);
        mask
    };
    assert_eq!(pulse(&mut vm, spi), 0, "level-sensitive");
    assert_eq!(vm.acknowledge(0), SPURIOUS);
    // GICD_ICFGR7 and GICD_IROUTER127.
    vm.gicd(0xC1C, 2 << 30);
    vm.gicd(0x6000 + 8 * u64::from(spi), 1);
    assert_eq!(pulse(&mut vm, spi), 1 << 1);
    assert_eq!((vm.acknowledge(0), vm.acknowledge(1)), (SPURIOUS, spi));
    pulse(&mut vm, spi);
    pulse(&mut vm, spi);
    assert_eq!(vm.acknowledge(1), SPURIOUS, "it is being handled");
    vm.end(1, spi);
    assert_eq!(vm.acknowledge(1), spi, "once more, for both");
    vm.end(1, spi);
    assert_eq!(vm.acknowledge(1), SPURIOUS);
    for none in [0, 27, spi + 1, u32::MAX] {
        assert_eq!(pulse(&mut vm, none), 0);
    }
}
