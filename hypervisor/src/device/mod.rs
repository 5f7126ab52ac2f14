// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's devices, but for the interrupt controller ([`crate::vgic`]), which has no lock and whose lines theirs are.
//!
//! A device is a file that says all there is to say of it ([`Device`]), and a line of the table at the end of this one.
//! From the table come the dispatch of accesses, the guest's device tree, reset, and what is done when a time has come.
//!
//! Whoever does something with a device has its lock ([`Wired::with`]). Its line goes to the interrupt controller
//! before the lock is given back, so that lines change in the order in which the device did; what takes long is done
//! afterwards ([`Effect`]).
#![forbid(unsafe_code)]

pub mod pl011;
pub mod pl031;

use crate::lock::{self, Lock};
use crate::vgic::{VcpuMask, Vgic};
use alloc::format;
use alloc::string::String;
use firmware_support::board::{Board, VIRT};
use pl011::Pl011;
use pl031::Pl031;
use shared_abi::client::VmId;
use shared_abi::layout::Range;
use vm_fdt::{Error, FdtWriter};

/// Where a guest finds which device: the machine that it takes its VM for is QEMU's, whatever the real one is.
pub const BOARD: Board = VIRT;

/// A device, as its VM finds it. It knows neither VM nor vCPU.
pub trait Device {
    /// What its node is called, but for the address.
    const NAME: &'static str;
    /// Where its registers are.
    const RANGE: Range;
    /// The SPI that is its line: INTID 32 is SPI 0.
    const SPI: u32;

    /// Makes the device out of reset, in a machine that is switched on.
    fn new(vm: VmId) -> Self;

    /// Resets it, in a machine that stays on.
    fn reset(&mut self);

    /// Reads the register at an offset. What is to be done then. A read brings no deadline forward: nobody would hear
    /// of [`Effect::Due`].
    fn read(&mut self, offset: u64) -> (u32, Effect);

    /// Writes the register at an offset. What is to be done then.
    fn write(&mut self, offset: u64, value: u32) -> Effect;

    /// Says whether its line is up.
    fn line(&self) -> bool;

    /// Says when the counter has to be before there is something to do ([`Device::look`]), whatever the guest does.
    fn deadline(&self) -> Option<u64>;

    /// Does what is due by now. What is to be done then.
    fn look(&mut self, now: u64) -> Effect;

    /// Says in its node what nothing above does: what it is.
    fn describe(node: &mut FdtWriter) -> Result<(), Error>;
}

/// What is to be done when a device's lock has been given back. No more than its kind, which is cheap to hand on: of
/// most accesses there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The device has another [deadline](Device::deadline).
    Due,
    /// Text is to be taken out of it and printed.
    Text,
    /// Bytes that were typed are lost, which is to be said.
    Lost,
}

/// The node of a clock that does not stop, for devices that need one.
pub const CLOCK_PHANDLE: u32 = 2;
/// In an interrupt's specifier: level-sensitive, active high.
pub const LEVEL_HIGH: u32 = 4;

/// Writes what all PrimeCells have.
fn primecell(node: &mut FdtWriter, compatible: &str) -> Result<(), Error> {
    node.property_string_list("compatible", [compatible, "arm,primecell"].map(String::from).to_vec())
}

/// Returns the name of a device's node.
pub fn node_name<D: Device>() -> String {
    format!("{}@{:x}", D::NAME, D::RANGE.base)
}

fn describe<D: Device>(tree: &mut FdtWriter) -> Result<(), Error> {
    // GICv3's binding: an SPI's specifier begins with 0.
    const SPI: u32 = 0;
    let node = tree.begin_node(&node_name::<D>())?;
    D::describe(tree)?;
    tree.property_array_u64("reg", &[D::RANGE.base, D::RANGE.size])?;
    tree.property_array_u32("interrupts", &[SPI, D::SPI, LEVEL_HIGH])?;
    tree.end_node(node)
}

/// A device in its place: its lock, and its line as it was left last.
pub struct Wired<D>(Lock<DeviceAndLine<D>, { lock::DEVICES }>);

struct DeviceAndLine<D> {
    device: D,
    up: bool,
}

impl<D: Device> Wired<D> {
    fn new(vm: VmId) -> Self {
        Self(Lock::new(DeviceAndLine { device: D::new(vm), up: false }))
    }

    /// Does something with the device. The vCPUs that have to look at the interrupt controller then.
    #[inline(always)]
    pub fn with<T>(&self, vgic: &Vgic, f: impl FnOnce(&mut D) -> T) -> (T, VcpuMask) {
        let mut guarded = self.0.lock();
        let result = f(&mut guarded.device);
        let up = guarded.device.line();
        if up == guarded.up {
            return (result, 0);
        }
        guarded.up = up;
        (result, vgic.set_line(32 + D::SPI, up))
    }

