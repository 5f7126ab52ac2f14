//! The TEE as a whole: the nexus's parts.

use crate::arch::Machine;
use crate::nexus::ns_ram::NsRam;
use crate::nexus::pages::PagePool;
use crate::nexus::vms::VmTable;
use crate::sync::Lock;

/// The TEE.
pub struct Tee {
    /// The VMs.
    pub vms: VmTable,
    /// The free secure pages.
    pub pool: Lock<PagePool>,
    /// The machine below.
    pub machine: Machine,
    ns_ram: spin::Once<NsRam>,
}

impl Tee {
    /// A TEE without memory, on this machine.
    pub const fn new(machine: Machine) -> Self {
        Self { vms: VmTable::new(), pool: Lock::new(PagePool::new()), machine, ns_ram: spin::Once::new() }
    }

    /// Says which memory is non-secure RAM. Once, before the normal world runs.
    ///
    /// # Safety
    ///
    /// It must be mapped, and be the normal world's alone.
    #[expect(unsafe_code, reason = "what the TEE reads and writes for the normal world follows from it")]
    pub unsafe fn set_ns_ram(&self, ram: NsRam) {
        self.ns_ram.call_once(|| ram);
    }

    /// What is non-secure RAM; nothing, if nobody said so.
    pub fn ns_ram(&self) -> &NsRam {
        static NOTHING: NsRam = NsRam::new();
        self.ns_ram.get().unwrap_or(&NOTHING)
    }

    /// Pages that are free, and VMs that exist: what must be as before when a VM has come and gone.
    pub fn figures(&self) -> (usize, usize) {
        (self.pool.with(|pool| pool.free()), self.vms.len())
    }
}
