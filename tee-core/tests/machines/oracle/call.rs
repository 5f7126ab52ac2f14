// SPDX-License-Identifier: MIT OR Apache-2.0
//! A yielding call, from its message to its reply.

use super::buffer::{Buffer, Lost};
use super::nexus::{PAGE, World};
use super::vm::{Exit, Signal, Vm};
use shared_abi::optee_msg::{MsgHeader, MsgParam, arg_size};
use shared_abi::optee_smc::{from_halves, to_halves};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use zerocopy::IntoBytes;

const OK: u64 = 0;
const EBADADDR: u64 = 4;
const EBADCMD: u64 = 5;

/// Memory for an RPC's message.
#[derive(Clone, Copy, Debug)]
pub struct RpcMemory {
    pub pa: u64,
    pub cookie: u64,
}

/// A call under way.
pub struct Call {
    pub world: Rc<World>,
    pub vm: Rc<Vm>,
    pub thread: usize,
    pub signal: Rc<Signal>,
    /// Where the RPC's message stands, if the caller brought memory for it.
    pub supplied: RefCell<Option<(Buffer, usize)>>,
    pub allocated: Cell<Option<RpcMemory>>,
}

/// A message, copied.
pub struct Message {
    pub header: MsgHeader,
    pub params: Vec<MsgParam>,
    /// Which parameters have something for the caller.
    pub out: Vec<usize>,
}

impl Call {
    pub fn new(world: Rc<World>, vm: Rc<Vm>, thread: usize, signal: Rc<Signal>) -> Self {
        Self { world, vm, thread, signal, supplied: RefCell::new(None), allocated: Cell::new(None) }
    }

    pub async fn run(self, function: u64, [a1, a2, a3]: [u64; 3]) -> u64 {
        let number = from_halves(a1, a2);
        let (buffer, at) = match function {
            0x3200_0013 => (self.enter(number), a3 as usize),
            _ => {
                let there = number.is_multiple_of(PAGE) && self.world.claims(number, PAGE);
                (there.then(|| Buffer::contiguous(number, PAGE)), 0)
            }
        };
        let Some(buffer) = buffer else { return EBADADDR };
        let code = self.answer(&buffer, at, function != 0x3200_0004).await.unwrap_or(EBADADDR);
        self.release(buffer);
        code
    }

    async fn answer(&self, buffer: &Buffer, at: usize, with_rpc: bool) -> Result<u64, Lost> {
        let mut message = self.fetch(buffer, at).await?;
        if with_rpc {
            let rpc_at = at + arg_size(message.params.len());
            if rpc_at + arg_size(4) > buffer.len {
                return Err(Lost);
            }
            self.supplied.replace(Some((buffer.clone(), rpc_at)));
        } else {
            let mut cache = self.vm.cache.get();
            self.allocated.set(cache[self.thread].take());
            self.vm.cache.set(cache);
        }
        let known = self.handle(&mut message).await;
        self.give_back().await;
        if !known {
            return Ok(EBADCMD);
        }
        self.reply(buffer, at, &message).await?;
        Ok(OK)
    }

    async fn fetch(&self, buffer: &Buffer, at: usize) -> Result<Message, Lost> {
        if !at.is_multiple_of(8) {
            return Err(Lost);
        }
        let header: MsgHeader = self.read_value(buffer, at).await?;
        if header.num_params > 6 {
            return Err(Lost);
        }
        let mut params = Vec::new();
        for n in 0..header.num_params as usize {
            params.push(self.read_value(buffer, at + arg_size(n)).await?);
        }
        Ok(Message { header, params, out: Vec::new() })
    }

    async fn reply(&self, buffer: &Buffer, at: usize, message: &Message) -> Result<(), Lost> {
        let MsgHeader { cmd, session, ret, ret_origin, .. } = message.header;
        if cmd == 0 {
            self.write(buffer, at + 8, session.as_bytes()).await?;
        }
        self.write(buffer, at + 20, [ret, ret_origin].as_bytes()).await?;
        for n in &message.out {
            let MsgParam { a, b, .. } = message.params[*n];
            self.write(buffer, at + arg_size(*n) + 8, [a, b].as_bytes()).await?;
        }
        Ok(())
    }

    /// At the end of a call, memory for RPC messages is kept or given back.
    async fn give_back(&self) {
        let Some(memory) = self.allocated.take() else { return };
        let mut cache = self.vm.cache.get();
        if self.vm.cache_on.get() && cache[self.thread].is_none() {
            cache[self.thread] = Some(memory);
            self.vm.cache.set(cache);
        } else {
            self.ask(2, memory.cookie).await;
        }
    }

    /// Asks the normal world something with a cookie.
    pub async fn ask(&self, rpc: u64, cookie: u64) -> [u64; 4] {
        let (high, low) = to_halves(cookie);
        self.signal.suspend(Exit::Rpc([0xFFFF_0000 | rpc, high, low])).await
    }
}
