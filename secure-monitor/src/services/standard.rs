// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the standard services say of themselves (SMCCC 1.4 §6.2): PSCI is the one of them that is there.

use super::{Service, psci};
use crate::world::call::{Answer, Call};
use shared_abi::smccc::{FunctionId, SMCCC_STD_CALL_COUNT, SMCCC_STD_CALL_UID, SMCCC_STD_REVISION};

/// 108d905b-f863-47e8-ae2d-c0fb5641f6e2, by which TF-A's standard services are known, in its words.
const UID: [u64; 4] = [0x108D_905B, 0x47E8_F863, 0xFBC0_2DAE, 0xE2F6_4156];
/// 0.1, as TF-A has it.
const REVISION: [u64; 2] = [0, 1];

/// The family.
pub struct Standard;

impl Service for Standard {
    #[inline(always)]
    fn owns(id: FunctionId) -> bool {
        [SMCCC_STD_CALL_COUNT, SMCCC_STD_CALL_UID, SMCCC_STD_REVISION].contains(&id)
    }

    fn answer(&self, call: &Call<'_>) -> Option<Answer> {
        match call.id {
            SMCCC_STD_CALL_COUNT => Some(Answer::One(psci::FUNCTIONS.len() as u64)),
            SMCCC_STD_CALL_UID => Some(Answer::Four(UID)),
            SMCCC_STD_REVISION => Some(Answer::Two(REVISION)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::context::World;
    use crate::world::cpu::Cpu;

    fn call(id: FunctionId) -> Option<Answer> {
        Standard.answer(&Call { cpu: &Cpu::ZERO, from: World::Normal, id })
    }

    #[test]
    fn the_uid_is_the_text_of_the_uuid_in_the_byte_order_of_smccc() {
        // SMCCC 1.4 §6.1: bytes 0 to 3 of the UUID are in w0, byte 0 in its lowest bits. TF-A takes as byte 0 what the
        // text has as the last of its first group's four.
        let Some(Answer::Four(words)) = call(SMCCC_STD_CALL_UID) else { panic!("four words") };
        let bytes: Vec<u8> = words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect();
        assert_eq!(
            bytes,
            [0x5B, 0x90, 0x8D, 0x10, 0x63, 0xF8, 0xE8, 0x47, 0xAE, 0x2D, 0xC0, 0xFB, 0x56, 0x41, 0xF6, 0xE2]
        );
    }

    #[test]
    fn the_count_is_that_of_the_functions_that_answer() {
        assert_eq!(call(SMCCC_STD_CALL_COUNT), Some(Answer::One(14)));
    }
}
