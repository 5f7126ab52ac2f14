// SPDX-License-Identifier: MIT OR Apache-2.0
//! The controller with CPUs around it, as the hardware has them: list registers, a guest that acknowledges and ends
//! interrupts by them, timers, maintenance interrupts.

mod behaviour;
mod interleaved;
mod model;
mod threads;

use super::lists::Lists;
use super::sgi::SgiRegister;
use super::*;
use crate::arch::host::interface::{SPURIOUS, VirtualInterface};
use crate::arch::interface::{Group, ListRegisters};
use std::sync::Arc;
use std::vec::Vec;

const UART: u32 = 33;

/// A VM, each of whose vCPUs is loaded on a CPU of its own. CPUs do at once what they are told.
struct Vm {
    vgic: Arc<Vgic>,
    lists: Vec<Lists>,
    cpus: Vec<VirtualInterface>,
    /// How often each vCPU was told to look by somebody else.
    told: Vec<usize>,
    /// vCPUs whose CPUs do something else at the moment, and those of them that were told to look since.
    away: VcpuMask,
    missed: VcpuMask,
    /// Who writes registers, and waits for others to look.
    asker: Option<usize>,
}

impl Vm {
    fn new(vcpus: usize, list_registers: usize) -> Self {
        Self {
            vgic: Arc::new(Vgic::new(Client::alleged(3), vcpus)),
            lists: vec![Lists::new(); vcpus],
            cpus: (0..vcpus).map(|_| VirtualInterface::new(list_registers)).collect(),
            told: vec![0; vcpus],
            away: 0,
            missed: 0,
            asker: None,
        }
    }

    /// A VM with all interrupts enabled, and CPU interfaces that let all through.
    fn enabled(vcpus: usize, list_registers: usize) -> Self {
        let mut vm = Self::new(vcpus, list_registers);
        vm.gicd(0, 2);
        for n in 1..4 {
            vm.gicd(0x100 + 4 * n, u32::MAX);
        }
        for vcpu in 0..vcpus {
            vm.gicr(vcpu, 0x100, u32::MAX);
            vm.cpus[vcpu].open();
        }
        vm.told.fill(0);
        vm
    }

    /// These have to look; and what follows from that, until nothing does.
    fn tell(&mut self, mask: VcpuMask) {
        let (mut left, away) = (mask, self.away);
        loop {
            self.missed |= left & away;
            left &= !away;
            for vcpu in (0..self.cpus.len()).filter(|vcpu| away & 1 << vcpu == 0) {
                if left & 1 << vcpu != 0 {
                    self.told[vcpu] += 1;
                    left &= !(1 << vcpu);
                    left |= self.lists[vcpu].refresh(&self.vgic, vcpu, &mut self.cpus[vcpu]) & !(1 << vcpu);
                }
                left |= self.interrupts(vcpu);
            }
            if left == 0 {
                return;
            }
        }
    }

    /// Physical interrupts of a CPU: timers and maintenance.
    fn interrupts(&mut self, vcpu: usize) -> VcpuMask {
        let (cpu, lists) = (&mut self.cpus[vcpu], &mut self.lists[vcpu]);
        let mut others = 0;
        for _ in 0..100 {
            if let Some(timer) = cpu.take_timer() {
                let masked = if cpu.masked { 3 } else { 0 };
                others |= lists.timer_fired(&self.vgic, vcpu, timer, masked, cpu);
            } else if cpu.needs_maintenance() {
                others |= lists.refresh(&self.vgic, vcpu, cpu);
            } else {
                return others;
            }
        }
        panic!("vCPU {vcpu} is interrupted for ever: {lists:x?} {cpu:x?}");
    }

    fn gicd(&mut self, offset: u64, value: u32) {
        let concerned = self.vgic.write_distributor(offset, 4, value.into());
        self.concern(concerned);
    }

    /// What was written concerns these.
    fn concern(&mut self, concerned: Concerned) {
        if let Some(asker) = self.asker {
            self.vgic.ask(asker, concerned.hold & !(1 << asker));
        }
        self.tell(concerned.look);
    }

    fn gicr(&mut self, vcpu: usize, offset: u64, value: u32) {
        let concerned = self.vgic.write_redistributor(vcpu as u64 * 0x2_0000 + 0x1_0000 + offset, 4, value.into());
        self.concern(concerned.expect("there is such a redistributor"));
    }

    fn priority(&mut self, vcpu: usize, intid: u32, priority: u8) {
        let (at, value) = (u64::from(0x400 + intid), priority.into());
        let concerned = if intid < 32 {
            self.vgic.write_redistributor(vcpu as u64 * 0x2_0000 + 0x1_0000 + at, 1, value).unwrap()
        } else {
            self.vgic.write_distributor(at, 1, value)
        };
        self.concern(concerned);
    }

    fn route(&mut self, intid: u32, to: u64) {
        let concerned = self.vgic.write_distributor(0x6000 + 8 * u64::from(intid), 8, to);
        self.concern(concerned);
    }

