// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the core that run in the core: OP-TEE's `invoke_tests` pseudo-TA, as far as it is about what we have too.
//!
//! OP-TEE's `xtest` 1001, 1002, 1003 and 1020 call it. It is not listed as a device.

use crate::app::Application;
use crate::app::reach::Reach;
use crate::call::rpc::Shm;
use crate::msg::params::{Memref, Parameter, Parameters};
use shared_abi::layout::{self, Range};
use shared_abi::optee_msg::Direction;
use shared_abi::tee::TeeResult;
use uuid::{Uuid, uuid};

/// One in/out value, whose `a` becomes `a + b`; or one value out, which becomes the sum of the three that go in; or one
/// in/out memref, whose first byte becomes the sum of all.
pub const CMD_PARAMS: u32 = 1;
/// Heap, shared memory from the normal world, mutex. No parameters.
pub const CMD_SELF_TESTS: u32 = 2;
/// In: which of [`WRITER`] and [`READER`], and for how many rounds; out: how many of its kind then wanted the lock, and
/// how many had it, itself among them.
pub const CMD_MUTEX: u32 = 7;
/// Changes two numbers that belong together, alone.
pub const WRITER: u32 = 0;
/// Looks at them with others: they must fit each other.
pub const READER: u32 = 1;
/// Does the TEE watch the order in which its locks are taken? Ours does not: their order is fixed (`nexus/vms.rs`).
pub const CMD_LOCKDEP: u32 = 8;
/// In/out: memref without memory; must arrive as that.
pub const CMD_MEMREF_NULL: u32 = 10;

/// What the machine's device tree said. Parameters are not looked at.
pub const CMD_DT_DRIVER_TESTS: u32 = 11;
/// Did the firmware hand over a transfer list? It hands over a device tree.
pub const CMD_TRANSFER_LIST_TESTS: u32 = 12;

/// Bytes that are asked of the normal world: more than a page, so that a list of pages may come.
const SHM_SIZE: usize = 3 * 4096;

/// Rounds that a call may ask for: sixteen times what `xtest` does.
pub const MAX_ROUNDS: u32 = 1 << 20;
/// Rounds after which a call looks whether it is to end.
const LOOK: u32 = 1024;
/// Bytes of a buffer that are looked at together.
const PIECE: usize = 256;

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
            (CMD_PARAMS, params) => parameters(reach, params),
            (
                CMD_MUTEX,
                [
                    Parameter::Value { dir: Direction::In, a: kind @ (WRITER | READER), b: rounds },
                    Parameter::Value { dir: Direction::Out, a: before, b: during },
                    Parameter::None,
                    Parameter::None,
                ],
            ) if *rounds <= MAX_ROUNDS => match *kind {
                WRITER => write(reach, *rounds, (before, during)),
                _ => look(reach, *rounds, (before, during)),
            },
            (CMD_MUTEX, _) => Err(TeeResult::BAD_PARAMETERS),
            (CMD_DT_DRIVER_TESTS, _) => device_tree(reach),
            (CMD_LOCKDEP | CMD_TRANSFER_LIST_TESTS, _) => Err(TeeResult::NOT_SUPPORTED),
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

/// Adds up what goes in; what comes out may stand at any place among the parameters.
fn parameters(reach: Reach<'_, '_>, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
    let (mut absent, mut inputs, mut sum) = (0, 0, (0u32, 0u32));
    let mut answer = None;
    for param in params {
        match param {
            Parameter::None => absent += 1,
            Parameter::Value { dir: Direction::In, a, b } => {
                inputs += 1;
                sum = (sum.0.wrapping_add(*a), sum.1.wrapping_add(*b));
            }
            other => answer = Some(other),
        }
    }
    match (answer, inputs, absent) {
        (Some(Parameter::Value { dir: Direction::InOut, a, b }), 0, 3) => *a = a.wrapping_add(*b),
        (Some(Parameter::Value { dir: Direction::Out, a, b }), 3, 0) => (*a, *b) = sum,
        (Some(Parameter::Memref(memref)), 0, 3) if memref.dir() == Direction::InOut && !memref.is_empty() => {
            let sum = sum_of(reach, memref)?;
            reach.write(memref, 0, &[sum])?;
        }
        _ => return Err(TeeResult::BAD_PARAMETERS),
    }
    Ok(())
}

/// Adds up the bytes of a buffer.
fn sum_of(reach: Reach<'_, '_>, memref: &Memref<'_>) -> Result<u8, TeeResult> {
    let (mut piece, mut sum) = ([0; PIECE], 0u8);
    for at in (0..memref.len()).step_by(PIECE) {
        if reach.is_cancelled() {
            return Err(TeeResult::CANCEL);
        }
        let piece = &mut piece[..PIECE.min(memref.len() - at)];
        reach.read(memref, at, piece)?;
        sum = piece.iter().fold(sum, |sum, byte| sum.wrapping_add(*byte));
    }
    Ok(sum)
}

/// Changes the numbers, alone.
fn write(reach: Reach<'_, '_>, rounds: u32, (before, during): (&mut u32, &mut u32)) -> Result<(), TeeResult> {
    let kind = &reach.rivals().writers;
    let waits = kind.before.come();
    *before = waits.1;
    let mut numbers = reach.compete()?;
    drop(waits);
    let has = kind.during.come();
    *during = has.1;
    for round in 0..rounds {
        if round % LOOK == 0 && reach.is_cancelled() {
            return Err(TeeResult::CANCEL);
        }
        numbers.step();
    }
    Ok(())
}

/// Looks at the numbers, with others.
fn look(reach: Reach<'_, '_>, rounds: u32, (before, during): (&mut u32, &mut u32)) -> Result<(), TeeResult> {
    let kind = &reach.rivals().readers;
    let waits = kind.before.come();
    *before = waits.1;
    let numbers = reach.watch()?;
    drop(waits);
    let has = kind.during.come();
    *during = has.1;
    for round in 0..rounds {
        if round % LOOK == 0 && reach.is_cancelled() {
            return Err(TeeResult::CANCEL);
        }
        if !numbers.fit() {
            return Err(TeeResult::BAD_STATE);
        }
    }
    Ok(())
}

/// Looks whether what the device tree called RAM is what can be shared, and nothing of the secure world.
fn device_tree(reach: Reach<'_, '_>) -> Result<(), TeeResult> {
    let is_ram = |range: &Range| {
        reach.can_be_shared(range.base, range.size)
            && !reach.can_be_shared(range.end() - 1, 2)
            && ![layout::FLASH, layout::MONITOR, layout::TEE].iter().any(|secure| secure.overlaps(range))
    };
    let secure_is_none = !reach.can_be_shared(layout::TEE.base, 1) && !reach.can_be_shared(layout::MONITOR.base, 1);
    if secure_is_none && reach.ns_ram().iter().all(is_ram) { Ok(()) } else { Err(TeeResult::GENERIC) }
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
