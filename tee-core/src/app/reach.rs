// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an application may touch while it answers.

use crate::arch::Machine;
use crate::call::Call;
use crate::call::rpc::Shm;
use crate::heap::{Figures, OwnedBlock};
use crate::msg::params::Memref;
use crate::partition::mutex::{Guard, ReadGuard};
use crate::partition::rivals::{Numbers, Rivals};
use crate::partition::secrets::Secrets;
use crate::partition::sessions::SessionId;
use core::time::Duration;
use shared_abi::layout::Range;
use shared_abi::tee::TeeResult;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// The caller's memory as the parameters name it, its partition's stores, the machine's random numbers and time, and
/// what the normal world can be asked for.
#[derive(Clone, Copy)]
pub struct Reach<'c, 'p> {
    call: &'c Call<'c, 'p>,
    /// Names none before it is open, and none after it is closed.
    session: SessionId,
}

impl<'c, 'p> Reach<'c, 'p> {
    /// Says what is in reach of a call that is in this session.
    #[inline(always)]
    pub fn new(call: &'c Call<'c, 'p>, session: SessionId) -> Self {
        Self { call, session }
    }

    /// Says what is in reach of a call that opens or closes a session.
    #[inline(always)]
    pub fn outside(call: &'c Call<'c, 'p>) -> Self {
        Self { call, session: SessionId::NONE }
    }

    /// Says whether the normal world asked the session's calls to end. What takes long looks from time to time.
    pub fn is_cancelled(self) -> bool {
        self.call.partition().sessions().is_cancelled(self.session)
    }

    /// Copies a buffer's bytes from offset `at` on into the TEE.
    pub fn read(self, from: &Memref<'_>, at: usize, into: &mut [u8]) -> Result<(), TeeResult> {
        from.read(self.call.tee(), at, into)
    }

    /// Copies bytes to offset `at` of a buffer.
    pub fn write(self, to: &Memref<'_>, at: usize, bytes: &[u8]) -> Result<(), TeeResult> {
        to.write(self.call.tee(), at, bytes)
    }

    /// Allocates `len` zeroes from the partition's heap.
    pub fn allocate<T: FromZeros>(self, len: usize) -> Result<OwnedBlock<'p, T>, TeeResult> {
        self.call.allocate(len)
    }

    /// Gives the figures of the partition's heap.
    pub fn heap_figures(self) -> Figures {
        self.call.partition().heap().figures()
    }

    /// Starts the peaks among them anew.
    pub fn reset_heap_peaks(self) {
        self.call.partition().heap().reset_peaks();
    }

    /// Counts how often calls of the VM waited: for its own locks, and for those that all VMs share.
    pub fn lock_waits(self) -> (u32, u32) {
        self.call.lock_waits()
    }

    /// Takes the VM's secrets, for as long as the guard lives.
    pub fn secrets(self) -> Result<Guard<'c, Secrets, Call<'c, 'p>>, TeeResult> {
        self.call.partition().secrets().lock(self.call)
    }

    /// Gives what the VM's calls compete for in the self-test.
    pub fn rivals(self) -> &'p Rivals {
        self.call.partition().rivals()
    }

    /// Takes their numbers, to change them alone.
    pub fn compete(self) -> Result<Guard<'c, Numbers, Call<'c, 'p>>, TeeResult> {
        self.rivals().numbers.lock(self.call)
    }

    /// Takes their numbers, to look at them with others.
    pub fn watch(self) -> Result<ReadGuard<'c, Numbers, Call<'c, 'p>>, TeeResult> {
        self.rivals().numbers.read(self.call)
    }

    /// Gives the machine, to be asked what it has.
    pub(super) fn machine(self) -> &'p Machine {
        self.call.tee().machine()
    }

    /// Lists what the TEE took for non-secure RAM at boot.
    pub fn ns_ram(self) -> &'p [Range] {
        self.call.tee().ns_ram().ranges()
    }

    /// Says whether all these bytes can be shared with the TEE.
    pub fn can_be_shared(self, pa: u64, len: u64) -> bool {
        self.call.tee().claim(pa, len).is_some()
    }

    /// Gives a random number; `None` if the CPU has none ready.
    pub fn random(self) -> Option<u64> {
        self.call.tee().machine().random()
    }

    /// Gives the time since the machine started.
    pub fn uptime(self) -> Duration {
        self.call.tee().machine().uptime()
    }

    /// Asks for the normal world's time of day, as it says.
    pub fn time_of_day(self) -> Result<Duration, TeeResult> {
        self.call.time_of_day()
    }

    /// Asks the normal world for `size` bytes of its kernel's memory.
    pub fn allocate_shm(self, size: usize) -> Result<Shm<'p>, TeeResult> {
        self.call.allocate_shm(size)
    }

    /// Gives such memory back.
    pub fn free_shm(self, shm: Shm<'_>) -> Result<(), TeeResult> {
        self.call.free_shm(shm)
    }

    /// Writes a value to offset `at` of such memory.
    pub fn put<T: IntoBytes + Immutable>(self, shm: &Shm<'_>, at: usize, value: &T) -> Result<(), TeeResult> {
        shm.buffer().put(self.call.tee(), at, value).map_err(|_| TeeResult::COMMUNICATION)
    }

    /// Copies a value from offset `at` of such memory.
    pub fn get<T: FromBytes + IntoBytes>(self, shm: &Shm<'_>, at: usize) -> Result<T, TeeResult> {
        let copy = shm.buffer().allege(at).and_then(|value| value.copy_out(self.call.tee()));
        copy.map_err(|_| TeeResult::COMMUNICATION)
    }
}
