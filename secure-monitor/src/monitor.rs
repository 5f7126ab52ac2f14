//! The runtime on its CPUs: what is shared, what each owns, and how a handler's decision becomes what the CPU does.

use crate::arch::switch::Transition;
use crate::arch::{self, el2, el3, switch, sysreg};
use crate::complaints::complain;
use crate::dispatch::{Monitor, Power};
use crate::fault;
use crate::platform::{gic, memory, power};
use crate::services::opteed::Opteed;
use crate::trace::{self, Came, Refusal};
use crate::world::call::{UNKNOWN, function};
use crate::world::context::{Context, World};
use crate::world::cpu::Cpu;
use crate::world::errors::{self, Owner};
use crate::world::next::Next;
use crate::world::predictor::Predictor;
use core::cell::UnsafeCell;
use shared_abi::layout::{self, MAX_CPUS, Range};
use shared_abi::smccc::FunctionId;
use spin::Once;

/// The monitor's stack on each CPU. Handlers nest no deeper than one call and one log line.
pub const STACK_SIZE: usize = 4096;

/// Every CPU's stack, lowest index first.
#[repr(C, align(4096))]
pub struct Stacks(UnsafeCell<[[u8; STACK_SIZE]; MAX_CPUS]>);

// SAFETY: each CPU uses its own stack, by its stack pointer alone.
unsafe impl Sync for Stacks {}

/// See [`Stacks`].
#[unsafe(link_section = ".pages.stacks")]
pub static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK_SIZE]; MAX_CPUS]));

/// Where the handlers have the stacks, each above a page that is not mapped: a handler that runs off its own meets that
/// and not the next CPU's. Of this part of the address space the runtime maps nothing else; it shares a table with the
/// runtime's own memory.
const GUARDED_STACKS: u64 = 0x0E18_0000;
const _: () = assert!(GUARDED_STACKS >> 21 == layout::MONITOR_RUNTIME.base >> 21 && STACK_SIZE.is_multiple_of(4096));

/// The guarded stack of a CPU.
fn guarded_stack(index: usize) -> Range {
    Range::new(GUARDED_STACKS + (2 * index as u64 + 1) * STACK_SIZE as u64, STACK_SIZE as u64)
}

/// Where the guarded stacks are, and the memory of each.
pub fn guarded_stacks() -> [(Range, u64); MAX_CPUS] {
    core::array::from_fn(|index| (guarded_stack(index), (STACKS.0.get().addr() + index * STACK_SIZE) as u64))
}

/// The affinities of the CPUs in the order of the device tree, for those that come from the pen to find their place.
#[repr(C)]
pub struct Mpidrs(UnsafeCell<[u64; MAX_CPUS]>);

// SAFETY: written by `publish` before any other CPU reads.
unsafe impl Sync for Mpidrs {}

/// See [`Mpidrs`].
pub static MPIDRS: Mpidrs = Mpidrs(UnsafeCell::new([u64::MAX; MAX_CPUS]));

struct Cpus(UnsafeCell<[Cpu; MAX_CPUS]>);

// SAFETY: `own` hands each CPU its own element, once.
unsafe impl Sync for Cpus {}

static CPUS: Cpus = Cpus(UnsafeCell::new([Cpu::ZERO; MAX_CPUS]));

/// What all CPUs share.
pub static MONITOR: Monitor = Monitor::new(gic::wake);

static NORMAL: Once<el3::Controls> = Once::new();
static FREQUENCY: Once<u64> = Once::new();

/// Tells the CPUs that will come from the pen who they are.
///
/// # Safety
///
/// Once, by the first CPU, before it releases the others.
pub unsafe fn publish(mpidrs: impl Iterator<Item = u64>) {
    // SAFETY: nobody reads yet.
    let table = unsafe { &mut *MPIDRS.0.get() };
    for (place, mpidr) in table.iter_mut().zip(mpidrs) {
        *place = mpidr;
    }
}

/// This CPU's own, with its registers set up for both worlds.
///
/// # Safety
///
/// Once on each CPU, with the index that is its own.
pub unsafe fn own(index: usize) -> &'static mut Cpu {
    let normal = NORMAL.call_once(el3::normal_world);
    el3::init(normal);
    el3::set_counter_frequency(*FREQUENCY.call_once(|| arch::counter().1));
    gic::init_cpu_interface();
    // SAFETY: the caller's index is its own, so no other reference to this element exists. The cast is in bounds: the
    // index came from a table of MAX_CPUS.
    let cpu = unsafe { &mut *CPUS.0.get().cast::<Cpu>().add(index) };
    let predictor = Predictor::of(sysreg::read!("midr_el1"), sysreg::read!("id_aa64pfr0_el1") >> 56 & 0xF);
    *cpu = Cpu::new(index, guarded_stack(index).end(), predictor);
    let secure = el3::secure_world();
    (cpu.normal.scr, cpu.normal.cptr) = (normal.scr, normal.cptr);
    (cpu.secure.scr, cpu.secure.cptr) = (secure.scr, secure.cptr);
    if trace::ON {
        // SAFETY: the register is the monitor's own, and this is the value that it gets when the CPU leaves.
        unsafe { sysreg::write!("tpidr_el3", core::ptr::from_mut(cpu).addr() as u64) };
        // SAFETY: the index is this CPU's, says the caller, and it is owned once.
        unsafe { arch::trace::begin(index) };
    }
    cpu
}

