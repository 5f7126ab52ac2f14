// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fast calls: short, bounded, with interrupts masked from beginning to end.

use super::{only, unknown, unserved};
use crate::arch::{Answer, Arguments, ThisCpu};
use crate::mode::Mode;
use crate::msg::RPC_PARAMS;
use crate::nexus::lifecycle::Refused;
use crate::nexus::tee::Tee;
use crate::partition::Partition;
use crate::partition::layout::THREADS;
use crate::trace::{Refusal, refused};
use shared_abi::client::{ClientId, VmId};
use shared_abi::optee_smc::{self as smc, ReturnCode, SecureCaps};
use shared_abi::smccc::FunctionId;

/// The functions that are answered, fast and yielding: what CALLS_COUNT counts.
const OFFERED: [FunctionId; 14] = [
    smc::OPTEE_SMC_CALLS_COUNT,
    smc::OPTEE_SMC_CALLS_UID,
    smc::OPTEE_SMC_CALLS_REVISION,
    smc::OPTEE_SMC_CALL_GET_OS_UUID,
    smc::OPTEE_SMC_CALL_GET_OS_REVISION,
    smc::OPTEE_SMC_EXCHANGE_CAPABILITIES,
    smc::OPTEE_SMC_DISABLE_SHM_CACHE,
    smc::OPTEE_SMC_ENABLE_SHM_CACHE,
    smc::OPTEE_SMC_BOOT_SECONDARY,
    smc::OPTEE_SMC_GET_THREAD_COUNT,
    smc::OPTEE_SMC_CALL_RETURN_FROM_RPC,
    smc::OPTEE_SMC_CALL_WITH_ARG,
    smc::OPTEE_SMC_CALL_WITH_RPC_ARG,
    smc::OPTEE_SMC_CALL_WITH_REGD_ARG,
];

/// Those that there are besides where a hypervisor creates VMs.
const OF_HYPERVISOR: [FunctionId; 2] = [smc::OPTEE_SMC_VM_CREATED, smc::OPTEE_SMC_VM_DESTROYED];

/// Parses a number of the package's version.
const fn version(text: &str) -> u64 {
    let (mut value, mut i) = (0, 0);
    while i < text.len() {
        value = value * 10 + (text.as_bytes()[i] - b'0') as u64;
        i += 1;
    }
    value
}
const _: () = assert!(version("203") == 203);

const VERSION: [u64; 3] = [
    version(env!("CARGO_PKG_VERSION_MAJOR")),
    version(env!("CARGO_PKG_VERSION_MINOR")),
    version(env!("CARGO_PKG_VERSION_PATCH")),
];

impl Tee {
    /// Answers a fast call.
    pub fn fast(&self, cpu: &mut ThisCpu, x: &Arguments) -> Answer {
        let function = FunctionId(x[0] as u32);
        let Some(client) = ClientId::from_x7(x[7]) else {
            return unserved(self.offers(function), x, Refusal::NotAVm);
        };
        if let ClientId::Vm(id) = client
            && !self.vms().is_live(id)
        {
            return unserved(self.offers(function), x, Refusal::UnknownVm);
        }
        match function {
            smc::OPTEE_SMC_CALLS_COUNT => [self.offered().count() as u64, 0, 0, 0],
            smc::OPTEE_SMC_CALLS_UID => smc::CALLS_UID.map(u64::from),
            smc::OPTEE_SMC_CALLS_REVISION => [smc::CALLS_REVISION[0].into(), smc::CALLS_REVISION[1].into(), 0, 0],
            smc::OPTEE_SMC_CALL_GET_OS_UUID => smc::OS_UUID.map(u64::from),
            smc::OPTEE_SMC_CALL_GET_OS_REVISION => [VERSION[0], VERSION[1], VERSION[2], 0],
            smc::OPTEE_SMC_EXCHANGE_CAPABILITIES => self.exchange_capabilities(x[1] as u32),
            smc::OPTEE_SMC_GET_THREAD_COUNT => [ReturnCode::Ok as u64, THREADS as u64, 0, 0],
            smc::OPTEE_SMC_ENABLE_SHM_CACHE => self.in_partition(cpu, client, enable_shm_cache),
            smc::OPTEE_SMC_DISABLE_SHM_CACHE => self.in_partition(cpu, client, disable_shm_cache),
            smc::OPTEE_SMC_VM_CREATED => self.life_cycle(client, x, |id| self.create(cpu, id)),
            smc::OPTEE_SMC_VM_DESTROYED => self.life_cycle(client, x, |id| self.destroy(id)),
            // Secondary CPUs come by PSCI, through the monitor.
            smc::OPTEE_SMC_BOOT_SECONDARY => refused!(NotForCaller, x[0], only(ReturnCode::ENotAvail)),
            _ => refused!(UnknownFunction, x[0], unknown(x)),
        }
    }

