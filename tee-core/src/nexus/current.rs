// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tokens that a partition is selected: on a CPU's own stack, and on a thread's.
#![expect(unsafe_code, reason = "the one place where a partition becomes reachable")]

use super::space::Space;
use super::tee::Tee;
use super::vms::{Life, SlotIndex};
use crate::arch::{self, ThisCpu, ThisThread};
use crate::partition::Partition;
use crate::partition::threads::{Claimed, Resumed, Stopped, ThreadId};
use crate::trace::event;
use core::marker::PhantomData;
use shared_abi::client::VmId;
use shared_abi::optee_smc::ReturnCode;
use shared_abi::smccc::FunctionId;

/// VM `id`'s partition is mapped on this CPU for as long as the token lives, and it is the only way to reach it.
///
/// A CPU has one partition selected at a time:
///
/// ```compile_fail,E0499
/// # use tee_core::{arch::ThisCpu, nexus::tee::Tee};
/// # use shared_abi::client::VmId;
/// fn two(tee: &Tee, cpu: &mut ThisCpu, one: VmId, other: VmId) {
///     let first = tee.select(cpu, one);
///     let second = tee.select(cpu, other);
///     drop(first);
/// }
/// ```
///
/// Nothing of it is kept when it is left:
///
/// ```compile_fail,E0505
/// # use tee_core::{arch::ThisCpu, nexus::tee::Tee};
/// # use shared_abi::client::VmId;
/// fn keep(tee: &Tee, cpu: &mut ThisCpu, id: VmId) {
///     let Ok(current) = tee.select(cpu, id) else { return };
///     let block = current.partition().heap().allocate::<u8>(8);
///     current.leave();
///     drop(block);
/// }
/// ```
///
/// None is selected while one is made:
///
/// ```compile_fail,E0499
/// # use tee_core::{arch::ThisCpu, nexus::tee::Tee};
/// # use shared_abi::client::VmId;
/// fn within(tee: &Tee, cpu: &mut ThisCpu, one: VmId, other: VmId) {
///     let current = tee.select(cpu, one);
///     let _ = tee.create(cpu, other);
///     drop(current);
/// }
/// ```
///
/// And it stays on its CPU:
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<tee_core::nexus::current::Current<'_, '_>>();
/// ```
pub struct Current<'t, 'c> {
    tee: &'t Tee,
    slot: SlotIndex,
    cpu: PhantomData<&'c mut ThisCpu>,
}

/// No VM of this id can be entered: it is absent, or being destroyed.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAvailable;

/// Whether the VM still is when a CPU has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It exists; what was suspended can be resumed.
    Alive,
    /// It was destroyed in the meantime; calls of its that were suspended are dead.
    Destroyed,
}

impl Tee {
    /// Selects VM `id`'s partition.
    pub fn select<'c>(&self, cpu: &'c mut ThisCpu, id: VmId) -> Result<Current<'_, 'c>, NotAvailable> {
        self.enter::<false>(cpu, id)
    }

    /// Selects VM `id`'s partition for a yielding call: the first one initialises the partition's runtime.
    pub fn select_to_run<'c>(&self, cpu: &'c mut ThisCpu, id: VmId) -> Result<Current<'_, 'c>, NotAvailable> {
        self.enter::<true>(cpu, id)
    }

    fn enter<'c, const RUN: bool>(&self, _cpu: &'c mut ThisCpu, id: VmId) -> Result<Current<'_, 'c>, NotAvailable> {
        let entered = self.vms().with(id, |slot, state| {
            if !matches!(state.life, Life::Created | Life::Ready) {
                return None;
            }
            let space = &self.vms().slot(slot).space;
            // SAFETY: it is the slot's, built when the VM was created; it is not torn down while `inside` counts this
            // CPU. Who has this CPU's token has nothing else selected.
            unsafe { space.select(self.machine(), slot) };
            event!(id => PartitionSelect { slot });
            if RUN && state.life == Life::Created {
                // SAFETY: its heap's first memory is given away once: the VM is Ready then. A heap that takes none has
                // none, and its calls are told so.
                let _ = unsafe { (*Space::partition(self.machine())).start(Space::heap(self.machine())) };
                state.life = Life::Ready;
            }
            state.inside += 1;
            Some(Current { tee: self, slot, cpu: PhantomData })
        });
        entered.flatten().ok_or(NotAvailable)
    }
}

