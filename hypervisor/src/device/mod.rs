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

use crate::interrupts::{LEVEL_HIGH, SPI};
use crate::lock::{self, Lock};
use crate::vgic::{SPIS, VcpuMask, Vgic};
use alloc::format;
use alloc::string::String;
use firmware_support::board::{Board, VIRT};
use pl011::Pl011;
use pl031::Pl031;
use shared_abi::client::VmId;
use shared_abi::layout::{DRAM_BASE, Range};
use vm_fdt::{Error, FdtWriter};

/// Where a guest finds which device: the machine that it takes its VM for is QEMU's, whatever the real one is.
pub const BOARD: Board = VIRT;

/// A device, as its VM finds it. It knows neither VM nor vCPU.
pub trait Device {
    /// What its node is called, but for the address.
    const NAME: &'static str;
    /// What its node says that it is, the nearest first.
    const COMPATIBLE: &'static [&'static str];
    /// Where its registers are: of what QEMU has, as [`BOARD`] says.
    const RANGE: Range;
    /// The SPI that is its line, if it has one: INTID 32 is SPI 0.
    const SPI: Option<u32> = None;

    /// Makes the device out of reset, in a machine that is switched on.
    fn new(vm: VmId) -> Self;

    /// Resets it, in a machine that stays on.
    fn reset(&mut self);

    /// Reads the register at an offset, of which the guest gets as many bytes as it asked for. Offsets are multiples of
    /// that width, not of four. What is to be done then. A read brings no deadline forward: nobody would hear
    /// of [`Effect::Due`].
    fn read(&mut self, offset: u64) -> (u32, Effect);

    /// Writes the register at an offset: of a narrower access the other bits are 0, of a wider one these are the lower
    /// 32. What is to be done then.
    fn write(&mut self, _offset: u64, _value: u32) -> Effect {
        Effect::Nothing
    }

    /// Says whether its line is up.
    fn line(&self) -> bool {
        false
    }

    /// Says when the counter has to be before there is something to do ([`Device::look`]), whatever the guest does.
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Does what is due by now. What is to be done then.
    fn look(&mut self, _now: u64) -> Effect {
        Effect::Nothing
    }

    /// Says in its node what nothing above does.
    fn describe(_node: &mut FdtWriter) -> Result<(), Error> {
        Ok(())
    }
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

/// Returns the name of a device's node.
pub fn node_name<D: Device>() -> String {
    format!("{}@{:x}", D::NAME, D::RANGE.base)
}

