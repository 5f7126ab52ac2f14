// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's CPUs and the state each is in.

use crate::handoff::Ram;
use crate::world::cpu::Entry;
use arm_psci::{AffinityInfo, ErrorCode};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use heapless::Vec;
use shared_abi::layout::MAX_CPUS;

/// A CPU. Whoever switches it on changes its state from `OFF`, and nobody else; from there on the state is the CPU's
/// own.
///
/// A CPU that has not come from the pen yet is off like any other: what it is to do it finds when it comes.
struct CpuPower {
    mpidr: u64,
    state: AtomicU8,
    address: AtomicU64,
    argument: AtomicU64,
}

const ON: u8 = AffinityInfo::On as u8;
const OFF: u8 = AffinityInfo::Off as u8;
/// CPU_ON was called; the CPU has not begun yet.
const ON_PENDING: u8 = AffinityInfo::OnPending as u8;
/// CPU_ON was called, and has yet to say where the CPU begins.
const CLAIMED: u8 = ON_PENDING | 1 << 7;
/// The CPU was switched on, and did not come on: it is off for good.
const LOST: u8 = OFF | 1 << 7;
/// What AFFINITY_INFO says of a state.
const INFO: u8 = 0b11;

/// The CPUs of the device tree, and the RAM in which they may begin.
pub struct Cpus {
    powers: Vec<CpuPower, MAX_CPUS>,
    ram: Ram,
}

impl Cpus {
    /// Takes the machine's CPUs, all off but the one that boots.
    pub fn new(mpidrs: Vec<u64, MAX_CPUS>, ram: Ram, boot: usize) -> Self {
        let power = |(index, mpidr)| CpuPower {
            mpidr,
            state: AtomicU8::new(if index == boot { ON } else { OFF }),
            address: AtomicU64::new(0),
            argument: AtomicU64::new(0),
        };
        Self { powers: mpidrs.into_iter().enumerate().map(power).collect(), ram }
    }

    /// Lists the affinities of every CPU, in the device tree's order.
    pub fn mpidrs(&self) -> impl ExactSizeIterator<Item = u64> {
        self.powers.iter().map(|power| power.mpidr)
    }

    /// Finds a CPU; where they are numbered from 0, at once.
    #[inline(always)]
    fn power(&self, mpidr: u64) -> Result<&CpuPower, ErrorCode> {
        let likely = self.powers.get(mpidr as usize % MAX_CPUS).filter(|power| power.mpidr == mpidr);
        let found = likely.or_else(|| self.powers.iter().find(|power| power.mpidr == mpidr));
        found.ok_or(ErrorCode::InvalidParameters)
    }

    /// Checks that the normal world may begin at `address`: at an instruction in non-secure RAM.
    pub fn check_entry(&self, address: u64) -> Result<(), ErrorCode> {
        let in_ram = self.ram.iter().any(|range| range.holds(address, 4));
        if in_ram && address.is_multiple_of(4) { Ok(()) } else { Err(ErrorCode::InvalidAddress) }
    }

    /// Answers AFFINITY_INFO at the level of CPUs (PSCI 1.1 §5.7).
    #[inline(always)]
    pub fn affinity_info(&self, mpidr: u64) -> Result<u64, ErrorCode> {
        Ok((self.power(mpidr)?.state.load(Ordering::Acquire) & INFO).into())
    }

    /// Does what CPU_ON asks for (PSCI 1.1 §5.6): of several callers at once, one wins.
    pub fn request_on(&self, mpidr: u64, entry: Entry) -> Result<(), ErrorCode> {
        let power = self.power(mpidr)?;
        self.check_entry(entry.address)?;
        match power.state.compare_exchange(OFF, CLAIMED, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                power.address.store(entry.address, Ordering::Relaxed);
                power.argument.store(entry.argument, Ordering::Relaxed);
                power.state.store(ON_PENDING, Ordering::Release);
                Ok(())
            }
            Err(ON) => Err(ErrorCode::AlreadyOn),
            Err(LOST) => Err(ErrorCode::InternalFailure),
            Err(_) => Err(ErrorCode::OnPending),
        }
    }

    /// Finds where CPU `index` is to begin, if it was switched on. It stays "pending" until [`Cpus::set_on`].
    pub fn requested(&self, index: usize) -> Option<Entry> {
        let power = &self.powers[index];
        (power.state.load(Ordering::Acquire) == ON_PENDING).then(|| Entry {
            address: power.address.load(Ordering::Relaxed),
            argument: power.argument.load(Ordering::Relaxed),
        })
    }

    /// Notes that CPU `index` begins.
    pub fn set_on(&self, index: usize) {
        self.powers[index].state.store(ON, Ordering::Release);
    }

    /// Notes that CPU `index` does not come on. Who asks for it again is told of a failure that is the machine's own
    /// (PSCI 1.1 §5.6, INTERNAL_FAILURE).
    pub fn set_lost(&self, index: usize) {
        self.powers[index].state.store(LOST, Ordering::Release);
    }

    /// Notes that CPU `index`, which was on, is off.
    pub fn set_off(&self, index: usize) {
        self.powers[index].state.store(OFF, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::layout::{DRAM_BASE, Range};

    /// Between a caller that has won and what it says, another CPU may look at any time.
    #[test]
    fn a_cpu_that_is_claimed_is_about_to_be_on_and_does_not_begin_yet() {
        let ram: Ram = [Range::new(DRAM_BASE, 4096)].into_iter().collect();
        let cpus = Cpus::new([0, 1].into_iter().collect(), ram, 0);
        let entry = Entry { address: DRAM_BASE, argument: 0 };
        cpus.powers[1].state.store(CLAIMED, Ordering::Relaxed);
        assert_eq!(cpus.affinity_info(1), Ok(AffinityInfo::OnPending as u64));
        assert_eq!(cpus.request_on(1, entry), Err(ErrorCode::OnPending));
        assert!(cpus.requested(1).is_none());
    }
}
