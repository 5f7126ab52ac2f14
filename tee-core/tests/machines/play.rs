// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the steps do: memory is written, calls are made.

use crate::oracle::{Exit, HOLE, PAGE, Pair, RAM, RAM_PAGES, Service, Suspension, scenario};
use crate::step::Address::{self, End, Hole, Of, Secure};
use crate::step::{How, In, List, Meanwhile, Msg, P, Reply, Shape, Step, Token, VMS};
use firmware_support::board::VIRT;
use shared_abi::layout::{FLASH, MONITOR, TEE};
use shared_abi::optee_msg::{Direction, MsgHeader, MsgParam, Param, RpcCmd, uuid_to_value};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

/// Pages of each of them.
const OWN: u64 = 11;
/// Of these, where names and values stand, where lists of pages, where the RPCs' messages, where buffers.
const TEXT: u64 = 4;
const LISTS: u64 = 5;
const RPC: u64 = 8;
const BUFFERS: u64 = 9;

fn vm(n: u8) -> u16 {
    VMS[usize::from(n) % VMS.len()]
}

fn own(n: u8, page: u64) -> u64 {
    RAM.base + ((u64::from(n) % VMS.len() as u64) * OWN + page % OWN) * PAGE
}

impl Address {
    fn get(self) -> u64 {
        match self {
            Of(vm, page, offset) => own(vm, page.into()) + u64::from(offset) % PAGE,
            End(before) => RAM.base + RAM.size - u64::from(before),
            Hole(before) => HOLE.base - u64::from(before),
            Secure(which) => {
                [TEE, MONITOR, FLASH, VIRT.uart.registers][usize::from(which) % 4].base + u64::from(which / 16) * PAGE
            }
            Address::Raw(number) => number,
        }
    }

    /// The address, if `len` bytes from it are in the machine's memory.
    fn backed(self, len: u64) -> Option<u64> {
        Some(self.get()).filter(|pa| RAM.holds(*pa, len))
    }
}

fn cookie(n: u8) -> u64 {
    // As Linux has them: kernel addresses. Number 0 is none.
    if n == 0 { 0 } else { 0xFFFF_8000_0000_0000 + u64::from(n) * 0x80 }
}

fn uuid(n: u8) -> Uuid {
    Service::ALL.get(usize::from(n)).map_or(Uuid::from_u128(n.into()), |service| service.uuid())
}

fn direction(n: u8) -> Direction {
    [Direction::In, Direction::Out, Direction::InOut][usize::from(n) % 3]
}

/// Puts what a parameter refers to into memory; returns the parameter as it stands in a message.
fn parameter(pair: &mut Pair, n: u8, at: usize, p: P) -> MsgParam {
    match p {
        P::Nothing => MsgParam::default(),
        P::Attr(attr, a, b, c) => MsgParam { attr, a, b, c },
        P::Target(which) => {
            let (a, b) = uuid_to_value(&uuid(which));
            Param::Value { dir: Direction::In, value: [a, b, 0] }.to_msg().meta()
        }
        P::Client(login) => Param::Value { dir: Direction::In, value: [0, 0, login.into()] }.to_msg().meta(),
        P::Value(dir, a, b) => Param::Value { dir: direction(dir), value: [a.into(), b.into(), 0] }.to_msg(),
        P::Memory(dir, address, size) => {
            let (dir, buf_ptr) = (direction(dir), address.get());
            Param::Tmem { dir, buf_ptr, size, shm_ref: 0, noncontig: false }.to_msg()
        }
        P::Pages(dir, shape, offset, size, name) => {
            let list = own(n, LISTS + at as u64 % 2);
            write_list(pair, n, list, shape);
            let (dir, buf_ptr, shm_ref) = (direction(dir), list + u64::from(offset) % PAGE, cookie(name));
            Param::Tmem { dir, buf_ptr, size, shm_ref, noncontig: true }.to_msg()
        }
        P::Shared(dir, name, offs, size) => {
            Param::Rmem { dir: direction(dir), offs, size, shm_ref: cookie(name) }.to_msg()
        }
        P::Name(which, len) => text(pair, n, at, &[b'a' + which % 26; 256][..usize::from(len)]),
        P::Secret(first, len) => text(pair, n, at, &[first; 0x200][..usize::from(len) % 0x200]),
    }
}

fn text(pair: &mut Pair, n: u8, at: usize, bytes: &[u8]) -> MsgParam {
    let buf_ptr = own(n, TEXT) + 0x200 * at as u64;
    pair.poke(buf_ptr, bytes);
    Param::Tmem { dir: Direction::In, buf_ptr, size: bytes.len() as u64, shm_ref: 0, noncontig: false }.to_msg()
}

