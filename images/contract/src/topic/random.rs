// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random sequences on the interrupt controller. Both machines play the same ones, and what they answer must be the
//! same.
//!
//! Left out is what is UNPREDICTABLE: ends out of order, what is active changing its priority or group. No two
//! interrupts have one priority, because then either may come first. Groups are switched on and off together: when the
//! most urgent interrupt is of a group that is off, QEMU's controller shows none of the other group, which the
//! architecture's does.

use crate::arch::mmio::write32;
use crate::arch::sysreg::{read, write};
use crate::check::{Answer, Topic, check, check_with};
use crate::clock;
use crate::devices::UART;
use crate::gic::{self, CTLR};

pub(super) const TOPIC: Topic = Topic {
    name: "random",
    checks: &[
        check("plain-1", |answer| play(answer, 1, Kind::PLAIN, 70)),
        check("plain-2", |answer| play(answer, 2, Kind::PLAIN, 70)),
        check("plain-3", |answer| play(answer, 3, Kind::PLAIN, 70)),
        check("plain-seldom-looked-at-1", |answer| play(answer, 4, Kind::PLAIN.seldom(), 400)),
        check("plain-seldom-looked-at-2", |answer| play(answer, 5, Kind::PLAIN.seldom(), 400)),
        check("plain-seldom-looked-at-3", |answer| play(answer, 6, Kind::PLAIN.seldom(), 400)),
        check("plain-seldom-looked-at-4", |answer| play(answer, 7, Kind::PLAIN.seldom(), 400)),
        check("two-steps-1", |answer| play(answer, 11, Kind::TWO_STEPS, 70)),
        check("two-steps-2", |answer| play(answer, 12, Kind::TWO_STEPS, 70)),
        check("two-steps-seldom-looked-at-1", |answer| play(answer, 13, Kind::TWO_STEPS.seldom(), 400)),
        check("two-steps-seldom-looked-at-2", |answer| play(answer, 14, Kind::TWO_STEPS.seldom(), 400)),
        check("groups-1", |answer| play(answer, 21, Kind::GROUPS, 70)),
        check("groups-2", |answer| play(answer, 22, Kind::GROUPS, 70)),
        check("groups-seldom-looked-at-1", |answer| play(answer, 23, Kind::GROUPS.seldom(), 400)),
        check("groups-seldom-looked-at-2", |answer| play(answer, 24, Kind::GROUPS.seldom(), 400)),
        check("timers-1", |answer| play(answer, 31, Kind::TIMERS, 70)),
        check("timers-2", |answer| play(answer, 32, Kind::TIMERS, 70)),
        check("timers-seldom-looked-at-1", |answer| play(answer, 33, Kind::TIMERS.seldom(), 400)),
        check("timers-seldom-looked-at-2", |answer| play(answer, 34, Kind::TIMERS.seldom(), 400)),
        check("all-1", |answer| play(answer, 41, Kind::ALL, 70)),
        check("all-seldom-looked-at-1", |answer| play(answer, 42, Kind::ALL.seldom(), 600)),
        check("all-seldom-looked-at-2", |answer| play(answer, 43, Kind::ALL.seldom(), 600)),
        check_with("routes-1", 2, |answer| play(answer, 51, Kind::ALL.with_routes(), 70)),
        check_with("routes-seldom-looked-at-1", 2, |answer| play(answer, 52, Kind::ALL.with_routes().seldom(), 600)),
        check_with("routes-seldom-looked-at-2", 2, |answer| play(answer, 53, Kind::ALL.with_routes().seldom(), 600)),
    ],
};

/// Which steps there are.
#[derive(Clone, Copy)]
struct Kind {
    /// Ends drop the priority, and DIR deactivates.
    two_steps: bool,
    groups: bool,
    timers: bool,
    routes: bool,
    /// States are read at the end of a stretch, not after every step: reading may set something right.
    seldom: bool,
}

impl Kind {
    const PLAIN: Self = Self { two_steps: false, groups: false, timers: false, routes: false, seldom: false };
    const TWO_STEPS: Self = Self { two_steps: true, ..Self::PLAIN };
    const GROUPS: Self = Self { groups: true, ..Self::PLAIN };
    const TIMERS: Self = Self { timers: true, ..Self::PLAIN };
    const ALL: Self = Self { two_steps: true, groups: true, timers: true, ..Self::PLAIN };

    const fn seldom(self) -> Self {
        Self { seldom: true, ..self }
    }

    const fn with_routes(self) -> Self {
        Self { routes: true, ..self }
    }
}

/// SGIs, PPIs, the UART's SPI, SPIs without a device; with timers theirs are the last.
const INTIDS: [u32; 16] = [1, 2, 5, 20, 21, 22, gic::UART, 40, 41, 42, 43, 44, 63, 64, 27, 30];

/// Xorshift (Marsaglia): enough for the same choice on both machines.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// What is known of the game.
struct Game {
    dice: Dice,
    kind: Kind,
    /// Each one's priority, and its group.
    priority: [u8; 16],
    group: [u32; 16],
    /// Acknowledged and not ended, the innermost last.
    running: [usize; 32],
    depth: usize,
    /// Ended and not deactivated.
    dropped: u32,
    /// All that was answered, mixed.
    mixed: u32,
}

