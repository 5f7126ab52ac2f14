// SPDX-License-Identifier: MIT OR Apache-2.0
//! One VM's side of the mediator: what it may call, and the order of things.

use crate::lock::{self, Counted};
use crate::memory::GuestMemory;
use crate::tee::conduit::Conduit;
use crate::tee::mediator::Mediator;
use crate::tee::optee::state::{Forward, State};
use crate::tee::optee::{Optee, Shadow};
use crate::trace::{Client, refusal, refuse};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use shared_abi::client::VmId;
use shared_abi::optee_smc::*;
use shared_abi::smccc::{FunctionId, NOT_SUPPORTED, in_x0};
use shared_abi::trace::Refusal;
use spin::mutex::SpinMutex;

/// What the TEE and one VM have to do with each other.
///
/// Locked inside, so that all vCPUs of the VM may call at once; the lock is not held while the TEE runs. Another VM's
/// calls share nothing with this one's.
pub struct Mediation {
    tee: Optee,
    id: VmId,
    /// It has enabled notifications.
    notified: Arc<AtomicBool>,
    state: SpinMutex<State, Counted<{ lock::TEE }>>,
}

impl Mediation {
    pub(super) fn new(tee: Optee, id: VmId, shadow: &'static Shadow) -> Option<Self> {
        let notified = Arc::new(AtomicBool::new(false));
        let state = SpinMutex::new(State::new(tee, id, shadow, Arc::clone(&notified))?);
        Some(Self { tee, id, notified, state })
    }

    /// Returns the VM's id in x7.
    pub fn id(&self) -> VmId {
        self.id
    }

    /// Returns how many pages the TEE may write to at any time, because the VM registered them.
    pub fn pinned_pages(&self) -> usize {
        self.state.lock().pinned_pages()
    }

    /// Says whether the VM has enabled notifications.
    pub(super) fn wants_notifications(&self) -> bool {
        self.notified.load(Ordering::SeqCst)
    }

    /// Serves one call of a vCPU to the trusted OS: x0 to x7 as the guest set them; x0 to x3 are the answer.
    ///
    /// It returns when the TEE has answered, wants something of the guest, or was interrupted; in both latter cases the
    /// guest comes back with `RETURN_FROM_RPC`.
    pub(super) fn call<M, T>(&self, regs: &mut [u64; 8], memory: &M, tee: &mut T)
    where
        M: GuestMemory + ?Sized,
        T: Conduit + ?Sized,
    {
        // The whole ABI is SMC32: bits 63:32 are not part of any argument (SMCCC 1.4 §3.1).
        let function = FunctionId(regs[0] as u32);
        let [x0, x1, x2, x3] = match function {
            OPTEE_SMC_CALLS_COUNT
            | OPTEE_SMC_CALLS_UID
            | OPTEE_SMC_CALLS_REVISION
            | OPTEE_SMC_CALL_GET_OS_UUID
            | OPTEE_SMC_CALL_GET_OS_REVISION
            | OPTEE_SMC_ENABLE_SHM_CACHE => self.ask(function, 0, tee),
            OPTEE_SMC_CALL_WITH_ARG | OPTEE_SMC_CALL_RETURN_FROM_RPC => self.yielding(regs, memory, tee),
            OPTEE_SMC_CALL_WITH_RPC_ARG | OPTEE_SMC_CALL_WITH_REGD_ARG if self.tee.rpc_params != 0 => {
                self.yielding(regs, memory, tee)
            }
            OPTEE_SMC_GET_THREAD_COUNT => [ReturnCode::Ok as u64, self.tee.threads as u64, 0, 0],
            OPTEE_SMC_EXCHANGE_CAPABILITIES => self.exchange_capabilities(regs[1], tee),
            OPTEE_SMC_DISABLE_SHM_CACHE => self.disable_shm_cache(tee),
            _ => self.other(function, tee),
        };
        regs[..4].copy_from_slice(&[x0, x1, x2, x3]);
    }

    /// Tells the TEE that the VM is gone (`VM_DESTROYED`), suspended calls and shared memory with it.
    ///
    /// No vCPU of the VM may be inside [`call`](Self::call) any more. Yielding calls that come later answer
    /// ENOTAVAIL. Returns whether the TEE agreed; if it did not, it may still use the VM's memory and its
    /// [`Shadow`].
    pub(super) fn gone<T: Conduit + ?Sized>(&self, tee: &mut T) -> bool {
        self.state.lock().close();
        self.notified.store(false, Ordering::SeqCst);
        let function = u64::from(OPTEE_SMC_VM_DESTROYED.0);
        let [x0, ..] = tee.call([function, u64::from(self.id.get()), 0, 0, 0, 0, 0, 0]);
        let gone = ReturnCode::from_x0(x0) == Some(ReturnCode::Ok);
        if gone {
            self.state.lock().forget();
        }
        gone
    }

