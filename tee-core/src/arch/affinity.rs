// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU's number, by its affinity fields (Arm ARM, MPIDR_EL1).
//!
//! `boot.S` does the same before there is a stack.

/// MPIDR_EL1.MT: the lowest affinity level is that of threads, and cores have the next one. Arm's cores from Cortex-A55
/// on say so though they have one thread each, number 0.
const MT: u64 = 1 << 24;

/// Returns the number that a CPU has in the affinity level of cores.
#[inline(always)]
pub(crate) fn number(mpidr: u64) -> usize {
    (mpidr >> ((mpidr & MT) / (MT / 8))) as usize & 0xFF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_numbered_in_the_level_of_cores() {
        const U_RES1: u64 = 1 << 31;
        for core in 0..8 {
            assert_eq!(number(U_RES1 | core), core as usize);
            assert_eq!(number(U_RES1 | MT | core << 8), core as usize);
        }
    }
}
