// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM, its mediator, and a TEE that does what it may. What passes between them is held against the model.

use crate::draw::Draw;
use crate::model::*;
use crate::ram::{MACHINE, Memory, PAGES, RAM, Race, guests};
use hypervisor::address::{PAGE_SIZE, Pa};
use hypervisor::tee::optee::{Mediation, Optee, Shadow, ShadowPage};
use hypervisor::tee::{Conduit, Mediator};
use shared_abi::client::VmId;
use shared_abi::optee_msg::{Cmd, Direction, MsgHeader, MsgParam, Param, RpcCmd};
use shared_abi::optee_smc::*;
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use zerocopy::transmute;

const ID: u64 = 3;
/// Calls of other vCPUs within a call, within each other.
const DEEPEST: usize = 3;
/// The guest's pages: messages, lists, memory for RPC messages.
const MESSAGES: u64 = 6;
const LISTS: u64 = 6;

/// What a suspended call waits for.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Resumption([u64; 2]),
    Memory(u64),
    /// An answer to a message behind the call's, or in memory of this cookie; how much memory was asked for, and of
    /// what kind.
    Answer {
        memory: Option<u64>,
        cookie: [u64; 2],
        wanted: Option<(u64, u64)>,
    },
    Undoing {
        memory: Option<u64>,
    },
}

/// Memory that the guest gave for RPC messages.
#[derive(Clone, Copy, Debug)]
struct RpcMemory {
    cookie: u64,
    call: Option<u64>,
    ipa: u64,
    params: u64,
    /// Its shadow.
    pa: u64,
}

/// What the mediator is about to say, to the TEE or to the guest.
#[derive(Debug)]
enum Forecast {
    /// Nobody can say: the guest changed memory while it was looked at.
    Open,
    Exactly(Expected),
    /// The TEE is to go on, with these registers.
    Resume([u64; 8]),
    /// The guest hears this.
    Guest([u64; 4]),
}

pub struct World {
    pub ram: Memory,
    vm: RefCell<Option<Mediation>>,
    mediator: Optee,
    shadow: &'static Shadow,
    draw: Rc<RefCell<Draw>>,
    model: RefCell<Model>,
    waiting: RefCell<Vec<(u64, Waiting)>>,
    rpc_memories: RefCell<Vec<RpcMemory>>,
    /// What the TEE knows by cookies, and its threads that are suspended.
    registered: RefCell<BTreeSet<u64>>,
    threads: RefCell<BTreeSet<u32>>,
    depth: Cell<usize>,
    /// Something was done while the TEE ran.
    disturbed: Cell<bool>,
    calls: Cell<u64>,
}

thread_local! {
    /// The hypervisor keeps a VM's shadow pages through its resets, whatever is in them.
    static SHADOW: &'static Shadow = Box::leak(Box::new(Shadow::new()));
}

/// The guest's question that is being served, as the TEE meets it.
struct Question<'w> {
    world: &'w World,
    id: u64,
    next: Forecast,
    cmd: u32,
    /// What the guest is to find at an address, when it is answered.
    results: Option<(u64, Vec<[u64; 4]>)>,
}

impl World {
    /// A VM that has called nothing yet, of which these choices make what it does.
    pub fn new(draw: Rc<RefCell<Draw>>) -> Self {
        let shadow = SHADOW.with(|shadow| *shadow);
        let rpc_args = draw.borrow_mut().below(4) != 3;
        let mut boot = Boot { rpc_args };
        let mediator = Optee::probe(&mut boot).unwrap();
        let vm = mediator.vm_made(VmId::new(ID as u16).unwrap(), shadow, &mut boot).unwrap();
        Self {
            ram: Memory::new(),
            vm: RefCell::new(Some(vm)),
            mediator,
            shadow,
            draw,
            model: RefCell::new(Model { rpc_args, ..Model::default() }),
            waiting: RefCell::default(),
            rpc_memories: RefCell::default(),
            registered: RefCell::default(),
            threads: RefCell::default(),
            depth: Cell::new(0),
            disturbed: Cell::new(false),
            calls: Cell::new(0),
        }
    }

