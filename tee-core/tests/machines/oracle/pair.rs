// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TEE and the model side by side: both are told the same, and must answer the same.

use super::nexus::{Meddling, NS_RAM, RAM, RAM_PAGES, World};
use super::record::Event;
use super::services::Service;
use super::vm::Suspension;
use shared_abi::client::VmId;
use shared_abi::layout::{Range, TEE};
use shared_abi::optee_msg::{Direction, MsgHeader, MsgParam, Param, uuid_to_value};
use shared_abi::pta::vault;
use std::cell::RefCell;
use std::mem::replace;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use tee_core::arch::host::cpu;
use tee_core::arch::host::ram::Ram;
use tee_core::host::monitor;
use tee_core::memory::pages::PAGE_SIZE;
use tee_core::nexus::tee::Tee;
use tee_core::nexus::vms::{Life, MAX_VMS};
use tee_core::partition::layout::GUARANTEED;
use zerocopy::IntoBytes;

/// The name of every VM's planted secret. No step ever says it.
const PLANTED: &[u8] = b"planted by the test; never asked";

/// The TEE and the model.
pub struct Pair {
    tee: Arc<Tee>,
    world: Rc<World>,
    pages: usize,
    calls: u64,
    aside: Arc<Mutex<Option<[u64; 4]>>>,
    secrets: Vec<(u16, [u8; 32])>,
    /// The pages of memory that were ever written to during a call.
    written: [bool; RAM_PAGES as usize],
    /// Free pages and VMs after the last call.
    figures: (usize, usize),
    /// What was done so far, if somebody wants to know.
    record: Option<Rc<RefCell<Vec<Event>>>>,
}

/// A number that looks random (SplitMix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    n ^ (n >> 27)
}

impl Pair {
    /// A TEE with so many pages for VMs.
    pub fn new(pages: usize) -> Self {
        let size = (pages * PAGE_SIZE) as u64;
        let tee = monitor::boot(RAM, &NS_RAM, Range::new(TEE.end() - size, size));
        Self {
            tee,
            world: Rc::new(World::new(pages)),
            pages,
            calls: 0,
            aside: Arc::default(),
            secrets: Vec::new(),
            written: [false; RAM_PAGES as usize],
            figures: (pages, 0),
            record: None,
        }
    }

    /// The same, and what is done to it is written down.
    pub fn recorded(pages: usize, record: Rc<RefCell<Vec<Event>>>) -> Self {
        Self { record: Some(record), ..Self::new(pages) }
    }

    fn note(&self, event: impl FnOnce() -> Event) {
        if let Some(record) = &self.record {
            record.borrow_mut().push(event());
        }
    }

    /// All of memory, if somebody wants to know what changes in it.
    fn before(&self) -> Option<Vec<u8>> {
        self.record.as_ref().map(|_| self.peek(RAM.base, RAM.size as usize))
    }

    /// Where memory differs from what it was, in pieces of eight bytes.
    fn changes(&self, before: &[u8]) -> Vec<(u64, u64)> {
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let now = self.peek(RAM.base, RAM.size as usize);
        let both = before.chunks(8).zip(now.chunks(8)).enumerate();
        both.filter(|(_, (a, b))| a != b).map(|(n, (_, b))| (RAM.base + 8 * n as u64, number(b))).collect()
    }

    /// The normal world writes.
    pub fn poke(&mut self, pa: u64, bytes: &[u8]) {
        if let Some(before) = self.before() {
            self.world.poke(pa, bytes);
            let mut writes: Vec<(u64, Vec<u64>)> = Vec::new();
            for (at, value) in self.changes(&before) {
                match writes.last_mut() {
                    Some((first, values)) if *first + 8 * values.len() as u64 == at => values.push(value),
                    _ => writes.push((at, vec![value])),
                }
            }
            writes.into_iter().for_each(|(at, values)| self.note(|| Event::Write(at, values)));
        }
        self.tee.machine().poke(pa, bytes);
        self.world.poke(pa, bytes);
    }

