// SPDX-License-Identifier: MIT OR Apache-2.0
//! GICR registers: a vCPU's private interrupts and its place in the system (GICv3 §12.11, §12.12).

use super::bank::{Bank, Bits};
use super::distributor::{IIDR, REDISTRIBUTOR, identification};
use super::shared::{AtomicBool, AtomicU8, Ordering::SeqCst};
use super::{Concerned, VcpuMask, Vgic, Width};
use crate::arch::interface::{PHYSICAL_TIMER, TIMERS, VIRTUAL_TIMER};
use bitflags::bitflags;

/// Size of a vCPU's frames: `RD_base` and `SGI_base`, 64 KiB each.
pub const STRIDE: u64 = firmware_support::board::REDISTRIBUTOR;
const SGI_BASE: u64 = 0x1_0000;
/// SGIs are edge-triggered, whatever one writes.
const SGIS: u32 = 0xFFFF;
/// And the timers' interrupts are level-sensitive, whatever one writes: their bits in GICR_ICFGR1.
const TIMERS_EDGE: u32 = 2 << (2 * (VIRTUAL_TIMER - 16)) | 2 << (2 * (PHYSICAL_TIMER - 16));

bitflags! {
    /// Where a vCPU has to look, as others changed something.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct News: u8 {
        /// At its private interrupts.
        const PRIVATE = 1;
        /// At the shared ones.
        const SHARED = 2;
        /// At what others wish of the interrupts that it holds.
        const WISHES = 4;
        /// At what it holds, for others want to know.
        const ASKED = 8;
    }
}

/// A vCPU's redistributor.
pub struct Redistributor {
    /// SGIs and PPIs.
    pub bank: Bank,
    /// GICR_WAKER.ProcessorSleep.
    asleep: AtomicBool,
    news: AtomicU8,
    /// vCPUs that wait until this one has looked.
    pub askers: AtomicU8,
}

impl Redistributor {
    /// Makes one out of reset.
    pub const fn new() -> Self {
        Self { bank: Bank::new(SGIS), asleep: AtomicBool::new(true), news: AtomicU8::new(0), askers: AtomicU8::new(0) }
    }

    /// Puts it back to what it is out of reset.
    pub fn reset(&self) {
        self.bank.reset(SGIS);
        self.asleep.store(true, SeqCst);
        self.news.store(0, SeqCst);
        self.askers.store(0, SeqCst);
    }

    /// Has the vCPU look.
    #[inline]
    pub fn tell(&self, news: News) {
        self.news.fetch_or(news.bits(), SeqCst);
    }

    /// Takes what it has to look at, which it is going to.
    #[inline]
    pub fn take_news(&self) -> News {
        if self.news.load(SeqCst) == 0 {
            return News::empty();
        }
        News::from_bits_retain(self.news.swap(0, SeqCst))
    }
}

impl Vgic {
    /// Says whether a redistributor is there in their range.
    pub fn has_redistributor(&self, offset: u64) -> bool {
        offset / STRIDE < self.vcpus as u64
    }

    /// Reads a register of the redistributors' range. `None` if there is no redistributor. `timers` are the lines of
    /// the timers of the vCPU that reads, which no other one knows.
    pub fn read_redistributor(&self, reader: usize, timers: u32, offset: u64, width: Width) -> Option<u64> {
        let vcpu = (offset / STRIDE) as usize;
        let cpu = self.cpus.get(vcpu).filter(|_| vcpu < self.vcpus)?;
        let offset = offset % STRIDE;
        if offset >= SGI_BASE {
            let offset = offset - SGI_BASE;
            let levels = if vcpu == reader { timers } else { 0 };
            return Some(match (Bits::at(offset), offset) {
                (Some((register, 0)), _) => u64::from(cpu.bank.read(register, levels)),
                (_, 0x400..0x420) => cpu.bank.read_priorities((offset - 0x400) as usize, width),
                (_, 0xC00 | 0xC04) => u64::from(cpu.bank.read_config((offset - 0xC00) as usize / 4)),
                _ => 0,
            });
        }
        let typer = u64::from(vcpu + 1 == self.vcpus) << 4 | (vcpu as u64) << 8 | (vcpu as u64) << 32;
        Some(match offset {
            0x0004 => u64::from(IIDR),
            0x0008 if width == 8 => typer,
            0x0008 => typer & 0xFFFF_FFFF,
            0x000C => typer >> 32,
            // ChildrenAsleep follows ProcessorSleep at once.
            0x0014 => u64::from(cpu.asleep.load(SeqCst)) * 6,
            0xFFD0..=0xFFFC => identification(offset, REDISTRIBUTOR),
            _ => 0,
        })
    }

    /// Returns the vCPUs that hold what a register of states in the redistributors' range shows.
    pub fn redistributor_holders(&self, offset: u64) -> VcpuMask {
        let vcpu = (offset / STRIDE) as usize;
        let is_state = matches!(offset % STRIDE, 0x1_0200..0x1_0400);
        let held = self.cpus.get(vcpu).is_some_and(|cpu| is_state && cpu.bank.held.get() != 0);
        if held { 1 << vcpu } else { 0 }
    }

    /// Writes a register of the redistributors' range. Who has to look; `None` if there is no redistributor.
    pub fn write_redistributor(&self, offset: u64, width: Width, value: u64) -> Option<Concerned> {
        let vcpu = (offset / STRIDE) as usize;
        let cpu = self.cpus.get(vcpu).filter(|_| vcpu < self.vcpus)?;
        let offset = offset % STRIDE;
        if offset < SGI_BASE {
            if offset == 0x0014 {
                cpu.asleep.store(value & 2 != 0, SeqCst);
            }
            return Some(Concerned::default());
        }
        let offset = offset - SGI_BASE;
        let register = Bits::at(offset);
        let bits = match (register, offset) {
            (Some((register, 0)), _) => {
                cpu.bank.write(register, value as u32);
                value as u32
            }
            (_, 0x400..0x420) => cpu.bank.write_priorities((offset - 0x400) as usize, width, value),
            (_, 0xC04) => {
                cpu.bank.write_config(1, value as u32 & !TIMERS_EDGE);
                0xFFFF_0000
            }
            _ => return Some(Concerned::default()),
        };
        // What is wished its vCPU alone fulfils, so that it need not ask whether anybody is about to. The timers' lines
        // are known to it alone, too.
        if cpu.bank.busy(bits) | cpu.bank.wishes() & bits | bits & TIMERS == 0 {
            return Some(Concerned::default());
        }
        cpu.tell(News::PRIVATE | News::WISHES);
        // What is added shows in any case. Of the rest it may be about to take up what it does not hold yet.
        let adds = matches!(register, Some((Bits::SetEnable | Bits::SetPending, _)));
        Some(Concerned { look: 1 << vcpu, hold: if adds { 0 } else { 1 << vcpu } })
    }
}
