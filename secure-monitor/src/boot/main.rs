// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot stage: runs in place in the flash, where every CPU leaves reset.
//!
//! The CPU with affinity 0 comes here from `arch::boot_entry`, the others wait in the pen. In order: MMU and caches,
//! the console, the device tree, the package; each image is copied to its place, hashed there, and named; then the
//! runtime. Whatever is wrong is named on the secure UART, and the machine stops: nothing that was not checked runs.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is firmware: build it for aarch64-unknown-none-softfloat.");
}

#[cfg(target_os = "none")]
mod stage {
    use secure_monitor::arch::boot_entry::{self, Stage};
    use secure_monitor::arch::vectors::Fault;
    use secure_monitor::arch::{self, cache, mmu, mmu::Kind, sha256};
    use secure_monitor::boot::loader;
    use secure_monitor::boot::tree::{self, Tree};
    use secure_monitor::fault;
    use secure_monitor::handoff::Handoff;
    use secure_monitor::platform::{UART, console, memory};
    use shared_abi::fip::{Fip, Image, Manifest};
    use shared_abi::layout::{self, Range};

    /// The code must be on no writable page, the flash is one whole: its first 2 MiB hold this stage and the package's
    /// beginning, and stay executable.
    const MAPPINGS: [(Range, Kind); 7] = [
        (Range::new(layout::FLASH.base, 2 << 20), Kind::Code),
        (Range::new(2 << 20, layout::FLASH.size - (2 << 20)), Kind::Constants),
        (UART, Kind::Device),
        (layout::MONITOR, Kind::Data),
        (layout::TEE, Kind::Data),
        (layout::DTB, Kind::NormalWorld),
        // All of RAM there can be from the normal world's image on, within these tables' second GiB.
        (Range::new(layout::BL33_BASE, 0x8000_0000 - layout::BL33_BASE), Kind::NormalWorld),
    ];

    unsafe extern "C" {
        static __scratch_start: u8;
        static __scratch_end: u8;
    }

    /// The image's first byte: what makes the linker keep it.
    #[used]
    static ENTRY: unsafe extern "C" fn() -> ! = boot_entry::boot_entry::<Main>;

    /// What `arch::boot_entry` knows of this.
    enum Main {}

    impl Fault for Main {
        extern "C" fn fault(esr: u64, elr: u64, vector: u64) -> ! {
            fault::monitor_fault(esr, elr, vector)
        }
    }

    impl Stage for Main {
        extern "C" fn main() -> ! {
            main()
        }
    }

    fn main() -> ! {
        // SAFETY: called once, first; the mappings cover the flash this runs in and the SRAM its data is in.
        if unsafe { mmu::enable(&MAPPINGS, &[]) }.is_err() {
            arch::stop()
        }
        // SAFETY: once, with the UART mapped.
        unsafe { console::init(true) };
        log::info!("Triptych secure monitor {}", env!("CARGO_PKG_VERSION"));

        let scratch = (&raw const __scratch_start).addr()..(&raw const __scratch_end).addr();
        // SAFETY: the one borrow of each: the tree's memory, and SRAM that boot.ld leaves to nothing else.
        let (area, scratch) = unsafe { (memory::dtb(), memory::destination(scratch.start as u64, scratch.len())) };
        let tree = Tree::parse(area).unwrap_or_else(|error| refuse("device tree", &error));
        let machine = tree.inventory().unwrap_or_else(|error| refuse("device tree", &error));
        let manifest = Manifest::parse(memory::manifest()).unwrap_or_else(|error| refuse("manifest", &error));
        let package = Fip::parse(memory::package()).unwrap_or_else(|error| refuse("package", &error));

        let load = |image: Image| load(&package, &manifest, image, &machine.ram);
        let runtime = required(Image::Bl31, load(Image::Bl31));
        let tee = load(Image::Bl32);
        let normal = required(Image::Bl33, load(Image::Bl33));

        #[cfg(tracing)]
        let way = tree.trace(&machine);
        // The tree without the TEE's node in its place, the one with it in this stage's SRAM.
        let plain = complete(tree.bytes(), false, scratch);
        area[..plain].copy_from_slice(&scratch[..plain]);
        let with_tee = if tee.is_some() { complete(&area[..plain], true, scratch) } else { 0 };

        if machine.left_out != 0 {
            log::warn!("{} CPUs more than the {} there is room for stay off", machine.left_out, layout::MAX_CPUS);
        }
        let mut handoff = Handoff::new(&machine.cpus, &machine.ram, normal.base, layout::DTB.base);
        if let Some(tee) = tee {
            handoff.add_tee(tee.base, Range::new(scratch.as_ptr().addr() as u64, with_tee as u64));
        }
        #[cfg(tracing)]
        handoff.add_trace(way);
        // The hand-off on the stack and the tree with the TEE are both this stage's SRAM.
        cache::flush(layout::MONITOR_BOOT.base, layout::MONITOR_BOOT.size);
        cache::flush(layout::DTB.base, plain as u64);
        cache::invalidate_instructions();
        // SAFETY: the runtime stands at its place, checked, and with all the images clean to memory.
        unsafe { boot_entry::enter_runtime(runtime.base, &handoff) }
    }

    /// Brings `image` to its place. `None` when the package has none.
    fn load(package: &Fip<'_>, manifest: &Manifest, image: Image, ram: &[Range]) -> Option<Range> {
        let candidate = loader::find(package, manifest, image, loader::place(image, ram))?;
        let candidate = candidate.unwrap_or_else(|refusal| refuse(image.name(), &refusal));
        let Range { base, size } = candidate.place;
        // SAFETY: the place is mapped writable, no stage's memory, and each image has its own.
        let destination = unsafe { memory::destination(base, size as usize) };
        candidate.load(destination, sha256::compressor()).unwrap_or_else(|refusal| refuse(image.name(), &refusal));
        cache::flush(base, size);
        log::info!("{image}: {} KiB at {base:#x}, sha256 ok", size.div_ceil(1024));
        Some(candidate.place)
    }

    /// Writes the complete tree to `room`, and says how long it is.
    fn complete(tree: &[u8], tee: bool, room: &mut [u8]) -> usize {
        tree::complete(tree, tee, room).unwrap_or_else(|error| refuse("device tree", &error))
    }

    fn required(image: Image, place: Option<Range>) -> Range {
        place.unwrap_or_else(|| refuse(image.name(), &loader::Refusal::Missing))
    }

    /// Says what is wrong with what, and stops the machine.
    fn refuse(what: &str, reason: &dyn core::fmt::Display) -> ! {
        log::error!("{what}: {reason}; stopped");
        arch::stop()
    }
}
