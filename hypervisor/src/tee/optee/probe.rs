// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is there a TEE that takes VMs, what can it do, and what may the rest of the hypervisor ask of it?

use crate::device::is_spare;
use crate::memory::GuestMemory;
use crate::tee::conduit::Conduit;
use crate::tee::mediator::Mediator;
use crate::tee::optee::buffer::Buffers;
use crate::tee::optee::call::MAX_CALLS;
use crate::tee::optee::message::MAX_RPC_PARAMS;
use crate::tee::optee::{Mediation, Shadow};
use crate::vgic::SPIS;
use core::fmt;
use shared_abi::client::VmId;
use shared_abi::layout::Range;
use shared_abi::optee_smc::{
    CALLS_UID, OPTEE_SMC_CALLS_UID, OPTEE_SMC_EXCHANGE_CAPABILITIES, OPTEE_SMC_GET_THREAD_COUNT, OPTEE_SMC_VM_CREATED,
    OPTEE_SMC_VM_DESTROYED, ReturnCode, SecureCaps,
};
use shared_abi::smccc::FunctionId;

/// What of the TEE's capabilities a guest may see: what the mediator mediates.
pub const MEDIATED: SecureCaps = SecureCaps::UNREGISTERED_SHM
    .union(SecureCaps::DYNAMIC_SHM)
    .union(SecureCaps::MEMREF_NULL)
    .union(SecureCaps::RPC_ARG);

/// The last SPI that there is: devices have theirs from the first one on.
pub const NOTIFICATION_SPI: u32 = SPIS - 1;
const _: () = assert!(is_spare(NOTIFICATION_SPI), "the TEE's notifications have a device's SPI");

/// Why VMs get no TEE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTee {
    /// Nothing answers with OP-TEE's UID.
    Absent,
    /// It is a TEE, but it knows no VMs.
    NoVirtualization,
    /// It cannot use memory that was not reserved for it, and all memory of a VM is such.
    NoDynamicMemory,
}

impl fmt::Display for NoTee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no TEE answers",
            Self::NoVirtualization => "the TEE is without virtualization",
            Self::NoDynamicMemory => "the TEE has no dynamic shared memory",
        })
    }
}

/// Why a VM has no TEE although there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// The TEE refused to take it; the code it gave.
    Refused(u64),
    /// There is no memory for the table of its buffers.
    NoMemory,
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(x0) => match ReturnCode::from_x0(*x0) {
                Some(code) => write!(f, "the TEE refused the VM: {code}"),
                None => write!(f, "the TEE refused the VM: {x0:#x}"),
            },
            Self::NoMemory => f.write_str("the heap has no room for its buffers"),
        }
    }
}

/// A TEE that takes VMs, and what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optee {
    /// Calls that one VM can have under way, at most [`MAX_CALLS`].
    pub threads: usize,
    /// What guests may use.
    pub caps: SecureCaps,
    /// What it offers besides, for which somebody else has to do something, too.
    pub withheld: SecureCaps,
    /// Parameters of an RPC message that comes with a call; 0 without `RPC_ARG`.
    pub rpc_params: usize,
}

/// Makes a fast call as the hypervisor itself: client 0 in x7.
fn ask(tee: &mut (impl Conduit + ?Sized), function: FunctionId, x1: u64) -> [u64; 4] {
    tee.call([u64::from(function.0), x1, 0, 0, 0, 0, 0, 0])
}

impl Mediator for Optee {
    type Mediation = Mediation;
    type Shadow = Shadow;
    type Absence = NoTee;
    type Refusal = CreateError;

    const HEAP: usize = size_of::<Shadow>() + Buffers::HEAP;
    const NOTIFICATION_SPI: u32 = NOTIFICATION_SPI;

    /// Asks for its UID, its threads and its capabilities. OP-TEE 3.5 and older do not say in the last that they know
    /// VMs, so a harmless `VM_DESTROYED(0)` is tried: whoever knows none answers UNKNOWN_FUNCTION.
    fn probe<C: Conduit + ?Sized>(tee: &mut C) -> Result<Self, NoTee> {
        let uid = ask(tee, OPTEE_SMC_CALLS_UID, 0);
        if uid.map(|word| word as u32) != CALLS_UID {
            return Err(NoTee::Absent);
        }
        let threads = ask(tee, OPTEE_SMC_GET_THREAD_COUNT, 0);
        let destroyed = ask(tee, OPTEE_SMC_VM_DESTROYED, 0);
        if ReturnCode::from_x0(threads[0]) != Some(ReturnCode::Ok)
            || ReturnCode::from_x0(destroyed[0]) == Some(ReturnCode::UnknownFunction)
        {
            return Err(NoTee::NoVirtualization);
        }
        let caps = ask(tee, OPTEE_SMC_EXCHANGE_CAPABILITIES, 0);
        let offered = match ReturnCode::from_x0(caps[0]) {
            Some(ReturnCode::Ok) => SecureCaps::from_bits_truncate(caps[1] as u32),
            _ => SecureCaps::empty(),
        };
        if !offered.contains(SecureCaps::DYNAMIC_SHM) {
            return Err(NoTee::NoDynamicMemory);
        }
        // More parameters than any RPC has would not fit behind a call's message: then guests do without.
        let rpc_params = (caps[3] & 0xFF) as usize;
        let mut caps = offered & MEDIATED;
        if rpc_params == 0 || rpc_params > MAX_RPC_PARAMS {
            caps.remove(SecureCaps::RPC_ARG);
        }
        Ok(Self {
            threads: (threads[1] as u32 as usize).min(MAX_CALLS),
            caps,
            withheld: offered & SecureCaps::ASYNC_NOTIF,
            rpc_params: if caps.contains(SecureCaps::RPC_ARG) { rpc_params } else { 0 },
        })
    }

    fn can_notify(&self) -> bool {
        self.withheld.contains(SecureCaps::ASYNC_NOTIF)
    }

    fn let_notify(self) -> Self {
        Self { caps: self.caps | self.withheld, ..self }
    }

    fn notifies(&self) -> bool {
        self.caps.contains(SecureCaps::ASYNC_NOTIF)
    }

    fn wants_notifications(vm: &Mediation) -> bool {
        vm.wants_notifications()
    }

    fn take_shadow() -> Option<&'static Shadow> {
        Shadow::take()
    }

    fn place(shadow: &Shadow) -> Range {
        shadow.range()
    }

    /// Tells it by `VM_CREATED`.
    fn vm_made<C: Conduit + ?Sized>(
        &self,
        id: VmId,
        shadow: &'static Shadow,
        tee: &mut C,
    ) -> Result<Mediation, CreateError> {
        let vm = Mediation::new(*self, id, shadow).ok_or(CreateError::NoMemory)?;
        let [x0, ..] = ask(tee, OPTEE_SMC_VM_CREATED, u64::from(id.get()));
        match ReturnCode::from_x0(x0) {
            Some(ReturnCode::Ok) => Ok(vm),
            _ => Err(CreateError::Refused(x0)),
        }
    }

    fn vm_gone<C: Conduit + ?Sized>(vm: &Mediation, tee: &mut C) -> bool {
        vm.gone(tee)
    }

    fn relinquish(shadow: &'static Shadow) {
        shadow.give_back();
    }

    #[inline(always)]
    fn call<M: GuestMemory + ?Sized, C: Conduit + ?Sized>(
        vm: &Mediation,
        regs: &mut [u64; 8],
        memory: &M,
        tee: &mut C,
    ) {
        vm.call(regs, memory, tee);
    }
}
