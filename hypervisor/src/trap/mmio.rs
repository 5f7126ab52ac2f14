//! Accesses to the devices of the guest contract.
#![forbid(unsafe_code)]

use super::syndrome::Access;
use crate::arch::timer;
use crate::platform::console;
use crate::vcpu::Vcpu;
use crate::vgic::VcpuMask;
use crate::vm::{self, Vm};
use crate::vpl011::Effect;
use shared_abi::layout::{GICD, GICR, RTC, UART_NS};

/// Emulates an access; `false` if there is no device.
#[inline]
pub fn emulate(vcpu: &mut Vcpu, ipa: u64, access: Access) -> bool {
    // Registers lie at multiples of their size; a device answers nothing else.
    if ipa & u64::from(access.width - 1) != 0 {
        return false;
    }
    if access.write {
        let value = access.stored(vcpu.read(access.register));
        write(vcpu, ipa, access.width, value)
    } else {
        let Some(value) = read(vcpu, ipa, access.width) else { return false };
        vcpu.write(access.register, access.loaded(value));
        true
    }
}

#[inline]
fn read(vcpu: &mut Vcpu, ipa: u64, width: u8) -> Option<u64> {
    let mut machine = vcpu.vm.machine.lock();
    if UART_NS.holds(ipa, 1) {
        const DATA: u64 = 0;
        let offset = ipa - UART_NS.base;
        let value = machine.uart.read(offset);
        if offset == DATA {
            machine.update_uart();
            let others = settle(vcpu, &mut machine.vgic);
            let lost = machine.uart.take_lost();
            drop(machine);
            vcpu.vm.notify(others);
            if lost != 0 {
                say_lost(vcpu.vm, lost);
            }
        }
        Some(u64::from(value))
    } else if GICD.holds(ipa, 1) {
        let offset = ipa - GICD.base;
        if is_state(offset) {
            vcpu.refresh(&mut machine);
        }
        Some(machine.vgic.read_distributor(offset, width))
    } else if GICR.holds(ipa, 1) {
        vcpu.refresh(&mut machine);
        machine.vgic.read_redistributor(ipa - GICR.base, width)
    } else if RTC.holds(ipa, 1) {
        Some(u64::from(machine.rtc.read(ipa - RTC.base, vm::seconds())))
    } else {
        None
    }
}

#[cold]
fn say_lost(vm: &Vm, bytes: u32) {
    log::info!("{}: {bytes} bytes typed for it are lost", vm.config.id);
}

#[inline]
fn write(vcpu: &mut Vcpu, ipa: u64, width: u8, value: u64) -> bool {
    let mut machine = vcpu.vm.machine.lock();
    if UART_NS.holds(ipa, 1) {
        if machine.uart.write(ipa - UART_NS.base, value as u32, timer::now) == Effect::Line {
            machine.uart.print_line(&mut console::lock());
        }
        machine.update_uart();
    } else if GICD.holds(ipa, 1) {
        let offset = ipa - GICD.base;
        if is_state(offset) {
            vcpu.refresh(&mut machine);
        }
        machine.vgic.write_distributor(offset, width, value);
    } else if GICR.holds(ipa, 1) {
        vcpu.refresh(&mut machine);
        if !machine.vgic.write_redistributor(ipa - GICR.base, width, value) {
            return false;
        }
    } else if RTC.holds(ipa, 1) {
        machine.rtc.write(ipa - RTC.base, value as u32, vm::seconds());
        machine.update_rtc();
    } else {
        return false;
    }
    let others = settle(vcpu, &mut machine.vgic);
    drop(machine);
    vcpu.vm.notify(others);
    true
}

/// GICD_ISPENDR to GICD_ICACTIVER: what they show may have changed in the list registers.
fn is_state(offset: u64) -> bool {
    (0x200..0x400).contains(&offset)
}

/// Brings this vCPU's list registers up to date if anything changed for it, and says for whom else it did.
#[inline]
fn settle(vcpu: &Vcpu, vgic: &mut crate::vgic::Vgic) -> VcpuMask {
    let stale = vgic.take_stale();
    let own = 1 << vcpu.index;
    if stale & own != 0 {
        vgic.refresh(vcpu.index, &mut crate::arch::virtual_interface::Interface);
    }
    stale & !own
}
