// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entropy for the normal world, from the CPU's RNDR (OP-TEE's `rng` pseudo-TA, which Linux's `optee-rng` binds to).

use crate::app::Application;
use crate::app::reach::Reach;
use crate::arch::Machine;
use crate::msg::params::{Parameter, Parameters};
use shared_abi::optee_msg::Direction;
use shared_abi::pta::rng::{CMD_GET_ENTROPY, CMD_GET_RNG_INFO, UUID};
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// Most that can be asked for at a time; Linux asks for so much at most.
const MAX_REQUEST: usize = 4096;
/// How often RNDR may fail in a row. It does only if asked faster than it gathers entropy (Arm ARM D24.2.156).
const TRIES: usize = 16;
/// `TEE_ERROR_HEALTH_TEST_FAIL` of `pta_rng.h`.
const HEALTH_TEST_FAIL: TeeResult = TeeResult(1);
/// Bytes each second that Linux may reckon with.
const RATE: u32 = 1 << 20;
/// Bits of entropy in 1024 bits: RNDR is a generator of the quality SP 800-90 asks for.
const QUALITY: u32 = 1024;

/// The pseudo-TA.
pub struct Rng;

impl Application for Rng {
    const UUID: Uuid = UUID;

    fn is_there(&self, machine: &Machine) -> bool {
        machine.has_random()
    }

    fn is_device(&self) -> bool {
        true
    }

    fn invoke(&self, reach: Reach<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        match (function, params) {
            (CMD_GET_ENTROPY, [Parameter::Memref(buffer), Parameter::None, Parameter::None, Parameter::None])
                if buffer.dir() == Direction::InOut || buffer.dir() == Direction::Out =>
            {
                if buffer.len() > MAX_REQUEST {
                    return Err(TeeResult::NOT_SUPPORTED);
                }
                for at in (0..buffer.len()).step_by(size_of::<u64>()) {
                    if reach.is_cancelled() {
                        return Err(TeeResult::CANCEL);
                    }
                    let random = (0..TRIES).find_map(|_| reach.random()).ok_or(HEALTH_TEST_FAIL)?;
                    let bytes = random.to_ne_bytes();
                    reach.write(buffer, at, &bytes[..bytes.len().min(buffer.len() - at)])?;
                }
                buffer.announce(buffer.len())
            }
            (
                CMD_GET_RNG_INFO,
                [Parameter::Value { dir: Direction::Out, a, b }, Parameter::None, Parameter::None, Parameter::None],
            ) => {
                (*a, *b) = (RATE, QUALITY);
                Ok(())
            }
            (CMD_GET_ENTROPY | CMD_GET_RNG_INFO, _) => Err(TeeResult::BAD_PARAMETERS),
            _ => Err(TeeResult::NOT_IMPLEMENTED),
        }
    }
}
