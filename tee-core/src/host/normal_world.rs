// SPDX-License-Identifier: MIT OR Apache-2.0
//! A normal world for tests: writes messages into the fake machine's RAM, makes calls, and answers RPCs as Linux does.

use super::monitor;
use crate::mode::Mode;
use crate::nexus::tee::Tee;
use shared_abi::layout::{self, Range};
use shared_abi::optee_msg::{
    Cmd, Direction, MsgHeader, MsgParam, PAGE_SIZE, PageList, Param, RpcCmd, arg_size, uuid_to_value,
};
use shared_abi::optee_smc::{self as smc, ReturnCode, Rpc, from_halves, to_halves};
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;
use std::sync::Arc;
use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

/// The machine's non-secure RAM.
pub const RAM: Range = Range::new(0x4000_0000, 16 << 20);
/// Bytes of the TEE's image, which the pool leaves out.
const IMAGE: u64 = 384 << 10;

/// The normal world with its TEE.
pub struct NormalWorld {
    /// The TEE.
    pub tee: Arc<Tee>,
}

/// Returns where a VM's memory starts, of which it uses up to 64 KiB: the message in the first page, the RPC's in the
/// second.
pub fn memory(vm: u16) -> u64 {
    RAM.base + 0x10_0000 + u64::from(vm % 64) * 0x1_0000
}

/// Returns where a VM's data buffers start.
pub fn data(vm: u16) -> u64 {
    memory(vm) + 0x4000
}

/// How a call ended, or stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// x0 to x3.
    pub x: [u64; 4],
    /// The message's header afterwards.
    pub header: MsgHeader,
}

impl Outcome {
    /// Returns the message's result, if the call itself succeeded.
    pub fn result(&self) -> TeeResult {
        assert_eq!(self.x, [ReturnCode::Ok as u64, 0, 0, 0]);
        TeeResult(self.header.ret)
    }

    /// Returns the RPC the call is suspended in.
    pub fn rpc(&self) -> Option<Rpc> {
        Rpc::from_x0(self.x[0])
    }
}

impl NormalWorld {
    /// Boots a machine.
    pub fn new() -> Self {
        let pages = Range::new(layout::TEE.base + IMAGE, layout::TEE.size - IMAGE);
        Self { tee: monitor::boot(RAM, &[RAM], pages) }
    }

    /// Boots a machine whose TEE serves one, client 0.
    pub fn single() -> Self {
        let pages = Range::new(layout::TEE.base + IMAGE, layout::TEE.size - IMAGE);
        let tee = monitor::boot_as(Mode::Single, RAM, &[RAM], pages);
        Self { tee: tee.expect("memory for one partition") }
    }

    /// Boots a machine with these VMs.
    pub fn with_vms(vms: &[u16]) -> Self {
        let world = Self::new();
        for vm in vms {
            assert_eq!(world.create((*vm).into()), [0; 4]);
        }
        world
    }

    /// Makes a call with x1 to x3, by `client`.
    pub fn smc(&self, function: FunctionId, x: [u64; 3], client: u64) -> [u64; 4] {
        self.tee.smc(&[function.0.into(), x[0], x[1], x[2], 0, 0, 0, client])
    }

    /// Makes the call VM_CREATED as the hypervisor.
    pub fn create(&self, id: u64) -> [u64; 4] {
        self.smc(smc::OPTEE_SMC_VM_CREATED, [id, 0, 0], 0)
    }

    /// Makes the call VM_DESTROYED as the hypervisor.
    pub fn destroy(&self, id: u64) -> [u64; 4] {
        self.smc(smc::OPTEE_SMC_VM_DESTROYED, [id, 0, 0], 0)
    }

    /// Writes a value.
    pub fn put<T: IntoBytes + zerocopy::Immutable>(&self, pa: u64, value: &T) {
        self.tee.machine().poke(pa, value.as_bytes());
    }

    /// Reads a value.
    pub fn get<T: FromBytes>(&self, pa: u64) -> T {
        T::read_from_bytes(&self.tee.machine().peek(pa, size_of::<T>())).expect("as many bytes as the type has")
    }

    /// Writes a message.
    pub fn message(&self, pa: u64, cmd: Cmd, func: u32, session: u32, params: &[MsgParam]) {
        let num_params = params.len() as u32;
        self.put(pa, &MsgHeader { cmd: cmd.0, func, session, num_params, ..MsgHeader::default() });
        for (n, param) in params.iter().enumerate() {
            self.put(pa + arg_size(n) as u64, param);
        }
    }

    /// Reads parameter `n` of the VM's message.
    pub fn param(&self, vm: u16, n: usize) -> MsgParam {
        self.get(memory(vm) + arg_size(n) as u64)
    }

    /// Calls with the message in the VM's memory. Returns at the end, or at the first RPC.
    pub fn begin(&self, vm: u16, cmd: Cmd, func: u32, session: u32, params: &[MsgParam]) -> Outcome {
        self.message(memory(vm), cmd, func, session, params);
        self.call_at(vm, memory(vm))
    }

    /// Calls with the message at `pa`, whatever it says.
    pub fn call_at(&self, vm: u16, pa: u64) -> Outcome {
        let (high, low) = to_halves(pa);
        self.outcome(vm, self.smc(smc::OPTEE_SMC_CALL_WITH_ARG, [high, low, 0], vm.into()))
    }

