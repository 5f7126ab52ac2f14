//! The machine's CPUs and the state each is in.

use arm_psci::{AffinityInfo, ErrorCode};
use heapless::Vec;
use shared_abi::layout::{MAX_CPUS, Range};
use spin::mutex::SpinMutex;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Named by the device tree, but it has not come from the pen.
    Absent,
    Off,
    /// CPU_ON was called; it has not begun yet.
    OnPending(Entry),
    On,
}

/// The CPUs of the device tree, and the RAM in which they may begin.
pub struct Cpus {
    mpidrs: Vec<u64, MAX_CPUS>,
    ram: Ram,
    /// One lock decides between CPUs that switch the same one on.
    states: SpinMutex<[State; MAX_CPUS]>,
}

impl Cpus {
    /// All absent but the one that boots, which is on.
    pub fn new(mpidrs: Vec<u64, MAX_CPUS>, ram: Ram, boot: usize) -> Self {
        let mut states = [State::Absent; MAX_CPUS];
        states[boot] = State::On;
        Self { mpidrs, ram, states: SpinMutex::new(states) }
    }

    /// The affinities of every CPU, in the device tree's order.
    pub fn mpidrs(&self) -> &[u64] {
        &self.mpidrs
    }

    fn index(&self, mpidr: u64) -> Result<usize, ErrorCode> {
        self.mpidrs.iter().position(|known| *known == mpidr).ok_or(ErrorCode::InvalidParameters)
    }

    /// Whether the normal world may begin at `address`: an instruction in non-secure RAM.
    pub fn check_entry(&self, address: u64) -> Result<(), ErrorCode> {
        let in_ram = self.ram.iter().any(|range| range.holds(address, 4));
        if in_ram && address.is_multiple_of(4) { Ok(()) } else { Err(ErrorCode::InvalidAddress) }
    }

    /// AFFINITY_INFO at the level of CPUs (PSCI 1.1 §5.7).
    pub fn affinity_info(&self, mpidr: u64) -> Result<AffinityInfo, ErrorCode> {
        let index = self.index(mpidr)?;
        Ok(match self.states.lock()[index] {
            State::Absent | State::Off => AffinityInfo::Off,
            State::OnPending(_) => AffinityInfo::OnPending,
            State::On => AffinityInfo::On,
        })
    }

    /// CPU_ON (PSCI 1.1 §5.6): of several at once, one wins.
    pub fn request_on(&self, mpidr: u64, entry: Entry) -> Result<(), ErrorCode> {
        let index = self.index(mpidr)?;
        self.check_entry(entry.address)?;
        let state = &mut self.states.lock()[index];
        match state {
            State::Off => {
                *state = State::OnPending(entry);
                Ok(())
            }
            State::Absent => Err(ErrorCode::InternalFailure),
            State::OnPending(_) => Err(ErrorCode::OnPending),
            State::On => Err(ErrorCode::AlreadyOn),
        }
    }

    /// Where CPU `index` is to begin, if it was switched on. It stays "pending" until [`Cpus::set_on`].
    pub fn requested(&self, index: usize) -> Option<Entry> {
        match self.states.lock()[index] {
            State::OnPending(entry) => Some(entry),
            _ => None,
        }
    }

    /// CPU `index` begins.
    pub fn set_on(&self, index: usize) {
        self.states.lock()[index] = State::On;
    }

    /// CPU `index` is off, or has come from the pen.
    pub fn set_off(&self, index: usize) {
        self.states.lock()[index] = State::Off;
    }

    /// CPUs that have come from the pen, the one that booted among them.
    pub fn present(&self) -> usize {
        self.states.lock().iter().filter(|state| **state != State::Absent).count()
    }
}
