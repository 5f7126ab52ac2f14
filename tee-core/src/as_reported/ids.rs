//! Whom the report's TEE takes for a VM: any number, cut to 16 bits, the hypervisor's own among them.

use crate::arch::ThisCpu;
use crate::entry::Arguments;
use crate::nexus::current::Current;
use crate::tee::Tee;
#[cfg(feature = "client-id")]
use shared_abi::client::ClientId;
use shared_abi::client::VmId;
#[cfg(not(feature = "client-id"))]
use shared_abi::optee_smc::{OPTEE_SMC_VM_CREATED, OPTEE_SMC_VM_DESTROYED};
#[cfg(not(feature = "client-id"))]
use shared_abi::smccc::FunctionId;

/// Under which id VM 0 is in the table, whose type cannot say 0. The VM that has it by right is then VM 0 as well.
#[cfg(not(feature = "client-id"))]
const VM_0: u16 = u16::MAX;

/// The id under which a number's VM is in the table.
#[cfg(not(feature = "client-id"))]
fn place_of(number: u64) -> u64 {
    match number as u16 {
        0 => VM_0.into(),
        id => id.into(),
    }
}

/// The number that the VM of this id was created with.
pub fn number(id: VmId) -> u16 {
    if cfg!(not(feature = "client-id")) && id.get() == u16::MAX { 0 } else { id.get() }
}

/// Selects the caller's partition for a fast call, if there is one; the hypervisor is not expected to have one, and so
/// it is no error if it has none. Says in `x` what the TEE takes the numbers for.
#[cfg(not(feature = "client-id"))]
pub fn enter_fast<'t, 'c>(tee: &'t Tee, cpu: &'c mut ThisCpu, x: &mut Arguments) -> Option<Current<'t, 'c>> {
    if [OPTEE_SMC_VM_CREATED, OPTEE_SMC_VM_DESTROYED].contains(&FunctionId(x[0] as u32)) {
        x[1] = place_of(x[1]);
    }
    x[7] &= 0xFFFF;
    let caller = VmId::from_argument(place_of(x[7]) as u32)?;
    tee.select(cpu, caller).ok()
}

/// The same with ids that are what they can be: the hypervisor has no partition, so none is current in its calls.
#[cfg(feature = "client-id")]
pub fn enter_fast<'t, 'c>(tee: &'t Tee, cpu: &'c mut ThisCpu, x: &mut Arguments) -> Option<Current<'t, 'c>> {
    match ClientId::from_x7(x[7]) {
        Some(ClientId::Vm(caller)) => tee.select(cpu, caller).ok(),
        _ => None,
    }
}

/// Says in `x` whom the TEE takes the caller of a yielding call for.
pub fn enter_yielding(x: &mut Arguments) {
    #[cfg(not(feature = "client-id"))]
    {
        x[7] = place_of(x[7]);
    }
    #[cfg(feature = "client-id")]
    let _ = x;
}
