//! A physical CPU: the vCPUs that run on it, one after the other, and its interrupts.
//!
//! TPIDR_EL2 points at the CPU's own [`Cpu`]. The `percore` crate would find it by an index computed at each access, and
//! other CPUs must reach some of its fields as well ([`wake`]).

use crate::arch::sysreg::{self, read, write};
use crate::arch::virtual_interface::Interface;
use crate::arch::{pmu, timer};
use crate::input;
use crate::lock::KINDS;
use crate::platform::{console, gic};
use crate::scheduler::{Place, RunQueue, SLOTS};
use crate::trace::{Client, record};
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use heapless::Vec;
use shared_abi::layout::MAX_CPUS;
use shared_abi::trace::Event;
use shared_abi::trace::event::VmState;

/// How long a vCPU runs while others wait, in parts of a second.
const SLICES_PER_SECOND: u64 = 200;
/// How often a CPU that runs a guest looks around in any case.
const TICKS_PER_SECOND: u64 = 20;
/// How long an incomplete line of output waits for its end: a VM that is idle will not end it soon, one that runs may
/// have been held up in the middle, and its line should stay whole.
const LINES_PER_SECOND_IDLE: u64 = 50;
const LINES_PER_SECOND_BUSY: u64 = 2;

/// A vCPU of a CPU's, with what the CPU needs to know of it without touching it: whoever serves an exit has it.
struct Slot {
    vcpu: *mut Vcpu,
    vm: &'static Vm,
    index: usize,
    /// It has been started and not been switched off.
    on: Cell<bool>,
    /// When its virtual timer wants it back, while it is not loaded.
    deadline: Cell<Option<u64>>,
}

/// A physical CPU. Of its fields, other CPUs touch `queue` and `affinity`.
pub struct Cpu {
    /// Its number.
    pub index: usize,
    /// Where its records go.
    #[cfg(feature = "trace")]
    pub sink: crate::platform::trace::Sink,
    queue: RunQueue,
    /// By which it is kicked; [`UNUSED`] as long as it was not started.
    affinity: AtomicU64,
    slots: UnsafeCell<Vec<Slot, SLOTS>>,
    /// Whose registers it has.
    loaded: Cell<Option<usize>>,
    /// Who ran last, and until when its turn lasts.
    last: Cell<usize>,
    turn_ends: Cell<u64>,
    /// Whether instructions are counted, and the counts when they were last looked at.
    counts: Cell<Option<(u32, u32)>>,
    /// Looks at locks that another CPU had, since they were last added to a VM's.
    waits: [Cell<u64>; KINDS],
}

// SAFETY: What is not atomic is used by the CPU that it belongs to alone, or by the first CPU before that one runs guests.
unsafe impl Sync for Cpu {}

/// No CPU's affinity.
const UNUSED: u64 = u64::MAX;

static CPUS: [Cpu; MAX_CPUS] =
    [Cpu::new(0), Cpu::new(1), Cpu::new(2), Cpu::new(3), Cpu::new(4), Cpu::new(5), Cpu::new(6), Cpu::new(7)];

/// Gives a vCPU to its CPU, which must not be running guests yet.
pub fn add(vcpu: &'static mut Vcpu) {
    let cpu = &CPUS[vcpu.place.cpu];
    let (vm, index, slot) = (vcpu.vm, vcpu.index, vcpu.place.slot);
    // SAFETY: The CPU does not look at its vCPUs before it runs guests, and only the first CPU adds them.
    let slots = unsafe { &mut *cpu.slots.get() };
    assert_eq!(slots.len(), slot, "vCPUs come in the order in which they were placed");
    let added = slots.push(Slot { vcpu, vm, index, on: Cell::new(false), deadline: Cell::new(None) });
    assert!(added.is_ok(), "no CPU is given more vCPUs than it has slots");
    if index == 0 {
        cpu.queue.wake(slot);
    }
}

/// A vCPU has something to do, or to stop doing: an interrupt waits for it, it is to start, its VM ends.
pub fn wake(place: Place) {
    let cpu = &CPUS[place.cpu];
    cpu.queue.wake(place.slot);
    if place.cpu == this().index {
        // Somebody else's turn may have to end now.
        cpu.arm(true);
    } else {
        gic::kick(cpu.affinity.load(Ordering::Relaxed));
    }
}

