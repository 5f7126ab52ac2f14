// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the layers tell about themselves: records of fixed size, and the two ways by which they leave the machine.
//!
//! A layer that is built to trace (cargo feature `trace`) writes a [`Record`] at each step that matters: who came, what
//! was decided, who goes on. A record says when (a tick of CNTPCT_EL0, which all CPUs share), what ([`Event`]) and for
//! whom (a client id). Nothing in the machine ever reads a record: they are for the people outside.
//!
//! * **Rings** in a reserved range of non-secure memory ([`crate::layout::TRACE`]): one for each layer on each CPU, so
//!   that no writer waits for another. QEMU backs the memory with a file, so reading it disturbs nothing. Each layer
//!   keeps its position in its own memory and only ever writes to the ring: what the normal world writes there misleads
//!   the reader, never a layer. See [`ring`].
//! * **Frames** on the layer's UART, where there is no such memory: lines among the others, each with a checksum, so
//!   that a damaged one is lost and the next is read again. See [`frame`].
//!
//! Which of the two is said by the device tree: a node `/reserved-memory/trace@…`, compatible with [`COMPATIBLE`],
//! whose `reg` is [`crate::layout::TRACE`], for rings; else the property [`CHOSEN`] of `/chosen` with the value
//! [`CHOSEN_UART`] for frames; without either, nothing is written.
//!
//! | module | what |
//! |---|---|
//! | [`event`] | what can happen, as a type |
//! | [`terms`] | the words of which events are made |
//! | [`encoding`] | how an event stands in a record |
//! | [`refusal`] | why a layer said no |
//! | [`record`] | an event with its time, as 80 bytes |
//! | [`ring`] | many of them in memory |
//! | [`frame`] | one of them as a line of text |
//!
//! # What EL3 writes
//!
//! From [`Event::Start`] on, on each CPU, every exception that is taken to EL3 gives exactly one record, and so does
//! every return from it, in the order in which they happen:
//!
//! | came | by | | left | to |
//! |---|---|---|---|---|
//! | [`Event::Call`] | an SMC, served or not | | [`Event::Answer`] | the world that called, with the call's results |
//! | [`Event::Interrupt`] | an interrupt of EL3 or the TEE | | [`Event::WorldSwitch`] | the other world, or one that begins on this CPU |
//! | [`Event::Exit`] | everything else | | [`Event::Resume`] | the world that came, without an answer |
//!
//! So the two can be laid beside an exception log of the machine, one to one. A call that the TEE answers is four
//! records:
//!
//! | record | x |
//! |---|---|
//! | `Call { from: Normal }` | the caller's x0 to x7 |
//! | `WorldSwitch { to: Secure, errand: Call }` | |
//! | `Call { from: Secure }` | x0: `TEESMC_OPTEED_RETURN_CALL_DONE`; x1 to x4: **the answer**, which the caller gets in x0 to x3 |
//! | `WorldSwitch { to: Normal, errand: Call }` | |
//!
//! [`Event::Refused`] stands between the two of a call that is refused. A CPU that is switched off comes by its last
//! call and leaves by a `WorldSwitch` when it is switched on again; one that boots begins with a `WorldSwitch`. The
//! client of a call of the trusted OS (owners 50 to 63) is what the caller alleges in bits 15:0 of x7, until the CPU
//! leaves for the normal world again; of everything else, 0.
//!
//! # What EL2 writes
//!
//! Every exception that comes to EL2 from a VM gives exactly one record on its CPU, and so does every return from EL2
//! into a VM; exceptions of EL2's own give none.
//!
//! | came | by | | left | to |
//! |---|---|---|---|---|
//! | [`Event::Call`] | SMC or HVC of a vCPU | | [`Event::Answer`] | the vCPU that called, for the first time since |
//! | [`Event::Interrupt`] | a physical interrupt | | [`Event::Enter`] | any other |
//! | [`Event::Exit`] | everything else | | | |
//!
//! In between: [`Event::Send`] and [`Event::Receive`] around each SMC of the hypervisor's own but the one that hardens
//! the branch predictor at an exit, whose client is x7's; [`Event::Wake`] for
//! an interrupt that comes while no VM runs, or together with another; [`Event::Idle`] when there is no vCPU to run. A
//! [`Event::Refused`] stands before the `Answer` of the call that is refused. [`Event::Memory`] says whose memory
//! becomes: at boot, when a VM is made, reset or ends, and of the buffers that a VM registers, of each the first
//! sixteen pieces. A page that is in two buffers is [`Owner::Shared`] until both are gone.
//!
//! # What the TEE writes
//!
//! [`Event::Call`] when it is entered for a call and [`Event::Answer`] before it is left, and in between what the call
//! does. The records of a thread that is suspended go on, on whatever CPU, after [`Event::ThreadResume`].

