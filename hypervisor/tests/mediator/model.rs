// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the mediator must do, said again without shadow pages, locks or tables: what the TEE is asked, what the guest
//! is told, and who knows which buffer.

use crate::ram::{Memory, RAM, machine};
use hypervisor::address::PAGE_SIZE;
use shared_abi::optee_msg::{Cmd, Direction, MsgHeader, MsgParam, Param};
use shared_abi::optee_smc::*;
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;
use std::collections::BTreeMap;
use zerocopy::transmute;

pub const THREADS: usize = 4;
pub const RPC_PARAMS: usize = 4;
const BUFFERS: usize = 1024;
const PINNED: u64 = 16384;
const LIST_PAGES: u64 = 48;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Registering,
    Registered,
    Allocated,
    Leaving,
}

#[derive(Clone, Debug)]
pub struct Buffer {
    pub known: Known,
    pub offset: u64,
    pub size: u64,
    pub pages: Vec<u64>,
    pub earlier: bool,
}

impl Buffer {
    fn can_leave(&self) -> bool {
        self.earlier && self.known == Known::Registered
    }
}

/// A call under way, by the number of its guest's question.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: u64,
    /// The TEE's name for it, while it is suspended.
    pub thread: Option<u32>,
    pub message: u64,
    pub room: u64,
    pub params: u64,
    pub behind: bool,
    pub effect: BufferChange,
    /// Pages of lists that it holds: for its parameters, and for its last answer to SHM_ALLOC.
    pub lists: u64,
    pub answer_lists: u64,
    pub reclaimed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferChange {
    None,
    Register(u64),
    Unregister(u64),
    Reclaim(u64),
}

/// What comes of a question of the guest's.
#[derive(Debug)]
pub enum Expected {
    /// This code, and nothing else.
    Code(ReturnCode),
    /// Code 0, and this result in the message at this address.
    Result(TeeResult, u64),
    /// The TEE gets this message.
    Message { header: MsgHeader, params: Vec<Translated>, behind: bool },
    /// The TEE is to forget one of an earlier kernel's buffers first.
    Reclaim,
}

/// A parameter, as the TEE gets it.
#[derive(Debug)]
pub enum Translated {
    As(MsgParam),
    /// A list of these pages, in the place of the address.
    List(MsgParam, Vec<u64>),
}

#[derive(Default)]
pub struct Model {
    pub buffers: BTreeMap<u64, Buffer>,
    pub calls: Vec<Call>,
    pub rpc_args: bool,
}

impl Model {
    pub fn pinned(&self) -> u64 {
        self.buffers.values().map(|buffer| buffer.pages.len() as u64).sum()
    }

    pub fn lists(&self) -> u64 {
        self.calls.iter().map(|call| call.lists + call.answer_lists).sum()
    }

    pub fn has_earlier(&self) -> bool {
        self.buffers.iter().any(|(cookie, buffer)| buffer.can_leave() && !self.is_changing(*cookie))
    }

    /// Whether a call is under way that registers this cookie, or ends that.
    fn is_changing(&self, cookie: u64) -> bool {
        let changes = |call: &Call| match call.effect {
            BufferChange::None => false,
            BufferChange::Register(its) | BufferChange::Unregister(its) | BufferChange::Reclaim(its) => its == cookie,
        };
        self.calls.iter().any(changes)
    }

    fn usable(&mut self, cookie: u64) -> Option<&mut Buffer> {
        let buffer = self.buffers.get_mut(&cookie)?;
        if !matches!(buffer.known, Known::Registered | Known::Allocated) {
            return None;
        }
        buffer.earlier = false;
        Some(buffer)
    }

