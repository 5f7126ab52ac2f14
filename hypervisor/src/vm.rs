// SPDX-License-Identifier: MIT OR Apache-2.0
//! A virtual machine: from its configuration to its end.

use crate::address::Ipa;
use crate::arch::{cpu, one_per_machine};
use crate::config::VmConfig;
use crate::device::pl011::Pl011;
use crate::device::{Devices, Effect};
use crate::guest_tree::{self, Boot};
use crate::loader::{self, Placement};
use crate::lock::{self, Counted, Lock};
use crate::percpu::LOCK_KINDS;
use crate::platform::{self, memory};
use crate::power::{Power, StopReason};
use crate::refill::{self, Portion};
use crate::resources::{Image, MAX_VMS, OwnRam, OwnVmid, Seat};
use crate::stage2::Tables;
use crate::tee::{Mediation, Mediator, Shadow, Smc, Tee};
use crate::trace::{self, Client};
use crate::vgic::{MAX_VCPUS, VcpuMask, Vgic};
use crate::vpsci::Start;
use crate::wake;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use firmware_support::lines::{Line, Lines};
use heapless::Vec;
use shared_abi::layout::{MAX_CPUS, Range};
use shared_abi::trace::event::VmState;
use shared_abi::trace::{Event, Owner};
use spin::Once;
use spin::rwlock::RwLock;

one_per_machine! {
    /// Returns the way to the TEE, if there is one.
    pub fn tee() -> &'static Once<Tee> = Once::new();
}

/// A virtual machine. Whoever lets go of it last gives back what it is made of.
pub struct Vm {
    /// What it was asked to be.
    pub config: VmConfig,
    /// Gone before the memory that they map.
    tables: Tables,
    /// Its memory.
    pub ram: OwnRam,
    /// Its devices.
    pub devices: Devices,
    /// Its interrupt controller, which needs no lock.
    pub vgic: Vgic,
    /// Which of its vCPUs are on.
    pub power: Lock<Power, { lock::DEVICES }>,
    /// Its share of the TEE.
    pub tee: RwLock<Option<Mediation>, Counted<{ lock::TEE }>>,
    /// Where its vCPUs run.
    pub places: Vec<Seat, MAX_VCPUS>,
    /// Instructions retired on its behalf: at EL2, and below.
    pub instructions: [AtomicU64; 2],
    /// How often a CPU that ran it looked at a lock that another one had, by kinds of locks.
    pub waits: [AtomicU64; LOCK_KINDS],
    /// What may still be logged of its mistakes,
    complaints: Lines<COMPLAINTS>,
    /// of its resets,
    resets: Lines<RESETS>,
    /// and of the TEE's not taking it up, or not letting go of it.
    refusals: Lines<RESETS>,
    placement: Placement,
    /// What it is started from.
    images: Vec<Image, 2>,
    /// For the TEE's mediator.
    shadow: Option<&'static Shadow>,
    /// The TEE did not let go of an earlier life, and may still use its memory.
    held: AtomicBool,
    /// Its vCPUs that are on.
    on: AtomicU8,
    /// Whoever prints for it: its text comes in the order in which it was written.
    printer: Lock<(), { lock::CONSOLE }>,
    stopping: AtomicBool,
    alive: AtomicBool,
    /// It is to start again, and so many bytes of work have been done for that.
    resetting: AtomicBool,
    prepared: AtomicU64,
    /// Which vCPU each CPU had loaded last: its translations may still be there.
    last_loaded: [AtomicU8; MAX_CPUS],
}

/// How many mistakes of a guest are logged.
const COMPLAINTS: u32 = 5;
/// How many of its resets are.
const RESETS: u32 = 8;
// Of `last_loaded`.
const NOBODY: u8 = u8::MAX;
const SOMEBODY: u8 = NOBODY - 1;

