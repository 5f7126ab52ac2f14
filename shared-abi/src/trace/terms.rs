// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of which events are made: small enumerations, each value with its number.

/// A world of the Arm architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum World {
    /// Non-secure: EL2, EL1, EL0.
    Normal = 0,
    /// Secure: the TEE.
    Secure = 1,
}

/// The instruction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Conduit {
    /// SMC.
    Smc = 0,
    /// HVC.
    Hvc = 1,
}

/// Whose a range of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Owner {
    /// Nobody's: free.
    Free = 0,
    /// The monitor's.
    Monitor = 1,
    /// The TEE's, for all VMs: its nexus.
    Tee = 2,
    /// A partition's: the TEE's memory for the VM that the record is about.
    Partition = 3,
    /// The hypervisor's.
    Hypervisor = 4,
    /// RAM of the VM that the record is about.
    Vm = 5,
    /// Of the VM's RAM, what the TEE may use: registered shared memory.
    Shared = 6,
    /// The hypervisor's copies of the VM's messages, which the TEE reads in place of the VM's own.
    Shadow = 7,
    /// Queued to be scrubbed before anybody gets it.
    Dirty = 8,
}

/// What the monitor enters the TEE for ([`WorldSwitch`](super::Event::WorldSwitch)), by number.
pub const ERRANDS: [&str; 10] =
    ["nothing", "entry", "call", "interrupt", "CPU on", "CPU off", "suspend", "resume", "system off", "system reset"];

/// What becomes of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VmState {
    /// The hypervisor has made it.
    Made = 0,
    /// Its first vCPU runs.
    Running = 1,
    /// It asked to be switched off.
    Off = 2,
    /// It asked to be reset.
    Reset = 3,
    /// The hypervisor ended it.
    Crashed = 4,
}

/// Decoding an enumeration of this file by number.
macro_rules! numbered {
    ($($type:ident: $($name:ident)*;)*) => {
        $(impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the value of this number.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| *value as u8 == number)
            }
        })*
    };
}

numbered! {
    World: Normal Secure;
    Conduit: Smc Hvc;
    Owner: Free Monitor Tee Partition Hypervisor Vm Shared Shadow Dirty;
    VmState: Made Running Off Reset Crashed;
}
