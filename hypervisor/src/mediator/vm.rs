//! One VM's side of the mediator.

use crate::mediator::{GuestMemory, Mediator, Shadow, Tee};
use shared_abi::client::VmId;

/// What the TEE and one VM have to do with each other.
///
/// Locked inside, so that all vCPUs of the VM may call at once; the lock is not held while the TEE runs.
pub struct VmTee {
    tee: Mediator,
    id: VmId,
    shadow: &'static Shadow,
}

impl VmTee {
    pub(super) fn new(tee: Mediator, id: VmId, shadow: &'static Shadow) -> Self {
        Self { tee, id, shadow }
    }

    /// The VM's id in x7.
    pub fn id(&self) -> VmId {
        self.id
    }

    /// Serves one call of a vCPU to the trusted OS: x0 to x7 as the guest set them; x0 to x3 are the answer.
    ///
    /// Fast calls and yielding calls alike, SMC or HVC alike. It returns when the TEE has answered, wants something of the guest, or
    /// was interrupted; in both latter cases the guest comes back with `RETURN_FROM_RPC`.
    pub fn handle<M, T>(&self, regs: &mut [u64; 8], memory: &M, tee: &mut T)
    where
        M: GuestMemory + ?Sized,
        T: Tee + ?Sized,
    {
        let _ = (regs, memory, tee, self.tee, self.shadow);
    }

    /// Tells the TEE that the VM is gone (`VM_DESTROYED`), suspended calls and shared memory with it.
    ///
    /// No vCPU of the VM may be inside [`handle`](Self::handle) any more. Calls that come later answer ENOTAVAIL. Returns
    /// whether the TEE agreed; if it did not, it may still use the VM's memory.
    pub fn destroy<T: Tee + ?Sized>(&self, tee: &mut T) -> bool {
        let _ = tee;
        false
    }
}
