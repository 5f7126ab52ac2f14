// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the devices are, and those beside the interrupt controller as checks expect them.

use crate::arch::catch;
use crate::arch::mmio::write32;
use crate::arch::sysreg::write;
use firmware_support::board::VIRT;
use shared_abi::layout::Range;

/// The GIC's distributor, which [`crate::gic`] drives.
pub(crate) const GICD: Range = VIRT.distributor;
/// The PL011.
pub(crate) const UART: Range = VIRT.uart.registers;
/// The PL031.
pub(crate) const RTC: Range = VIRT.rtc.registers;

/// UARTIMSC, UARTICR, RTCIMSC, RTCICR.
const UART_MASK: u64 = UART.base + 0x38;
const UART_CLEAR: u64 = UART.base + 0x44;
const RTC_MASK: u64 = RTC.base + 0x10;
const RTC_CLEAR: u64 = RTC.base + 0x1C;

/// Devices and timers as checks expect them: no interrupt.
pub(crate) fn init() {
    write32(UART_MASK, 0);
    write32(UART_CLEAR, 0x7FF);
    write32(RTC_MASK, 0);
    write32(RTC_CLEAR, 1);
    write!("cntv_ctl_el0", 0);
    catch(|| write!("cntp_ctl_el0", 0));
}
