// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random histories of guests and devices, against a model of the architecture's state machine (GICv3 §4.1) that knows
//! of no list registers.

use super::*;
use crate::arch::interface::{PHYSICAL_TIMER, VIRTUAL_TIMER};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// INTIDs that take part: SGIs, both timers, SPIs of two banks.
pub(super) const INTIDS: [u32; 12] = [0, 1, 7, 27, 30, 32, 33, 34, 40, 63, 64, 127];
/// Those of them that take part where they are to meet: an SGI, a timer, SPIs of two banks.
pub(super) const FEW: [u32; 6] = [0, 27, 33, 34, 40, 64];
pub(super) const VCPUS: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Line {
        intid: u32,
        up: bool,
    },
    Timer {
        vcpu: usize,
        timer: u32,
        up: bool,
    },
    Sgi {
        from: usize,
        intid: u32,
        targets: u8,
    },
    Enable {
        vcpu: usize,
        intid: u32,
        on: bool,
    },
    Pend {
        vcpu: usize,
        intid: u32,
        on: bool,
    },
    Activate {
        vcpu: usize,
        intid: u32,
        on: bool,
    },
    Priority {
        vcpu: usize,
        intid: u32,
        priority: u8,
    },
    Group {
        vcpu: usize,
        intid: u32,
        one: bool,
    },
    Groups(u32),
    Route {
        intid: u32,
        to: u64,
    },
    Mask {
        vcpu: usize,
        mask: u8,
    },
    Interface {
        vcpu: usize,
        groups: u8,
    },
    Masked {
        vcpu: usize,
        masked: bool,
    },
    Acknowledge(usize),
    /// What it handles: only a vCPU is given, until it is done.
    End(usize, u32),
    /// One that is active and not handled, this one or one behind it.
    Deactivate {
        vcpu: usize,
        intid: u32,
    },
    Restart(usize),
    Look(usize),
    Inspect(usize),
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
#[derive(Clone, Debug)]
pub(super) struct Model {
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

    /// Registers would show this of each interrupt: whether it is pending, and active.
    pub(super) fn compare(&self, shown: &[((usize, u32), bool, bool)]) -> Result<(), TestCaseError> {
        for ((vcpu, intid), pending, active) in shown {
            let i = &self.interrupts[&(*vcpu, *intid)];
            prop_assert_eq!(*pending, Self::is_pending(i), "{} of vCPU {} pending", intid, vcpu);
            prop_assert_eq!(*active, i.active, "{} of vCPU {} active", intid, vcpu);
        }
        Ok(())
    }

    /// Whether a vCPU has acknowledged this one and not ended it.
    pub(super) fn handles(&self, vcpu: usize, intid: u32) -> bool {
        self.handled[vcpu].iter().any(|(handled, _)| *handled == intid)
    }

    /// Whether the architecture says what becomes of it.
    pub(super) fn allows(&self, op: &Op) -> bool {
        let at = |vcpu, intid| &self.interrupts[&key(vcpu, intid)];
        match *op {
            // Of what a CPU handles and will end that is unpredictable.
            Op::Activate { intid, .. } => !(0..VCPUS).any(|vcpu| self.handles(vcpu, intid)),
            Op::Priority { vcpu, intid, .. } | Op::Group { vcpu, intid, .. } => !at(vcpu, intid).active,
            Op::End(vcpu, intid) => self.handled[vcpu].last().is_some_and(|(last, _)| *last == intid),
            Op::Deactivate { vcpu, intid } => {
                at(vcpu, intid).active && !(0..VCPUS).any(|vcpu| self.handles(vcpu, intid))
            }
            _ => true,
        }
    }

    /// What is ended is what is handled, and what is deactivated is an active one that was ended.
    pub(super) fn resolve(&self, op: &Op) -> Option<Op> {
        let op = match *op {
            Op::End(vcpu, _) => Op::End(vcpu, self.handled[vcpu].last()?.0),
            Op::Deactivate { vcpu, intid: from } => {
                let over = |intid: &u32| self.allows(&Op::Deactivate { vcpu, intid: *intid });
                let mut all = INTIDS.into_iter().filter(|intid| *intid >= from).chain(INTIDS);
                Op::Deactivate { vcpu, intid: all.find(over)? }
            }
            ref op => op.clone(),
        };
        self.allows(&op).then_some(op)
    }