    /// The normal world reads.
    pub fn peek(&self, pa: u64, len: usize) -> Vec<u8> {
        self.world.peek(pa, len)
    }

    /// Gives the CPU random numbers, or takes them away.
    pub fn set_random(&mut self, there: bool) {
        self.note(|| Event::Else(format!("random numbers: {there}")));
        self.tee.machine().set_random(there);
        self.world.has_random.set(there);
    }

    /// A foreign interrupt comes at the `n`th access from now.
    pub fn interrupt_after(&mut self, n: usize) {
        self.note(|| Event::Else(format!("an interrupt at access {n} from here")));
        self.tee.machine().interrupt_after(n);
        self.world.interrupt_after(n);
    }

    /// Before the `n`th access from now, another CPU writes to memory.
    pub fn write_after(&mut self, n: usize, pa: u64, bytes: &[u8]) {
        self.meddle_after(n, Meddling::Write { pa, bytes: bytes.to_vec() });
    }

    /// Before the `n`th access from now, another CPU makes a fast call.
    pub fn call_after(&mut self, n: usize, x: [u32; 8]) {
        let mut x = x.map(u64::from);
        x[0] |= 1 << 31;
        self.meddle_after(n, Meddling::Smc(x));
    }

    fn meddle_after(&mut self, n: usize, what: Meddling) {
        self.note(|| Event::Else(format!("before access {n} from here, another CPU: {what:x?}")));
        self.world.meddle_after(n, what.clone());
        let (tee, aside) = (Arc::downgrade(&self.tee), self.aside.clone());
        let (first, mut what) = (self.world.accesses() + n, Some(what));
        self.tee.machine().watch(Some(Box::new(move |access, _, ram| {
            if access < first {
                return;
            }
            match what.take() {
                Some(Meddling::Write { pa, bytes }) => ram.write(pa, &bytes),
                Some(Meddling::Smc(x)) => *aside.lock().unwrap() = tee.upgrade().map(|tee| tee.smc(&x)),
                None => {}
            }
        })));
    }

    /// The calls that are suspended.
    pub fn suspensions(&self) -> Vec<Suspension> {
        self.world.suspensions()
    }

    /// The sessions a VM has open: id and service.
    pub fn sessions(&self, vm: u16) -> Vec<(u32, Service)> {
        self.world.vms.borrow().get(&vm).map_or(Vec::new(), |vm| vm.open_sessions())
    }

    /// The normal world writes to a buffer that is registered, as far as it reaches.
    pub fn poke_registered(&mut self, vm: u16, cookie: u64, at: usize, bytes: &[u8]) {
        let Some(vm) = self.world.vms.borrow().get(&vm).cloned() else { return };
        let Some((frames, offset)) = vm.shm.borrow().get(&cookie).map(|record| (record.frames.clone(), record.offset))
        else {
            return;
        };
        let mut done = 0;
        while done < bytes.len() {
            let place = offset + at + done;
            let Some(frame) = frames.get(place / PAGE_SIZE) else { return };
            let in_page = place % PAGE_SIZE;
            let len = (bytes.len() - done).min(PAGE_SIZE - in_page);
            self.poke(u64::from(*frame) * PAGE_SIZE as u64 + in_page as u64, &bytes[done..done + len]);
            done += len;
        }
    }

