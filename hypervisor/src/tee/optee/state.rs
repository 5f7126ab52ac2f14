// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a VM's lock protects: its calls, and the way of each one's message to the TEE and back.

use crate::address::{Ipa, PAGE_SIZE};
use crate::memory::GuestMemory;
use crate::tee::mediator::Mediator;
use crate::tee::optee::Optee;
use crate::tee::optee::buffer::{Buffers, Kind, NoRoom};
use crate::tee::optee::call::{Call, MAX_CALLS, Progress, ShmChange};
use crate::tee::optee::message::{MAX_PARAMS, Message, peek, words_of, words_to_page_end};
use crate::tee::optee::page_list::{Alleged, ShadowLists, translate};
use crate::tee::optee::rpc::RpcMemory;
use crate::tee::optee::shadow::{ListPages, Shadow};
use crate::trace::{Client, refuse};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use shared_abi::client::VmId;
use shared_abi::optee_msg::{Cmd, Direction, MsgHeader, MsgParam, Param};
use shared_abi::optee_smc::*;
use shared_abi::smccc::FunctionId;
use shared_abi::tee::{Origin, TeeResult};
use shared_abi::trace::Refusal;

/// x3 of a call with a message: it lies in normal memory, cached (`OPTEE_SMC_SHM_CACHED`).
const SHM_CACHED: u64 = 1;

/// What comes next in a yielding call.
pub enum Forward {
    /// Ask the TEE: x0 to x7.
    Tee([u64; 8]),
    /// Answer the guest: x0 to x3.
    Guest([u64; 4]),
}

/// One VM's calls, buffers and shadow pages.
pub struct State {
    pub(super) tee: Optee,
    pub(super) id: VmId,
    pub(super) shadow: &'static Shadow,
    pub(super) calls: [Call; MAX_CALLS],
    pub(super) rpc_memories: [Option<RpcMemory>; MAX_CALLS],
    pub(super) buffers: Buffers,
    pub(super) free_lists: ListPages,
    notified: Arc<AtomicBool>,
    open: bool,
}

/// Where a guest's message is.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) ipa: Ipa,
    /// Bytes that it may have.
    pub(super) room: usize,
    /// Whether an RPC's message stands behind it.
    pub(super) rpc_behind: bool,
}

/// Why a message does not go to the TEE.
enum Stop {
    /// That is its result.
    Refused(TeeResult),
    /// The buffer that it registers is one too many.
    NoRoom(NoRoom),
}

impl From<TeeResult> for Stop {
    fn from(result: TeeResult) -> Self {
        Self::Refused(result)
    }
}

impl State {
    /// Makes the state of a VM that has called nothing yet; `None` if there is no memory for what it may do. `notified`
    /// says whether it wants notifications.
    pub fn new(tee: Optee, id: VmId, shadow: &'static Shadow, notified: Arc<AtomicBool>) -> Option<Self> {
        let buffers = Buffers::new(Client::of(id))?;
        Some(Self {
            tee,
            id,
            shadow,
            calls: [const { Call::FREE }; MAX_CALLS],
            rpc_memories: [const { None }; MAX_CALLS],
            buffers,
            free_lists: ListPages::ALL,
            notified,
            open: true,
        })
    }

    /// Returns how many pages the TEE may write to at any time.
    pub fn pinned_pages(&self) -> usize {
        self.buffers.pinned()
    }

    /// Begins anew for another driver, which speaks for the VM from now on.
    pub fn begin_anew(&mut self) {
        self.buffers.begin_anew();
    }

    /// Takes no yielding call from now on.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// Forgets the VM's calls and buffers, as the TEE has.
    pub fn forget(&mut self) {
        self.calls.fill_with(|| Call::FREE);
        self.rpc_memories.fill_with(|| None);
        self.buffers.clear();
        self.free_lists = ListPages::ALL;
    }

    /// Takes a yielding call of the guest: the call it belongs to, and what comes next.
    pub fn enter<M>(&mut self, args: &[u64; 8], memory: &M) -> Result<(usize, Forward), ReturnCode>
    where
        M: GuestMemory + ?Sized,
    {
        if !self.open {
            return Err(ReturnCode::ENotAvail);
        }
        if FunctionId(args[0] as u32) == OPTEE_SMC_CALL_RETURN_FROM_RPC {
            self.resume(args, memory)
        } else {
            let index = self.start(args, memory)?;
            Ok((index, Forward::Tee(self.first_question(index))))
        }
    }