/// Lets all other CPUs look around. One that is still on its way finds the kick pending when it has come.
pub fn kick_others() {
    for cpu in CPUS.iter().filter(|cpu| cpu.index != this().index) {
        let affinity = cpu.affinity.load(Ordering::Relaxed);
        if affinity != UNUSED {
            gic::kick(affinity);
        }
    }
}

/// A CPU is about to be started: from now on it may be woken, though it may take its time to come.
pub fn expect(index: usize, affinity: u64) {
    CPUS[index].affinity.store(affinity, Ordering::Relaxed);
}

/// The CPU this runs on.
#[inline(always)]
pub fn this() -> &'static Cpu {
    let pointer = core::ptr::with_exposed_provenance::<Cpu>(read!("tpidr_el2") as usize);
    // SAFETY: `Cpu::init` put the address of one of `CPUS` there.
    unsafe { &*pointer }
}

impl Cpu {
    const fn new(index: usize) -> Self {
        Self {
            index,
            #[cfg(feature = "trace")]
            sink: crate::platform::trace::Sink::new(),
            queue: RunQueue::new(),
            affinity: AtomicU64::new(UNUSED),
            slots: UnsafeCell::new(Vec::new()),
            loaded: Cell::new(None),
            last: Cell::new(0),
            turn_ends: Cell::new(0),
            counts: Cell::new(None),
            waits: [const { Cell::new(0) }; KINDS],
        }
    }

