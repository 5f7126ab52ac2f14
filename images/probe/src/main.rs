// SPDX-License-Identifier: MIT OR Apache-2.0
//! The probe. What it does says the library's documentation.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
mod firmware {
    use core::fmt::Write;
    use core::panic::PanicInfo;
    use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};
    use probe::arch::{self, Cpu};
    use probe::memory;
    use probe::platform::console;
    use probe::player::{Machine, Player};
    use probe::script::Script;
    use probe::script::expression::Width;
    use probe::script::step::Conduit;
    use probe::shared::Shared;
    use probe::tree;

    static SHARED: Shared = Shared::new();
    /// The script and how PSCI is called, for the CPUs that are started later.
    static SCRIPT: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
    static SCRIPT_SIZE: AtomicUsize = AtomicUsize::new(0);
    static PSCI: AtomicUsize = AtomicUsize::new(Conduit::Smc as usize);

    /// Plays the script, from `arch::boot`, on the boot CPU; `began` is the counter at the image's first instructions.
    #[unsafe(no_mangle)]
    extern "C" fn probe_main(x0: u64, began: u64) -> ! {
        let mut cpu = Cpu::new(0, Conduit::Smc);
        let tree = memory::find_tree(&mut cpu, x0);
        let psci = tree.as_ref().map_or(Conduit::Smc, tree::psci);
        let mut cpu = Cpu::new(0, psci);
        PSCI.store(psci as usize, SeqCst);
        let Some(bytes) = memory::script(&cpu, tree.as_ref()) else {
            cpu.print(format_args!("[probe] no script: neither appended, nor in /chosen, nor as a RAM disk"));
            cpu.power_off();
        };
        let script = match Script::parse(bytes) {
            Ok(script) => script,
            Err(damage) => {
                cpu.print(format_args!("[probe] the script is damaged: {damage}"));
                cpu.power_off();
            }
        };
        SCRIPT_SIZE.store(bytes.len(), SeqCst);
        SCRIPT.store(bytes.as_ptr().cast_mut(), SeqCst);
        clear_arena(&mut cpu, script.arena);
        let level = cpu.level();
        let (image, arena) = (cpu.image(), cpu.arena());
        cpu.print(format_args!("[probe] EL{level}, image at {image:#x}, buffers at {arena:#x}, began at tick {began}"));
        let mut player = Player::new(script, &SHARED, cpu, 0);
        player.play();
        if script.power_off {
            player.machine().power_off();
        }
        arch::sleep()
    }

    /// Plays what other CPUs play, from `arch::boot`, on a CPU that a script started under this number.
    #[unsafe(no_mangle)]
    extern "C" fn probe_secondary(number: usize) -> ! {
        let psci = if PSCI.load(SeqCst) == Conduit::Hvc as usize { Conduit::Hvc } else { Conduit::Smc };
        let cpu = Cpu::new(number, psci);
        // SAFETY: the boot CPU stored pointer and length of a `&'static [u8]` before it started this one.
        let bytes = unsafe { core::slice::from_raw_parts(SCRIPT.load(SeqCst), SCRIPT_SIZE.load(SeqCst)) };
        if let Ok(script) = Script::parse(bytes) {
            let mut player = Player::new(script, &SHARED, cpu, number);
            player.play_secondary();
            player.machine().off();
        }
        arch::sleep()
    }

    /// Buffers begin as zeros.
    fn clear_arena(cpu: &mut Cpu, size: u32) {
        for offset in (0..u64::from(size)).step_by(8) {
            // The arena is the image's own memory: this cannot fault.
            let _ = cpu.store(Width::Bits64, cpu.arena() + offset, 0);
        }
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        // SAFETY: this CPU prints nothing else any more.
        let mut console = unsafe { console() };
        let _ = writeln!(console, "[probe] PANIC {info}");
        arch::power_off(Conduit::Smc)
    }
}

/// On the host there is nothing to run: the lab boots it.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the probe runs in the machine: write a scenario and `cargo lab run` it");
}
