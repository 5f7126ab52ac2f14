// SPDX-License-Identifier: MIT OR Apache-2.0
//! A physical CPU: the vCPUs that run on it, one after the other, and its interrupts.
//!
//! TPIDR_EL2 points at the CPU's own [`Cpu`], what others may touch of it. The rest is reached through [`ThisCpu`]
//! alone, which there is one of, on the CPU itself, while it runs no guest. The `percore` crate would find the former
//! by an index computed at each access, and has no such token.

mod interrupts;
mod slot;
mod tenants;

use crate::arch::one_per_machine;
use crate::arch::{interrupt, pmu, timer};
use crate::percpu::{self, PerCpu};
use crate::platform::gic;
use crate::predictor;
use crate::scheduler::{SLICE_PARTS, SLOTS};
use crate::trace::{Client, record};
use crate::vcpu::Vcpu;
use crate::wake;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use shared_abi::layout::MAX_CPUS;
use shared_abi::trace::Event;
use slot::{Local, TICKS_PER_SECOND};

/// A physical CPU.
#[repr(C)]
pub struct Cpu {
    /// What code below this knows of it, by which it finds the rest.
    own: PerCpu,
    /// Where its stack begins when a guest leaves it.
    stack: AtomicU64,
    local: UnsafeCell<Local>,
}

// SAFETY: `local` is touched by the CPU's `ThisCpu` alone.
unsafe impl Sync for Cpu {}

one_per_machine! {
    /// Returns all CPUs.
    fn cpus() -> &'static [Cpu; MAX_CPUS] =
        [Cpu::new(0), Cpu::new(1), Cpu::new(2), Cpu::new(3), Cpu::new(4), Cpu::new(5), Cpu::new(6), Cpu::new(7)];
}

/// Says that a CPU is about to be started, with this stack: from now on it may be woken, though it may take its time to
/// come.
pub fn expect(index: usize, affinity: u64, stack: u64) {
    let cpu = &cpus()[index];
    cpu.stack.store(stack, Ordering::Relaxed);
    wake::expect(&cpu.own, affinity);
}

/// Returns all of the CPU this runs on, which begins with [`percpu::this`].
#[inline(always)]
fn this_cpu() -> &'static Cpu {
    let pointer = core::ptr::with_exposed_provenance::<Cpu>(crate::arch::cpu::own());
    // SAFETY: `init` put the address of one of [`cpus`] there.
    unsafe { &*pointer }
}

/// Sets up the CPU this runs on: registers, interrupts.
///
/// # Safety
///
/// Once on each CPU that is [expected](expect), before anything else here is used on it, and with its own number.
pub unsafe fn init(index: usize) {
    let cpu = &cpus()[index];
    // All of it is found by what it begins with (`this_cpu`).
    let _ = core::ptr::from_ref(cpu).expose_provenance();
    // SAFETY: as the caller promises.
    unsafe { cpu.own.enter() };
    crate::arch::cpu::init(predictor::is_needed());
    crate::arch::mmu::init_stage2();
    timer::stop_guest_timers();
    timer::set(None);
    gic::init_cpu(index);
}

/// Sleeps until the first CPU has set `flag` and kicked this one.
pub fn sleep_until(flag: &AtomicBool) {
    loop {
        // It may have been kicked before, for a vCPU that it was given, and not have heard of it. Who does not kick it
        // any more has set the flag by then.
        percpu::this().kicked.swap(false, Ordering::SeqCst);
        if flag.load(Ordering::Acquire) {
            return;
        }
        crate::arch::cpu::wait_for_interrupt();
        while let Some(intid) = interrupt::acknowledge() {
            interrupt::end(intid);
            interrupt::deactivate(intid);
        }
    }
}

/// Takes up the first guest that is to run, and counts instructions from here on if `count`.
///
/// # Safety
///
/// Once on each CPU that was set up.
pub unsafe fn begin(count: bool) -> ThisCpu {
    let mut cpu = ThisCpu { vcpu: core::ptr::null_mut() };
    let local = cpu.local();
    local.turns.set_slice(timer::frequency() / SLICE_PARTS);
    local.tick = timer::frequency() / TICKS_PER_SECOND;
    local.turns.rest(timer::now());
    if count && pmu::init() {
        local.counts = Some(pmu::sample());
    }
    cpu.run_next(None)
}

impl Cpu {
    const fn new(index: usize) -> Self {
        Self { own: PerCpu::new(index), stack: AtomicU64::new(0), local: UnsafeCell::new(Local::NEW) }
    }
}

/// The CPU this runs on, while it runs no guest: who has this may give it to another vCPU. There is one, which neither
/// another CPU nor another function on this one can have at the same time. What may change the vCPU takes it and gives
/// it back: so it stays in a register.
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<hypervisor::cpu::ThisCpu>();
/// ```
///
/// ```compile_fail,E0277
/// fn share<T: Sync>() {}
/// share::<hypervisor::cpu::ThisCpu>();
/// ```
///
/// ```compile_fail,E0277
/// fn copy<T: Clone>() {}
/// copy::<hypervisor::cpu::ThisCpu>();
/// ```
///
/// ```compile_fail,E0133
/// let cpu = hypervisor::cpu::ThisCpu::left_by(core::ptr::null_mut());
/// ```
///
/// Who gave it away has it no more.
///
/// ```compile_fail,E0382
/// fn twice(cpu: hypervisor::cpu::ThisCpu) {
///     let _ = cpu.wait();
///     let _ = cpu.wait();
/// }
/// ```
///
/// ```
/// fn once(cpu: hypervisor::cpu::ThisCpu) -> hypervisor::cpu::ThisCpu {
///     cpu.wait().schedule()
/// }
/// ```
#[must_use]
pub struct ThisCpu {
    /// The vCPU that is loaded. Null until there is one, before the first guest is entered.
    vcpu: *mut Vcpu,
}

