// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one CPU does, with what another one does in between, at each place at which that makes a difference: before any
//! access to what they share. The outcome is the architecture's for one of their orders.

use super::model::{FEW, Model, Op, Pair, VCPUS, op_of};
use super::*;
use crate::tests::shared::{act_at, take_back};
use core::cell::{Cell, RefCell};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::format;
use std::rc::Rc;
use std::string::String;

/// What happens: first of all `setup`.
#[derive(Clone, Debug)]
struct Case {
    list_registers: usize,
    edges: u32,
    split: bool,
    setup: Vec<Op>,
    /// Somebody writes it, and vCPU 0 has not looked when it does what it does.
    unseen: Option<Op>,
    /// What vCPU 0 does.
    first: Op,
    /// What vCPU 1 does meanwhile.
    second: Op,
    /// What vCPU 2 does, and before which access of vCPU 1's to what is shared.
    third: Option<(usize, Op)>,
    /// vCPU 2 looks at once if it is told to.
    prompt: bool,
    /// Interrupts are taken before registers are looked at.
    takes_first: bool,
}

impl Op {
    /// If a CPU does it to itself, that one does.
    fn by(self, cpu: usize) -> Self {
        match self {
            Self::Timer { timer, up, .. } => Self::Timer { vcpu: cpu, timer, up },
            Self::Sgi { intid, targets, .. } => Self::Sgi { from: cpu, intid, targets },
            Self::Mask { mask, .. } => Self::Mask { vcpu: cpu, mask },
            Self::Interface { groups, .. } => Self::Interface { vcpu: cpu, groups },
            Self::Masked { masked, .. } => Self::Masked { vcpu: cpu, masked },
            Self::Acknowledge(_) => Self::Acknowledge(cpu),
            Self::End(_, intid) => Self::End(cpu, intid),
            Self::Deactivate { intid, .. } => Self::Deactivate { vcpu: cpu, intid },
            Self::Restart(_) => Self::Restart(cpu),
            Self::Look(_) => Self::Look(cpu),
            Self::Inspect(_) => Self::Inspect(cpu),
            other => other,
        }
    }

    /// The interrupt of which it may have somebody wish something.
    fn wishes_of(&self) -> Option<(usize, u32)> {
        match *self {
            Self::Pend { vcpu, intid, on: false }
            | Self::Activate { vcpu, intid, .. }
            | Self::Deactivate { vcpu, intid } => Some((if intid < 32 { vcpu } else { 0 }, intid)),
            _ => None,
        }
    }

    /// It is written to a register that all share, or a device does it.
    fn is_everybodys(&self) -> bool {
        self.clone().by(0) == self.clone().by(1) && !matches!(self, Self::Sgi { .. })
    }
}

/// Each CPU by itself, with what it shares with the others.
struct Cpus([RefCell<Vm>; VCPUS]);

impl Cpus {
    fn of(vm: &mut Vm) -> Self {
        let apart = |cpu: usize| {
            let mut alone = Vm::new(VCPUS, vm.cpus[0].lrs.len());
            alone.vgic = vm.vgic.clone();
            alone.lists[cpu] = vm.lists[cpu].clone();
            alone.cpus[cpu] = vm.cpus[cpu].clone();
            alone.away = !(1 << cpu);
            alone.asker = Some(cpu);
            RefCell::new(alone)
        };
        Self(core::array::from_fn(apart))
    }

    /// Those that were told to look since they did last; `None` for those that are busy.
    fn told(&self) -> VcpuMask {
        self.0
            .iter()
            .filter_map(|cpu| cpu.try_borrow_mut().ok())
            .fold(0, |told, mut cpu| told | core::mem::take(&mut cpu.missed))
    }

    fn together(&self, vm: &mut Vm) {
        for (n, cpu) in self.0.iter().enumerate() {
            let cpu = cpu.borrow();
            vm.lists[n] = cpu.lists[n].clone();
            vm.cpus[n] = cpu.cpus[n].clone();
        }
        let told = self.told();
        vm.tell(told);
    }
}