    /// Goes on with the call that stopped in `at`, with x1, x2, x4 and x5.
    pub fn resume(&self, vm: u16, at: &Outcome, [x1, x2, x4, x5]: [u64; 4]) -> Outcome {
        let function = smc::OPTEE_SMC_CALL_RETURN_FROM_RPC.0.into();
        self.outcome(vm, self.tee.smc(&[function, x1, x2, at.x[3], x4, x5, 0, vm.into()]))
    }

    fn outcome(&self, vm: u16, x: [u64; 4]) -> Outcome {
        Outcome { x, header: self.get(memory(vm)) }
    }

    /// Calls, and answers every RPC.
    pub fn call(&self, vm: u16, cmd: Cmd, func: u32, session: u32, params: &[MsgParam]) -> Outcome {
        let mut at = self.begin(vm, cmd, func, session, params);
        for _ in 0..100 {
            if at.rpc().is_none() {
                return at;
            }
            at = self.answer(vm, &at);
        }
        panic!("a call that never ends");
    }

    /// Answers the RPC that a call stopped in.
    pub fn answer(&self, vm: u16, at: &Outcome) -> Outcome {
        let rpc_message = memory(vm) + PAGE_SIZE as u64;
        let answer = match at.rpc() {
            Some(Rpc::Alloc) => {
                let (high, low) = to_halves(rpc_message);
                [high, low, 0, 0xA110C]
            }
            Some(Rpc::Cmd) => {
                let pa = if from_halves(at.x[1], at.x[2]) == 0 {
                    memory(vm) + arg_size(at.header.num_params as usize) as u64
                } else {
                    rpc_message
                };
                self.obey(vm, pa);
                [0; 4]
            }
            _ => [0; 4],
        };
        self.resume(vm, at, answer)
    }

    /// Does what an RPC's message asks for.
    fn obey(&self, vm: u16, pa: u64) {
        let mut header: MsgHeader = self.get(pa);
        let param_at = pa + arg_size(0) as u64;
        let param: MsgParam = self.get(param_at);
        let answer = match RpcCmd(header.cmd) {
            RpcCmd::GET_TIME => Param::Value { dir: Direction::Out, value: [1234, 567_000_000, 0] }.to_msg(),
            RpcCmd::SHM_ALLOC => {
                // A list of pages, the later ones first.
                let pages = 0..param.b.div_ceil(PAGE_SIZE as u64);
                let list: Vec<u64> = pages.rev().map(|n| memory(vm) + 0x8000 + n * PAGE_SIZE as u64).collect();
                let buf_ptr = self.page_list(memory(vm) + 0x7000, &list);
                Param::Tmem { dir: Direction::Out, buf_ptr, size: param.b, shm_ref: 0x5115, noncontig: true }.to_msg()
            }
            _ => param,
        };
        header.ret = TeeResult::SUCCESS.0;
        self.put(pa, &header);
        self.put(param_at, &answer);
    }

    /// Writes a list of pages to consecutive pages from `pa`; returns `pa`.
    pub fn page_list(&self, pa: u64, pages: &[u64]) -> u64 {
        for (n, part) in pages.chunks(PageList::ENTRIES).enumerate() {
            let at = pa + (n * PAGE_SIZE) as u64;
            let mut list = PageList { pages: [0; PageList::ENTRIES], next: at + PAGE_SIZE as u64 };
            list.pages[..part.len()].copy_from_slice(part);
            self.put(at, &list);
        }
        pa
    }

    /// Registers pages under a cookie.
    pub fn register(&self, vm: u16, cookie: u64, pages: &[u64], size: u64) -> TeeResult {
        let buf_ptr = self.page_list(memory(vm) + 0x2000, pages);
        let param = Param::Tmem { dir: Direction::Out, buf_ptr, size, shm_ref: cookie, noncontig: true };
        self.call(vm, Cmd::REGISTER_SHM, 0, 0, &[param.to_msg()]).result()
    }

    /// Ends the registration of a cookie.
    pub fn unregister(&self, vm: u16, cookie: u64) -> TeeResult {
        let param = Param::Rmem { dir: Direction::In, offs: 0, size: 0, shm_ref: cookie };
        self.call(vm, Cmd::UNREGISTER_SHM, 0, 0, &[param.to_msg()]).result()
    }

    /// Opens a session.
    pub fn open(&self, vm: u16, uuid: &Uuid) -> Result<u32, TeeResult> {
        let outcome = self.call(vm, Cmd::OPEN_SESSION, 0, 0, &meta(uuid));
        outcome.result().ok().map(|()| outcome.header.session)
    }

    /// Calls a session's function.
    pub fn invoke(&self, vm: u16, session: u32, func: u32, params: &[MsgParam]) -> TeeResult {
        self.call(vm, Cmd::INVOKE_COMMAND, func, session, params).result()
    }
}

/// Makes OPEN_SESSION's own parameters.
pub fn meta(uuid: &Uuid) -> [MsgParam; 2] {
    let (a, b) = uuid_to_value(uuid);
    [[a, b, 0], [0; 3]].map(|value| Param::Value { dir: Direction::In, value }.to_msg().meta())
}

/// Makes a reference to memory that follows itself.
pub fn tmem(dir: Direction, buf_ptr: u64, size: u64) -> MsgParam {
    Param::Tmem { dir, buf_ptr, size, shm_ref: 0, noncontig: false }.to_msg()
}

/// Makes a reference to registered memory.
pub fn rmem(dir: Direction, shm_ref: u64, offs: u64, size: u64) -> MsgParam {
    Param::Rmem { dir, offs, size, shm_ref }.to_msg()
}
