// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the TEE tells about itself ([`shared_abi::trace`]), in builds with the feature `trace`.
//!
//! In others there is nothing of it: what the macros are given is not even evaluated. On the host everything is told,
//! to the test that asks for it ([`tape`]).
//!
//! A record is about the client whose call the CPU works on, unless it names a VM: `event!(id => VmCreated { … })`.

#[cfg(not(target_os = "none"))]
pub mod tape;

use crate::arch::{Answer, Arguments};
#[cfg(target_os = "none")]
pub(crate) use crate::platform::recorder as sink;
use shared_abi::client::VmId;
use shared_abi::layout;
use shared_abi::trace::World;
pub use shared_abi::trace::{Event, Owner, Refusal};
#[cfg(not(target_os = "none"))]
pub(crate) use tape as sink;

/// Whether this build tells anything.
pub const ON: bool = cfg!(tracing);

/// Tells of an event: of the call that this CPU works on, or of the VM that is named first.
macro_rules! event {
    ($id:expr => $($event:tt)*) => {
        if $crate::trace::ON {
            let event = $crate::trace::Event::$($event)*;
            $crate::trace::sink::write(Some($crate::trace::number($id)), &event.encode());
        }
    };
    ($($event:tt)*) => {
        if $crate::trace::ON {
            $crate::trace::sink::write(None, &$crate::trace::Event::$($event)*.encode());
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

/// Tells that a call has arrived. What this CPU tells from now on is about who makes it.
#[inline(always)]
pub fn called(x: &Arguments) {
    if ON {
        sink::called(x);
    }
}

/// Tells that the call's answer goes back.
#[inline(always)]
pub fn answered(x: &Answer) {
    event!(Answer { to: World::Normal, vcpu: 0, x: *x, pc: 0 });
}

/// Tells what the TEE's memory is used for at the start: the image, and behind it the free pages.
#[inline(always)]
pub fn memory(image_end: u64, end: u64) {
    event!(Memory { owner: Owner::Tee, base: layout::TEE.base, size: image_end - layout::TEE.base, ipa: 0 });
    event!(Memory { owner: Owner::Free, base: image_end, size: end.saturating_sub(image_end), ipa: 0 });
}

/// Tells the first words of what is about to be said last.
#[inline(always)]
pub fn panic(words: core::fmt::Arguments<'_>) {
    if ON {
        sink::write_last(&Event::last_words(words).encode());
    }
}

/// Returns a VM's number, as the TEE takes it.
pub(crate) fn number(id: VmId) -> u16 {
    crate::ids::number(id)
}
