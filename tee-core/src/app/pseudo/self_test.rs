// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the core that run in the core: OP-TEE's `invoke_tests` pseudo-TA, as far as it is about what we have too.
//!
//! OP-TEE's `xtest` 1001 and 1003 call it. It is not listed as a device.

use crate::app::Application;
use crate::app::reach::Reach;
use crate::call::rpc::Shm;
use crate::msg::params::{Parameter, Parameters};
use shared_abi::optee_msg::Direction;
use shared_abi::tee::TeeResult;
use uuid::{Uuid, uuid};

/// Heap, shared memory from the normal world, mutex. No parameters.
pub const CMD_SELF_TESTS: u32 = 2;
/// In/out: memref without memory; must arrive as that.
pub const CMD_MEMREF_NULL: u32 = 10;

/// Bytes that are asked of the normal world: more than a page, so that a list of pages may come.
const SHM_SIZE: usize = 3 * 4096;

/// The pseudo-TA.
pub struct SelfTest;

impl Application for SelfTest {
    /// `PTA_INVOKE_TESTS_UUID`.
    const UUID: Uuid = uuid!("d96a5b40-c3e5-21e3-8794-1002a5d5c61b");

    fn invoke(&self, reach: Reach<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        match (function, params) {
            (CMD_SELF_TESTS, _) => {
                heap(reach)?;
                shared_memory(reach)
            }
            (CMD_MEMREF_NULL, [Parameter::Memref(memref), Parameter::None, Parameter::None, Parameter::None])
                if memref.dir() == Direction::InOut && memref.is_null() && memref.is_empty() =>
            {
                Ok(())
            }
            (CMD_MEMREF_NULL, _) => Err(TeeResult::BAD_PARAMETERS),
            _ => Err(TeeResult::NOT_IMPLEMENTED),
        }
    }
}

/// Allocates zeroes.
fn heap(reach: Reach<'_, '_>) -> Result<(), TeeResult> {
    let block = reach.allocate::<u64>(64)?;
    let zeroes = block.len() == 64 && block.iter().all(|word| *word == 0);
    if zeroes { Ok(()) } else { Err(TeeResult::GENERIC) }
}

/// Writes a pattern to memory that the normal world gives, and reads it back.
fn shared_memory(reach: Reach<'_, '_>) -> Result<(), TeeResult> {
    let shm = reach.allocate_shm(SHM_SIZE)?;
    let result = pattern(reach, &shm);
    reach.free_shm(shm)?;
    result
}

fn pattern(reach: Reach<'_, '_>, shm: &Shm<'_>) -> Result<(), TeeResult> {
    let word_at = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for at in (0..SHM_SIZE).step_by(size_of::<u64>()) {
        reach.put(shm, at, &word_at(at))?;
    }
    for at in (0..SHM_SIZE).step_by(size_of::<u64>()) {
        if reach.is_cancelled() {
            return Err(TeeResult::CANCEL);
        }
        let word: u64 = reach.get(shm, at)?;
        // The normal world can change it at any time: then this is how it learns that we noticed.
        if word != word_at(at) {
            return Err(TeeResult::COMMUNICATION);
        }
    }
    Ok(())
}
