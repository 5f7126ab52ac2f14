// SPDX-License-Identifier: MIT OR Apache-2.0
//! What messages ask for.

use super::buffer::{Buffer, FEW, Lost, Memory};
use super::call::{Call, Message};
use super::nexus::PAGE;
use super::services::Service;
use super::vm::Record;
use shared_abi::optee_msg::{Direction, MsgParam, Param, uuid_of};
use std::rc::Rc;
use tee_core::partition::sessions::MAX_SESSIONS;
use tee_core::partition::shm::MAX_BUFFERS;
use zerocopy::IntoBytes;

/// Results, as GlobalPlatform numbers them.
pub mod error {
    pub const CANCEL: u32 = 0xFFFF_0002;
    pub const BAD_PARAMETERS: u32 = 0xFFFF_0006;
    pub const ITEM_NOT_FOUND: u32 = 0xFFFF_0008;
    pub const NOT_IMPLEMENTED: u32 = 0xFFFF_0009;
    pub const NOT_SUPPORTED: u32 = 0xFFFF_000A;
    pub const OUT_OF_MEMORY: u32 = 0xFFFF_000C;
    pub const BUSY: u32 = 0xFFFF_000D;
    pub const COMMUNICATION: u32 = 0xFFFF_000E;
    pub const SECURITY: u32 = 0xFFFF_000F;
    pub const SHORT_BUFFER: u32 = 0xFFFF_0010;
    pub const STORAGE_NO_SPACE: u32 = 0xFFFF_3041;
}
use error::{BAD_PARAMETERS, BUSY, ITEM_NOT_FOUND, OUT_OF_MEMORY, SECURITY};

const TEE: u32 = 3;
const TRUSTED_APP: u32 = 4;

/// A parameter of a function.
pub enum Parameter {
    None,
    Value { dir: Direction, a: u32, b: u32 },
    Memref { dir: Direction, buffer: Buffer, size: u64 },
}

impl Call {
    /// Does what the message asks for; whether its command is known.
    pub async fn handle(&self, message: &mut Message) -> bool {
        let (result, origin) = match message.header.cmd {
            0 => self.open(message).await,
            1 => self.invoke(message).await,
            2 => (self.close(message), TEE),
            3 => (self.cancel(message), TEE),
            4 => (self.register(message).await, TEE),
            5 => (self.unregister(message), TEE),
            _ => return false,
        };
        (message.header.ret, message.header.ret_origin) = (result.err().unwrap_or(0), origin);
        true
    }

    async fn open(&self, message: &mut Message) -> (Result<(), u32>, u32) {
        message.header.session = 0;
        let [target, client, rest @ ..] = &message.params[..] else { return (Err(BAD_PARAMETERS), TEE) };
        let login = matches!(client.c as u32, 0 | 1 | 2 | 4 | 5 | 6 | 0x8000_0000);
        if target.attr != 0x101 || client.attr != 0x101 || !login {
            return (Err(BAD_PARAMETERS), TEE);
        }
        let Some(service) = Service::by_uuid(&self.world, &uuid_of(target)) else {
            return (Err(ITEM_NOT_FOUND), TEE);
        };
        match self.resolve_all(rest).await {
            Ok(parameters) => self.release_all(parameters),
            Err(error) => return (Err(error), TEE),
        }
        match self.vm.open_session(service) {
            Some(id) => {
                message.header.session = id;
                (Ok(()), TRUSTED_APP)
            }
            None => (Err(OUT_OF_MEMORY), TEE),
        }
    }

