//! The runtime, the package's BL31: what stays at EL3.
//!
//! The CPU that booted comes here from `arch::runtime_entry`: MMU and caches, the machine's CPUs, the interrupt
//! controller, the other CPUs out of the pen, then the TEE, and when it has answered, the normal world. From there on
//! `monitor`'s handlers are all there is.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is firmware: build it for aarch64-unknown-none-softfloat.");
}

#[cfg(target_os = "none")]
mod stage {
    use secure_monitor::arch::{self, cache, mmu, mmu::Kind, runtime_entry};
    use secure_monitor::handoff::{self, Handoff};
    use secure_monitor::monitor::{self, MONITOR};
    use secure_monitor::platform::{console, gic, memory};
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
    static ENTRY: unsafe extern "C" fn() -> ! = runtime_entry::entries;

    /// From `arch::runtime_entry`, once, on the first CPU's stack.
    #[unsafe(no_mangle)]
    extern "C" fn runtime_main(magic: u64, handoff: &'static Handoff) -> ! {
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
            (layout::GICD, Kind::Device),
            (layout::GICR, Kind::Device),
            (layout::UART_S, Kind::Device),
            (layout::GPIO_S, Kind::Device),
            (Range::new(layout::DTB.base, 2 << 20), Kind::NormalWorld),
            #[cfg(tracing)]
            (trace_memory(magic, handoff), Kind::NormalWorld),
        ];
        // SAFETY: called once, first; the linker's symbols enclose the image's sections.
        if magic != handoff::MAGIC || unsafe { mmu::enable(&mappings, &monitor::guarded_stacks()) }.is_err() {
            arch::stop()
        }
        // SAFETY: once, with the UART mapped.
        unsafe { console::init(false) };
        #[cfg(tracing)]
        // SAFETY: the boot stage asks for rings only where the tree reserves their memory, and `mappings` has it then.
        unsafe {
            arch::trace::choose(Way::from_number(handoff.trace))
        };
        if handoff.dtb_with_tee_size != 0 {
            // SAFETY: the boot stage left it there, in memory mapped as constants.
            monitor::keep_tree_with_tee(unsafe {
                memory::left_by_boot(handoff.dtb_with_tee, handoff.dtb_with_tee_size)
            });
        }

        let boot = learn_cpus(handoff);
        // SAFETY: the index is this CPU's.
        let cpu = unsafe { monitor::own(boot) };
        trace::memory();
        call_cpus();
        let size = &raw const __image_end as usize - &raw const __text_start as usize;
        log::info!("runtime {} KiB", size.div_ceil(1024));

        cpu.entry = Entry { address: handoff.normal, argument: handoff.dtb };
        let next = if handoff.tee == 0 {
            Next::Boot
        } else {
            Opteed::prepare(cpu, handoff.tee, handoff.dtb);
            Next::BeginSecure
        };
        monitor::run(cpu, next)
    }

    /// What is mapped for trace records: no byte, unless they go to memory.
    #[cfg(tracing)]
    fn trace_memory(magic: u64, handoff: &Handoff) -> Range {
        let rings = magic == handoff::MAGIC && handoff.trace == Way::Rings as u64;
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
        let mpidrs = found.unwrap_or_else(|error| {
            log::error!("GIC: {error:?}; stopped");
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
        let cpus = MONITOR.power().set_cpus(Cpus::new(mpidrs, handoff.ram(), boot));
        // SAFETY: once, before the other CPUs are called.
        unsafe { monitor::publish(cpus.mpidrs()) };
        cache::clean(layout::MONITOR_RUNTIME.base, layout::MONITOR_RUNTIME.size.min(size_of_image()));
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

    /// From the pen, on each other CPU, on its own stack.
    #[unsafe(no_mangle)]
    extern "C" fn runtime_secondary(index: usize) -> ! {
        // SAFETY: the index is this CPU's, from the table.
        let cpu = unsafe { monitor::own(index) };
        monitor::run(cpu, Next::Park)
    }
}
