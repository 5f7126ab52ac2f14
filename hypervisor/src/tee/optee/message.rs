// SPDX-License-Identifier: MIT OR Apache-2.0
//! A message as it stands in memory: in the guest's, where it is an allegation, and in a shadow page.
//!
//! Everything is done in 64-bit words, because that is what both memories give; `shared_abi::optee_msg` has the
//! structures.

use crate::address::{Ipa, PAGE_SIZE};
use core::sync::atomic::{AtomicU64, Ordering};
use shared_abi::optee_msg::{MsgHeader, MsgParam, Param};
use shared_abi::tee::{Origin, TeeResult};
use zerocopy::transmute;

/// Most parameters of a call's message: four of the trusted application (GPD_SPE_010 §3.2.1: `TEE_NUM_PARAMS`) and two
/// of the protocol. More fit the page, but nobody needs them.
pub const MAX_PARAMS: usize = 6;

/// Most parameters of an RPC's message: what OP-TEE reserves (`THREAD_RPC_MAX_NUM_PARAMS`).
pub const MAX_RPC_PARAMS: usize = 4;

/// Words of a header, and of a parameter.
const BLOCK: usize = 4;
const _: () = assert!(size_of::<MsgHeader>() == BLOCK * 8 && size_of::<MsgParam>() == BLOCK * 8);

type Block = [AtomicU64; BLOCK];

/// Words of a message with so many parameters.
pub const fn words_of(params: usize) -> usize {
    BLOCK + params * BLOCK
}

/// Words from `ipa` to the end of its page.
pub const fn words_to_page_end(ipa: Ipa) -> usize {
    ((PAGE_SIZE - ipa.offset()) / 8) as usize
}

fn load(block: &Block) -> [u64; BLOCK] {
    block.each_ref().map(|word| word.load(Ordering::Relaxed))
}

fn store(block: &Block, value: [u64; BLOCK]) {
    for (word, value) in block.iter().zip(value) {
        word.store(value, Ordering::Relaxed);
    }
}

/// Reads the header at the start of `words`, once.
pub fn peek(words: &[AtomicU64]) -> Option<MsgHeader> {
    words.first_chunk().map(|block| transmute!(load(block)))
}

/// A message in memory that others may write at the same time. Each reading reads the memory anew.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    header: &'a Block,
    params: &'a [Block],
}

impl<'a> Message<'a> {
    /// Takes the message of `params` parameters at the start of `words`; `None` if it does not fit.
    pub fn new(words: &'a [AtomicU64], params: usize) -> Option<Self> {
        let (header, params) = words.as_chunks().0.get(..=params)?.split_first()?;
        Some(Self { header, params })
    }

    /// Returns the header.
    pub fn header(&self) -> MsgHeader {
        transmute!(load(self.header))
    }

    /// Returns the parameters, each read when the iterator comes to it.
    pub fn params(&self) -> impl Iterator<Item = MsgParam> + use<'a> {
        self.params.iter().map(|block| transmute!(load(block)))
    }

    /// Returns one parameter.
    pub fn param(&self, index: usize) -> Option<MsgParam> {
        self.params.get(index).map(|block| transmute!(load(block)))
    }

    /// Writes the header.
    pub fn set_header(&self, header: MsgHeader) {
        store(self.header, transmute!(header));
    }

    /// Writes one parameter.
    pub fn set_param(&self, index: usize, param: MsgParam) {
        if let Some(block) = self.params.get(index) {
            store(block, transmute!(param));
        }
    }

    /// Writes a result, and nothing else.
    pub fn set_result(&self, ret: TeeResult, origin: Origin) {
        self.set_header(MsgHeader { ret: ret.0, ret_origin: origin as u32, ..self.header() });
    }

    /// Copies what the receiver of a message may change, and nothing else: result, session, the numbers of values and
    /// the sizes of buffers. Which parameters those are is what `answer` says, which the guest cannot change if it
    /// is the shadow; addresses and cookies are never copied.
    ///
    /// `self` keeps its own count of parameters, whatever either header says. Returns the result.
    pub fn take_results(&self, answer: &Message<'_>) -> TeeResult {
        let header = answer.header();
        self.set_header(MsgHeader { num_params: self.params.len() as u32, ..header });
        for (block, param) in self.params.iter().zip(answer.params()) {
            take_output(block, &param, &param);
        }
        TeeResult(header.ret)
    }

    /// Takes the answer to an RPC: `self` is its shadow, `answer` is the guest's. Only what the shadow's own
    /// attributes call an output is taken.
    pub fn take_answer(&self, answer: &Message<'_>, result: (TeeResult, u32)) {
        let (ret, ret_origin) = result;
        self.set_header(MsgHeader { ret: ret.0, ret_origin, ..self.header() });
        for (block, alleged) in self.params.iter().zip(answer.params()) {
            let own: MsgParam = transmute!(load(block));
            take_output(block, &own, &alleged);
        }
    }

    /// Copies an RPC's message for the guest to see: what the TEE says, but no address and nothing that it did not say.
    ///
    /// The place of an output is zero, not what stood there: that may be left over from an earlier request, an address
    /// for example.
    pub fn show(&self, request: &Message<'_>, header: MsgHeader) {
        self.set_header(MsgHeader { pad: 0, ..header });
        for (block, param) in self.params.iter().zip(request.params()) {
            let shown = match Param::parse(&param) {
                Ok(Param::Value { dir, .. }) if !dir.reads() => MsgParam { attr: param.attr, ..Default::default() },
                Ok(Param::Value { .. } | Param::Rmem { .. }) => param,
                // All of a VM's memory is registered, so a correct TEE sends no temporary reference but a null one.
                Ok(Param::Tmem { .. }) => MsgParam { a: 0, ..param },
                Ok(Param::None) | Err(_) => MsgParam::default(),
            };
            store(block, transmute!(shown));
        }
    }
}

/// Writes into `block` what `from` brings, if `by` is an output.
fn take_output(block: &Block, by: &MsgParam, from: &MsgParam) {
    let [_, a, b, c] = block;
    match Param::parse(by) {
        Ok(Param::Value { dir, .. }) if dir.writes() => {
            for (word, value) in [(a, from.a), (b, from.b), (c, from.c)] {
                word.store(value, Ordering::Relaxed);
            }
        }
        Ok(Param::Rmem { dir, .. } | Param::Tmem { dir, .. }) if dir.writes() => b.store(from.b, Ordering::Relaxed),
        _ => {}
    }
}
