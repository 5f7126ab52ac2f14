// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the monitor tells about itself ([`shared_abi::trace`], which also says in which order), in builds with the
//! feature `trace`.
//!
//! In others there is nothing of it: what `refused!` is given is not even evaluated, and [`Came`] has no bytes. On the
//! host the tests are told.

use crate::world::context::{Context, World};
use crate::world::cpu::Cpu;
use crate::world::tee::Errand;
use shared_abi::layout;
use shared_abi::smccc::FunctionId;
use shared_abi::trace::Owner;
pub use shared_abi::trace::Refusal;
use shared_abi::trace::event::{Conduit, Event};

/// Whether this build tells anything.
pub const ON: bool = cfg!(tracing);

/// Tells that something is refused, why, and the value that it is about; is what the refusal is answered with.
macro_rules! refused {
    ($reason:expr, $value:expr, $answer:expr) => {{
        if $crate::trace::ON {
            $crate::trace::tell(shared_abi::trace::Event::Refused { reason: $reason, value: $value });
        }
        $answer
    }};
}
pub(crate) use refused;

/// Tells which memory is the monitor's.
#[inline(always)]
pub fn memory() {
    if ON {
        tell(Event::Memory { owner: Owner::Monitor, base: layout::MONITOR.base, size: layout::MONITOR.size, ipa: 0 });
    }
}

/// Tells the first of the monitor's last words.
#[inline(always)]
pub fn panic(words: core::fmt::Arguments<'_>) {
    if ON {
        tell(Event::last_words(words));
    }
}

/// How the CPU came to EL3, which says what its return is. No bytes where nothing is told.
#[derive(Clone, Copy)]
pub struct Came([How; ON as usize]);

#[derive(Clone, Copy)]
struct How {
    by_call: bool,
    /// What the TEE was doing.
    errand: Errand,
}

impl Came {
    /// The CPU did not come: it begins.
    pub const NOT: Self = Self([How { by_call: false, errand: Errand::None }; ON as usize]);

    /// Tells that it came by an SMC, whose registers are in the context of `from`.
    #[inline(always)]
    pub fn by_call(cpu: &mut Cpu, from: World) -> Self {
        if ON {
            tell_call(cpu.context(from), from);
        }
        Self::by_told_call(cpu)
    }

    /// Says that it came by an SMC of which that was told already, and nothing was done about it yet.
    #[inline(always)]
    pub fn by_told_call(cpu: &Cpu) -> Self {
        Self([How { by_call: true, errand: cpu.tee.errand() }; ON as usize])
    }

    /// Tells that it came by an exception that is neither a call nor an interrupt: ESR_EL3, ELR_EL3, FAR_EL3.
    #[inline(always)]
    pub fn by_trap(cpu: &Cpu, from: World, esr: u64, pc: impl FnOnce() -> u64, far: impl FnOnce() -> u64) -> Self {
        if ON {
            let exit = Event::Exit { vcpu: 0, esr, pc: pc(), far: far(), ipa: 0 };
            write(caller(from, 0), &exit.encode());
        }
        Self([How { by_call: false, errand: cpu.tee.errand() }; ON as usize])
    }

    /// Tells that it came by an interrupt, while the world was at `pc`.
    #[inline(always)]
    pub fn by_interrupt(cpu: &Cpu, from: World, intid: impl FnOnce() -> u32, pc: impl FnOnce() -> u64) -> Self {
        if ON {
            let interrupt = Event::Interrupt { vcpu: 0, intid: intid(), pc: pc() };
            write(caller(from, 0), &interrupt.encode());
        }
        Self([How { by_call: false, errand: cpu.tee.errand() }; ON as usize])
    }

    /// Tells that the CPU leaves for the world `to`: at `pc` if that is the one that came, and else where it is to go
    /// on.
    #[inline(always)]
    pub fn leave(self, cpu: &mut Cpu, from: Option<World>, to: World, pc: impl FnOnce() -> u64) {
        let Some(how) = self.0.first() else { return };
        tell(how.leave(cpu, from, to, pc));
    }

