// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a mediator does.

use super::conduit::Conduit;
use crate::memory::GuestMemory;
use core::fmt::Display;
use shared_abi::client::VmId;
use shared_abi::layout::Range;

/// A trusted OS that takes VMs, and how a VM comes to it.
pub trait Mediator: Sized {
    /// What it keeps for one VM.
    type Mediation;
    /// Memory that the trusted OS uses on behalf of one VM instead of the VM's own.
    type Shadow;
    /// Why there is none, or none for VMs.
    type Absence: Display;
    /// Why it does not take a VM.
    type Refusal: Display;

    /// What each VM takes of the heap.
    const HEAP: usize;

    /// The SPI by which a VM hears of its notifications.
    const NOTIFICATION_SPI: u32;

    /// Looks for it, at boot. VMs have no notifications of it before they are [let through](Self::let_notify).
    fn probe<C: Conduit + ?Sized>(conduit: &mut C) -> Result<Self, Self::Absence>;

    /// Says whether it would notify VMs.
    fn can_notify(&self) -> bool;

    /// Lets VMs have its notifications, if there are any: whoever says this passes its interrupt on.
    fn let_notify(self) -> Self;

    /// Says whether VMs have its notifications.
    fn notifies(&self) -> bool;

    /// Says whether a VM wants to be notified.
    fn wants_notifications(vm: &Self::Mediation) -> bool;

    /// Takes shadow memory for a VM, if there is some.
    fn take_shadow() -> Option<&'static Self::Shadow>;

    /// Says where that is.
    fn place(shadow: &Self::Shadow) -> Range;

    /// Tells it that a VM is made. `shadow` must be this VM's alone.
    fn vm_made<C: Conduit + ?Sized>(
        &self,
        id: VmId,
        shadow: &'static Self::Shadow,
        conduit: &mut C,
    ) -> Result<Self::Mediation, Self::Refusal>;

    /// Tells it that the VM is gone, of which no vCPU is in a [call](Self::call) any more. Whether it has let go of the
    /// VM: if not, it may still use the VM's memory, and the shadow.
    fn vm_gone<C: Conduit + ?Sized>(vm: &Self::Mediation, conduit: &mut C) -> bool;

    /// Gives a VM's shadow memory back. The trusted OS has [let go](Self::vm_gone) of the VM, or never knew it.
    fn relinquish(shadow: &'static Self::Shadow);

    /// Serves one call of a vCPU to the trusted OS (SMCCC owners 50 to 63, by SMC or HVC): x0 to x7 as the guest set
    /// them; x0 to x3 are the answer. All vCPUs of the VM may call at once.
    fn call<M: GuestMemory + ?Sized, C: Conduit + ?Sized>(
        vm: &Self::Mediation,
        regs: &mut [u64; 8],
        memory: &M,
        conduit: &mut C,
    );
}