    /// Takes the TEE's answer: what comes next.
    pub fn returned<M>(&mut self, index: usize, answer: [u64; 4], memory: &M) -> Forward
    where
        M: GuestMemory + ?Sized,
    {
        let x0 = answer[0] as u32;
        if x0 & Rpc::PREFIX == Rpc::PREFIX && x0 != ReturnCode::UnknownFunction as u32 {
            self.suspended(index, answer, memory)
        } else {
            self.finish(index, x0, memory)
        }
    }

    /// Finds a new call's message, and a place for it.
    fn start<M>(&mut self, args: &[u64; 8], memory: &M) -> Result<usize, ReturnCode>
    where
        M: GuestMemory + ?Sized,
    {
        let found = self.find_message(args)?;
        let free = |call: &Call| call.progress == Progress::Free;
        let index = self.calls.iter().take(self.tee.threads).position(free).ok_or(ReturnCode::EThreadLimit)?;
        self.begin(index, found, false, memory)?;
        Ok(index)
    }

    /// Puts a new call's message into its shadow page: the guest's, or one of the mediator's own that must come before
    /// it. `reclaimed` tells whether that was tried before, and what an earlier
    /// driver left has gone since.
    // On the way of every call, and in a way that few go besides.
    #[inline(always)]
    pub(super) fn begin<M>(&mut self, index: usize, found: Found, reclaimed: bool, memory: &M) -> Result<(), ReturnCode>
    where
        M: GuestMemory + ?Sized,
    {
        let words = memory.words(found.ipa, words_to_page_end(found.ipa)).ok_or(ReturnCode::EBadAddr)?;
        let header = peek(words).ok_or(ReturnCode::EBadAddr)?;
        let params = usize::try_from(header.num_params).unwrap_or(usize::MAX);
        if params > MAX_PARAMS {
            return Err(ReturnCode::EBadAddr);
        }
        let rpc_words = if found.rpc_behind { words_of(self.tee.rpc_params) } else { 0 };
        if (words_of(params) + rpc_words) * size_of::<u64>() > found.room {
            return Err(ReturnCode::EBadAddr);
        }
        let guest = Message::new(words, params).ok_or(ReturnCode::EBadAddr)?;
        if header.cmd > Cmd::UNREGISTER_SHM.0 {
            self.about_notifications(Cmd(header.cmd))?;
        }

        let mut lists = ListPages::NONE;
        let copied = self.copy_in(index, header, &guest, &mut lists, memory);
        let call = |effect| Call {
            progress: Progress::Running,
            guest: found.ipa,
            room: found.room as u16,
            params,
            rpc_behind: found.rpc_behind,
            effect,
            lists,
            reclaimed,
            ..Call::FREE
        };
        let result = match copied {
            Ok(effect) => {
                // What an earlier call left there is not this one's.
                self.shadow.messages[index].clear(words_of(params), rpc_words);
                self.calls[index] = call(effect);
                return Ok(());
            }
            Err(stop) => {
                self.calls[index] = call(ShmChange::None);
                match stop {
                    Stop::Refused(result) => result,
                    Stop::NoRoom(no_room) if no_room.crowded && !reclaimed && self.reclaim(index) => return Ok(()),
                    Stop::NoRoom(no_room) => self.refuse(no_room.reason, no_room.value, no_room.result),
                }
            }
        };
        self.release(index);
        guest.set_result(result, Origin::Comms);
        Err(ReturnCode::Ok)
    }

    /// Takes a command that is none of those that every TEE knows: there are two about notifications.
    #[cold]
    fn about_notifications(&self, cmd: Cmd) -> Result<(), ReturnCode> {
        match cmd {
            Cmd::DO_BOTTOM_HALF if self.tee.notifies() => {}
            // Whatever the TEE says to that: the VM does not want to be interrupted any more.
            Cmd::STOP_ASYNC_NOTIF if self.tee.notifies() => self.notified.store(false, Ordering::SeqCst),
            _ => return Err(ReturnCode::EBadCmd),
        }
        Ok(())
    }

