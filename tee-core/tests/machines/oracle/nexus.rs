// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model: VMs, fast calls, the beginning and end of yielding ones, and the machine below.

use super::call::Call;
use super::vm::{Exit, Life, Signal, Suspension, Task, Thread, Vm};
use shared_abi::layout::Range;
use shared_abi::optee_smc::{self as smc, to_halves};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tee_core::arch::host::ram::Ram;
use tee_core::nexus::vms::MAX_VMS;
use tee_core::partition::layout::{GUARANTEED, HEAP, HEAP_PAGES, QUOTA, THREADS};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Pages of the machine's memory.
pub const RAM_PAGES: u64 = 48;
/// The machine's memory.
pub const RAM: Range = Range::new(0x4000_0000, RAM_PAGES * PAGE);
/// A part of it that is not said to be RAM.
pub const HOLE: Range = Range::new(RAM.base + 40 * PAGE, 4 * PAGE);
/// What is said to be RAM.
pub const NS_RAM: [Range; 2] =
    [Range::new(RAM.base, 40 * PAGE), Range::new(HOLE.base + HOLE.size, (RAM_PAGES - 44) * PAGE)];

const OK: u64 = 0;
const ETHREAD_LIMIT: u64 = 1;
const EBUSY: u64 = 2;
const ERESUME: u64 = 3;
const ENOTAVAIL: u64 = 7;
const UNKNOWN: u64 = u64::MAX;

/// What another CPU of the normal world does in the middle of a call.
#[derive(Clone, Debug)]
pub enum Meddling {
    Write {
        pa: u64,
        bytes: Vec<u8>,
    },
    /// A fast call.
    Smc([u64; 8]),
}

/// The model.
pub struct World {
    pub ram: RefCell<Ram>,
    accesses: Cell<usize>,
    interrupt_at: Cell<usize>,
    meddling: RefCell<Option<(usize, Meddling)>>,
    /// What the fast call of the other CPU was answered.
    pub aside: Cell<Option<[u64; 4]>>,
    pub has_random: Cell<bool>,
    /// Of the fake machine's random numbers and clock.
    state: Cell<u64>,
    pub free: Cell<usize>,
    pub vms: RefCell<BTreeMap<u16, Rc<Vm>>>,
}

const fn only(code: u64) -> [u64; 4] {
    [code, 0, 0, 0]
}

impl World {
    pub fn new(pages: usize) -> Self {
        Self {
            ram: RefCell::new(Ram::new(RAM)),
            accesses: Cell::new(0),
            interrupt_at: Cell::new(usize::MAX),
            meddling: RefCell::new(None),
            aside: Cell::new(None),
            has_random: Cell::new(false),
            state: Cell::new(1),
            free: Cell::new(pages),
            vms: RefCell::default(),
        }
    }

    pub fn poke(&self, pa: u64, bytes: &[u8]) {
        self.ram.borrow_mut().write(pa, bytes);
    }

    pub fn peek(&self, pa: u64, len: usize) -> Vec<u8> {
        self.ram.borrow().bytes(pa, len).to_vec()
    }

    /// A foreign interrupt comes at the `n`th access from now.
    pub fn interrupt_after(&self, n: usize) {
        self.interrupt_at.set(self.accesses.get() + n);
    }

    /// Accesses so far.
    pub fn accesses(&self) -> usize {
        self.accesses.get()
    }

    /// Nobody meddles any more.
    pub fn forget_meddling(&self) {
        self.meddling.replace(None);
    }

    /// Another CPU meddles before the `n`th access from now.
    pub fn meddle_after(&self, n: usize, what: Meddling) {
        self.meddling.replace(Some((self.accesses.get() + n, what)));
    }

    /// An access of a call to non-secure RAM is about to happen.
    pub async fn touch(&self, signal: &Signal) {
        let n = self.accesses.get();
        self.accesses.set(n + 1);
        if n >= self.interrupt_at.get() {
            self.interrupt_at.set(usize::MAX);
            signal.suspend(Exit::Interrupt).await;
        }
        let due = self.meddling.borrow_mut().take_if(|(at, _)| n >= *at);
        match due {
            Some((_, Meddling::Write { pa, bytes })) => self.poke(pa, &bytes),
            Some((_, Meddling::Smc(x))) => self.aside.set(Some(self.fast(&x))),
            None => {}
        }
    }

