// SPDX-License-Identifier: MIT OR Apache-2.0
// The TEE's side of `world.rs`.

/// It answers the hypervisor's own questions at boot.
struct Boot {
    rpc_args: bool,
}

impl Conduit for Boot {
    fn call(&mut self, x: [u64; 8]) -> [u64; 4] {
        assert_eq!(x[7], 0);
        match FunctionId(x[0] as u32) {
            OPTEE_SMC_CALLS_UID => CALLS_UID.map(u64::from),
            OPTEE_SMC_GET_THREAD_COUNT => [0, THREADS as u64, 0, 0],
            OPTEE_SMC_EXCHANGE_CAPABILITIES if self.rpc_args => [0, 0x5E, 0, 4],
            OPTEE_SMC_EXCHANGE_CAPABILITIES => [0, 0x1E, 0, 0],
            _ => [0; 4],
        }
    }
}

struct Last {
    asked: bool,
    agreed: bool,
}

impl Conduit for Last {
    fn call(&mut self, x: [u64; 8]) -> [u64; 4] {
        assert_eq!(x, [u64::from(OPTEE_SMC_VM_DESTROYED.0), ID, 0, 0, 0, 0, 0, 0]);
        self.asked = true;
        [if self.agreed { 0 } else { 2 }, 0, 0, 0]
    }
}

struct Nobody;

impl Conduit for Nobody {
    fn call(&mut self, x: [u64; 8]) -> [u64; 4] {
        panic!("the TEE is asked after the VM's end: {x:x?}")
    }
}

impl Conduit for Question<'_> {
    fn call(&mut self, x: [u64; 8]) -> [u64; 4] {
        let world = self.world;
        world.ram.set_race(None);
        assert_eq!(x[7], ID, "whatever the guest put there");
        assert!(x.iter().all(|x| x >> 32 == 0), "{x:x?}");
        let function = FunctionId(x[0] as u32);
        if function.is_fast() {
            return self.fast(function, x);
        }
        let next = std::mem::replace(&mut self.next, Forecast::Open);
        if function == OPTEE_SMC_CALL_RETURN_FROM_RPC { self.resumed(x, next) } else { self.begun(x, next) }
        let depth = world.depth.get();
        if depth < DEEPEST {
            world.depth.set(depth + 1);
            for _ in 0..world.below(8).saturating_sub(5) {
                world.do_something();
            }
            world.depth.set(depth);
        }
        self.decide()
    }
}


