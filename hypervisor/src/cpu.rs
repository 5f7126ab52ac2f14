// SPDX-License-Identifier: MIT OR Apache-2.0
//! A physical CPU: the vCPUs that run on it, one after the other, and its interrupts.
//!
//! TPIDR_EL2 points at the CPU's own [`Cpu`], what others may touch of it. The rest is reached through [`ThisCpu`]
//! alone, which there is one of, on the CPU itself, while it runs no guest. The `percore` crate would find the former
//! by an index computed at each access, and has no such token.

use crate::arch::interface::{PHYSICAL_TIMER, VIRTUAL_TIMER};
use crate::arch::one_per_machine;
use crate::arch::{interrupt, pmu, timer};
use crate::input;
use crate::interrupts::{HYPERVISOR_TIMER, KICK, UART};
use crate::percpu::{self, PerCpu};
use crate::platform::gic;
use crate::predictor;
use crate::scheduler::{SLICE_PARTS, SLOTS, Turns};
use crate::trace::{Client, record};
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use crate::wake;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use heapless::Vec;
use shared_abi::layout::MAX_CPUS;
use shared_abi::trace::Event;
use shared_abi::trace::event::VmState;

/// How often a CPU that runs a guest looks around in any case.
const TICKS_PER_SECOND: u64 = 20;
/// How many interrupts are served before a guest goes on: one of each kind, so that nobody who causes them keeps it
/// waiting.
const AT_ONCE: usize = 8;

/// A vCPU of a CPU's, with what the CPU needs to know of it without touching it: whoever serves an exit has it.
struct Slot {
    vcpu: *mut Vcpu,
    vm: &'static Vm,
    index: usize,
    /// It has been started and not been switched off.
    on: bool,
    /// When its timers want it back, while it is not loaded.
    deadline: Option<u64>,
    /// When a device of its VM's has to be looked at, which it was the last to touch.
    chore: Option<u64>,
}

/// What only the CPU itself touches.
struct Local {
    slots: Vec<Slot, SLOTS>,
    /// Whose registers it has.
    loaded: Option<usize>,
    turns: Turns,
    /// Whether instructions are counted, and the counts when they were last looked at.
    counts: Option<(u32, u32)>,
}

/// A physical CPU.
#[repr(C)]
pub struct Cpu {
    /// What code below this knows of it, by which it finds the rest.
    own: PerCpu,
    local: UnsafeCell<Local>,
}

// SAFETY: `local` is touched by the CPU's `ThisCpu` alone, and by the first CPU before that runs guests (`add`).
unsafe impl Sync for Cpu {}

one_per_machine! {
    /// All CPUs.
    fn cpus() -> &'static [Cpu; MAX_CPUS] =
        [Cpu::new(0), Cpu::new(1), Cpu::new(2), Cpu::new(3), Cpu::new(4), Cpu::new(5), Cpu::new(6), Cpu::new(7)];
}

/// Gives a vCPU to its CPU.
///
/// # Safety
///
/// That CPU must not have begun to run guests ([`begin`]), and the caller be the only one that gives it vCPUs.
pub unsafe fn add(vcpu: &'static mut Vcpu) {
    let cpu = &cpus()[vcpu.place.cpu];
    let (vm, index, slot) = (vcpu.vm, vcpu.index, vcpu.place.slot);
    // SAFETY: as the caller promises, nobody else touches it.
    let slots = unsafe { &mut (*cpu.local.get()).slots };
    assert_eq!(slots.len(), slot, "vCPUs come in the order in which they were placed");
    let added = slots.push(Slot { vcpu, vm, index, on: false, deadline: None, chore: None });
    assert!(added.is_ok(), "no CPU is given more vCPUs than it has slots");
    if index == 0 {
        cpu.own.queue.wake(slot);
    }
}

/// A CPU is about to be started: from now on it may be woken, though it may take its time to come.
pub fn expect(index: usize, affinity: u64) {
    wake::expect(&cpus()[index].own, affinity);
}