    /// The fake machine's random numbers.
    pub fn random(&self) -> Option<u64> {
        let state = self.state.get();
        self.state.set(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        self.has_random.get().then_some(mixed ^ (mixed >> 27))
    }

    /// The fake machine's clock, in milliseconds.
    pub fn uptime(&self) -> u64 {
        let state = self.state.get();
        self.state.set(state.wrapping_add(1));
        state & 0xFFFF
    }

    /// Whether all of it is in one piece of RAM.
    pub fn claims(&self, pa: u64, len: u64) -> bool {
        NS_RAM.iter().any(|ram| pa >= ram.base && pa.checked_add(len).is_some_and(|end| end <= ram.base + ram.size))
    }

    pub fn smc(self: &Rc<Self>, x: &[u64; 8]) -> [u64; 4] {
        if x[0] & 0x8000_0000 != 0 { self.fast(x) } else { self.yielding(x) }
    }

    fn vm(&self, id: u64) -> Option<Rc<Vm>> {
        let vms = self.vms.borrow();
        let vm = vms.get(&u16::try_from(id).ok()?)?;
        (vm.life.get() != Life::Draining).then(|| vm.clone())
    }

    fn fast(&self, x: &[u64; 8]) -> [u64; 4] {
        let vm = self.vm(x[7]);
        let known = [
            0xBF00_FF00..=0xBF00_FF01,
            0xBF00_FF03..=0xBF00_FF03,
            0xB200_0000..=0xB200_0001,
            0xB200_0009..=0xB200_000F,
        ];
        if x[7] != 0 && vm.is_none() && known.iter().any(|ids| ids.contains(&x[0])) {
            return only(ENOTAVAIL);
        }
        match x[0] {
            0xBF00_FF00 => only(16),
            0xBF00_FF01 => smc::CALLS_UID.map(u64::from),
            0xBF00_FF03 => [2, 0, 0, 0],
            0xB200_0000 => smc::OS_UUID.map(u64::from),
            0xB200_0001 => {
                let mut version = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap());
                [version.next().unwrap(), version.next().unwrap(), version.next().unwrap(), 0]
            }
            0xB200_0009 if x[1] & !1 != 0 => only(ENOTAVAIL),
            0xB200_0009 => [OK, 0b101_1110, 0, 4],
            0xB200_000A => vm.map_or(only(ENOTAVAIL), |vm| Self::disable_cache(&vm)),
            0xB200_000B => match vm {
                None => only(ENOTAVAIL),
                Some(vm) if !vm.idle() => only(EBUSY),
                Some(vm) => {
                    vm.cache_on.set(true);
                    only(OK)
                }
            },
            0xB200_000C => only(ENOTAVAIL),
            0xB200_000D => only(if x[7] == 0 && self.create(x[1]) { OK } else { ENOTAVAIL }),
            0xB200_000E => only(if x[7] == 0 && self.destroy(x[1]) { OK } else { ENOTAVAIL }),
            0xB200_000F => [OK, THREADS as u64, 0, 0],
            _ => [UNKNOWN, x[1], x[2], x[3]],
        }
    }

    fn disable_cache(vm: &Vm) -> [u64; 4] {
        if !vm.idle() {
            return only(EBUSY);
        }
        let mut cache = vm.cache.get();
        let kept = cache.iter_mut().find_map(Option::take);
        vm.cache.set(cache);
        match kept {
            Some(memory) => {
                let (high, low) = to_halves(memory.cookie);
                [OK, high, low, 0]
            }
            None => {
                vm.cache_on.set(false);
                only(ENOTAVAIL)
            }
        }
    }

    fn create(&self, id: u64) -> bool {
        let Some(id) = u16::try_from(id).ok().filter(|id| *id != 0) else { return false };
        let mut vms = self.vms.borrow_mut();
        if vms.contains_key(&id) || vms.len() >= MAX_VMS || self.free.get() < GUARANTEED {
            return false;
        }
        self.free.set(self.free.get() - GUARANTEED);
        vms.insert(id, Rc::new(Vm::new(GUARANTEED)));
        true
    }

    fn destroy(&self, id: u64) -> bool {
        let Some(vm) = self.vm(id) else { return false };
        vm.life.set(Life::Draining);
        if vm.inside.get() == 0 {
            self.reclaim(id as u16);
        }
        true
    }