    /// A call. Both must answer the same, and leave the same in memory.
    pub fn smc(&mut self, x: [u32; 8]) -> [u64; 4] {
        self.calls += 1;
        let before = self.before();
        let registers = x;
        let x = x.map(u64::from);
        // What stands in the upper halves is no argument of an SMC32.
        let is_32 = x[0] & (1 << 30) == 0;
        let noise = if is_32 && self.calls.is_multiple_of(2) { mix(self.calls) & !0xFFFF_FFFF } else { 0 };
        self.tee.machine().with_ram(Ram::forget_written);
        self.world.ram.borrow_mut().forget_written();
        // A suspended call goes on on whatever CPU.
        let cpu = mix(self.calls) as usize % (cpu::EACH - 1);
        // A call that the TEE dies of must be in the record.
        let is = catch_unwind(AssertUnwindSafe(|| cpu::on(cpu, || self.tee.smc(&x.map(|x| x | noise)))));
        let ought = self.world.smc(&x);
        if let Some(before) = before {
            self.note(|| Event::Smc(registers, ought, self.changes(&before)));
        }
        let is = is.unwrap_or_else(|why| resume_unwind(why));
        assert!(is == ought, "the TEE answers {is:x?}, the model {ought:x?}, to {x:x?}");
        let (is_aside, ought_aside) = (self.aside.lock().unwrap().take(), self.world.aside.take());
        assert!(is_aside == ought_aside, "to the other CPU the TEE answers {is_aside:x?}, the model {ought_aside:x?}");
        self.compare();
        is
    }

    /// Memory as the TEE left it and as the model did, wherever either wrote; and who owns which page, if that changed.
    fn compare(&mut self) {
        let ought = self.world.ram.borrow();
        self.tee.machine().with_ram(|is| {
            for page in is.written().chain(ought.written()) {
                let (is, ought) = (is.bytes(page, PAGE_SIZE), ought.bytes(page, PAGE_SIZE));
                if is != ought {
                    let at = is.iter().zip(ought).position(|(is, ought)| is != ought).unwrap() & !7;
                    let (is, ought) = (&is[at..at + 8], &ought[at..at + 8]);
                    panic!("at {:#x} the TEE leaves {is:x?}, the model {ought:x?}", page + at as u64);
                }
                self.written[(page - RAM.base) as usize / PAGE_SIZE] = true;
            }
        });
        drop(ought);
        let figures = (self.world.free.get(), self.world.vms.borrow().len());
        assert_eq!(self.tee.figures(), figures, "free pages and VMs of the TEE and of the model");
        if self.figures != figures {
            self.figures = figures;
            self.check_pages();
        }
    }

    /// Every page is free or has one owner.
    fn check_pages(&self) {
        let (mut owned, mut count) = ([false; TEE.size as usize / PAGE_SIZE], 0);
        for id in self.world.vms.borrow().keys().filter_map(|id| VmId::new(*id)) {
            let known = self.tee.vms().look(id, |state| {
                count += state.pages().len();
                for page in state.pages() {
                    let twice = replace(&mut owned[(page.pa() - TEE.base) as usize / PAGE_SIZE], true);
                    assert!(!twice, "a page is owned twice");
                }
            });
            assert!(known.is_some(), "a VM is lost");
        }
        assert_eq!(count + self.tee.figures().0, self.pages, "a page is lost");
    }

    /// VM_CREATED. Every VM keeps a secret from the start, which nothing must ever show.
    pub fn create(&mut self, id: u32) -> [u64; 4] {
        let answer = self.smc([0xB200_000D, id, 0, 0, 0, 0, 0, 0]);
        if answer[0] == 0 {
            self.plant(id as u16);
        }
        answer
    }

    fn plant(&mut self, vm: u16) {
        let words: [u64; 4] =
            std::array::from_fn(|n| mix(0x5EC0_0000 + 64 * self.calls + 8 * u64::from(vm) + n as u64));
        let secret: [u8; 32] = words.as_bytes().try_into().unwrap();
        let page = RAM.base + 39 * PAGE_SIZE as u64;
        let before = self.peek(page, PAGE_SIZE);
        let (a, b) = uuid_to_value(&vault::UUID);
        let meta = |a, b| Param::Value { dir: Direction::In, value: [a, b, 0] }.to_msg().meta();
        let session = self.message(vm, page, MsgHeader::default(), &[meta(a, b), meta(0, 0)]).session;
        let memref = |at, len: usize| {
            let (buf_ptr, size) = (page + at, len as u64);
            Param::Tmem { dir: Direction::In, buf_ptr, size, shm_ref: 0, noncontig: false }.to_msg()
        };
        self.poke(page + 0x800, PLANTED);
        self.poke(page + 0x900, &secret);
        let put = MsgHeader { cmd: 1, func: vault::CMD_PUT, session, ..MsgHeader::default() };
        self.message(vm, page, put, &[memref(0x800, PLANTED.len()), memref(0x900, secret.len())]);
        self.message(vm, page, MsgHeader { cmd: 2, session, ..MsgHeader::default() }, &[]);
        self.poke(page, &before);
        self.secrets.push((vm, secret));
    }