/// The CPU this runs on.
#[inline(always)]
fn this() -> &'static Cpu {
    let pointer = core::ptr::with_exposed_provenance::<Cpu>(crate::arch::cpu::own());
    // SAFETY: `init` put the address of one of [`cpus`] there.
    unsafe { &*pointer }
}

/// Sets up the CPU this runs on: registers, interrupts.
///
/// # Safety
///
/// Once on each CPU, before anything else here is used on it, and with its own number.
pub unsafe fn init(index: usize) {
    let cpu = &cpus()[index];
    // All of it is found by what it begins with (`this`).
    let _ = core::ptr::from_ref(cpu).expose_provenance();
    // SAFETY: as the caller promises.
    unsafe { cpu.own.enter() };
    expect(index, crate::arch::cpu::affinity());
    crate::arch::cpu::init(predictor::is_needed());
    crate::arch::mmu::init_stage2();
    timer::stop_guest_timers();
    timer::set(None);
    gic::init_cpu(index);
}

/// Sleeps until the first CPU has set `flag` and kicked this one.
pub fn sleep_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        crate::arch::cpu::wait_for_interrupt();
        while let Some(intid) = interrupt::acknowledge() {
            interrupt::end(intid);
            interrupt::deactivate(intid);
        }
    }
    percpu::this().kicked.store(false, Ordering::SeqCst);
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
    local.turns.rest(timer::now());
    if count && pmu::init() {
        local.counts = Some(pmu::sample());
    }
    cpu.run_next(None)
}

impl Cpu {
    const fn new(index: usize) -> Self {
        Self {
            own: PerCpu::new(index),
            local: UnsafeCell::new(Local { slots: Vec::new(), loaded: None, turns: Turns::new(), counts: None }),
        }
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
    /// The CPU, which a guest has just left.
    ///
    /// # Safety
    ///
    /// For the vectors: `vcpu` is loaded on this CPU, nobody refers to it, and there is no other `ThisCpu` on this CPU.
    #[inline(always)]
    pub unsafe fn left_by(vcpu: *mut Vcpu) -> Self {
        Self { vcpu }
    }

    /// The vCPU that is loaded.
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
        unsafe { &mut *this().local.get() }
    }