fn play(answer: &mut Answer, seed: u64, kind: Kind, steps: usize) {
    let mut game = Game {
        dice: Dice((seed * 0x9E37_79B9_7F4A_7C15) | 1),
        kind,
        priority: [0; 16],
        group: [1; 16],
        running: [0; 32],
        depth: 0,
        dropped: 0,
        mixed: 0x811C_9DC5,
    };
    game.begin();
    for step in 0..steps {
        let said = game.step();
        if !kind.seldom {
            answer.say(format_args!("{said}"));
            let (pending, active) = game.look();
            answer.say(format_args!("{pending:x}/{active:x}"));
        } else if step % 20 == 19 {
            let (pending, active) = game.look();
            answer.say(format_args!("{:08x}:{pending:x}/{active:x}", game.mixed));
        }
    }
    game.finish(answer);
}

/// What a step was and what it answered.
struct Said(char, u32, u64);

impl core::fmt::Display for Said {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.2 {
            0 => core::write!(f, "{}{}", self.0, self.1),
            answer => core::write!(f, "{}{}={answer:x}", self.0, self.1),
        }
    }
}

impl Game {
    fn begin(&mut self) {
        gic::set_eoi_mode(self.kind.two_steps);
        if self.kind.groups {
            write32(CTLR, 0b11 | 1 << 4);
            write!("icc_igrpen0_el1", 1);
        }
        write32(UART.base + 0x30, 0x301);
        write32(UART.base, b'\r'.into());
        for (n, intid) in self.intids() {
            if (32..96).contains(&intid) {
                gic::set_edge(intid, self.dice.roll(2) == 1);
            }
            self.priority[n] = 8 * (n as u8 + 4);
            gic::set_priority(intid, self.priority[n]);
            if self.dice.roll(4) != 0 {
                gic::enable(intid);
            }
        }
    }

    fn count(&self) -> usize {
        if self.kind.timers { 16 } else { 14 }
    }

    /// Those that are in the game, with their numbers.
    fn intids(&self) -> impl Iterator<Item = (usize, u32)> + use<> {
        INTIDS.into_iter().enumerate().take(self.count())
    }

    /// Which of them are pending, and which are active.
    fn look(&mut self) -> (u32, u32) {
        let (mut pending, mut active) = (0, 0);
        for (n, intid) in self.intids() {
            let state = gic::state(intid);
            pending |= (state & 1) << n;
            active |= (state >> 1) << n;
        }
        self.mix(pending ^ active << 16);
        (pending, active)
    }

    fn mix(&mut self, value: u32) {
        self.mixed = (self.mixed ^ value).wrapping_mul(0x0100_0193).rotate_left(5);
    }

    fn is_busy(&self, n: usize) -> bool {
        self.running[..self.depth].contains(&n) || self.dropped & 1 << n != 0
    }

    fn step(&mut self) -> Said {
        let n = self.dice.roll(self.count() as u64) as usize;
        let intid = INTIDS[n];
        let said = match self.dice.roll(40) {
            0..=7 => {
                gic::pend(intid);
                Said('p', intid, 0)
            }
            8..=9 => {
                gic::unpend(intid);
                Said('u', intid, 0)
            }
            10..=12 => {
                gic::enable(intid);
                Said('e', intid, 0)
            }
            13 => {
                gic::disable(intid);
                Said('d', intid, 0)
            }
            // Activated by hand it is deactivated by hand, or by DIR where that does not come with an end.
            14 if !self.is_busy(n) => {
                gic::activate(intid);
                Said('a', intid, 0)
            }
            15..=16 if !self.is_busy(n) => {
                gic::deactivate(intid);
                Said('c', intid, 0)
            }
            17..=18 => self.new_priority(n, intid),
            19 if self.kind.groups && !self.is_busy(n) => {
                self.group[n] ^= 1;
                gic::set_group(intid, self.group[n]);
                Said('g', intid, self.group[n].into())
            }
            20 => {
                let mask = 8 * self.dice.roll(32);
                gic::set_mask(mask);
                Said('m', mask as u32, 0)
            }
            21..=22 => {
                gic::set_mask(0xF8);
                Said('m', 0xF8, 0)
            }
            23 if intid < 16 => {
                gic::send(intid.into(), 1);
                Said('s', intid, 0)
            }
            24 => {
                let on = self.dice.roll(2) as u32;
                write32(UART.base + 0x38, on << 5);
                Said('l', on, 0)
            }
            25 => {
                let on = self.dice.roll(4) != 0;
                let groups = if self.kind.groups { 0b11 } else { 0b10 };
                write32(CTLR, if on { groups } else { 0 } | 1 << 4);
                Said('D', on.into(), 0)
            }
            26 => {
                let on = self.dice.roll(4) != 0;
                write!("icc_igrpen1_el1", on.into());
                if self.kind.groups {
                    write!("icc_igrpen0_el1", on.into());
                }
                Said('G', on.into(), 0)
            }
            27 if self.kind.timers => self.timer(),
            28 if self.kind.routes && intid >= 32 => {
                // Here, to a CPU that is off, to nobody.
                let to = [0, 0, 0, 1, 9][self.dice.roll(5) as usize];
                gic::route(intid, to);
                Said('r', intid, to)
            }
            29 => Said('h', 0, gic::highest() << 12 | gic::highest0()),
            30 => Said('i', 0, read!("isr_el1") >> 6),
            31..=35 => self.acknowledge(),
            _ => self.end(),
        };
        self.mix((said.1 << 16 ^ said.0 as u32) ^ (said.2 as u32).rotate_left(9));
        said
    }