    /// It is done, and this INTID was acknowledged.
    pub(super) fn play(&mut self, op: &Op, seen: u32, cpus: &[VirtualInterface]) -> Result<(), TestCaseError> {
        match *op {
            Op::Line { intid, up } => {
                let i = self.at(0, intid);
                i.latched |= up && !i.line && i.edge;
                i.line = up;
            }
            Op::Timer { vcpu, timer, up } => self.at(vcpu, timer).line = up,
            Op::Sgi { intid, targets, .. } => {
                for vcpu in (0..VCPUS).filter(|vcpu| targets & 1 << vcpu != 0) {
                    let i = self.at(vcpu, intid);
                    i.latched |= i.one;
                }
            }
            Op::Enable { vcpu, intid, on } => self.at(vcpu, intid).enabled = on,
            Op::Pend { vcpu, intid, on } => self.at(vcpu, intid).latched = on,
            Op::Activate { vcpu, intid, on } => self.at(vcpu, intid).active = on,
            Op::Priority { vcpu, intid, priority } => self.at(vcpu, intid).priority = priority,
            Op::Group { vcpu, intid, one } => self.at(vcpu, intid).one = one,
            Op::Groups(groups) => self.groups = groups,
            Op::Route { intid, to } => self.at(0, intid).route = to,
            Op::Mask { .. } | Op::Interface { .. } | Op::Masked { .. } | Op::Look(_) | Op::Inspect(_) => {}
            Op::Acknowledge(vcpu) => {
                let allowed = self.candidates(vcpu, &cpus[vcpu]);
                prop_assert!(allowed.contains(&seen), "vCPU {} took {} of {:?}", vcpu, seen, allowed);
                if seen != SPURIOUS {
                    let i = self.at(vcpu, seen);
                    (i.active, i.latched) = (true, false);
                    let priority = i.priority;
                    self.handled[vcpu].push((seen, priority));
                }
            }
            Op::End(vcpu, intid) => {
                self.handled[vcpu].pop();
                if !cpus[vcpu].split_end {
                    self.at(vcpu, intid).active = false;
                }
            }
            Op::Deactivate { vcpu, intid } => {
                if cpus[vcpu].split_end {
                    self.at(vcpu, intid).active = false;
                }
            }
            Op::Restart(vcpu) => {
                self.handled[vcpu].clear();
                for timer in [VIRTUAL_TIMER, PHYSICAL_TIMER] {
                    self.at(vcpu, timer).line = false;
                }
            }
        }
        Ok(())
    }
}

impl Vm {
    fn register(&mut self, vcpu: usize, intid: u32, offset: u64) {
        let bit = 1 << (intid % 32);
        if intid < 32 { self.gicr(vcpu, offset, bit) } else { self.gicd(offset + 4 * u64::from(intid / 32), bit) }
    }

    /// What registers show of each interrupt: whether it is pending, and active.
    pub(super) fn shown(&mut self) -> Vec<((usize, u32), bool, bool)> {
        let mut shown = Vec::new();
        for vcpu in 0..VCPUS {
            for bank in (0..4).filter(|bank| vcpu == 0 || *bank == 0) {
                let (pending, active) = (self.bits(vcpu, 0x200, bank), self.bits(vcpu, 0x300, bank));
                for intid in INTIDS.into_iter().filter(|intid| u64::from(intid / 32) == bank) {
                    let bit = 1 << (intid % 32);
                    shown.push(((vcpu, intid), pending & bit != 0, active & bit != 0));
                }
            }
        }
        shown
    }

    /// Does it. The INTID that was acknowledged.
    pub(super) fn play(&mut self, op: &Op) -> u32 {
        match *op {
            Op::Line { intid, up } => self.line(intid, up),
            Op::Timer { vcpu, timer, up } => self.timer(vcpu, timer, up),
            Op::Sgi { from, intid, targets } => {
                self.sgi(from, SgiRegister::Group1, u64::from(intid) << 24 | u64::from(targets));
            }
            Op::Enable { vcpu, intid, on } => self.register(vcpu, intid, if on { 0x100 } else { 0x180 }),
            Op::Pend { vcpu, intid, on } => self.register(vcpu, intid, if on { 0x200 } else { 0x280 }),
            // Set active without being acknowledged, it is ended by register alone, which needs a split end.
            Op::Activate { vcpu, intid, on } => self.register(vcpu, intid, if on { 0x300 } else { 0x380 }),
            Op::Priority { vcpu, intid, priority } => self.priority(vcpu, intid, priority),
            Op::Group { vcpu, intid, one } => {
                let old = self.vgic.bank(vcpu, intid as usize / 32).group.get();
                let bit = 1 << (intid % 32);
                let new = if one { old | bit } else { old & !bit };
                if intid < 32 {
                    self.gicr(vcpu, 0x80, new);
                } else {
                    self.gicd(0x80 + 4 * u64::from(intid / 32), new);
                }
            }
            Op::Groups(groups) => self.gicd(0, groups),
            Op::Route { intid, to } => self.route(intid, to),
            Op::Mask { vcpu, mask } => self.cpus[vcpu].mask = mask,
            Op::Interface { vcpu, groups } => {
                self.cpus[vcpu].groups = groups;
                self.tell(0);
            }
            Op::Masked { vcpu, masked } => self.cpus[vcpu].masked = masked,
            Op::Acknowledge(vcpu) => return self.acknowledge(vcpu),
            Op::End(vcpu, intid) => self.end(vcpu, intid),
            Op::Deactivate { vcpu, intid } => self.deactivate(vcpu, intid),
            Op::Restart(vcpu) => self.restart(vcpu),
            Op::Look(vcpu) => {
                let others = self.lists[vcpu].refresh(&self.vgic, vcpu, &mut self.cpus[vcpu]);
                self.tell(others);
            }
            Op::Inspect(vcpu) => {
                let others = self.lists[vcpu].inspect(&self.vgic, vcpu, &mut self.cpus[vcpu]);
                self.tell(others);
            }
        }
        SPURIOUS
    }
}

