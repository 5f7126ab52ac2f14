// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only AArch64 can say: the way in, instructions that may fault, and one CPU as the player's machine.

mod boot;
mod exceptions;
pub mod guard;
mod guarded;

use crate::lock::Bakery;
use crate::platform::console;
use crate::player::{Fault, Machine, REGISTERS};
use crate::script::expression::Width;
use crate::script::step::Conduit;
use aarch64_cpu::asm::{barrier, wfi};
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTVCT_EL0, CurrentEL, Readable};
use core::arch::asm;
use core::fmt::{self, Write};
use guarded::{Frame, Instruction, probe_figure};
use shared_abi::psci;

/// Held while a line is printed.
static CONSOLE: Bakery = Bakery::new();

/// The CPU that this runs on.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    number: usize,
    psci: Conduit,
}

unsafe extern "C" {
    static _image_start: u8;
    static _arena: u8;
    fn probe_entry();
    fn probe_resume();
}

impl Cpu {
    /// Returns the CPU that calls this, whose number is what it was started with.
    pub fn new(number: usize, psci: Conduit) -> Self {
        guard::install(number);
        Self { number, psci }
    }

    /// Switches this CPU off by PSCI. Should that fail, it sleeps for good.
    pub fn off(&mut self) -> ! {
        let mut registers = [0; REGISTERS];
        registers[0] = psci::PSCI_CPU_OFF.0.into();
        let _ = self.call(self.psci, &mut registers);
        sleep()
    }

    /// Switches the machine off.
    pub fn power_off(&self) -> ! {
        power_off(self.psci)
    }

    fn access(&mut self, instruction: Instruction, address: u64, value: u64) -> Result<u64, Fault> {
        let mut frame = Frame::default();
        frame.x[..2].copy_from_slice(&[address, value]);
        // SAFETY: scripts name the arena and addresses outside of the image. One that names the probe's own memory
        // hurts nobody but itself: the probe holds nothing of value and protects nobody.
        unsafe { frame.execute(instruction) }?;
        Ok(frame.x[1])
    }
}

impl Machine for Cpu {
    fn call(&mut self, conduit: Conduit, registers: &mut [u64; REGISTERS]) -> Result<u64, Fault> {
        let instruction = match conduit {
            Conduit::Smc => Instruction::Smc,
            Conduit::Hvc => Instruction::Hvc,
        };
        let mut frame = Frame::new(*registers);
        // SAFETY: as in `access`: whoever answers may write to what the script shares with it.
        unsafe { frame.execute(instruction) }?;
        *registers = frame.x;
        Ok(frame.after.wrapping_sub(frame.before))
    }

    fn load(&mut self, width: Width, address: u64) -> Result<u64, Fault> {
        let instruction = match width {
            Width::Bits8 => Instruction::Load8,
            Width::Bits32 => Instruction::Load32,
            Width::Bits64 => Instruction::Load64,
        };
        self.access(instruction, address, 0)
    }

    fn store(&mut self, width: Width, address: u64, value: u64) -> Result<(), Fault> {
        let instruction = match width {
            Width::Bits8 => Instruction::Store8,
            Width::Bits32 => Instruction::Store32,
            Width::Bits64 => Instruction::Store64,
        };
        self.access(instruction, address, value).map(|_| ())
    }

    fn execute(&mut self, address: u64) -> Result<(), Fault> {
        self.access(Instruction::Branch, address, 0).map(|_| ())
    }

    fn time_loop(&mut self, rounds: u64) -> u64 {
        let (before, after): (u64, u64);
        // SAFETY: counts a register down and reads the counter before and after.
        unsafe {
            asm!(
                "mrs {before}, cntvct_el0",
                "2: subs {rounds}, {rounds}, #1",
                "b.ne 2b",
                "mrs {after}, cntvct_el0",
                before = out(reg) before,
                after = out(reg) after,
                rounds = inout(reg) rounds.max(1) => _,
                options(nomem, nostack),
            );
        }
        after.wrapping_sub(before)
    }

    fn now(&self) -> u64 {
        barrier::isb(barrier::SY);
        CNTVCT_EL0.get()
    }

    fn frequency(&self) -> u64 {
        CNTFRQ_EL0.get()
    }

    fn level(&self) -> u64 {
        CurrentEL.read(CurrentEL::EL)
    }

    fn image(&self) -> u64 {
        (&raw const _image_start).addr() as u64
    }

    fn arena(&self) -> u64 {
        (&raw const _arena).addr() as u64
    }

    fn entry(&self) -> u64 {
        probe_entry as *const () as u64
    }

    fn resume(&self) -> u64 {
        probe_resume as *const () as u64
    }

    fn relax(&self) {
        // SAFETY: a hint. When QEMU counts instructions its CPUs share one, and this gives it on; `spin_loop`'s ISB
        // does not.
        unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
    }

    fn psci(&self) -> Conduit {
        self.psci
    }

    fn mark(&self) {
        // SAFETY: it does nothing but return.
        unsafe { probe_figure() };
    }

    fn print(&self, line: fmt::Arguments<'_>) {
        CONSOLE.hold(self.number, || {
            // SAFETY: whoever holds the lock is the only one who prints.
            let mut console = unsafe { console() };
            let _ = writeln!(console, "{line}");
        });
    }
}

/// Switches the machine off by PSCI. Should that fail, the CPU sleeps for good.
pub fn power_off(conduit: Conduit) -> ! {
    let mut frame = Frame::default();
    frame.x[0] = psci::PSCI_SYSTEM_OFF.0.into();
    let instruction = match conduit {
        Conduit::Smc => Instruction::Smc,
        Conduit::Hvc => Instruction::Hvc,
    };
    // SAFETY: the call touches no memory.
    let _ = unsafe { frame.execute(instruction) };
    sleep()
}

/// Sleeps for good.
pub fn sleep() -> ! {
    loop {
        wfi();
    }
}