/// Plays a case: others act before access number `step` of vCPU 0's. `None` if it does not do as many.
fn play(case: &Case, step: usize) -> Option<Result<(), String>> {
    let mut pair = Pair::new(case.list_registers, case.edges, case.split);
    pair.enable_few();
    for op in &case.setup {
        pair.play(op).expect("the setup is as in the other test");
    }
    let Pair { mut vm, model, .. } = pair;
    // Nothing tells of a timer's line that falls while its vCPU masks interrupts: a CPU sees it when it looks.
    vm.inspect();
    let mut unseen = None;
    if let Some(op) = &case.unseen {
        let op = model.resolve(op)?;
        vm.away = 1;
        vm.play(&op);
        vm.away = 0;
        unseen = Some(op);
    }
    let missed = core::mem::take(&mut vm.missed);
    let first = model.resolve(&case.first)?;
    // Who goes off forgets what it handled.
    let forgets = matches!(first, Op::Restart(_));
    let other = |op: &Op| match op {
        Op::Activate { .. } if forgets => Some(op.clone()),
        op => model.resolve(op),
    };
    let second = other(&case.second)?;
    let third = match &case.third {
        Some((at, op)) => Some((*at, other(op)?)),
        None => None,
    };

    let cpus = Rc::new(Cpus::of(&mut vm));
    let seen = Rc::new([const { Cell::new(SPURIOUS) }; 3]);
    let meanwhile = {
        let (cpus, seen, second, third, prompt) =
            (cpus.clone(), seen.clone(), second.clone(), third.clone(), case.prompt);
        move || {
            let last = third.map(|(at, op)| {
                let (cpus, seen) = (cpus.clone(), seen.clone());
                let done = Rc::new(Cell::new(false));
                let noted = done.clone();
                let act = move || {
                    seen[2].set(cpus.0[2].borrow_mut().play(&op));
                    noted.set(true);
                };
                act_at(at, act.clone());
                (done, act)
            });
            seen[1].set(cpus.0[1].borrow_mut().play(&second));
            take_back();
            if let Some((done, act)) = last
                && !done.get()
            {
                act();
            }
            if prompt {
                for _ in 0..4 {
                    let told = cpus.told();
                    for n in [1, 2] {
                        cpus.0[n].borrow_mut().tell(told & 1 << n);
                    }
                    cpus.0[1].borrow_mut().missed |= told & 1;
                }
            }
        }
    };
    act_at(step, meanwhile);
    seen[0].set(cpus.0[0].borrow_mut().play(&first));
    if take_back() {
        return None;
    }
    let is_wished =
        |(vcpu, intid): (usize, u32)| vm.vgic.bank(vcpu, intid as usize / 32).wishes() & 1 << (intid % 32) != 0;
    let wrote = [(1, Some(&second)), (2, third.as_ref().map(|(_, op)| op))];
    let wishes: Vec<_> = wrote.into_iter().filter_map(|(cpu, op)| Some((cpu, op?.wishes_of()?))).collect();
    for (cpu, of) in &wishes {
        // Of several who wish something of the same interrupt the last one waits.
        let nobody_waits = wishes.iter().all(|(cpu, other)| other != of || !vm.vgic.is_waiting(*cpu));
        if is_wished(*of) && nobody_waits && first.wishes_of() != Some(*of) {
            return Some(Err(format!("vCPU {cpu} goes on, though what it wrote has not happened")));
        }
    }
    cpus.together(&mut vm);
    vm.tell(missed);
    if (0..VCPUS).any(|vcpu| vm.vgic.is_waiting(vcpu)) {
        return Some(Err("somebody waits for ever".into()));
    }
    if (0..VCPUS).any(|vcpu| (0..4).any(|n| vm.vgic.bank(vcpu, n).wishes() != 0)) {
        return Some(Err("somebody's wish is not fulfilled".into()));
    }

    let mut events: Vec<(Op, u32)> = [Some(first), Some(second), third.map(|(_, op)| op)]
        .into_iter()
        .flatten()
        .zip(seen.iter().map(Cell::get))
        .collect();
    events.extend(unseen.map(|op| (op, SPURIOUS)));
    vm.inspect();
    Some(judge(&mut vm, &model, &events, case))
}

/// All orders of so many.
fn orders(of: usize) -> Vec<Vec<usize>> {
    if of == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(of - 1) {
        for at in 0..of {
            let mut order = order.clone();
            order.insert(at, of - 1);
            all.push(order);
        }
    }
    all
}