    /// A message that is answered at once, with memory for RPCs behind it.
    fn message(&mut self, vm: u16, page: u64, header: MsgHeader, params: &[MsgParam]) -> MsgHeader {
        let header = MsgHeader { num_params: params.len() as u32, ..header };
        self.poke(page, header.as_bytes());
        self.poke(page + 32, params.as_bytes());
        let mut answer = self.smc([0x3200_0012, 0, page as u32, 0, 0, 0, 0, vm.into()]);
        while answer[0] == 0xFFFF_0004 {
            answer = self.smc([0x3200_0003, 0, 0, answer[3] as u32, 0, 0, 0, vm.into()]);
        }
        zerocopy::FromBytes::read_from_bytes(&self.peek(page, 32)[..]).unwrap()
    }

    /// The end: no secret got out, and when every VM is destroyed all is as at the start. Then a new VM still works,
    /// and there is room for as many as ever; that is tried on one machine in four, for it takes as long as the
    /// sequence. Returns how many calls there were.
    pub fn settle(mut self) -> u64 {
        self.look_for_secrets();
        self.tee.machine().watch(None);
        self.world.forget_meddling();
        self.destroy_all();
        self.create(0xFFFF);
        self.destroy_all();
        let room = if self.pages.is_multiple_of(4) { self.pages / GUARANTEED } else { 0 };
        let room = room.min(MAX_VMS) as u32;
        for id in 1..=room {
            assert_eq!(self.smc([0xB200_000D, id, 0, 0, 0, 0, 0, 0])[0], 0, "there is no room for VM {id} any more");
        }
        self.destroy_all();
        self.tee.vms().for_each(|state| {
            let nobodys = state.id().is_none() && state.pages().is_empty();
            assert!(nobodys && state.inside() == 0 && state.life() == Life::Building, "a slot is not empty");
        });
        self.calls
    }

    /// No secret is in memory. Fifteen bytes of one in a row are always found, for eight of them stand in a word.
    fn look_for_secrets(&self) {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let parts = self.secrets.iter().flat_map(|(vm, secret)| secret.windows(8).map(|part| (word(part), *vm)));
        let parts: Vec<(u64, u16)> = parts.collect();
        // Most words are told from a part by their lowest bits.
        let mut known = [0u64; 1 << 10];
        let place = |word: u64| ((word as usize >> 6) % (1 << 10), 1 << (word % 64));
        for (place, bit) in parts.iter().map(|(part, _)| place(*part)) {
            known[place] |= bit;
        }
        let ram = self.world.ram.borrow();
        for page in (0..RAM_PAGES).filter(|page| self.written[*page as usize]) {
            // Many words at a time, so that there is little to decide.
            for words in ram.bytes(RAM.base + page * PAGE_SIZE as u64, PAGE_SIZE).chunks_exact(128) {
                let words = words.chunks_exact(8).map(word);
                let maybe = words.clone().map(place).fold(0, |found, (place, bit)| found | known[place] & bit);
                let found = words.filter(|_| maybe != 0).find_map(|word| parts.iter().find(|(part, _)| *part == word));
                assert!(found.is_none(), "the secret of vm{} is in non-secure memory", found.unwrap().1);
            }
        }
    }

    fn destroy_all(&mut self) {
        let ids: Vec<u16> = self.world.vms.borrow().keys().copied().collect();
        for id in ids {
            assert_eq!(self.smc([0xB200_000E, id.into(), 0, 0, 0, 0, 0, 0]), [0; 4]);
        }
        assert_eq!(self.tee.figures(), (self.pages, 0), "something is lost");
    }
}
