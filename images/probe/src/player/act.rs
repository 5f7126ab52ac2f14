// SPDX-License-Identifier: MIT OR Apache-2.0
//! What steps do.

use super::{Fault, Machine, Place, Player, REGISTERS};
use crate::script::NESTING;
use crate::script::step::{Action, Call, Loop, Step, Unit, Write};
use crate::shared::{State, Tally};
use shared_abi::layout::MAX_CPUS;
use shared_abi::optee_smc::{OPTEE_SMC_CALL_RETURN_FROM_RPC, Rpc};
use shared_abi::psci;
use shared_abi::smccc::{FunctionId, OwningEntity, SUCCESS};

/// Argument registers that are 0 unless a step says otherwise: those of SMC32 calls, x7 the client id among them.
const ZERO: core::ops::RangeInclusive<usize> = 1..=7;

/// Says what is in a register that a step says nothing about: not 0, and not the same in any two.
const fn pattern(register: usize) -> u64 {
    0x5A5A_0000_C3C3_0000 | ((register as u64) << 32) | register as u64
}

/// Says whether the answer to a yielding call of the trusted OS is that an interrupt of the normal world is pending.
fn was_interrupted(sent: &[u64; REGISTERS], results: &[u64; REGISTERS]) -> bool {
    let function = FunctionId(sent[0] as u32);
    !function.is_fast()
        && function.owner() == OwningEntity::TrustedOs
        && Rpc::from_x0(results[0]) == Some(Rpc::ForeignIntr)
}