/// Whether what has become of it is what would have of one of the orders of these events.
fn judge(vm: &mut Vm, before: &Model, events: &[(Op, u32)], case: &Case) -> Result<(), String> {
    let restarts = events.iter().any(|(op, _)| matches!(op, Op::Restart(_)));
    let mut models = Vec::new();
    let mut reasons = String::new();
    let mut decided = false;
    'orders: for order in orders(events.len()) {
        let mut model = before.clone();
        let mut said = Ok(());
        for n in &order {
            let (op, seen) = &events[*n];
            if !model.allows(op) {
                // Who goes off, vCPU 0, forgets what it handled: then this order is none.
                let others = |intid: u32| (1..VCPUS).any(|vcpu| model.handles(vcpu, intid));
                if !restarts || matches!(op, Op::Activate { intid, .. } if others(*intid)) {
                    return Ok(());
                }
                continue 'orders;
            }
            said = said.and(model.play(op, *seen, &vm.cpus).map_err(|error| format!("{error:?}")));
        }
        decided = true;
        match said {
            Ok(()) => models.push(model),
            Err(why) => reasons += &format!("{order:?}: {why}\n"),
        }
    }
    if !decided {
        return Ok(());
    }
    let mut keep = |models: &mut Vec<Model>, mut of: &mut dyn FnMut(&mut Model) -> Result<(), TestCaseError>| {
        models.retain_mut(|model| match of(model) {
            Ok(()) => true,
            Err(why) => {
                reasons += &format!("{why:?}\n");
                false
            }
        });
        let _ = &mut of;
        if models.is_empty() { Err(reasons.clone()) } else { Ok(()) }
    };
    keep(&mut models, &mut |_| Ok(()))?;
    if !case.takes_first {
        let shown = vm.shown();
        keep(&mut models, &mut |model| model.compare(&shown))?;
    }
    for vcpu in 0..VCPUS {
        for op in [Op::Mask { vcpu, mask: 0xFF }, Op::Interface { vcpu, groups: 3 }, Op::Masked { vcpu, masked: false }]
        {
            vm.play(&op);
        }
        while let Some(end) = models[0].resolve(&Op::End(vcpu, SPURIOUS)) {
            vm.play(&end);
            keep(&mut models, &mut |model| {
                prop_assert!(model.allows(&end));
                model.play(&end, SPURIOUS, &vm.cpus)
            })?;
        }
    }
    let mut quiet = 0;
    for vcpu in (0..VCPUS).cycle() {
        let taken = vm.play(&Op::Acknowledge(vcpu));
        keep(&mut models, &mut |model| model.play(&Op::Acknowledge(vcpu), taken, &vm.cpus))?;
        if taken == SPURIOUS {
            quiet += 1;
            if quiet == VCPUS {
                break;
            }
            continue;
        }
        quiet = 0;
        let end = Op::End(vcpu, taken);
        let falls =
            if taken < 32 { Op::Timer { vcpu, timer: taken, up: false } } else { Op::Line { intid: taken, up: false } };
        for op in [falls, end, Op::Deactivate { vcpu, intid: taken }] {
            if taken < 16 && matches!(op, Op::Timer { .. }) || !models[0].allows(&op) {
                continue;
            }
            vm.play(&op);
            keep(&mut models, &mut |model| model.play(&op, SPURIOUS, &vm.cpus))?;
        }
    }
    let shown = vm.shown();
    keep(&mut models, &mut |model| model.compare(&shown))
}

/// Edges of SPIs 33, 34 and 40, of falling urgency, come to vCPU 0, which has room for two.
fn three_edges(then: &[Op], unseen: Option<Op>, first: Op, second: Op) {
    let [urgent, one, other] = [33, 34, 40];
    let priority = |intid, priority| Op::Priority { vcpu: 0, intid, priority };
    let pend = |intid| Op::Pend { vcpu: 0, intid, on: true };
    let mut setup = vec![priority(urgent, 0x10), priority(one, 0x80), priority(other, 0x90), pend(one), pend(other)];
    setup.extend_from_slice(then);
    for (prompt, takes_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let case = Case {
            list_registers: 2,
            edges: u32::MAX,
            split: false,
            setup: setup.clone(),
            unseen: unseen.clone(),
            first: first.clone(),
            second: second.clone(),
            third: None,
            prompt,
            takes_first,
        };
        let mut steps = 0;
        while let Some(outcome) = play(&case, steps) {
            outcome.unwrap_or_else(|why| panic!("before access {steps} of {case:?}: {why}"));
            steps += 1;
        }
        assert!(steps > 10, "vCPU 0 does something");
    }
}

