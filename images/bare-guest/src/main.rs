// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bare guest. What it does says the library's documentation.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
mod firmware {
    use bare_guest::arch::{self, Tee};
    use bare_guest::inventory::Inventory;
    use bare_guest::optee::{PAGES, Page};
    use bare_guest::platform::Console;
    use bare_guest::story;
    use core::fmt::Write;
    use core::panic::PanicInfo;
    use fdt::Fdt;

    /// What is shared with the TEE.
    static PAGES_FOR_THE_TEE: [Page; PAGES] = [const { Page::new() }; PAGES];

    /// Runs the guest, from `arch::boot`: MMU and caches on, x0 as the loader left it.
    #[unsafe(no_mangle)]
    extern "C" fn guest_main(dtb: usize) -> ! {
        // SAFETY: the boot protocol puts the tree's address into x0, 8-byte aligned, and it is mapped; nobody writes to
        // it.
        let tree = unsafe { Fdt::from_ptr(dtb as *const u8) };
        let Ok(tree) = tree else {
            // SAFETY: nothing else uses the console yet.
            let mut console = unsafe { Console::contract() };
            let _ = writeln!(console, "bare-guest: FAIL: x0 = {dtb:#x} is no device tree");
            arch::power_off();
        };
        let inventory = Inventory::read(&tree);
        arch::set_psci(inventory.psci);
        // SAFETY: as above; this one is used from here on.
        let mut console = unsafe { Console::new(&inventory) };
        let (base, size) = inventory.memory.unwrap_or((0, 0));
        let _ = writeln!(console, "bare-guest: EL{}, {} MiB RAM from {base:#x}", arch::level(), size >> 20);
        match inventory.optee {
            None => {
                let _ = writeln!(console, "bare-guest: no /firmware/optee in the device tree: there is no TEE for me");
            }
            Some(conduit) => {
                let failures = story::tell(&mut console, Tee::new(conduit), &PAGES_FOR_THE_TEE, inventory.bootargs);
                let _ = match failures {
                    0 => writeln!(console, "bare-guest: PASS"),
                    n => writeln!(console, "bare-guest: FAIL {n}"),
                };
            }
        }
        arch::power_off()
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        // SAFETY: whoever else had the console will not write to it any more.
        let mut console = unsafe { Console::contract() };
        let _ = writeln!(console, "bare-guest: PANIC {info}");
        arch::power_off()
    }
}

/// On the host there is nothing to run: the library's tests are all there is.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("bare-guest runs in a VM: make run");
}
