// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hypervisor on the fake machine: VMs whose guests do what a test says, one step after the other.

mod devices;
mod exits;
mod hostile;
mod lifecycle;
mod notifications;
mod power;
mod scheduling;
#[expect(unreachable_pub, reason = "it stands where core's atomics do, which are public")]
pub mod shared;
mod tee;
mod wakes;

use crate::address::Ipa;
use crate::arch::host::machine::{self, Guest};
use crate::arch::host::smc::Off;
use crate::arch::host::timer;
use crate::config::VmConfig;
use crate::cpu::{self, ThisCpu};
use crate::device::Devices;
use crate::lifecycle::{Made, make, start};
use crate::loader::Wish;
use crate::memory::{FreeMemory, GuestMemory};
use crate::platform::{console, uart::Pl011};
use crate::resources;
use crate::scheduler::SLICE_PARTS;
use crate::trap;
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use shared_abi::client::VmId;
use shared_abi::layout::Range;
use std::alloc::{Layout, alloc_zeroed};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// RAM of each VM.
const RAM: u64 = 4 << 20;
/// Where guests have it.
const BASE: u64 = 0x4000_0000;
/// Where a flat kernel begins.
const KERNEL: u64 = BASE + (2 << 20);
/// The last word of a kernel.
const MARK: u64 = 0x6B65_726E_656C;
/// Where a guest has nothing.
const NOBODY: u64 = 0x0B00_0000;
const _: () = assert!(!Devices::has(NOBODY), "NOBODY is a device's address now: move that, or give NOBODY another one");
/// A turn.
const SLICE: u64 = machine::FREQUENCY / SLICE_PARTS;

// Syndromes: an exception class with a 32-bit instruction.
const IL: u64 = 1 << 25;
const WFI: u64 = 0x01 << 26 | IL;
const HVC: u64 = 0x16 << 26 | IL;
const SMC: u64 = 0x17 << 26 | IL;
const MSR: u64 = 0x18 << 26 | IL;
const DATA_ABORT: u64 = 0x24 << 26 | IL;
/// A valid syndrome of an access to 32 bits by W1.
const ACCESS: u64 = DATA_ABORT | 1 << 24 | 2 << 22 | 1 << 16;
const WRITE: u64 = 1 << 6;

/// RAM of VMs whose tests are over.
static FREE: Mutex<Vec<Range>> = Mutex::new(Vec::new());

impl Drop for Host {
    fn drop(&mut self) {
        FREE.lock().unwrap().append(&mut self.memory);
    }
}

/// VMs on CPUs.
struct Host {
    cpus: Vec<Option<ThisCpu>>,
    vms: Vec<Arc<Vm>>,
    /// What they were made of.
    memory: Vec<Range>,
}

/// Memory for a VM, which is not given back to the system.
fn memory(size: u64) -> Range {
    if let Some(range) = FREE.lock().unwrap().pop() {
        return range;
    }
    let layout = Layout::from_size_align(size as usize, 2 << 20).unwrap();
    // SAFETY: it has a size.
    let start = unsafe { alloc_zeroed(layout) };
    assert!(!start.is_null());
    Range::new(start.expose_provenance() as u64, size)
}

/// The configuration of a VM with so many vCPUs, whose kernel says nothing of itself.
fn config(n: usize, vcpus: usize) -> VmConfig {
    // SAFETY: it has a size.
    let kernel = unsafe { alloc_zeroed(Layout::from_size_align(4096, 4096).unwrap()) };
    // SAFETY: its last word.
    unsafe { kernel.cast::<u64>().add(511).write(MARK) };
    VmConfig {
        node: format!("domU{n}"),
        id: VmId::new(n as u16 + 1).unwrap(),
        name: None,
        memory: RAM,
        vcpus,
        tee: true,
        kernel: Range::new(kernel.expose_provenance() as u64, 4096),
        places: Wish::default(),
        ramdisk: None,
        bootargs: String::new(),
    }
}

impl Host {
    /// VMs with so many vCPUs, on so many CPUs. None runs yet.
    fn new(cpus: usize, vcpus: &[usize]) -> Self {
        Self::with(cpus, vcpus, |_| {})
    }