    /// The vCPU that is loaded leaves the CPU to the one that is to run next, once there is one.
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
        self.vcpu = slot.vcpu;
        // Before its list registers are looked after: who changes something then sees it here, or is seen there.
        percpu::this().running.store(number, Ordering::SeqCst);
        self.vcpu().load();
        self.local().loaded = Some(number);
    }

    /// Whether a vCPU that is ready can run: starts it if it is to start, stops it if its VM ends.
    fn may_run(&mut self, number: usize) -> bool {
        let slot = &self.local().slots[number];
        let (vm, index, on) = (slot.vm, slot.index, slot.on);
        if index == 0 && vm.is_resetting() {
            self.reset_some(number);
            return false;
        }
        if !on {
            percpu::this().queue.sleep(number);
            self.local().account();
            let start = vm.take_start(index);
            charge_waits(vm);
            let Some(start) = start else { return false };
            if index == 0 {
                record(Client::of(vm.config.id), || Event::VmState { state: VmState::Running });
            }
            let slot = &mut self.local().slots[number];
            slot.on = true;
            // SAFETY: this CPU's vCPU; it is not loaded, because it was off, so that nobody refers to it.
            unsafe { (*slot.vcpu).start(start) };
            percpu::this().queue.wake(number);
        }
        if vm.is_ending() {
            self.switch_off(number);
            return false;
        }
        true
    }

    /// Uses a turn of a VM's first vCPU to go on with the VM's reset.
    fn reset_some(&mut self, number: usize) {
        self.unload();
        let vm = self.local().slots[number].vm;
        // SAFETY: the VM is resetting: all its vCPUs went off, and the first one, whose turn this is, starts none
        // before all is done.
        unsafe { vm.prepare_some() };
        charge_waits(vm);
        self.look_outside();
    }

    /// Serves interrupts where no guest runs that they could interrupt.
    fn look_outside(&mut self) {
        self.serve_interrupts();
        self.local().arm(timer::now());
    }

    /// The vCPU that is loaded goes off, and leaves the CPU to the one that is to run next.
    pub fn switch_off_loaded(mut self) -> Self {
        if let Some(number) = self.local().loaded {
            self.vcpu().give_back();
            self.switch_off(number);
        }
        self.schedule()
    }

    /// Stops a vCPU for good, and its VM if it was the last one.
    fn switch_off(&mut self, number: usize) {
        percpu::this().queue.sleep(number);
        if self.local().loaded == Some(number) {
            self.unload();
        }
        let slot = &mut self.local().slots[number];
        slot.on = false;
        slot.deadline = None;
        let (vm, index) = (slot.vm, slot.index);
        if vm.switch_off(index) {
            vm.finish();
        }
        charge_waits(vm);
    }

    /// The vCPU that is about to be loaded, and which one was before.
    #[inline(always)]
    fn trace_switch(&mut self, number: usize) {
        let local = self.local();
        let (to, before) = (&local.slots[number], local.loaded.map(|number| &local.slots[number]));
        record(Client::of(to.vm.config.id), || {
            let (from, from_vcpu) = before.map_or((0, 0), |slot| (slot.vm.config.id.get(), slot.index as u8));
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

    fn serve_interrupts(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(intid) = interrupt::acknowledge() else { return };
            record(Client::HYPERVISOR, || Event::Wake { intid });
            self.interrupt(intid);
        }
    }

    /// Serves what interrupted a guest, and gives the CPU to another vCPU if that is to run now.
    #[inline(always)]
    pub fn interrupted(mut self) -> Self {
        let mut look_around = false;
        for _ in 0..AT_ONCE {
            let Some(intid) = interrupt::acknowledge() else { break };
            look_around |= self.interrupt(intid);
        }
        if look_around { self.look_around() } else { self }
    }

    /// Serves an interrupt of this CPU's. Whether who runs may have to make room now.
    #[inline]
    fn interrupt(&mut self, intid: u32) -> bool {
        if intid == VIRTUAL_TIMER || intid == PHYSICAL_TIMER {
            self.guest_timer(intid);
            return false;
        }
        match intid {
            HYPERVISOR_TIMER => {
                self.local().turns.charge(timer::now());
                // Its line stays up until it is set anew.
                timer::set(None);
                self.tick();
            }
            KICK => {
                self.local().turns.charge(timer::now());
                // From here on another kick means something new.
                percpu::this().kicked.store(false, Ordering::SeqCst);
            }
            UART => input::receive(),
            // The virtual interface's maintenance: the list registers are looked at below.
            _ => {}
        }
        if self.local().loaded.is_some() {
            self.vcpu().refresh();
        }
        interrupt::end(intid);
        interrupt::deactivate(intid);
        intid == HYPERVISOR_TIMER || intid == KICK
    }

    fn look_around(mut self) -> Self {
        let ready = percpu::this().queue.ready();
        let local = self.local();
        let current = local.turns.current();
        let stops = ready & 1 << current == 0 || local.slots.get(current).is_some_and(|slot| slot.vm.is_ending());
        if local.turns.is_over(ready) || stops {
            return self.run_next(None);
        }
        let now = timer::now();
        local.turns.blame_newcomer(now);
        local.arm(now);
        self
    }

    /// A timer of the loaded vCPU has fired. Its interrupt stays active until the guest deactivates it.
    #[inline]
    fn guest_timer(&mut self, intid: u32) {
        interrupt::end(intid);
        let Some(number) = self.local().loaded else {
            // It was withdrawn on its way.
            interrupt::deactivate(intid);
            return;
        };
        self.vcpu().timer_fired(intid);
        percpu::this().queue.wake(number);
    }

    /// The guest that is loaded waits for an interrupt: goes on with it at once if there is one, or else with who runs
    /// next.
    pub fn wait(mut self) -> Self {
        // Asleep first, then the look whether an interrupt is there: one that comes in between wakes it again.
        let place = self.vcpu().place;
        percpu::this().queue.sleep(place.slot);
        if self.vcpu().has_interrupt() {
            percpu::this().queue.wake(place.slot);
            return self;
        }
        if self.vcpu().vm.is_ending() {
            percpu::this().queue.wake(place.slot);
        }
        self.schedule()
    }

    /// The vCPU that is loaded waits until others have looked.
    pub fn block(self) -> Self {
        // It is not asleep yet: who runs next finds out whether it still has to wait.
        self.schedule()
    }

    /// The loaded vCPU, which waits for others, sleeps until they have looked. `false` if they have meanwhile.
    fn sleeps(&mut self, number: usize) -> bool {
        percpu::this().queue.sleep(number);
        if self.vcpu().is_blocked() {
            return true;
        }
        percpu::this().queue.wake(number);
        false
    }

    /// A device of the loaded vCPU's VM has to be looked at by then.
    pub fn look_at_devices_by(&mut self, time: u64) {
        let local = self.local();
        if let Some(slot) = local.loaded.and_then(|number| local.slots.get_mut(number)) {
            slot.chore = Some(slot.chore.map_or(time, |chore| chore.min(time)));
        }
    }

    /// Does what is due: wakes vCPUs whose timer has fired while they were not loaded, looks after devices.
    fn tick(&mut self) {
        self.local().account();
        let now = timer::now();
        for number in 0..self.local().slots.len() {
            let slot = &mut self.local().slots[number];
            if slot.deadline.is_some_and(|deadline| deadline <= now) {
                slot.deadline = None;
                percpu::this().queue.wake(number);
            }
            if slot.chore.is_some_and(|chore| chore <= now) {
                slot.chore = None;
                let vm = slot.vm;
                let before = timer::now();
                let next = vm.look_at_devices(now);
                let local = self.local();
                local.slots[number].chore = next;
                local.turns.blame(number, timer::now() - before);
            }
        }
    }
}

/// Adds the looks at locks that another CPU had to the VM for which this CPU looked.
fn charge_waits(vm: &Vm) {
    percpu::this().add_waits(&vm.waits);
}

impl Local {
    /// Sets the hypervisor's timer to when this CPU has to look around next, while a guest runs.
    fn arm(&mut self, now: u64) {
        let mut next = now + timer::frequency() / TICKS_PER_SECOND;
        let (ready, turns) = (percpu::this().queue.ready(), &self.turns);
        if ready & !(1 << turns.current()) != 0 {
            next = if turns.has_woken(ready) { now } else { next.min(turns.ends()) };
        }
        for (number, slot) in self.slots.iter().enumerate() {
            if let Some(deadline) = slot.deadline
                && ready & 1 << number == 0
            {
                next = next.min(turns.wakes_at(number, deadline));
            }
            if let Some(chore) = slot.chore {
                next = next.min(chore);
            }
        }
        timer::set(Some(next));
    }

    /// Sets the hypervisor's timer while nobody has anything to do.
    fn arm_idle(&mut self) {
        let mut next = u64::MAX;
        for slot in &self.slots {
            next = next.min(slot.deadline.unwrap_or(u64::MAX)).min(slot.chore.unwrap_or(u64::MAX));
        }
        timer::set((next != u64::MAX).then_some(next));
    }

    /// Adds what was counted since the last time to the VM whose vCPU is loaded.
    fn account(&mut self) {
        let vm = self.loaded.and_then(|number| self.slots.get(number)).map(|slot| slot.vm);
        if let Some(vm) = vm {
            charge_waits(vm);
        }
        let Some(before) = self.counts else { return };
        let now = pmu::sample();
        self.counts = Some(now);
        if let Some(vm) = vm {
            vm.instructions[0].fetch_add(u64::from(now.0.wrapping_sub(before.0)), Ordering::Relaxed);
            vm.instructions[1].fetch_add(u64::from(now.1.wrapping_sub(before.1)), Ordering::Relaxed);
        }
    }
}
