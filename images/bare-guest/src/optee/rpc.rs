// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE asks in the middle of a call.

use super::call::{header, param, set_header, set_param};
use super::client::{POOL, RPC_LIST};
use super::page::{Page, SIZE};
use super::{Client, World};
use shared_abi::optee_msg::{Direction, MsgHeader, NOTIFICATION_SEND, NOTIFICATION_WAIT, Param, RpcCmd};
use shared_abi::optee_smc::*;
use shared_abi::tee::{Origin, TeeResult};

impl<W: World> Client<W> {
    /// Serves one RPC: x0 to x3 as the TEE gave them. Returns x1 to x7 of the resumption.
    ///
    /// `behind` is the word of the message page where an RPC's message stands; without it the TEE asks for memory
    /// first.
    pub(super) fn serve(&mut self, [x0, x1, x2, x3]: [u32; 4], behind: Option<usize>) -> [u32; 7] {
        let cookie = from_halves(x1.into(), x2.into());
        match Rpc::from_x0(x0.into()) {
            Some(Rpc::Alloc) => {
                let address = self.take_page(x1 as usize).map_or(0, Page::address);
                let (high, low) = to_halves(address);
                // The address is the cookie as well.
                return [high as u32, low as u32, x3, high as u32, low as u32, 0, 0];
            }
            Some(Rpc::Free) => self.free_page(cookie),
            Some(Rpc::Cmd) => {
                let place = match behind {
                    Some(at) => Some((self.place.page, at)),
                    None => self.pool_page(cookie).map(|page| (page, 0)),
                };
                if let Some((page, at)) = place {
                    let request = header(page, at);
                    let result = self.command(page, at, request);
                    let origin = Origin::Comms as u32;
                    set_header(page, at, MsgHeader { ret: result.0, ret_origin: origin, ..header(page, at) });
                }
            }
            // An interrupt is ours: it is pending here, and taken or left as this CPU's masks say. To resume is all.
            Some(Rpc::ForeignIntr) | None => {}
        }
        [x1, x2, x3, 0, 0, 0, 0]
    }

    /// Does what an RPC's message asks.
    fn command(&mut self, page: &Page, at: usize, request: MsgHeader) -> TeeResult {
        let Ok(Param::Value { value: [a, b, _], .. }) = Param::parse(&param(page, at, 0)) else {
            return TeeResult::BAD_PARAMETERS;
        };
        match RpcCmd(request.cmd) {
            RpcCmd::SHM_ALLOC => {
                let Some(given) = self.take_page(usize::try_from(b).unwrap_or(usize::MAX)) else {
                    return TeeResult::OUT_OF_MEMORY;
                };
                let list = &self.pages[RPC_LIST];
                list.set_word(0, given.address());
                let (dir, buf_ptr, shm_ref) = (Direction::Out, list.address(), given.address());
                let tmem = Param::Tmem { dir, buf_ptr, size: SIZE as u64, shm_ref, noncontig: true };
                set_param(page, at, 0, tmem.to_msg());
                TeeResult::SUCCESS
            }
            RpcCmd::SHM_FREE => {
                self.free_page(b);
                TeeResult::SUCCESS
            }
            RpcCmd::NOTIFICATION => self.notification(a, b),
            RpcCmd::SUSPEND => {
                self.world.sleep(a);
                TeeResult::SUCCESS
            }
            // There is neither a clock nor a supplicant.
            _ => TeeResult::NOT_SUPPORTED,
        }
    }

    /// Answers a wait or a send of a notification. One call at a time means that nobody can wake a sleeper: only a key
    /// that was sent before is there.
    fn notification(&mut self, what: u64, key: u64) -> TeeResult {
        let bit = u32::try_from(key).ok().and_then(|key| 1u64.checked_shl(key)).unwrap_or(0);
        match what {
            NOTIFICATION_SEND => {
                self.notified |= bit;
                TeeResult::SUCCESS
            }
            NOTIFICATION_WAIT if self.notified & bit != 0 => {
                self.notified &= !bit;
                TeeResult::SUCCESS
            }
            NOTIFICATION_WAIT => {
                self.world.sleep(1);
                TeeResult::BUSY
            }
            _ => TeeResult::BAD_PARAMETERS,
        }
    }

    /// Takes a page of the pool, if that many bytes fit.
    fn take_page(&mut self, size: usize) -> Option<&'static Page> {
        let index = POOL.clone().find(|index| self.pool & (1 << index) == 0).filter(|_| size <= SIZE)?;
        self.pool |= 1 << index;
        self.pages.get(index)
    }

    /// Gives a page back by its cookie; another cookie is nothing of ours.
    pub(super) fn free_page(&mut self, cookie: u64) {
        for index in POOL {
            if self.pages[index].address() == cookie {
                self.pool &= !(1 << index);
            }
        }
    }

    fn pool_page(&self, cookie: u64) -> Option<&'static Page> {
        self.pages[POOL].iter().find(|page| page.address() == cookie)
    }
}