    fn with(cpus: usize, vcpus: &[usize], change: impl Fn(&mut VmConfig)) -> Self {
        console::begin(Pl011);
        for cpu in 0..cpus {
            machine::with(|machine| machine.current = cpu);
            cpu::expect(cpu, cpu as u64, 0);
            // SAFETY: the first thing that is done on it.
            unsafe { cpu::init(cpu) };
        }
        machine::with(|machine| machine.current = 0);
        trap::system::init();
        let configs = vcpus.iter().enumerate().map(|(n, vcpus)| {
            let mut config = config(n, *vcpus);
            change(&mut config);
            config
        });
        let configs: Vec<VmConfig> = configs.collect();
        // There is room for one more.
        let memory: Vec<Range> = (0..=vcpus.len()).map(|_| memory(RAM)).collect();
        let (mut free, mut loadable) = (FreeMemory::new(), FreeMemory::new());
        memory.iter().for_each(|range| free.add(*range));
        configs.iter().for_each(|config| loadable.add(config.kernel));
        resources::supply(free, loadable, 0..cpus);
        let made: Vec<Made> = configs.into_iter().map(|config| make(config).unwrap()).collect();
        let vms = made.into_iter().map(start).collect();
        // What was said about the kernels.
        printed();
        Self { cpus: (0..cpus).map(|_| None).collect(), vms, memory }
    }

    /// Makes a machine whose first CPU is in the first VM, which has its turn from now on.
    fn started(cpus: usize, vcpus: &[usize]) -> Self {
        let mut host = Self::new(cpus, vcpus);
        host.begin(0);
        if vcpus.len() > 1 {
            // Those that begin at the same time have shorter turns at first.
            host.run(0, vcpus.len() as u64 * SLICE);
            host.next_turn(0, (1, 0));
        }
        host
    }

    /// Guests run until the next turn of this vCPU begins, whose turn it may be now.
    fn next_turn(&mut self, cpu: usize, vcpu: (u16, usize)) {
        while self.runs(cpu) == vcpu {
            self.run(cpu, SLICE / 100);
        }
        self.until(cpu, vcpu);
    }

    /// Guests run until it is this vCPU's turn.
    fn until(&mut self, cpu: usize, vcpu: (u16, usize)) {
        for _ in 0..100_000 {
            if self.runs(cpu) == vcpu {
                return;
            }
            self.run(cpu, SLICE / 100);
        }
        panic!("it is never {vcpu:?}'s turn");
    }

    /// A CPU enters its first guest.
    fn begin(&mut self, cpu: usize) {
        machine::with(|machine| machine.current = cpu);
        assert!(self.cpus[cpu].is_none());
        // SAFETY: once: it has no `ThisCpu` yet.
        let this = unsafe { cpu::begin(false) };
        self.cpus[cpu] = Some(this);
    }

    /// A CPU's guest leaves it, and this is done about it.
    fn leave(&mut self, cpu: usize, serve: impl FnOnce(ThisCpu) -> ThisCpu) {
        machine::with(|machine| machine.current = cpu);
        let this = self.cpus[cpu].take().expect("it runs a guest");
        self.cpus[cpu] = Some(serve(this));
    }

    /// The vCPU that a CPU has loaded.
    fn vcpu(&mut self, cpu: usize) -> &mut Vcpu {
        machine::with(|machine| machine.current = cpu);
        self.cpus[cpu].as_mut().expect("it runs a guest").vcpu()
    }

    /// Who that is: the VM's id, and the vCPU's number.
    fn runs(&mut self, cpu: usize) -> (u16, usize) {
        let vcpu = self.vcpu(cpu);
        (vcpu.vm.config.id.get(), vcpu.index)
    }

    /// A synchronous exception.
    fn exception(&mut self, cpu: usize, esr: u64, far: u64, ipa: u64) {
        machine::with(|machine| machine.cpus[cpu].syndrome = [esr, far, ipa >> 8 & !0xF]);
        self.leave(cpu, trap::sync);
    }