impl<'a, M: Machine> Player<'a, '_, M> {
    /// Does what a step says.
    pub(super) fn act(&mut self, step: &Step<'a>) -> Result<(), Fault> {
        self.assign(step.sets)?;
        for write in step.writes.iter() {
            self.write(&write)?;
        }
        match step.action {
            Action::Nothing => {}
            Action::Call(call) => self.call(step, &call)?,
            Action::Read(width, at) => {
                let address = at.value(self)?;
                self.value = self.machine.load(width, address)?;
            }
            Action::Execute(at) => {
                let address = at.value(self)?;
                self.machine.execute(address)?;
            }
            Action::Wait(unit, time) => {
                let time = time.value(self)?;
                let ticks = match unit {
                    Unit::Ticks => time,
                    Unit::Milliseconds => (self.machine.frequency() / 1000).saturating_mul(time),
                };
                let start = self.machine.now();
                while self.machine.now().wrapping_sub(start) < ticks {
                    self.machine.relax();
                }
            }
            Action::Start { cpu, list } => {
                let cpu = cpu.value(self)?;
                self.start(step, cpu, list)?;
            }
            Action::Join(cpu) => {
                let cpu = cpu.value(self)?;
                self.wait_until(|shared, _| shared.state(cpu as usize) != State::Playing);
            }
            Action::Loop(body) => self.repeat(step, &body)?,
            Action::Play(list) => {
                if self.descend(step, None) {
                    self.list(list.into());
                    self.depth -= 1;
                }
            }
            Action::Barrier { barrier, cpus } => {
                let round = self.shared.arrive(barrier.into(), self.cpu);
                self.wait_until(|shared, _| shared.arrived(barrier.into(), round) >= cpus.into());
            }
            Action::Figure(name, value) => {
                let value = value.value(self)?;
                self.machine.mark();
                self.machine.print(format_args!("[probe] figure {name} {value}"));
            }
            Action::Measure { name, samples, warm_up, call } => self.measure(step, name, samples, warm_up, &call)?,
            Action::TimeLoop(rounds) => {
                let rounds = rounds.value(self)?;
                self.ticks = self.machine.time_loop(rounds);
            }
        }
        Ok(())
    }

    fn write(&mut self, write: &Write<'a>) -> Result<(), Fault> {
        let mut address = write.at.value(self)?;
        for _ in 0..write.times.value(self)? {
            for item in write.items.iter() {
                let value = item.value.value(self)?;
                self.machine.store(item.width, address, value)?;
                address = address.wrapping_add(item.width.bytes());
            }
        }
        Ok(())
    }

    /// Makes a call and looks whether what it may not change is as before.
    pub(super) fn call(&mut self, step: &Step<'a>, call: &Call<'a>) -> Result<(), Fault> {
        let mut sent = self.registers(call)?;
        self.send(call, sent)?;
        // The interrupt was for the hypervisor, which has taken it by now.
        let mut ticks = self.ticks;
        while call.resumes && was_interrupted(&sent, &self.results) {
            sent[0] = OPTEE_SMC_CALL_RETURN_FROM_RPC.0.into();
            sent[1..4].copy_from_slice(&self.results[1..4]);
            self.send(call, sent)?;
            ticks = ticks.saturating_add(self.ticks);
        }
        self.ticks = ticks;
        if call.preserves {
            self.shared.count(self.cpu, Tally { expectations: 1, ..Tally::default() });
            // SMCCC 1.4 §2.6: x4 to x17 keep their values unless the call returns something in them; x18 and above
            // always do.
            let changed = (4..REGISTERS).find(|&register| self.results[register] != sent[register]);
            if let Some(register) = changed {
                let (is, was) = (self.results[register], sent[register]);
                self.fail(step, format_args!("x{register} = {is:#x}, expected its old value {was:#x}"));
            }
        }
        Ok(())
    }

    /// Returns the registers that a call is made with.
    pub(super) fn registers(&mut self, call: &Call<'a>) -> Result<[u64; REGISTERS], Fault> {
        let mut registers =
            core::array::from_fn(|register| if ZERO.contains(&register) { 0 } else { pattern(register) });
        for argument in call.arguments.iter() {
            let value = argument.value.value(self)?;
            if let Some(register) = registers.get_mut(usize::from(argument.register)) {
                *register = value;
            }
        }
        Ok(registers)
    }

    /// Makes a call.
    pub(super) fn send(&mut self, call: &Call<'a>, mut registers: [u64; REGISTERS]) -> Result<(), Fault> {
        self.ticks = self.machine.call(call.conduit, &mut registers)?;
        self.results = registers;
        Ok(())
    }

    /// Starts a CPU by PSCI; the number goes along as its context id, and is its MPIDR on this machine.
    fn start(&mut self, step: &Step<'a>, cpu: u64, list: u8) -> Result<(), Fault> {
        self.shared.count(self.cpu, Tally { expectations: 1, ..Tally::default() });
        let Some(index) = usize::try_from(cpu).ok().filter(|index| (1..MAX_CPUS).contains(index)) else {
            self.fail(step, format_args!("CPU {cpu} cannot be started, only 1 to {}", MAX_CPUS - 1));
            return Ok(());
        };
        self.wait_until(|shared, _| shared.state(index) != State::Playing);
        self.shared.assign(index, list);
        self.shared.enter(index, State::Playing);
        let mut registers = [0; REGISTERS];
        registers[..4].copy_from_slice(&[psci::PSCI_CPU_ON_64.0.into(), cpu, self.machine.entry(), cpu]);
        // A CPU that has played its list takes a moment to be off: PSCI says ALREADY_ON (-4) until then.
        loop {
            let mut registers = registers;
            self.ticks = self.machine.call(self.machine.psci(), &mut registers)?;
            self.results = registers;
            if registers[0] as i32 != -4 {
                break;
            }
            self.machine.relax();
        }
        if self.results[0] as i32 != SUCCESS {
            self.shared.enter(index, State::Off);
            let code = self.results[0] as i32;
            self.fail(step, format_args!("CPU_ON of CPU {cpu} answers {code}, expected 0"));
        }
        Ok(())
    }

    fn repeat(&mut self, step: &Step<'a>, body: &Loop<'a>) -> Result<(), Fault> {
        let from = body.from.value(self)?;
        let count = body.count.value(self)?;
        if !self.descend(step, body.variable) {
            return Ok(());
        }
        for round in 0..count {
            if let Some(variable) = body.variable {
                self.shared.set(variable, from.wrapping_add(round));
            }
            self.steps(body.body);
            if self.has_given_up() {
                break;
            }
            if let Some(until) = body.until
                && until.value(self)? != 0
            {
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Goes one level deeper, if there is one.
    fn descend(&mut self, step: &Step<'a>, variable: Option<u8>) -> bool {
        if self.depth == NESTING {
            let place = Place { player: self, step };
            self.machine.print(format_args!("[probe] {place}: more than {NESTING} loops and lists inside each other"));
            self.shared.count(self.cpu, Tally { failed: 1, ..Tally::default() });
            return false;
        }
        self.loops[self.depth] = variable;
        self.depth += 1;
        true
    }
}