    /// How often the guest asked.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    fn below(&self, n: u64) -> u64 {
        self.draw.borrow_mut().below(n)
    }

    fn of<T: Copy>(&self, these: &[T]) -> T {
        self.draw.borrow_mut().of(these)
    }

    /// A step of the guest's.
    pub fn do_something(&self) {
        self.disturbed.set(true);
        match self.below(20) {
            0..8 => self.call(),
            8..15 => self.resume(),
            15 | 16 => self.fast(),
            17 => self.ram.set(self.address() & !7, self.number()),
            18 if self.depth.get() == 0 => self.end(),
            _ => self.begin_anew(),
        }
    }

    /// An address of the guest's RAM.
    fn address(&self) -> u64 {
        RAM + self.below(PAGES * PAGE_SIZE)
    }

    /// A number that a guest may write: small, an address, or what no guest has.
    fn number(&self) -> u64 {
        match self.below(6) {
            0 => self.below(8),
            1 | 2 => self.page(),
            3 => self.address(),
            4 => self.of(&STRANGE),
            _ => self.below(0x3000),
        }
    }

    fn page(&self) -> u64 {
        RAM + self.below(PAGES) * PAGE_SIZE
    }

    fn cookie(&self) -> u64 {
        match self.below(8) {
            7 => self.below(40),
            n => n % 4,
        }
    }

    fn size(&self) -> u64 {
        match self.below(8) {
            0..4 => self.below(0x3000),
            4 | 5 => self.below(30) * PAGE_SIZE,
            6 => self.of(&[511, 512, 1023, 12 * 511, 16384, 16385, 30 * 511]) * PAGE_SIZE,
            _ => self.of(&[0, u64::MAX, u64::MAX - 0xFFF, 1 << 32, (1 << 32) + 1]),
        }
    }

    fn direction(&self) -> Direction {
        self.of(&[Direction::In, Direction::Out, Direction::InOut])
    }

    /// Memory that the guest names, a list of it written if it is one.
    fn memory(&self) -> Param {
        self.disturbed.set(true);
        let (dir, mut size, shm_ref) = (self.direction(), self.size(), self.cookie());
        let noncontig = self.below(3) != 0;
        let buf_ptr = if noncontig {
            let list = RAM + (MESSAGES + self.below(LISTS)) * PAGE_SIZE;
            let pages = 1 + size.min(16 * PAGE_SIZE) / PAGE_SIZE;
            for n in 0..pages.min(511) {
                let entry = if self.below(60) == 59 { self.number() } else { self.page() };
                self.ram.set(list + 8 * n, entry);
            }
            if size > 16 * PAGE_SIZE {
                // All entries, and the list goes on with itself.
                (pages..511).for_each(|n| self.ram.set(list + 8 * n, RAM + n % PAGES * PAGE_SIZE));
                self.ram.set(list + 511 * 8, if self.below(12) == 11 { self.number() } else { list });
            }
            list + if self.below(2) == 0 { 0 } else { self.below(PAGE_SIZE) }
        } else {
            size = if self.below(2) == 0 { size.min(0x4000) } else { size };
            if self.below(12) == 11 { self.number() } else { self.address() }
        };
        Param::Tmem { dir, buf_ptr, size, shm_ref, noncontig }
    }

    fn parameter(&self) -> MsgParam {
        let dir = self.direction();
        match self.below(12) {
            0..3 => Param::Value { dir, value: [self.number(), self.number(), self.number()] }.to_msg(),
            3..7 => self.memory().to_msg(),
            7 | 8 => {
                Param::Rmem { dir, offs: self.below(0x2000), size: self.below(0x2000), shm_ref: self.cookie() }.to_msg()
            }
            9 => Param::None.to_msg(),
            10 => Param::Value { dir, value: [self.number(), self.number(), 0] }.to_msg().meta(),
            _ => MsgParam { attr: self.below(0x400), a: self.number(), b: self.number(), c: self.number() },
        }
    }

    /// Writes a message; returns where.
    fn message(&self) -> u64 {
        let cmd = match self.below(16) {
            0..6 => Cmd::REGISTER_SHM,
            6..9 => Cmd::UNREGISTER_SHM,
            9 => Cmd(self.below(9) as u32),
            _ => Cmd::INVOKE_COMMAND,
        };
        let mut params: Vec<MsgParam> = match cmd {
            Cmd::REGISTER_SHM => vec![self.memory().to_msg()],
            Cmd::UNREGISTER_SHM => {
                vec![Param::Rmem { dir: Direction::In, offs: 0, size: 0, shm_ref: self.cookie() }.to_msg()]
            }
            _ => (0..self.below(6)).map(|_| self.parameter()).collect(),
        };
        if self.below(16) == 15 {
            params.push(self.parameter());
        }
        let at = RAM + self.below(MESSAGES) * PAGE_SIZE;
        let num_params = if self.below(20) == 19 { self.below(9) as u32 } else { params.len() as u32 };
        let header = MsgHeader { cmd: cmd.0, func: 1, session: 2, cancel_id: 3, num_params, ..Default::default() };
        self.ram.set_block(at, transmute!(header));
        params
            .iter()
            .enumerate()
            .for_each(|(n, param)| self.ram.set_block(at + 32 + 32 * n as u64, transmute!(*param)));
        at
    }

    fn call(&self) {
        let at = self.message();
        let (at, function, offset) = match self.below(12) {
            0..5 => (at, OPTEE_SMC_CALL_WITH_ARG, 0),
            5..9 => (at, OPTEE_SMC_CALL_WITH_RPC_ARG, 0),
            9 | 10 => (self.cookie(), OPTEE_SMC_CALL_WITH_REGD_ARG, self.below(0x400) * 8),
            _ => (self.number(), OPTEE_SMC_CALL_WITH_ARG, 0),
        };
        let regs = [u64::from(function.0), at >> 32, at & 0xFFFF_FFFF, offset, 5, 6, 7, self.below(4)];
        let cmd = if Memory::holds(at & !7, 8) { self.ram.get(at & !7) as u32 } else { 0 };
        if function != OPTEE_SMC_CALL_WITH_ARG && !self.model.borrow().rpc_args {
            return self.ask(regs, 0, cmd, Forecast::Guest([u64::MAX, 0, 0, 0]));
        }
        let id = self.calls.get() + 1;
        let race = function != OPTEE_SMC_CALL_WITH_REGD_ARG && at.is_multiple_of(PAGE_SIZE) && self.race(at);
        let next = if race { Forecast::Open } else { self.expect(&regs, id) };
        self.ask(regs, id, cmd, next);
    }

    /// Whether another CPU of the guest's writes while the mediator looks: a number of a parameter, or a word of a
    /// list. Not which buffer is spoken of, for whose that is then nobody could say.
    fn race(&self, message: u64) -> bool {
        let refers =
            |n: u64| matches!(Param::parse(&transmute!(self.ram.block(message + 32 + 32 * n))), Ok(Param::Rmem { .. }));
        if self.below(6) != 5 || !Memory::holds(message, 32 + 32 * 8) || (0..8).any(refers) {
            return false;
        }
        let ipa = match self.below(2) {
            0 => message + 32 + 32 * self.below(6) + 8 + 8 * self.below(3),
            _ => RAM + (MESSAGES + self.below(LISTS)) * PAGE_SIZE + 8 * self.below(512),
        };
        self.ram.set_race(Some(Race { after: self.below(12), ipa, word: self.number() }));
        true
    }

    fn expect(&self, regs: &[u64; 8], id: u64) -> Forecast {
        let (expected, call) = self.model.borrow_mut().start(regs, &self.ram, id, false);
        self.model.borrow_mut().calls.extend(call);
        Forecast::Exactly(expected)
    }

    /// Asks, and holds the answer against what is expected.
    fn ask(&self, mut regs: [u64; 8], id: u64, cmd: u32, next: Forecast) {
        self.calls.set(self.calls.get() + 1);
        let calls = self.calls.get();
        self.disturbed.set(false);
        let before = regs;
        let mut question = Question { world: self, id, next, cmd, results: None };
        let ram = (self.calls.get().is_multiple_of(16) && !matches!(question.next, Forecast::Open))
            .then(|| self.ram.snapshot());
        let mut messages = self.messages();
        if let Forecast::Exactly(Expected::Result(_, at)) = question.next {
            messages.push(at);
        }
        let vm = self.vm.borrow();
        let vm = vm.as_ref().expect("a VM");
        Optee::call(vm, &mut regs, &self.ram, &mut question);
        self.ram.set_race(None);
        assert_eq!(regs[4..], before[4..], "only x0 to x3 are answers");
        let answer = [regs[0], regs[1], regs[2], regs[3]];
        // Unless others were at work meanwhile.
        if let Some(before) =
            ram.filter(|_| self.calls.get() == calls && self.depth.get() == 0 && !self.disturbed.get())
        {
            messages.extend(self.messages());
            // Where the message of one that was changed while it was read stands, nobody knows.
            if !messages.contains(&0) {
                self.check_rest(&before, &messages);
            }
        }
        if let Some((at, blocks)) = question.results.take() {
            let there: Vec<[u64; 4]> = (0..blocks.len()).map(|n| self.ram.block(at + 32 * n as u64)).collect();
            assert_eq!(there, blocks, "at {at:#x}");
        }
        match question.next {
            Forecast::Guest(expected) => assert_eq!(answer, expected),
            Forecast::Exactly(Expected::Code(code)) => assert_eq!(answer, [code as u64, 0, 0, 0]),
            Forecast::Exactly(Expected::Result(result, at)) => {
                assert_eq!(answer, [0; 4]);
                let header: MsgHeader = transmute!(self.ram.block(at));
                assert_eq!((header.ret, header.ret_origin), (result.0, 2));
            }
            Forecast::Open => assert!(answer[0] < 8, "{answer:x?}"),
            other => {
                let at = before[1] << 32 | before[2];
                let message = Memory::holds(at, 64).then(|| [self.ram.block(at), self.ram.block(at + 32)]);
                panic!(
                    "the TEE was not asked: {other:?}, but {answer:x?}; {message:x?} {:x?}",
                    self.model.borrow().buffers
                )
            }
        }
        self.check();
    }

    /// Where the mediator may write: messages of calls, and memory that the guest gave for more.
    fn messages(&self) -> Vec<u64> {
        let model = self.model.borrow();
        let memories = self.rpc_memories.borrow();
        model.calls.iter().map(|call| call.message).chain(memories.iter().map(|memory| memory.ipa)).collect()
    }

    /// Nothing else of the guest's memory was written.
    fn check_rest(&self, before: &[u64], messages: &[u64]) {
        let after = self.ram.snapshot();
        for (n, _) in before.iter().zip(&after).enumerate().filter(|(_, (before, after))| before != after) {
            let ipa = RAM + 8 * n as u64;
            // A message of six parameters, and one of four behind it.
            let there = messages.iter().any(|message| (*message..message + 12 * 32).contains(&ipa));
            assert!(there, "{ipa:#x} was written, but messages are at {messages:x?}");
        }
    }

    /// What holds at all times.
    fn check(&self) {
        let model = self.model.borrow();
        let pinned = self.vm.borrow().as_ref().map_or(0, Mediation::pinned_pages);
        assert_eq!(pinned as u64, model.pinned(), "{:?}", model.buffers);
        // The guest never sees where its memory is in the machine, nor where the mediator's is.
        let shadow = self.shadow.range();
        for ipa in (RAM..RAM + MESSAGES * PAGE_SIZE).step_by(8) {
            let word = self.ram.get(ipa);
            let told = (MACHINE..MACHINE + PAGES * PAGE_SIZE).contains(&word) || shadow.holds(word, 1);
            assert!(!told, "{word:#x} at {ipa:#x}");
        }
    }

    fn resume(&self) {
        let waiting: Vec<(u64, Waiting)> = self.waiting.borrow().clone();
        let Some((id, what)) = waiting.get(self.below(waiting.len().max(1) as u64) as usize).copied() else {
            let thread = self.below(6);
            return self.ask(
                [RETURN, 0, 0, thread, 0, 0, 0, 0],
                0,
                0,
                Forecast::Guest([ReturnCode::EResume as u64, 0, 0, 0]),
            );
        };
        let thread = self.model.borrow_mut().call(id).thread.expect("it is suspended");
        let mut regs = [RETURN, self.below(3), self.number() & 0xFFFF_FFFF, thread.into(), 1, self.cookie(), 0, 9];
        let plain = |x1, x2| Forecast::Resume([RETURN, x1, x2, thread.into(), 0, 0, 0, ID]);
        let next = match what {
            Waiting::Resumption([x1, x2]) => plain(x1, x2),
            Waiting::Memory(size) => self.give_rpc_memory(id, size, &mut regs),
            Waiting::Undoing { .. } => plain(0, 0),
            Waiting::Answer { memory, wanted, .. } => match self.answer(id, memory, wanted) {
                // The guest is asked to free what it gave.
                Some(true) => {
                    let Waiting::Answer { cookie, .. } = what else { unreachable!() };
                    self.wait(id, Waiting::Undoing { memory });
                    let asked = Forecast::Guest([Rpc::Cmd.x0(), cookie[0], cookie[1], thread.into()]);
                    self.ask(regs, id, 0, asked);
                    let header: MsgHeader = transmute!(self.ram.block(self.rpc_message(id, memory).0));
                    assert_eq!((header.cmd, header.num_params), (RpcCmd::SHM_FREE.0, 1));
                    return;
                }
                _ => plain(0, 0),
            },
        };
        self.waiting.borrow_mut().retain(|(other, _)| *other != id);
        self.model.borrow_mut().call(id).thread = None;
        let cmd = if self.model.borrow_mut().call(id).effect == BufferChange::None { 0 } else { Cmd::REGISTER_SHM.0 };
        self.ask(regs, id, cmd, next);
    }

    fn wait(&self, id: u64, what: Waiting) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|(other, _)| *other != id);
        waiting.push((id, what));
    }

    /// Whether a message in this memory waits for its answer.
    fn is_awaited(&self, cookie: u64) -> bool {
        let awaited = |what: &Waiting| match what {
            Waiting::Answer { memory, .. } | Waiting::Undoing { memory } => *memory == Some(cookie),
            Waiting::Resumption(_) | Waiting::Memory(_) => false,
        };
        self.waiting.borrow().iter().any(|(_, what)| awaited(what))
    }

    /// Where an RPC's message is for the guest, and for the TEE.
    fn rpc_message(&self, id: u64, memory: Option<u64>) -> (u64, u64) {
        match memory {
            Some(cookie) => {
                let memories = self.rpc_memories.borrow();
                let memory = memories.iter().find(|memory| memory.cookie == cookie).expect("it is known");
                (memory.ipa, memory.pa)
            }
            None => {
                let mut model = self.model.borrow_mut();
                let call = model.call(id);
                (call.message + 32 + 32 * call.params, self.message_of(id) + 32 + 32 * call.params)
            }
        }
    }

    fn message_of(&self, id: u64) -> u64 {
        MESSAGE_OF.with_borrow(|of| of.iter().find(|(other, _)| *other == id).expect("it was asked").1)
    }

    /// The guest's answer to RPC_ALLOC, and what the TEE is to hear.
    fn give_rpc_memory(&self, id: u64, size: u64, regs: &mut [u64; 8]) -> Forecast {
        let thread = regs[3];
        let ipa = RAM + (MESSAGES + LISTS + self.below(3)) * PAGE_SIZE + self.below(4) * 8;
        let ipa = if self.below(8) == 7 { self.number() } else { ipa };
        (regs[1], regs[2], regs[4], regs[5]) = (ipa >> 32, ipa & 0xFFFF_FFFF, 0, self.cookie());
        let cookie = regs[5];
        let mut memories = self.rpc_memories.borrow_mut();
        if memories.iter().any(|memory| memory.cookie == cookie) {
            return Forecast::Resume([RETURN, 0, 0, thread, 0, 0, 0, ID]);
        }
        let fits =
            ipa != 0 && size >= 32 && (ipa % PAGE_SIZE).saturating_add(size) <= PAGE_SIZE && ipa.is_multiple_of(8);
        if !fits || !Memory::holds(ipa, size.next_multiple_of(8)) || memories.len() == 8 {
            return Forecast::Resume([RETURN, 0, 0, thread, 0, cookie, 0, ID]);
        }
        let params = ((size / 8 - 4) / 4).min(4);
        memories.push(RpcMemory { cookie, call: Some(id), ipa, params, pa: 0 });
        // Its place is one of the shadow's; which one, the TEE is told.
        Forecast::Resume([RETURN, u64::MAX, u64::MAX, thread, 0, cookie, 0, ID])
    }

    /// The guest answers an RPC's message. Whether that is refused; then whether it is asked to free what it gave.
    fn answer(&self, id: u64, memory: Option<u64>, wanted: Option<(u64, u64)>) -> Option<bool> {
        let (ipa, pa) = self.rpc_message(id, memory);
        let asked: MsgHeader = transmute!(self.read(pa));
        let ret = if self.below(6) == 5 { TeeResult::OUT_OF_MEMORY } else { TeeResult::SUCCESS };
        let header = MsgHeader { ret: ret.0, ret_origin: 4, ..asked };
        let params: Vec<MsgParam> = (0..u64::from(asked.num_params).min(4)).map(|_| self.parameter()).collect();
        // Last: the lists of its parameters may stand in the same page.
        self.ram.set_block(ipa, transmute!(header));
        params
            .iter()
            .enumerate()
            .for_each(|(n, param)| self.ram.set_block(ipa + 32 + 32 * n as u64, transmute!(*param)));
        let (_, size) = wanted.filter(|_| ret == TeeResult::SUCCESS)?;
        let Some(first) = params.first() else { return Some(false) };
        let given = self.model.borrow_mut().give(id, first, size, &self.ram);
        if given.is_ok() {
            self.registered.borrow_mut().insert(first.c);
        }
        given.err()
    }

    fn fast(&self) {
        let function = self.of(&[
            OPTEE_SMC_CALLS_UID,
            OPTEE_SMC_CALL_GET_OS_REVISION,
            OPTEE_SMC_GET_THREAD_COUNT,
            OPTEE_SMC_VM_CREATED,
            OPTEE_SMC_VM_DESTROYED,
            OPTEE_SMC_DISABLE_SHM_CACHE,
            FunctionId(0xB200_0011),
            FunctionId(0xB2000000 | self.below(32) as u32),
        ]);
        let regs = [u64::from(function.0), self.below(5), 2, 3, 4, 5, 6, self.below(5)];
        let to_tee = |x1| Forecast::Resume([u64::from(function.0), x1, 0, 0, 0, 0, 0, ID]);
        let next = match function {
            OPTEE_SMC_CALLS_COUNT
            | OPTEE_SMC_CALLS_UID
            | OPTEE_SMC_CALLS_REVISION
            | OPTEE_SMC_CALL_GET_OS_UUID
            | OPTEE_SMC_CALL_GET_OS_REVISION
            | OPTEE_SMC_ENABLE_SHM_CACHE
            | OPTEE_SMC_DISABLE_SHM_CACHE => to_tee(0),
            OPTEE_SMC_GET_THREAD_COUNT => Forecast::Guest([0, THREADS as u64, 0, 0]),
            OPTEE_SMC_EXCHANGE_CAPABILITIES => return self.begin_anew(),
            _ => Forecast::Guest([u64::MAX, 0, 0, 0]),
        };
        self.ask(regs, 0, 0, next);
    }

    fn begin_anew(&self) {
        let regs = [u64::from(OPTEE_SMC_EXCHANGE_CAPABILITIES.0), self.below(4), 0, 0, 0, 0, 0, 0];
        let to_tee = [regs[0], regs[1] & 1, 0, 0, 0, 0, 0, ID];
        self.ask(regs, 0, 0, Forecast::Resume(to_tee));
    }

    /// The VM ends, whatever of it is suspended, and begins again.
    fn end(&self) {
        let agreed = self.below(8) != 7;
        let vm = self.vm.borrow_mut().take().expect("a VM");
        let mut last = Last { asked: false, agreed };
        assert_eq!(Optee::vm_gone(&vm, &mut last), agreed);
        assert!(last.asked);
        if agreed {
            assert_eq!(vm.pinned_pages(), 0);
        }
        let mut regs = [u64::from(OPTEE_SMC_CALL_WITH_ARG.0), 0, RAM, 0, 0, 0, 0, 0];
        Optee::call(&vm, &mut regs, &self.ram, &mut Nobody);
        assert_eq!(regs[0], ReturnCode::ENotAvail as u64);
        let rpc_args = self.model.borrow().rpc_args;
        *self.model.borrow_mut() = Model { rpc_args, ..Model::default() };
        self.waiting.borrow_mut().clear();
        self.rpc_memories.borrow_mut().clear();
        self.registered.borrow_mut().clear();
        self.threads.borrow_mut().clear();
        let mut boot = Boot { rpc_args };
        *self.vm.borrow_mut() = self.mediator.vm_made(VmId::new(ID as u16).unwrap(), self.shadow, &mut boot).ok();
    }

    /// The page of the shadow at an address.
    fn shadow_page(&self, pa: u64) -> &'static ShadowPage {
        let page = self.shadow.pages().find(|page| page.pa() == Pa(pa));
        page.unwrap_or_else(|| panic!("{pa:#x} is no page of the shadow"))
    }

    fn read(&self, pa: u64) -> [u64; 4] {
        let words = self.shadow_page(pa & !0xFFF).words();
        std::array::from_fn(|n| words[(pa % PAGE_SIZE) as usize / 8 + n].load(Relaxed))
    }

    fn write(&self, pa: u64, block: [u64; 4]) {
        let words = self.shadow_page(pa & !0xFFF).words();
        block.iter().enumerate().for_each(|(n, word)| words[(pa % PAGE_SIZE) as usize / 8 + n].store(*word, Relaxed));
    }

    /// The pages of a list of the mediator's. Each of them is the VM's own RAM.
    fn pages(&self, buf_ptr: u64, size: u64) -> Vec<u64> {
        let (offset, mut list) = (buf_ptr % PAGE_SIZE, buf_ptr & !0xFFF);
        let count = (offset + size).div_ceil(PAGE_SIZE);
        let mut pages = Vec::new();
        while (pages.len() as u64) < count {
            let words = self.shadow_page(list).words();
            let entries = (count as usize - pages.len()).min(511);
            pages.extend(words[..entries].iter().map(|word| word.load(Relaxed)));
            list = words[511].load(Relaxed);
        }
        assert!(pages.iter().all(|pa| guests(*pa).is_some()), "a page that is not the VM's: {pages:x?}");
        pages
    }
}

const RETURN: u64 = OPTEE_SMC_CALL_RETURN_FROM_RPC.0 as u64;

thread_local! {
    /// Where each call's message is for the TEE.
    static MESSAGE_OF: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

include!("tee.rs");
