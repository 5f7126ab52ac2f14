// SPDX-License-Identifier: MIT OR Apache-2.0
//! The calls that the monitor answers, a family each. A service owns its ids and handles them; which one a call goes to
//! is all that [`crate::dispatch`] asks.

pub mod arch;
pub mod opteed;
pub mod payload;
pub mod psci;
pub mod standard;

use crate::trace::{Refusal, refused};
use crate::world::call::{Answer, Call, UNKNOWN};
use crate::world::context::World;
use crate::world::cpu::Cpu;
use crate::world::next::Next;
use shared_abi::smccc::FunctionId;

/// A family of calls. One whose calls all end at once is told by [`Service::answer`], another by [`Service::handle`].
pub trait Service {
    /// Says whether the id is one of the family's. Ids of its range that the family does not know are its to refuse.
    fn owns(id: FunctionId) -> bool;

    /// Answers a call of the family's, after which the caller goes on. `None` if the family does not know the id.
    fn answer(&self, _: &Call<'_>) -> Option<Answer> {
        None
    }

    /// Handles any call of the family's, whose registers are in the context of `from`.
    fn handle(&self, cpu: &mut Cpu, from: World, id: FunctionId) -> Next {
        let Some(answer) = self.answer(&Call { cpu, from, id }) else {
            return refuse(cpu, from, Refusal::UnknownFunction);
        };
        cpu.context(from).answer(answer);
        Next::Enter(from)
    }

    /// Handles a call of the normal world whose cost counts, and says which world goes on. `None`, with nothing
    /// changed, for every other: that comes to [`Service::handle`], which does the same for these, too.
    #[inline(always)]
    fn frequent(&self, _: &mut Cpu, _: FunctionId) -> Option<World> {
        None
    }

    /// Answers a call of the normal world that is frequent where it is made at all, and is looked for after the others
    /// so that those do not pay for it. False, with nothing changed, for every other.
    #[inline(always)]
    fn less_frequent(&self, _: &mut Cpu, _: FunctionId) -> bool {
        false
    }
}

/// Answers a call that is not served with -1, and tells why not.
#[cold]
#[inline(never)]
pub fn refuse(cpu: &mut Cpu, from: World, why: Refusal) -> Next {
    let context = cpu.context(from);
    context.answer(refused!(why, context.gpr[0], UNKNOWN));
    Next::Enter(from)
}