    fn reclaim(&self, id: u16) {
        let Some(vm) = self.vms.borrow_mut().remove(&id) else { return };
        self.free.set(self.free.get() + vm.pages.get());
        let dead = vm.threads.replace([const { Thread::Free }; THREADS]);
        drop(dead);
    }

    /// Adds pages to a VM's heap: whether quota and pool allow it.
    pub fn grow(&self, vm: &Vm, pages: usize) -> bool {
        let before = vm.pages.get();
        if before + pages > QUOTA || self.free.get() < pages {
            return false;
        }
        self.free.set(self.free.get() - pages);
        vm.pages.set(before + pages);
        let page = HEAP + HEAP_PAGES + before - GUARANTEED;
        vm.heap.borrow_mut().add(page * PAGE as usize, pages * PAGE as usize);
        true
    }

    fn yielding(self: &Rc<Self>, x: &[u64; 8]) -> [u64; 4] {
        if !matches!(x[0], 0x3200_0003 | 0x3200_0004 | 0x3200_0012 | 0x3200_0013) && self.vm(x[7]).is_none() {
            return [UNKNOWN, x[1], x[2], x[3]];
        }
        let Some(vm) = self.vm(x[7]) else { return only(ENOTAVAIL) };
        let id = x[7] as u16;
        if vm.life.replace(Life::Ready) == Life::Created {
            vm.heap.borrow_mut().add(HEAP * PAGE as usize, HEAP_PAGES * PAGE as usize);
        }
        let (thread, task) = match x[0] {
            0x3200_0003 => {
                let token = x[3] as u32;
                let thread = token as usize % THREADS;
                let mut threads = vm.threads.borrow_mut();
                if !matches!(threads[thread], Thread::Suspended { token: expected, .. } if expected == token) {
                    return only(ERESUME);
                }
                let Thread::Suspended { task, .. } = std::mem::replace(&mut threads[thread], Thread::Running) else {
                    unreachable!()
                };
                task.signal.answer.set([x[1], x[2], x[4], x[5]]);
                (thread, task)
            }
            function @ (0x3200_0004 | 0x3200_0012 | 0x3200_0013) => {
                let mut threads = vm.threads.borrow_mut();
                let Some(thread) = threads.iter().position(|thread| matches!(thread, Thread::Free)) else {
                    return only(ETHREAD_LIMIT);
                };
                threads[thread] = Thread::Running;
                let signal = Rc::new(Signal::default());
                let call = Call::new(self.clone(), vm.clone(), thread, signal.clone());
                (thread, Task { signal, future: Box::pin(call.run(function, [x[1], x[2], x[3]])) })
            }
            _ => return [UNKNOWN, x[1], x[2], x[3]],
        };
        self.go_on(id, &vm, thread, task)
    }

    fn go_on(&self, id: u16, vm: &Vm, thread: usize, mut task: Task) -> [u64; 4] {
        vm.inside.set(vm.inside.get() + 1);
        let end = task.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        vm.inside.set(vm.inside.get() - 1);
        let (answer, next) = match end {
            Poll::Ready(code) => (only(code), Thread::Free),
            Poll::Pending => {
                vm.sequence.set(vm.sequence.get().wrapping_add(1));
                let token = vm.sequence.get().wrapping_mul(THREADS as u32) | thread as u32;
                let exit = task.signal.exit.take().expect("a call that waits said for what");
                let [rpc, a, b] = match exit {
                    Exit::Rpc(rpc) => rpc,
                    Exit::Interrupt => [0xFFFF_0004, 0, 0],
                };
                ([rpc, a, b, token.into()], Thread::Suspended { token, exit, task })
            }
        };
        let suspended = matches!(next, Thread::Suspended { .. });
        vm.threads.borrow_mut()[thread] = next;
        let destroyed = vm.life.get() == Life::Draining;
        if destroyed && vm.inside.get() == 0 {
            self.reclaim(id);
        }
        if destroyed && suspended { only(ENOTAVAIL) } else { answer }
    }

    /// The calls that are suspended.
    pub fn suspensions(&self) -> Vec<Suspension> {
        let mut all = Vec::new();
        for (id, vm) in self.vms.borrow().iter() {
            for thread in vm.threads.borrow().iter() {
                if let Thread::Suspended { token, exit, task } = thread {
                    let message = task.signal.message.get();
                    all.push(Suspension { vm: *id, token: *token, exit: *exit, message });
                }
            }
        }
        all
    }
}