    /// Tells that the CPU leaves for the world `to`, which begins anew, maybe in the place of what it was doing.
    #[inline(always)]
    pub fn begin(self, cpu: &mut Cpu, from: Option<World>, to: World) {
        let Some(how) = self.0.first() else { return };
        tell(if from == Some(to) {
            Event::Resume { to: to.into(), pc: cpu.context(to).elr }
        } else {
            how.switch(cpu, to)
        });
    }
}

impl How {
    #[inline(always)]
    fn leave(&self, cpu: &mut Cpu, from: Option<World>, to: World, pc: impl FnOnce() -> u64) -> Event {
        if from != Some(to) {
            self.switch(cpu, to)
        } else if self.by_call {
            let [x0, x1, x2, x3, ..] = cpu.context(to).gpr;
            Event::Answer { to: to.into(), vcpu: 0, x: [x0, x1, x2, x3], pc: pc() }
        } else {
            Event::Resume { to: to.into(), pc: pc() }
        }
    }

    #[inline(always)]
    fn switch(&self, cpu: &mut Cpu, to: World) -> Event {
        let errand = if to == World::Secure { cpu.tee.errand() } else { self.errand };
        Event::WorldSwitch { to: to.into(), errand: errand.number(), pc: cpu.context(to).elr }
    }
}

/// Tells of a call straight from where its registers are kept: on the way that most calls take nothing else is to be
/// saved for it.
#[inline(never)]
fn tell_call(context: &Context, from: World) {
    let [x0, x1, x2, x3, x4, x5, x6, x7, ..] = context.gpr;
    let to_tee = FunctionId(x0 as u32).is_of_trusted_os();
    let client = caller(from, if to_tee { x7 as u16 } else { 0 });
    // Of the TEE's what its answer is made of, and nothing that it left in the others.
    let x = match from {
        World::Normal => [x0, x1, x2, x3, x4, x5, x6, x7],
        World::Secure => [x0, x1, x2, x3, x4, 0, 0, 0],
    };
    record(client, &Event::Call { conduit: Conduit::Smc, from: from.into(), vcpu: 0, x }.encode());
}

impl From<World> for shared_abi::trace::World {
    #[inline(always)]
    fn from(world: World) -> Self {
        match world {
            World::Normal => Self::Normal,
            World::Secure => Self::Secure,
        }
    }
}

/// Says whom records of this CPU are about from now on, if it is the normal world that came. The TEE works for
/// whom it worked before.
#[inline(always)]
fn caller(from: World, client: u16) -> Option<u16> {
    (from == World::Normal).then_some(client)
}

/// Writes a record about whom this CPU works for.
#[inline(always)]
pub(crate) fn tell(event: Event) {
    write(None, &event.encode());
}

#[cfg(target_os = "none")]
use crate::platform::recorder::{record, write};
#[cfg(all(test, not(target_os = "none")))]
use tape::{write, write as record};

/// Drops the record: on the host there is nobody to tell but tests.
#[cfg(not(any(test, target_os = "none")))]
fn write(_: Option<u16>, _: &shared_abi::trace::event::Encoded) {}
#[cfg(not(any(test, target_os = "none")))]
use write as record;

#[cfg(test)]
mod tests;

/// What the tests are told: events of their thread, and about which client they are.
#[cfg(test)]
pub mod tape {
    use shared_abi::trace::event::{Encoded, Event};
    use std::cell::{Cell, RefCell};
    use std::vec::Vec;

    thread_local! {
        static CLIENT: Cell<u16> = const { Cell::new(0) };
        static EVENTS: RefCell<Vec<(u16, Event)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn write(client: Option<u16>, event: &Encoded) {
        CLIENT.set(client.unwrap_or(CLIENT.get()));
        let event = Event::decode(event).expect("what can be told can be read");
        EVENTS.with_borrow_mut(|events| events.push((CLIENT.get(), event)));
    }

    /// Takes what was told since it was asked last.
    pub fn take() -> Vec<(u16, Event)> {
        EVENTS.take()
    }
}
