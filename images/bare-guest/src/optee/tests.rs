// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client and the story against a small TEE in Rust.

use super::*;
use crate::optee::call::{header, param, set_header, set_param};
use crate::story::{Terminal, tell};
use shared_abi::optee_msg::{Cmd, Direction, MsgHeader, MsgParam, Param, RpcCmd, uuid_of};
use shared_abi::optee_smc::*;
use shared_abi::pta::{device, rng, vault};
use std::collections::BTreeMap;

/// An RPC that the TEE makes before it answers: with what, and what must come back.
type Rpc = fn(&mut FakeTee, Option<[u32; 7]>) -> [u32; 4];

/// A TEE with a vault and a list of one device.
struct FakeTee {
    pages: &'static [Page; PAGES],
    caps: SecureCaps,
    rpc_params: u32,
    /// Pages of the registered buffer, in its order.
    buffer: Vec<u64>,
    secrets: BTreeMap<Vec<u8>, Vec<u8>>,
    functions: Vec<FunctionId>,
    /// The message under way, and the RPCs that come before its answer.
    message: Option<&'static Page>,
    rpcs: Vec<Rpc>,
    busy: u32,
    slept: u64,
}

impl FakeTee {
    fn new() -> Self {
        let pages = Box::leak(Box::new([const { Page::new() }; PAGES]));
        Self {
            pages,
            caps: SecureCaps::DYNAMIC_SHM | SecureCaps::RPC_ARG,
            rpc_params: 4,
            buffer: Vec::new(),
            secrets: BTreeMap::new(),
            functions: Vec::new(),
            message: None,
            rpcs: Vec::new(),
            busy: 0,
            slept: 0,
        }
    }

    fn page(&self, address: u64) -> &'static Page {
        self.pages.iter().find(|page| page.address() == address).expect("the address of a page of the client")
    }

    /// The word where an RPC's message stands behind the message under way.
    fn behind(&self) -> usize {
        4 + 4 * header(self.message.unwrap(), 0).num_params as usize
    }

    fn ask(&self, page: &Page, at: usize, cmd: RpcCmd, value: [u64; 3]) {
        set_header(page, at, MsgHeader { cmd: cmd.0, ret: 0xBAD, num_params: 1, ..Default::default() });
        set_param(page, at, 0, Param::Value { dir: Direction::In, value }.to_msg());
    }

    fn bytes(&self, param: MsgParam) -> Vec<u8> {
        let Ok(Param::Rmem { offs, size, .. }) = Param::parse(&param) else { panic!("{param:?}") };
        let mut bytes = vec![0; (size as usize).next_multiple_of(8)];
        self.page(self.buffer[offs as usize / 4096]).read(offs as usize % 4096, &mut bytes);
        bytes.truncate(size as usize);
        bytes
    }

    /// Puts bytes out by the n-th parameter.
    fn put(&self, message: &Page, n: usize, bytes: &[u8]) -> TeeResult {
        let at = param(message, 0, n);
        let (room, offs) = match Param::parse(&at).unwrap() {
            Param::Rmem { dir: Direction::Out, offs, size, .. } => (size, offs as usize),
            Param::Tmem { dir: Direction::Out, buf_ptr: 0, .. } => (0, 0),
            other => panic!("{other:?}"),
        };
        set_param(message, 0, n, MsgParam { b: bytes.len() as u64, ..at });
        if room < bytes.len() as u64 {
            return TeeResult::SHORT_BUFFER;
        }
        self.page(self.buffer[offs / 4096]).write(offs % 4096, bytes);
        TeeResult::SUCCESS
    }

    fn serve(&mut self, message: &'static Page) {
        let request = header(message, 0);
        let param = |n| param(message, 0, n);
        let mut session = request.session;
        let ret = match Cmd(request.cmd) {
            Cmd::REGISTER_SHM => {
                let list = self.page(param(0).a);
                assert_eq!((param(0).attr, param(0).b), (0x20a, 3 * 4096));
                self.buffer = (0..3).map(|n| list.word(n)).collect();
                TeeResult::SUCCESS
            }
            Cmd::UNREGISTER_SHM => {
                self.buffer.clear();
                TeeResult::SUCCESS
            }
            Cmd::OPEN_SESSION => match uuid_of(&param(0)) {
                device::UUID => {
                    session = 1;
                    TeeResult::SUCCESS
                }
                vault::UUID => {
                    session = 2;
                    TeeResult::SUCCESS
                }
                _ => TeeResult::ITEM_NOT_FOUND,
            },
            Cmd::CLOSE_SESSION => TeeResult::SUCCESS,
            Cmd::INVOKE_COMMAND => match (session, request.func) {
                (1, device::CMD_GET_DEVICES) => self.put(message, 0, rng::UUID.as_bytes()),
                (2, vault::CMD_PUT) => {
                    self.secrets.insert(self.bytes(param(0)), self.bytes(param(1)));
                    TeeResult::SUCCESS
                }
                (2, vault::CMD_GET) => match self.secrets.get(&self.bytes(param(0))) {
                    Some(secret) => self.put(message, 1, secret),
                    None => TeeResult::ITEM_NOT_FOUND,
                },
                (2, vault::CMD_DELETE) => match self.secrets.remove(&self.bytes(param(0))) {
                    Some(_) => TeeResult::SUCCESS,
                    None => TeeResult::ITEM_NOT_FOUND,
                },
                other => panic!("{other:?}"),
            },
            other => panic!("{other}"),
        };
        set_header(message, 0, MsgHeader { ret: ret.0, ret_origin: 4, session, ..request });
    }

    /// Goes on: the next RPC, or the end.
    fn go_on(&mut self, answer: Option<[u32; 7]>) -> [u32; 4] {
        if let Some(rpc) = (!self.rpcs.is_empty()).then(|| self.rpcs.remove(0)) {
            return rpc(self, answer);
        }
        let message = self.message.take().expect("a call is under way");
        self.serve(message);
        [0; 4]
    }
}

