// SPDX-License-Identifier: MIT OR Apache-2.0
//! A virtual CPU, and what happens when a CPU takes it up.
#![forbid(unsafe_code)]

use crate::arch::context::Context;
use crate::arch::debug::Debug;
use crate::arch::interface::{Group, ListRegisters};
use crate::arch::vectors::Frame;
use crate::arch::virtual_interface::{Interface, Saved};
use crate::arch::{cpu, guest, mmu, timer};
use crate::platform::gic;
use crate::scheduler::Place;
use crate::vgic::lists::Lists;
use crate::vgic::{Concerned, VcpuMask};
use crate::vm::Vm;
use crate::vpsci::Start;
use alloc::sync::Arc;
use core::mem::offset_of;

/// A virtual CPU. Its place's CPU owns it.
#[repr(C)]
pub struct Vcpu {
    /// Its x0 to x30, where the vectors save them.
    pub frame: Frame,
    /// Its VM.
    pub vm: Arc<Vm>,
    /// Its number there, which is also its Aff0.
    pub index: usize,
    /// Where it runs.
    pub place: Place,
    /// Its debug registers.
    pub debug: Debug,
    /// It has called and has not been answered yet, where that is recorded.
    pub called: bool,
    context: Context,
    interface: Saved,
    lists: Lists,
    /// It goes on once others have looked whom it asked.
    blocked: bool,
    /// The instruction for which it asked so, by its address and by the one that it accesses, and whom.
    asked: Option<((u64, u64), VcpuMask)>,
}

const _: () = assert!(offset_of!(Vcpu, frame) == 0);

impl Vcpu {
    /// Makes a vCPU that is off. Its CPU gives it a stack.
    pub fn new(vm: Arc<Vm>, index: usize, place: Place) -> Self {
        Self {
            frame: Frame { x: [0; 31], stack: 0 },
            vm,
            index,
            place,
            debug: Debug::default(),
            called: false,
            context: Context::reset(index as u64, 0),
            interface: Saved::reset(),
            lists: Lists::new(),
            blocked: false,
            asked: None,
        }
    }

    /// Comes out of reset where PSCI wants it. It must not be loaded.
    pub fn start(&mut self, start: Start) {
        self.frame.x = [0; 31];
        self.frame.x[0] = start.context;
        self.context = Context::reset(self.index as u64, start.entry.0);
        self.interface = Saved::reset();
        self.lists = Lists::new();
        (self.blocked, self.asked) = (false, None);
        self.debug = Debug::default();
        self.called = false;
        self.vm.vgic.look_everywhere(self.index);
        self.vm.forget_translations(self.place.cpu);
    }

    /// Gives the CPU this vCPU's registers.
    pub fn load(&mut self) {
        mmu::set_stage2(self.vm.vttbr());
        if self.vm.moves_to(self.place.cpu, self.index) {
            cpu::flush_guest_tlb();
        }
        self.context.restore();
        self.interface.restore();
        self.debug.restore();
        gic::set_timers_active(self.place.cpu, self.lists.timers_in_flight());
    }

    /// Takes this vCPU's registers from the CPU. When the first of its timers wants it back.
    pub fn unload(&mut self) -> Option<u64> {
        self.context.save();
        self.interface.save();
        self.debug.save();
        timer::stop_guest_timers();
        self.context.timer_deadline()
    }

    /// Brings the loaded vCPU's list registers up to date.
    #[inline]
    pub fn refresh(&mut self) {
        let others = self.lists.refresh(&self.vm.vgic, self.index, &mut Interface);
        self.vm.notify(others);
    }

    /// Brings them up to date with all that is known of what is in them: for who reads it.
    pub fn inspect(&mut self) {
        let others = self.lists.inspect(&self.vm.vgic, self.index, &mut Interface);
        self.vm.notify(others);
    }

    /// Makes these vCPUs of the VM look at the interrupt controller, this loaded one perhaps among them.
    #[inline(always)]
    pub fn notify(&mut self, vcpus: VcpuMask) {
        if vcpus != 0 {
            self.notify_some(vcpus);
        }
    }

    fn notify_some(&mut self, vcpus: VcpuMask) {
        let own = 1 << self.index;
        if vcpus & own != 0 {
            self.refresh();
        }
        self.vm.notify(vcpus & !own);
    }

    /// Takes up the interrupt of a timer of this loaded vCPU that has fired.
    #[inline]
    pub fn timer_fired(&mut self, intid: u32) {
        // PSTATE.F and I, of groups 0 and 1. Who has interrupts masked may change his mind about the timer before he
        // takes its interrupt.
        let masked = (guest::spsr() >> 6 & 3) as u8;
        let others = self.lists.timer_fired(&self.vm.vgic, self.index, intid, masked, &mut Interface);
        self.vm.notify(others);
    }

