// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the mediator with a fake TEE and a fake guest.

mod bounds;
mod fast;
mod hostile;
mod messages;
mod reclaim;
mod rpcs;
mod trace;
mod vcpus;

use crate::address::{Ipa, PAGE_SIZE, Pa};
use crate::memory::GuestMemory;
use crate::tee::Mediator;
use crate::tee::conduit::Conduit;
use crate::tee::optee::shadow::ShadowPage;
use crate::tee::optee::{Mediation, Optee, Shadow};
use shared_abi::client::VmId;
use shared_abi::optee_msg::{Cmd, Direction, MsgHeader, MsgParam, Param};
use shared_abi::optee_smc::*;
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::transmute;

/// Where the guest's RAM begins for the guest.
const RAM: u64 = 0x4000_0000;
/// How many pages it has: no multiple of 7, so that the pages' order in the machine can be another one.
const PAGES: u64 = 1051;
/// Where the machine has them.
const MACHINE: u64 = 0x8000_0000;

/// The guest's RAM, whose pages lie in no order in the machine.
struct Memory(Vec<AtomicU64>);

impl Memory {
    fn new() -> Self {
        Self((0..PAGES * PAGE_SIZE / 8).map(|_| AtomicU64::new(0)).collect())
    }

    fn index(&self, ipa: u64) -> usize {
        ((ipa - RAM) / 8) as usize
    }

    fn set(&self, ipa: u64, word: u64) {
        self.0[self.index(ipa)].store(word, Ordering::Relaxed);
    }

    fn get(&self, ipa: u64) -> u64 {
        self.0[self.index(ipa)].load(Ordering::Relaxed)
    }

    fn block(&self, ipa: u64) -> [u64; 4] {
        std::array::from_fn(|n| self.get(ipa + 8 * n as u64))
    }

    fn set_block(&self, ipa: u64, block: [u64; 4]) {
        block.iter().enumerate().for_each(|(n, word)| self.set(ipa + 8 * n as u64, *word));
    }

    fn header(&self, ipa: u64) -> MsgHeader {
        transmute!(self.block(ipa))
    }

    fn param(&self, ipa: u64, n: u64) -> MsgParam {
        transmute!(self.block(ipa + 32 + 32 * n))
    }

    fn set_param(&self, ipa: u64, n: u64, param: MsgParam) {
        self.set_block(ipa + 32 + 32 * n, transmute!(param));
    }

    fn write(&self, ipa: u64, cmd: Cmd, params: &[MsgParam]) {
        let header = MsgHeader { cmd: cmd.0, num_params: params.len() as u32, cancel_id: 77, ..Default::default() };
        self.set_block(ipa, transmute!(header));
        params.iter().enumerate().for_each(|(n, param)| self.set_param(ipa, n as u64, *param));
    }

    /// A page list of these pages at `ipa`, and at the pages after it when it is long.
    fn list(&self, ipa: u64, pages: impl IntoIterator<Item = u64>) {
        for (n, page) in pages.into_iter().enumerate() {
            let (part, slot) = (n as u64 / 511, n as u64 % 511);
            self.set(ipa + part * PAGE_SIZE + slot * 8, page);
            self.set(ipa + part * PAGE_SIZE + 511 * 8, ipa + (part + 1) * PAGE_SIZE);
        }
    }
}

/// Where the machine has the guest's page.
fn machine(ipa: u64) -> u64 {
    MACHINE + ((ipa - RAM) / PAGE_SIZE * 7 % PAGES) * PAGE_SIZE
}

impl GuestMemory for Memory {
    fn page(&self, ipa: Ipa) -> Option<Pa> {
        assert!(ipa.is_aligned(PAGE_SIZE));
        (RAM..RAM + PAGES * PAGE_SIZE).contains(&ipa.0).then(|| Pa(machine(ipa.0)))
    }

    fn ipa(&self, page: Pa) -> Option<Ipa> {
        // 7 times 901 is 1 more than a multiple of 1051.
        let n = page.0.checked_sub(MACHINE)? / PAGE_SIZE;
        (n < PAGES).then(|| Ipa(RAM + n * 901 % PAGES * PAGE_SIZE))
    }