/// Index of the CPU that executes this, once it has its [`own`].
#[inline(always)]
pub fn this_cpu() -> Option<usize> {
    let own = sysreg::read!("tpidr_el3") as usize;
    (own != 0).then(|| (own - CPUS.0.get().addr()) / size_of::<Cpu>())
}

/// Leaves boot on this CPU for the first time, as `next` says.
pub fn run(cpu: &mut Cpu, next: Next) -> ! {
    let transition = conclude(cpu, Came::NOT, None, next);
    // SAFETY: `conclude` returns one of the CPU's contexts, which the handlers have completed.
    unsafe { switch::start(cpu, transition.to) }
}

/// An SMC of the normal world, AArch64 with immediate 0, whose registers are in its context.
pub extern "C" fn handle_smc(cpu: &mut Cpu) -> Transition {
    let came = Came::by_call(cpu, World::Normal);
    let Some(id) = function(cpu.normal.gpr[0] as u32) else { return handle_rare(cpu, World::Normal) };
    match MONITOR.frequent_of_normal_world(cpu, id) {
        Some(to) => enter(cpu, came, World::Normal, to),
        None => handle_less_frequent(cpu, id.0),
    }
}

/// Called last, as [`handle_rare`] is.
#[inline(never)]
extern "C" fn handle_less_frequent(cpu: &mut Cpu, id: u32) -> Transition {
    let came = Came::by_told_call(cpu);
    if MONITOR.less_frequent(cpu, FunctionId(id)) {
        enter(cpu, came, World::Normal, World::Normal)
    } else {
        handle_rare(cpu, World::Normal)
    }
}

/// An SMC of the TEE.
pub extern "C" fn handle_tee_smc(cpu: &mut Cpu) -> Transition {
    let came = Came::by_call(cpu, World::Secure);
    match MONITOR.frequent_of_tee(cpu) {
        Some(to) => enter(cpu, came, World::Secure, to),
        None => handle_rare(cpu, World::Secure),
    }
}

/// An SMC of the TEE with an asynchronous error pending.
pub extern "C" fn handle_tee_error(cpu: &mut Cpu) -> Transition {
    match Owner::of(cpu.secure.errors) {
        Owner::NormalWorld => handle_tee_smc(cpu),
        Owner::Tee => {
            fault::error_of_the_tee();
            let came = Came::by_trap(cpu, World::Secure, sysreg::read!("esr_el3"), arch::return_address, || 0);
            let (elr, pstate) = errors::back(arch::return_address(), sysreg::read!("spsr_el3"));
            // SAFETY: where the TEE left, with the PSTATE it had but for the mask.
            unsafe {
                switch::redirect(elr);
                sysreg::write!("spsr_el3", pstate);
            }
            enter(cpu, came, World::Secure, World::Secure)
        }
    }
}

/// Called last, by the same calling convention, so that the handlers above need no stack frame.
#[inline(never)]
extern "C" fn handle_rare(cpu: &mut Cpu, from: World) -> Transition {
    let came = Came::by_told_call(cpu);
    let next = MONITOR.rare(cpu, from);
    conclude(cpu, came, Some(from), next)
}

/// Everything else that is synchronous, and SError.
pub extern "C" fn handle_trap(cpu: &mut Cpu, context: *mut Context) -> Transition {
    const CLASS_SMC32: u64 = 0x13;
    const CLASS_SMC64: u64 = 0x17;
    let from = world(cpu, context);
    let esr = sysreg::read!("esr_el3");
    let class = (esr >> 26) & 0x3F;
    let came = match class {
        CLASS_SMC32 | CLASS_SMC64 => Came::by_call(cpu, from),
        _ => Came::by_trap(cpu, from, esr, arch::return_address, arch::mmu::fault_address),
    };
    let next = match class {
        // AArch32 has the 32-bit calls only (SMCCC 1.4 §2.5).
        CLASS_SMC32 if cpu.context(from).gpr[0] & 1 << 30 == 0 => MONITOR.smc(cpu, from),
        // An immediate other than 0 is reserved (SMCCC 1.4 §2.9).
        CLASS_SMC32 | CLASS_SMC64 => {
            let immediate = esr & 0xFFFF;
            cpu.context(from).answer(trace::refused!(Refusal::UnknownFunction, immediate, UNKNOWN));
            Next::Enter(from)
        }
        _ => {
            fault::lower_level_trap(from, esr);
            Next::Enter(from)
        }
    };
    conclude(cpu, came, Some(from), next)
}

