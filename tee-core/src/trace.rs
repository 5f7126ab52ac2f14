//! What the TEE tells about itself ([`shared_abi::trace`]), in builds with the feature `trace`.
//!
//! In others there is nothing of it: what the macros are given is not even evaluated. On the host everything is told,
//! to the test that asks for it (`arch::host::trace`).
//!
//! A record is about the client whose call the CPU works on, unless it names a VM: `event!(id => VmCreated { … })`.

use crate::entry::{Answer, Arguments};
use crate::heap::Heap;
use crate::nexus::pages::{PAGE_SIZE, Page};
use crate::tee::Tee;
use shared_abi::client::VmId;
use shared_abi::layout;
use shared_abi::trace::World;
pub use shared_abi::trace::{Event, Owner, Refusal};

/// Whether this build tells anything.
pub const ON: bool = cfg!(tracing);

/// Tells of an event: of the call that this CPU works on, or of the VM that is named first.
macro_rules! event {
    ($id:expr => $($event:tt)*) => {
        if $crate::trace::ON {
            let event = $crate::trace::Event::$($event)*;
            $crate::arch::trace::write(Some($crate::trace::number($id)), &event.encode());
        }
    };
    ($($event:tt)*) => {
        if $crate::trace::ON {
            $crate::arch::trace::write(None, &$crate::trace::Event::$($event)*.encode());
        }
    };
}
pub(crate) use event;

/// Tells that something is refused, why, and the value that it is about; is what the refusal is answered with.
macro_rules! refused {
    ($reason:ident, $value:expr, $answer:expr) => {{
        $crate::trace::event!(Refused { reason: $crate::trace::Refusal::$reason, value: $value });
        $answer
    }};
}
pub(crate) use refused;

/// A call has arrived. What this CPU tells from now on is about who makes it.
#[inline(always)]
pub fn called(x: &Arguments) {
    if ON {
        crate::arch::trace::called(x);
    }
}

/// The call's answer goes back.
#[inline(always)]
pub fn answered(x: &Answer) {
    event!(Answer { to: World::Normal, vcpu: 0, x: *x, pc: 0 });
}

/// A VM has its partition.
#[inline(always)]
pub fn created(tee: &Tee, id: VmId, pages: usize) {
    if ON {
        let (free, vms) = tee.figures();
        event!(id => VmCreated { pages: pages as u64, free: free as u64, vms: vms as u64 });
    }
}

/// A VM has nothing any more.
#[inline(always)]
pub fn reclaimed(tee: &Tee, id: VmId, pages: usize) {
    if ON {
        let (free, vms) = tee.figures();
        event!(id => VmReclaimed { pages: pages as u64, free: free as u64, vms: vms as u64 });
    }
}

/// How full a partition's heap is.
#[inline(always)]
pub fn heap(heap: &Heap<'_>) {
    if ON {
        let figures = heap.figures();
        let (used, peak, size) = (figures.allocated as u64, figures.max_allocated as u64, figures.size as u64);
        event!(Heap { used, peak, size });
    }
}

/// What the TEE's memory is used for at the start: the image, and behind it the free pages.
#[inline(always)]
pub fn memory(image_end: u64, end: u64) {
    event!(Memory { owner: Owner::Tee, base: layout::TEE.base, size: image_end - layout::TEE.base, ipa: 0 });
    event!(Memory { owner: Owner::Free, base: image_end, size: end.saturating_sub(image_end), ipa: 0 });
}

/// Pages of a VM change hands: a record for each run of pages that follow each other.
#[inline(always)]
pub fn pages(id: VmId, owner: fn(&Page) -> Owner, pages: &[Page]) {
    if ON {
        tell_pages(id, owner, pages);
    }
}

fn tell_pages(id: VmId, owner: fn(&Page) -> Owner, pages: &[Page]) {
    let together = |a: &Page, b: &Page| a.pa() + PAGE_SIZE as u64 == b.pa() && owner(a) == owner(b);
    for run in pages.chunk_by(together) {
        let (base, size) = (run[0].pa(), (run.len() * PAGE_SIZE) as u64);
        event!(id => Memory { owner: owner(&run[0]), base, size, ipa: 0 });
    }
}

/// Whose a page is that nobody has any more.
pub fn given_back(page: &Page) -> Owner {
    if page.is_dirty() { Owner::Dirty } else { Owner::Free }
}

/// The first words of what is about to be said last.
#[inline(always)]
pub fn panic(words: core::fmt::Arguments<'_>) {
    if ON {
        crate::arch::trace::write_last(&Event::last_words(words).encode());
    }
}

/// A VM's number, as the TEE takes it.
pub(crate) fn number(id: VmId) -> u16 {
    crate::ids::number(id)
}
