//! A virtual CPU, and what happens when a CPU takes it up.
#![forbid(unsafe_code)]

use crate::arch::context::Context;
use crate::arch::debug::Debug;
use crate::arch::vectors::STACK_OFFSET;
use crate::arch::virtual_interface::{Interface, Saved};
use crate::arch::{cpu, mmu, timer};
use crate::machine::Machine;
use crate::platform::gic;
use crate::scheduler::Place;
use crate::vm::Vm;
use crate::vpsci::Start;
use core::mem::offset_of;

/// A virtual CPU. Its place's CPU owns it.
#[repr(C, align(16))]
pub struct Vcpu {
    /// x0 to x30, where the vectors save them.
    pub x: [u64; 31],
    /// The stack of its CPU, for the vectors.
    stack: u64,
    /// Its VM.
    pub vm: &'static Vm,
    /// Its number there, which is also its Aff0.
    pub index: usize,
    /// Where it runs.
    pub place: Place,
    /// Its debug registers.
    pub debug: Debug,
    /// It has called and has not been answered yet.
    #[cfg(feature = "trace")]
    pub called: bool,
    context: Context,
    interface: Saved,
}

const _: () = assert!(offset_of!(Vcpu, x) == 0 && offset_of!(Vcpu, stack) == STACK_OFFSET);

impl Vcpu {
    /// A vCPU that is off.
    pub fn new(vm: &'static Vm, index: usize, place: Place, stack: u64) -> Self {
        Self {
            x: [0; 31],
            stack,
            vm,
            index,
            place,
            debug: Debug::default(),
            #[cfg(feature = "trace")]
            called: false,
            context: Context::reset(index as u64, 0),
            interface: Saved::reset(),
        }
    }

    /// Comes out of reset where PSCI wants it. It must not be loaded.
    pub fn start(&mut self, start: Start, machine: &mut Machine) {
        self.x = [0; 31];
        self.x[0] = start.context;
        self.context = Context::reset(self.index as u64, start.entry.0);
        self.interface = Saved::reset();
        self.debug = Debug::default();
        #[cfg(feature = "trace")]
        {
            self.called = false;
        }
        machine.vgic.forget_lists(self.index);
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
        let in_flight = self.vm.machine.lock().vgic.timer_in_flight(self.index);
        gic::set_virtual_timer_active(self.place.cpu, in_flight);
    }

    /// Takes this vCPU's registers from the CPU. When its virtual timer wants it back.
    pub fn unload(&mut self) -> Option<u64> {
        self.context.save();
        self.interface.save();
        self.debug.save();
        timer::stop_guest_timer();
        self.context.timer_deadline()
    }

    /// Brings the loaded vCPU's list registers up to date.
    #[inline]
    pub fn refresh(&self, machine: &mut Machine) {
        machine.vgic.refresh(self.index, &mut Interface);
    }

    /// Reads x0 to x30, or XZR.
    #[inline(always)]
    pub fn read(&self, register: u8) -> u64 {
        self.x.get(usize::from(register)).copied().unwrap_or(0)
    }

    /// Writes x0 to x30; nothing for XZR.
    #[inline(always)]
    pub fn write(&mut self, register: u8, value: u64) {
        if let Some(x) = self.x.get_mut(usize::from(register)) {
            *x = value;
        }
    }
}
