// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notifications of the TEE, on their way to VMs.
//!
//! The TEE raises one interrupt for all VMs and does not say which of them it means. So every VM that has enabled
//! notifications is interrupted, and asks the TEE whether there is anything for it.
//!
//! One interrupt costs a look at each VM, of which there are [`MAX_VMS`](crate::resources::MAX_VMS) at most. The TEE
//! may raise it again at once, and for ever: after so many in a window of time ([`MOST`]) it is not heard before the
//! next window begins. What it raised meanwhile is still pending then.
#![forbid(unsafe_code)]

use crate::arch::{one_per_machine, timer};
use crate::platform::gic;
use crate::registry;
use crate::tee::{Mediator, Tee};
use crate::vm::Vm;
use spin::Once;

/// How many interrupts are passed on in a window; more than any TEE has to say that waits for answers.
pub const MOST: u32 = 256;
/// Windows in a second.
pub const WINDOWS: u64 = 20;
/// When what is not awaited comes.
const NEVER: u64 = u64::MAX;

one_per_machine! {
    /// Returns the INTID by which the TEE notifies, once it is listened to.
    fn intid() -> &'static Once<u32> = Once::new();
}

/// Has the TEE's interrupt come to this CPU from now on. Says whether there is such an interrupt.
pub fn listen(number: u32) -> bool {
    let there = gic::take_edges(number);
    if there {
        intid().call_once(|| number);
    }
    there
}

/// How a CPU hears of notifications.
pub struct Ear {
    /// When the window began.
    since: u64,
    /// Interrupts since then.
    count: u32,
    /// When it hears again.
    opens: u64,
}

impl Default for Ear {
    fn default() -> Self {
        Self::new()
    }
}

impl Ear {
    /// Makes one that has heard nothing yet.
    pub const fn new() -> Self {
        Self { since: 0, count: 0, opens: NEVER }
    }

    /// Passes an interrupt on to all VMs that want it, if it is the TEE's.
    #[cold]
    pub fn hear(&mut self, number: u32) {
        if intid().get() != Some(&number) {
            return;
        }
        let mut place = 0;
        while let Some((at, vm)) = registry::from(place) {
            tell(&vm);
            place = at + 1;
        }
        let (now, window) = (timer::now(), timer::frequency() / WINDOWS);
        if now.saturating_sub(self.since) >= window {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
        if self.count == MOST {
            gic::enable(number, false);
            self.opens = self.since + window;
        }
    }

    /// Says when it is to be [opened](Self::open); far away if it is open.
    #[inline(always)]
    pub fn opens(&self) -> u64 {
        self.opens
    }

    /// Hears again.
    #[cold]
    pub fn open(&mut self) {
        *self = Self::new();
        if let Some(number) = intid().get() {
            gic::enable(*number, true);
        }
    }
}

/// Interrupts a VM that wants notifications.
fn tell(vm: &Vm) {
    // The VM does not begin anew meanwhile: what it is interrupted by would reach somebody who asked for nothing.
    let tee = vm.tee.read();
    if tee.as_ref().is_some_and(Tee::wants_notifications) && !vm.is_stopping() {
        vm.notify(vm.vgic.pulse(32 + Tee::NOTIFICATION_SPI));
    }
}
