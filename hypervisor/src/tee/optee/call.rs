// SPDX-License-Identifier: MIT OR Apache-2.0
//! The yielding calls that a VM has under way.

use crate::address::Ipa;
use crate::tee::optee::shadow::ListPages;

/// Most calls of a VM at a time; fewer if the TEE has fewer threads. One more is answered ETHREAD_LIMIT, and Linux
/// waits.
pub const MAX_CALLS: usize = 8;

/// How often in a row an RPC that cannot be shown to the guest is answered for it, before the call is given up. A
/// correct TEE sends no such RPC at all.
pub const MAX_UNDELIVERED: u8 = 4;

/// Where an RPC's message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcPlace {
    /// Behind the call's own message.
    Behind,
    /// In memory that the TEE had asked for (RPC_ALLOC), by its index.
    Memory(usize),
}

/// The memory that the TEE asks for with SHM_ALLOC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What kind of memory.
    pub kind: u64,
    /// How many bytes at least.
    pub size: u64,
}

/// What a suspended call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Memory for a message of that many bytes.
    Memory {
        /// Bytes.
        size: u64,
    },
    /// Nothing but being resumed, with these x1 and x2.
    Resumption([u64; 2]),
    /// The answer to an RPC message.
    Answer {
        /// Where the message stands.
        place: RpcPlace,
        /// Its cookie, as in x1 and x2.
        cookie: [u64; 2],
        /// What was asked for, if it was memory.
        wanted: Option<Wanted>,
    },
    /// The guest gave memory that cannot be used, and was asked to free it. After that the TEE hears of the failure.
    Undoing {
        /// Where the TEE's message stands.
        place: RpcPlace,
    },
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no call.
    Free,
    /// The TEE works on it, or the mediator does, on some CPU.
    Running,
    /// It is suspended in the TEE, and the guest is to resume it.
    Suspended(Waiting),
    /// It is suspended in the TEE and cannot be resumed. Its pages stay the TEE's until `VM_DESTROYED`.
    Lost,
}

/// What a call's success changes in the mediator's own tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShmChange {
    /// Nothing.
    None,
    /// The buffer of this cookie is registered.
    Register(u64),
    /// It no longer is.
    Unregister(u64),
    /// The mediator's own call, in which the TEE is to forget the buffer of this cookie before the guest's begins.
    Reclaim(u64),
}

impl ShmChange {
    /// Returns the cookie whose buffer comes or goes.
    pub fn changes(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Register(cookie) | Self::Unregister(cookie) | Self::Reclaim(cookie) => Some(cookie),
        }
    }
}

/// One call. Its message is the shadow message of the same index.
pub struct Call {
    /// How far it is.
    pub progress: Progress,
    /// The TEE's number for it, while it is suspended: x3 of its RPCs.
    pub thread: u32,
    /// The guest's message.
    pub guest: Ipa,
    /// Bytes that it may have.
    pub room: u16,
    /// How many parameters it has.
    pub params: usize,
    /// Whether an RPC's message stands behind it.
    pub rpc_behind: bool,
    /// What its success changes.
    pub effect: ShmChange,
    /// Page lists of its parameters.
    pub lists: ListPages,
    /// Page list of its last answer to SHM_ALLOC. The TEE may be interrupted before it has read the list, so it stays
    /// until the next such answer or the end.
    pub answer_list: ListPages,
    /// Whether it was given memory for RPC messages.
    pub has_rpc_memory: bool,
    /// RPCs in a row that could not be shown to the guest.
    pub undelivered: u8,
    /// Whether what an earlier driver left has been reclaimed for it: once is enough.
    pub reclaimed: bool,
}

impl Call {
    /// No call.
    pub const FREE: Self = Self {
        progress: Progress::Free,
        thread: 0,
        guest: Ipa(0),
        room: 0,
        params: 0,
        rpc_behind: false,
        effect: ShmChange::None,
        lists: ListPages::NONE,
        answer_list: ListPages::NONE,
        has_rpc_memory: false,
        undelivered: 0,
        reclaimed: false,
    };
}