    /// Returns the lines of this loaded vCPU's timers.
    pub fn timers(&self) -> u32 {
        Interface.timers()
    }

    /// Says whether there is an interrupt that this loaded vCPU's guest would be told of.
    #[inline]
    pub fn has_interrupt(&mut self) -> bool {
        self.refresh();
        self.lists.has_deliverable(&Interface)
    }

    /// Watches what this loaded vCPU's guest does to its CPU interface no longer.
    pub fn unwatch(&mut self) {
        let others = self.lists.unwatch(&self.vm.vgic, self.index, &mut Interface);
        self.vm.notify(others);
    }

    /// Acknowledges an interrupt, as the guest does while that is watched; `None` if it is to do so again, unwatched.
    pub fn acknowledge(&mut self, group: Group) -> Option<u32> {
        let vgic = &self.vm.vgic;
        let (intid, others) = self.lists.acknowledge(vgic, self.index, group, &mut Interface);
        self.vm.notify(others);
        intid
    }

    /// Ends an interrupt, as the guest does while that is watched.
    pub fn end_interrupt(&mut self, intid: u32) {
        let others = self.lists.end_by_guest(&self.vm.vgic, self.index, intid, &mut Interface);
        self.vm.notify(others);
    }

    /// Asks each vCPU that holds what this instruction reads, once, to look. Says whether this vCPU has to wait for
    /// that, and then begins the instruction again.
    pub fn ask_first(&mut self, instruction: (u64, u64), holders: VcpuMask) -> bool {
        let asked = self.asked.filter(|(by, _)| *by == instruction).map_or(0, |(_, asked)| asked);
        let others = holders & !(1 << self.index) & !asked;
        if others == 0 {
            return false;
        }
        self.asked = Some((instruction, asked | others));
        self.ask(others)
    }

    /// Forgets who was asked: the instruction that may have asked is over, and when it runs again, it asks again.
    pub fn forget_asked(&mut self) {
        self.asked = None;
    }

    /// Tells others what this loaded vCPU wrote that concerns them. Says whether it has to wait until they have looked.
    #[inline(always)]
    pub fn concern(&mut self, concerned: Concerned) -> bool {
        self.notify(concerned.look);
        let holders = concerned.hold & !(1 << self.index);
        holders != 0 && self.ask(holders)
    }

    #[cold]
    fn ask(&mut self, holders: VcpuMask) -> bool {
        let vgic = &self.vm.vgic;
        vgic.ask(self.index, holders);
        // Who goes off answers whoever has asked before; who was off does not.
        let on = self.vm.on(holders);
        vgic.withdraw_question(self.index, holders & !on);
        let holders = on;
        self.vm.notify(holders);
        self.blocked = holders != 0;
        self.blocked
    }

    /// Says whether it waits for others to look.
    #[inline]
    pub fn is_blocked(&mut self) -> bool {
        self.blocked = self.blocked && self.vm.vgic.is_waiting(self.index);
        self.blocked
    }

    /// Says whether it is watched for that.
    pub fn is_watched(&self) -> bool {
        self.lists.is_watched()
    }

    /// Returns the most urgent interrupt that waits for this loaded vCPU, if it is in that group; 1023 otherwise.
    pub fn most_urgent_pending(&self, group: Group) -> u32 {
        self.lists.most_urgent_pending(group, &Interface)
    }

    /// Deactivates an interrupt, as the guest does by ICC_DIR. Says whether it has to wait until another vCPU has done
    /// so.
    pub fn deactivate(&mut self, intid: u32) -> bool {
        let concerned = self.lists.deactivate(&self.vm.vgic, self.index, intid, &mut Interface);
        self.concern(concerned)
    }

    /// Gives back what waits in the list registers of this loaded vCPU, which goes off: that is left to others.
    pub fn give_back(&mut self) {
        let others = self.lists.give_back(&self.vm.vgic, self.index, &mut Interface);
        self.vm.notify(others);
    }

    /// Reads x0 to x30, or XZR.
    #[inline(always)]
    pub fn read(&self, register: u8) -> u64 {
        self.frame.x.get(usize::from(register)).copied().unwrap_or(0)
    }

    /// Writes x0 to x30; nothing for XZR.
    #[inline(always)]
    pub fn write(&mut self, register: u8, value: u64) {
        if let Some(x) = self.frame.x.get_mut(usize::from(register)) {
            *x = value;
        }
    }
}
