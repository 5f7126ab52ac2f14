// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime, the package's BL31: what stays at EL3.
//!
//! The CPU that booted comes here from `arch::runtime_entry`: MMU and caches, the machine's CPUs, the interrupt
//! controller, the other CPUs out of the pen, then the TEE, and when it has answered, the normal world. From there on
//! `handlers` are all there is.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is firmware: build it for aarch64-unknown-none-softfloat.");
}

#[cfg(target_os = "none")]
mod stage {
    use secure_monitor::arch::runtime_entry::{self, Program};
    use secure_monitor::arch::{self, cache, cpus, mmu, mmu::Kind, stacks};
    use secure_monitor::handoff::{self, Handoff};
    #[cfg(tracing)]
    use secure_monitor::platform::recorder;
    use secure_monitor::platform::{DEVICES, console, gic, memory};
    use secure_monitor::runtime::handlers::Runtime;
    use secure_monitor::runtime::{self, MONITOR, conclude, tree_with_tee};
    use secure_monitor::services::opteed::Opteed;
    use secure_monitor::services::psci::Cpus;
    use secure_monitor::trace;
    use secure_monitor::world::cpu::Entry;
    use secure_monitor::world::next::Next;
    use shared_abi::layout::{self, Range};
    #[cfg(tracing)]
    use shared_abi::trace::Way;

    unsafe extern "C" {
        static __text_start: u8;
        static __text_end: u8;
        static __rodata_end: u8;
        static __image_end: u8;
    }

    fn between(start: *const u8, end: *const u8) -> Range {
        Range::new(start.addr() as u64, (end.addr() - start.addr()) as u64)
    }

    /// The image's first byte: what makes the linker keep it.
    #[used]
    static ENTRY: unsafe extern "C" fn() -> ! = runtime_entry::entries::<Main>;

    /// What `arch::runtime_entry` knows of this.
    enum Main {}

    impl Program for Main {
        type Handlers = Runtime;

        extern "C" fn first(magic: u64, handoff: &'static Handoff) -> ! {
            main(magic, handoff)
        }

        extern "C" fn secondary(index: usize) -> ! {
            // SAFETY: the index is this CPU's, from the table.
            let cpu = unsafe { cpus::claim(index) };
            runtime::begin(cpu);
            conclude::run(cpu, Next::Park)
        }
    }

    fn main(magic: u64, handoff: &'static Handoff) -> ! {
        let (text, constants, data) = (
            between(&raw const __text_start, &raw const __text_end),
            between(&raw const __text_end, &raw const __rodata_end),
            between(&raw const __rodata_end, &raw const __image_end),
        );
        let mappings = [
            (text, Kind::Code),
            (constants, Kind::Constants),
            (data, Kind::Data),
            (layout::MONITOR_BOOT, Kind::Constants),
            (DEVICES[0], Kind::Device),
            (DEVICES[1], Kind::Device),
            (DEVICES[2], Kind::Device),
            (DEVICES[3], Kind::Device),
            (Range::new(layout::DTB.base, 2 << 20), Kind::NormalWorld),
            #[cfg(tracing)]
            (trace_memory(magic, handoff), Kind::NormalWorld),
        ];
        // SAFETY: called once, first; the linker's symbols enclose the image's sections.
        if magic != handoff::MAGIC || unsafe { mmu::enable(&mappings, &stacks::all_guarded()) }.is_err() {
            arch::stop()
        }
        // SAFETY: once, with the UART mapped.
        unsafe { console::init(false) };
        #[cfg(tracing)]
        // SAFETY: the boot stage asks for rings only where the tree reserves their memory, and `mappings` has it then.
        unsafe {
            recorder::choose(handoff.trace())
        };
        if let Some((_, with_tee)) = handoff.tee() {
            // SAFETY: the boot stage left it there, in memory mapped as constants.
            let with_tee = unsafe { memory::left_by_boot(with_tee) };
            // SAFETY: mapped, and borrowed here alone; nobody else uses it before the normal world begins, but the TEE,
            // which has had its look when the tree is put there.
            tree_with_tee::keep(with_tee, unsafe { memory::dtb() });
        }

        let boot = learn_cpus(handoff);
        // SAFETY: the index is this CPU's.
        let cpu = unsafe { cpus::claim(boot) };
        runtime::begin(cpu);
        trace::memory();
        call_cpus();
        let size = &raw const __image_end as usize - &raw const __text_start as usize;
        log::info!("runtime {} KiB", size.div_ceil(1024));

        cpu.entry = Entry { address: handoff.normal(), argument: handoff.dtb() };
        let next = match handoff.tee() {
            Some((entry, _)) => {
                Opteed::prepare(cpu, entry, handoff.dtb());
                Next::BeginSecure
            }
            None => Next::Boot,
        };
        conclude::run(cpu, next)
    }

    /// Says what is mapped for trace records: no byte, unless they go to memory.
    #[cfg(tracing)]
    fn trace_memory(magic: u64, handoff: &Handoff) -> Range {
        let rings = magic == handoff::MAGIC && handoff.trace() == Way::Rings;
        Range::new(layout::TRACE.base, if rings { layout::TRACE.size } else { 0 })
    }

    /// Learns which CPUs there are, and makes ready what those that will come from the pen need. Returns this CPU's
    /// index.
    fn learn_cpus(handoff: &Handoff) -> usize {
        // SAFETY: once, before the other CPUs are called, with the GIC mapped.
        let found = unsafe {
            gic::init_distributor();
            gic::init_redistributors(&handoff.cpus())
        };
        // The interrupts that are asked for are constants, and such as there are: no other error is left.
        let mpidrs = found.unwrap_or_else(|_| {
            log::error!("GIC: its redistributors are laid out in a way that is not known; stopped");
            arch::stop()
        });
        let absent = handoff.cpus().len() - mpidrs.len();
        if absent != 0 {
            log::warn!("{absent} CPUs of the device tree have no redistributor: they are not there");
        }
        let own = arch::mpidr();
        let Some(boot) = mpidrs.iter().position(|mpidr| *mpidr == own) else {
            log::error!("device tree: this CPU, {own:#x}, is not in it; stopped");
            arch::stop()
        };
        let known = MONITOR.power().set_cpus(Cpus::new(mpidrs, handoff.ram(), boot));
        // SAFETY: once, before the other CPUs are called.
        unsafe { cpus::publish(known.mpidrs()) };
        cache::flush(layout::MONITOR_RUNTIME.base, layout::MONITOR_RUNTIME.size.min(size_of_image()));
        boot
    }

    fn size_of_image() -> u64 {
        between(&raw const __text_start, &raw const __image_end).size
    }

    /// Calls the CPUs that wait in the pen, and waits for none: each is off, as PSCI has it, until it is switched on,
    /// and one that was switched on before it came begins when it comes.
    fn call_cpus() {
        let cpus = MONITOR.power().cpus().mpidrs();
        let own = arch::mpidr();
        let count = cpus.len();
        for mpidr in cpus.filter(|mpidr| *mpidr != own) {
            gic::wake(mpidr);
        }
        match count {
            1 => log::info!("1 CPU"),
            all => log::info!("{all} CPUs"),
        }
    }
}