    fn sgi(&mut self, from: usize, register: SgiRegister, value: u64) -> VcpuMask {
        let mask = self.vgic.send_sgi(from, register, value);
        self.tell(mask);
        mask
    }

    fn line(&mut self, intid: u32, up: bool) {
        let mask = self.vgic.set_line(intid, up);
        self.tell(mask);
    }

    fn timer(&mut self, vcpu: usize, intid: u32, up: bool) {
        self.cpus[vcpu].set_timer(intid, up);
        self.tell(0);
    }

    /// The guest reads ICC_IAR1, and if that shows nothing, ICC_IAR0.
    fn acknowledge(&mut self, vcpu: usize) -> u32 {
        let taken = [Group::One, Group::Zero].into_iter().map(|group| self.acknowledge_in(vcpu, group));
        taken.into_iter().find(|intid| *intid != SPURIOUS).unwrap_or(SPURIOUS)
    }

    fn acknowledge_in(&mut self, vcpu: usize, group: Group) -> u32 {
        let (cpu, lists) = (&mut self.cpus[vcpu], &mut self.lists[vcpu]);
        let (intid, others) = if cpu.control.acknowledge == Some(group) {
            let (intid, others) = lists.acknowledge(&self.vgic, vcpu, group, cpu);
            (intid.unwrap_or_else(|| cpu.acknowledge(group)), others)
        } else {
            (cpu.acknowledge(group), 0)
        };
        self.tell(others);
        intid
    }

    /// The guest writes ICC_EOIR of the interrupt's group.
    fn end(&mut self, vcpu: usize, intid: u32) {
        let group1 = self.vgic.bank(vcpu, intid as usize / 32).group.get() & 1 << (intid % 32) != 0;
        let group = if group1 { Group::One } else { Group::Zero };
        let mut others = 0;
        if self.cpus[vcpu].control.acknowledge == Some(group) {
            others = self.lists[vcpu].end_by_guest(&self.vgic, vcpu, intid, &mut self.cpus[vcpu]);
        } else {
            self.cpus[vcpu].end(intid);
        }
        self.tell(others);
    }

    /// The guest writes ICC_DIR.
    fn deactivate(&mut self, vcpu: usize, intid: u32) {
        let concerned = self.lists[vcpu].deactivate(&self.vgic, vcpu, intid, &mut self.cpus[vcpu]);
        self.concern(concerned);
    }

    /// The vCPU goes off, and starts again.
    fn restart(&mut self, vcpu: usize) {
        let others = self.lists[vcpu].give_back(&self.vgic, vcpu, &mut self.cpus[vcpu]);
        let mut cpu = VirtualInterface::new(self.cpus[vcpu].lrs.len());
        cpu.split_end = self.cpus[vcpu].split_end;
        self.cpus[vcpu] = cpu;
        let askers = self.vgic.take_askers(vcpu);
        // Of its own interrupts, too; but who asks later than that finds it off, which is not played here.
        for n in (1..BANKS).filter(|_| vcpu == 0) {
            let bank = self.vgic.bank(vcpu, n);
            assert_eq!(bank.wishes() & !bank.held.get(), 0, "who asked goes on, and nobody is there who would do it");
        }
        self.tell(others | askers);
        self.vgic.look_everywhere(vcpu);
        self.tell(1 << vcpu);
    }

    fn inspect(&mut self) {
        for vcpu in (0..self.cpus.len()).filter(|vcpu| self.away & 1 << vcpu == 0).collect::<Vec<_>>() {
            let others = self.lists[vcpu].inspect(&self.vgic, vcpu, &mut self.cpus[vcpu]);
            self.tell(others);
        }
    }

    /// A register of bits: bank 0 of a vCPU's own, or a shared one.
    fn bits(&mut self, vcpu: usize, offset: u64, bank: u64) -> u32 {
        self.inspect();
        let timers = self.cpus[vcpu].timers();
        let value = match bank {
            0 => {
                let base = vcpu as u64 * 0x2_0000 + 0x1_0000;
                self.vgic.read_redistributor(vcpu, timers, base + offset, 4).unwrap()
            }
            _ => self.vgic.read_distributor(offset + 4 * bank, 4),
        };
        value as u32
    }

    fn is_pending(&mut self, vcpu: usize, intid: u32) -> bool {
        self.bits(vcpu, 0x200, u64::from(intid / 32)) & 1 << (intid % 32) != 0
    }

    fn is_active(&mut self, vcpu: usize, intid: u32) -> bool {
        self.bits(vcpu, 0x300, u64::from(intid / 32)) & 1 << (intid % 32) != 0
    }

    /// WFI would wait.
    fn waits(&mut self, vcpu: usize) -> bool {
        let others = self.lists[vcpu].refresh(&self.vgic, vcpu, &mut self.cpus[vcpu]);
        self.tell(others);
        !self.lists[vcpu].has_deliverable(&self.cpus[vcpu])
    }
}