    /// HVC. What is in x0 when the same vCPU goes on.
    fn hvc(&mut self, cpu: usize, x: [u64; 4]) -> u64 {
        self.vcpu(cpu).frame.x[..4].copy_from_slice(&x);
        self.exception(cpu, HVC, 0, 0);
        self.vcpu(cpu).frame.x[0]
    }

    fn wfi(&mut self, cpu: usize) {
        self.exception(cpu, WFI, 0, 0);
    }

    /// The physical interrupts that are pending are taken.
    fn interrupts(&mut self, cpu: usize) {
        self.leave(cpu, ThisCpu::interrupted);
    }

    /// STR of a word to a device.
    fn store(&mut self, cpu: usize, ipa: u64, value: u32) {
        self.vcpu(cpu).frame.x[1] = value.into();
        self.exception(cpu, ACCESS | WRITE, ipa, ipa);
    }

    /// LDR of a word of a device.
    fn load(&mut self, cpu: usize, ipa: u64) -> u32 {
        self.exception(cpu, ACCESS, ipa, ipa);
        self.vcpu(cpu).frame.x[1] as u32
    }

    /// MSR by X1.
    fn msr(&mut self, cpu: usize, (op0, op1, crn, crm, op2): (u64, u64, u64, u64, u64), value: u64) {
        self.vcpu(cpu).frame.x[1] = value;
        self.exception(cpu, MSR | op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | 1 << 5 | crm << 1, 0, 0);
    }

    /// MRS to X1.
    fn mrs(&mut self, cpu: usize, (op0, op1, crn, crm, op2): (u64, u64, u64, u64, u64)) -> u64 {
        self.exception(cpu, MSR | op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | 1 << 5 | crm << 1 | 1, 0, 0);
        self.vcpu(cpu).frame.x[1]
    }

    /// Guests run for so long; the CPU's own timer interrupts them.
    fn run(&mut self, cpu: usize, time: u64) {
        machine::with(|machine| machine.current = cpu);
        let end = timer::now() + time;
        loop {
            let next = machine::with(|machine| machine.cpus[cpu].timer).unwrap_or(u64::MAX).max(timer::now());
            let is_last = next > end;
            machine::with_cpu(|cpu| cpu.now = next.min(end));
            if is_last {
                return;
            }
            self.interrupts(cpu);
        }
    }

    /// How long each VM's vCPUs had the CPU, of so much time.
    fn shares(&mut self, cpu: usize, time: u64) -> Vec<u64> {
        machine::with(|machine| machine.current = cpu);
        let mut shares = vec![0; self.vms.len()];
        let end = timer::now() + time;
        while timer::now() < end {
            let (vm, _) = self.runs(cpu);
            let before = timer::now();
            self.run(cpu, SLICE / 10);
            shares[usize::from(vm) - 1] += timer::now() - before;
        }
        shares
    }

    /// A word of a VM's RAM.
    fn word(&self, vm: usize, ipa: u64) -> u64 {
        self.vms[vm].ram.words(Ipa(ipa), 1).unwrap()[0].load(Ordering::Relaxed)
    }

    fn set_word(&self, vm: usize, ipa: u64, value: u64) {
        self.vms[vm].ram.words(Ipa(ipa), 1).unwrap()[0].store(value, Ordering::Relaxed);
    }
}

/// The guest of a CPU, beside x0 to x30.
fn guest<T>(cpu: usize, f: impl FnOnce(&mut Guest) -> T) -> T {
    machine::with(|machine| f(&mut machine.cpus[cpu].guest))
}

/// What was printed since the last time.
fn printed() -> String {
    String::from_utf8(machine::with(|machine| std::mem::take(&mut machine.printed))).unwrap()
}

/// The interrupts that wait in a CPU's list registers.
fn pending(cpu: usize) -> Vec<u32> {
    machine::with(|machine| machine.cpus[cpu].interface.pending())
}

/// Whether this ends with the machine switched off.
fn switches_off(f: impl FnOnce()) -> bool {
    // What it leaves behind is not looked at.
    catch_unwind(AssertUnwindSafe(f)).is_err_and(|payload| payload.is::<Off>())
}
