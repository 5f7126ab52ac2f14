// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot, in the order in which it happens.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use fdt::Fdt;
use hypervisor::address::PAGE_SIZE;
use hypervisor::arch;
use hypervisor::arch::aarch64::mmu::{Map, Use};
use hypervisor::arch::aarch64::stack::Stacks;
use hypervisor::clock;
use hypervisor::config::{self, Inventory, VmConfig};
use hypervisor::cpu;
use hypervisor::entry;
use hypervisor::firmware;
use hypervisor::lifecycle;
use hypervisor::memory::{BLOCK, FreeMemory};
use hypervisor::muster::{self, Muster, Whereabouts};
use hypervisor::notification;
#[cfg(feature = "trace")]
use hypervisor::platform;
use hypervisor::platform::{DEVICES, console, gic, heap, memory};
use hypervisor::predictor;
use hypervisor::resources;
use hypervisor::tee::{Mediator, Smc, Tee};
use hypervisor::trace::{self, Client};
use hypervisor::trap;
use hypervisor::vm;
use hypervisor::wake;
use log::{error, info, warn};
use shared_abi::dtb::{self, Checked};
use shared_abi::layout::{DRAM_BASE, Range};
use shared_abi::trace::Owner;
#[cfg(feature = "trace")]
use shared_abi::{layout::TRACE, trace::Way};

unsafe extern "C" {
    static _image_start: u8;
    static _rodata_start: u8;
    static _data_start: u8;
    static _image_end: u8;
}

/// The first four bytes of a device tree.
const DTB_MAGIC: [u8; 4] = dtb::MAGIC.to_be_bytes();
/// The largest device tree that is taken: what is mapped before its size is known.
const DTB_MAX: u64 = 2 << 20;
/// Heap for each VM: its vCPUs, tables and device tree, and what the TEE's mediator takes.
const HEAP_PER_VM: u64 = Tee::HEAP as u64 + (128 << 10);

