// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an earlier driver of the same VM left, and how it goes.
//!
//! Buffers are registered until they are unregistered or the VM ends. A kernel that another one takes the place of
//! (kexec) unregisters none: Linux's driver only gives up what the TEE cached (`optee_shutdown`). After some of them
//! nothing would fit. Which buffers are whose shows a driver's first question, EXCHANGE_CAPABILITIES: what is
//! registered before is an earlier one's, until it is used again. It stays, for a guest may ask that twice. But when a
//! new buffer does not fit, here or in the TEE, or when its cookie is one of theirs, the mediator unregisters all of
//! them on the guest's behalf, one call to the TEE after another, before it tries the guest's own once more.
//!
//! Those calls have the place of the guest's, whose message has the same shape: an RPC in one of them goes where an RPC
//! of the guest's own call would.

use crate::memory::GuestMemory;
use crate::tee::optee::buffer::Kind;
use crate::tee::optee::call::ShmChange;
use crate::tee::optee::message::{Message, words_of};
use crate::tee::optee::state::{Forward, Found, State};
use shared_abi::optee_msg::{Cmd, Direction, MsgHeader, Param};
use shared_abi::optee_smc::ReturnCode;
use shared_abi::tee::TeeResult;

impl State {
    /// Takes the TEE's answer to a call that registers a buffer, or to one of the mediator's own. What comes next,
    /// unless that is the guest's to hear.
    #[cold]
    pub(super) fn reclaimed<M>(&mut self, index: usize, effect: ShmChange, x0: u32, memory: &M) -> Option<Forward>
    where
        M: GuestMemory + ?Sized,
    {
        let answered = ReturnCode::from_x0(x0.into()) == Some(ReturnCode::Ok);
        let result = TeeResult(Message::new(self.shadow.messages[index].words(), 1)?.header().ret);
        match effect {
            ShmChange::Register(cookie) => {
                let lacks_room = answered && result == TeeResult::OUT_OF_MEMORY;
                if !lacks_room || self.calls[index].reclaimed || self.earlier().is_none() {
                    return None;
                }
                self.buffers.remove(cookie, &[Kind::Registering]);
            }
            ShmChange::Reclaim(cookie) if !answered => {
                // It had no thread for it: the guest is told so, and comes again.
                self.buffers.stays(cookie, false);
                self.release(index);
                return Some(Forward::Guest([x0.into(), 0, 0, 0]));
            }
            ShmChange::Reclaim(cookie) if result == TeeResult::SUCCESS => self.buffers.remove(cookie, &[Kind::Leaving]),
            ShmChange::Reclaim(cookie) => self.buffers.stays(cookie, true),
            ShmChange::None | ShmChange::Unregister(_) => return None,
        }
        // That call is over, for the TEE: what memory for RPC messages it has, it keeps for any other.
        self.rpc_memory_kept(index);
        if !self.reclaim(index) {
            let call = &self.calls[index];
            let found = Found { ipa: call.guest, room: call.room.into(), rpc_behind: call.rpc_behind };
            self.release(index);
            if let Err(code) = self.begin(index, found, true, memory) {
                return Some(Forward::Guest([code as u64, 0, 0, 0]));
            }
        }
        Some(Forward::Tee(self.first_question(index)))
    }

    /// Finds an earlier driver's buffer that the TEE could forget, and is not about to on the guest's own behalf.
    fn earlier(&self) -> Option<u64> {
        self.buffers.earlier(|cookie| self.is_changing(cookie))
    }

    /// Makes of a call one in which the TEE is to forget one of an earlier driver's buffers. `false` if none is left.
    pub(super) fn reclaim(&mut self, index: usize) -> bool {
        let Some(cookie) = self.earlier() else { return false };
        self.buffers.leaves(cookie);
        let call = &mut self.calls[index];
        call.lists.give_back(&mut self.free_lists);
        call.effect = ShmChange::Reclaim(cookie);
        call.reclaimed = true;
        let page = &self.shadow.messages[index];
        if let Some(message) = Message::new(page.words(), 1) {
            message.set_header(MsgHeader { cmd: Cmd::UNREGISTER_SHM.0, num_params: 1, ..Default::default() });
            message.set_param(0, Param::Rmem { dir: Direction::In, offs: 0, size: 0, shm_ref: cookie }.to_msg());
        }
        page.clear(words_of(1), if call.rpc_behind { words_of(self.tee.rpc_params) } else { 0 });
        true
    }
}