    /// Serves a function that not every TEE has, or refuses it: apart, so that the way of the others is not longer.
    #[cold]
    fn other<T: Conduit + ?Sized>(&self, function: FunctionId, tee: &mut T) -> [u64; 4] {
        match function {
            OPTEE_SMC_ENABLE_ASYNC_NOTIF if self.tee.notifies() => self.enable_notifications(tee),
            OPTEE_SMC_GET_ASYNC_NOTIF_VALUE if self.tee.notifies() => self.notification(tee),
            _ => refuse(Client::of(self.id), no_function(function), function.0.into(), [in_x0(NOT_SUPPORTED), 0, 0, 0]),
        }
    }

    /// Makes a fast call of this VM.
    fn ask<T: Conduit + ?Sized>(&self, function: FunctionId, x1: u64, tee: &mut T) -> [u64; 4] {
        tee.call([u64::from(function.0), x1, 0, 0, 0, 0, 0, u64::from(self.id.get())])
    }

    fn exchange_capabilities<T: Conduit + ?Sized>(&self, x1: u64, tee: &mut T) -> [u64; 4] {
        let caps = x1 & u64::from(NSEC_CAP_UNIPROCESSOR);
        let [x0, offered, greatest, _] = self.ask(OPTEE_SMC_EXCHANGE_CAPABILITIES, caps, tee);
        match ReturnCode::from_x0(x0) {
            Some(ReturnCode::Ok) => {
                // A driver asks this once, before anything else that leaves a trace.
                self.state.lock().begin_anew();
                let caps = SecureCaps::from_bits_truncate(offered as u32) & self.tee.caps;
                let greatest = if caps.contains(SecureCaps::ASYNC_NOTIF) { greatest } else { 0 };
                [x0, u64::from(caps.bits()), greatest, self.tee.rpc_params as u64]
            }
            _ => [x0, 0, 0, 0],
        }
    }

    /// Asks the TEE for one memory for RPC messages that it kept, for the guest to free.
    fn disable_shm_cache<T: Conduit + ?Sized>(&self, tee: &mut T) -> [u64; 4] {
        let [x0, high, low, _] = self.ask(OPTEE_SMC_DISABLE_SHM_CACHE, 0, tee);
        match ReturnCode::from_x0(x0) {
            Some(ReturnCode::Ok) => {
                self.state.lock().rpc_memory_freed(from_halves(high, low), None);
                [x0, high, low, 0]
            }
            _ => [x0, 0, 0, 0],
        }
    }

    /// Has the TEE notify the VM, which is told of it from then on.
    fn enable_notifications<T: Conduit + ?Sized>(&self, tee: &mut T) -> [u64; 4] {
        // Before the TEE knows: it may have something to say at once.
        self.notified.store(true, Ordering::SeqCst);
        let [x0, ..] = self.ask(OPTEE_SMC_ENABLE_ASYNC_NOTIF, 0, tee);
        if ReturnCode::from_x0(x0) != Some(ReturnCode::Ok) {
            self.notified.store(false, Ordering::SeqCst);
        }
        [x0, 0, 0, 0]
    }

    /// Asks the TEE for one of the VM's notifications: its value, and whether there was one and is another.
    fn notification<T: Conduit + ?Sized>(&self, tee: &mut T) -> [u64; 4] {
        let [x0, value, which, _] = self.ask(OPTEE_SMC_GET_ASYNC_NOTIF_VALUE, 0, tee);
        match ReturnCode::from_x0(x0) {
            Some(ReturnCode::Ok) => [x0, value, which, 0],
            _ => [x0, 0, 0, 0],
        }
    }

    fn yielding<M, T>(&self, regs: &[u64; 8], memory: &M, tee: &mut T) -> [u64; 4]
    where
        M: GuestMemory + ?Sized,
        T: Conduit + ?Sized,
    {
        let args = regs.map(|x| x & 0xFFFF_FFFF);
        let (call, mut next) = match self.state.lock().enter(&args, memory) {
            Ok(entered) => entered,
            Err(code) => {
                refusal::yielding(Client::of(self.id), code, &args);
                return [code as u64, 0, 0, 0];
            }
        };
        loop {
            match next {
                Forward::Guest(answer) => return answer,
                Forward::Tee(question) => {
                    let answer = tee.call(question);
                    next = self.state.lock().returned(call, answer, memory);
                }
            }
        }
    }
}

/// Says why a function is not served.
fn no_function(function: FunctionId) -> Refusal {
    match function {
        OPTEE_SMC_VM_CREATED | OPTEE_SMC_VM_DESTROYED => Refusal::NotForCaller,
        _ => Refusal::UnknownFunction,
    }
}