    /// Sets up the CPU this runs on: registers, interrupts, counters.
    pub fn init(index: usize) -> &'static Self {
        let cpu = &CPUS[index];
        write!("tpidr_el2", core::ptr::from_ref(cpu).expose_provenance() as u64);
        expect(index, sysreg::affinity());
        crate::arch::cpu::init();
        crate::arch::mmu::init_stage2();
        timer::stop_guest_timer();
        timer::set(None);
        gic::init_cpu(index);
        if pmu::init() {
            cpu.counts.set(Some(pmu::sample()));
        }
        cpu
    }

    /// Sleeps until the first CPU has set `flag` and kicked this one. It does not look at its vCPUs meanwhile.
    pub fn sleep_until(&self, flag: &AtomicBool) {
        while !flag.load(Ordering::Acquire) {
            sysreg::wait_for_interrupt();
            while let Some(intid) = gic::acknowledge() {
                gic::end(intid);
                gic::deactivate(intid);
            }
        }
    }

    fn slots(&self) -> &[Slot] {
        // SAFETY: Only this CPU looks at its vCPUs, and nobody adds any once it does.
        unsafe { &*self.slots.get() }
    }

    fn loaded(&self) -> Option<&Slot> {
        self.slots().get(self.loaded.get()?)
    }

    /// The vCPU has nothing to do until it is woken.
    #[inline]
    pub fn sleep(&self, slot: usize) {
        self.queue.sleep(slot);
    }

    /// A vCPU of this CPU has something to do.
    #[inline]
    pub fn wake_own(&self, slot: usize) {
        self.queue.wake(slot);
    }

    /// Picks the next vCPU and gives it this CPU; waits for one if need be. No reference to a vCPU of this CPU's may be
    /// in use.
    pub fn schedule(&self) -> *mut Vcpu {
        loop {
            let Some(number) = self.queue.next(self.last.get()) else {
                self.idle();
                continue;
            };
            let slot = &self.slots()[number];
            if !self.may_run(number, slot) {
                continue;
            }
            if self.loaded.get() != Some(number) {
                self.trace_switch(slot);
                self.unload();
                // SAFETY: This CPU's vCPU, to which nobody refers.
                unsafe { (*slot.vcpu).load() };
                slot.deadline.set(None);
                self.loaded.set(Some(number));
            }
            self.last.set(number);
            self.turn_ends.set(timer::now() + timer::frequency() / SLICES_PER_SECOND);
            slot.refresh();
            self.arm(true);
            return slot.vcpu;
        }
    }

    /// Whether a vCPU that is ready can run: starts it if it is to start, stops it if its VM ends.
    fn may_run(&self, number: usize, slot: &Slot) -> bool {
        if slot.index == 0 && slot.vm.is_resetting() {
            self.reset_some(number, slot);
            return false;
        }
        if !slot.on.get() {
            self.queue.sleep(number);
            let mut machine = slot.vm.machine.lock();
            if let Some(start) = machine.psci.take_start(slot.index) {
                if slot.index == 0 {
                    record(slot.client(), || Event::VmState { state: VmState::Running });
                }
                // SAFETY: This CPU's vCPU, to which nobody refers; it is not loaded, because it was off.
                unsafe { (*slot.vcpu).start(start, &mut machine) };
                slot.on.set(true);
                self.queue.wake(number);
            }
        }
        if slot.on.get() && slot.vm.is_ending() {
            self.switch_off(number);
        }
        slot.on.get()
    }

    /// Uses a turn of a VM's first vCPU to go on with the VM's reset.
    fn reset_some(&self, number: usize, slot: &Slot) {
        self.unload();
        self.last.set(number);
        slot.vm.prepare_some();
        // No guest runs that an interrupt could interrupt.
        while let Some(intid) = gic::acknowledge() {
            record(Client::HYPERVISOR, || Event::Wake { intid });
            self.interrupt(intid);
        }
        self.arm(true);
    }

    /// Stops a vCPU for good, and its VM if it was the last one. No reference to it may be in use.
    pub fn switch_off(&self, number: usize) {
        let slot = &self.slots()[number];
        self.queue.sleep(number);
        slot.on.set(false);
        if self.loaded.get() == Some(number) {
            self.unload();
        }
        slot.deadline.set(None);
        let last = slot.vm.machine.lock().psci.switch_off(slot.index);
        if last {
            slot.vm.finish();
        }
    }

    /// The vCPU that is about to be loaded, and which one was before.
    #[inline(always)]
    fn trace_switch(&self, slot: &Slot) {
        record(slot.client(), || {
            let before = self.loaded();
            let (from, from_vcpu) = before.map_or((0, 0), |slot| (slot.vm.config.id.get(), slot.index as u8));
            Event::VcpuSwitch { vcpu: slot.index as u8, from, from_vcpu }
        });
    }

    fn unload(&self) {
        self.account();
        if let Some(slot) = self.loaded() {
            // SAFETY: This CPU's vCPU, to which nobody refers.
            slot.deadline.set(unsafe { (*slot.vcpu).unload() });
            self.loaded.set(None);
        }
    }

    fn idle(&self) {
        self.arm(false);
        record(Client::HYPERVISOR, || Event::Idle);
        sysreg::wait_for_interrupt();
        while let Some(intid) = gic::acknowledge() {
            record(Client::HYPERVISOR, || Event::Wake { intid });
            self.interrupt(intid);
        }
    }

    /// Serves an interrupt of this CPU's. Whether the turn of whoever runs is over.
    #[inline]
    pub fn interrupt(&self, intid: u32) -> bool {
        if intid == gic::VIRTUAL_TIMER {
            self.virtual_timer();
            return false;
        }
        match intid {
            gic::HYPERVISOR_TIMER => {
                // Its line stays up until it is set anew.
                timer::set(None);
                self.tick();
            }
            gic::UART => input::receive(),
            // A kick, or the virtual interface's maintenance: the list registers are looked at below.
            _ => {}
        }
        if let Some(slot) = self.loaded() {
            slot.refresh();
        }
        gic::end(intid);
        gic::deactivate(intid);
        if intid != gic::HYPERVISOR_TIMER && intid != gic::KICK {
            return false;
        }
        let turn_is_over = self.is_turn_over();
        if !turn_is_over {
            self.arm(true);
        }
        turn_is_over
    }

    /// Whether whoever runs has to make room: it waits or stops, or others do and it has had its time.
    fn is_turn_over(&self) -> bool {
        let last = self.last.get();
        let is_ending = || self.slots().get(last).is_some_and(|slot| slot.vm.is_ending());
        !self.queue.is_ready(last) || self.queue.has_others(last) && timer::now() >= self.turn_ends.get() || is_ending()
    }

    /// The loaded vCPU's timer has fired. Its interrupt stays active until the guest deactivates it.
    #[inline]
    fn virtual_timer(&self) {
        gic::end(gic::VIRTUAL_TIMER);
        match self.loaded() {
            Some(slot) if timer::guest_timer_fires() => {
                let mut machine = slot.vm.machine.lock();
                machine.vgic.timer_fired(slot.index);
                machine.vgic.refresh(slot.index, &mut Interface);
                self.queue.wake(self.last.get());
            }
            // It was withdrawn on its way.
            _ => gic::deactivate(gic::VIRTUAL_TIMER),
        }
    }

    /// Does what is due: wakes vCPUs whose timer has fired while they were not loaded, prints incomplete lines, rings
    /// alarm clocks.
    fn tick(&self) {
        self.account();
        let now = timer::now();
        for (number, slot) in self.slots().iter().enumerate() {
            if slot.deadline.get().is_some_and(|deadline| deadline <= now) {
                slot.deadline.set(None);
                self.queue.wake(number);
            }
            if slot.index != 0 {
                continue;
            }
            // Whoever runs here may be of another VM, and not to wait for this one's vCPUs elsewhere: next time, then.
            let Some(mut machine) = slot.vm.machine.try_lock() else { continue };
            if machine.uart.incomplete_since().is_some_and(|since| now.saturating_sub(since) >= slot.line_time()) {
                machine.uart.print_incomplete(&mut console::lock());
            }
            if machine.rtc.alarm_in(crate::vm::seconds()).is_some() {
                machine.rtc.tick(crate::vm::seconds());
                machine.update_rtc();
                let stale = machine.vgic.take_stale();
                drop(machine);
                slot.vm.notify(stale);
            }
        }
    }

    /// Sets the hypervisor's timer to when this CPU has to look around next.
    fn arm(&self, running: bool) {
        let now = timer::now();
        let second = timer::frequency();
        let mut next = if running { now + second / TICKS_PER_SECOND } else { u64::MAX };
        if running && self.queue.has_others(self.last.get()) {
            next = self.turn_ends.get();
        }
        for (number, slot) in self.slots().iter().enumerate() {
            if let Some(deadline) = slot.deadline.get()
                && !self.queue.is_ready(number)
            {
                next = next.min(deadline);
            }
            if slot.index == 0 && !running {
                let machine = slot.vm.machine.lock();
                if let Some(since) = machine.uart.incomplete_since() {
                    next = next.min(since + slot.line_time());
                }
                if let Some(seconds) = machine.rtc.alarm_in(crate::vm::seconds()) {
                    next = next.min(now + (u64::from(seconds) + 1).min(60) * second);
                }
            }
        }
        timer::set((next != u64::MAX).then_some(next));
    }

    /// A lock is another CPU's at the moment.
    pub fn count_wait(&self, kind: usize) {
        if let Some(count) = self.waits.get(kind) {
            count.set(count.get() + 1);
        }
    }

    /// Adds what was counted since the last time to the VM whose vCPU is loaded.
    fn account(&self) {
        for (kind, count) in self.waits.iter().enumerate() {
            let waits = count.take();
            if waits != 0
                && let Some(slot) = self.loaded()
            {
                slot.vm.waits[kind].fetch_add(waits, Ordering::Relaxed);
            }
        }
        let Some(before) = self.counts.get() else { return };
        let now = pmu::sample();
        self.counts.set(Some(now));
        if let Some(slot) = self.loaded() {
            let vm = slot.vm;
            vm.instructions[0].fetch_add(u64::from(now.0.wrapping_sub(before.0)), Ordering::Relaxed);
            vm.instructions[1].fetch_add(u64::from(now.1.wrapping_sub(before.1)), Ordering::Relaxed);
        }
    }
}

impl Slot {
    /// Whom records of this vCPU are about.
    #[inline(always)]
    fn client(&self) -> Client {
        Client::of(self.vm.config.id)
    }

    /// Brings the list registers up to date: the vCPU is loaded.
    fn refresh(&self) {
        self.vm.machine.lock().vgic.refresh(self.index, &mut Interface);
    }

    /// How long an incomplete line of this VM's waits.
    fn line_time(&self) -> u64 {
        let busy = self.vm.places.iter().any(|place| CPUS[place.cpu].queue.is_ready(place.slot));
        timer::frequency() / if busy { LINES_PER_SECOND_BUSY } else { LINES_PER_SECOND_IDLE }
    }
}
