// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests that do whatever they can think of, beside guests that only work.

use super::*;
use crate::arch::interface::Group;
use proptest::prelude::*;
use std::thread;

/// What a guest that only works has in all its registers.
const WORK: u64 = 0x3030_3030_3030_3030;
/// How often the time is looked at for one exit at most: some rounds over the vCPUs of a CPU.
const PATIENCE: u64 = 2000;
/// A worker's part of its CPU, in thousandths of what it would have if all others worked as well: what is lost at the
/// ends of turns, and while the first ones begin.
const SHARE: u64 = 900;

#[derive(Clone, Debug)]
enum Op {
    Call { smc: bool, x: [u64; 4] },
    Wait,
    Write { register: usize, value: u64 },
    Read { register: usize },
    Store { page: usize, offset: u64, value: u32 },
    Load { page: usize, offset: u64 },
    Undescribed { page: usize, offset: u64, instruction: u32, write: bool },
    Other { syndrome: u64, address: u64 },
    Timer { timer: usize, control: u64, delay: u64 },
    Interface { open: bool },
    Take { group: bool },
    End { intid: u32 },
    Type(u8),
}

/// Pages of devices, and one where nothing is.
const PAGES: [u64; 8] = [
    0x0800_0000, // GICD
    0x0800_6000, // GICD_IROUTER
    0x080A_0000, // GICR, of the first and the second vCPU
    0x080B_0000,
    0x080D_0000,
    0x0900_0000, // UART
    0x0901_0000, // clock
    NOBODY,
];
/// System registers that trap: ICC_SGI1R, SGI0R, ASGI1R, DIR, IAR1, EOIR1, HPPIR1, IGRPEN1, MDSCR, DBGBCR0, ACTLR.
const REGISTERS: [(u64, u64, u64, u64, u64); 11] = [
    (3, 0, 12, 11, 5),
    (3, 0, 12, 11, 7),
    (3, 0, 12, 11, 6),
    (3, 0, 12, 11, 1),
    (3, 0, 12, 12, 0),
    (3, 0, 12, 12, 1),
    (3, 0, 12, 12, 2),
    (3, 0, 12, 12, 7),
    (2, 0, 0, 2, 2),
    (2, 0, 0, 0, 5),
    (3, 0, 1, 0, 1),
];
/// PSCI's functions, SMCCC's, OP-TEE's first ones, and nobody's.
const FUNCTIONS: [u64; 16] = [
    0x8400_0000,
    0xC400_0001,
    0x8400_0002,
    0xC400_0003,
    0xC400_0003,
    0xC400_0003,
    0xC400_0004,
    0x8400_0006,
    0x8400_0008,
    0x8400_0009,
    0x8400_000A,
    0x8000_0000,
    0x8000_0001,
    0xB200_0009,
    0x3200_0004,
    0xC600_0000,
];

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![0..8u64, (0..64u32).prop_map(|bit| 1 << bit), Just(KERNEL), Just(u64::MAX), any::<u64>()]
}

