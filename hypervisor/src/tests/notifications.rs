// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications of the TEE: whom they interrupt, and how often.

use super::*;
use crate::arch::interface::Group;
use crate::notification::{MOST, WINDOWS, listen};
use crate::tee::{Mediator, Smc, Tee};
use shared_abi::optee_smc::*;
use shared_abi::smccc::FunctionId;

/// The TEE's interrupt, and what VMs have for it.
const PHYSICAL: u32 = 219;
const VIRTUAL: u32 = 32 + Tee::NOTIFICATION_SPI;
const GICD: u64 = 0x0800_0000;
const SYSTEM_RESET: u64 = 0x8400_0009;
const WINDOW: u64 = machine::FREQUENCY / WINDOWS;

/// A TEE that takes VMs and notifies them.
fn tee(regs: [u64; 8]) -> [u64; 4] {
    match FunctionId(regs[0] as u32) {
        OPTEE_SMC_CALLS_UID => CALLS_UID.map(u64::from),
        OPTEE_SMC_GET_THREAD_COUNT => [0, 2, 0, 0],
        OPTEE_SMC_EXCHANGE_CAPABILITIES => {
            [0, (SecureCaps::DYNAMIC_SHM | SecureCaps::ASYNC_NOTIF).bits().into(), 63, 0]
        }
        _ => [0; 4],
    }
}

/// VMs of one vCPU each on one CPU, all but the second of which have the TEE; `heard` says whether its interrupt is.
fn with_tee(vms: usize, heard: bool) -> Host {
    machine::with(|machine| machine.firmware = tee);
    let tee = Tee::probe(&mut Smc).unwrap();
    crate::vm::tee().call_once(|| if heard && listen(PHYSICAL) { tee.let_notify() } else { tee });
    let mut host = Host::with(1, &vec![1; vms], |config| config.tee = config.id.get() != 2);
    host.begin(0);
    host
}

impl Host {
    /// The VM whose turn it is lets the interrupt through, as its tree says.
    fn let_through(&mut self) {
        scheduling::open(self, 0);
        let (word, bit) = (u64::from(VIRTUAL / 32) * 4, VIRTUAL % 32);
        self.store(0, GICD + 0x80 + word, u32::MAX);
        self.store(0, GICD + 0x100 + word, 1 << bit);
        self.store(0, GICD + 0xC00 + u64::from(VIRTUAL / 16) * 4, 2 << (VIRTUAL % 16 * 2));
    }

    /// It does, and enables notifications. What it is answered.
    fn enable_notifications(&mut self) -> u64 {
        self.let_through();
        self.hvc(0, [OPTEE_SMC_ENABLE_ASYNC_NOTIF.0.into(), 0, 0, 0])
    }

    /// It handles all that there is.
    fn handle(&mut self) {
        while let [VIRTUAL] = pending(0)[..] {
            machine::with_cpu(|cpu| {
                let intid = cpu.interface.acknowledge(Group::One);
                cpu.interface.end(intid);
            });
            self.vcpu(0).refresh();
        }
    }

    /// All VMs do, in turn.
    fn enable_all(&mut self) {
        for vm in 1..=self.vms.len() as u16 {
            self.until(0, (vm, 0));
            self.enable_notifications();
        }
    }

    /// The TEE notifies.
    fn notify(&mut self) {
        machine::with(|machine| machine.spi.as_mut().expect("somebody listens").pending = true);
        self.interrupts(0);
    }

    /// Whether a VM has an interrupt that it has not taken, as its distributor says.
    fn has_pending(&self, vm: usize) -> bool {
        const ISPENDR: u64 = 0x200 + VIRTUAL as u64 / 32 * 4;
        self.vms[vm - 1].vgic.read_distributor(ISPENDR, 4) >> (VIRTUAL % 32) & 1 != 0
    }
}

/// How often the first VM was interrupted while the TEE notified without a pause, for so long.
fn storm(host: &mut Host, time: u64) -> u32 {
    let end = machine::with_cpu(|cpu| cpu.now) + time;
    let mut heard = 0;
    while machine::with_cpu(|cpu| cpu.now) < end {
        machine::with(|machine| machine.spi.as_mut().unwrap().pending = true);
        host.interrupts(0);
        heard += u32::from(machine::with(|machine| !machine.spi.as_ref().unwrap().pending));
        host.run(0, WINDOW / 1000);
    }
    heard
}

#[test]
fn all_that_enabled_notifications_are_interrupted_and_nobody_else() {
    let mut host = with_tee(4, true);
    for vm in [1, 2, 3] {
        host.until(0, (vm, 0));
        assert_eq!(host.enable_notifications(), if vm == 2 { u64::MAX } else { 0 });
    }
    host.until(0, (4, 0));
    host.let_through();
    host.notify();
    assert_eq!([1, 2, 3, 4].map(|vm| host.has_pending(vm)), [true, false, true, false]);
}

