// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TEE as a whole: the nexus's parts.

use super::lifecycle::Refused;
use super::vms::VmTable;
use super::{pristine, space, vms};
use crate::arch::tables::NONE;
use crate::arch::{Machine, ThisCpu};
use crate::memory::ns_ram::{NsRam, NsRange};
use crate::memory::pages::PagePool;
use crate::mode::{Mode, ONE};
use crate::sync::Lock;
use core::sync::atomic::{AtomicBool, Ordering};

/// The TEE.
pub struct Tee {
    vms: VmTable,
    pub(super) pool: Lock<PagePool>,
    machine: Machine,
    ns_ram: spin::Once<NsRam>,
    /// Whether it serves whoever calls by one partition. Written once, before the normal world runs.
    single: AtomicBool,
}

impl Tee {
    /// Makes a TEE without memory, on this machine.
    pub const fn new(machine: Machine) -> Self {
        Self {
            vms: VmTable::new(),
            pool: Lock::new(PagePool::new()),
            machine,
            ns_ram: spin::Once::new(),
            single: AtomicBool::new(false),
        }
    }

    /// Writes the root table that stands while no partition is selected.
    ///
    /// # Safety
    ///
    /// Once, on the boot CPU, before the table is used.
    #[expect(unsafe_code, reason = "translation tables")]
    pub unsafe fn prepare(&self) {
        // SAFETY: promised by the caller.
        unsafe { space::set_root(&self.machine, &NONE, pristine::nothing()) };
    }

    /// Gives the TEE the memory `[from, to)` for VMs.
    ///
    /// # Safety
    ///
    /// Nobody may use the memory, or ever give it again.
    #[expect(unsafe_code, reason = "says whose memory is whose")]
    pub unsafe fn add_pages(&self, from: u64, to: u64) {
        // SAFETY: promised by the caller.
        self.pool.with(|pool| unsafe { pool.add(from, to) });
    }

    /// Says whom the TEE serves from now on, once it has its memory. Once, before the normal world runs. Where that is
    /// one, its partition is made now; it is refused if there is no memory for it, and then nobody may be served.
    pub fn serve(&self, cpu: &mut ThisCpu, mode: Mode) -> Result<(), Refused> {
        match mode {
            Mode::Virtualized => Ok(()),
            Mode::Single => {
                self.single.store(true, Ordering::Relaxed);
                self.create(cpu, ONE)
            }
        }
    }

    /// Says whom the TEE serves.
    #[inline]
    pub fn mode(&self) -> Mode {
        if self.single.load(Ordering::Relaxed) { Mode::Single } else { Mode::Virtualized }
    }

    /// Says which memory is non-secure RAM. Once, before the normal world runs.
    pub fn set_ns_ram(&self, ram: NsRam) {
        self.ns_ram.call_once(|| ram);
    }

    /// Gives what is non-secure RAM; nothing, if nobody said so.
    #[inline]
    pub fn ns_ram(&self) -> &NsRam {
        static NONE: NsRam = NsRam::none();
        self.ns_ram.get().unwrap_or(&NONE)
    }

    /// Gives bytes of the normal world if all of them lie in one range of non-secure RAM.
    #[inline]
    pub fn claim(&self, pa: u64, len: u64) -> Option<NsRange> {
        self.ns_ram().claim(pa, len)
    }

    /// Gives the VMs.
    #[inline(always)]
    pub fn vms(&self) -> &VmTable {
        &self.vms
    }

    /// Gives the machine below.
    #[inline(always)]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Counts the pages that are free, and the VMs that exist: what must be as before when a VM has come and gone.
    pub fn figures(&self) -> (usize, usize) {
        (self.pool.with(|pool| pool.free()), self.vms.len())
    }

    /// Says how many VMs there is room for, each with what it is guaranteed.
    pub fn room(&self, guaranteed: usize) -> usize {
        (self.figures().0 / guaranteed).min(vms::MAX_VMS)
    }
}
