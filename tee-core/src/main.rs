// SPDX-License-Identifier: MIT OR Apache-2.0
//! Triptych's TEE core: the image that the monitor starts at S-EL1.
//!
//! Entered at its first byte with the MMU off (`arch/aarch64/boot.S`), it comes to [`tee_main`], tells the monitor its
//! vector table, and from then on runs only when the monitor enters there (`arch/aarch64/smc.S`).
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("tee-core runs at S-EL1; build it for aarch64-unknown-none-softfloat");
}

#[cfg(target_os = "none")]
mod boot {
    use shared_abi::dtb::Checked;
    use shared_abi::layout::{self, DTB};
    use shared_abi::trace::Way;
    use tee_core::app::registry::App;
    use tee_core::arch::ThisCpu;
    use tee_core::arch::aarch64::nexus_map::{self, NexusMap};
    use tee_core::arch::aarch64::smc::vectors;
    use tee_core::arch::aarch64::{boot, cpu};
    use tee_core::entry::monitor::TEE;
    use tee_core::memory::ns_ram::AllegedRam;
    use tee_core::mode::Mode;
    use tee_core::nexus::{pristine, tree};
    use tee_core::partition::layout::GUARANTEED;
    use tee_core::platform::{self, console, recorder};
    use tee_core::trace;

    /// Boots the TEE on the first CPU. Returns the address of the vector table, or 0 if nobody can be served.
    #[unsafe(no_mangle)]
    extern "C" fn tee_main(memory: u64, dtb: u64) -> u64 {
        let mut map = NexusMap::new(console::UART, dtb);
        // SAFETY: this is the boot CPU, and the MMU is off.
        unsafe { TEE.prepare() };
        // SAFETY: the map covers image, UART and device tree, each at its own address; this is the boot CPU.
        unsafe { boot::enable_mmu() };
        console::init();
        platform::init_cpu();
        log::info!("Triptych TEE core {}", env!("CARGO_PKG_VERSION"));

        let mut shared = AllegedRam::new();
        // SAFETY: the monitor put the tree there, in memory that was mapped for it, and nobody else looks at it: the
        // normal world does not run yet.
        let tree = unsafe { read_tree(dtb) };
        let told = tree.map(tree::read);
        for range in told.iter().flat_map(|told| told.ram.ranges()) {
            if map.add_ns_ram(*range, dtb) && shared.add(*range).is_ok() {
                log::info!("non-secure RAM {:#x}..{:#x}", range.base, range.end());
            }
        }
        if shared.ranges().is_empty() {
            log::warn!("no non-secure RAM is known: no shared memory");
        }
        if trace::ON {
            let way = tree.map_or(Way::Nowhere, |tree| tree::trace(tree, shared.ranges()));
            // SAFETY: it asks for rings only in RAM that has just been mapped, where the tree reserves their memory.
            unsafe { recorder::choose(way) };
            recorder::begin();
        }
        // SAFETY: the tree says that it is RAM, and not secure; what is in `shared` was mapped.
        TEE.set_ns_ram(unsafe { shared.believe() });
        map.keep();

        // The length of the memory, or 0: TF-A's dispatcher passes what an OP-TEE header says, and a raw image has
        // none.
        let memory = if memory == 0 { layout::TEE.size } else { memory.min(layout::TEE.size) };
        pristine::prepare();
        // SAFETY: behind the image nothing uses the memory that the monitor gives the TEE.
        unsafe { TEE.add_pages(nexus_map::image_end(), layout::TEE.base + memory) };
        trace::memory(nexus_map::image_end(), layout::TEE.base + memory);
        log::info!(
            "image {} KiB, {} KiB per VM, room for {} VMs",
            (nexus_map::image_end() - layout::TEE.base) / 1024,
            GUARANTEED * 4,
            TEE.room(GUARANTEED)
        );
        if !App::Rng.is_there(TEE.machine()) {
            log::info!("the CPU has no RNDR: no random number device is offered");
        }
        let mode = told.map_or(Mode::default(), |told| told.mode);
        log::info!("mode: {}", mode.text());
        // SAFETY: this is the boot CPU, and no partition is selected before the first call.
        if TEE.serve(&mut unsafe { ThisCpu::new() }, mode).is_err() {
            log::error!("there is no memory for it: the monitor is told that there is no TEE");
            return 0;
        }
        vectors(mode == Mode::Single)
    }

    /// # Safety
    ///
    /// The tree is there, mapped, and nobody else reads or changes it for now.
    unsafe fn read_tree(address: u64) -> Option<Checked<'static>> {
        if address == 0 {
            log::warn!("there is no device tree");
            return None;
        }
        // SAFETY: as the caller says.
        let area = unsafe { core::slice::from_raw_parts_mut(address as *mut u8, DTB.size as usize) };
        Checked::new(area).inspect_err(|how| log::warn!("the device tree at {address:#x} is not read: {how}")).ok()
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        trace::panic(format_args!("{}", info.message()));
        console::last_words(format_args!("PANIC {info}"));
        cpu::stop()
    }
}
