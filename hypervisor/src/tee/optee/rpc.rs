// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE asks of the guest in the middle of a call, and the guest's answers.

use crate::address::{Ipa, PAGE_SIZE};
use crate::memory::GuestMemory;
use crate::tee::optee::buffer::Kind;
use crate::tee::optee::call::{MAX_UNDELIVERED, Progress, RpcPlace, Waiting, Wanted};
use crate::tee::optee::message::{MAX_RPC_PARAMS, Message, peek, words_of};
use crate::tee::optee::page_list::{Alleged, ShadowLists, translate};
use crate::tee::optee::state::{Forward, State, value};
use crate::trace::{Client, record};
use shared_abi::optee_msg::{Direction, MsgHeader, Param, RpcCmd};
use shared_abi::optee_smc::{ReturnCode, Rpc, from_halves, to_halves};
use shared_abi::tee::{Origin, TeeResult};
use shared_abi::trace::{Event, Refusal};

/// Memory that the guest gave for RPC messages (RPC_ALLOC). Its shadow is the shadow page of the same index.
pub struct RpcMemory {
    cookie: u64,
    /// The call that has it; none once that call is done and the TEE keeps it for another. While a call has it no
    /// other one can give it back: two calls may believe that one cookie is theirs, if the guest gave it twice,
    /// and then the second one's must not take the page from under the first one. (The TEE's number for the call
    /// says nothing here: a TEE may give each suspension its own.)
    call: Option<usize>,
    ipa: Ipa,
    /// Parameters that a message can have there.
    params: usize,
}

impl State {
    /// Notes that the TEE has suspended a call, and hands on what it wants.
    pub(super) fn suspended<M>(&mut self, index: usize, answer: [u64; 4], memory: &M) -> Forward
    where
        M: GuestMemory + ?Sized,
    {
        let [x0, x1, x2, x3] = answer;
        let thread = x3 as u32;
        self.calls[index].thread = thread;
        let (waiting, shown) = match Rpc::from_x0(x0) {
            Some(Rpc::Alloc) => (Waiting::Memory { size: x1 & 0xFFFF_FFFF }, [x1, 0]),
            Some(Rpc::Free) => {
                self.rpc_memory_freed(from_halves(x1, x2), Some(index));
                (Waiting::Resumption([0, 0]), [x1, x2])
            }
            Some(Rpc::ForeignIntr) => (Waiting::Resumption([x1, x2]), [0, 0]),
            Some(Rpc::Cmd) => return self.deliver(index, answer, memory),
            // The guest will know it no better, and answer that. What the registers mean, and whether the guest may see
            // it, nobody knows.
            None => (Waiting::Resumption([0, 0]), [0, 0]),
        };
        self.wait(index, waiting);
        Forward::Guest([x0, shown[0], shown[1], x3])
    }

    /// Resumes a call, as the guest asks.
    pub(super) fn resume<M>(&mut self, args: &[u64; 8], memory: &M) -> Result<(usize, Forward), ReturnCode>
    where
        M: GuestMemory + ?Sized,
    {
        let thread = args[3] as u32;
        let suspended = self.calls.iter().enumerate().find_map(|(index, call)| match call.progress {
            Progress::Suspended(waiting) if call.thread == thread => Some((index, waiting)),
            _ => None,
        });
        let (index, waiting) = suspended.ok_or(ReturnCode::EResume)?;
        // From here on no other vCPU finds it suspended.
        self.calls[index].progress = Progress::Running;
        let question = match waiting {
            Waiting::Resumption([x1, x2]) => self.resumption(thread, x1, x2),
            Waiting::Memory { size } => self.take_rpc_memory(index, size, args, memory),
            Waiting::Undoing { place } => {
                self.fail(index, place, TeeResult::OUT_OF_MEMORY);
                self.resumption(thread, 0, 0)
            }
            Waiting::Answer { place, cookie, wanted } => {
                if let Err(alleged) = self.take_answer(index, place, wanted, memory) {
                    if let Some(Unusable { kind, cookie: buffer }) = alleged
                        && self.ask_to_free(index, place, kind, buffer, memory)
                    {
                        self.wait(index, Waiting::Undoing { place });
                        return Ok((index, Forward::Guest([Rpc::Cmd.x0(), cookie[0], cookie[1], u64::from(thread)])));
                    }
                    self.fail(index, place, TeeResult::OUT_OF_MEMORY);
                }
                self.resumption(thread, 0, 0)
            }
        };
        Ok((index, Forward::Tee(question)))
    }

    /// Forgets memory for RPC messages that is no longer the TEE's, which says so in a call of the guest's or in none.
    pub fn rpc_memory_freed(&mut self, cookie: u64, by: Option<usize>) {
        for slot in &mut self.rpc_memories {
            let may = |memory: &RpcMemory| by.is_none() || memory.call.is_none() || memory.call == by;
            if slot.as_ref().is_some_and(|memory| memory.cookie == cookie && may(memory)) {
                *slot = None;
            }
        }
    }

