// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a VM has in the TEE.

use super::call::RpcMemory;
use super::heap::{Block, Heap};
use super::services::Service;
use shared_abi::pta::vault::MAX_ENTRIES;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use tee_core::partition::layout::THREADS;
use tee_core::partition::sessions::MAX_SESSIONS;

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Created,
    Ready,
    Draining,
}

/// Why a call stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Rpc([u64; 3]),
    Interrupt,
}

/// The way between a call and the CPU it runs on.
#[derive(Default)]
pub struct Signal {
    pub exit: Cell<Option<Exit>>,
    pub answer: Cell<[u64; 4]>,
    /// Address of the RPC's message.
    pub message: Cell<Option<u64>>,
}

impl Signal {
    /// Suspends the call; returns what it is resumed with.
    pub async fn suspend(&self, exit: Exit) -> [u64; 4] {
        self.exit.set(Some(exit));
        let mut asked = false;
        poll_fn(|_| match std::mem::replace(&mut asked, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        self.answer.get()
    }
}

/// A call under way.
pub struct Task {
    pub signal: Rc<Signal>,
    pub future: Pin<Box<dyn Future<Output = u64>>>,
}

pub enum Thread {
    Free,
    Running,
    Suspended { token: u32, exit: Exit, task: Task },
}

/// A suspended call, as who wants to resume it must know it.
#[derive(Clone, Copy, Debug)]
pub struct Suspension {
    pub vm: u16,
    pub token: u32,
    pub exit: Exit,
    /// Address of the RPC's message, if there ever was one.
    pub message: Option<u64>,
}

#[derive(Clone, Copy)]
pub struct Session {
    pub service: Service,
    pub users: u32,
    pub cancelled: bool,
}

/// A registered buffer.
pub struct Record {
    pub frames: Rc<[u32]>,
    pub block: Block,
    pub offset: usize,
    pub len: usize,
    pub users: u32,
}

/// A VM's partition.
pub struct Vm {
    pub life: Cell<Life>,
    pub inside: Cell<u32>,
    pub pages: Cell<usize>,
    pub threads: RefCell<[Thread; THREADS]>,
    pub sequence: Cell<u32>,
    pub sessions: RefCell<[(u32, Option<Session>); MAX_SESSIONS]>,
    pub shm: RefCell<BTreeMap<u64, Record>>,
    pub cache_on: Cell<bool>,
    pub cache: Cell<[Option<RpcMemory>; THREADS]>,
    pub heap: RefCell<Heap>,
    pub vault: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    pub vault_held: Cell<bool>,
    pub vault_waiters: Cell<u32>,
}

impl Vm {
    pub fn new(pages: usize) -> Self {
        Self {
            life: Cell::new(Life::Created),
            inside: Cell::new(0),
            pages: Cell::new(pages),
            threads: RefCell::new([const { Thread::Free }; THREADS]),
            sequence: Cell::new(0),
            sessions: RefCell::new([(0, None); MAX_SESSIONS]),
            shm: RefCell::default(),
            cache_on: Cell::new(false),
            cache: Cell::new([None; THREADS]),
            heap: RefCell::default(),
            vault: RefCell::default(),
            vault_held: Cell::new(false),
            vault_waiters: Cell::new(0),
        }
    }

    pub fn idle(&self) -> bool {
        self.threads.borrow().iter().all(|thread| matches!(thread, Thread::Free))
    }

    /// Runs `f` on an open session.
    pub fn session<R>(&self, id: u32, f: impl FnOnce(&mut Session) -> R) -> Option<R> {
        let mut sessions = self.sessions.borrow_mut();
        let (used, session) = &mut sessions[id as usize % MAX_SESSIONS];
        if *used != id / MAX_SESSIONS as u32 {
            return None;
        }
        session.as_mut().map(f)
    }

    pub fn open_session(&self, service: Service) -> Option<u32> {
        let mut sessions = self.sessions.borrow_mut();
        let place = sessions.iter().position(|(_, session)| session.is_none())?;
        let (used, session) = &mut sessions[place];
        *used = if *used == u32::from(u16::MAX) { 1 } else { *used + 1 };
        *session = Some(Session { service, users: 0, cancelled: false });
        Some(*used * MAX_SESSIONS as u32 + place as u32)
    }

    /// The open sessions: id and service.
    pub fn open_sessions(&self) -> Vec<(u32, Service)> {
        let sessions = self.sessions.borrow();
        let id = |place: usize, used: u32| used * MAX_SESSIONS as u32 + place as u32;
        let open = sessions.iter().enumerate();
        open.filter_map(|(place, (used, session))| session.map(|session| (id(place, *used), session.service))).collect()
    }

    /// Puts a secret, if there is room.
    pub fn put(&self, name: Vec<u8>, value: Vec<u8>) -> bool {
        let mut vault = self.vault.borrow_mut();
        let room = vault.contains_key(&name) || vault.len() < MAX_ENTRIES;
        if room {
            vault.insert(name, value);
        }
        room
    }
}