/// Boots the first CPU, which comes here from `arch::boot`: MMU off, the image relocated.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_main(x0: u64, _: u64, _: u64) -> ! {
    let image = [(&raw const _image_start) as u64, (&raw const _image_end) as u64];
    let image = Range::new(image[0], image[1] - image[0]);
    let dtb = find_dtb(x0);

    // 1. The MMU, over what is needed to read the device tree.
    let mut map = Map::new();
    map_image(&mut map);
    map.add(Range::new(dtb & !(BLOCK - 1), DTB_MAX + BLOCK), Use::Data);
    for device in DEVICES {
        map.add(device, Use::Device);
    }
    // SAFETY: the image is mapped where it is, and with it this code and its stack.
    unsafe { map.enable() };
    // SAFETY: once, and the UART is mapped.
    unsafe { console::init() };
    arch::cpu::detect();

    // 2. The machine.
    // SAFETY: the tree's range is mapped; nobody writes to it any more.
    let header = unsafe { memory::bytes(Range::new(dtb, 8)) };
    let size = u64::from(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
    assert!(header[..4] == DTB_MAGIC && size <= DTB_MAX, "there is no device tree at {dtb:#x}");
    // SAFETY: as above; nobody else refers to it.
    let tree = match Checked::new(unsafe { memory::bytes_mut(Range::new(dtb, size)) }) {
        Ok(tree) => tree.bytes(),
        Err(how) => panic!("the device tree at {dtb:#x} is damaged: {how}"),
    };
    let dtb = Range::new(dtb, tree.len() as u64);
    let tree = Fdt::new(tree).expect("it was checked");
    let mut machine = config::machine(&tree, image, dtb);
    let others = machine.free.take(Stacks::size(machine.cpus.len()), PAGE_SIZE).expect("there is memory for stacks");
    let stacks = Stacks::new(others);
    map_memory(&mut map, &machine, image, stacks);

    // 3. The heap, from what the VMs' images leave.
    let size = (machine.domains as u64 * HEAP_PER_VM).next_power_of_two().max(BLOCK);
    let heap = machine.free.take(size, BLOCK).expect("there is memory for the heap");
    // SAFETY: it is mapped, and was taken out of the free memory.
    unsafe { heap::init(heap) };
    info!("image {} KiB at {:#x}, heap {} KiB at {:#x}", image.size / 1024, image.base, heap.size / 1024, heap.base);

    // 4. Interrupts, and the other CPUs.
    // SAFETY: once, and the devices are mapped.
    unsafe { gic::init(machine.cpus.len().max(1)) };
    trap::system::init();
    if machine.harden_branch_predictor {
        predictor::want();
    }
    cpu::expect(0, arch::cpu::affinity(), stacks.top(0));
    // SAFETY: the first thing that is done on this CPU, which is the first.
    unsafe { cpu::init(0) };
    if let Some(outcome) = predictor::outcome() {
        info!("{outcome}");
    }
    #[cfg(feature = "trace")]
    begin_trace(&mut map, trace::way(&tree, &machine.memory, &[image, dtb]), image);
    for range in [image, others, heap] {
        trace::memory::own(Client::HYPERVISOR, Owner::Hypervisor, range);
    }
    arch::mmu::flush_all_guests();
    let mut switched_on = start_cpus(&map, &machine, stacks);

    // 5. The TEE.
    match Tee::probe(&mut Smc) {
        Ok(tee) => {
            let heard = tee.can_notify() && machine.notification.is_some_and(notification::listen);
            vm::tee().call_once(|| if heard { tee.let_notify() } else { tee });
        }
        Err(reason) => info!("VMs boot without a TEE: {reason}"),
    }

    // 6. The VMs.
    let asked = config::vms(&tree, &machine, |module| {
        // SAFETY: the configuration has checked that the module lies in memory.
        unsafe { memory::bytes(module) }.iter().take(4096).all(|byte| *byte == 0)
    });
    for remark in &asked.remarks {
        info!("{} {}", remark.node, remark.text);
    }
    for skipped in &asked.skipped {
        warn!("{} {}; skipped", skipped.node, skipped.reason);
    }
    for own in [others, heap] {
        machine.loadable.remove(own);
    }
    let running = gather_cpus(&mut switched_on, machine.cpus.len().max(1));
    let alone = running.len() == 1;
    resources::supply(machine.free, machine.loadable, running);
    if start_vms(asked.vms) == 0 {
        error!("no VM to run: describe one under /chosen");
        firmware::system_off();
    }

    // 7. Guests.
    clock::machine();
    console::lock().wire().set_receive_interrupt(true);
    GO.store(true, Ordering::Release);
    wake::kick_others();
    // QEMU counts what all CPUs execute (`arch::pmu`): a count is told of one that is alone.
    // SAFETY: once, and it was set up.
    entry::enter(unsafe { cpu::begin(alone) })
}

/// Begins on the other CPUs, in EL2's address space.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_secondary(index: usize) -> ! {
    // SAFETY: the first thing that is done on this CPU, by the number that it was started with.
    unsafe { cpu::init(index) };
    muster::report(index);
    #[cfg(feature = "trace")]
    platform::trace::begin();
    cpu::sleep_until(&GO);
    // SAFETY: as for the first CPU.
    entry::enter(unsafe { cpu::begin(false) })
}

/// All VMs are there: CPUs may run them.
static GO: AtomicBool = AtomicBool::new(false);

/// Finds the tree: where x0 says (arm64 boot protocol), or at the start of DRAM, where TF-A leaves it: its x0 is the
/// MPIDR.
fn find_dtb(x0: u64) -> u64 {
    let looks_right = |address: u64| {
        // SAFETY: without an MMU all of memory can be read; aligned addresses from DRAM's first on are memory.
        unsafe { memory::bytes(Range::new(address, 4)) == DTB_MAGIC }
    };
    if x0 >= DRAM_BASE && x0.is_multiple_of(8) && looks_right(x0) { x0 } else { DRAM_BASE }
}

