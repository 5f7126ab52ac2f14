// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls to the TEE.

use super::*;
use crate::resources::free;
use crate::tee::{Mediator, Smc, Tee};
use shared_abi::optee_smc::*;

/// A TEE that takes VMs, and answers every other call with what it was called with.
fn tee(regs: [u64; 8]) -> [u64; 4] {
    let function = shared_abi::smccc::FunctionId(regs[0] as u32);
    match function {
        OPTEE_SMC_CALLS_UID => CALLS_UID.map(u64::from),
        OPTEE_SMC_GET_THREAD_COUNT => [0, 2, 0, 0],
        OPTEE_SMC_EXCHANGE_CAPABILITIES => [0, SecureCaps::DYNAMIC_SHM.bits().into(), 0, 0],
        OPTEE_SMC_VM_DESTROYED if regs[1] == 0 => [ReturnCode::ENotAvail as u64, 0, 0, 0],
        _ => [0, regs[1], regs[6], regs[7]],
    }
}

fn calls(function: shared_abi::smccc::FunctionId) -> Vec<[u64; 8]> {
    let calls = machine::with(|machine| machine.calls.clone());
    calls.into_iter().filter(|regs| regs[0] == u64::from(function.0)).collect()
}

/// A TEE that does not let VMs go.
fn clinging_tee(regs: [u64; 8]) -> [u64; 4] {
    if regs[0] == u64::from(OPTEE_SMC_VM_DESTROYED.0) { [ReturnCode::ENotAvail as u64, 0, 0, 0] } else { tee(regs) }
}

fn with_tee(vcpus: &[usize]) -> Host {
    with(tee, vcpus)
}

fn with(tee: fn([u64; 8]) -> [u64; 4], vcpus: &[usize]) -> Host {
    machine::with(|machine| machine.firmware = tee);
    let tee = Tee::probe(&mut Smc).unwrap();
    crate::vm::tee().call_once(|| tee);
    let mut host = Host::with(1, vcpus, |config| config.tee = config.id.get() != 2);
    host.begin(0);
    host
}

#[test]
fn the_tee_knows_of_each_vm_that_may_call_it() {
    let mut host = with_tee(&[1, 1, 1]);
    host.until(0, (1, 0));
    let created: Vec<u64> = calls(OPTEE_SMC_VM_CREATED).iter().map(|regs| regs[1]).collect();
    assert_eq!(created, [1, 3]);
    host.hvc(0, [0x8400_0008, 0, 0, 0]);
    assert_eq!(calls(OPTEE_SMC_VM_DESTROYED).last().map(|regs| regs[1]), Some(1));
}

#[test]
fn whose_call_it_is_says_the_hypervisor() {
    let mut host = with_tee(&[1]);
    host.vcpu(0).frame.x[7] = 9;
    host.hvc(0, [u64::from(OPTEE_SMC_CALL_GET_OS_REVISION.0), 0, 0, 0]);
    assert_eq!(calls(OPTEE_SMC_CALL_GET_OS_REVISION).last().map(|regs| regs[7]), Some(1));
    assert_eq!(host.vcpu(0).frame.x[7], 9);
}

#[test]
fn who_may_not_call_it_reaches_nobody() {
    let mut host = with_tee(&[1, 1]);
    host.until(0, (2, 0));
    let before = machine::with(|machine| machine.calls.len());
    assert_eq!(host.hvc(0, [u64::from(OPTEE_SMC_CALL_GET_OS_REVISION.0), 0, 0, 0]), u64::MAX);
    assert_eq!(machine::with(|machine| machine.calls.len()), before);
}

#[test]
fn a_vm_is_made_known_again_after_a_reset() {
    let mut host = with_tee(&[1]);
    host.hvc(0, [0x8400_0009, 0, 0, 0]);
    assert_eq!(host.runs(0), (1, 0));
    assert_eq!(calls(OPTEE_SMC_VM_CREATED).len(), 2);
    assert_eq!(calls(OPTEE_SMC_VM_DESTROYED).len(), 2, "the probe's, and the VM's");
}

/// Ends a VM that the TEE has; whether its memory is free then.
fn is_free_after(tee: fn([u64; 8]) -> [u64; 4]) -> bool {
    let mut host = with(tee, &[1, 1]);
    host.until(0, (1, 0));
    let (_, vmids, places) = free();
    let ram = host.vms.remove(0).ram.extents()[0];
    host.hvc(0, [0x8400_0008, 0, 0, 0]);
    host.run(0, 4 * SLICE);
    let after = free();
    assert_eq!((after.1, after.2), (vmids + 1, places + 1));
    after.0.iter().any(|range| range.holds(ram.pa.0, ram.size))
}

#[test]
fn memory_that_the_tee_lets_go_of_is_free() {
    assert!(is_free_after(tee));
    assert!(!printed().contains("did not let go"));
}

#[test]
fn memory_that_the_tee_does_not_let_go_of_becomes_nobodys() {
    assert!(!is_free_after(clinging_tee));
    assert!(printed().contains("vm1: the TEE did not let go of it\r\n"));
}
