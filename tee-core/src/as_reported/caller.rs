// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is selected when a call arrives at the report's TEE: the partition of whoever makes it, if there is one.
#![expect(unsafe_code, reason = "selects a partition in a call that may make another one")]

use crate::arch::{Answer, Arguments, ThisCpu};
#[cfg(not(feature = "client-id"))]
use crate::ids::place_of;
use crate::nexus::current::Current;
use crate::nexus::tee::Tee;
#[cfg(feature = "client-id")]
use shared_abi::client::ClientId;
#[cfg(not(feature = "client-id"))]
use shared_abi::client::VmId;
#[cfg(not(feature = "client-id"))]
use shared_abi::optee_smc::{OPTEE_SMC_VM_CREATED, OPTEE_SMC_VM_DESTROYED};
#[cfg(not(feature = "client-id"))]
use shared_abi::smccc::FunctionId;

/// Makes a fast call.
///
/// # Safety
///
/// This CPU must be in no other call. (While this one makes a partition another one is selected: the mistake.)
pub unsafe fn fast(tee: &Tee, x: &mut Arguments) -> Answer {
    // SAFETY: promised by the caller.
    let mut caller = unsafe { ThisCpu::new() };
    let _caller = enter(tee, &mut caller, x);
    // SAFETY: as above; the mistake.
    tee.fast(&mut unsafe { ThisCpu::new() }, x)
}

/// Makes a yielding call.
///
/// # Safety
///
/// This CPU must be in no other call.
pub unsafe fn yielding(tee: &Tee, x: &mut Arguments) -> Answer {
    #[cfg(not(feature = "client-id"))]
    {
        x[7] = place_of(x[7]);
    }
    // SAFETY: promised by the caller.
    tee.yielding(&mut unsafe { ThisCpu::new() }, x)
}

/// Selects the caller's partition for a fast call, if there is one; the hypervisor is not expected to have one, and so
/// it is no error if it has none. Says in `x` what the TEE takes the numbers for.
#[cfg(not(feature = "client-id"))]
fn enter<'t, 'c>(tee: &'t Tee, cpu: &'c mut ThisCpu, x: &mut Arguments) -> Option<Current<'t, 'c>> {
    if [OPTEE_SMC_VM_CREATED, OPTEE_SMC_VM_DESTROYED].contains(&FunctionId(x[0] as u32)) {
        x[1] = place_of(x[1]);
    }
    x[7] &= 0xFFFF;
    let caller = VmId::from_argument(place_of(x[7]) as u32)?;
    tee.select(cpu, caller).ok()
}

/// Selects the caller's partition, with ids that are what they can be: the hypervisor has none, so none is current in
/// its calls.
#[cfg(feature = "client-id")]
fn enter<'t, 'c>(tee: &'t Tee, cpu: &'c mut ThisCpu, x: &mut Arguments) -> Option<Current<'t, 'c>> {
    match ClientId::from_x7(x[7]) {
        Some(ClientId::Vm(caller)) => tee.select(cpu, caller).ok(),
        _ => None,
    }
}
