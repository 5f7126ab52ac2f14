// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine of a test: its time, its CPUs, and what stands around it.
#![forbid(unsafe_code)]

use super::interface::VirtualInterface;
use crate::arch::interface::{PHYSICAL_TIMER, TIMERS, VIRTUAL_TIMER};
use crate::interrupts::{HYPERVISOR_TIMER, KICK, MAINTENANCE, UART};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::vec::Vec;

/// Counts per second.
pub const FREQUENCY: u64 = 1_000_000_000;
/// CPUs that it has.
pub const CPUS: usize = 4;
/// List registers of each.
const LIST_REGISTERS: usize = 4;

/// Its SPIs end before this INTID.
pub const SPIS: u32 = 288;

/// An SPI that somebody has taken, beside the UART's.
pub struct Spi {
    /// Its INTID.
    pub intid: u32,
    /// It comes.
    pub enabled: bool,
    /// Its line has risen.
    pub pending: bool,
}

/// What a CPU has of the guest that it runs, beside x0 to x30.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// ELR_EL2 and SPSR_EL2.
    pub pc: u64,
    /// SPSR_EL2.
    pub pstate: u64,
    /// VMPIDR_EL2.
    pub mpidr: u64,
    /// SCTLR_EL1.
    pub sctlr: u64,
    /// VBAR_EL1.
    pub vbar: u64,
    /// What it finds of its last exception: ELR_EL1, SPSR_EL1, ESR_EL1, FAR_EL1.
    pub exception: [u64; 4],
    /// SP_EL0 and SP_EL1.
    pub stacks: [u64; 2],
    /// V0 to V31.
    pub vectors: [u128; 32],
    /// CNTV and CNTP: the control register and the compare value of each.
    pub timers: [(u64, u64); 2],
}

/// A CPU.
pub struct Cpu {
    /// The system count, as far as this CPU has come: the test says who goes on.
    pub now: u64,
    /// What its guest has.
    pub guest: Guest,
    /// Why it left: ESR_EL2, FAR_EL2, HPFAR_EL2.
    pub syndrome: [u64; 3],
    /// The guest's view of interrupts.
    pub interface: VirtualInterface,
    /// VTTBR_EL2.
    pub stage2: u64,
    /// How often a guest's translations were dropped.
    pub flushes: usize,
    /// When the hypervisor's timer fires.
    pub timer: Option<u64>,
    /// It was kicked.
    pub kicked: bool,
    /// Physical interrupts that are active, those below 64.
    active: u64,
    /// TPIDR_EL2.
    pub(super) own: usize,
}

/// The machine.
pub struct Machine {
    /// Its CPUs.
    pub cpus: Vec<Cpu>,
    /// The one that runs the test's code.
    pub current: usize,
    /// What somebody has taken.
    pub spi: Option<Spi>,
    /// What was typed and not taken.
    pub typed: VecDeque<u8>,
    /// What was printed.
    pub printed: Vec<u8>,
    /// The calls that EL3 got.
    pub calls: Vec<[u64; 8]>,
    /// What EL3 answers.
    pub firmware: fn([u64; 8]) -> [u64; 4],
    /// How often a CPU may still look at the time before it has to be back in a guest.
    pub patience: u64,
    /// What another CPU does whenever this one looks at the time, or sleeps and would not wake, as long as it says that
    /// it goes on.
    pub elsewhere: Option<fn() -> bool>,
}

std::thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::new(Machine::new());
}

/// Does something with the machine of this thread.
pub fn with<T>(f: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(f)
}

/// Lets another CPU do what it is to do.
pub(super) fn elsewhere() {
    if let Some(act) = with(|machine| machine.elsewhere.take())
        && act()
    {
        with(|machine| machine.elsewhere = Some(act));
    }
}

/// Does something with the CPU that runs this.
pub fn with_cpu<T>(f: impl FnOnce(&mut Cpu) -> T) -> T {
    with(|machine| f(&mut machine.cpus[machine.current]))
}