    /// Where a message stands, and how many bytes it may have.
    fn find(&mut self, x: &[u64; 8]) -> Result<(u64, u64, bool), ReturnCode> {
        let number = (x[1] & 0xFFFF_FFFF) << 32 | x[2] & 0xFFFF_FFFF;
        let function = FunctionId(x[0] as u32);
        if function != OPTEE_SMC_CALL_WITH_REGD_ARG {
            let aligned = number.is_multiple_of(PAGE_SIZE);
            let behind = function == OPTEE_SMC_CALL_WITH_RPC_ARG;
            return if aligned { Ok((number, PAGE_SIZE, behind)) } else { Err(ReturnCode::EBadAddr) };
        }
        let offset = x[3] & 0xFFFF_FFFF;
        let buffer = self.usable(number).filter(|buffer| offset < buffer.size).ok_or(ReturnCode::EBadAddr)?;
        let at = buffer.offset + offset;
        let (page, in_page) = ((at / PAGE_SIZE) as usize, at % PAGE_SIZE);
        // Messages are found in a buffer's first four pages only.
        let page = buffer.pages.get(page).filter(|_| page < 4).ok_or(ReturnCode::EBadAddr)?;
        let ipa = page + in_page;
        let room = (buffer.size - offset).min(PAGE_SIZE - in_page);
        if ipa.is_multiple_of(8) { Ok((ipa, room, true)) } else { Err(ReturnCode::EBadAddr) }
    }

    /// A question of the guest's, and the call that it makes if it comes to that.
    pub fn start(&mut self, x: &[u64; 8], ram: &Memory, id: u64, reclaimed: bool) -> (Expected, Option<Call>) {
        let found = match self.find(x) {
            Ok(found) => found,
            Err(code) => return (Expected::Code(code), None),
        };
        if self.calls.len() >= THREADS {
            return (Expected::Code(ReturnCode::EThreadLimit), None);
        }
        self.begin(found, ram, id, reclaimed)
    }

    pub fn begin(
        &mut self,
        (ipa, room, behind): (u64, u64, bool),
        ram: &Memory,
        id: u64,
        reclaimed: bool,
    ) -> (Expected, Option<Call>) {
        let bad = (Expected::Code(ReturnCode::EBadAddr), None);
        let left = PAGE_SIZE - ipa % PAGE_SIZE;
        if !Memory::holds(ipa, left) || left < 32 {
            return bad;
        }
        let header: MsgHeader = transmute!(ram.block(ipa));
        let params = u64::from(header.num_params);
        let rpc = if behind { 32 + 32 * RPC_PARAMS as u64 } else { 0 };
        if params > 6 || 32 + 32 * params + rpc > room {
            return bad;
        }
        if header.cmd > Cmd::UNREGISTER_SHM.0 {
            return (Expected::Code(ReturnCode::EBadCmd), None);
        }
        let mut call = Call {
            id,
            thread: None,
            message: ipa,
            room,
            params,
            behind,
            effect: BufferChange::None,
            lists: 0,
            answer_lists: 0,
            reclaimed,
        };
        let given = (0..params).map(|n| transmute!(ram.block(ipa + 32 + 32 * n))).collect();
        match self.translate_all(header, given, ram, &mut call) {
            Ok(params) => (Expected::Message { header, params, behind }, Some(call)),
            Err(Refused::Result(result)) => (Expected::Result(result, ipa), None),
            Err(Refused::Crowded) => {
                call.lists = 0;
                (Expected::Reclaim, Some(call))
            }
        }
    }