    /// Finds the message where the registers say that it is.
    fn find_message(&mut self, args: &[u64; 8]) -> Result<Found, ReturnCode> {
        let number = from_halves(args[1], args[2]);
        let function = FunctionId(args[0] as u32);
        let found = if function == OPTEE_SMC_CALL_WITH_REGD_ARG {
            let (ipa, room) = self.buffers.place(number, args[3]).ok_or(ReturnCode::EBadAddr)?;
            Found { ipa, room: room as usize, rpc_behind: true }
        } else {
            let ipa = Ipa(number);
            if !ipa.is_aligned(PAGE_SIZE) {
                return Err(ReturnCode::EBadAddr);
            }
            Found { ipa, room: PAGE_SIZE as usize, rpc_behind: function == OPTEE_SMC_CALL_WITH_RPC_ARG }
        };
        if found.ipa.is_aligned(8) { Ok(found) } else { Err(ReturnCode::EBadAddr) }
    }

    /// Writes the shadow of a message. Every word of the guest's parameters is read once, here.
    #[inline(always)]
    fn copy_in<M>(
        &mut self,
        index: usize,
        header: MsgHeader,
        guest: &Message<'_>,
        lists: &mut ListPages,
        memory: &M,
    ) -> Result<ShmChange, Stop>
    where
        M: GuestMemory + ?Sized,
    {
        let words: &[AtomicU64] = self.shadow.messages[index].words();
        let shadow = Message::new(words, header.num_params as usize).ok_or(TeeResult::BAD_PARAMETERS)?;
        shadow.set_header(header);
        let shm_command = matches!(Cmd(header.cmd), Cmd::REGISTER_SHM | Cmd::UNREGISTER_SHM);
        if shm_command && header.num_params != 1 {
            return Err(self.refuse(Refusal::BadMessage, header.num_params.into(), TeeResult::BAD_PARAMETERS).into());
        }
        let mut effect = ShmChange::None;
        for (n, param) in guest.params().enumerate() {
            let malformed = |_| self.refuse(Refusal::BadMessage, param.attr, TeeResult::BAD_PARAMETERS);
            let parsed = Param::parse(&param).map_err(malformed)?;
            let translated = match parsed {
                Param::Tmem { dir, buf_ptr, size, shm_ref, noncontig } if buf_ptr != 0 => {
                    if Cmd(header.cmd) == Cmd::REGISTER_SHM {
                        self.change(shm_ref)?;
                    }
                    let (client, free) = (Client::of(self.id), &mut self.free_lists);
                    let mut lists = ShadowLists { pages: &self.shadow.lists, free, held: lists, client };
                    let list = translate(Alleged { buf_ptr, size, noncontig }, memory, &mut lists)?;
                    if Cmd(header.cmd) == Cmd::REGISTER_SHM {
                        let pieces = list.pieces(&self.shadow.lists, memory);
                        self.buffers.add(shm_ref, Kind::Registering, size, &list, pieces).map_err(Stop::NoRoom)?;
                        effect = ShmChange::Register(shm_ref);
                    }
                    let tmem = Param::Tmem { dir, buf_ptr: list.buf_ptr.0, size, shm_ref, noncontig: true }.to_msg();
                    if param.is_meta() { tmem.meta() } else { tmem }
                }
                Param::Rmem { shm_ref, .. } if Cmd(header.cmd) == Cmd::UNREGISTER_SHM => {
                    self.change(shm_ref)?;
                    effect = ShmChange::Unregister(shm_ref);
                    param
                }
                Param::Rmem { offs, size, shm_ref, .. } if !self.buffers.covers(shm_ref, offs, size) => {
                    return Err(self.refuse(Refusal::UnknownCookie, shm_ref, TeeResult::BAD_PARAMETERS).into());
                }
                // A null reference, numbers, or nothing: as it stands.
                _ => param,
            };
            shadow.set_param(n, translated);
        }
        if shm_command && effect == ShmChange::None {
            return Err(self.refuse(Refusal::BadMessage, header.cmd.into(), TeeResult::BAD_PARAMETERS).into());
        }
        Ok(effect)
    }