    #[inline(always)]
    fn read(&self, vgic: &Vgic, ipa: u64) -> ((u32, Effect), VcpuMask) {
        self.with(vgic, |device| device.read(ipa - D::RANGE.base))
    }

    #[inline(always)]
    fn write(&self, vgic: &Vgic, ipa: u64, value: u32) -> (Effect, VcpuMask) {
        self.with(vgic, |device| device.write(ipa - D::RANGE.base, value))
    }
}

impl<D: Device> DeviceAndLine<D> {
    fn reset(&mut self) {
        self.device.reset();
        self.up = false;
    }
}

macro_rules! devices {
    ($(#[$first_doc:meta])* $first:ident: $first_device:ty, $($(#[$doc:meta])* $name:ident: $device:ty,)*) => {
        /// The devices of a VM.
        pub struct Devices {
            $(#[$first_doc])*
            pub $first: Wired<$first_device>,
            $($(#[$doc])* pub $name: Wired<$device>,)*
        }

        impl Devices {
            /// Makes all of them out of reset.
            pub fn new(vm: VmId) -> Self {
                Self { $first: Wired::new(vm), $($name: Wired::new(vm),)* }
            }

            /// Resets them and the interrupt controller, which no line as it was before reaches then.
            pub fn reset(&self, vgic: &Vgic) {
                let mut $first = self.$first.0.lock();
                $(let mut $name = self.$name.0.lock();)*
                vgic.reset();
                $first.reset();
                $($name.reset();)*
            }

            /// Says whether one of them is there.
            pub fn has(ipa: u64) -> bool {
                <$first_device>::RANGE.holds(ipa, 1) $(|| <$device>::RANGE.holds(ipa, 1))*
            }

            /// Says whether the first one is there.
            #[inline(always)]
            pub fn is_first(ipa: u64) -> bool {
                <$first_device>::RANGE.holds(ipa, 1)
            }

            /// Reads a register of the first one. What is to be done then, and which vCPUs have to look at the
            /// interrupt controller.
            #[inline(always)]
            pub fn read_first(&self, vgic: &Vgic, ipa: u64) -> ((u32, Effect), VcpuMask) {
                self.$first.read(vgic, ipa)
            }

            /// Reads a register of one of the others. What is returned is as for [`Self::read_first`]; `None` if none
            /// is there.
            pub fn read_other(&self, vgic: &Vgic, ipa: u64) -> Option<((u32, Effect), VcpuMask)> {
                $(
                    if <$device>::RANGE.holds(ipa, 1) {
                        return Some(self.$name.read(vgic, ipa));
                    }
                )*
                None
            }

            /// Writes a register of the first one. What is returned is as for [`Self::read_first`].
            #[inline(always)]
            pub fn write_first(&self, vgic: &Vgic, ipa: u64, value: u32) -> (Effect, VcpuMask) {
                self.$first.write(vgic, ipa, value)
            }

            /// Writes a register of one of the others. What is returned is as for [`Self::read_other`].
            pub fn write_other(&self, vgic: &Vgic, ipa: u64, value: u32) -> Option<(Effect, VcpuMask)> {
                $(
                    if <$device>::RANGE.holds(ipa, 1) {
                        return Some(self.$name.write(vgic, ipa, value));
                    }
                )*
                None
            }

            /// Does what is due by now: says of each device what is to be done, and which vCPUs have to look at the
            /// interrupt controller.
            pub fn look(&self, vgic: &Vgic, now: u64, mut act: impl FnMut(Effect, VcpuMask)) {
                let (effect, vcpus) = self.$first.with(vgic, |device| device.look(now));
                act(effect, vcpus);
                $(
                    let (effect, vcpus) = self.$name.with(vgic, |device| device.look(now));
                    act(effect, vcpus);
                )*
            }

            /// Returns the first of their deadlines.
            pub fn deadline(&self) -> Option<u64> {
                let first = self.$first.0.lock().device.deadline();
                [first, $(self.$name.0.lock().device.deadline(),)*].into_iter().flatten().min()
            }

            /// Writes their nodes.
            pub fn describe(tree: &mut FdtWriter) -> Result<(), Error> {
                describe::<$first_device>(tree)?;
                $(describe::<$device>(tree)?;)*
                Ok(())
            }
        }
    };
}

// The first one is on the measured path, apart from the others: the way to it is not to be longer for them.
devices! {
    /// What it prints, and what is typed for it.
    uart: Pl011,
    /// The time.
    rtc: Pl031,
}