    fn translate_all(
        &mut self,
        header: MsgHeader,
        given: Vec<MsgParam>,
        ram: &Memory,
        call: &mut Call,
    ) -> Result<Vec<Translated>, Refused> {
        let bad = Refused::Result(TeeResult::BAD_PARAMETERS);
        let cmd = Cmd(header.cmd);
        let about_memory = cmd == Cmd::REGISTER_SHM || cmd == Cmd::UNREGISTER_SHM;
        if about_memory && given.len() != 1 {
            return Err(bad);
        }
        let mut all = Vec::new();
        for param in given {
            let Ok(parsed) = Param::parse(&param) else { return Err(bad) };
            match parsed {
                Param::Tmem { buf_ptr, size, shm_ref, noncontig, .. } if buf_ptr != 0 => {
                    if cmd == Cmd::REGISTER_SHM && self.is_changing(shm_ref) {
                        return Err(Refused::Result(TeeResult::BUSY));
                    }
                    let used = self.lists() + call.lists;
                    let (lists, pages) = translate(buf_ptr, size, noncontig, ram, LIST_PAGES - used);
                    let pages = pages?;
                    call.lists += lists;
                    if cmd == Cmd::REGISTER_SHM {
                        let buffer = Buffer {
                            known: Known::Registering,
                            offset: buf_ptr % PAGE_SIZE,
                            size,
                            pages: pages.clone(),
                            earlier: false,
                        };
                        self.add(shm_ref, buffer, call.reclaimed)?;
                        call.effect = BufferChange::Register(shm_ref);
                    }
                    let shown = MsgParam { attr: param.attr | 1 << 9, ..param };
                    all.push(Translated::List(shown, pages));
                    continue;
                }
                Param::Rmem { shm_ref, .. } if cmd == Cmd::UNREGISTER_SHM => {
                    if self.is_changing(shm_ref) {
                        return Err(Refused::Result(TeeResult::BUSY));
                    }
                    call.effect = BufferChange::Unregister(shm_ref);
                }
                Param::Rmem { offs, size, shm_ref, .. } => {
                    let inside = |buffer: &mut Buffer| offs.checked_add(size).is_some_and(|end| end <= buffer.size);
                    if !self.usable(shm_ref).is_some_and(inside) {
                        return Err(bad);
                    }
                }
                _ => {}
            }
            all.push(Translated::As(param));
        }
        if about_memory && call.effect == BufferChange::None { Err(bad) } else { Ok(all) }
    }

    /// Adds a buffer, if there is room.
    fn add(&mut self, cookie: u64, buffer: Buffer, reclaimed: bool) -> Result<(), Refused> {
        let (result, crowded) = match self.buffers.get(&cookie) {
            Some(there) => (TeeResult::BAD_PARAMETERS, there.can_leave()),
            None if self.pinned() + buffer.pages.len() as u64 > PINNED || self.buffers.len() == BUFFERS => {
                (TeeResult::OUT_OF_MEMORY, self.has_earlier())
            }
            None => {
                self.buffers.insert(cookie, buffer);
                return Ok(());
            }
        };
        Err(if crowded && !reclaimed { Refused::Crowded } else { Refused::Result(result) })
    }

    /// The guest gives memory that the TEE asked for. The pages that the TEE hears of, if it does; and whether the
    /// guest is asked to free it instead.
    pub fn give(&mut self, id: u64, param: &MsgParam, wanted: u64, ram: &Memory) -> Result<Vec<u64>, bool> {
        let Ok(Param::Tmem { dir: Direction::Out, buf_ptr, size, shm_ref, noncontig }) = Param::parse(param) else {
            return Err(false);
        };
        if buf_ptr == 0 || size < wanted {
            return Err(true);
        }
        self.call(id).answer_lists = 0;
        let free = LIST_PAGES - self.lists();
        let (lists, pages) = translate(buf_ptr, size, noncontig, ram, free);
        // Also what it took before it failed, until the next answer or the end.
        self.call(id).answer_lists = lists;
        let pages = pages.map_err(|_| true)?;
        let offset = buf_ptr % PAGE_SIZE;
        let buffer = Buffer { known: Known::Allocated, offset, size, pages: pages.clone(), earlier: false };
        self.add(shm_ref, buffer, true).map_err(|_| true)?;
        Ok(pages)
    }

    pub fn call(&mut self, id: u64) -> &mut Call {
        self.calls.iter_mut().find(|call| call.id == id).expect("a call under way")
    }

    pub fn end(&mut self, id: u64) {
        self.calls.retain(|call| call.id != id);
    }

    /// One of an earlier kernel's buffers goes. Which one, is the mediator's to choose.
    pub fn leaves(&mut self, cookie: u64) {
        let all = format!("{:x?} {:x?}", self.buffers, self.calls);
        let is_changing = self.is_changing(cookie);
        let buffer = self.buffers.get_mut(&cookie).unwrap_or_else(|| panic!("{cookie:x} is not known, but {all}"));
        assert!(buffer.can_leave(), "a buffer that is in use is taken away");
        assert!(!is_changing, "a buffer that the guest itself unregisters is taken away");
        buffer.known = Known::Leaving;
    }
}