/// A list of a VM's buffer pages in turn, which goes on where `last` says.
fn good_list(n: u8, last: u64) -> [u64; 512] {
    let mut entries = [own(n, BUFFERS); 512];
    entries.chunks_exact_mut(2).for_each(|pair| pair[1] = own(n, BUFFERS + 1));
    entries[511] = last;
    entries
}

fn write_list(pair: &mut Pair, n: u8, list: u64, shape: Shape) {
    let last = own(n, LISTS + 2);
    let mut entries = good_list(n, last);
    pair.poke(last, entries.as_bytes());
    match shape {
        Shape::Good => {}
        Shape::Bad(place, address) => entries[usize::from(place)] = address.get(),
        Shape::Next(address) => entries[511] = address.get(),
    }
    pair.poke(list, entries.as_bytes());
}

impl Step {
    /// Does it.
    pub fn apply(&self, pair: &mut Pair) {
        match self {
            Step::Create(id) => drop(pair.create(*id)),
            Step::Destroy(id) => drop(pair.smc([0xB200_000E, *id, 0, 0, 0, 0, 0, 0])),
            Step::Smc(x) => drop(pair.smc(x.0)),
            Step::Call(n, page, how, msg) => call(pair, *n, u64::from(*page) % TEXT, *how, msg),
            Step::Resume(which, by, token, reply) => resume(pair, *which, *by, *token, *reply),
            Step::Finish(which) => finish(pair, *which),
            Step::Register(n, first, count, size) => register(pair, *n, *first, *count, *size),
            Step::Open(n, service, count) => open(pair, *n, *service, *count),
            Step::Interrupt(n) => pair.interrupt_after((*n).into()),
            Step::After(n, Meanwhile::Write(address, number)) => {
                if let Some(pa) = address.backed(8) {
                    pair.write_after((*n).into(), pa, &number.to_le_bytes());
                }
            }
            Step::After(n, Meanwhile::Calls(function, x1, client)) => {
                pair.call_after((*n).into(), [0xB200_0000 | u32::from(*function), *x1, 0, 0, 0, 0, 0, *client]);
            }
            Step::Poke(address, numbers) => {
                if let Some(pa) = address.backed(32) {
                    pair.poke(pa, numbers.as_bytes());
                }
            }
            Step::Random(there) => pair.set_random(*there),
        }
    }
}

fn session(pair: &Pair, vm: u16, which: In) -> u32 {
    let (n, service) = match which {
        In::Id(id) => return id,
        In::Any(n) => (n, None),
        In::Its(service, n) => (n, Some(Service::ALL[usize::from(service) % Service::ALL.len()])),
    };
    let mut open = pair.sessions(vm);
    open.retain(|(_, of)| service.is_none_or(|service| service == *of));
    open.get(usize::from(n) % open.len().max(1)).map_or(1, |(id, _)| *id)
}

fn finish(pair: &mut Pair, which: u8) {
    let all = pair.suspensions();
    let Some(call) = all.get(usize::from(which) % all.len().max(1)) else { return };
    let (vm, thread) = (call.vm, call.token % 4);
    // More than any call asks; two calls that wait for each other would ask for ever.
    for _ in 0..12 {
        let all = pair.suspensions();
        let Some(place) = all.iter().position(|call| call.vm == vm && call.token % 4 == thread) else { return };
        resume(pair, place as u8, None, Token::Right, Reply::Obeys);
    }
}

fn register(pair: &mut Pair, n: u8, first: u8, count: u8, size: u32) {
    for cookie in (first..=u8::MAX).take(count.into()) {
        let params = List(vec![P::Pages(1, Shape::Good, 0, size.into(), cookie)]);
        call(pair, n, 0, How::RpcArg, &Msg { cmd: 4, func: 0, session: In::Id(0), params, count: None });
    }
}

fn open(pair: &mut Pair, n: u8, service: u8, count: u8) {
    for _ in 0..count {
        let params = List(vec![P::Target(service), P::Client(0)]);
        call(pair, n, 1, How::Arg, &Msg { cmd: 0, func: 0, session: In::Id(0), params, count: None });
    }
}

fn call(pair: &mut Pair, n: u8, page: u64, how: How, msg: &Msg) {
    let session = session(pair, vm(n), msg.session);
    let params: Vec<_> = msg.params.0.iter().enumerate().map(|(at, p)| parameter(pair, n, at, *p)).collect();
    let num_params = msg.count.unwrap_or(params.len() as u32);
    let header = MsgHeader { cmd: msg.cmd, func: msg.func, session, num_params, ..MsgHeader::default() };
    let bytes = [header.as_bytes(), params.as_bytes()].concat();
    let at = own(n, page);
    let client = vm(n).into();
    match how {
        How::Arg | How::RpcArg => {
            pair.poke(at, &bytes);
            let function = if matches!(how, How::Arg) { 0x3200_0004 } else { 0x3200_0012 };
            pair.smc([function, 0, at as u32, 0, 0, 0, 0, client]);
        }
        How::Registered(name, offset) => {
            let cookie = cookie(name);
            pair.poke_registered(vm(n), cookie, offset as usize, &bytes);
            pair.smc([0x3200_0013, (cookie >> 32) as u32, cookie as u32, offset, 0, 0, 0, client]);
        }
    }
}

