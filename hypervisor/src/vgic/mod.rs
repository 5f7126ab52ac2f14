// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's interrupt controller: GICv3 without security states, ITS or LPIs (Arm IHI 0069).
//!
//! What is configured and what waits stands in bit masks over 32 interrupts each ([`bank`]), which every CPU that runs
//! a vCPU of the VM reads and changes without a lock: no CPU ever waits for another one's, which may not be running.
//! What a vCPU can take next stands in its list registers ([`lists`]), where the guest acknowledges and ends it without
//! an exit. Those belong to the CPU on which the vCPU is: it claims an interrupt, and then *holds* it until it is over.
//!
//! Whoever changes something notes with each vCPU for which that matters that it has to look ([`redistributor::News`]),
//! and is told which those are ([`VcpuMask`]), to wake them.
//!
//! | file | what |
//! |---|---|
//! | [`bank`] | 32 interrupts: configuration, pending, active |
//! | [`list_register`] | the fields of a list register, and a CPU's own |
//! | [`lists`] | a vCPU's list registers: filling and emptying them |
//! | [`distributor`] | GICD registers |
//! | [`redistributor`] | GICR registers, one pair of frames for each vCPU |
//! | [`sgi`] | ICC_SGI1R and its kin |
#![forbid(unsafe_code)]

pub mod bank;
pub mod distributor;
pub mod list_register;
pub mod lists;
pub mod redistributor;
pub mod sgi;

#[cfg(test)]
mod tests;

// In tests another CPU may act at each access to what CPUs share.
#[cfg(test)]
use crate::tests::shared;
#[cfg(not(test))]
use core::sync::atomic as shared;

use crate::trace::Client;
use bank::Bank;
use redistributor::{News, Redistributor};
use shared::{AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

/// vCPUs that a VM can have: Aff0 0 to 7.
pub const MAX_VCPUS: usize = 8;
/// Banks of shared interrupts: INTIDs 32 to 127.
const SPI_BANKS: usize = 3;
/// Shared interrupts.
pub const SPIS: u32 = 32 * SPI_BANKS as u32;
/// Banks that a vCPU sees: its own, and the shared ones.
const BANKS: usize = 1 + SPI_BANKS;
/// vCPUs of a VM, as a bit mask.
pub type VcpuMask = u8;

/// Whom a write to a register concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// vCPUs that have to look.
    pub look: VcpuMask,
    /// Of those, the ones that hold what was written about: until they have looked it has not happened everywhere.
    pub hold: VcpuMask,
}

/// How wide an access to a register is, in bytes.
pub type Width = u8;

/// The interrupt controller of one VM.
pub struct Vgic {
    /// GICD_CTLR.EnableGrp0 and EnableGrp1.
    enabled_groups: AtomicU32,
    spis: [Bank; SPI_BANKS],
    /// GICD_IROUTER.
    routes: [AtomicU64; SPI_BANKS * 32],
    /// Which vCPU holds an SPI that is held.
    holders: [AtomicU8; SPI_BANKS * 32],
    cpus: [Redistributor; MAX_VCPUS],
    vcpus: usize,
    /// Whom records are about.
    client: Client,
}

impl Vgic {
    /// Makes the controller out of reset, for a VM of `vcpus`, which records are about.
    pub fn new(client: Client, vcpus: usize) -> Self {
        Self {
            enabled_groups: AtomicU32::new(0),
            spis: [const { Bank::new(0) }; SPI_BANKS],
            routes: [const { AtomicU64::new(0) }; SPI_BANKS * 32],
            holders: [const { AtomicU8::new(0) }; SPI_BANKS * 32],
            cpus: [const { Redistributor::new() }; MAX_VCPUS],
            vcpus: vcpus.min(MAX_VCPUS),
            client,
        }
    }

    /// Puts it back to what it is out of reset. All vCPUs are off, and what is in their list registers is forgotten
    /// when they start.
    pub fn reset(&self) {
        self.enabled_groups.store(0, SeqCst);
        for bank in &self.spis {
            bank.reset(0);
        }
        for route in &self.routes {
            route.store(0, SeqCst);
        }
        for cpu in &self.cpus {
            cpu.reset();
        }
    }

    /// Makes a vCPU that starts look at everything.
    pub fn look_everywhere(&self, vcpu: usize) {
        self.cpus[vcpu].tell(News::all() - News::ASKED);
    }

    /// Says how many vCPUs there are.
    pub fn vcpus(&self) -> usize {
        self.vcpus
    }

    /// Sets the line of a device: an SPI's INTID.
    pub fn set_line(&self, intid: u32, up: bool) -> VcpuMask {
        let Some(bank) = (intid as usize / 32).checked_sub(1) else { return 0 };
        let bit = 1 << (intid % 32);
        match self.spis.get(bank) {
            Some(spis) if spis.set_line(bit, up) => self.concerned(bank, bit).look,
            _ => 0,
        }
    }