    /// Lets no second call register or unregister a cookie while one does: which of them the TEE served first would not
    /// be known when both are done.
    fn change(&self, cookie: u64) -> Result<(), TeeResult> {
        if self.is_changing(cookie) { Err(self.refuse(Refusal::InUse, cookie, TeeResult::BUSY)) } else { Ok(()) }
    }

    /// Says whether a call is under way in which the TEE learns of this cookie's buffer or forgets it.
    pub(super) fn is_changing(&self, cookie: u64) -> bool {
        self.calls.iter().any(|call| call.progress != Progress::Free && call.effect.changes() == Some(cookie))
    }

    /// Records a message's refusal, and returns it.
    #[inline(always)]
    pub(super) fn refuse(&self, reason: Refusal, value: u64, result: TeeResult) -> TeeResult {
        refuse(Client::of(self.id), reason, value, result)
    }

    pub(super) fn first_question(&self, index: usize) -> [u64; 8] {
        let call = &self.calls[index];
        // A message in registered memory is one in a shadow page, too, and that the TEE knows by its address.
        let function = if call.rpc_behind { OPTEE_SMC_CALL_WITH_RPC_ARG } else { OPTEE_SMC_CALL_WITH_ARG };
        let (high, low) = to_halves(self.shadow.messages[index].pa().0);
        [u64::from(function.0), high, low, SHM_CACHED, 0, 0, 0, u64::from(self.id.get())]
    }

    /// Ends a call that the TEE is done with: results go to the guest, and everything that the call held is free again.
    fn finish<M>(&mut self, index: usize, x0: u32, memory: &M) -> Forward
    where
        M: GuestMemory + ?Sized,
    {
        let effect = self.calls[index].effect;
        if let ShmChange::Register(_) | ShmChange::Reclaim(_) = effect
            && let Some(next) = self.reclaimed(index, effect, x0, memory)
        {
            return next;
        }
        let call = &self.calls[index];
        let mut code = u64::from(x0);
        let mut ret = TeeResult::GENERIC;
        if ReturnCode::from_x0(code) == Some(ReturnCode::Ok) {
            let answer = Message::new(self.shadow.messages[index].words(), call.params);
            let words = memory.words(call.guest, words_of(call.params));
            match (answer, words.and_then(|words| Message::new(words, call.params))) {
                (Some(answer), Some(guest)) => ret = guest.take_results(&answer),
                _ => code = ReturnCode::EBadAddr as u64,
            }
        }
        match effect {
            ShmChange::Register(cookie) if ret == TeeResult::SUCCESS => self.buffers.registered(cookie),
            ShmChange::Register(cookie) => self.buffers.remove(cookie, &[Kind::Registering]),
            ShmChange::Unregister(cookie) if ret == TeeResult::SUCCESS => {
                self.buffers.remove(cookie, &[Kind::Registered, Kind::Allocated]);
            }
            ShmChange::None | ShmChange::Unregister(_) | ShmChange::Reclaim(_) => {}
        }
        self.release(index);
        Forward::Guest([code, 0, 0, 0])
    }

    /// Frees what a call held that is over.
    #[inline(always)]
    pub(super) fn release(&mut self, index: usize) {
        let call = &mut self.calls[index];
        call.lists.give_back(&mut self.free_lists);
        call.answer_list.give_back(&mut self.free_lists);
        // The next call writes the rest.
        call.progress = Progress::Free;
        if call.has_rpc_memory {
            self.rpc_memory_kept(index);
        }
    }

    /// Makes `RETURN_FROM_RPC` with x1 and x2 alone.
    pub(super) fn resumption(&self, thread: u32, x1: u64, x2: u64) -> [u64; 8] {
        self.answer_rpc(thread, [x1, x2, 0, 0])
    }

    /// Makes `RETURN_FROM_RPC` with x1, x2, x4 and x5.
    pub(super) fn answer_rpc(&self, thread: u32, [x1, x2, x4, x5]: [u64; 4]) -> [u64; 8] {
        let function = u64::from(OPTEE_SMC_CALL_RETURN_FROM_RPC.0);
        [function, x1, x2, u64::from(thread), x4, x5, 0, u64::from(self.id.get())]
    }
}

/// Makes a parameter of two numbers, for a request of the mediator's own.
pub(super) fn value(a: u64, b: u64) -> MsgParam {
    Param::Value { dir: Direction::In, value: [a, b, 0] }.to_msg()
}
