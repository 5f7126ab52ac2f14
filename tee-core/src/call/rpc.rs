// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call asks the normal world. Its answers are allegations like everything else that comes from there.

use super::{Call, page_list};
use crate::memory::pages::PAGE_SIZE;
use crate::msg::RPC_PARAMS;
use crate::msg::buffer::Buffer;
use crate::partition::shm_cache::RpcMemory;
use crate::trace::{event, refused};
use core::time::Duration;
use shared_abi::optee_msg::{
    Direction, MsgHeader, MsgParam, NOTIFICATION_SEND, NOTIFICATION_WAIT, Param, RpcCmd, SHM_TYPE_KERNEL, arg_size,
};
use shared_abi::optee_smc::{Rpc, from_halves};
use shared_abi::tee::TeeResult;

/// Shared memory that the normal world allocated for the TEE. It goes back by [`Call::free_shm`].
#[must_use]
pub struct Shm<'p> {
    buffer: Buffer<'p>,
    cookie: u64,
}

impl<'p> Shm<'p> {
    /// Gives the memory.
    pub fn buffer(&self) -> &Buffer<'p> {
        &self.buffer
    }
}

impl<'p> Call<'_, 'p> {
    /// Sleeps until [`Call::wake_on`] names `key`, or the normal world wakes it for no reason.
    pub(super) fn sleep_on(&self, key: u64) -> Result<(), TeeResult> {
        self.notify(NOTIFICATION_WAIT, key)
    }

    /// Wakes the call that sleeps on `key`, also if it only will in a moment.
    pub(super) fn wake_on(&self, key: u64) -> Result<(), TeeResult> {
        self.notify(NOTIFICATION_SEND, key)
    }

    fn notify(&self, what: u64, key: u64) -> Result<(), TeeResult> {
        let param = Param::Value { dir: Direction::In, value: [what, key, 0] };
        self.rpc(RpcCmd::NOTIFICATION, &mut [param.to_msg()])
    }

    /// Asks for the normal world's time of day, as it says.
    pub fn time_of_day(&self) -> Result<Duration, TeeResult> {
        let mut params = [Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg()];
        self.rpc(RpcCmd::GET_TIME, &mut params)?;
        let nanoseconds = u32::try_from(params[0].b).ok().filter(|ns| *ns < 1_000_000_000);
        Ok(Duration::new(params[0].a, nanoseconds.ok_or(TeeResult::COMMUNICATION)?))
    }

    /// Allocates `size` bytes of the normal world's kernel memory.
    pub fn allocate_shm(&self, size: usize) -> Result<Shm<'p>, TeeResult> {
        let request = Param::Value { dir: Direction::In, value: [SHM_TYPE_KERNEL, size as u64, 8] };
        let mut params = [request.to_msg()];
        self.rpc(RpcCmd::SHM_ALLOC, &mut params)?;
        let answer = Param::parse(&params[0]);
        let Ok(Param::Tmem { dir: Direction::Out, buf_ptr, size: given, shm_ref, noncontig }) = answer else {
            return Err(TeeResult::OUT_OF_MEMORY);
        };
        let buffer = if given < size as u64 {
            None
        } else if noncontig {
            page_list::fetch(self, buf_ptr, given).ok().map(Buffer::listed)
        } else {
            self.tee().claim(buf_ptr, given).map(Buffer::contiguous)
        };
        match buffer {
            Some(buffer) => Ok(Shm { buffer, cookie: shm_ref }),
            None => {
                self.free_cookie(shm_ref)?;
                Err(refused!(BadAddress, buf_ptr, TeeResult::OUT_OF_MEMORY))
            }
        }
    }

    /// Gives memory back.
    pub fn free_shm(&self, shm: Shm<'_>) -> Result<(), TeeResult> {
        self.free_cookie(shm.cookie)
    }

    fn free_cookie(&self, cookie: u64) -> Result<(), TeeResult> {
        let param = Param::Value { dir: Direction::In, value: [SHM_TYPE_KERNEL, cookie, 0] };
        self.rpc(RpcCmd::SHM_FREE, &mut [param.to_msg()])
    }

    /// Sends a message and waits for the answer, which replaces `params`.
    fn rpc(&self, cmd: RpcCmd, params: &mut [MsgParam]) -> Result<(), TeeResult> {
        debug_assert!(params.len() <= RPC_PARAMS);
        let header = MsgHeader {
            cmd: cmd.0,
            num_params: params.len() as u32,
            // Should the normal world not answer at all.
            ret: TeeResult::GENERIC.0,
            ..MsgHeader::default()
        };
        match self.supplied {
            Some((buffer, at)) => self.exchange(buffer, at, 0, header, params),
            None => {
                let memory = self.rpc_memory()?;
                self.exchange(&Buffer::contiguous(memory.range), 0, memory.cookie, header, params)
            }
        }
    }

    fn exchange(
        &self,
        buffer: &Buffer<'_>,
        at: usize,
        cookie: u64,
        header: MsgHeader,
        params: &mut [MsgParam],
    ) -> Result<(), TeeResult> {
        let param_at = |n: usize| at + arg_size(n);
        let lost = |_| TeeResult::COMMUNICATION;
        buffer.put(self.tee(), at, &header).map_err(lost)?;
        for (n, param) in params.iter().enumerate() {
            buffer.put(self.tee(), param_at(n), param).map_err(lost)?;
        }
        event!(Rpc { command: header.cmd });
        self.ask(Rpc::Cmd, cookie);
        let answer = buffer.allege::<MsgHeader>(at).map_err(lost)?.copy_out(self.tee()).map_err(lost)?;
        TeeResult(answer.ret).ok()?;
        for (n, param) in params.iter_mut().enumerate() {
            *param = buffer.allege(param_at(n)).map_err(lost)?.copy_out(self.tee()).map_err(lost)?;
        }
        Ok(())
    }

    /// Gets memory for the message when the caller brought none: asked for once in a call.
    fn rpc_memory(&self) -> Result<RpcMemory, TeeResult> {
        if let Some(memory) = self.allocated.get() {
            return Ok(memory);
        }
        let size = arg_size(RPC_PARAMS);
        let [high, low, cookie_high, cookie_low] = self.ask(Rpc::Alloc, size as u64);
        let (pa, cookie) = (from_halves(high, low), from_halves(cookie_high, cookie_low));
        let range = if pa.is_multiple_of(PAGE_SIZE as u64) { self.tee().claim(pa, size as u64) } else { None };
        match range {
            Some(range) => {
                let memory = RpcMemory { range, cookie };
                self.allocated.set(Some(memory));
                Ok(memory)
            }
            None => {
                // As OP-TEE: an answer without a cookie was a refusal, any other is given back.
                if cookie != 0 {
                    self.ask(Rpc::Free, cookie);
                }
                Err(refused!(BadAddress, pa, TeeResult::OUT_OF_MEMORY))
            }
        }
    }
}