    /// Leaves the TEE the memory for RPC messages that a call which is done still has.
    pub(super) fn rpc_memory_kept(&mut self, index: usize) {
        for memory in self.rpc_memories.iter_mut().flatten().filter(|memory| memory.call == Some(index)) {
            memory.call = None;
        }
    }

    fn wait(&mut self, index: usize, waiting: Waiting) {
        self.calls[index].undelivered = 0;
        self.calls[index].progress = Progress::Suspended(waiting);
    }

    /// Shows the guest an RPC's message.
    fn deliver<M>(&mut self, index: usize, [x0, x1, x2, x3]: [u64; 4], memory: &M) -> Forward
    where
        M: GuestMemory + ?Sized,
    {
        let thread = x3 as u32;
        let Some(place) = self.rpc_place(index, from_halves(x1, x2)) else {
            // The TEE has set an error for the case that nobody answers, and there is no place for another one.
            return self.undelivered(index, thread);
        };
        match self.show(index, place, memory) {
            Some(wanted) => {
                self.wait(index, Waiting::Answer { place, cookie: [x1, x2], wanted });
                Forward::Guest([x0, x1, x2, x3])
            }
            None => {
                self.fail(index, place, TeeResult::GENERIC);
                self.undelivered(index, thread)
            }
        }
    }

    fn undelivered(&mut self, index: usize, thread: u32) -> Forward {
        self.refuse(Refusal::BadMessage, thread.into(), TeeResult::GENERIC);
        let call = &mut self.calls[index];
        call.undelivered += 1;
        if call.undelivered > MAX_UNDELIVERED {
            call.progress = Progress::Lost;
            return Forward::Guest([ReturnCode::EBadCmd as u64, 0, 0, 0]);
        }
        Forward::Tee(self.resumption(thread, 0, 0))
    }

    /// Finds where an RPC's message stands: behind the call's, if that has room for it, as both OP-TEE and Linux have
    /// it.
    fn rpc_place(&self, index: usize, cookie: u64) -> Option<RpcPlace> {
        if self.calls[index].rpc_behind {
            return Some(RpcPlace::Behind);
        }
        let named = |slot: &Option<RpcMemory>| slot.as_ref().is_some_and(|memory| memory.cookie == cookie);
        self.rpc_memories.iter().position(named).map(RpcPlace::Memory)
    }

    /// Reads an RPC's message in its shadow page: its header, once, and as many parameters as that says.
    fn rpc_shadow(&self, index: usize, place: RpcPlace) -> Option<(MsgHeader, Message<'static>)> {
        let call = &self.calls[index];
        let (words, room) = match place {
            RpcPlace::Behind => {
                (self.shadow.messages[index].words().get(words_of(call.params)..)?, self.tee.rpc_params)
            }
            RpcPlace::Memory(n) => {
                (self.shadow.rpc_messages.get(n)?.words().as_slice(), self.rpc_memories[n].as_ref()?.params)
            }
        };
        let header = peek(words)?;
        let params = usize::try_from(header.num_params).ok().filter(|params| *params <= room)?;
        Some((header, Message::new(words, params)?))
    }