impl Cpu {
    fn new() -> Self {
        Self {
            now: 0,
            guest: Guest::default(),
            syndrome: [0; 3],
            interface: VirtualInterface::new(LIST_REGISTERS),
            stage2: 0,
            flushes: 0,
            timer: None,
            kicked: false,
            active: 0,
            own: 0,
        }
    }

    /// Returns the interrupts of its guest's timers, those whose lines are up.
    pub fn guest_timers(&self) -> u32 {
        const ENABLE_AND_IMASK: u64 = 3;
        let lines = [VIRTUAL_TIMER, PHYSICAL_TIMER].into_iter().zip(self.guest.timers);
        let up = lines.filter(|(_, (control, value))| control & ENABLE_AND_IMASK == 1 && *value <= self.now);
        up.fold(0, |lines, (intid, _)| lines | 1 << intid)
    }

    /// Returns the interrupts that wait for it, as a bit mask.
    fn pending(&self, typed: bool) -> u64 {
        let mut pending = u64::from(self.guest_timers());
        pending |= u64::from(self.kicked) << KICK;
        pending |= u64::from(self.timer.is_some_and(|timer| timer <= self.now)) << HYPERVISOR_TIMER;
        pending |= u64::from(self.interface.needs_maintenance()) << MAINTENANCE;
        pending |= u64::from(typed) << UART;
        pending & !self.active & !u64::from(self.interface.physical())
    }
}

impl Machine {
    fn new() -> Self {
        Self {
            cpus: (0..CPUS).map(|_| Cpu::new()).collect(),
            current: 0,
            spi: None,
            typed: VecDeque::new(),
            printed: Vec::new(),
            calls: Vec::new(),
            firmware: |_| [-1i64 as u64, 0, 0, 0],
            patience: u64::MAX,
            elsewhere: None,
        }
    }

    fn pending(&self) -> u64 {
        // The UART's goes to the first CPU.
        self.cpus[self.current].pending(self.current == 0 && !self.typed.is_empty())
    }

    /// Returns the SPI that somebody has taken, if it waits for the CPU that runs this.
    fn spi(&mut self) -> Option<&mut Spi> {
        let first = self.current == 0;
        self.spi.as_mut().filter(|spi| first && spi.enabled && spi.pending)
    }

    /// Says whether the CPU that runs this has an interrupt to take.
    pub(super) fn is_interrupted(&mut self) -> bool {
        self.pending() != 0 || self.spi().is_some()
    }

    /// Takes the most urgent interrupt of the CPU that runs this, which becomes active.
    pub(super) fn acknowledge(&mut self) -> Option<u32> {
        let pending = self.pending();
        if pending == 0 {
            let spi = self.spi()?;
            spi.pending = false;
            return Some(spi.intid);
        }
        let intid = pending.trailing_zeros();
        let cpu = &mut self.cpus[self.current];
        if 1 << intid & u64::from(TIMERS) != 0 {
            cpu.interface.activate(intid);
        } else {
            cpu.active |= 1 << intid;
        }
        cpu.kicked &= intid != KICK;
        Some(intid)
    }

    pub(super) fn deactivate(&mut self, intid: u32) {
        let cpu = &mut self.cpus[self.current];
        if [VIRTUAL_TIMER, PHYSICAL_TIMER].contains(&intid) {
            cpu.interface.forget(intid);
        }
        if intid < u64::BITS {
            cpu.active &= !(1 << intid);
        }
    }

    /// Lets time pass until an interrupt is pending.
    pub(super) fn sleep(&mut self) {
        if self.is_interrupted() {
            return;
        }
        let next = self.wakes().expect("a CPU sleeps for ever");
        self.cpus[self.current].now = next;
    }

    /// Says when the CPU that sleeps wakes by itself.
    pub(super) fn wakes(&self) -> Option<u64> {
        let cpu = &self.cpus[self.current];
        let guests = cpu.guest.timers.iter().filter(|(control, _)| control & 3 == 1).map(|(_, value)| *value);
        guests.chain(cpu.timer).filter(|next| *next > cpu.now).min()
    }
}
