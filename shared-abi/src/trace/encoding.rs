// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an event stands in a record: a number, eight bits of detail and up to eight words.
//!
//! Encoding is a constant function that the compiler turns into stores; decoding believes nothing.

use super::event::Event;
use super::refusal::Refusal;
use super::terms::{Conduit, Owner, VmState, World};

/// An event as it stands in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Which event.
    pub kind: u8,
    /// The smallest of its parts.
    pub detail: u8,
    /// The others.
    pub words: [u64; 8],
}

pub(super) const fn encoded(kind: u8, detail: u8, words: [u64; 8]) -> Encoded {
    Encoded { kind, detail, words }
}

/// Takes one, two, … words, the others 0.
pub(super) const fn words<const N: usize>(some: [u64; N]) -> [u64; 8] {
    let mut words = [0; 8];
    let mut i = 0;
    while i < N {
        words[i] = some[i];
        i += 1;
    }
    words
}

pub(super) const fn four(words: [u64; 8]) -> [u64; 4] {
    [words[0], words[1], words[2], words[3]]
}

const fn text_to_words(text: &[u8; 64]) -> [u64; 8] {
    let mut words = [0; 8];
    let mut i = 0;
    while i < 64 {
        words[i / 8] |= (text[i] as u64) << (i % 8 * 8);
        i += 1;
    }
    words
}

fn words_to_text(words: &[u64; 8]) -> [u8; 64] {
    core::array::from_fn(|i| (words[i / 8] >> (i % 8 * 8)) as u8)
}

impl Event {
    /// Encodes it as it stands in a record.
    #[inline(always)]
    pub const fn encode(&self) -> Encoded {
        match *self {
            Self::Calibration { round } => encoded(1, 0, words([round])),
            Self::Start { base, size } => encoded(2, 0, words([base, size])),
            Self::Call { conduit, from, vcpu, x } => encoded(3, conduit as u8 | (from as u8) << 1 | vcpu << 2, x),
            Self::Answer { to, vcpu, x, pc } => {
                encoded(4, (to as u8) << 1 | vcpu << 2, [x[0], x[1], x[2], x[3], pc, 0, 0, 0])
            }
            Self::Send { x } => encoded(5, 0, x),
            Self::Receive { x } => encoded(6, 0, words(x)),
            Self::WorldSwitch { to, errand, pc } => encoded(7, to as u8, words([errand as u64, pc])),
            Self::Resume { to, pc } => encoded(8, to as u8, words([pc])),
            Self::Exit { vcpu, esr, pc, far, ipa } => encoded(9, vcpu, words([esr, pc, far, ipa])),
            Self::Interrupt { vcpu, intid, pc } => encoded(10, vcpu, words([intid as u64, pc])),
            Self::Enter { vcpu, pc, pstate } => encoded(11, vcpu, words([pc, pstate])),
            Self::VirtualInterrupt { vcpu, intid } => encoded(12, vcpu, words([intid as u64])),
            Self::VcpuSwitch { vcpu, from, from_vcpu } => encoded(13, vcpu, words([from as u64, from_vcpu as u64])),
            Self::VmState { state } => encoded(14, state as u8, words([])),
            Self::PartitionSelect { slot } => encoded(15, slot, words([])),
            Self::PartitionLeave { slot } => encoded(16, slot, words([])),
            Self::VmCreated { pages, free, vms } => encoded(17, 0, words([pages, free, vms])),
            Self::VmDestroyed { draining } => encoded(18, draining as u8, words([])),
            Self::VmReclaimed { pages, free, vms } => encoded(19, 0, words([pages, free, vms])),
            Self::ThreadStart { thread, function } => encoded(20, thread, words([function as u64])),
            Self::ThreadResume { thread } => encoded(21, thread, words([])),
            Self::ThreadSuspend { thread, rpc } => encoded(22, thread, words(rpc)),
            Self::ThreadFinish { thread, code } => encoded(23, thread, words([code])),
            Self::Message { command, function, session, params } => {
                encoded(24, 0, words([command as u64, function as u64, session as u64, params as u64]))
            }
            Self::Reply { result, origin, session } => {
                encoded(25, 0, words([result as u64, origin as u64, session as u64]))
            }
            Self::Rpc { command } => encoded(26, 0, words([command as u64])),
            Self::ShmRegister { cookie, pages, first } => encoded(27, 0, words([cookie, pages, first])),
            Self::ShmUnregister { cookie } => encoded(28, 0, words([cookie])),
            Self::Stage2Fault { vcpu, ipa, pc, esr } => encoded(29, vcpu, words([ipa, pc, esr])),
            Self::Heap { used, peak, size } => encoded(30, 0, words([used, peak, size])),
            Self::Refused { reason, value } => encoded(31, reason as u8, words([value])),
            Self::Panic { text } => encoded(32, 0, text_to_words(&text)),
            Self::Memory { owner, base, size, ipa } => encoded(33, owner as u8, words([base, size, ipa])),
            Self::FreeBlock { index, address, size, next, previous } => {
                encoded(34, index, words([address, size, next, previous]))
            }
            Self::Idle => encoded(35, 0, words([])),
            Self::Wake { intid } => encoded(36, 0, words([intid as u64])),
        }
    }