    async fn invoke(&self, message: &mut Message) -> (Result<(), u32>, u32) {
        let mut parameters = match self.resolve_all(&message.params).await {
            Ok(parameters) => parameters,
            Err(error) => return (Err(error), TEE),
        };
        let id = message.header.session;
        let service = self.vm.session(id, |session| {
            session.users += 1;
            session.service
        });
        let Some(service) = service else {
            self.release_all(parameters);
            return (Err(BAD_PARAMETERS), TEE);
        };
        let result = self.serve(service, id, message.header.func, &mut parameters).await;
        for (n, parameter) in parameters.iter().enumerate() {
            match parameter {
                Parameter::Value { dir, a, b } if dir.writes() => {
                    (message.params[n].a, message.params[n].b) = ((*a).into(), (*b).into());
                }
                Parameter::Memref { dir, size, .. } if dir.writes() => message.params[n].b = *size,
                _ => continue,
            }
            message.out.push(n);
        }
        self.vm.session(id, |session| {
            session.users -= 1;
            session.cancelled &= session.users != 0;
        });
        self.release_all(parameters);
        (result, TRUSTED_APP)
    }

    fn close(&self, message: &Message) -> Result<(), u32> {
        let id = message.header.session;
        let users = self.vm.session(id, |session| session.users).filter(|_| message.params.is_empty());
        match users {
            None => Err(BAD_PARAMETERS),
            Some(0) => {
                self.vm.sessions.borrow_mut()[id as usize % MAX_SESSIONS].1 = None;
                Ok(())
            }
            Some(_) => Err(BUSY),
        }
    }

    fn cancel(&self, message: &Message) -> Result<(), u32> {
        if !message.params.is_empty() {
            return Err(BAD_PARAMETERS);
        }
        let wish = self.vm.session(message.header.session, |session| session.cancelled = session.users != 0);
        wish.ok_or(BAD_PARAMETERS)
    }

    async fn register(&self, message: &Message) -> Result<(), u32> {
        let [param] = &message.params[..] else { return Err(BAD_PARAMETERS) };
        let Ok(Param::Tmem { dir: Direction::Out, buf_ptr, size, shm_ref, noncontig: true }) = Param::parse(param)
        else {
            return Err(BAD_PARAMETERS);
        };
        if shm_ref == 0 || param.is_meta() {
            return Err(BAD_PARAMETERS);
        }
        let buffer = self.fetch_list(buf_ptr, size, 0).await?;
        let Buffer { memory: Memory::Listed { frames, block: Some(block), offset }, len, .. } = buffer else {
            unreachable!()
        };
        let mut shm = self.vm.shm.borrow_mut();
        let result = match (shm.contains_key(&shm_ref), shm.len() < MAX_BUFFERS) {
            (true, _) => Err(BAD_PARAMETERS),
            (false, false) => Err(OUT_OF_MEMORY),
            (false, true) => Ok(()),
        };
        if result.is_ok() {
            shm.insert(shm_ref, Record { frames, block, offset, len, users: 0 });
        } else {
            self.vm.heap.borrow_mut().free(block);
        }
        result
    }

    fn unregister(&self, message: &Message) -> Result<(), u32> {
        let [param] = &message.params[..] else { return Err(BAD_PARAMETERS) };
        let Ok(Param::Rmem { shm_ref, .. }) = Param::parse(param) else { return Err(BAD_PARAMETERS) };
        let mut shm = self.vm.shm.borrow_mut();
        if shm.get(&shm_ref).ok_or(BAD_PARAMETERS)?.users != 0 {
            return Err(BUSY);
        }
        let record = shm.remove(&shm_ref).ok_or(BAD_PARAMETERS)?;
        self.vm.heap.borrow_mut().free(record.block);
        Ok(())
    }

    async fn resolve_all(&self, params: &[MsgParam]) -> Result<Vec<Parameter>, u32> {
        if params.len() > 4 {
            return Err(BAD_PARAMETERS);
        }
        let mut parameters = Vec::new();
        for param in params {
            match self.resolve(param).await {
                Ok(parameter) => parameters.push(parameter),
                Err(error) => {
                    self.release_all(parameters);
                    return Err(error);
                }
            }
        }
        parameters.resize_with(4, || Parameter::None);
        Ok(parameters)
    }