impl Vm {
    /// Makes a VM, off. The error says what is wrong with the configuration.
    pub fn new(config: VmConfig) -> Result<Box<Self>, String> {
        let size = config.memory;
        let ram = OwnRam::take(size).ok_or_else(|| {
            format!("asks for {} KiB of memory, which is not free: give it less, or the machine more", size / 1024)
        })?;
        let places: Vec<Seat, MAX_VCPUS> = (0..config.vcpus).map_while(|_| Seat::take()).collect();
        if places.len() < config.vcpus {
            return Err(format!("asks for {} CPUs, more than the machine's have room for", config.vcpus));
        }
        let vmid = OwnVmid::take().ok_or_else(|| format!("is one VM too many: there can be {MAX_VMS}"))?;
        let placement = place(&config)?;
        let tables = Tables::new(&ram, vmid);
        let (id, vcpus) = (config.id, config.vcpus);
        let first = Start { entry: placement.entry, context: placement.dtb.0 };
        let shadow = if config.tee && tee().is_completed() {
            Some(Tee::take_shadow().ok_or("asks for the TEE, and the hypervisor has no memory for its messages")?)
        } else {
            None
        };
        trace_memory(&config, shadow);
        // Last: a VM that cannot be made leaves them loaded.
        let images = [Some(config.kernel), config.ramdisk].into_iter().flatten().map(Image::new).collect();
        Ok(Box::new(Self {
            config,
            ram,
            devices: Devices::new(id),
            vgic: Vgic::new(Client::of(id), vcpus),
            power: Lock::new(Power::new(vcpus, first)),
            tee: RwLock::new(None),
            places,
            instructions: [const { AtomicU64::new(0) }; 2],
            waits: [const { AtomicU64::new(0) }; LOCK_KINDS],
            complaints: Lines::new(),
            resets: Lines::new(),
            refusals: Lines::new(),
            tables,
            placement,
            images,
            shadow,
            held: AtomicBool::new(false),
            on: AtomicU8::new(0),
            printer: Lock::new(()),
            stopping: AtomicBool::new(false),
            alive: AtomicBool::new(true),
            resetting: AtomicBool::new(false),
            prepared: AtomicU64::new(0),
            last_loaded: [const { AtomicU8::new(NOBODY) }; MAX_CPUS],
        }))
    }

    /// Returns VTTBR_EL2 for its stage 2.
    pub fn vttbr(&self) -> u64 {
        self.tables.vttbr()
    }

    /// Fills its memory and resets its devices.
    pub fn prepare(&mut self) {
        // SAFETY: nobody but the caller has it.
        while !unsafe { self.prepare_some() } {}
    }

    /// Does a portion of what [`Vm::prepare`] does; whether all is done.
    ///
    /// # Safety
    ///
    /// No CPU runs the VM before all is done.
    pub unsafe fn prepare_some(&self) -> bool {
        let done = self.prepared.load(Ordering::Relaxed);
        let Some(portion) = refill::portion(done, self.ram.size(), &self.pieces()) else {
            self.prepared.store(0, Ordering::Relaxed);
            self.resetting.store(false, Ordering::Relaxed);
            self.complete();
            return true;
        };
        match portion {
            // SAFETY: no CPU runs the VM.
            Portion::Clear(ipa, size) => unsafe { memory::zero(&self.ram, ipa, size) },
            // SAFETY: modules are kept out of the free memory: nobody writes to them.
            Portion::Copy(ipa, image) => self.fill(ipa, unsafe { memory::bytes(image) }),
        }
        self.prepared.store(done + portion.size(), Ordering::Relaxed);
        false
    }

    /// Returns its images, and where each goes.
    fn pieces(&self) -> Vec<(Ipa, Range), 2> {
        let places = [Some(self.placement.kernel), self.placement.ramdisk];
        places.into_iter().flatten().zip(self.images.iter().map(Image::range)).collect()
    }

    /// Says whether its first vCPU's CPU has to prepare it anew.
    #[inline]
    pub fn is_resetting(&self) -> bool {
        self.resetting.load(Ordering::Acquire)
    }

    /// Completes its memory, which is filled but for the device tree, and resets the rest of what it starts with.
    fn complete(&self) {
        let start = Start { entry: self.placement.entry, context: self.placement.dtb.0 };
        let tee = self.create_tee();
        let initrd = self.placement.ramdisk.zip(self.config.ramdisk);
        let boot = Boot {
            initrd: initrd.map(|(ipa, module)| Range::new(ipa.0, module.size)),
            tee: tee.is_some(),
            notification: self::tee().get().is_some_and(Tee::notifies).then_some(Tee::NOTIFICATION_SPI),
            seed: core::array::from_fn(|_| cpu::random()),
        };
        let tree = guest_tree::build(&self.config, &boot).expect("the tree is well-formed by construction");
        assert!(tree.len() <= loader::MAX_DTB);
        self.fill(self.placement.dtb, &tree);
        *self.tee.write() = tee;
        trace::memory::ram(Client::of(self.config.id), Owner::Vm, &self.ram);
        // What CPUs remember of an earlier life is wrong now.
        self.tables.flush();
        // As those of a machine that stays on. No vCPU is.
        self.devices.reset(&self.vgic);
        *self.power.lock() = Power::new(self.vgic.vcpus(), start);
        self.stopping.store(false, Ordering::Release);
    }