    fn new_priority(&mut self, n: usize, intid: u32) -> Said {
        let priority = 8 * self.dice.roll(31) as u8;
        if self.is_busy(n) || self.priority[..self.count()].contains(&priority) {
            return Said('-', 0, 0);
        }
        self.priority[n] = priority;
        gic::set_priority(intid, priority);
        Said('y', intid, priority.into())
    }

    /// Fires a timer, moves it on, masks it or switches it off.
    fn timer(&mut self) -> Said {
        let which = self.dice.roll(2);
        let what = self.dice.roll(4);
        let (cval, ctl) = match what {
            0 | 1 => (0, 1),
            2 => (clock::now() + clock::ms(10_000), 1),
            _ => (0, 3 * self.dice.roll(2)),
        };
        if which == 0 {
            write!("cntv_cval_el0", cval);
            write!("cntv_ctl_el0", ctl);
        } else {
            write!("cntp_cval_el0", cval);
            write!("cntp_ctl_el0", ctl);
        }
        Said('t', which as u32, what)
    }

    fn acknowledge(&mut self) -> Said {
        let group = if self.kind.groups { self.dice.roll(2) as u32 } else { 1 };
        if self.depth == self.running.len() {
            return Said('-', 0, 0);
        }
        let intid = if group == 1 { gic::ack() } else { gic::ack0() };
        if let Some(n) = INTIDS.iter().position(|known| u64::from(*known) == intid) {
            self.running[self.depth] = n;
            self.depth += 1;
        }
        Said('A', group, intid << 8 | gic::running())
    }

    fn end(&mut self) -> Said {
        if self.kind.two_steps && self.dice.roll(2) == 0 {
            let dropped = (0..16).filter(|n| self.dropped & 1 << n != 0);
            let chosen = self.dice.roll(16) as usize;
            let Some(n) = dropped.min_by_key(|n| (n + 16 - chosen) % 16) else { return Said('-', 0, 0) };
            self.dropped &= !(1 << n);
            gic::dir(INTIDS[n].into());
            return Said('X', INTIDS[n], 0);
        }
        let Some(depth) = self.depth.checked_sub(1) else { return Said('-', 0, 0) };
        self.depth = depth;
        let n = self.running[depth];
        if self.group[n] == 1 {
            gic::end(INTIDS[n].into())
        } else {
            gic::end0(INTIDS[n].into())
        }
        if self.kind.two_steps {
            self.dropped |= 1 << n;
        }
        Said('E', INTIDS[n], gic::running())
    }

    /// Ends what is running and lets everything out.
    fn finish(&mut self, answer: &mut Answer) {
        let two_steps = core::mem::replace(&mut self.kind.two_steps, false);
        while self.depth > 0 {
            let n = self.running[self.depth - 1];
            self.end();
            if two_steps {
                gic::dir(INTIDS[n].into());
            }
        }
        for n in (0..16).filter(|n| self.dropped & 1 << n != 0) {
            gic::dir(INTIDS[n].into());
        }
        write!("cntv_ctl_el0", 0);
        if self.kind.timers {
            write!("cntp_ctl_el0", 0);
        }
        write32(UART.base + 0x38, 0);
        write!("icc_igrpen1_el1", 1);
        if self.kind.groups {
            write!("icc_igrpen0_el1", 1);
        }
        gic::set_mask(0xF8);
        write32(CTLR, if self.kind.groups { 0b11 } else { 0b10 } | 1 << 4);
        for (_, intid) in self.intids() {
            if intid >= 32 {
                gic::route(intid, 0);
            }
            gic::deactivate(intid);
            gic::enable(intid);
        }
        answer.say("left:");
        for _ in 0..32 {
            let (one, zero) = (gic::ack(), if self.kind.groups { gic::ack0() } else { gic::NONE });
            if one != gic::NONE {
                answer.say(one);
                gic::end(one);
                gic::dir(one);
            }
            if zero != gic::NONE {
                answer.say(format_args!("{zero}'"));
                gic::end0(zero);
                gic::dir(zero);
            }
            if one == gic::NONE && zero == gic::NONE {
                break;
            }
        }
        let (pending, active) = self.look();
        answer.say(format_args!("{pending:x}/{active:x} rpr={:#x} {:08x}", gic::running(), self.mixed));
    }
}