/// A group 0 or secure group 1 interrupt, while the normal world ran.
pub extern "C" fn handle_interrupt(cpu: &mut Cpu, context: *mut Context) -> Transition {
    let from = world(cpu, context);
    let pending = gic::take();
    let came = Came::by_interrupt(cpu, from, || gic::number(pending), arch::return_address);
    let next = match pending {
        gic::Pending::Tee => Opteed::interrupt(cpu).unwrap_or_else(|| {
            gic::discard_secure();
            Next::Enter(from)
        }),
        gic::Pending::Monitor(id) => {
            if !gic::is_wake(id) {
                complain(format_args!("cpu{}: group 0 interrupt {id} that nobody asked for", cpu.index()));
            }
            Next::Enter(from)
        }
        gic::Pending::Nothing => Next::Enter(from),
    };
    conclude(cpu, came, Some(from), next)
}

fn world(cpu: &Cpu, context: *mut Context) -> World {
    if core::ptr::eq(context, &raw const cpu.normal) { World::Normal } else { World::Secure }
}

#[inline(always)]
fn enter(cpu: &mut Cpu, came: Came, from: World, to: World) -> Transition {
    came.leave(cpu, Some(from), to, arch::return_address);
    let save = core::ptr::from_mut(cpu.context(from));
    Transition { to: cpu.context(to), save }
}

/// Does what `next` says until there is a world to enter.
fn conclude(cpu: &mut Cpu, came: Came, mut from: Option<World>, mut next: Next) -> Transition {
    loop {
        let saved = match from {
            Some(from) => core::ptr::from_mut(cpu.context(from)),
            None => core::ptr::null_mut(),
        };
        next = match next {
            Next::Enter(to) => {
                came.leave(cpu, from, to, arch::return_address);
                return Transition { to: cpu.context(to), save: saved };
            }
            Next::BeginNormal | Next::ResumeNormal => {
                if next == Next::BeginNormal {
                    el2::reset_events();
                }
                el2::reset();
                gic::open();
                came.begin(cpu, from, World::Normal);
                let save = if from == Some(World::Secure) { saved } else { core::ptr::null_mut() };
                return Transition { to: &mut cpu.normal, save };
            }
            Next::BeginSecure => {
                gic::open();
                came.begin(cpu, from, World::Secure);
                return Transition { to: &mut cpu.secure, save: core::ptr::null_mut() };
            }
            Next::Redirect => {
                // The CPU has slept since the TEE left.
                cpu.secure.errors = sysreg::read!("isr_el1");
                came.begin(cpu, from, World::Secure);
                // SAFETY: the TEE is what runs on this CPU, and the address is one of its vector table.
                unsafe { switch::redirect(cpu.secure.elr) };
                return Transition { to: saved, save: saved };
            }
            Next::Standby => {
                arch::wait_for_interrupt();
                Next::Enter(from.unwrap_or(World::Normal))
            }
            Next::PowerDown => {
                arch::wait_for_interrupt();
                MONITOR.power().woken(cpu)
            }
            Next::Park => {
                park(cpu);
                from = None;
                MONITOR.power().switched_on(cpu)
            }
            Next::Power(step, verdict) => MONITOR.power().go_on(cpu, step, verdict),
            Next::Boot => {
                announce();
                Power::begin(cpu);
                Next::BeginNormal
            }
            Next::SystemOff => {
                log::info!("system off");
                power::off()
            }
            Next::SystemReset => {
                log::info!("system reset");
                power::reset()
            }
        };
    }
}

/// Waits until this CPU is switched on. Only the monitor's own interrupt gets through, so a CPU that is off costs
/// nothing; the request is looked at after the interrupt was taken, so none is missed.
fn park(cpu: &mut Cpu) {
    el2::reset_events();
    el2::reset();
    gic::close();
    gic::prepare_wait();
    let entry = loop {
        // One of the TEE's is not taken, and does not end the wait either.
        while let gic::Pending::Monitor(_) = gic::take() {}
        if let Some(entry) = MONITOR.power().cpus().requested(cpu.index()) {
            break entry;
        }
        arch::wait_for_interrupt();
    };
    cpu.entry = entry;
}

/// The TEE's first entry is over, or there was none to enter: says which, and lets the device tree say so too.
fn announce() {
    if !MONITOR.tee().is_ready() {
        log::warn!("no TEE: calls to it answer -1");
        return;
    }
    log::info!("TEE ready");
    if let Some(tree) = TREE_WITH_TEE.get() {
        // SAFETY: nobody uses the device tree's memory before the normal world begins, and the TEE has had its look.
        let area = unsafe { memory::device_tree() };
        // The boot stage has checked that the tree fits; a shorter place would be no reason to fail now.
        if let Some(place) = area.get_mut(..tree.len()) {
            place.copy_from_slice(tree);
            arch::cache::clean(place.as_ptr().addr() as u64, place.len() as u64);
        }
    }
}

/// The device tree that the normal world gets if there is a TEE.
static TREE_WITH_TEE: Once<&'static [u8]> = Once::new();

/// Keeps for later what the device tree is to be once the TEE has answered.
pub fn keep_tree_with_tee(tree: &'static [u8]) {
    TREE_WITH_TEE.call_once(|| tree);
}