/// Maps the image, without the page below its stack.
fn map_image(map: &mut Map) {
    let guard = Stacks::new(Range::new(0, 0)).guard(0);
    let ends = [
        (&raw const _image_start) as u64,
        (&raw const _rodata_start) as u64,
        (&raw const _data_start) as u64,
        guard.base,
        guard.end(),
        (&raw const _image_end) as u64,
    ];
    for (start, r#use) in [(0, Use::Code), (1, Use::Constants), (2, Use::Data), (4, Use::Data)] {
        map.add(Range::new(ends[start], ends[start + 1] - ends[start]), r#use);
    }
}

/// Maps all memory but the image, which is, the pages below the stacks, and what nobody is to map.
fn map_memory(map: &mut Map, machine: &Inventory, image: Range, stacks: Stacks) {
    let mut memory = FreeMemory::new();
    for range in &machine.memory {
        memory.add(*range);
    }
    memory.remove(image);
    for range in machine.hidden.ranges() {
        memory.remove(*range);
    }
    for cpu in 1..machine.cpus.len() {
        memory.remove(stacks.guard(cpu));
    }
    for range in memory.ranges() {
        map.add(*range, Use::Data);
    }
}

/// Makes the way for records, and begins with them on the first CPU.
#[cfg(feature = "trace")]
fn begin_trace(map: &mut Map, way: Way, image: Range) {
    if way == Way::Rings {
        map.add(TRACE, Use::Data);
    }
    // SAFETY: the memory is mapped; the tree reserves it, so that it is in nobody's hands.
    unsafe { platform::trace::plan(way, image) };
    platform::trace::begin();
}

/// Switches the other CPUs on, and waits for none yet: what is done meanwhile is done at the same time.
fn start_cpus(map: &Map, machine: &Inventory, stacks: Stacks) -> Muster {
    let mut muster = Muster::default();
    if machine.cpus.len() > 1 && !firmware::has_psci() {
        warn!("no PSCI by SMC: one CPU of {} is used", machine.cpus.len());
        return muster;
    }
    for (index, affinity) in machine.cpus.iter().enumerate().skip(1) {
        let secondary = Box::leak(Box::new(map.secondary(index, stacks.top(index))));
        cpu::expect(index, *affinity, stacks.top(index));
        let (entry, argument) = secondary.entry();
        match firmware::cpu_on(*affinity, entry, argument) {
            Ok(()) => muster.expect(index, *affinity),
            Err(error) => warn!("CPU {index} ({affinity:#x}) does not start: {error}"),
        }
    }
    muster
}

/// Waits for the other CPUs, of `all` that there are. Returns those that VMs may run on: a vCPU may have its place on
/// one that is still on its way, and runs when it has come.
fn gather_cpus(others: &mut Muster, all: usize) -> Vec<usize> {
    others.wait();
    let mut running = Vec::from([0]);
    for other in others.entries() {
        match other.whereabouts {
            Whereabouts::Off => warn!(
                "CPU {} ({:#x}) was switched on and is off again: the firmware, or the TEE, does not begin on it",
                other.index, other.affinity
            ),
            Whereabouts::Here | Whereabouts::OnItsWay => running.push(other.index),
        }
    }
    match others.count(Whereabouts::OnItsWay) {
        0 => info!("{} of {all} CPUs run", running.len()),
        late => info!("{} of {all} CPUs run, {late} may still come", running.len() - late),
    }
    running
}

/// Makes the VMs and starts them; one that cannot be made is named and left out. How many there are.
fn start_vms(configs: Vec<VmConfig>) -> usize {
    let mut made = Vec::new();
    for config in configs {
        let node = config.node.clone();
        match lifecycle::make(config) {
            Ok(vm) => made.push(vm),
            Err(reason) => warn!("{node} {reason}; skipped"),
        }
    }
    let count = made.len();
    for vm in made {
        let vm = lifecycle::start(vm);
        let name = vm.config.name.as_deref().unwrap_or(&vm.config.node);
        let tee = if vm.tee.read().is_some() { ", with the TEE" } else { "" };
        info!("{}: {name}, {} CPUs, {} MiB{tee}", vm.config.id, vm.config.vcpus, vm.config.memory >> 20);
    }
    count
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // SAFETY: this function does not return.
    if let Some(mut console) = unsafe { console::seize() } {
        match info.location() {
            Some(place) => console.log(format_args!("PANIC {} ({}:{})", info.message(), place.file(), place.line())),
            None => console.log(format_args!("PANIC {}", info.message())),
        }
    }
    #[cfg(feature = "trace")]
    platform::trace::last_words(info);
    firmware::system_off()
}
