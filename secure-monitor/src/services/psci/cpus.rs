//! The machine's CPUs and the state each is in.

use arm_psci::{AffinityInfo, ErrorCode};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use heapless::Vec;
use shared_abi::layout::{MAX_CPUS, Range};

/// Ranges of RAM that a device tree may have.
pub const MAX_RAM: usize = 8;

/// Ranges of non-secure RAM.
pub type Ram = Vec<Range, MAX_RAM>;

/// Where a CPU begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its first instruction.
    pub address: u64,
    /// Its x0.
    pub argument: u64,
}

/// A CPU's state. Whoever switches it on changes `OFF`, and nobody else; from there on it is the CPU's own.
///
/// A CPU that has not come from the pen yet is off like any other: what it is to do it finds when it comes.
struct Power {
    state: AtomicU8,
    address: AtomicU64,
    argument: AtomicU64,
}

const OFF: u8 = 0;
/// CPU_ON was called, and says in a moment where the CPU begins.
const CLAIMED: u8 = 1;
/// CPU_ON was called; the CPU has not begun yet.
const ON_PENDING: u8 = 2;
const ON: u8 = 3;

/// The CPUs of the device tree, and the RAM in which they may begin.
pub struct Cpus {
    mpidrs: Vec<u64, MAX_CPUS>,
    ram: Ram,
    powers: [Power; MAX_CPUS],
}

impl Cpus {
    /// All off but the one that boots.
    pub fn new(mpidrs: Vec<u64, MAX_CPUS>, ram: Ram, boot: usize) -> Self {
        let power = |index| Power {
            state: AtomicU8::new(if index == boot { ON } else { OFF }),
            address: AtomicU64::new(0),
            argument: AtomicU64::new(0),
        };
        Self { mpidrs, ram, powers: core::array::from_fn(power) }
    }

    /// The affinities of every CPU, in the device tree's order.
    pub fn mpidrs(&self) -> &[u64] {
        &self.mpidrs
    }

    fn power(&self, mpidr: u64) -> Result<&Power, ErrorCode> {
        let known = self.mpidrs.iter().zip(&self.powers).find(|(known, _)| **known == mpidr);
        known.map(|(_, power)| power).ok_or(ErrorCode::InvalidParameters)
    }

    /// Whether the normal world may begin at `address`: an instruction in non-secure RAM.
    pub fn check_entry(&self, address: u64) -> Result<(), ErrorCode> {
        let in_ram = self.ram.iter().any(|range| range.holds(address, 4));
        if in_ram && address.is_multiple_of(4) { Ok(()) } else { Err(ErrorCode::InvalidAddress) }
    }

    /// AFFINITY_INFO at the level of CPUs (PSCI 1.1 §5.7).
    pub fn affinity_info(&self, mpidr: u64) -> Result<AffinityInfo, ErrorCode> {
        Ok(match self.power(mpidr)?.state.load(Ordering::Acquire) {
            OFF => AffinityInfo::Off,
            ON => AffinityInfo::On,
            _ => AffinityInfo::OnPending,
        })
    }

    /// CPU_ON (PSCI 1.1 §5.6): of several at once, one wins.
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
            Err(_) => Err(ErrorCode::OnPending),
        }
    }

    /// Where CPU `index` is to begin, if it was switched on. It stays "pending" until [`Cpus::set_on`].
    pub fn requested(&self, index: usize) -> Option<Entry> {
        let power = &self.powers[index];
        (power.state.load(Ordering::Acquire) == ON_PENDING).then(|| Entry {
            address: power.address.load(Ordering::Relaxed),
            argument: power.argument.load(Ordering::Relaxed),
        })
    }

    /// CPU `index` begins.
    pub fn set_on(&self, index: usize) {
        self.powers[index].state.store(ON, Ordering::Release);
    }

    /// CPU `index`, which was on, is off.
    pub fn set_off(&self, index: usize) {
        self.powers[index].state.store(OFF, Ordering::Release);
    }
}
