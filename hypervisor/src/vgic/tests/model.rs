// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random histories of guests and devices, against a model of the architecture's state machine (GICv3 §4.1) that knows
//! of no list registers.

use super::*;
use crate::arch::interface::{PHYSICAL_TIMER, VIRTUAL_TIMER};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// INTIDs that take part: SGIs, both timers, SPIs of two banks.
const INTIDS: [u32; 12] = [0, 1, 7, 27, 30, 32, 33, 34, 40, 63, 64, 127];
const VCPUS: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Line { intid: u32, up: bool },
    Timer { vcpu: usize, timer: u32, up: bool },
    Sgi { from: usize, intid: u32, targets: u8 },
    Enable { vcpu: usize, intid: u32, on: bool },
    Pend { vcpu: usize, intid: u32, on: bool },
    Activate { vcpu: usize, intid: u32, on: bool },
    Priority { vcpu: usize, intid: u32, priority: u8 },
    Group { vcpu: usize, intid: u32, one: bool },
    Groups(u32),
    Route { intid: u32, to: u64 },
    Mask { vcpu: usize, mask: u8 },
    Interface { vcpu: usize, groups: u8 },
    Masked { vcpu: usize, masked: bool },
    Acknowledge(usize),
    End(usize),
    Deactivate { vcpu: usize, nth: usize },
}

/// An interrupt.
#[derive(Clone, Debug)]
struct Interrupt {
    enabled: bool,
    latched: bool,
    line: bool,
    edge: bool,
    one: bool,
    active: bool,
    priority: u8,
    route: u64,
}

/// The architecture's controller.
struct Model {
    groups: u32,
    /// Private ones by vCPU, shared ones with vCPU 0.
    interrupts: std::collections::BTreeMap<(usize, u32), Interrupt>,
    /// What each vCPU handles, innermost last: INTID and priority.
    handled: Vec<Vec<(u32, u8)>>,
}

fn key(vcpu: usize, intid: u32) -> (usize, u32) {
    (if intid < 32 { vcpu } else { 0 }, intid)
}

impl Model {
    fn new(edges: u32) -> Self {
        let mut interrupts = std::collections::BTreeMap::new();
        for (n, intid) in INTIDS.into_iter().enumerate() {
            for vcpu in 0..VCPUS {
                let edge = intid < 16 || intid >= 32 && edges & 1 << n != 0;
                let route = 0;
                let fresh = Interrupt {
                    enabled: false,
                    latched: false,
                    line: false,
                    edge,
                    one: true,
                    active: false,
                    priority: 0,
                    route,
                };
                interrupts.insert(key(vcpu, intid), fresh);
            }
        }
        Self { groups: 0, interrupts, handled: vec![Vec::new(); VCPUS] }
    }

    fn at(&mut self, vcpu: usize, intid: u32) -> &mut Interrupt {
        self.interrupts.get_mut(&key(vcpu, intid)).unwrap()
    }

    fn is_pending(interrupt: &Interrupt) -> bool {
        interrupt.latched || interrupt.line && !interrupt.edge
    }

    /// What the guest may read in ICC_IAR: among equals it may be any.
    fn candidates(&self, vcpu: usize, cpu: &VirtualInterface) -> Vec<u32> {
        let mut waiting: Vec<(u8, u32)> = self
            .interrupts
            .iter()
            .filter(|((owner, intid), i)| if *intid < 32 { *owner == vcpu } else { i.route == vcpu as u64 })
            .filter(|(_, i)| Self::is_pending(i) && i.enabled && !i.active)
            .filter(|(_, i)| self.groups & 1 << u32::from(i.one) != 0 && cpu.groups & 1 << u8::from(i.one) != 0)
            .map(|((_, intid), i)| (i.priority, *intid))
            .collect();
        waiting.sort_unstable();
        let Some((first, _)) = waiting.first().copied() else { return vec![SPURIOUS] };
        let running = self.handled[vcpu].iter().map(|(_, priority)| *priority).min().unwrap_or(0xFF);
        if first >= cpu.mask || first >= running {
            return vec![SPURIOUS];
        }
        waiting.into_iter().filter(|(priority, _)| *priority == first).map(|(_, intid)| intid).collect()
    }
}

/// Both, side by side.
struct Pair {
    vm: Vm,
    model: Model,
}

impl Pair {
    fn new(list_registers: usize, edges: u32, split: bool) -> Self {
        let mut vm = Vm::new(VCPUS, list_registers);
        for cpu in &mut vm.cpus {
            cpu.split_end = split;
        }
        let mut pair = Self { vm, model: Model::new(edges) };
        for (n, intid) in INTIDS.into_iter().enumerate() {
            if intid >= 32 && edges & 1 << n != 0 {
                let offset = 0xC00 + u64::from(intid / 16) * 4;
                let old = pair.vm.vgic.read_distributor(offset, 4) as u32;
                pair.vm.gicd(offset, old | 2 << (2 * (intid % 16)));
            }
        }
        pair
    }