impl ThisCpu {
    /// Takes the CPU, which a guest has just left.
    ///
    /// # Safety
    ///
    /// For the vectors: `vcpu` is loaded on this CPU, nobody refers to it, and there is no other `ThisCpu` on this CPU.
    #[inline(always)]
    pub unsafe fn left_by(vcpu: *mut Vcpu) -> Self {
        Self { vcpu }
    }

    /// Returns the vCPU that is loaded.
    #[inline(always)]
    pub fn vcpu(&mut self) -> &mut Vcpu {
        // SAFETY: it is loaded on this CPU, so that this is the only way to it, and `self` is borrowed for as long.
        unsafe { &mut *self.vcpu }
    }

    /// Gives the CPU to the vCPU that is loaded: whoever had it does not have it any more.
    #[inline(always)]
    pub fn give_away(self) -> *mut Vcpu {
        self.vcpu
    }

    #[inline]
    fn local(&mut self) -> &mut Local {
        // SAFETY: the CPU's own, and `self`, of which there is one, is borrowed for as long.
        unsafe { &mut *this_cpu().local.get() }
    }

    /// Gives the CPU to the one that is to run next, once there is one: the vCPU that is loaded leaves.
    pub fn schedule(mut self) -> Self {
        let turns = &mut self.local().turns;
        turns.charge(timer::now());
        let leaves = turns.current();
        self.run_next(Some(leaves))
    }

    /// Runs whose turn it is next. What was done since the last charge, and what it takes to start or stop one, is
    /// charged to him; the way there as well, unless another one leaves by himself.
    fn run_next(mut self, mut leaves: Option<usize>) -> Self {
        loop {
            let local = self.local();
            let Some(number) = local.turns.next(percpu::this().queue.ready()) else {
                self.idle();
                leaves = None;
                continue;
            };
            let now = timer::now();
            local.turns.begin(number, now);
            if !self.may_run(number) {
                self.local().turns.charge(timer::now());
                leaves = None;
                continue;
            }
            if self.local().loaded != Some(number) {
                let before = timer::now();
                self.switch_to(number);
                if let Some(other) = leaves {
                    self.local().turns.blame(other, timer::now() - before);
                }
            }
            self.vcpu().refresh();
            if self.vcpu().is_blocked() && self.sleeps(number) {
                self.local().turns.charge(timer::now());
                // Its siblings may wake it as often as they like before it has its answer.
                self.look_outside();
                continue;
            }
            self.local().arm(now);
            return self;
        }
    }

    fn switch_to(&mut self, number: usize) {
        self.trace_switch(number);
        self.unload();
        let slot = &mut self.local().slots[number];
        slot.deadline = None;
        let Some(tenant) = &slot.tenant else { return };
        self.vcpu = tenant.vcpu;
        // Before its list registers are looked after: who changes something then sees it here, or is seen there.
        percpu::this().running.store(number, Ordering::SeqCst);
        self.vcpu().load();
        self.local().loaded = Some(number);
    }

    /// Records the vCPU that is about to be loaded, and which one was before.
    #[inline(always)]
    fn trace_switch(&mut self, number: usize) {
        let local = self.local();
        let tenant = |number: usize| local.slots.get(number)?.tenant.as_ref();
        let (Some(to), before) = (tenant(number), local.loaded.and_then(tenant)) else { return };
        record(Client::of(to.vm.config.id), || {
            let (from, from_vcpu) = before.map_or((0, 0), |it| (it.vm.config.id.get(), it.index as u8));
            Event::VcpuSwitch { vcpu: to.index as u8, from, from_vcpu }
        });
    }

    fn unload(&mut self) {
        self.local().account();
        if let Some(number) = self.local().loaded.take() {
            percpu::this().running.store(SLOTS, Ordering::SeqCst);
            let deadline = self.vcpu().unload();
            self.local().slots[number].deadline = deadline;
        }
    }

    fn idle(&mut self) {
        self.local().arm_idle();
        record(Client::HYPERVISOR, || Event::Idle);
        crate::arch::cpu::wait_for_interrupt();
        self.local().turns.rest(timer::now());
        self.serve_interrupts();
    }

    /// Lets the guest that is loaded wait for an interrupt: goes on with it at once if there is one, or else with who
    /// runs next.
    pub fn wait(mut self) -> Self {
        // Asleep first, then the look whether an interrupt is there: one that comes in between wakes it again.
        let place = self.vcpu().place;
        percpu::this().queue.sleep(place.slot);
        if self.vcpu().has_interrupt() {
            percpu::this().queue.wake(place.slot);
            return self;
        }
        if self.vcpu().vm.is_stopping() {
            percpu::this().queue.wake(place.slot);
        }
        self.schedule()
    }

    /// Lets the vCPU that is loaded wait until others have looked.
    pub fn block(self) -> Self {
        // It is not asleep yet: who runs next finds out whether it still has to wait.
        self.schedule()
    }

    /// Puts the loaded vCPU, which waits for others, to sleep until they have looked. `false` if they have meanwhile.
    fn sleeps(&mut self, number: usize) -> bool {
        percpu::this().queue.sleep(number);
        if self.vcpu().is_blocked() {
            return true;
        }
        percpu::this().queue.wake(number);
        false
    }
}
