//! A VM's interrupt controller: GICv3 without security states, ITS or LPIs (Arm IHI 0069).
//!
//! An interrupt's configuration and what waits lives here, in bit masks over 32 interrupts each ([`bank`]). What a CPU can take next
//! stands in that CPU's list registers ([`list`]), and there the guest acknowledges and ends it without an exit. An
//! interrupt that is in a list register belongs to it until it is over; only [`Vgic::sync`], on the CPU on which the
//! vCPU is loaded, moves state between the two.
//!
//! | file | what |
//! |---|---|
//! | [`bank`] | 32 interrupts: configuration, pending, active |
//! | [`list`] | list registers: their fields, filling and emptying them |
//! | [`distributor`] | GICD registers |
//! | [`redistributor`] | GICR registers, one pair of frames for each vCPU |
//! | [`sgi`] | ICC_SGI1R and its kin |
#![forbid(unsafe_code)]

pub mod bank;
pub mod distributor;
pub mod list;
pub mod redistributor;
pub mod sgi;

#[cfg(test)]
mod tests;

use crate::trace::Client;
use bank::Bank;
pub use list::ListRegisters;
use redistributor::Redistributor;

/// vCPUs that a VM can have: Aff0 0 to 7.
pub const MAX_VCPUS: usize = 8;
/// Banks of shared interrupts: INTIDs 32 to 127.
const SPI_BANKS: usize = 3;
/// The virtual timer's interrupt, a PPI, whose list register is linked to the physical one.
pub const VIRTUAL_TIMER: u32 = 27;

/// vCPUs of a VM, as a bit mask.
pub type VcpuMask = u8;

/// The interrupt controller of one VM.
pub struct Vgic {
    /// GICD_CTLR.EnableGrp0 and EnableGrp1.
    enabled_groups: u32,
    spis: [Bank; SPI_BANKS],
    /// GICD_IROUTER: the vCPU that an SPI goes to.
    routes: [u8; SPI_BANKS * 32],
    cpus: heapless::Vec<Redistributor, MAX_VCPUS>,
    /// vCPUs that have something new to see: theirs to [`Vgic::sync`].
    stale: VcpuMask,
    /// Whom records are about.
    client: Client,
}

/// How wide an access to a register is, in bytes.
pub type Width = u8;

impl Vgic {
    /// The controller out of reset, for a VM of `vcpus`, which records are about.
    pub fn new(client: Client, vcpus: usize) -> Self {
        let mut vgic = Self {
            enabled_groups: 0,
            spis: [const { Bank::new() }; SPI_BANKS],
            routes: [0; SPI_BANKS * 32],
            cpus: heapless::Vec::new(),
            stale: 0,
            client,
        };
        for _ in 0..vcpus.min(MAX_VCPUS) {
            let _ = vgic.cpus.push(Redistributor::new());
        }
        // All SPIs go to vCPU 0 out of reset.
        if let Some(first) = vgic.cpus.first_mut() {
            first.routed = [u32::MAX; SPI_BANKS];
        }
        vgic
    }

    /// How many vCPUs there are.
    pub fn vcpus(&self) -> usize {
        self.cpus.len()
    }

    /// Takes the vCPUs whose list registers are behind, to be told.
    pub fn take_stale(&mut self) -> VcpuMask {
        core::mem::take(&mut self.stale)
    }

    /// Sets the line of a device: an SPI's INTID.
    pub fn set_line(&mut self, intid: u32, up: bool) {
        let (bank, bit) = (intid as usize / 32, 1 << (intid % 32));
        let Some(spis) = bank.checked_sub(1).and_then(|n| self.spis.get_mut(n)) else { return };
        if spis.set_line(bit, up) {
            self.touch_spi(intid);
        }
    }

    /// The loaded vCPU's virtual timer has fired; its physical interrupt is active.
    #[inline]
    pub fn timer_fired(&mut self, vcpu: usize) {
        if let Some(cpu) = self.cpus.get_mut(vcpu) {
            cpu.bank.latched |= 1 << VIRTUAL_TIMER;
        }
    }

    /// Whether the virtual timer's physical interrupt is to be active while this vCPU is loaded.
    pub fn timer_in_flight(&self, vcpu: usize) -> bool {
        const TIMER: u32 = 1 << VIRTUAL_TIMER;
        self.cpus.get(vcpu).is_some_and(|cpu| (cpu.bank.latched | cpu.bank.listed) & TIMER != 0)
    }

    /// A vCPU starts anew: nothing is in its list registers.
    pub fn forget_lists(&mut self, vcpu: usize) {
        let Some(cpu) = self.cpus.get_mut(vcpu) else { return };
        let (used, intids) = (core::mem::take(&mut cpu.used), cpu.intids);
        cpu.overflow = false;
        cpu.bank.latched &= !(1 << VIRTUAL_TIMER);
        for intid in (0..16).filter(|index| used & 1 << index != 0).map(|index| intids[index]) {
            if let Some(bank) = self.bank_mut(vcpu, usize::from(intid) / 32) {
                bank.end(1 << (intid % 32));
            }
        }
    }

    fn touch_spi(&mut self, intid: u32) {
        // A route to nobody (255) is no vCPU's business.
        match self.routes.get((intid as usize).wrapping_sub(32)) {
            Some(&vcpu) if usize::from(vcpu) < self.cpus.len() => self.stale |= 1 << vcpu,
            _ => {}
        }
    }

    fn touch_all(&mut self) {
        self.stale = (1u16 << self.cpus.len()).wrapping_sub(1) as VcpuMask;
    }

    /// Interrupts of bank `n`, seen from a vCPU: 0 is its own, the others are shared.
    fn bank(&self, vcpu: usize, n: usize) -> Option<&Bank> {
        match n {
            0 => self.cpus.get(vcpu).map(|cpu| &cpu.bank),
            _ => self.spis.get(n - 1),
        }
    }

    fn bank_mut(&mut self, vcpu: usize, n: usize) -> Option<&mut Bank> {
        match n {
            0 => self.cpus.get_mut(vcpu).map(|cpu| &mut cpu.bank),
            _ => self.spis.get_mut(n - 1),
        }
    }
}