    fn fill(&self, ipa: Ipa, data: &[u8]) {
        // SAFETY: no CPU runs the VM (`prepare`).
        let fits = unsafe { memory::copy(&self.ram, ipa, data) };
        assert!(fits, "the placement is inside of RAM");
    }

    fn create_tee(&self) -> Option<Mediation> {
        match tee().get()?.vm_made(self.config.id, self.shadow?, &mut Smc) {
            Ok(tee) => Some(tee),
            Err(error) => {
                if let Some(line) = self.refusals.take() {
                    log::warn!("{}: no TEE: {error}{line}", self.config.id);
                }
                None
            }
        }
    }

    /// Tells the TEE that the VM is gone.
    fn leave_tee(&self) {
        let tee = self.tee.write().take();
        if tee.is_none_or(|tee| Tee::vm_gone(&tee, &mut Smc)) {
            return;
        }
        self.held.store(true, Ordering::Relaxed);
        if let Some(line) = self.refusals.take() {
            log::warn!("{}: the TEE did not let go of it{line}", self.config.id);
        }
    }

    /// Asks all its vCPUs to stop. Only the first reason counts.
    pub fn stop(&self, reason: StopReason) {
        let mut power = self.power.lock();
        power.stop.get_or_insert(reason);
        power.psci.cancel_starts();
        self.stopping.store(true, Ordering::Release);
        drop(power);
        for place in &self.places {
            wake::wake(**place);
        }
    }

    /// Takes a vCPU's start, if it is to start; it is on then.
    pub fn take_start(&self, vcpu: usize) -> Option<Start> {
        let start = self.power.lock().psci.take_start(vcpu)?;
        self.on.fetch_or(1 << vcpu, Ordering::SeqCst);
        Some(start)
    }

    /// Returns those of these vCPUs that are on.
    pub fn on(&self, vcpus: VcpuMask) -> VcpuMask {
        vcpus & self.on.load(Ordering::SeqCst)
    }

    /// Notes that a vCPU is off. Says whether none is left.
    pub fn switch_off(&self, vcpu: usize) -> bool {
        self.on.fetch_and(!(1 << vcpu), Ordering::SeqCst);
        // Who asked before it went off is answered by that.
        self.notify(self.vgic.take_askers(vcpu));
        self.power.lock().psci.switch_off(vcpu)
    }

    /// Says whether its vCPUs are to stop.
    #[inline(always)]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Concludes a VM whose last vCPU has stopped. Says whether it is over with it: it does not start again.
    pub fn finish(&self) -> bool {
        self.leave_tee();
        self.print();
        let reason = self.power.lock().stop.take().unwrap_or(StopReason::Off);
        // A VM ends once, and resets itself as often as it likes.
        let line = if reason == StopReason::Reset { self.resets.take() } else { Some(Line::Usual) };
        if let Some(line) = line {
            self.say_stop(&reason, line);
        }
        let client = Client::of(self.config.id);
        match reason {
            StopReason::Reset => {
                trace::record(client, || Event::VmState { state: VmState::Reset });
                trace::memory::ram(client, Owner::Dirty, &self.ram);
                self.resetting.store(true, Ordering::Release);
                return false;
            }
            StopReason::Off | StopReason::Crash(_) => {}
        }
        let state = if reason == StopReason::Off { VmState::Off } else { VmState::Crashed };
        trace::record(client, || Event::VmState { state });
        if !self.held.load(Ordering::Relaxed) {
            trace::memory::ram(client, Owner::Free, &self.ram);
        }
        self.alive.store(false, Ordering::Release);
        true
    }

    /// Logs what it has cost so far, and how it stopped.
    fn say_stop(&self, reason: &StopReason, line: Line) {
        let id = self.config.id;
        let [el2, below] = [0, 1].map(|n| self.instructions[n].load(Ordering::Relaxed));
        if el2 != 0 {
            log::info!("{id}: instructions EL2={el2} EL1+EL0={below}");
        }
        let [devices, tee, console] = self.waits.each_ref().map(|count| count.load(Ordering::Relaxed));
        log::info!("{id}: waits for locks: devices={devices} tee={tee} console={console}");
        match reason {
            StopReason::Reset => log::info!("{id}: reset{line}"),
            StopReason::Off => log::info!("{id}: powered off{line}"),
            StopReason::Crash(why) => log::info!("{id}: crashed: {why}{line}"),
        }
    }

