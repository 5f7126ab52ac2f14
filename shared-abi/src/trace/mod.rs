//! What the layers tell about themselves: records of fixed size, and the two ways by which they leave the machine.
//!
//! A layer that is built to trace (cargo feature `trace`) writes a [`Record`] at each step that matters: who came, what
//! was decided, who goes on. A record says when (a tick of CNTPCT_EL0, which all CPUs share), what ([`Event`]) and for whom (a
//! client id). Nothing in the machine ever reads a record: they are for the people outside.
//!
//! * **Rings** in a reserved range of non-secure memory ([`crate::layout::TRACE`]): one for each layer on each CPU, so that
//!   no writer waits for another. QEMU backs the memory with a file, so reading it disturbs nothing. Each layer keeps its
//!   position in its own memory and only ever writes to the ring: what the normal world writes there misleads the reader,
//!   never a layer. See [`ring`].
//! * **Frames** on the layer's UART, where there is no such memory: lines among the others, each with a checksum, so that
//!   a damaged one is lost and the next is read again. See [`frame`].
//!
//! Which of the two is said by the device tree: a node `/reserved-memory/trace@…`, compatible with [`COMPATIBLE`], whose `reg`
//! is [`crate::layout::TRACE`], for rings; else the property [`CHOSEN`] of `/chosen` with the value [`CHOSEN_UART`] for
//! frames; without either, nothing is written.
//!
//! | module | what |
//! |---|---|
//! | [`event`] | what can happen, as a type |
//! | [`refusal`] | why a layer said no |
//! | [`record`] | an event with its time, as 80 bytes |
//! | [`ring`] | many of them in memory: writer and reader |
//! | [`frame`] | one of them as a line of text |

pub mod event;
pub mod frame;
pub mod record;
pub mod refusal;
pub mod ring;

pub use event::{Event, Owner, World};
pub use record::Record;
pub use refusal::Refusal;

/// `compatible` of the reserved memory's node.
pub const COMPATIBLE: &str = "triptych,trace";
/// Property of `/chosen` that says how records leave the machine without such memory.
pub const CHOSEN: &str = "triptych,trace";
/// Its value: as frames on the UARTs.
pub const CHOSEN_UART: &str = "uart";

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

    /// The layer of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// What it calls itself in front of its lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monitor => "EL3",
            Self::Tee => "TEE",
            Self::Hypervisor => "HYP",
        }
    }

    /// The exception level it runs at.
    pub const fn exception_level(self) -> &'static str {
        match self {
            Self::Monitor => "EL3",
            Self::Tee => "S-EL1",
            Self::Hypervisor => "NS-EL2",
        }
    }
}
