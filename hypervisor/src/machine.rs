// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a VM has beside RAM and CPUs' registers: its devices and the power states of its vCPUs.
//!
//! The interrupt controller needs no lock ([`crate::vgic`]); each of the others has one of its own. A device's line
//! goes to the interrupt controller before its lock is given back, so that lines change in the order in which the
//! device did.
#![forbid(unsafe_code)]

use crate::lock::{self, Lock};
use crate::trace::Client;
use crate::vgic::{VcpuMask, Vgic};
use crate::vpl011::Pl011;
use crate::vpsci::{Psci, Start};
use crate::vrtc::Pl031;
use shared_abi::client::VmId;

/// INTID of the UART: SPI 1.
pub const UART_INTERRUPT: u32 = 33;
/// INTID of the real-time clock: SPI 2.
pub const RTC_INTERRUPT: u32 = 34;

/// Why a VM ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It asked for it, or its last CPU went off.
    Off,
    /// It asked to start again.
    Reset,
    /// It can't go on.
    Crash(&'static str),
}

/// The vCPUs' power states, and what becomes of them.
pub struct Power {
    /// Which are on.
    pub psci: Psci,
    /// Why the VM is about to end.
    pub end: Option<End>,
}

/// The devices and power states of a VM.
pub struct Machine {
    /// The interrupt controller.
    pub vgic: Vgic,
    /// Power states.
    pub power: Lock<Power, { lock::DEVICES }>,
    uart: Lock<Wired<Pl011>, { lock::DEVICES }>,
    rtc: Lock<Wired<Pl031>, { lock::DEVICES }>,
}

/// A device and its line to the interrupt controller, as it was left last.
struct Wired<T> {
    device: T,
    up: bool,
}

impl<T> Wired<T> {
    const fn new(device: T) -> Self {
        Self { device, up: false }
    }
}

impl Machine {
    /// All out of reset.
    pub fn new(id: VmId, vcpus: usize, first: Start) -> Self {
        Self {
            vgic: Vgic::new(Client::of(id), vcpus),
            power: Lock::new(Power { psci: Psci::new(vcpus, first), end: None }),
            uart: Lock::new(Wired::new(Pl011::new(id))),
            rtc: Lock::new(Wired::new(Pl031::new())),
        }
    }

    /// All out of reset again, but for the time: the clock goes on. No vCPU is on.
    pub fn reset(&self, id: VmId, first: Start) {
        // No line of a device as it was before reaches the new interrupt controller.
        let (mut uart, mut rtc) = (self.uart.lock(), self.rtc.lock());
        self.vgic.reset();
        *uart = Wired::new(Pl011::new(id));
        *rtc = Wired::new(rtc.device.after_reset());
        drop((uart, rtc));
        *self.power.lock() = Power { psci: Psci::new(self.vgic.vcpus(), first), end: None };
    }

    /// Does something with the UART. The vCPUs that have to look at the interrupt controller then.
    #[inline(always)]
    pub fn with_uart<T>(&self, f: impl FnOnce(&mut Pl011) -> T) -> (T, VcpuMask) {
        let mut uart = self.uart.lock();
        let result = f(&mut uart.device);
        let up = uart.device.interrupt();
        if up == uart.up {
            return (result, 0);
        }
        uart.up = up;
        (result, self.vgic.set_line(UART_INTERRUPT, up))
    }

    /// Does something with the real-time clock. The vCPUs that have to look at the interrupt controller then.
    pub fn with_rtc<T>(&self, f: impl FnOnce(&mut Pl031) -> T) -> (T, VcpuMask) {
        let mut rtc = self.rtc.lock();
        let result = f(&mut rtc.device);
        let up = rtc.device.interrupt();
        if up == rtc.up {
            return (result, 0);
        }
        rtc.up = up;
        (result, self.vgic.set_line(RTC_INTERRUPT, up))
    }
}
