// SPDX-License-Identifier: MIT OR Apache-2.0
//! How VMs come, grow and go: pages become a partition's memory, and cease to be.
#![expect(unsafe_code, reason = "the memory module of the nexus: pages and the address spaces they appear in")]

use super::current::Inside;
use super::peephole;
use super::start;
use super::tee::Tee;
use super::vms::{Life, SlotIndex};
use crate::arch::{Machine, ThisCpu};
use crate::heap::Memory;
use crate::memory::pages::{PAGE_SIZE, Page, PagePool};
use crate::partition::layout::{GUARANTEED, HEAP, HEAP_PAGES, QUOTA};
use crate::trace::{self, Owner, event, refused};
use shared_abi::client::VmId;

/// The VM cannot be created or destroyed: unknown, in use, or no memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

/// Zeroes a page if it may hold something.
fn scrub(machine: &Machine, page: &mut Page) {
    if page.is_dirty() {
        // SAFETY: whoever has the page is its only user, and it is borrowed mutably.
        unsafe {
            peephole::zero(machine, page.pa());
            page.mark_clean();
        }
    }
}

/// Tells that pages of a VM change hands: a record for each run of pages that follow each other.
#[inline(always)]
fn tell_pages(id: VmId, owner: fn(&Page) -> Owner, pages: &[Page]) {
    if trace::ON {
        tell_runs(id, owner, pages);
    }
}

fn tell_runs(id: VmId, owner: fn(&Page) -> Owner, pages: &[Page]) {
    let together = |a: &Page, b: &Page| a.pa() + PAGE_SIZE as u64 == b.pa() && owner(a) == owner(b);
    for run in pages.chunk_by(together) {
        let (base, size) = (run[0].pa(), (run.len() * PAGE_SIZE) as u64);
        event!(id => Memory { owner: owner(&run[0]), base, size, ipa: 0 });
    }
}

/// Says whose a page is that nobody has any more.
fn given_back(page: &Page) -> Owner {
    if page.is_dirty() { Owner::Dirty } else { Owner::Free }
}

impl Tee {
    /// Makes a partition for a VM that has none (VM_CREATED).
    ///
    /// The new partition is made from constants (`Partition::new`), never from what any mapping shows, and in pages
    /// that nobody else owns. Until it is complete the id is in the table but cannot be entered.
    pub fn create(&self, _cpu: &mut ThisCpu, id: VmId) -> Result<(), Refused> {
        let index = self.vms().insert(id).ok_or_else(|| refused!(VmExists, id.get().into(), Refused))?;
        let slot = self.vms().slot(index);
        let built = slot.state.with(|state| {
            self.pool
                .with(|pool| pool.take(GUARANTEED, &mut state.pages))
                .map_err(|_| refused!(NoMemory, GUARANTEED as u64, Refused))?;
            state.pages.iter_mut().for_each(|page| scrub(self.machine(), page));
            tell_pages(id, |_| Owner::Partition, &state.pages);
            // SAFETY: the pages are this VM's alone, zero, and the slot is in use by nobody else. Who has this CPU's
            // token has nothing selected.
            unsafe { slot.space.build(self.machine(), index, &mut state.pages) };
            // SAFETY: it was built just now, and cannot be entered yet.
            let Ok(life) = (unsafe { start::begin(slot, self.machine(), index, id) }) else {
                // SAFETY: nobody has it selected.
                unsafe { slot.space.tear_down(self.machine(), index) };
                tell_pages(id, given_back, &state.pages);
                self.pool.with(|pool| pool.give(&mut state.pages));
                return Err(refused!(NoMemory, 0, Refused));
            };
            state.id = Some(id);
            state.life = life;
            slot.state.waits().reset();
            slot.shared_waits.reset();
            slot.set_live(Some(id));
            Ok(())
        });
        if built.is_err() {
            self.vms().remove(id);
        } else {
            start::announce(slot, id);
            if trace::ON {
                let (free, vms) = self.figures();
                event!(id => VmCreated { pages: GUARANTEED as u64, free: free as u64, vms: vms as u64 });
            }
        }
        built
    }

    /// Ends a VM (VM_DESTROYED). It never waits: calls that are suspended are dead, and if CPUs are inside, the last
    /// one to leave reclaims the memory.
    pub fn destroy(&self, id: VmId) -> Result<(), Refused> {
        let drained = self.vms().with(id, |slot, state| {
            if !matches!(state.life, Life::Created | Life::Ready) {
                return Err(Refused);
            }
            self.vms().slot(slot).set_live(None);
            let idle = state.inside == 0;
            state.life = if idle { Life::Building } else { Life::Draining };
            Ok(idle.then_some(slot))
        });
        if trace::ON {
            match drained {
                Some(Ok(idle)) => event!(id => VmDestroyed { draining: idle.is_none() }),
                Some(Err(Refused)) => refused!(VmIsGoing, id.get().into(), ()),
                None => refused!(UnknownVm, id.get().into(), ()),
            }
        }
        if let Some(slot) = drained.unwrap_or(Err(Refused))? {
            self.reclaim(slot);
        }
        Ok(())
    }

