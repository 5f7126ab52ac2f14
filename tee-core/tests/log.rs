// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE says about VMs that come and go.

use log::{LevelFilter, Log, Metadata, Record};
use shared_abi::optee_smc::{OPTEE_SMC_VM_CREATED, OPTEE_SMC_VM_DESTROYED};
use std::sync::{Mutex, PoisonError};
use tee_core::host::normal_world::NormalWorld;

/// Keeps what is logged.
struct Kept(Mutex<Vec<String>>);

static KEPT: Kept = Kept(Mutex::new(Vec::new()));

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn a_vm_that_comes_and_goes_again_and_again_is_not_told_of_for_ever_and_silences_no_other() {
    log::set_logger(&KEPT).unwrap();
    log::set_max_level(LevelFilter::Info);
    let world = NormalWorld::with_vms(&[]);
    let call = |function, id| assert_eq!(world.smc(function, [id, 0, 0], 0)[0], 0);
    for _ in 0..100 {
        call(OPTEE_SMC_VM_CREATED, 2);
        call(OPTEE_SMC_VM_DESTROYED, 2);
    }
    call(OPTEE_SMC_VM_CREATED, 3);
    let said = KEPT.0.lock().unwrap_or_else(PoisonError::into_inner);
    let usual = ["vm2 created", "vm2 destroyed"].repeat(7);
    let last = ["vm2 created; no more of these", "vm2 destroyed; no more of these", "vm3 created"];
    assert_eq!(*said, [usual, last.to_vec()].concat());
}
