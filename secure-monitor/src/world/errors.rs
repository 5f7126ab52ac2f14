// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose an asynchronous error is (an SError interrupt, as the Arm ARM calls it).
//!
//! A store or a line that a cache writes back may fail long after the instruction that is to blame, and then an SError
//! is pending until somebody takes it. SCR_EL3.EA is 0 in both worlds: EL3, where errors stay masked, takes none for
//! others, and each world takes its own at its own level, as without a monitor. The TEE runs with errors masked
//! (PSTATE.A, as OP-TEE does), so that what the normal world left pending when it called waits there until it has its
//! answer. What is left to decide is whose an error is that is pending when the TEE leaves:
//!
//! - Each switch of worlds synchronises: before it, what the one that leaves has done is over. A DSB completes its
//!   accesses; where the CPU has RAS extensions a DSB does not make an error pending, and SCTLR_EL3.IESB does it at the
//!   exception and before the ERET, for no instruction. (RAS without IESB does not exist in any CPU that this could run
//!   on.)
//! - An error that was pending when the TEE was entered is the normal world's, and stays pending for it. One that is
//!   pending only when the TEE leaves is the TEE's: it goes back to where it was, with errors unmasked, and takes it
//!   there.
//!
//! What is not told apart: an error of the TEE's while one of the normal world's is pending. The CPU has one bit for
//! both.

/// ISR_EL1.A: an SError is pending.
pub const PENDING: u64 = 1 << 8;
/// PSTATE.A: SErrors are masked.
const MASKED: u64 = 1 << 8;
/// Bytes of the SMC by which the TEE left.
const INSTRUCTION: u64 = 4;

/// Who is to take an error that is pending when the TEE leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The normal world, whenever it wants to: the TEE leaves as if there was none.
    NormalWorld,
    /// The TEE, now.
    Tee,
}

impl Owner {
    /// Decides by what ISR_EL1 was when the TEE was entered.
    pub fn of(at_entry: u64) -> Self {
        if at_entry & PENDING != 0 { Self::NormalWorld } else { Self::Tee }
    }
}

/// Says where the TEE goes on that is to take an error, and with which PSTATE: at the SMC by which it left, errors
/// unmasked. A pending error that is not masked is taken before the first instruction after an ERET, which synchronises
/// the context, so the SMC is executed again only if there is none any more.
pub fn back(elr: u64, pstate: u64) -> (u64, u64) {
    (elr.wrapping_sub(INSTRUCTION), pstate & !MASKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pending_when_the_tee_was_entered_is_the_normal_worlds_and_the_rest_is_the_tees() {
        assert_eq!(Owner::of(PENDING), Owner::NormalWorld);
        // Interrupts that were pending as well, I and F of ISR_EL1, say nothing about errors.
        assert_eq!(Owner::of(PENDING | 0b11 << 6), Owner::NormalWorld);
        assert_eq!(Owner::of(0b11 << 6), Owner::Tee);
        assert_eq!(Owner::of(0), Owner::Tee);
    }

    #[test]
    fn the_tee_takes_its_error_at_the_call_it_made_with_nothing_else_unmasked() {
        const EL1H_ALL_MASKED: u64 = 0x3C5;
        assert_eq!(back(0x0E10_0104, EL1H_ALL_MASKED), (0x0E10_0100, 0x2C5));
    }
}