    fn words(&self, ipa: Ipa, count: usize) -> Option<&[AtomicU64]> {
        assert!(ipa.offset() + 8 * count as u64 <= PAGE_SIZE || !ipa.is_aligned(8), "more than the page has");
        let first = ipa.0.checked_sub(RAM).filter(|_| ipa.is_aligned(8))? / 8;
        self.0.get(first as usize..)?.get(..count)
    }
}

type Answer = Box<dyn FnOnce(&Seen, [u64; 8]) -> [u64; 4]>;

/// What the TEE can see: the shadow pages, by their address.
struct Seen(&'static Shadow);

impl Seen {
    fn page(&self, pa: u64) -> &'static ShadowPage {
        self.0.pages().find(|page| page.pa().0 == pa).expect("an address of a shadow page")
    }

    fn word(&self, pa: u64) -> u64 {
        self.page(pa & !0xFFF).words()[(pa & 0xFFF) as usize / 8].load(Ordering::Relaxed)
    }

    fn set_word(&self, pa: u64, value: u64) {
        self.page(pa & !0xFFF).words()[(pa & 0xFFF) as usize / 8].store(value, Ordering::Relaxed);
    }

    fn block(&self, pa: u64) -> [u64; 4] {
        std::array::from_fn(|n| self.word(pa + 8 * n as u64))
    }

    fn header(&self, pa: u64) -> MsgHeader {
        transmute!(self.block(pa))
    }

    fn param(&self, pa: u64, n: u64) -> MsgParam {
        transmute!(self.block(pa + 32 + 32 * n))
    }

    fn set_header(&self, pa: u64, header: MsgHeader) {
        let block: [u64; 4] = transmute!(header);
        block.iter().enumerate().for_each(|(n, word)| self.set_word(pa + 8 * n as u64, *word));
    }

    fn set_param(&self, pa: u64, n: u64, param: MsgParam) {
        let block: [u64; 4] = transmute!(param);
        block.iter().enumerate().for_each(|(i, word)| self.set_word(pa + 32 + 32 * n + 8 * i as u64, *word));
    }

    /// Sets the result of the message that x1 and x2 name.
    fn finish(&self, x: &[u64; 8], result: TeeResult) -> [u64; 4] {
        let pa = from_halves(x[1], x[2]);
        self.set_header(pa, MsgHeader { ret: result.0, ret_origin: 3, session: 5, ..self.header(pa) });
        [0; 4]
    }

    /// Pages of the list at `pa`.
    fn list(&self, mut pa: u64, count: usize) -> Vec<u64> {
        let mut pages = Vec::new();
        while pages.len() < count {
            let entries = (count - pages.len()).min(511);
            pages.extend((0..entries).map(|n| self.word(pa + 8 * n as u64)));
            pa = self.word(pa + 511 * 8);
        }
        pages
    }
}

/// A TEE that answers as it is told, and otherwise as one that agrees with everything.
struct FakeTee {
    seen: Seen,
    calls: Vec<[u64; 8]>,
    answers: VecDeque<Answer>,
    caps: u64,
    rpc_params: u64,
}

impl FakeTee {
    fn new(shadow: &'static Shadow) -> Self {
        Self { seen: Seen(shadow), calls: Vec::new(), answers: VecDeque::new(), caps: 0x3FF, rpc_params: 4 }
    }

    fn then(&mut self, answer: impl FnOnce(&Seen, [u64; 8]) -> [u64; 4] + 'static) {
        self.answers.push_back(Box::new(answer));
    }

    /// The function ids that it was called with.
    fn functions(&self) -> Vec<FunctionId> {
        self.calls.iter().map(|regs| FunctionId(regs[0] as u32)).collect()
    }
}

impl Conduit for FakeTee {
    fn call(&mut self, regs: [u64; 8]) -> [u64; 4] {
        self.calls.push(regs);
        match FunctionId(regs[0] as u32) {
            OPTEE_SMC_CALLS_UID => CALLS_UID.map(u64::from),
            OPTEE_SMC_GET_THREAD_COUNT => [0, 4, 0, 0],
            OPTEE_SMC_EXCHANGE_CAPABILITIES => [0, self.caps, 99, self.rpc_params],
            _ => match self.answers.pop_front() {
                Some(answer) => answer(&self.seen, regs),
                None if regs[0] as u32 >> 31 == 0 => self.seen.finish(&regs, TeeResult::SUCCESS),
                None => [0; 4],
            },
        }
    }
}