pub mod encoding;
pub mod event;
pub mod frame;
pub mod record;
pub mod refusal;
pub mod ring;
pub mod terms;

pub use event::{Event, Owner, World};
pub use record::Record;
pub use refusal::Refusal;

use crate::layout::{Range, TRACE};

/// `compatible` of the reserved memory's node.
pub const COMPATIBLE: &str = "triptych,trace";
/// Property of `/chosen` that says how records leave the machine without such memory.
pub const CHOSEN: &str = "triptych,trace";
/// Its value: as frames on the UARTs.
pub const CHOSEN_UART: &str = "uart";

/// How many [`Calibration`](Event::Calibration) records a layer writes on each CPU, right after
/// [`Start`](Event::Start).
pub const CALIBRATIONS: u64 = 16;

/// The way by which records leave the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// None: nothing is written.
    #[default]
    Nowhere = 0,
    /// Rings in [`TRACE`].
    Rings = 1,
    /// Frames on the layer's UART.
    Frames = 2,
}

impl Way {
    /// Reads what a device tree says: `reserved` is the `reg` of the node that is compatible with [`COMPATIBLE`], `ram`
    /// what the machine's non-secure memory is, `chosen` the value of [`CHOSEN`].
    pub fn of(reserved: Option<Range>, ram: &[Range], chosen: Option<&str>) -> Self {
        let in_ram = ram.iter().any(|range| range.holds(TRACE.base, TRACE.size));
        if reserved == Some(TRACE) && in_ram {
            Self::Rings
        } else if chosen == Some(CHOSEN_UART) {
            Self::Frames
        } else {
            Self::Nowhere
        }
    }

    /// Returns the way of this number; nowhere for one that is none.
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Rings,
            2 => Self::Frames,
            _ => Self::Nowhere,
        }
    }
}

/// Who writes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Layer {
    /// The secure monitor, EL3.
    Monitor = 0,
    /// The TEE core, S-EL1.
    Tee = 1,
    /// The hypervisor, NS-EL2.
    Hypervisor = 2,
}

impl Layer {
    /// Every layer, by its number.
    pub const ALL: [Self; 3] = [Self::Monitor, Self::Tee, Self::Hypervisor];

    /// Returns the layer of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Says what it calls itself in front of its lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monitor => "EL3",
            Self::Tee => "TEE",
            Self::Hypervisor => "HYP",
        }
    }

    /// Returns the exception level it runs at.
    pub const fn exception_level(self) -> &'static str {
        match self {
            Self::Monitor => "EL3",
            Self::Tee => "S-EL1",
            Self::Hypervisor => "NS-EL2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_made_in_the_agreed_memory_and_nowhere_else() {
        let ram = [Range::new(0x4000_0000, 0x8000_0000)];
        assert_eq!(Way::of(Some(TRACE), &ram, None), Way::Rings);
        assert_eq!(Way::of(Some(TRACE), &ram, Some("uart")), Way::Rings);
        let elsewhere = Range::new(TRACE.base + 0x1000, TRACE.size);
        for (reserved, ram) in
            [(None, &ram[..]), (Some(elsewhere), &ram), (Some(TRACE), &[Range::new(0x4000_0000, 1 << 26)])]
        {
            assert_eq!(Way::of(reserved, ram, None), Way::Nowhere);
            assert_eq!(Way::of(reserved, ram, Some("paper")), Way::Nowhere);
            assert_eq!(Way::of(reserved, ram, Some("uart")), Way::Frames);
        }
        for way in [Way::Nowhere, Way::Rings, Way::Frames] {
            assert_eq!(Way::from_number(way as u64), way);
        }
    }
}