impl World for &mut FakeTee {
    fn call(&mut self, function: FunctionId, args: [u32; 7]) -> [u32; 4] {
        self.functions.push(function);
        let address = from_halves(args[0].into(), args[1].into());
        match function {
            OPTEE_SMC_CALLS_UID => CALLS_UID,
            OPTEE_SMC_CALL_GET_OS_REVISION => [1, 0, 0, 0],
            OPTEE_SMC_CALLS_REVISION => [2, 0, 0, 0],
            OPTEE_SMC_GET_THREAD_COUNT => [0, 4, 0, 0],
            OPTEE_SMC_EXCHANGE_CAPABILITIES => [0, self.caps.bits(), 0, self.rpc_params],
            OPTEE_SMC_DISABLE_SHM_CACHE => [7, 0, 0, 0],
            OPTEE_SMC_CALL_RETURN_FROM_RPC => self.go_on(Some(args)),
            _ if self.busy > 0 => {
                self.busy -= 1;
                [1, 0, 0, 0]
            }
            OPTEE_SMC_CALL_WITH_ARG | OPTEE_SMC_CALL_WITH_RPC_ARG => {
                self.message = Some(self.page(address));
                self.go_on(None)
            }
            OPTEE_SMC_CALL_WITH_REGD_ARG => {
                assert_eq!((address, args[2]), (1, 0));
                self.message = Some(self.page(self.buffer[0]));
                self.go_on(None)
            }
            other => panic!("{other}"),
        }
    }

    fn sleep(&mut self, ms: u64) {
        self.slept += ms;
    }

    fn read(&mut self, address: u64) -> u32 {
        address as u32
    }
}

#[derive(Default)]
struct Screen {
    text: String,
    lines_awaited: u32,
}

impl fmt::Write for Screen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        Ok(())
    }
}

impl Terminal for Screen {
    fn wait_line(&mut self) {
        self.lines_awaited += 1;
    }
}

/// What the guest says with this TEE and this command line, after the lines about the TEE, and how much went wrong.
fn story(tee: &mut FakeTee, bootargs: &str) -> (String, usize) {
    let mut screen = Screen::default();
    let pages = tee.pages;
    let failures = tell(&mut screen, tee, pages, bootargs);
    let from = screen.text.find("vault:").unwrap_or(0);
    (screen.text.split_off(from), failures)
}