    /// Takes back everything of a VM that no CPU is in and that nobody can enter any more. The guaranteed pages are
    /// scrubbed now, so that no secret outlives its VM by more than what it grew by; the rest goes back dirty and is
    /// scrubbed before it is handed out.
    pub(super) fn reclaim(&self, index: SlotIndex) {
        let slot = self.vms().slot(index);
        let mut pages = 0;
        let id = slot.state.with(|state| {
            // SAFETY: no CPU has the space selected, and none can select it while the VM is neither Created nor Ready.
            unsafe { slot.space.tear_down(self.machine(), index) };
            state.pages.iter_mut().take(GUARANTEED).for_each(|page| scrub(self.machine(), page));
            if let Some(id) = state.id.filter(|_| trace::ON) {
                pages = state.pages.len();
                tell_pages(id, given_back, &state.pages);
            }
            self.pool.with(|pool| pool.give(&mut state.pages));
            state.id.take()
        });
        if let Some(id) = id {
            self.vms().remove(id);
            if let Some(line) = slot.destroyed.take() {
                log::info!("{id} destroyed{line}");
            }
            if trace::ON {
                let (free, vms) = self.figures();
                event!(id => VmReclaimed { pages: pages as u64, free: free as u64, vms: vms as u64 });
            }
        }
    }

    /// Grows the heap of a thread's VM by `count` pages. Returns them, or `None` if the quota or the pool says no.
    pub(crate) fn grow<'p>(&self, inside: &Inside<'p>, count: usize) -> Option<Memory<'p>> {
        let slot = self.vms().slot(inside.slot());
        slot.state.with(|state| {
            let before = state.pages.len();
            let take = |pool: &mut PagePool| pool.take(count, &mut state.pages);
            if count > QUOTA - before || self.pool.with_for(&slot.shared_waits, take).is_err() {
                return None;
            }
            state.pages.iter_mut().skip(before).for_each(|page| scrub(self.machine(), page));
            if let Some(id) = state.id.filter(|_| trace::ON) {
                tell_pages(id, |_| Owner::Partition, &state.pages[before..]);
            }
            let heap_page = HEAP + HEAP_PAGES + before - GUARANTEED;
            // SAFETY: the pages are this VM's alone, zero, and their places in the heap's range were never mapped.
            Some(unsafe { slot.space.extend(self.machine(), &mut state.pages, before, heap_page) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::host::cpu;
    use crate::host::normal_world::NormalWorld;
    use crate::nexus::current::Work;
    use crate::partition::threads::Stopped;
    use shared_abi::optee_smc::ReturnCode;
    use shared_abi::smccc::FunctionId;

    const ROOM: usize = QUOTA - GUARANTEED;

    /// Grows as far as it can, and asks for too much before and after, while another has the pool.
    struct ToTheQuota;

    impl Work for ToTheQuota {
        fn run(inside: Inside<'_>, _: FunctionId, _: [u64; 3]) -> ReturnCode {
            let tee = inside.tee();
            let refused = |count| tee.pool.with(|_| tee.grow(&inside, count)).is_none();
            assert!(refused(ROOM + 1));
            assert!(tee.grow(&inside, ROOM - 1).is_some());
            assert!(refused(2));
            assert!(tee.grow(&inside, 1).is_some(), "the quota is what a VM may have");
            assert!(refused(1));
            ReturnCode::Ok
        }
    }

    #[test]
    fn a_vm_gets_its_quota_and_one_that_has_it_does_not_touch_the_pool_of_all() {
        let world = NormalWorld::with_vms(&[1]);
        let before = world.tee.figures().0;
        cpu::in_call(|| {
            // SAFETY: this CPU does nothing else.
            let mut cpu = unsafe { ThisCpu::new() };
            let current = world.tee.select_to_run(&mut cpu, VmId::new(1).unwrap()).unwrap();
            let thread = current.partition().threads().claim().unwrap();
            let Stopped::Done(0) = current.start::<ToTheQuota>(thread, FunctionId(0), [0; 3]) else { panic!() };
        });
        assert_eq!(world.tee.figures().0, before - ROOM);
    }
}