/// A VM with a TEE behind its mediator.
struct Guest {
    memory: Memory,
    tee: FakeTee,
    vm: Mediation,
}

impl Guest {
    /// VM 3, of a TEE with all capabilities, four threads and four RPC parameters.
    fn new() -> Self {
        let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
        Self::of(FakeTee::new(shadow), shadow)
    }

    /// VM 3, of a TEE without RPC messages behind the calls' own.
    fn old() -> Self {
        let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
        Self::of(FakeTee { caps: 0x1F, rpc_params: 0, ..FakeTee::new(shadow) }, shadow)
    }

    fn of(tee: FakeTee, shadow: &'static Shadow) -> Self {
        Self::through(tee, shadow, |mediator| mediator)
    }

    /// VM 3, of a TEE of which it has what this makes of it.
    fn through(mut tee: FakeTee, shadow: &'static Shadow, change: impl FnOnce(Optee) -> Optee) -> Self {
        let mediator = change(Optee::probe(&mut tee).unwrap());
        let vm = mediator.vm_made(VmId::new(3).unwrap(), shadow, &mut tee).unwrap();
        tee.calls.clear();
        Self { memory: Memory::new(), tee, vm }
    }

    /// A call with whatever the guest has in the other registers.
    fn call(&mut self, function: FunctionId, args: [u64; 5]) -> [u64; 4] {
        let [x1, x2, x3, x4, x5] = args;
        let mut regs = [u64::from(function.0), x1, x2, x3, x4, x5, 0x66, 0x77];
        Optee::call(&self.vm, &mut regs, &self.memory, &mut self.tee);
        assert_eq!(regs[4..], [x4, x5, 0x66, 0x77], "only x0 to x3 are answers");
        [regs[0], regs[1], regs[2], regs[3]]
    }

    /// Sends the message at `ipa`.
    fn send(&mut self, ipa: u64) -> u64 {
        self.call(OPTEE_SMC_CALL_WITH_ARG, [ipa >> 32, ipa, 0, 0, 0])[0]
    }

    /// Sends the message at `ipa`, an RPC's message behind it.
    fn send_rpc(&mut self, ipa: u64) -> [u64; 4] {
        self.call(OPTEE_SMC_CALL_WITH_RPC_ARG, [ipa >> 32, ipa, 0, 0, 0])
    }

    fn resume(&mut self, thread: u64) -> [u64; 4] {
        self.call(OPTEE_SMC_CALL_RETURN_FROM_RPC, [0, 0, thread, 0, 0])
    }

    /// The result in the message at `ipa`.
    fn result(&self, ipa: u64) -> TeeResult {
        TeeResult(self.memory.header(ipa).ret)
    }

    /// Registers pages under a cookie, the message at the start of RAM, the list in the page after it.
    fn register(&mut self, cookie: u64, offset: u64, size: u64, pages: &[u64]) -> TeeResult {
        let list = RAM + PAGE_SIZE;
        self.memory.list(list, pages.iter().copied());
        self.memory.write(RAM, Cmd::REGISTER_SHM, &[tmem(list + offset, size, cookie)]);
        assert_eq!(self.send(RAM), 0);
        self.result(RAM)
    }

    fn unregister(&mut self, cookie: u64) -> TeeResult {
        self.memory.write(RAM, Cmd::UNREGISTER_SHM, &[rmem(Direction::In, 0, 0, cookie)]);
        assert_eq!(self.send(RAM), 0);
        self.result(RAM)
    }
}

/// A page list's reference, as Linux registers memory.
fn tmem(buf_ptr: u64, size: u64, shm_ref: u64) -> MsgParam {
    Param::Tmem { dir: Direction::Out, buf_ptr, size, shm_ref, noncontig: true }.to_msg()
}

fn rmem(dir: Direction, offs: u64, size: u64, shm_ref: u64) -> MsgParam {
    Param::Rmem { dir, offs, size, shm_ref }.to_msg()
}

fn value(dir: Direction, value: [u64; 3]) -> MsgParam {
    Param::Value { dir, value }.to_msg()
}

/// The guest's n-th page after those that the tests' messages and lists take.
fn page(n: u64) -> u64 {
    RAM + (16 + n) * PAGE_SIZE
}

/// The first word of the address in x1 and x2 of what the TEE was called with.
fn address(regs: &[u64; 8]) -> u64 {
    from_halves(regs[1], regs[2])
}