#[test]
fn who_runs_is_interrupted_at_once() {
    let mut host = with_tee(1, true);
    host.enable_notifications();
    host.notify();
    assert_eq!(pending(0), [VIRTUAL]);
}

#[test]
fn who_waits_is_woken() {
    let mut host = with_tee(2, true);
    host.until(0, (1, 0));
    host.enable_notifications();
    host.wfi(0);
    host.run(0, SLICE);
    assert_eq!(host.runs(0), (2, 0));
    host.notify();
    host.until(0, (1, 0));
    assert_eq!(pending(0), [VIRTUAL]);
}

#[test]
fn without_an_interrupt_there_are_no_notifications() {
    let mut host = with_tee(1, false);
    assert_eq!(host.enable_notifications(), u64::MAX);
    let caps = [OPTEE_SMC_EXCHANGE_CAPABILITIES.0.into(), 0, 0, 0];
    assert_eq!(host.hvc(0, caps), 0);
    assert_eq!(host.vcpu(0).frame.x[1..3], [SecureCaps::DYNAMIC_SHM.bits().into(), 0]);
    assert!(machine::with(|machine| machine.spi.is_none()
        && machine.calls.iter().all(|regs| { regs[0] != u64::from(OPTEE_SMC_ENABLE_ASYNC_NOTIF.0) })));
    assert!(!listen(machine::SPIS), "an SPI that is not there");
}

#[test]
fn the_hypervisor_enables_none_for_itself() {
    let mut host = with_tee(3, true);
    host.enable_all();
    let calls = machine::with(|machine| machine.calls.clone());
    let enabled = calls.iter().filter(|regs| regs[0] == u64::from(OPTEE_SMC_ENABLE_ASYNC_NOTIF.0));
    assert!(enabled.map(|regs| regs[7]).eq([1, 3]));
}

#[test]
fn a_vm_that_begins_anew_is_not_interrupted_before_it_asks_for_it() {
    let mut host = with_tee(1, true);
    host.enable_notifications();
    host.notify();
    host.hvc(0, [SYSTEM_RESET, 0, 0, 0]);
    assert!(!host.has_pending(1), "what it had before is over");
    host.let_through();
    host.notify();
    assert!(!host.has_pending(1));
    host.enable_notifications();
    host.notify();
    assert!(host.has_pending(1));
}

#[test]
fn a_vm_that_stops_is_interrupted_no_more_and_the_others_are() {
    let mut host = with_tee(3, true);
    host.enable_all();
    host.until(0, (1, 0));
    host.vms[0].stop(crate::power::StopReason::Off);
    host.notify();
    assert_eq!([1, 3].map(|vm| host.has_pending(vm)), [false, true]);
    host.until(0, (3, 0));
    host.notify();
    assert_eq!(host.runs(0), (3, 0));
}

#[test]
fn another_interrupt_is_no_notification() {
    let mut host = with_tee(1, true);
    host.enable_notifications();
    machine::with(|machine| {
        machine.spi = Some(machine::Spi { intid: PHYSICAL + 1, enabled: true, pending: true });
    });
    host.interrupts(0);
    assert_eq!(pending(0), [0u32; 0]);
}

#[test]
fn a_tee_that_notifies_without_a_pause_is_heard_so_often_and_then_later() {
    let mut host = with_tee(1, true);
    host.enable_notifications();
    let heard = storm(&mut host, WINDOW / 2);
    assert_eq!(heard, MOST);
    assert!(machine::with(|machine| !machine.spi.as_ref().unwrap().enabled));
    let (windows, heard) = (10, storm(&mut host, 10 * WINDOW));
    assert!(((windows - 1) * MOST..=(windows + 1) * MOST).contains(&heard), "{heard}");
    // What it says last is heard, even if everybody sleeps until then.
    while machine::with(|machine| machine.spi.as_ref().unwrap().enabled) {
        storm(&mut host, WINDOW / 1000);
    }
    host.handle();
    machine::with(|machine| machine.spi.as_mut().unwrap().pending = true);
    assert_eq!(pending(0), [0u32; 0]);
    host.wfi(0);
    assert_eq!(pending(0), [VIRTUAL]);
}

#[test]
fn a_tee_that_notifies_often_is_heard_every_time() {
    let mut host = with_tee(1, true);
    host.enable_notifications();
    for _ in 0..4 * MOST {
        host.notify();
        assert!(machine::with(|machine| machine.spi.as_ref().is_some_and(|spi| !spi.pending)));
        host.run(0, WINDOW / u64::from(MOST / 2));
    }
}