fn op() -> impl Strategy<Value = Op> {
    let place = || (0..PAGES.len(), prop_oneof![0..0x1000u64, (0..0x400u64).prop_map(|word| 4 * word)]);
    prop_oneof![
        (any::<bool>(), 0..FUNCTIONS.len(), value(), value(), value())
            .prop_map(|(smc, function, x1, x2, x3)| Op::Call { smc, x: [FUNCTIONS[function], x1, x2, x3] }),
        Just(Op::Wait),
        (0..REGISTERS.len(), value()).prop_map(|(register, value)| Op::Write { register, value }),
        (0..REGISTERS.len()).prop_map(|register| Op::Read { register }),
        (place(), value()).prop_map(|((page, offset), value)| Op::Store { page, offset, value: value as u32 }),
        place().prop_map(|(page, offset)| Op::Load { page, offset }),
        (place(), any::<u32>(), any::<bool>()).prop_map(|((page, offset), instruction, write)| Op::Undescribed {
            page,
            offset,
            instruction,
            write
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(syndrome, address)| Op::Other { syndrome, address }),
        (0..2usize, 0..4u64, 0..SLICE).prop_map(|(timer, control, delay)| Op::Timer { timer, control, delay }),
        any::<bool>().prop_map(|open| Op::Interface { open }),
        any::<bool>().prop_map(|group| Op::Take { group }),
        (0..128u32).prop_map(|intid| Op::End { intid }),
        any::<u8>().prop_map(Op::Type),
    ]
}

impl Host {
    /// The guest of a CPU does something.
    fn act(&mut self, cpu: usize, op: &Op) {
        machine::with(|machine| machine.patience = PATIENCE);
        match *op {
            Op::Call { smc, x } => {
                self.vcpu(cpu).frame.x[..4].copy_from_slice(&x);
                self.exception(cpu, if smc { SMC } else { HVC }, 0, 0);
            }
            Op::Wait => self.wfi(cpu),
            Op::Write { register, value } => self.msr(cpu, REGISTERS[register], value),
            Op::Read { register } => {
                self.mrs(cpu, REGISTERS[register]);
            }
            Op::Store { page, offset, value } => self.store(cpu, PAGES[page] + offset, value),
            Op::Load { page, offset } => {
                self.load(cpu, PAGES[page] + offset);
            }
            Op::Undescribed { page, offset, instruction, write } => {
                let vm = usize::from(self.runs(cpu).0) - 1;
                self.set_word(vm, KERNEL, instruction.into());
                let address = PAGES[page] + offset;
                guest(cpu, |guest| guest.pc = KERNEL);
                self.vcpu(cpu).frame.x[1..31].fill(address);
                self.exception(cpu, DATA_ABORT | if write { WRITE } else { 0 }, address, address);
            }
            Op::Other { syndrome, address } => self.exception(cpu, syndrome, address, address & 0xFF_FFFF_FFFF),
            Op::Timer { timer, control, delay } => {
                let value = timer::now() + delay;
                guest(cpu, |guest| guest.timers[timer] = (control, value));
            }
            Op::Interface { open: true } => machine::with(|machine| machine.cpus[cpu].interface.open()),
            Op::Interface { open: false } => machine::with(|machine| machine.cpus[cpu].interface.groups = 0),
            Op::Take { group } => {
                let group = if group { Group::One } else { Group::Zero };
                machine::with(|machine| machine.cpus[cpu].interface.acknowledge(group));
            }
            Op::End { intid } => machine::with(|machine| machine.cpus[cpu].interface.end(intid)),
            Op::Type(byte) => machine::with(|machine| machine.typed.push_back(byte)),
        }
        machine::with(|machine| machine.patience = PATIENCE);
        self.interrupts(cpu);
    }

    /// A worker's registers are as it left them.
    fn check_worker(&mut self, cpu: usize) {
        assert_eq!(self.vcpu(cpu).frame.x, [WORK; 31]);
        guest(cpu, |guest| {
            assert_eq!((guest.stacks, guest.vectors), ([WORK; 2], [u128::from(WORK); 32]));
            assert_eq!((guest.timers, guest.exception), ([(0, 0); 2], [0; 4]));
        });
        assert!(pending(cpu).is_empty());
    }
}

/// vm1 and vm2 only work, one on each CPU; vm3 with three vCPUs and vm4 with one do what the test says.
fn play(ops: &[Op]) {
    let mut host = Host::new(2, &[1, 1, 3, 1]);
    let workers = [(1, 0), (2, 0)];
    for (cpu, worker) in workers.into_iter().enumerate() {
        host.begin(cpu);
        host.until(cpu, worker);
        host.vcpu(cpu).frame.x = [WORK; 31];
        guest(cpu, |guest| (guest.stacks, guest.vectors) = ([WORK; 2], [WORK.into(); 32]));
    }
    let mut ops = ops.iter();
    // Whether or not anybody is left to act.
    for _ in 0..3000 {
        machine::with(|machine| machine.patience = PATIENCE);
        // The CPU that is behind goes on.
        let cpu = machine::with(|machine| usize::from(machine.cpus[1].now < machine.cpus[0].now));
        if host.runs(cpu) == workers[cpu] {
            host.check_worker(cpu);
            host.run(cpu, SLICE / 7);
            continue;
        }
        // Nobody does anything in no time.
        machine::with_cpu(|cpu| cpu.now += SLICE / 50);
        let Some(op) = ops.next() else { break };
        host.act(cpu, op);
    }
    for (cpu, worker) in workers.into_iter().enumerate() {
        machine::with(|machine| machine.patience = u64::MAX);
        host.until(cpu, worker);
        host.check_worker(cpu);
        assert_eq!(host.word(cpu, KERNEL + 4088), MARK, "its RAM");
        assert!(host.vms[cpu].is_alive());
        let time = 20 * host.vms.len() as u64 * SLICE;
        let share = host.shares(cpu, time)[cpu];
        assert!(1000 * share >= SHARE * time / 4, "{share} of {time}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_guests_do_others_go_on(ops in prop::collection::vec(op(), 1..300)) {
        // Each machine is a thread's.
        let machine = thread::spawn(move || play(&ops));
        prop_assert!(machine.join().is_ok());
    }
}