    fn register(&mut self, vcpu: usize, intid: u32, offset: u64) {
        let bit = 1 << (intid % 32);
        if intid < 32 { self.vm.gicr(vcpu, offset, bit) } else { self.vm.gicd(offset + 4 * u64::from(intid / 32), bit) }
    }

    fn play(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Line { intid, up } => {
                self.vm.line(intid, up);
                let i = self.model.at(0, intid);
                i.latched |= up && !i.line && i.edge;
                i.line = up;
            }
            Op::Timer { vcpu, timer, up } => {
                // Nothing tells of a line that falls, unless the guest takes interrupts as they come.
                self.vm.timer(vcpu, timer, up);
                self.model.at(vcpu, timer).line = up;
                if !up && !self.vm.cpus[vcpu].masked {
                    self.vm.inspect();
                }
            }
            Op::Sgi { from, intid, targets } => {
                self.vm.sgi(from, SgiRegister::Group1, u64::from(intid) << 24 | u64::from(targets));
                for vcpu in (0..VCPUS).filter(|vcpu| targets & 1 << vcpu != 0) {
                    let i = self.model.at(vcpu, intid);
                    i.latched |= i.one;
                }
            }
            Op::Enable { vcpu, intid, on } => {
                self.register(vcpu, intid, if on { 0x100 } else { 0x180 });
                self.model.at(vcpu, intid).enabled = on;
            }
            Op::Pend { vcpu, intid, on } => {
                self.register(vcpu, intid, if on { 0x200 } else { 0x280 });
                self.model.at(vcpu, intid).latched = on;
            }
            Op::Activate { vcpu, intid, on } => {
                // Of what a CPU handles and will end that is unpredictable.
                if self.model.handled.iter().flatten().any(|(handled, _)| *handled == intid) {
                    return Ok(());
                }
                // Set active without being acknowledged, it is ended by register alone, which needs a split end.
                self.register(vcpu, intid, if on { 0x300 } else { 0x380 });
                self.model.at(vcpu, intid).active = on;
            }
            Op::Priority { vcpu, intid, priority } => {
                if !self.model.at(vcpu, intid).active {
                    self.vm.priority(vcpu, intid, priority);
                    self.model.at(vcpu, intid).priority = priority;
                }
            }
            Op::Group { vcpu, intid, one } => {
                if self.model.at(vcpu, intid).active {
                    return Ok(());
                }
                let bit = 1 << (intid % 32);
                let old = self.vm.bits(vcpu, 0x80, u64::from(intid / 32));
                let new = if one { old | bit } else { old & !bit };
                if intid < 32 {
                    self.vm.gicr(vcpu, 0x80, new);
                } else {
                    self.vm.gicd(0x80 + 4 * u64::from(intid / 32), new);
                }
                self.model.at(vcpu, intid).one = one;
            }
            Op::Groups(groups) => {
                self.vm.gicd(0, groups);
                self.model.groups = groups;
            }
            Op::Route { intid, to } => {
                self.vm.route(intid, to);
                self.model.at(0, intid).route = to;
            }
            Op::Mask { vcpu, mask } => self.vm.cpus[vcpu].mask = mask,
            Op::Interface { vcpu, groups } => {
                self.vm.cpus[vcpu].groups = groups;
                self.vm.tell(0);
            }
            Op::Masked { vcpu, masked } => {
                self.vm.cpus[vcpu].masked = masked;
                self.vm.inspect();
            }
            Op::Acknowledge(vcpu) => {
                let allowed = self.model.candidates(vcpu, &self.vm.cpus[vcpu]);
                let waits = self.vm.waits(vcpu);
                prop_assert_eq!(waits, allowed == [SPURIOUS], "vCPU {} waits, but {:?}", vcpu, allowed);
                let intid = self.vm.acknowledge(vcpu);
                prop_assert!(allowed.contains(&intid), "vCPU {} took {} of {:?}", vcpu, intid, allowed);
                if intid != SPURIOUS {
                    let i = self.model.at(vcpu, intid);
                    (i.active, i.latched) = (true, false);
                    let priority = i.priority;
                    self.model.handled[vcpu].push((intid, priority));
                }
            }
            Op::End(vcpu) => {
                if let Some((intid, _)) = self.model.handled[vcpu].pop() {
                    self.vm.end(vcpu, intid);
                    if !self.vm.cpus[vcpu].split_end {
                        self.model.at(vcpu, intid).active = false;
                    }
                }
            }
            Op::Deactivate { vcpu, nth } => {
                let active: Vec<u32> = INTIDS.into_iter().filter(|intid| self.model.at(vcpu, *intid).active).collect();
                let handled: Vec<u32> = self.model.handled.iter().flatten().map(|(intid, _)| *intid).collect();
                let over: Vec<u32> = active.into_iter().filter(|intid| !handled.contains(intid)).collect();
                if self.vm.cpus[vcpu].split_end && !over.is_empty() {
                    let intid = over[nth % over.len()];
                    self.vm.deactivate(vcpu, intid);
                    self.model.at(vcpu, intid).active = false;
                }
            }
        }
        Ok(())
    }

    /// Registers show what the architecture's would.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        for vcpu in 0..VCPUS {
            for intid in INTIDS.into_iter().filter(|intid| vcpu == 0 || *intid < 32) {
                let (pending, active) = (self.vm.is_pending(vcpu, intid), self.vm.is_active(vcpu, intid));
                let i = self.model.at(vcpu, intid);
                prop_assert_eq!(pending, Model::is_pending(i), "{} of vCPU {} pending", intid, vcpu);
                prop_assert_eq!(active, i.active, "{} of vCPU {} active", intid, vcpu);
            }
            // Once nothing is left of a timer, its physical interrupt can come again.
            let bank = &self.vm.vgic.cpus[vcpu].bank;
            for timer in [VIRTUAL_TIMER, PHYSICAL_TIMER] {
                let idle = bank.held.get() & 1 << timer == 0 && !self.model.at(vcpu, timer).active;
                if idle && !self.model.at(vcpu, timer).line {
                    prop_assert_eq!(self.vm.cpus[vcpu].physical() & 1 << timer, 0, "timer {} of vCPU {}", timer, vcpu);
                }
            }
        }
        Ok(())
    }
}

