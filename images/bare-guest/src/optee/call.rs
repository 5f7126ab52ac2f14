// SPDX-License-Identifier: MIT OR Apache-2.0
//! One yielding call, from its message to its end, with the TEE's requests in between.

use super::page::Page;
use super::{Client, Error, World};
use shared_abi::optee_msg::{MsgHeader, MsgParam, arg_size};
use shared_abi::optee_smc::*;
use zerocopy::transmute;

/// How often a call is tried while all of the TEE's threads are busy with others.
const TRIES: usize = 1000;

/// Words of a header, and of a parameter.
const BLOCK: usize = 4;

/// Where messages stand.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The page; the message is at its start, an RPC's message behind it.
    pub page: &'static Page,
    /// The cookie, if the page is the start of registered memory.
    pub registered: Option<u64>,
}

/// Reads the header of a message that starts at word `at` of a page.
pub(super) fn header(page: &Page, at: usize) -> MsgHeader {
    let words: [u64; BLOCK] = core::array::from_fn(|n| page.word(at + n));
    transmute!(words)
}

/// Writes it.
pub(super) fn set_header(page: &Page, at: usize, header: MsgHeader) {
    let words: [u64; BLOCK] = transmute!(header);
    words.into_iter().enumerate().for_each(|(n, word)| page.set_word(at + n, word));
}

/// Reads a parameter of a message that starts at word `at` of a page.
pub(super) fn param(page: &Page, at: usize, index: usize) -> MsgParam {
    let words: [u64; BLOCK] = core::array::from_fn(|n| page.word(at + (index + 1) * BLOCK + n));
    transmute!(words)
}

/// Writes it.
pub(super) fn set_param(page: &Page, at: usize, index: usize, param: MsgParam) {
    let words: [u64; BLOCK] = transmute!(param);
    words.into_iter().enumerate().for_each(|(n, word)| page.set_word(at + (index + 1) * BLOCK + n, word));
}

impl<W: World> Client<W> {
    /// Writes a message, calls the TEE until it is done with it, and reads what became of the message.
    pub(super) fn exchange(&mut self, request: MsgHeader, params: &mut [MsgParam]) -> Result<MsgHeader, Error> {
        let page = self.place.page;
        set_header(page, 0, request);
        for (n, value) in params.iter().enumerate() {
            set_param(page, 0, n, *value);
        }
        let (function, args) = self.question();
        let behind = (self.info.rpc_params != 0).then(|| arg_size(params.len()) / size_of::<u64>());
        let mut answer = self.world.call(function, args);
        for _ in 0..TRIES {
            if answer[0] != ReturnCode::EThreadLimit as u32 {
                break;
            }
            self.world.sleep(1);
            answer = self.world.call(function, args);
        }
        while is_rpc(answer[0]) {
            let args = self.serve(answer, behind);
            answer = self.world.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, args);
        }
        if answer[0] != ReturnCode::Ok as u32 {
            return Err(Error::Refused(answer[0]));
        }
        for (n, value) in params.iter_mut().enumerate() {
            *value = param(page, 0, n);
        }
        Ok(header(page, 0))
    }

    /// Says how the message is sent: by the best way the TEE has.
    fn question(&self) -> (shared_abi::smccc::FunctionId, [u32; 7]) {
        let (function, number) = match self.place.registered {
            Some(cookie) => (OPTEE_SMC_CALL_WITH_REGD_ARG, cookie),
            None if self.info.rpc_params != 0 => (OPTEE_SMC_CALL_WITH_RPC_ARG, self.place.page.address()),
            None => (OPTEE_SMC_CALL_WITH_ARG, self.place.page.address()),
        };
        let (high, low) = to_halves(number);
        (function, [high as u32, low as u32, 0, 0, 0, 0, 0])
    }
}

fn is_rpc(x0: u32) -> bool {
    x0 & Rpc::PREFIX == Rpc::PREFIX && x0 != ReturnCode::UnknownFunction as u32
}