    /// Raises the line of an SPI, its INTID, for no longer than it takes to notice an edge.
    pub fn pulse(&self, intid: u32) -> VcpuMask {
        let Some(bank) = (intid as usize / 32).checked_sub(1) else { return 0 };
        let Some(spis) = self.spis.get(bank) else { return 0 };
        let edge = 1 << (intid % 32) & spis.edge.get();
        spis.latched.set(edge);
        self.concerned(bank, edge).look
    }

    /// Has the vCPUs look to which these SPIs go, or that hold them.
    fn concerned(&self, bank: usize, bits: u32) -> Concerned {
        let spis = &self.spis[bank];
        let held = spis.settle(bits);
        let bits = spis.busy(bits) | held;
        if bits == 0 {
            return Concerned::default();
        }
        let news = if spis.wishes() & bits != 0 { News::SHARED | News::WISHES } else { News::SHARED };
        let mut look = 0;
        each(bits, |bit| look |= self.mask(self.target(bank, bit)));
        let hold = self.holders(bank, held);
        look |= hold;
        self.tell(look, news);
        Concerned { look, hold }
    }

    /// Returns the vCPUs that hold these SPIs.
    fn holders(&self, bank: usize, held: u32) -> VcpuMask {
        let mut hold = 0;
        each(held, |bit| {
            hold |= self.mask(self.holders[bank * 32 + bit as usize].load(SeqCst).into());
        });
        hold
    }

    /// Notes that a vCPU wants to know when those have looked: [`Vgic::is_waiting`].
    pub fn ask(&self, asker: usize, holders: VcpuMask) {
        each(holders.into(), |vcpu| {
            let cpu = &self.cpus[vcpu as usize];
            cpu.askers.fetch_or(1 << asker, SeqCst);
            cpu.tell(News::ASKED);
        });
    }

    /// Withdraws a vCPU's question to these, which are off: what it wishes of their own interrupts is fulfilled here.
    pub fn withdraw_question(&self, asker: usize, off: VcpuMask) {
        each(off.into(), |vcpu| {
            let cpu = &self.cpus[vcpu as usize];
            cpu.askers.fetch_and(!(1 << asker), SeqCst);
            cpu.bank.settle(u32::MAX);
        });
    }

    /// Says whether somebody whom this vCPU has asked has not looked yet.
    pub fn is_waiting(&self, asker: usize) -> bool {
        self.cpus.iter().any(|cpu| cpu.askers.load(SeqCst) & 1 << asker != 0)
    }

    /// Says who wants to know when a vCPU, which is going to look, has looked.
    fn askers(&self, vcpu: usize) -> VcpuMask {
        self.cpus[vcpu].askers.load(SeqCst)
    }

    /// Answers those who asked: it has looked since. Who asked later has to wait on.
    fn answer(&self, vcpu: usize, askers: VcpuMask) -> VcpuMask {
        self.cpus[vcpu].askers.fetch_and(!askers, SeqCst) & askers
    }

    /// Fulfils what was wished of the own interrupts of a vCPU that is off. Returns those who wanted to know.
    pub fn take_askers(&self, vcpu: usize) -> VcpuMask {
        let askers = self.askers(vcpu);
        self.cpus[vcpu].bank.settle(u32::MAX);
        self.answer(vcpu, askers)
    }

    /// Has vCPUs look.
    fn tell(&self, vcpus: VcpuMask, news: News) {
        each(vcpus.into(), |vcpu| self.cpus[vcpu as usize].tell(news));
    }

    /// Returns the vCPU that an SPI goes to, which need not be there.
    #[inline]
    fn target(&self, bank: usize, bit: u32) -> u64 {
        // There is no 1 of N (TYPER.No1N): its bit is kept like the reserved ones, and means as much.
        self.routes[bank * 32 + bit as usize].load(SeqCst) & 0xFF_00FF_FFFF
    }

    fn mask(&self, vcpu: u64) -> VcpuMask {
        if vcpu < self.vcpus as u64 { 1 << vcpu } else { 0 }
    }

    /// Returns those of these SPIs that go to this vCPU.
    fn routed(&self, bank: usize, bits: u32, vcpu: usize) -> u32 {
        let mut mine = 0;
        each(bits, |bit| mine |= u32::from(self.target(bank, bit) == vcpu as u64) << bit);
        mine
    }

    fn everybody(&self) -> VcpuMask {
        (1u16 << self.vcpus).wrapping_sub(1) as VcpuMask
    }

    /// Interrupts of bank `n`, seen from a vCPU: 0 is its own, the others are shared.
    #[inline]
    fn bank(&self, vcpu: usize, n: usize) -> &Bank {
        match n.checked_sub(1) {
            None => &self.cpus[vcpu].bank,
            Some(n) => &self.spis[n],
        }
    }
}

/// Does something with each bit that is set.
#[inline]
fn each(mut bits: u32, mut f: impl FnMut(u32)) {
    while bits != 0 {
        let bit = bits.trailing_zeros();
        bits &= bits - 1;
        f(bit);
    }
}