impl Question<'_> {
    fn fast(&mut self, function: FunctionId, x: [u64; 8]) -> [u64; 4] {
        let world = self.world;
        assert!(matches!(self.next, Forecast::Resume(expected) if expected == x), "{:?}, but {x:x?}", self.next);
        let answer = [0, world.below(8), world.below(4), 0];
        let rpc_args = world.model.borrow().rpc_args;
        self.next = Forecast::Guest(match function {
            OPTEE_SMC_EXCHANGE_CAPABILITIES => {
                world.model.borrow_mut().buffers.values_mut().for_each(|buffer| buffer.earlier = true);
                let (caps, params) = if rpc_args { (0x56, 4) } else { (0x16, 0) };
                [0, caps & answer[1], 0, params]
            }
            OPTEE_SMC_DISABLE_SHM_CACHE => {
                // Not one in which a message waits for its answer.
                let cookie = answer[1] << 32 | answer[2];
                if world.is_awaited(cookie) {
                    self.next = Forecast::Guest([7, 0, 0, 0]);
                    return [7, 1, 2, 3];
                }
                world.rpc_memories.borrow_mut().retain(|memory| memory.cookie != cookie);
                answer
            }
            _ => answer,
        });
        answer
    }

    /// A new question: the message is one that the TEE may see, and what was expected.
    fn begun(&mut self, x: [u64; 8], next: Forecast) {
        let world = self.world;
        let behind = FunctionId(x[0] as u32) == OPTEE_SMC_CALL_WITH_RPC_ARG;
        assert!(behind || FunctionId(x[0] as u32) == OPTEE_SMC_CALL_WITH_ARG);
        assert_eq!(x[3..7], [1, 0, 0, 0]);
        let pa = x[1] << 32 | x[2];
        let header: MsgHeader = transmute!(world.read(pa));
        assert!(header.num_params <= 6);
        let params: Vec<MsgParam> =
            (0..u64::from(header.num_params)).map(|n| transmute!(world.read(pa + 32 + 32 * n))).collect();
        let lists: Vec<Option<Vec<u64>>> = params.iter().map(|param| self.seen(param, Cmd(header.cmd))).collect();
        if behind {
            let room = pa + 32 + 32 * u64::from(header.num_params);
            assert!((0..5).all(|n| world.read(room + 32 * n) == [0; 4]), "an earlier call's words stand behind it");
        }
        MESSAGE_OF.with_borrow_mut(|of| {
            of.retain(|(id, _)| *id != self.id);
            of.push((self.id, pa));
        });
        let reclaims = header.cmd == Cmd::UNREGISTER_SHM.0 && self.cmd == Cmd::REGISTER_SHM.0;
        match next {
            Forecast::Exactly(Expected::Message { header: expected, params: translated, behind: expected_behind }) => {
                assert_eq!((header, behind), (expected, expected_behind));
                assert_eq!(params.len(), translated.len());
                for ((param, list), expected) in params.iter().zip(&lists).zip(translated) {
                    match expected {
                        Translated::As(expected) => assert_eq!(*param, expected),
                        Translated::List(expected, pages) => {
                            assert_eq!((param.attr, param.b, param.c), (expected.attr, expected.b, expected.c));
                            assert_eq!(param.a % PAGE_SIZE, expected.a % PAGE_SIZE);
                            assert_eq!(list.as_deref(), Some(&in_machine(&pages)[..]));
                        }
                    }
                }
            }
            Forecast::Exactly(Expected::Reclaim) => {
                assert_eq!(header.cmd, Cmd::UNREGISTER_SHM.0);
                self.reclaims(params[0].c);
            }
            Forecast::Open => {
                let mut model = world.model.borrow_mut();
                if !model.calls.iter().any(|call| call.id == self.id) {
                    // What reached the TEE is what counts.
                    let call = Call {
                        id: self.id,
                        thread: None,
                        message: 0,
                        room: 0,
                        params: params.len() as u64,
                        behind,
                        effect: BufferChange::None,
                        lists: lists.iter().flatten().map(|pages| (pages.len() as u64).div_ceil(511)).sum(),
                        answer_lists: 0,
                        // It has been tried, if this is the guest's question once more.
                        reclaimed: self.cmd == 0,
                    };
                    model.calls.push(call);
                    if header.cmd == Cmd::REGISTER_SHM.0 {
                        let pages = lists[0].as_ref().expect("a list").iter().map(|pa| guests(*pa).unwrap()).collect();
                        let (offset, size) = (params[0].a % PAGE_SIZE, params[0].b);
                        let buffer = Buffer { known: Known::Registering, offset, size, pages, earlier: false };
                        assert!(model.buffers.insert(params[0].c, buffer).is_none(), "a cookie twice");
                        model.call(self.id).effect = BufferChange::Register(params[0].c);
                    }
                    if header.cmd == Cmd::UNREGISTER_SHM.0 && !reclaims {
                        model.call(self.id).effect = BufferChange::Unregister(params[0].c);
                    }
                    for param in &params {
                        if let Ok(Param::Rmem { shm_ref, .. }) = Param::parse(param)
                            && header.cmd != Cmd::UNREGISTER_SHM.0
                            && let Some(buffer) = model.buffers.get_mut(&shm_ref)
                        {
                            buffer.earlier = false;
                        }
                    }
                }
                drop(model);
                if reclaims {
                    self.reclaims(params[0].c);
                }
            }
            other => {
                let buffers = &world.model.borrow().buffers;
                panic!("{other:?}, but the TEE gets {header:?} {params:x?} {lists:x?}, and knows {buffers:x?}")
            }
        }
    }

    fn reclaims(&self, cookie: u64) {
        let mut model = self.world.model.borrow_mut();
        model.leaves(cookie);
        let call = model.call(self.id);
        (call.effect, call.lists, call.reclaimed) = (BufferChange::Reclaim(cookie), 0, true);
    }

    /// A parameter that the TEE sees: its pages, if it has some.
    fn seen(&self, param: &MsgParam, cmd: Cmd) -> Option<Vec<u64>> {
        let world = self.world;
        match Param::parse(param).expect("an attribute that is defined") {
            Param::Tmem { buf_ptr, size, noncontig, .. } if buf_ptr != 0 => {
                assert!(noncontig, "an address that is no list's");
                Some(world.pages(buf_ptr, size))
            }
            Param::Rmem { shm_ref, offs, size, .. } => {
                // Whether it knows what it is to forget, is the TEE's to say.
                if cmd != Cmd::UNREGISTER_SHM {
                    assert!(world.registered.borrow().contains(&shm_ref), "a buffer that the TEE does not know");
                    let model = world.model.borrow();
                    let there = model.buffers.get(&shm_ref).expect("a buffer");
                    assert!(offs.checked_add(size).is_some_and(|end| end <= there.size));
                }
                None
            }
            _ => None,
        }
    }

    fn resumed(&mut self, x: [u64; 8], next: Forecast) {
        let world = self.world;
        let Forecast::Resume(expected) = next else { panic!("{next:?}, but {x:x?}") };
        if expected[1] == u64::MAX {
            // Memory for RPC messages: a page of the shadow's that nobody else has.
            let pa = x[1] << 32 | x[2];
            world.shadow_page(pa);
            let mut memories = world.rpc_memories.borrow_mut();
            assert!(memories.iter().all(|memory| memory.pa != pa));
            memories.last_mut().expect("it was just given").pa = pa;
            assert_eq!(x[3..], expected[3..]);
        } else {
            assert_eq!(x, expected);
        }
        assert!(world.threads.borrow_mut().remove(&(x[3] as u32)), "a thread that is not suspended");
    }

    /// What the TEE does with it.
    fn decide(&mut self) -> [u64; 4] {
        let world = self.world;
        let effect = world.model.borrow_mut().call(self.id).effect;
        let choice = world.below(16);
        match choice {
            8..11 => self.suspend(|world| {
                let x = [Rpc::ForeignIntr.x0(), world.below(4), world.below(4)];
                (x, [x[0], 0, 0], Waiting::Resumption([x[1], x[2]]))
            }),
            11 => self.suspend(|world| {
                let size = world.of(&[160, 64, 32, 16, 0, 4096, 4097, 100]);
                ([Rpc::Alloc.x0(), size, 0], [Rpc::Alloc.x0(), size, 0], Waiting::Memory(size))
            }),
            12 if !matches!(effect, BufferChange::Reclaim(_)) => {
                let id = self.id;
                let cookie = world.cookie();
                if world.is_awaited(cookie) {
                    return self.over(0, TeeResult::SUCCESS);
                }
                self.suspend(move |world| {
                    let of_this_call = |memory: &RpcMemory| memory.call.is_none_or(|call| call == id);
                    let mine = |memory: &RpcMemory| memory.cookie == cookie && of_this_call(memory);
                    let mut memories = world.rpc_memories.borrow_mut();
                    memories.retain(|memory| !mine(memory));
                    let x = [Rpc::Free.x0(), 0, cookie];
                    (x, x, Waiting::Resumption([0, 0]))
                })
            }
            13 => self.suspend(|_| ([0xFFFF_0009, 5, 6], [0xFFFF_0009, 0, 0], Waiting::Resumption([0, 0]))),
            14 | 15 if !matches!(effect, BufferChange::Reclaim(_)) => self.ask_the_guest(),
            7 => self.over(world.of(&[1, 2, 4, 5, 6, 7]), TeeResult::GENERIC),
            _ => {
                let result = match world.below(8) {
                    0..5 => TeeResult::SUCCESS,
                    5 => TeeResult::OUT_OF_MEMORY,
                    6 => TeeResult::BUSY,
                    _ => TeeResult::BAD_PARAMETERS,
                };
                self.over(0, result)
            }
        }
    }

    fn suspend(&mut self, how: impl FnOnce(&World) -> ([u64; 3], [u64; 3], Waiting)) -> [u64; 4] {
        let world = self.world;
        let (x, shown, waiting) = how(world);
        let thread = (0..).find(|thread| !world.threads.borrow().contains(thread)).unwrap();
        world.threads.borrow_mut().insert(thread);
        world.model.borrow_mut().call(self.id).thread = Some(thread);
        world.wait(self.id, waiting);
        self.next = Forecast::Guest([shown[0], shown[1], shown[2], thread.into()]);
        [x[0], x[1], x[2], thread.into()]
    }

    /// An RPC with a message.
    fn ask_the_guest(&mut self) -> [u64; 4] {
        let world = self.world;
        let (behind, message) = {
            let mut model = world.model.borrow_mut();
            let call = model.call(self.id);
            (call.behind, call.message)
        };
        let memory = world.rpc_memories.borrow().iter().find(|memory| memory.pa != 0).copied();
        // In an open call nobody knows where the guest has its message.
        if (behind && message == 0) || (!behind && memory.is_none()) {
            return self.over(0, TeeResult::SUCCESS);
        }
        let memory = memory.filter(|_| !behind);
        let (ipa, pa) = world.rpc_message(self.id, memory.map(|memory| memory.cookie));
        let room = memory.map_or(4, |memory| memory.params);
        let kind = world.below(3);
        let cmd = match kind {
            0 => RpcCmd::SHM_ALLOC,
            1 => RpcCmd::SHM_FREE,
            _ => RpcCmd::NOTIFICATION,
        };
        let cookie = world.cookie();
        let first = match cmd {
            RpcCmd::SHM_ALLOC => Param::Value { dir: Direction::In, value: [0, world.below(0x2000), 8] }.to_msg(),
            RpcCmd::SHM_FREE => Param::Value { dir: Direction::In, value: [0, cookie, 0] }.to_msg(),
            _ => world.parameter(),
        };
        let count = room.min(1 + world.below(2));
        let params: Vec<MsgParam> = (0..count).map(|n| if n == 0 { first } else { world.parameter() }).collect();
        let header = MsgHeader { cmd: cmd.0, ret: 9, num_params: params.len() as u32, ..Default::default() };
        world.write(pa, transmute!(header));
        params.iter().enumerate().for_each(|(n, param)| world.write(pa + 32 + 32 * n as u64, transmute!(*param)));
        let asked = !params.is_empty();
        if cmd == RpcCmd::SHM_FREE && asked {
            let mut model = world.model.borrow_mut();
            if model.buffers.get(&first.b).is_some_and(|buffer| buffer.known == Known::Allocated) {
                model.buffers.remove(&first.b);
                world.registered.borrow_mut().remove(&first.b);
            }
        }
        let wanted = (cmd == RpcCmd::SHM_ALLOC && asked).then_some((first.a, first.b));
        let halves = |memory: RpcMemory| [memory.cookie >> 32, memory.cookie & 0xFFFF_FFFF];
        let named = memory.map_or([world.below(4), world.below(4)], halves);
        self.results = Some((ipa, shown_to_the_guest(header, &params)));
        self.suspend(move |_| {
            let x = [Rpc::Cmd.x0(), named[0], named[1]];
            (x, x, Waiting::Answer { memory: memory.map(|memory| memory.cookie), cookie: named, wanted })
        })
    }

    /// What the guest's message is to be: what the TEE said, in what it may say; everything else as it stands there.
    fn results(&self, message: u64, pa: u64, code: u64) -> (u64, Vec<[u64; 4]>) {
        let world = self.world;
        let params = world.model.borrow_mut().call(self.id).params;
        let own = |n| -> MsgParam { transmute!(world.ram.block(message + 32 + 32 * n)) };
        let said = |n| -> MsgParam { transmute!(world.read(pa + 32 + 32 * n)) };
        if code != 0 {
            return (message, (0..=params).map(|n| world.ram.block(message + 32 * n)).collect());
        }
        let header = MsgHeader { num_params: params as u32, ..transmute!(world.read(pa)) };
        let results = (0..params).map(|n| transmute!(answered(&own(n), &said(n), &said(n))));
        (message, std::iter::once(transmute!(header)).chain(results).collect())
    }

    /// The call is over.
    fn over(&mut self, code: u64, result: TeeResult) -> [u64; 4] {
        let world = self.world;
        // What memory for RPC messages it has, the TEE keeps for another call; that may be the next one for the same
        // guest's question.
        for memory in world.rpc_memories.borrow_mut().iter_mut().filter(|memory| memory.call == Some(self.id)) {
            memory.call = None;
        }
        let pa = world.message_of(self.id);
        let call = world.model.borrow_mut().call(self.id).clone();
        let mut header: MsgHeader = transmute!(world.read(pa));
        (header.ret, header.ret_origin, header.session) = (result.0, 3, 77);
        world.write(pa, transmute!(header));
        let params: Vec<MsgParam> = (0..call.params).map(|n| transmute!(world.read(pa + 32 + 32 * n))).collect();
        let output = |param: &MsgParam| MsgParam { a: param.a ^ 5, b: world.below(64), ..*param };
        let outputs: Vec<MsgParam> = params.iter().map(output).collect();
        let plain = !matches!(call.effect, BufferChange::Register(_) | BufferChange::Reclaim(_));
        if plain {
            outputs.iter().enumerate().for_each(|(n, param)| {
                if !matches!(Param::parse(param), Ok(Param::Tmem { .. } | Param::Rmem { .. })) || world.below(2) == 0 {
                    world.write(pa + 32 + 32 * n as u64, transmute!(*param));
                }
            });
        }
        if call.message != 0 && plain {
            self.results = Some(self.results(call.message, pa, code));
        }
        let ok = code == 0 && result == TeeResult::SUCCESS;
        let mut model = world.model.borrow_mut();
        let mut registered = world.registered.borrow_mut();
        self.next = match call.effect {
            BufferChange::Register(cookie) if ok => {
                registered.insert(cookie);
                model.buffers.get_mut(&cookie).expect("it is registering").known = Known::Registered;
                Forecast::Guest([code, 0, 0, 0])
            }
            BufferChange::Register(cookie) => {
                model.buffers.remove(&cookie);
                if code == 0 && result == TeeResult::OUT_OF_MEMORY && !call.reclaimed && model.has_earlier() {
                    model.call(self.id).lists = 0;
                    drop((model, registered));
                    self.next = Forecast::Exactly(Expected::Reclaim);
                    return [code, 0, 0, 0];
                }
                Forecast::Guest([code, 0, 0, 0])
            }
            BufferChange::Unregister(cookie) => {
                let known = model.buffers.get(&cookie).map(|buffer| buffer.known);
                if ok {
                    registered.remove(&cookie);
                    if matches!(known, Some(Known::Registered | Known::Allocated)) {
                        model.buffers.remove(&cookie);
                    }
                }
                Forecast::Guest([code, 0, 0, 0])
            }
            BufferChange::Reclaim(cookie) => {
                let left = model.buffers.get_mut(&cookie).filter(|buffer| buffer.known == Known::Leaving);
                match left {
                    Some(_) if ok => {
                        model.buffers.remove(&cookie);
                        registered.remove(&cookie);
                    }
                    Some(buffer) => {
                        buffer.known = Known::Registered;
                        buffer.earlier = code != 0;
                    }
                    None => {}
                }
                if code != 0 {
                    Forecast::Guest([code, 0, 0, 0])
                } else if model.has_earlier() {
                    drop((model, registered));
                    self.next = Forecast::Exactly(Expected::Reclaim);
                    return [0; 4];
                } else if call.message == 0 {
                    // Its message was changed while it was read: what comes of it now nobody can say.
                    model.end(self.id);
                    drop((model, registered));
                    // Nothing is reclaimed for it once more.
                    (self.next, self.cmd) = (Forecast::Open, 0);
                    return [0; 4];
                } else {
                    // The guest's own question, once more.
                    model.end(self.id);
                    let found = (call.message, call.room, call.behind);
                    let (expected, again) = model.begin(found, &world.ram, self.id, true);
                    model.calls.extend(again);
                    drop((model, registered));
                    self.next = Forecast::Exactly(expected);
                    return [0; 4];
                }
            }
            BufferChange::None => Forecast::Guest([code, 0, 0, 0]),
        };
        model.end(self.id);
        [code, 0, 0, 0]
    }
}

/// An RPC's message, as the guest sees it.
fn shown_to_the_guest(header: MsgHeader, params: &[MsgParam]) -> Vec<[u64; 4]> {
    let params = params.iter().map(|param| transmute!(shown(param)));
    std::iter::once(transmute!(header)).chain(params).collect()
}