    /// Returns the guest's own copy of an RPC's message.
    fn rpc_guest<'m, M>(&self, index: usize, place: RpcPlace, params: usize, memory: &'m M) -> Option<Message<'m>>
    where
        M: GuestMemory + ?Sized,
    {
        let call = &self.calls[index];
        let ipa = match place {
            RpcPlace::Behind => call.guest.checked_add((words_of(call.params) * size_of::<u64>()) as u64)?,
            RpcPlace::Memory(n) => self.rpc_memories.get(n)?.as_ref()?.ipa,
        };
        Message::new(memory.words(ipa, words_of(params))?, params)
    }

    /// Copies an RPC's message to the guest. `None` if that cannot be done; otherwise the memory it asks for, if it
    /// does.
    fn show<M>(&mut self, index: usize, place: RpcPlace, memory: &M) -> Option<Option<Wanted>>
    where
        M: GuestMemory + ?Sized,
    {
        let (header, shadow) = self.rpc_shadow(index, place)?;
        let guest = self.rpc_guest(index, place, header.num_params as usize, memory)?;
        guest.show(&shadow, header);
        record(Client::of(self.id), || Event::Rpc { command: header.cmd });
        match (RpcCmd(header.cmd), shadow.param(0)) {
            (RpcCmd::SHM_ALLOC, Some(first)) => Some(Some(Wanted { kind: first.a, size: first.b })),
            (RpcCmd::SHM_FREE, Some(first)) => {
                // The TEE has already forgotten it, and the guest is about to.
                self.buffers.remove(first.b, &[Kind::Allocated]);
                Some(None)
            }
            _ => Some(None),
        }
    }

    /// Tells the TEE that its request failed.
    fn fail(&self, index: usize, place: RpcPlace, result: TeeResult) {
        if let Some((_, shadow)) = self.rpc_shadow(index, place) {
            shadow.set_result(result, Origin::Comms);
        }
    }

    /// Takes the guest's answer into the shadow. An error is one that the TEE must be told, perhaps after the guest was
    /// asked to free what it gave.
    fn take_answer<M>(
        &mut self,
        index: usize,
        place: RpcPlace,
        wanted: Option<Wanted>,
        memory: &M,
    ) -> Result<(), Option<Unusable>>
    where
        M: GuestMemory + ?Sized,
    {
        let (header, shadow) = self.rpc_shadow(index, place).ok_or(None)?;
        let guest = self.rpc_guest(index, place, header.num_params as usize, memory).ok_or(None)?;
        let answer = guest.header();
        let result = (TeeResult(answer.ret), answer.ret_origin);
        let Some(wanted) = wanted.filter(|_| result.0 == TeeResult::SUCCESS) else {
            shadow.take_answer(&guest, result);
            return Ok(());
        };

        let given = guest.param(0).ok_or(None)?;
        let Ok(Param::Tmem { dir: Direction::Out, buf_ptr, size, shm_ref, noncontig }) = Param::parse(&given) else {
            self.refuse(Refusal::BadMessage, given.attr, TeeResult::BAD_PARAMETERS);
            return Err(None);
        };
        let unusable = Some(Unusable { kind: wanted.kind, cookie: shm_ref });
        if buf_ptr == 0 || size < wanted.size {
            self.refuse(Refusal::BadParameter, size, TeeResult::BAD_PARAMETERS);
            return Err(unusable);
        }
        let held = &mut self.calls[index].answer_list;
        held.give_back(&mut self.free_lists);
        let (client, free) = (Client::of(self.id), &mut self.free_lists);
        let mut lists = ShadowLists { pages: &self.shadow.lists, free, held, client };
        let list = translate(Alleged { buf_ptr, size, noncontig }, memory, &mut lists).map_err(|_| unusable)?;
        let pieces = list.pieces(&self.shadow.lists, memory);
        let added = self.buffers.add(shm_ref, Kind::Allocated, size, &list, pieces);
        added.map_err(|no_room| {
            self.refuse(no_room.reason, no_room.value, no_room.result);
            unusable
        })?;
        let dir = Direction::Out;
        shadow.set_param(0, Param::Tmem { dir, buf_ptr: list.buf_ptr.0, size, shm_ref, noncontig: true }.to_msg());
        shadow.set_header(MsgHeader { ret: result.0.0, ret_origin: result.1, ..header });
        Ok(())
    }

    /// Puts a request of the mediator's own before the guest: to free a buffer that it gave and the TEE will not hear
    /// of.
    fn ask_to_free<M>(&self, index: usize, place: RpcPlace, kind: u64, cookie: u64, memory: &M) -> bool
    where
        M: GuestMemory + ?Sized,
    {
        let Some(guest) = self.rpc_guest(index, place, 1, memory) else { return false };
        let ret = TeeResult::GENERIC.0;
        guest.set_header(MsgHeader { cmd: RpcCmd::SHM_FREE.0, ret, num_params: 1, ..Default::default() });
        guest.set_param(0, value(kind, cookie));
        true
    }

    /// Takes the guest's answer to RPC_ALLOC. On failure the TEE gets no address but the cookie, so that it asks the
    /// guest to free it.
    fn take_rpc_memory<M>(&mut self, index: usize, size: u64, args: &[u64; 8], memory: &M) -> [u64; 8]
    where
        M: GuestMemory + ?Sized,
    {
        let thread = self.calls[index].thread;
        let ipa = Ipa(from_halves(args[1], args[2]));
        let cookie = from_halves(args[4], args[5]);
        let (x4, x5) = to_halves(cookie);
        if self.rpc_memories.iter().flatten().any(|memory| memory.cookie == cookie) {
            // It is in use: it must not be freed, so the TEE does not hear of it.
            self.refuse(Refusal::InUse, cookie, TeeResult::BAD_PARAMETERS);
            return self.resumption(thread, 0, 0);
        }
        let given =
            ipa.0 != 0 && size >= size_of::<MsgHeader>() as u64 && ipa.offset().saturating_add(size) <= PAGE_SIZE;
        let usable = given && memory.words(ipa, size.div_ceil(8) as usize).is_some();
        let slot = self.rpc_memories.iter().position(Option::is_none).filter(|_| usable);
        let Some(n) = slot else {
            self.refuse(Refusal::BadAddress, ipa.0, TeeResult::BAD_PARAMETERS);
            return self.answer_rpc(thread, [0, 0, x4, x5]);
        };
        let room = (size as usize / 8).saturating_sub(words_of(0)) / (words_of(1) - words_of(0));
        self.calls[index].has_rpc_memory = true;
        self.rpc_memories[n] = Some(RpcMemory { cookie, call: Some(index), ipa, params: room.min(MAX_RPC_PARAMS) });
        let page = &self.shadow.rpc_messages[n];
        page.clear(0, size.div_ceil(8) as usize);
        let (x1, x2) = to_halves(page.pa().0);
        self.answer_rpc(thread, [x1, x2, x4, x5])
    }
}

/// A buffer that the guest gave and that cannot be used.
#[derive(Clone, Copy)]
struct Unusable {
    kind: u64,
    cookie: u64,
}