    /// Lists the functions that are answered.
    fn offered(&self) -> impl Iterator<Item = &FunctionId> {
        let virtualized = self.mode() == Mode::Virtualized;
        OFFERED.iter().chain(OF_HYPERVISOR.iter().filter(move |_| virtualized))
    }

    /// Says whether a function is one of them.
    fn offers(&self, function: FunctionId) -> bool {
        self.offered().any(|offered| *offered == function)
    }

    /// Says what the TEE can do. Refuses, as OP-TEE does, capabilities that it does not know: the caller would rely on
    /// them.
    fn exchange_capabilities(&self, normal_world: u32) -> Answer {
        if normal_world & !smc::NSEC_CAP_UNIPROCESSOR != 0 {
            return refused!(BadParameter, normal_world.into(), only(ReturnCode::ENotAvail));
        }
        let mut caps = SecureCaps::MEMREF_NULL | SecureCaps::RPC_ARG;
        if self.mode() == Mode::Virtualized {
            caps |= SecureCaps::VIRTUALIZATION;
        }
        if !self.ns_ram().is_empty() {
            caps |= SecureCaps::DYNAMIC_SHM | SecureCaps::UNREGISTERED_SHM;
        }
        [ReturnCode::Ok as u64, caps.bits().into(), 0, RPC_PARAMS as u64]
    }

    /// Changes who exists. Only the hypervisor may say so, and only of ids that can be a VM's. Where one is served
    /// there is no hypervisor, and no such function.
    fn life_cycle(&self, client: ClientId, x: &Arguments, change: impl FnOnce(VmId) -> Result<(), Refused>) -> Answer {
        let id = x[1] as u32;
        if client != ClientId::Hypervisor && self.mode() == Mode::Single {
            return refused!(UnknownFunction, x[0], unknown(x));
        } else if client != ClientId::Hypervisor {
            refused!(NotForCaller, id.into(), ());
        } else if VmId::from_argument(id).is_none() {
            refused!(NotAVm, id.into(), ());
        }
        let done = client == ClientId::Hypervisor && VmId::from_argument(id).is_some_and(|id| change(id).is_ok());
        only(if done { ReturnCode::Ok } else { ReturnCode::ENotAvail })
    }

    /// Does what concerns a VM's own state; the hypervisor has none.
    fn in_partition(&self, cpu: &mut ThisCpu, client: ClientId, f: fn(&Partition<'_>) -> Answer) -> Answer {
        let ClientId::Vm(id) = client else { return refused!(NotForCaller, 0, only(ReturnCode::ENotAvail)) };
        match self.select(cpu, id) {
            Ok(current) => f(current.partition()),
            Err(_) => refused!(UnknownVm, id.get().into(), only(ReturnCode::ENotAvail)),
        }
    }
}

fn enable_shm_cache(partition: &Partition<'_>) -> Answer {
    if !partition.threads().all_free() {
        return refused!(InUse, 0, only(ReturnCode::EBusy));
    }
    partition.shm_cache().enable();
    only(ReturnCode::Ok)
}

/// Gives one cookie back each call, until none is left.
fn disable_shm_cache(partition: &Partition<'_>) -> Answer {
    if !partition.threads().all_free() {
        return refused!(InUse, 0, only(ReturnCode::EBusy));
    }
    match partition.shm_cache().disable() {
        Some(memory) => {
            let (high, low) = smc::to_halves(memory.cookie);
            [ReturnCode::Ok as u64, high, low, 0]
        }
        None => only(ReturnCode::ENotAvail),
    }
}
