//! What a VM has beside RAM and CPUs' registers: its devices and the state of its vCPUs, under one lock per VM.
//!
//! One lock, because nearly every access ends in the interrupt controller anyway; the VM's vCPUs alone contend for it.
#![forbid(unsafe_code)]

use crate::trace::Client;
use crate::vgic::Vgic;
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

/// The devices and power states of a VM.
pub struct Machine {
    /// The interrupt controller.
    pub vgic: Vgic,
    /// The UART.
    pub uart: Pl011,
    /// The real-time clock.
    pub rtc: Pl031,
    /// The vCPUs' power states.
    pub psci: Psci,
    /// Why the VM is about to end.
    pub end: Option<End>,
}

impl Machine {
    /// All out of reset.
    pub fn new(id: VmId, vcpus: usize, first: Start) -> Self {
        Self {
            vgic: Vgic::new(Client::of(id), vcpus),
            uart: Pl011::new(id),
            rtc: Pl031::new(),
            psci: Psci::new(vcpus, first),
            end: None,
        }
    }

    /// All out of reset again, but for the time: the clock goes on.
    pub fn reset(&mut self, id: VmId, vcpus: usize, first: Start) {
        let rtc = self.rtc.after_reset();
        *self = Self { rtc, ..Self::new(id, vcpus, first) };
    }

    /// The UART's line goes to the interrupt controller.
    #[inline]
    pub fn update_uart(&mut self) {
        self.vgic.set_line(UART_INTERRUPT, self.uart.interrupt());
    }

    /// The clock's line goes to the interrupt controller.
    pub fn update_rtc(&mut self) {
        self.vgic.set_line(RTC_INTERRUPT, self.rtc.interrupt());
    }
}
