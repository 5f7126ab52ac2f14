// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call asks the normal world.

use super::buffer::{Buffer, FEW, Memory};
use super::call::{Call, RpcMemory};
use super::message::error;
use super::nexus::PAGE;
use super::vm::Exit;
use shared_abi::optee_msg::{Direction, MsgHeader, MsgParam, Param, arg_size};
use shared_abi::optee_smc::from_halves;
use zerocopy::IntoBytes;

const NOTIFICATION: u32 = 4;
const SHM_ALLOC: u32 = 6;
const SHM_FREE: u32 = 7;
const GET_TIME: u32 = 3;

fn value(value: [u64; 3]) -> MsgParam {
    Param::Value { dir: Direction::In, value }.to_msg()
}

impl Call {
    /// Takes the vault's mutex.
    pub async fn lock_vault(&self) -> Result<(), u32> {
        let (vm, me) = (&self.vm, 1 << self.thread);
        loop {
            if !vm.vault_held.replace(true) {
                vm.vault_waiters.set(vm.vault_waiters.get() & !me);
                return Ok(());
            }
            vm.vault_waiters.set(vm.vault_waiters.get() | me);
            if let Err(error) = self.rpc(NOTIFICATION, value([0, self.thread as u64, 0])).await {
                vm.vault_waiters.set(vm.vault_waiters.get() & !me);
                return Err(error);
            }
        }
    }

    /// Releases it, and wakes the first who waits.
    pub async fn unlock_vault(&self) {
        self.vm.vault_held.set(false);
        let waiters = self.vm.vault_waiters.get();
        if waiters != 0 {
            self.vm.vault_waiters.set(waiters & (waiters - 1));
            let _ = self.rpc(NOTIFICATION, value([1, waiters.trailing_zeros().into(), 0])).await;
        }
    }

    /// The time of day: seconds and nanoseconds.
    pub async fn time_of_day(&self) -> Result<(u64, u64), u32> {
        let request = Param::Value { dir: Direction::Out, value: [0; 3] }.to_msg();
        let MsgParam { a, b, .. } = self.rpc(GET_TIME, request).await?;
        if b < 1_000_000_000 { Ok((a, b)) } else { Err(error::COMMUNICATION) }
    }

    /// Memory of the normal world, and its cookie.
    pub async fn allocate_shm(&self, size: u64) -> Result<(Buffer, u64), u32> {
        let answer = Param::parse(&self.rpc(SHM_ALLOC, value([1, size, 8])).await?);
        let Ok(Param::Tmem { dir: Direction::Out, buf_ptr, size: given, shm_ref, noncontig }) = answer else {
            return Err(error::OUT_OF_MEMORY);
        };
        let buffer = if given < size {
            None
        } else if noncontig {
            self.fetch_list(buf_ptr, given, FEW).await.ok()
        } else {
            self.world.claims(buf_ptr, given).then(|| Buffer::contiguous(buf_ptr, given))
        };
        match buffer {
            Some(buffer) => Ok((buffer, shm_ref)),
            None => {
                self.free_shm(shm_ref).await?;
                Err(error::OUT_OF_MEMORY)
            }
        }
    }

    pub async fn free_shm(&self, cookie: u64) -> Result<(), u32> {
        self.rpc(SHM_FREE, value([1, cookie, 0])).await.map(drop)
    }

    /// Sends a message with one parameter; returns what stands in its place afterwards.
    async fn rpc(&self, cmd: u32, param: MsgParam) -> Result<MsgParam, u32> {
        let supplied = self.supplied.borrow().clone();
        let (buffer, at, cookie) = match supplied {
            Some((buffer, at)) => (buffer, at, 0),
            None => {
                let RpcMemory { pa, cookie } = self.rpc_memory().await?;
                (Buffer::contiguous(pa, arg_size(4) as u64), 0, cookie)
            }
        };
        let header = MsgHeader { cmd, num_params: 1, ret: 0xFFFF_0000, ..MsgHeader::default() };
        let lost = |_| error::COMMUNICATION;
        self.write(&buffer, at, header.as_bytes()).await.map_err(lost)?;
        self.write(&buffer, at + 32, param.as_bytes()).await.map_err(lost)?;
        self.signal.message.set(if let Memory::Null = buffer.memory { None } else { buffer.piece(at).map(|p| p.0) });
        self.ask(5, cookie).await;
        let answer: MsgHeader = self.read_value(&buffer, at).await.map_err(lost)?;
        if answer.ret != 0 {
            return Err(answer.ret);
        }
        self.read_value(&buffer, at + 32).await.map_err(lost)
    }

    async fn rpc_memory(&self) -> Result<RpcMemory, u32> {
        if let Some(memory) = self.allocated.get() {
            return Ok(memory);
        }
        let size = arg_size(4) as u64;
        let [a, b, c, d] = self.signal.suspend(Exit::Rpc([0xFFFF_0000, size, 0])).await;
        let memory = RpcMemory { pa: from_halves(a, b), cookie: from_halves(c, d) };
        if memory.pa.is_multiple_of(PAGE) && self.world.claims(memory.pa, size) {
            self.allocated.set(Some(memory));
            return Ok(memory);
        }
        if memory.cookie != 0 {
            self.ask(2, memory.cookie).await;
        }
        Err(error::OUT_OF_MEMORY)
    }
}