fn describe<D: Device>(tree: &mut FdtWriter) -> Result<(), Error> {
    let node = tree.begin_node(&node_name::<D>())?;
    tree.property_string_list("compatible", D::COMPATIBLE.iter().copied().map(String::from).collect())?;
    D::describe(tree)?;
    tree.property_array_u64("reg", &[D::RANGE.base, D::RANGE.size])?;
    if let Some(spi) = D::SPI {
        tree.property_array_u32("interrupts", &[SPI, spi, LEVEL_HIGH])?;
    }
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
        let Some(spi) = D::SPI else { return (result, 0) };
        let up = guarded.device.line();
        if up == guarded.up {
            return (result, 0);
        }
        guarded.up = up;
        (result, vgic.set_line(32 + spi, up))
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

/// Says whether a device has its addresses to itself: of all, itself among them, none else has one of them, and they
/// are neither the interrupt controller's nor RAM.
const fn has_its_addresses(range: Range, all: &[(Range, Option<u32>)]) -> bool {
    let (mut n, mut takers) = (0, 0);
    while n < all.len() {
        takers += range.overlaps(&all[n].0) as usize;
        n += 1;
    }
    let with_gic = range.overlaps(&BOARD.distributor) || range.overlaps(&BOARD.redistributors);
    // Guests' RAM begins where the machine's does.
    takers == 1 && !with_gic && range.end() <= DRAM_BASE
}

/// Says whether a device's SPI, if any, is no other's.
const fn has_its_spi(spi: Option<u32>, all: &[(Range, Option<u32>)]) -> bool {
    let (mut n, mut takers) = (0, 0);
    while n < all.len() {
        takers += matches!((spi, all[n].1), (Some(one), Some(other)) if one == other) as usize;
        n += 1;
    }
    takers == spi.is_some() as usize
}

/// Says whether the interrupt controller has a device's SPI, if any.
const fn has_an_spi(spi: Option<u32>) -> bool {
    !matches!(spi, Some(SPIS..))
}

/// Says whether an SPI is left for what is no device: the interrupt controller has it, and no device does.
pub const fn is_spare(spi: u32) -> bool {
    let (mut n, mut takers) = (0, 0);
    while n < PLACES.len() {
        takers += matches!(PLACES[n].1, Some(other) if other == spi) as usize;
        n += 1;
    }
    takers == 0 && has_an_spi(Some(spi))
}

macro_rules! in_its_place {
    ($name:ident: $device:ty) => {
        const _: () = {
            const SPI: Option<u32> = <$device>::SPI;
            assert!(
                has_its_addresses(<$device>::RANGE, PLACES),
                concat!("`", stringify!($name), "` has addresses of another device, the interrupt controller or RAM")
            );
            assert!(has_its_spi(SPI, PLACES), concat!("`", stringify!($name), "` has another device's SPI"));
            assert!(has_an_spi(SPI), concat!("`", stringify!($name), "` has an SPI that is not below `SPIS`"));
        };
    };
}

macro_rules! devices {
    ($(#[$first_doc:meta])* $first:ident: $first_device:ty, $($(#[$doc:meta])* $name:ident: $device:ty,)*) => {
        /// Where they are and what their lines are.
        const PLACES: &[(Range, Option<u32>)] =
            &[(<$first_device>::RANGE, <$first_device>::SPI), $((<$device>::RANGE, <$device>::SPI),)*];
        in_its_place!($first: $first_device);
        $(in_its_place!($name: $device);)*

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
            pub const fn has(ipa: u64) -> bool {
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

            /// Lists their nodes and where they are.
            #[cfg(test)]
            pub fn places() -> Vec<(String, Range)> {
                vec![
                    (node_name::<$first_device>(), <$first_device>::RANGE),
                    $((node_name::<$device>(), <$device>::RANGE),)*
                ]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A register, and nothing else.
    struct Plain;

    impl Device for Plain {
        const NAME: &'static str = "plain";
        const COMPATIBLE: &'static [&'static str] = &["triptych,plain"];
        const RANGE: Range = Range::new(0x0B00_0000, 0x1000);

        fn new(_vm: VmId) -> Self {
            Self
        }

        fn reset(&mut self) {}

        fn read(&mut self, offset: u64) -> (u32, Effect) {
            (offset as u32, Effect::Nothing)
        }
    }

    #[test]
    fn a_device_that_says_no_more_has_no_line_and_nothing_to_do() {
        let mut device = Plain::new(VmId::new(1).unwrap());
        assert!(!device.line());
        assert_eq!(device.deadline(), None);
        assert_eq!((device.write(0, 1), device.look(u64::MAX)), (Effect::Nothing, Effect::Nothing));
    }

    #[test]
    fn a_device_has_addresses_and_an_spi_of_its_own() {
        const ONE: (Range, Option<u32>) = (Range::new(0x0B00_0000, 0x1000), Some(1));
        let addresses = |base| {
            let range = Range::new(base, 0x1000);
            has_its_addresses(range, &[ONE, (range, None)]) && has_its_addresses(range, &[(range, None), ONE])
        };
        assert!(addresses(0x0B00_1000) && addresses(0x0AFF_F000) && addresses(0x3FFF_F000));
        assert!(!addresses(0x0B00_0FFF) && !addresses(0x0AFF_F001), "another's");
        assert!(!addresses(BOARD.distributor.base) && !addresses(BOARD.redistributors.end() - 1), "the GIC's");
        assert!(!addresses(DRAM_BASE - 0xFFF), "RAM");
        let own = |spi| has_its_spi(spi, &[ONE, (Range::new(0x0B00_1000, 0x1000), spi)]);
        assert!(own(None) && own(Some(2)) && !own(Some(1)));
        assert!(is_spare(SPIS - 1) && !is_spare(SPIS) && !is_spare(Pl011::SPI.unwrap()));
        assert!(has_an_spi(None) && has_an_spi(Some(SPIS - 1)) && !has_an_spi(Some(SPIS)));
    }
}
