// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a function id to the service that owns it: here and nowhere else is the list of services.

use crate::services::arch::Arch;
use crate::services::opteed::Opteed;
use crate::services::psci::Psci;
use crate::services::standard::Standard;
use crate::services::{Service, refuse};
use crate::trace::Refusal;
use crate::world::call::function;
use crate::world::context::World;
use crate::world::cpu::Cpu;
use crate::world::next::Next;
use shared_abi::smccc::FunctionId;

/// Power, of a machine whose secure payload is the TEE.
pub type Power = Psci<Opteed>;

/// Makes the monitor of the services that there are. Those of the second half live in one of the first.
macro_rules! services {
    (
        new($wake:ident: $wakes:ty);
        $($(#[$doc:meta])+ $name:ident: $service:ty = $new:expr,)+;
        $($(#[$part_doc:meta])+ $part:ident: $part_service:ty = $whole:ident.$get:ident(),)*
    ) => {
        /// The monitor's services.
        pub struct Monitor {
            $($name: $service,)+
        }

        impl Monitor {
            /// Makes services that find nobody there: no CPUs, no TEE. `wake` is how a waiting CPU is told to look.
            pub const fn new($wake: $wakes) -> Self {
                Self { $($name: $new,)+ }
            }

            $($(#[$doc])+ pub const fn $name(&self) -> &$service {
                &self.$name
            })+

            $($(#[$part_doc])+ pub const fn $part(&self) -> &$part_service {
                self.$whole.$get()
            })*

            /// Handles every call, by who owns its id.
            pub fn rare(&self, cpu: &mut Cpu, from: World) -> Next {
                match function(cpu.context(from).gpr[0] as u32) {
                    $(Some(id) if <$service>::owns(id) => self.$name.handle(cpu, from, id),)+
                    $(Some(id) if <$part_service>::owns(id) => self.$part().handle(cpu, from, id),)*
                    _ => refuse(cpu, from, Refusal::UnknownFunction),
                }
            }
        }

        /// The same for tests.
        #[cfg(test)]
        const TABLE: &[tests::Row] = &[
            $(tests::row!($name: $service),)+
            $(tests::row!($part: $part_service),)*
        ];
    };
}

services! {
    new(wake: fn(u64));
    /// What the standard services say of themselves.
    standard: Standard = Standard,
    /// What the architecture asks of firmware.
    arch: Arch = Arch,
    /// Power.
    power: Power = Psci::new(wake, Opteed::new()),
    ;
    /// The TEE, which has a part in each step of power.
    tee: Opteed = power.payload(),
}

impl Monitor {
    /// Handles the SMC whose registers are in the context of `from`.
    pub fn smc(&self, cpu: &mut Cpu, from: World) -> Next {
        let frequent = match from {
            World::Secure => {
                self.frequent_of_tee(cpu).or_else(|| self.less_frequent_of_tee(cpu).then_some(World::Secure))
            }
            World::Normal => function(cpu.normal.gpr[0] as u32).and_then(|id| {
                self.frequent_of_normal_world(cpu, id).or_else(|| self.less_frequent(cpu, id).then_some(World::Normal))
            }),
        };
        match frequent {
            Some(to) => Next::Enter(to),
            None => self.rare(cpu, from),
        }
    }

    /// Handles the calls of the normal world whose cost counts: into the TEE first, which cost the most. `None`, with
    /// nothing changed, for every other.
    #[inline(always)]
    pub fn frequent_of_normal_world(&self, cpu: &mut Cpu, id: FunctionId) -> Option<World> {
        if Opteed::owns(id) {
            return self.tee().frequent(cpu, id);
        }
        self.arch.frequent(cpu, id).or_else(|| self.power.frequent(cpu, id))
    }

    /// Answers what is frequent where it is called at all. False, with nothing changed, for every other call.
    #[inline(always)]
    pub fn less_frequent(&self, cpu: &mut Cpu, id: FunctionId) -> bool {
        self.arch.less_frequent(cpu, id) || self.power.less_frequent(cpu, id)
    }

    /// Handles the frequent calls of the TEE: the return from a call.
    #[inline(always)]
    pub fn frequent_of_tee(&self, cpu: &mut Cpu) -> Option<World> {
        Opteed::out_of_tee(cpu).then_some(World::Normal)
    }

    /// Answers what a TEE calls at each exception of its applications, where the CPU needs it: OP-TEE has the predictor
    /// forget. False, with nothing changed, for every other call.
    #[inline(always)]
    pub fn less_frequent_of_tee(&self, cpu: &mut Cpu) -> bool {
        self.arch.less_frequent(cpu, FunctionId(cpu.secure.gpr[0] as u32))
    }
}

#[cfg(test)]
mod tests;