fn op() -> impl Strategy<Value = Op> {
    let any_intid = || prop::sample::select(&INTIDS[..]);
    let spi = || prop::sample::select(&INTIDS[5..]);
    let vcpu = || 0..VCPUS;
    prop_oneof![
        4 => (spi(), any::<bool>()).prop_map(|(intid, up)| Op::Line { intid, up }),
        2 => (vcpu(), prop::sample::select(vec![27u32, 30]), any::<bool>())
            .prop_map(|(vcpu, timer, up)| Op::Timer { vcpu, timer, up }),
        2 => (vcpu(), prop::sample::select(vec![0u32, 1, 7]), 0u8..8)
            .prop_map(|(from, intid, targets)| Op::Sgi { from, intid, targets }),
        4 => (vcpu(), any_intid(), prop::bool::weighted(0.8))
            .prop_map(|(vcpu, intid, on)| Op::Enable { vcpu, intid, on }),
        2 => (vcpu(), any_intid(), any::<bool>()).prop_map(|(vcpu, intid, on)| Op::Pend { vcpu, intid, on }),
        1 => (vcpu(), any_intid(), any::<bool>()).prop_map(|(vcpu, intid, on)| Op::Activate { vcpu, intid, on }),
        2 => (vcpu(), any_intid(), 0u8..32).prop_map(|(vcpu, intid, n)| Op::Priority { vcpu, intid, priority: n << 3 }),
        1 => (vcpu(), any_intid(), any::<bool>()).prop_map(|(vcpu, intid, one)| Op::Group { vcpu, intid, one }),
        1 => prop_oneof![4 => Just(3u32), 1 => 0..3u32].prop_map(Op::Groups),
        2 => (spi(), prop_oneof![4 => 0..VCPUS as u64, 1 => Just(0xFF_00FFu64)])
            .prop_map(|(intid, to)| Op::Route { intid, to }),
        1 => (vcpu(), prop_oneof![3 => Just(0xFFu8), 1 => any::<u8>()])
            .prop_map(|(vcpu, mask)| Op::Mask { vcpu, mask }),
        1 => (vcpu(), prop_oneof![4 => Just(3u8), 1 => 0..3u8])
            .prop_map(|(vcpu, groups)| Op::Interface { vcpu, groups }),
        1 => (vcpu(), any::<bool>()).prop_map(|(vcpu, masked)| Op::Masked { vcpu, masked }),
        8 => vcpu().prop_map(Op::Acknowledge),
        5 => vcpu().prop_map(Op::End),
        2 => (vcpu(), any::<prop::sample::Index>()).prop_map(|(vcpu, nth)| Op::Deactivate { vcpu, nth: nth.index(64) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn guests_see_the_architectures_controller(
        list_registers in 1usize..=16,
        edges in any::<u32>(),
        split in any::<bool>(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut pair = Pair::new(list_registers, edges, split);
        // So that something happens soon.
        for vcpu in 0..VCPUS {
            pair.vm.cpus[vcpu].open();
        }
        pair.play(&Op::Groups(3))?;
        for op in &ops {
            pair.play(op)?;
            pair.compare()?;
        }
    }
}