/// Both, side by side.
pub(super) struct Pair {
    pub vm: Vm,
    pub model: Model,
    /// Before an interrupt is taken the hypervisor looks, for it is asked whether the guest need wait for one.
    asks: bool,
}

impl Pair {
    pub(super) fn new(list_registers: usize, edges: u32, split: bool) -> Self {
        let mut vm = Vm::new(VCPUS, list_registers);
        for cpu in &mut vm.cpus {
            cpu.split_end = split;
            // So that something happens soon.
            cpu.open();
        }
        let mut pair = Self { vm, model: Model::new(edges), asks: true };
        for (n, intid) in INTIDS.into_iter().enumerate() {
            if intid >= 32 && edges & 1 << n != 0 {
                let offset = 0xC00 + u64::from(intid / 16) * 4;
                let old = pair.vm.vgic.read_distributor(offset, 4) as u32;
                pair.vm.gicd(offset, old | 2 << (2 * (intid % 16)));
            }
        }
        pair.play(&Op::Groups(3)).expect("nothing is acknowledged");
        pair
    }

    /// Enables [`FEW`].
    pub(super) fn enable_few(&mut self) {
        for (vcpu, intid) in (0..VCPUS).flat_map(|vcpu| FEW.map(|intid| (vcpu, intid))) {
            self.play(&Op::Enable { vcpu, intid, on: true }).expect("nothing is acknowledged");
        }
    }

    pub(super) fn play(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let Some(op) = self.model.resolve(op) else { return Ok(()) };
        if let Op::Acknowledge(vcpu) = op
            && self.asks
        {
            let allowed = self.model.candidates(vcpu, &self.vm.cpus[vcpu]);
            let waits = self.vm.waits(vcpu);
            prop_assert_eq!(waits, allowed == [SPURIOUS], "vCPU {} waits, but {:?}", vcpu, allowed);
        }
        let seen = self.vm.play(&op);
        // Nothing tells of a timer's line that falls, unless the guest takes interrupts as they come.
        let looks = match op {
            Op::Timer { vcpu, up, .. } => !up && (!self.asks || !self.vm.cpus[vcpu].masked),
            Op::Masked { .. } => true,
            _ => false,
        };
        if looks {
            self.vm.inspect();
        }
        self.model.play(&op, seen, &self.vm.cpus)
    }

    /// Registers show what the architecture's would.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        let shown = self.vm.shown();
        self.model.compare(&shown)?;
        for vcpu in 0..VCPUS {
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

/// Anything that can happen to these interrupts: SGIs, timers and SPIs.
pub(super) fn op_of(intids: &'static [u32]) -> impl Strategy<Value = Op> {
    let select = |of: fn(&u32) -> bool| {
        let some: Vec<u32> = intids.iter().copied().filter(of).collect();
        move || prop::sample::select(some.clone())
    };
    let (any_intid, spi) = (select(|_| true), select(|intid| *intid >= 32));
    let (sgi, timer) = (select(|intid| *intid < 16), select(|intid| (16..32).contains(intid)));
    let vcpu = || 0..VCPUS;
    prop_oneof![
        4 => (spi(), any::<bool>()).prop_map(|(intid, up)| Op::Line { intid, up }),
        2 => (vcpu(), timer(), any::<bool>())
            .prop_map(|(vcpu, timer, up)| Op::Timer { vcpu, timer, up }),
        2 => (vcpu(), sgi(), 0u8..8)
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
        5 => vcpu().prop_map(|vcpu| Op::End(vcpu, SPURIOUS)),
        2 => (vcpu(), any_intid()).prop_map(|(vcpu, intid)| Op::Deactivate { vcpu, intid }),
        1 => vcpu().prop_map(Op::Restart),
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
        ops in prop::collection::vec(op_of(&INTIDS), 1..120),
    ) {
        let mut pair = Pair::new(list_registers, edges, split);
        for op in &ops {
            pair.play(op)?;
            pair.compare()?;
        }
    }

    /// Interrupts come by themselves: also while the guest does nothing for which the hypervisor looks at its own.
    #[test]
    fn guests_that_do_not_ask_are_told(
        list_registers in 1usize..=16,
        edges in any::<u32>(),
        split in any::<bool>(),
        ops in prop::collection::vec(op_of(&FEW), 1..60),
    ) {
        let mut pair = Pair::new(list_registers, edges, split);
        pair.enable_few();
        pair.asks = false;
        for op in &ops {
            pair.play(op)?;
        }
        pair.compare()?;
    }
}