#[test]
fn the_default_story_ends_well_and_says_what_the_tee_answered() {
    let mut tee = FakeTee::new();
    let mut screen = Screen::default();
    let pages = tee.pages;
    assert_eq!(tell(&mut screen, &mut tee, pages, ""), 0);
    let expected = "\
        optee: revision 1.0, API 2.0, 4 threads, 4 RPC parameters, DYNAMIC_SHM RPC_ARG\n\
        optee: registered 12288 bytes in pages out of order\n\
        devices: 1\n\
        devices: ab7a617c-b8e7-4d8f-8301-d09b61036b64\n\
        vault: opened\n\
        vault: put 'greeting' ok\n\
        vault: get 'greeting' -> 'hello-from-bare-metal'\n\
        vault: get 'somebody-elses' -> not found\n\
        vault: delete 'greeting' ok\n\
        vault: get 'greeting' -> not found\n\
        vault: closed\n";
    assert_eq!(screen.text, expected);
    assert!(tee.buffer.is_empty(), "unregistered in the end");
    let messages = |id| tee.functions.iter().filter(|function| **function == id).count();
    assert_eq!(messages(OPTEE_SMC_CALL_WITH_RPC_ARG), 2, "to register and to unregister");
    assert!(messages(OPTEE_SMC_CALL_WITH_REGD_ARG) > 5);
}

#[test]
fn the_buffers_pages_are_listed_out_of_order() {
    let mut tee = FakeTee::new();
    let pages = tee.pages;
    Client::probe(&mut tee, pages).unwrap().register().unwrap();
    assert!(!tee.buffer.is_sorted());
}

#[test]
fn what_goes_wrong_is_said_and_counted() {
    let (text, failures) = story(
        &mut FakeTee::new(),
        "vault.put=a:1 vault.expect=a:2 vault.expect=b:1 vault.expect-missing=a vault.delete=b sing vault.get=a",
    );
    assert_eq!(failures, 5);
    let expected = "\
        vault: opened\n\
        vault: put 'a' ok\n\
        vault: FAILED: get 'a': the TEE returned something else\n\
        vault: FAILED: get 'b': TEE_ERROR_ITEM_NOT_FOUND (origin 0)\n\
        vault: FAILED: get 'a': the TEE returned a secret\n\
        vault: FAILED: delete 'b': TEE_ERROR_ITEM_NOT_FOUND (origin 4)\n\
        bare-guest: FAILED: 'sing' is no step\n\
        vault: get 'a' -> '1'\n\
        vault: closed\n";
    assert_eq!(text, expected);
}

#[test]
fn waiting_and_printing_are_steps() {
    let mut tee = FakeTee::new();
    let mut screen = Screen::default();
    let pages = tee.pages;
    assert_eq!(tell(&mut screen, &mut tee, pages, "print=ready wait-line wait-ms=30 read=0x40"), 0);
    assert!(screen.text.contains("\nready\nread: 0x40 -> 0x40\n"));
    assert_eq!((screen.lines_awaited, tee.slept), (1, 30));
}

#[test]
fn a_busy_tee_is_asked_again() {
    let mut tee = FakeTee { busy: 3, ..FakeTee::new() };
    let pages = tee.pages;
    Client::probe(&mut tee, pages).unwrap().register().unwrap();
    assert_eq!(tee.slept, 3);
}

#[test]
fn an_interrupt_is_answered_by_resuming() {
    let mut tee = FakeTee::new();
    tee.rpcs = vec![|_, _| [0xFFFF_0004, 1, 2, 3], |_, answer| {
        assert_eq!(answer.unwrap()[..3], [1, 2, 3]);
        [0xFFFF_0004, 0, 0, 3]
    }];
    let pages = tee.pages;
    Client::probe(&mut tee, pages).unwrap().register().unwrap();
    assert!(tee.rpcs.is_empty());
}