const URGENT: Option<Op> = Some(Op::Pend { vcpu: 0, intid: 33, on: true });

#[test]
fn what_makes_room_while_it_is_routed_away_arrives() {
    three_edges(&[], URGENT, Op::Look(0), Op::Route { intid: 40, to: 1 });
}

#[test]
fn what_makes_room_while_it_is_withdrawn_is_withdrawn() {
    three_edges(&[], URGENT, Op::Look(0), Op::Pend { vcpu: 0, intid: 40, on: false });
}

#[test]
fn what_becomes_active_while_it_is_listed_stays_so() {
    three_edges(&[], URGENT, Op::Look(0), Op::Activate { vcpu: 0, intid: 33, on: true });
}

#[test]
fn what_is_deactivated_while_its_holder_goes_off_is_inactive() {
    let then = [Op::Acknowledge(0), Op::Pend { vcpu: 0, intid: 34, on: true }];
    for on in [false, true] {
        for intid in [34, 40] {
            three_edges(&then, URGENT, Op::Restart(0), Op::Activate { vcpu: 0, intid, on });
        }
    }
}

/// GICD_IROUTER by halves, by two vCPUs at once.
#[test]
fn both_halves_of_a_route_are_written() {
    for step in 0.. {
        let vgic = Arc::new(Vgic::new(Client::alleged(3), VCPUS));
        let other = vgic.clone();
        act_at(step, move || {
            other.write_distributor(0x6104, 4, 0x12);
        });
        vgic.write_distributor(0x6100, 4, 0x34);
        if take_back() {
            assert!(step > 0);
            return;
        }
        assert_eq!(vgic.read_distributor(0x6100, 8), 0x12_0000_0034);
    }
}

fn case() -> impl Strategy<Value = Case> {
    let write = || op_of(&FEW).prop_filter("everybody's", Op::is_everybodys);
    let own = |cpu| {
        prop_oneof![
            3 => op_of(&FEW).prop_map(move |op| op.by(cpu)),
            1 => Just(Op::Look(cpu)),
            1 => Just(Op::Inspect(cpu)),
        ]
    };
    let first = prop_oneof![
        (write().prop_map(Some), prop_oneof![Just(Op::Look(0)), Just(Op::Restart(0)), Just(Op::Inspect(0))]),
        (Just(None), own(0)),
    ];
    let second = prop_oneof![2 => write(), 1 => own(1)];
    let third = prop::option::of((0usize..40, prop_oneof![1 => write(), 1 => own(2)]));
    let machine = (1usize..=3, any::<u32>(), any::<bool>(), prop::collection::vec(op_of(&FEW), 0..24));
    (machine, first, second, third, any::<bool>(), any::<bool>()).prop_map(
        |((list_registers, edges, split, setup), (unseen, first), second, third, prompt, takes_first)| Case {
            list_registers,
            edges,
            split,
            setup,
            unseen,
            first,
            second,
            third,
            prompt,
            takes_first,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_comes_in_between_nothing_is_lost(case in case()) {
        // Whose groups are written as a whole, reads them first.
        prop_assume!(!matches!((&case.first, &case.second), (Op::Group { .. }, Op::Group { .. })));
        prop_assume!(!matches!((&case.first, &case.third), (Op::Group { .. }, Some((_, Op::Group { .. })))));
        prop_assume!(!matches!((&case.second, &case.third), (Op::Group { .. }, Some((_, Op::Group { .. })))));
        for step in 0.. {
            match play(&case, step) {
                None => break,
                Some(Ok(())) => {}
                Some(Err(why)) => prop_assert!(false, "before access {}: {}", step, why),
            }
        }
    }
}
