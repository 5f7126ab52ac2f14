//! Tests of the core that run in the core: OP-TEE's `invoke_tests` pseudo-TA, as far as it is about what we have too.
//!
//! OP-TEE's `xtest` 1001 and 1003 call it. It is not listed as a device.

use crate::entry::call::Call;
use crate::msg::buffer::Buffer;
use crate::msg::params::{Parameter, Parameters};
use crate::partition::sessions::InUse;
use shared_abi::optee_msg::Direction;
use shared_abi::tee::TeeResult;
use uuid::{Uuid, uuid};

/// `PTA_INVOKE_TESTS_UUID`.
pub const UUID: Uuid = uuid!("d96a5b40-c3e5-21e3-8794-1002a5d5c61b");
/// Heap, shared memory from the normal world, mutex. No parameters.
pub const CMD_SELF_TESTS: u32 = 2;
/// In/out: memref without memory; must arrive as that.
pub const CMD_MEMREF_NULL: u32 = 10;

/// Bytes that are asked of the normal world: more than a page, so that a list of pages may come.
const SHM_SIZE: usize = 3 * 4096;

pub(super) fn invoke(
    call: &Call<'_, '_>,
    session: &InUse<'_>,
    function: u32,
    params: &mut Parameters<'_>,
) -> Result<(), TeeResult> {
    match (function, params) {
        (CMD_SELF_TESTS, _) => {
            heap(call)?;
            shared_memory(call, session)
        }
        (CMD_MEMREF_NULL, [Parameter::Memref(memref), ..])
            if memref.dir == Direction::InOut && memref.is_null() && memref.is_empty() =>
        {
            Ok(())
        }
        (CMD_MEMREF_NULL, _) => Err(TeeResult::BAD_PARAMETERS),
        _ => Err(TeeResult::NOT_IMPLEMENTED),
    }
}

fn heap(call: &Call<'_, '_>) -> Result<(), TeeResult> {
    let block = call.allocate::<u64>(64)?;
    let zeroes = block.len() == 64 && block.iter().all(|word| *word == 0);
    if zeroes { Ok(()) } else { Err(TeeResult::GENERIC) }
}

/// Writes a pattern to memory that the normal world gives, and reads it back.
fn shared_memory(call: &Call<'_, '_>, session: &InUse<'_>) -> Result<(), TeeResult> {
    let shm = call.allocate_shm(SHM_SIZE)?;
    let result = pattern(call, session, &shm.buffer);
    call.free_shm(shm)?;
    result
}

fn pattern(call: &Call<'_, '_>, session: &InUse<'_>, buffer: &Buffer<'_>) -> Result<(), TeeResult> {
    let lost = |_| TeeResult::COMMUNICATION;
    let word_at = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for at in (0..SHM_SIZE).step_by(size_of::<u64>()) {
        buffer.put(call.tee(), at, &word_at(at)).map_err(lost)?;
    }
    for at in (0..SHM_SIZE).step_by(size_of::<u64>()) {
        if session.is_cancelled() {
            return Err(TeeResult::CANCEL);
        }
        let word: u64 = buffer.allege(at).map_err(lost)?.copy_out(call.tee()).map_err(lost)?;
        // The normal world can change it at any time: then this is how it learns that we noticed.
        if word != word_at(at) {
            return Err(TeeResult::COMMUNICATION);
        }
    }
    Ok(())
}