    /// Reads it back. `None` for what no layer writes.
    pub fn decode(encoded: &Encoded) -> Option<Self> {
        let (detail, w) = (encoded.detail, encoded.words);
        let small = |word: u64| u32::try_from(word).ok();
        Some(match encoded.kind {
            1 => Self::Calibration { round: w[0] },
            2 => Self::Start { base: w[0], size: w[1] },
            3 => Self::Call {
                conduit: Conduit::from_number(detail & 1)?,
                from: World::from_number(detail >> 1 & 1)?,
                vcpu: detail >> 2,
                x: w,
            },
            4 => Self::Answer { to: World::from_number(detail >> 1 & 1)?, vcpu: detail >> 2, x: four(w), pc: w[4] },
            5 => Self::Send { x: w },
            6 => Self::Receive { x: four(w) },
            7 => Self::WorldSwitch { to: World::from_number(detail)?, errand: u8::try_from(w[0]).ok()?, pc: w[1] },
            8 => Self::Resume { to: World::from_number(detail)?, pc: w[0] },
            9 => Self::Exit { vcpu: detail, esr: w[0], pc: w[1], far: w[2], ipa: w[3] },
            10 => Self::Interrupt { vcpu: detail, intid: small(w[0])?, pc: w[1] },
            11 => Self::Enter { vcpu: detail, pc: w[0], pstate: w[1] },
            12 => Self::VirtualInterrupt { vcpu: detail, intid: small(w[0])? },
            13 => {
                Self::VcpuSwitch { vcpu: detail, from: u16::try_from(w[0]).ok()?, from_vcpu: u8::try_from(w[1]).ok()? }
            }
            14 => Self::VmState { state: VmState::from_number(detail)? },
            15 => Self::PartitionSelect { slot: detail },
            16 => Self::PartitionLeave { slot: detail },
            17 => Self::VmCreated { pages: w[0], free: w[1], vms: w[2] },
            18 => Self::VmDestroyed { draining: detail & 1 != 0 },
            19 => Self::VmReclaimed { pages: w[0], free: w[1], vms: w[2] },
            20 => Self::ThreadStart { thread: detail, function: small(w[0])? },
            21 => Self::ThreadResume { thread: detail },
            22 => Self::ThreadSuspend { thread: detail, rpc: [w[0], w[1], w[2]] },
            23 => Self::ThreadFinish { thread: detail, code: w[0] },
            24 => Self::Message {
                command: small(w[0])?,
                function: small(w[1])?,
                session: small(w[2])?,
                params: small(w[3])?,
            },
            25 => Self::Reply { result: small(w[0])?, origin: small(w[1])?, session: small(w[2])? },
            26 => Self::Rpc { command: small(w[0])? },
            27 => Self::ShmRegister { cookie: w[0], pages: w[1], first: w[2] },
            28 => Self::ShmUnregister { cookie: w[0] },
            29 => Self::Stage2Fault { vcpu: detail, ipa: w[0], pc: w[1], esr: w[2] },
            30 => Self::Heap { used: w[0], peak: w[1], size: w[2] },
            31 => Self::Refused { reason: Refusal::from_number(detail)?, value: w[0] },
            32 => Self::Panic { text: words_to_text(&w) },
            33 => Self::Memory { owner: Owner::from_number(detail)?, base: w[0], size: w[1], ipa: w[2] },
            34 => Self::FreeBlock { index: detail, address: w[0], size: w[1], next: w[2], previous: w[3] },
            35 => Self::Idle,
            36 => Self::Wake { intid: small(w[0])? },
            _ => return None,
        })
    }
}