    async fn resolve(&self, param: &MsgParam) -> Result<Parameter, u32> {
        if param.is_meta() {
            return Err(BAD_PARAMETERS);
        }
        let (dir, buffer) = match Param::parse(param).map_err(|_| BAD_PARAMETERS)? {
            Param::None => return Ok(Parameter::None),
            Param::Value { dir, value: [a, b, _] } => return Ok(Parameter::Value { dir, a: a as u32, b: b as u32 }),
            Param::Tmem { dir, buf_ptr: 0, .. } => (dir, Buffer { memory: Memory::Null, at: 0, len: 0 }),
            Param::Tmem { dir, buf_ptr, size, noncontig: true, .. } => {
                (dir, self.fetch_list(buf_ptr, size, FEW).await?)
            }
            Param::Tmem { dir, buf_ptr, size, noncontig: false, .. } => {
                if !self.world.claims(buf_ptr, size) {
                    return Err(BAD_PARAMETERS);
                }
                (dir, Buffer::contiguous(buf_ptr, size))
            }
            Param::Rmem { dir, offs, size, shm_ref } => {
                let mut buffer = self.enter(shm_ref).ok_or(BAD_PARAMETERS)?;
                if offs.checked_add(size).is_none_or(|end| end > buffer.len as u64) {
                    self.release(buffer);
                    return Err(SECURITY);
                }
                (buffer.at, buffer.len) = (offs as usize, size as usize);
                (dir, buffer)
            }
        };
        let size = buffer.len as u64;
        Ok(Parameter::Memref { dir, buffer, size })
    }

    fn release_all(&self, parameters: Vec<Parameter>) {
        for parameter in parameters {
            if let Parameter::Memref { buffer, .. } = parameter {
                self.release(buffer);
            }
        }
    }

    /// Copies a list of pages, those of more than `few` into memory from the heap.
    pub async fn fetch_list(&self, buf_ptr: u64, size: u64, few: usize) -> Result<Buffer, u32> {
        let offset = buf_ptr % PAGE;
        let count = offset.checked_add(size).map(|end| end.div_ceil(PAGE)).ok_or(BAD_PARAMETERS)?;
        if size == 0 || count > 16384 {
            return Err(BAD_PARAMETERS);
        }
        let count = count as usize;
        let block = if count <= few { None } else { Some(self.allocate(count * 4).ok_or(OUT_OF_MEMORY)?) };
        match self.frames(buf_ptr - offset, count).await {
            Some(frames) => {
                let memory = Memory::Listed { frames, block, offset: offset as usize };
                Ok(Buffer { memory, at: 0, len: size as usize })
            }
            None => {
                block.into_iter().for_each(|block| self.vm.heap.borrow_mut().free(block));
                Err(BAD_PARAMETERS)
            }
        }
    }

    async fn frames(&self, mut list: u64, count: usize) -> Option<Rc<[u32]>> {
        let mut frames = Vec::new();
        while frames.len() < count {
            if !list.is_multiple_of(PAGE) || !self.world.claims(list, PAGE) {
                return None;
            }
            let page = Buffer::contiguous(list, PAGE);
            let here = (count - frames.len()).min(511);
            // The TEE takes 8 addresses at a time.
            for first in (0..here).step_by(8) {
                let mut entries = [0u64; 8];
                let entries = &mut entries[..(here - first).min(8)];
                self.read(&page, first * 8, entries.as_mut_bytes()).await.map_err(|Lost| ()).ok()?;
                for &pa in &*entries {
                    if !pa.is_multiple_of(PAGE) || !self.world.claims(pa, PAGE) {
                        return None;
                    }
                    frames.push((pa / PAGE) as u32);
                }
            }
            if frames.len() < count {
                list = self.read_value(&page, 511 * 8).await.map_err(|Lost| ()).ok()?;
            }
        }
        Some(frames.into())
    }
}