enum Refused {
    Result(TeeResult),
    Crowded,
}

impl From<TeeResult> for Refused {
    fn from(result: TeeResult) -> Self {
        Self::Result(result)
    }
}

/// The pages of a buffer, in the machine; and how many pages of list were taken for them, of so many that are free.
fn translate(buf_ptr: u64, size: u64, noncontig: bool, ram: &Memory, free: u64) -> (u64, Result<Vec<u64>, TeeResult>) {
    let (offset, start) = (buf_ptr % PAGE_SIZE, buf_ptr & !(PAGE_SIZE - 1));
    let bad = TeeResult::BAD_PARAMETERS;
    let count = offset.checked_add(size).map(|end| end.div_ceil(PAGE_SIZE)).filter(|count| *count != 0 && size != 0);
    let Some(count) = count else { return (0, Err(bad)) };
    if count > PINNED {
        return (0, Err(TeeResult::OUT_OF_MEMORY));
    }
    if noncontig && !Memory::holds(start, PAGE_SIZE) {
        return (0, Err(bad));
    }
    if free == 0 {
        return (0, Err(TeeResult::OUT_OF_MEMORY));
    }
    let (mut lists, mut list, mut pages) = (1, start, Vec::new());
    for n in 0..count {
        let ipa = if noncontig {
            if n != 0 && n % 511 == 0 {
                list = ram.get(list + 511 * 8);
                if !list.is_multiple_of(PAGE_SIZE) || !Memory::holds(list, PAGE_SIZE) {
                    return (lists, Err(bad));
                }
            }
            ram.get(list + n % 511 * 8)
        } else {
            match start.checked_add(n * PAGE_SIZE) {
                Some(ipa) => ipa,
                None => return (lists, Err(bad)),
            }
        };
        if !ipa.is_multiple_of(PAGE_SIZE) || !Memory::holds(ipa, PAGE_SIZE) {
            return (lists, Err(bad));
        }
        if n != 0 && n % 511 == 0 {
            if lists == free {
                return (lists, Err(TeeResult::OUT_OF_MEMORY));
            }
            lists += 1;
        }
        pages.push(ipa);
    }
    (lists, Ok(pages))
}

/// Where the machine has pages of the guest's.
pub fn in_machine(pages: &[u64]) -> Vec<u64> {
    pages.iter().map(|ipa| machine(*ipa)).collect()
}

/// What the guest sees of an RPC's parameter: no address, and nothing of an output.
pub fn shown(param: &MsgParam) -> MsgParam {
    match Param::parse(param) {
        Ok(Param::Value { dir: Direction::Out, .. }) => MsgParam { attr: param.attr, ..Default::default() },
        Ok(Param::Value { .. } | Param::Rmem { .. }) => *param,
        Ok(Param::Tmem { .. }) => MsgParam { a: 0, ..*param },
        Ok(Param::None) | Err(_) => MsgParam::default(),
    }
}

/// A parameter after its receiver has answered with another one.
pub fn answered(own: &MsgParam, by: &MsgParam, from: &MsgParam) -> MsgParam {
    match Param::parse(by) {
        Ok(Param::Value { dir: Direction::Out | Direction::InOut, .. }) => {
            MsgParam { attr: own.attr, a: from.a, b: from.b, c: from.c }
        }
        Ok(Param::Rmem { dir: Direction::Out | Direction::InOut, .. })
        | Ok(Param::Tmem { dir: Direction::Out | Direction::InOut, .. }) => MsgParam { b: from.b, ..*own },
        _ => *own,
    }
}

/// The end of RAM, and what no guest has.
pub const STRANGE: [u64; 10] =
    [0, 8, RAM - PAGE_SIZE, RAM + 0x20_000, 0x0E10_0000, 0x0900_0000, 1 << 40, 1 << 63, u64::MAX, !0xFFF];
