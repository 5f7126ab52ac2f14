// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs at once: nothing that is sent gets lost, and nothing is taken twice.

use super::*;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread;

const VCPUS: usize = 4;
/// SPIs that all of them pend, mask and move about.
const SPIS: [u32; 3] = [40, 70, 127];
/// One that they pend and withdraw, and one that they make active and inactive and never enable.
const WITHDRAWN: u32 = 41;
const ACTIVATED: u32 = 71;

/// An access to a register of bits, to an SPI's.
fn at(offset: u64, intid: u32) -> (u64, u64) {
    (offset + 4 * u64::from(intid / 32), 1 << (intid % 32))
}

/// What CPUs are told, as kicks are: noted first, and looked at afterwards.
struct Kicks(AtomicU8);

impl Kicks {
    fn send(&self, mask: VcpuMask) {
        self.0.fetch_or(mask, Ordering::SeqCst);
    }

    fn take(&self, vcpu: usize) -> bool {
        self.0.fetch_and(!(1 << vcpu), Ordering::SeqCst) & 1 << vcpu != 0
    }
}

/// Each thread is a CPU: it sends SGIs to all and edges of SPIs, and takes what comes. A sender waits until its last
/// message was taken before it sends the next one, so that each must arrive.
#[test]
fn nothing_is_lost_and_nothing_is_taken_twice() {
    const ROUNDS: usize = 3000;
    let vm = Vm::enabled(VCPUS, 2);
    let vgic = &vm.vgic;
    vgic.write_distributor(0x180 + 8, 4, 1 << (ACTIVATED % 32));
    for intid in SPIS.into_iter().chain([WITHDRAWN, ACTIVATED]) {
        let offset = 0xC00 + u64::from(intid / 16) * 4;
        let old = vgic.read_distributor(offset, 4);
        vgic.write_distributor(offset, 4, old | 2 << (2 * (intid % 16)));
    }
    let kicks = Kicks(AtomicU8::new(0xFF));
    let done = AtomicUsize::new(0);
    // sent[from][to], and how many were taken.
    let taken: [[AtomicUsize; VCPUS]; VCPUS] = Default::default();
    let spi_waits: [AtomicBool; SPIS.len()] = Default::default();
    let spi_taken = AtomicUsize::new(0);
    let spi_sent = AtomicUsize::new(0);
    let sgis_sent = AtomicUsize::new(0);
    let finale = AtomicUsize::new(0);

    thread::scope(|scope| {
        for vcpu in 0..VCPUS {
            let (kicks, taken, done, sgis_sent) = (&kicks, &taken, &done, &sgis_sent);
            let (spi_waits, spi_taken, spi_sent, finale) = (&spi_waits, &spi_taken, &spi_sent, &finale);
            scope.spawn(move || {
                let (mut lists, mut cpu) = (Lists::new(), VirtualInterface::new(2));
                cpu.open();
                let mut sent = [0; VCPUS];
                let mut round = 0;
                let mut finished = false;
                let mut idle_for = 0_u64;
                loop {
                    let mut idle = true;
                    if kicks.take(vcpu) || cpu.needs_maintenance() {
                        kicks.send(lists.refresh(vgic, vcpu, &mut cpu) & !(1 << vcpu));
                        idle = false;
                    }
                    let intid = cpu.acknowledge(Group::One);
                    if intid != SPURIOUS {
                        match SPIS.iter().position(|spi| *spi == intid) {
                            Some(n) => {
                                assert!(spi_waits[n].swap(false, Ordering::SeqCst), "SPI {intid} came twice");
                                spi_taken.fetch_add(1, Ordering::SeqCst);
                            }
                            None if intid == WITHDRAWN => {
                                assert_ne!(finale.load(Ordering::SeqCst), 2, "it was withdrawn for good");
                                let _ = finale.compare_exchange(3, 4, Ordering::SeqCst, Ordering::SeqCst);
                            }
                            None => {
                                taken[intid as usize][vcpu].fetch_add(1, Ordering::SeqCst);
                            }
                        }
                        cpu.end(intid);
                        idle = false;
                    }
                    if round < ROUNDS {
                        for to in 0..VCPUS {
                            if taken[vcpu][to].load(Ordering::SeqCst) == sent[to] {
                                sent[to] += 1;
                                sgis_sent.fetch_add(1, Ordering::SeqCst);
                                let mask = vgic.send_sgi(vcpu, SgiRegister::Group1, (vcpu as u64) << 24 | 1 << to);
                                kicks.send(mask);
                                idle = false;
                            }
                        }
                        let n = round % SPIS.len();
                        let spi = SPIS[n];
                        if !spi_waits[n].swap(true, Ordering::SeqCst) {
                            spi_sent.fetch_add(1, Ordering::SeqCst);
                            let set = 0x200 + 4 * u64::from(spi / 32);
                            kicks.send(vgic.write_distributor(set, 4, 1 << (spi % 32)).look);
                        }
                        // Somebody moves it meanwhile, or has it disabled for a moment.
                        let to = (round / 3 + vcpu) % VCPUS;
                        kicks.send(vgic.write_distributor(0x6000 + 8 * u64::from(spi), 8, to as u64).look);
                        if round % 5 == 0 {
                            for offset in [0x180, 0x100] {
                                let at = offset + 4 * u64::from(spi / 32);
                                kicks.send(vgic.write_distributor(at, 4, 1 << (spi % 32)).look);
                            }
                        }
                        let (withdrawn, (register, bit)) = match round % 7 {
                            0 | 4 => (true, at(0x200, WITHDRAWN)),
                            2 => (true, at(0x280, WITHDRAWN)),
                            1 | 5 => (false, at(0x300, ACTIVATED)),
                            3 => (false, at(0x380, ACTIVATED)),
                            _ => (false, at(0x280, ACTIVATED)),
                        };
                        kicks.send(vgic.write_distributor(register, 4, bit).look);
                        let moved = if withdrawn { WITHDRAWN } else { ACTIVATED };
                        let to = (round / 2 + vcpu) % VCPUS;
                        kicks.send(vgic.write_distributor(0x6000 + 8 * u64::from(moved), 8, to as u64).look);
                        round += 1;
                    } else if !finished {
                        finished = true;
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    // Nothing more is sent once all are done: then what was sent is for good.
                    let all_done = done.load(Ordering::SeqCst) == VCPUS;
                    let sgis_taken = taken.iter().flatten().map(|taken| taken.load(Ordering::SeqCst)).sum::<usize>();
                    let all_taken = sgis_taken == sgis_sent.load(Ordering::SeqCst)
                        && spi_taken.load(Ordering::SeqCst) == spi_sent.load(Ordering::SeqCst);
                    if all_done && all_taken && finale.load(Ordering::SeqCst) == 4 {
                        return;
                    }
                    // In the end one of them withdraws and deactivates all, pends once more, and that comes.
                    if all_done && vcpu == 0 && !vgic.is_waiting(0) {
                        match finale.load(Ordering::SeqCst) {
                            0 => {
                                for (offset, intid) in [(0x280, WITHDRAWN), (0x380, ACTIVATED), (0x280, ACTIVATED)] {
                                    let (register, bit) = at(offset, intid);
                                    let concerned = vgic.write_distributor(register, 4, bit);
                                    vgic.ask(0, concerned.hold & !1);
                                    kicks.send(concerned.look | concerned.hold);
                                }
                                finale.store(1, Ordering::SeqCst);
                            }
                            1 => {
                                kicks.send(lists.inspect(vgic, 0, &mut cpu) & !1);
                                let shown = |offset, intid| {
                                    let (register, bit) = at(offset, intid);
                                    vgic.read_distributor(register, 4) & bit != 0
                                };
                                assert!(!shown(0x300, ACTIVATED), "it was deactivated");
                                assert!(!shown(0x200, ACTIVATED) && !shown(0x200, WITHDRAWN), "they were withdrawn");
                                finale.store(2, Ordering::SeqCst);
                            }
                            2 => {
                                finale.store(3, Ordering::SeqCst);
                                let (register, bit) = at(0x200, WITHDRAWN);
                                kicks.send(vgic.write_distributor(register, 4, bit).look);
                            }
                            _ => {}
                        }
                    }
                    idle_for = if idle { idle_for + 1 } else { 0 };
                    assert!(idle_for < 100_000_000, "vCPU {vcpu} waits for what does not come: {lists:x?} {cpu:x?}");
                    if idle {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    assert!(spi_taken.load(Ordering::SeqCst) > 0);
}