fn resume(pair: &mut Pair, which: u8, by: Option<u8>, token: Token, reply: Reply) {
    let all = pair.suspensions();
    let nobody = Suspension { vm: vm(which), token: 0, exit: Exit::Interrupt, message: None };
    let call = all.get(usize::from(which) % all.len().max(1)).copied().unwrap_or(nobody);
    let n = VMS.iter().position(|vm| *vm == call.vm).unwrap_or(0) as u8;
    let token = match token {
        Token::Right => call.token,
        Token::Last => call.token.wrapping_sub(4),
        Token::Number(number) => number,
    };
    let client = by.map_or(call.vm, vm).into();
    let (a, b, c, d) = answer(pair, n, call, reply);
    pair.smc([0x3200_0003, a, b, token, c, d, 0, client]);
}

/// Prepares the answer to an RPC.
fn answer(pair: &mut Pair, n: u8, call: Suspension, reply: Reply) -> (u32, u32, u32, u32) {
    let rpc = match call.exit {
        Exit::Rpc([x0, ..]) => x0 & 0xFFFF,
        Exit::Interrupt => 4,
    };
    let give = |pa: u64, name: u64| ((pa >> 32) as u32, pa as u32, (name >> 32) as u32, name as u32);
    match (reply, rpc) {
        (Reply::Words(a, b, c, d), _) => return (a, b, c, d),
        (Reply::Gives(address, name), 0) => return give(address.get(), cookie(name)),
        (Reply::Obeys, 0) => return give(own(n, RPC), 0x1_0000_0077),
        _ => {}
    }
    let Some(at) = call.message.filter(|at| rpc == 5 && RAM.holds(*at, 64)) else { return (0, 0, 0, 0) };
    let header = MsgHeader::read_from_bytes(&pair.peek(at, 32)[..]).unwrap();
    let (ret, param) = match reply {
        Reply::Fails(ret) => (ret, None),
        Reply::Says(p) => (0, Some(parameter(pair, n, 3, p))),
        _ => (0, good(n, RpcCmd(header.cmd))),
    };
    pair.poke(at, MsgHeader { ret, ..header }.as_bytes());
    if let Some(param) = param {
        pair.poke(at + 32, param.as_bytes());
    }
    (0, 0, 0, 0)
}

/// What a good normal world puts in an RPC's first parameter.
fn good(n: u8, cmd: RpcCmd) -> Option<MsgParam> {
    match cmd {
        RpcCmd::SHM_ALLOC => {
            // Memory that nothing else is in: what follows the VMs' own pages.
            let buf_ptr = RAM.base + (VMS.len() as u64 * OWN) * PAGE + 16 * u64::from(n);
            Some(Param::Tmem { dir: Direction::Out, buf_ptr, size: 12288, shm_ref: 0x55, noncontig: false }.to_msg())
        }
        RpcCmd::GET_TIME => Some(Param::Value { dir: Direction::Out, value: [1_700_000_000, 123_456_789, 0] }.to_msg()),
        _ => None,
    }
}

const _: () = assert!(VMS.len() as u64 * OWN + 4 < 40 && RAM_PAGES > 44);

/// What happens to a TEE with so many pages.
#[derive(Clone)]
pub struct Sequence {
    pub pages: usize,
    pub steps: Vec<Step>,
}

impl Sequence {
    /// Plays it, and checks the end. Returns how many calls that took.
    pub fn play(&self) -> u64 {
        let mut pair = Pair::new(self.pages);
        self.steps.iter().for_each(|step| step.apply(&mut pair));
        pair.settle()
    }

    /// The scenario that does the same, as far as the probe can.
    pub fn scenario(&self, name: &str) -> String {
        let record = Rc::default();
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let mut pair = Pair::recorded(self.pages, Rc::clone(&record));
            self.steps.iter().for_each(|step| step.apply(&mut pair));
        }));
        let events = record.borrow();
        scenario(name, &events)
    }

    /// The same without the steps that do not matter.
    pub fn shorten(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut at = self.steps.len();
        while at > 0 {
            at -= 1;
            let mut shorter = self.clone();
            shorter.steps.remove(at);
            if fails(&shorter) {
                self = shorter;
            }
        }
        self
    }
}

/// As a test that can be kept, in `found.rs`.
impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "#[test]\nfn say_here_what_must_hold() {{\n    let steps = vec![")?;
        for step in &self.steps {
            writeln!(f, "        {step:?},")?;
        }
        write!(f, "    ];\n    Sequence {{ pages: {}, steps }}.play();\n}}", self.pages)
    }
}