#[test]
fn memory_is_given_and_taken_back() {
    let mut tee = FakeTee::new();
    tee.rpcs = vec![
        |tee, _| {
            tee.ask(tee.message.unwrap(), tee.behind(), RpcCmd::SHM_ALLOC, [1, 4096, 8]);
            [0xFFFF_0005, 0, 0, 3]
        },
        |tee, _| {
            let (message, at) = (tee.message.unwrap(), tee.behind());
            assert_eq!(header(message, at).ret, 0);
            let given = param(message, at, 0);
            assert_eq!((given.attr, given.b), (0x20a, 4096));
            assert_eq!(tee.page(given.a).word(0), given.c);
            tee.ask(message, at, RpcCmd::SHM_FREE, [1, given.c, 0]);
            [0xFFFF_0005, 0, 0, 3]
        },
        |tee, _| {
            let (message, at) = (tee.message.unwrap(), tee.behind());
            assert_eq!(header(message, at).ret, 0);
            tee.ask(message, at, RpcCmd::SHM_ALLOC, [1, 4097, 8]);
            [0xFFFF_0005, 0, 0, 3]
        },
        |tee, _| {
            let (message, at) = (tee.message.unwrap(), tee.behind());
            assert_eq!(header(message, at).ret, TeeResult::OUT_OF_MEMORY.0);
            tee.ask(message, at, RpcCmd::LOAD_TA, [0; 3]);
            [0xFFFF_0005, 0, 0, 3]
        },
        |tee, _| {
            assert_eq!(header(tee.message.unwrap(), tee.behind()).ret, TeeResult::NOT_SUPPORTED.0);
            [0xFFFF_0004, 0, 0, 3]
        },
    ];
    let pages = tee.pages;
    let mut client = Client::probe(&mut tee, pages).unwrap();
    client.register().unwrap();
    assert_eq!(client.pool, 0);
}

#[test]
fn without_room_behind_the_message_the_tee_asks_for_memory_first() {
    let mut tee = FakeTee { caps: SecureCaps::DYNAMIC_SHM, rpc_params: 0, ..FakeTee::new() };
    tee.rpcs = vec![
        |_, _| [0xFFFF_0000, 160, 0, 3],
        |tee, answer| {
            let [high, low, thread, cookie_high, cookie_low, ..] = answer.unwrap();
            assert_eq!((high, low, thread), (cookie_high, cookie_low, 3));
            let page = tee.page(from_halves(high.into(), low.into()));
            tee.ask(page, 0, RpcCmd::NOTIFICATION, [1, 5, 0]);
            [0xFFFF_0005, high, low, 3]
        },
        |tee, answer| {
            let [high, low, ..] = answer.unwrap();
            let page = tee.page(from_halves(high.into(), low.into()));
            assert_eq!(header(page, 0).ret, 0);
            tee.ask(page, 0, RpcCmd::NOTIFICATION, [0, 5, 0]);
            [0xFFFF_0005, high, low, 3]
        },
        |tee, answer| {
            let [high, low, ..] = answer.unwrap();
            assert_eq!(header(tee.page(from_halves(high.into(), low.into())), 0).ret, 0, "it was sent before");
            [0xFFFF_0002, high, low, 3]
        },
    ];
    let pages = tee.pages;
    let mut client = Client::probe(&mut tee, pages).unwrap();
    client.register().unwrap();
    assert_eq!((client.pool, client.notified), (0, 0));
    assert_eq!(story(&mut tee, "").1, 0);
    assert!(!tee.functions.contains(&OPTEE_SMC_CALL_WITH_RPC_ARG));
}

#[test]
fn who_is_no_tee_is_named() {
    struct Deaf;
    impl World for Deaf {
        fn call(&mut self, _: FunctionId, _: [u32; 7]) -> [u32; 4] {
            [u32::MAX, 0, 0, 0]
        }
        fn sleep(&mut self, _: u64) {}
        fn read(&mut self, _: u64) -> u32 {
            0
        }
    }
    let pages: &'static [Page; PAGES] = Box::leak(Box::new([const { Page::new() }; PAGES]));
    let mut screen = Screen::default();
    assert_eq!(tell(&mut screen, Deaf, pages, ""), 1);
    assert_eq!(screen.text, "optee: FAILED: no OP-TEE answers, but 0xffffffff\n");
    let mut tee = FakeTee { caps: SecureCaps::HAVE_RESERVED_SHM, ..FakeTee::new() };
    assert!(matches!(Client::probe(&mut tee, pages), Err(NotOpTee::NoDynamicMemory)));
}