    /// Says whether it still runs, or is about to.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Makes a vCPU that comes out of reset, on its CPU, forget the translations that are left there from before: they
    /// are nobody's.
    pub fn forget_translations(&self, cpu: usize) {
        self.last_loaded[cpu].store(SOMEBODY, Ordering::Relaxed);
    }

    /// Notes that this vCPU is being loaded on a CPU; says whether another one of the VM was there before.
    pub fn moves_to(&self, cpu: usize, vcpu: usize) -> bool {
        let before = self.last_loaded[cpu].swap(vcpu as u8, Ordering::Relaxed);
        before != vcpu as u8 && before != NOBODY
    }

    /// Wakes vCPUs that have to look at the interrupt controller: those that are on, as the others look when they
    /// start.
    #[inline(always)]
    pub fn notify(&self, vcpus: VcpuMask) {
        if vcpus != 0 {
            self.wake(vcpus);
        }
    }

    fn wake(&self, vcpus: VcpuMask) {
        let mut vcpus = self.on(vcpus);
        while vcpus != 0 {
            let vcpu = vcpus.trailing_zeros() as usize;
            vcpus &= vcpus - 1;
            if let Some(place) = self.places.get(vcpu) {
                wake::wake(**place);
            }
        }
    }

    /// Takes what is to be printed out of the UART and prints it, while the guest goes on with the device.
    pub fn print(&self) {
        let _printer = self.printer.lock();
        let (text, _) = self.devices.uart.with(&self.vgic, Pl011::take);
        if let Some(text) = text {
            text.print(&mut platform::console::lock());
        }
    }

    /// Does what one of its devices calls for. When they have to be looked at, if it calls for that.
    #[cold]
    pub fn act(&self, effect: Effect) -> Option<u64> {
        match effect {
            Effect::Nothing => {}
            Effect::Due => return self.devices.deadline(),
            Effect::Text => self.print(),
            Effect::Lost => {
                let (lost, _) = self.devices.uart.with(&self.vgic, Pl011::take_lost);
                if lost != 0 {
                    log::info!("{}: {lost} bytes typed for it are lost", self.config.id);
                }
            }
        }
        None
    }

    /// Looks after its devices: prints a line that has waited for its end long enough, raises an alarm that is due.
    /// When to look again.
    pub fn look_at_devices(&self, now: u64) -> Option<u64> {
        self.devices.look(&self.vgic, now, |effect, vcpus| {
            self.notify(vcpus);
            self.act(effect);
        });
        self.devices.deadline()
    }

    /// Logs a mistake of the guest, unless it has made many.
    pub fn complain(&self, text: core::fmt::Arguments<'_>) {
        if let Some(line) = self.complaints.take() {
            log::info!("{}: {text}{line}", self.config.id);
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        for image in &self.images {
            trace::memory::own(Client::of(self.config.id), Owner::Free, image.range());
        }
        if *self.held.get_mut() {
            // The TEE may write there for ever.
            return self.ram.keep();
        }
        if let Some(shadow) = self.shadow {
            trace::memory::own(Client::HYPERVISOR, Owner::Hypervisor, Tee::place(shadow));
            Tee::relinquish(shadow);
        }
    }
}

/// Records what the hypervisor keeps for a VM: its modules, from which it is reset, and its shadow pages.
fn trace_memory(config: &VmConfig, shadow: Option<&'static Shadow>) {
    let client = Client::of(config.id);
    let modules = [Some(config.kernel), config.ramdisk];
    for module in modules.into_iter().flatten() {
        trace::memory::own(client, Owner::Hypervisor, module);
    }
    if let Some(shadow) = shadow {
        trace::memory::own(client, Owner::Shadow, Tee::place(shadow));
    }
}

fn place(config: &VmConfig) -> Result<Placement, String> {
    // SAFETY: modules are kept out of the free memory: nobody writes to them.
    let kernel = unsafe { memory::bytes(config.kernel) };
    let ramdisk = config.ramdisk.map(|module| module.size);
    let placement = loader::place(kernel, config.kernel.size, ramdisk, config.memory, config.places)?;
    if let Some(remark) = loader::remark(kernel, &placement) {
        log::info!("{}: {remark}", config.id);
    }
    if config.memory > crate::config::MAX_MEMORY {
        return Err(format!("asks for more memory than {} KiB", crate::config::MAX_MEMORY / 1024));
    }
    Ok(placement)
}