impl Current<'_, '_> {
    /// Gives the partition. Its brand is this borrow: what is of another selection was left before this one was made.
    pub fn partition(&self) -> &Partition<'_> {
        // SAFETY: the space is selected here; it is not torn down while `inside` counts this CPU.
        unsafe { &*Space::partition(self.tee.machine()) }
    }

    /// Starts a call on a thread of the partition, and returns when it is done or suspended.
    pub fn start<'s, W: Work>(&'s self, thread: Claimed<'s>, function: FunctionId, arguments: [u64; 3]) -> Stopped {
        let [a1, a2, a3] = arguments;
        let numbers = [self.slot.into(), thread.id() as u64, function.0.into(), a1, a2, a3];
        // SAFETY: by its brand the thread is this partition's, which is selected here. What the first function expects
        // is what it gets.
        unsafe { thread.start(self.tee.machine(), first::<W>, (&raw const *self.tee).cast(), numbers) }
    }

    /// Goes on with a suspended call of the partition, with what the normal world answers.
    pub fn go_on<'s>(&'s self, thread: Resumed<'s>, answer: [u64; 4]) -> Stopped {
        // SAFETY: as above.
        unsafe { thread.go_on(self.tee.machine(), answer) }
    }

    /// Leaves the partition. The last CPU to leave a destroyed VM reclaims it.
    pub fn leave(self) -> Departure {
        let departure = self.depart();
        core::mem::forget(self);
        departure
    }

    fn depart(&self) -> Departure {
        // SAFETY: what was borrowed from this token is not used any more.
        unsafe { Space::deselect(self.tee.machine()) };
        event!(PartitionLeave { slot: self.slot });
        let (life, last) = self.tee.vms().slot(self.slot).state.with(|state| {
            state.inside -= 1;
            let last = state.life == Life::Draining && state.inside == 0;
            let life = state.life;
            if last {
                state.life = Life::Building;
            }
            (life, last)
        });
        if last {
            self.tee.reclaim(self.slot);
        }
        if life == Life::Draining { Departure::Destroyed } else { Departure::Alive }
    }
}

impl Drop for Current<'_, '_> {
    fn drop(&mut self) {
        self.depart();
    }
}

/// What a thread does with its call.
pub trait Work {
    /// Does it, and says how it ended.
    fn run(inside: Inside<'_>, function: FunctionId, arguments: [u64; 3]) -> ReturnCode;
}

/// Runs as the first function on a thread's stack.
extern "C-unwind" fn first<W: Work>(
    tee: *const (),
    slot: u64,
    thread: u64,
    function: u64,
    a1: u64,
    a2: u64,
    a3: u64,
) -> ! {
    // SAFETY: `Current::start` gives it, and a TEE outlives its calls.
    let tee = unsafe { &*tee.cast::<Tee>() };
    // SAFETY: this is the thread's first function.
    let inside = unsafe { Inside::new(tee, slot as SlotIndex, thread as ThreadId) };
    let code = W::run(inside, FunctionId(function as u32), [a1, a2, a3]);
    // SAFETY: as above; what ran is over.
    unsafe { arch::finish(code as u64) }
}

/// What runs is a thread of a VM: its partition is selected whenever it does.
pub struct Inside<'p> {
    tee: &'p Tee,
    partition: &'p Partition<'p>,
    slot: SlotIndex,
    thread: ThreadId,
    here: ThisThread,
}

impl<'p> Inside<'p> {
    /// Says what a thread is inside.
    ///
    /// # Safety
    ///
    /// The caller must be the first function of this thread of the slot's VM. `'p` must be a lifetime of which it knows
    /// nothing else.
    unsafe fn new(tee: &'p Tee, slot: SlotIndex, thread: ThreadId) -> Self {
        // SAFETY: a thread runs only while its partition is selected.
        let partition = unsafe { &*Space::partition(tee.machine()) };
        // SAFETY: promised by the caller.
        Self { tee, partition, slot, thread, here: unsafe { ThisThread::new() } }
    }

    /// Suspends the thread with a question for the normal world; returns the answer.
    #[inline(always)]
    pub fn ask(&self, question: [u64; 3]) -> [u64; 4] {
        arch::suspend(&self.here, question)
    }

    /// Counts how often calls of the VM waited for a lock: of its own, and of those that all VMs share. The latter lets
    /// a VM count what it could also time: that another was at the shared tables in the same moment.
    pub fn lock_waits(&self) -> (u32, u32) {
        let (own, shared) = self.tee.vms().slot(self.slot).waits();
        (own.get().wrapping_add(self.partition.lock_waits()), shared.get())
    }

    /// Gives the TEE.
    #[inline(always)]
    pub fn tee(&self) -> &'p Tee {
        self.tee
    }

    /// Gives the VM's partition.
    #[inline(always)]
    pub fn partition(&self) -> &'p Partition<'p> {
        self.partition
    }

    /// Returns the VM's slot.
    pub fn slot(&self) -> SlotIndex {
        self.slot
    }

    /// Returns the thread's number.
    pub fn thread(&self) -> ThreadId {
        self.thread
    }
}
