// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shared console on the UART, as the `log` crate's sink and as everybody's source.

use super::uart::Pl011;
use crate::arch::one_per_machine;
use crate::console::Console;
use crate::lock::{self, Counted};
use log::{Level, LevelFilter, Log, Metadata, Record};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// The console behind its lock. No ticket lock: see [`seize`].
type Shared = SpinMutex<Option<Console<Pl011>>, Counted<{ lock::CONSOLE }>>;

one_per_machine! {
    /// Returns the console. Its device is mapped by the time `init` is called; before that nobody prints.
    fn console() -> &'static Shared = SpinMutex::new(None);
}

/// The locked console.
pub struct Locked(SpinMutexGuard<'static, Option<Console<Pl011>>, Counted<{ lock::CONSOLE }>>);

impl core::ops::Deref for Locked {
    type Target = Console<Pl011>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("the console is set up first")
    }
}

impl core::ops::DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect("the console is set up first")
    }
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            lock().log(*record.args());
        }
    }

    fn flush(&self) {}
}

/// Sets the console up.
///
/// # Safety
///
/// Once only, with the UART mapped.
#[cfg(target_os = "none")]
pub unsafe fn init() {
    // SAFETY: as the caller promises.
    begin(unsafe { super::uart::open() });
}

/// Sets the console up on a device.
pub fn begin(device: Pl011) {
    *console().lock() = Some(Console::new(device));
    // It can only fail if there is a logger already.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Locks the console, when nobody else has it.
pub fn lock() -> Locked {
    Locked(console().lock())
}

/// Takes the console for somebody's last words, whoever has it: the holder will not run again.
///
/// # Safety
///
/// The caller must never return to what it interrupted.
pub unsafe fn seize() -> Option<Locked> {
    // SAFETY: as the caller promises; another CPU may garble the line, but no memory.
    unsafe { console().force_unlock() };
    let locked = console().lock();
    locked.is_some().then_some(Locked(locked))
}
