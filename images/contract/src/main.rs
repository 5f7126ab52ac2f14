// SPDX-License-Identifier: MIT OR Apache-2.0
//! The contract's programs. What they do says the library's documentation.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
mod firmware {
    use contract::arch::boot::AT_ENTRY;
    use contract::arch::cpu::Cpu;
    use contract::arch::{others, psci};
    use contract::console::Console;
    use contract::inventory;
    use contract::noise;
    use contract::topic::{TOPICS, reset};
    use core::fmt::Write;
    use core::panic::PanicInfo;
    use fdt::Fdt;

    /// Runs the checks, from `arch::boot`, on the boot CPU, with what its registers were at the first instruction.
    #[unsafe(no_mangle)]
    extern "C" fn contract_main(_: usize, registers: &[u64; AT_ENTRY]) -> ! {
        Cpu::install(0);
        reset::note();
        others::note_entry(0, *registers);
        // SAFETY: the boot protocol puts the tree's address into x0, 8-byte aligned, and it is mapped; nobody writes to
        // it.
        let tree = unsafe { Fdt::from_ptr(registers[0] as *const u8) };
        let Ok(tree) = tree else {
            let _ = writeln!(Console, "contract: x0 = {:#x} is no device tree", registers[0]);
            psci::power_off();
        };
        let (smc, bootargs) = inventory::read(&tree);
        psci::set_conduit(smc);
        if bootargs == "noise" {
            noise::make();
        }
        let words = || bootargs.split(' ').filter(|word| !word.is_empty());
        let strange = |word: &&str| {
            !TOPICS.iter().chain([&&reset::TOPIC]).any(|topic| topic.name == word.trim_start_matches('-'))
        };
        if let Some(word) = words().find(strange) {
            let _ = writeln!(Console, "contract: there is no topic {word}");
            psci::power_off();
        }
        // Those that are named, or all but those that are named with `-`.
        let all = words().all(|word| word.starts_with('-'));
        let wanted = |name| match words().find(|word| word.trim_start_matches('-') == name) {
            Some(word) => !word.starts_with('-'),
            None => all,
        };
        let topics = TOPICS.iter().filter(|topic| wanted(topic.name));
        // A reset is the last topic: the program begins again, and knows.
        let lines = match reset::lines_before() {
            Some(lines) => lines + reset::TOPIC.look(),
            None => {
                let lines = topics.map(|topic| topic.look()).sum();
                if wanted(reset::TOPIC.name) {
                    reset::begin(lines);
                }
                lines
            }
        };
        let _ = writeln!(Console, "contract: {lines} lines");
        psci::power_off()
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        let _ = writeln!(Console, "contract: PANIC {info}");
        psci::power_off()
    }
}

/// On the host there is nothing to run: the lab boots it.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the contract's programs run in a machine: cargo lab contract");
}
