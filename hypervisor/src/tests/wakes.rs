// SPDX-License-Identifier: MIT OR Apache-2.0
//! No wake-up is lost: a vCPU goes to sleep on one CPU while another CPU has something for it, before whichever access
//! of the first one to what both of them share.

use super::shared::{act_at, take_back};
use super::*;
use crate::scheduler::Place;
use crate::wake;
use std::cell::Cell;
use std::rc::Rc;
use std::thread;

const CPU_ON: u64 = 0xC400_0003;
const SYSTEM_OFF: u64 = 0x8400_0008;
/// GICD_ISPENDR1.
const STATES: u64 = 0x0800_0204;

/// What CPUs 0 and 1 do.
struct Case {
    /// How it begins: CPU 1 has a guest that has not been started or waits, and one that is always ready.
    begin: fn() -> Host,
    /// What CPU 1 does.
    sleeps: fn(&mut Host),
    /// What CPU 0 does meanwhile: there is something to do for a vCPU of CPU 1 then.
    wakes: fn(ThisCpu) -> ThisCpu,
    /// Whether CPU 1 does it in the end.
    check: fn(&mut Host),
}

/// Plays a case. Whether it came to the access.
fn play(case: &Case, step: usize) -> bool {
    let mut host = (case.begin)();
    let other = Rc::new(Cell::new(host.cpus[0].take()));
    let (there, wakes) = (Rc::clone(&other), case.wakes);
    act_at(step, move || {
        let this = there.take().expect("it runs a guest");
        machine::with(|machine| machine.current = 0);
        there.set(Some(wakes(this)));
        machine::with(|machine| machine.current = 1);
    });
    (case.sleeps)(&mut host);
    let came = !take_back();
    host.cpus[0] = other.take();
    if came {
        (case.check)(&mut host);
    }
    came
}

fn nothing_is_lost(case: Case) {
    let case = &case;
    let mut step = 0;
    // Each machine is a thread's.
    while thread::scope(|scope| scope.spawn(|| play(case, step)).join()).unwrap_or_else(|_| panic!("access {step}")) {
        step += 1;
    }
    assert!(step > 2, "it goes to sleep and looks");
}

/// vm1 has a vCPU on each CPU, the second one off; vm2 is on the first, vm3 on the second.
fn second_is_off() -> Host {
    let mut host = Host::started(2, &[2, 1, 1]);
    host.begin(1);
    host.interrupts(1);
    assert_eq!(host.runs(1), (3, 0));
    machine::with(|machine| machine.current = 0);
    host
}

/// The same; vm1's second vCPU runs, and takes interrupts.
fn second_runs() -> Host {
    let mut host = second_is_off();
    scheduling::open(&mut host, 0);
    assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
    host.interrupts(1);
    host.until(1, (1, 1));
    scheduling::open(&mut host, 1);
    host.interrupts(1);
    host.until(1, (1, 1));
    host
}

fn hvc(mut this: ThisCpu, x: [u64; 4]) -> ThisCpu {
    this.vcpu().frame.x[..4].copy_from_slice(&x);
    machine::with_cpu(|cpu| cpu.syndrome = [HVC, 0, 0]);
    trap::sync(this)
}

fn runs_again(host: &mut Host) {
    host.interrupts(1);
    host.until(1, (1, 1));
}

#[test]
fn who_is_started_while_he_looks_in_vain_starts() {
    nothing_is_lost(Case {
        begin: || {
            let host = second_is_off();
            // Somebody had something for him before he went off.
            wake::wake(*host.vms[0].places[1]);
            host
        },
        sleeps: |host| host.interrupts(1),
        wakes: |this| hvc(this, [CPU_ON, 1, KERNEL, 0]),
        check: runs_again,
    });
}

#[test]
fn who_is_sent_an_interrupt_while_he_goes_to_sleep_takes_it() {
    nothing_is_lost(Case {
        begin: second_runs,
        sleeps: |host| host.wfi(1),
        wakes: |mut this| {
            // ICC_SGI1R_EL1
            this.vcpu().frame.x[1] = 5 << 24 | 2;
            let esr = MSR | 3 << 20 | 5 << 17 | 12 << 10 | 1 << 5 | 11 << 1;
            machine::with_cpu(|cpu| cpu.syndrome = [esr, 0, 0]);
            trap::sync(this)
        },
        check: |host| {
            runs_again(host);
            assert_eq!(pending(1), [5]);
        },
    });
}

#[test]
fn who_goes_to_sleep_while_his_vm_ends_goes_off() {
    nothing_is_lost(Case {
        begin: second_runs,
        sleeps: |host| host.wfi(1),
        wakes: |this| hvc(this, [SYSTEM_OFF, 0, 0, 0]),
        check: |host| {
            host.interrupts(1);
            host.run(1, 3 * SLICE);
            assert!(!host.vms[0].is_alive());
        },
    });
}

#[test]
fn who_is_answered_while_he_goes_to_sleep_for_it_goes_on() {
    nothing_is_lost(Case {
        begin: || {
            let mut host = second_runs();
            // SPI 40 waits in the first vCPU's list register.
            host.store(0, 0x0800_0084, u32::MAX);
            host.store(0, 0x0800_0104, 1 << 8);
            host.store(0, STATES, 1 << 8);
            assert_eq!(pending(0), [40]);
            // vm3 sleeps, so that it is the turn of who is to go to sleep.
            host.until(1, (3, 0));
            let deadline = timer::now() + SLICE;
            guest(1, |guest| guest.timers[0] = (1, deadline));
            host.wfi(1);
            assert_eq!(host.runs(1), (1, 1));
            host
        },
        sleeps: |host| host.exception(1, ACCESS, STATES, STATES),
        wakes: ThisCpu::interrupted,
        check: |host| {
            host.interrupts(0);
            runs_again(host);
        },
    });
}

#[test]
fn who_is_given_to_a_cpu_while_it_looks_for_him_runs() {
    nothing_is_lost(Case {
        begin: || {
            let mut host = Host::started(2, &[2, 1]);
            assert_eq!(host.hvc(0, [CPU_ON, 1, KERNEL, 0]), 0);
            host.begin(1);
            host.interrupts(1);
            machine::with(|machine| machine.current = 0);
            // Somebody had something for who was there before.
            wake::wake(Place { cpu: 1, slot: 1 });
            host
        },
        sleeps: |host| host.interrupts(1),
        wakes: |this| {
            let vm = start(make(config(2, 1)).unwrap());
            assert_eq!(*vm.places[0], Place { cpu: 1, slot: 1 });
            this
        },
        check: |host| {
            host.interrupts(1);
            host.until(1, (3, 0));
        },
    });
}
