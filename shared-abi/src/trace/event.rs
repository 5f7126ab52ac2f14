// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can happen, as a type.

pub use super::encoding::Encoded;
pub use super::terms::{Conduit, ERRANDS, Owner, VmState, World};

use super::encoding::four;
use super::refusal::Refusal;
use core::fmt;

/// Something that happened in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Written several times in a row with nothing in between: the time from one to the next is what a record costs.
    Calibration {
        /// Counts them.
        round: u64,
    },
    /// The layer begins on this CPU.
    Start {
        /// Physical address of its image.
        base: u64,
        /// Bytes that it takes, data included.
        size: u64,
    },
    /// A call has arrived: at EL3 from either world, at EL2 from a VM, at S-EL1 from the monitor.
    Call {
        /// By which instruction.
        conduit: Conduit,
        /// From which world.
        from: World,
        /// From which vCPU, at EL2.
        vcpu: u8,
        /// The caller's x0 to x7.
        x: [u64; 8],
    },
    /// A call's answer goes back to where it came from.
    Answer {
        /// To which world.
        to: World,
        /// To which vCPU, at EL2.
        vcpu: u8,
        /// The results, x0 to x3.
        x: [u64; 4],
        /// Where the caller goes on; 0 where the layer cannot know.
        pc: u64,
    },
    /// The layer calls the layer below by SMC.
    Send {
        /// Its x0 to x7.
        x: [u64; 8],
    },
    /// The layer below has answered.
    Receive {
        /// The results, x0 to x3.
        x: [u64; 4],
    },
    /// EL3 leaves for the other world.
    WorldSwitch {
        /// Which one is entered.
        to: World,
        /// Why the TEE is entered, or was: an index of [`ERRANDS`].
        errand: u8,
        /// Where it is entered.
        pc: u64,
    },
    /// EL3 goes back to the world it came from, without a switch and without an answer.
    Resume {
        /// Which one.
        to: World,
        /// Where it goes on.
        pc: u64,
    },
    /// An exception other than a call has come: at EL3 from either world, at EL2 from a VM.
    Exit {
        /// Which vCPU, at EL2.
        vcpu: u8,
        /// ESR_ELx.
        esr: u64,
        /// ELR_ELx: where it happened.
        pc: u64,
        /// FAR_ELx.
        far: u64,
        /// The faulting IPA, at EL2, as HPFAR_EL2 has it.
        ipa: u64,
    },
    /// A physical interrupt has come to this layer.
    Interrupt {
        /// Which vCPU it interrupted, at EL2.
        vcpu: u8,
        /// Its INTID; 1023 if it was none of this layer's.
        intid: u32,
        /// Where it happened.
        pc: u64,
    },
    /// EL2 enters a VM.
    Enter {
        /// Which vCPU.
        vcpu: u8,
        /// Where.
        pc: u64,
        /// SPSR_EL2.
        pstate: u64,
    },
    /// A VM is given an interrupt.
    VirtualInterrupt {
        /// Which vCPU.
        vcpu: u8,
        /// Which interrupt.
        intid: u32,
    },
    /// EL2 puts another vCPU on this CPU: the record's VM.
    VcpuSwitch {
        /// Which vCPU of it.
        vcpu: u8,
        /// Whose vCPU was there; 0 for none.
        from: u16,
        /// Which of its.
        from_vcpu: u8,
    },
    /// What became of the record's VM.
    VmState {
        /// What.
        state: VmState,
    },
    /// The TEE maps the partition of the record's VM on this CPU.
    PartitionSelect {
        /// Its place in the TEE's table.
        slot: u8,
    },
    /// The TEE unmaps it.
    PartitionLeave {
        /// Its place in the TEE's table.
        slot: u8,
    },
    /// The record's VM exists for the TEE from now on.
    VmCreated {
        /// Pages that its partition has.
        pages: u64,
        /// Pages that are free after it.
        free: u64,
        /// How many VMs there are with it.
        vms: u64,
    },
    /// The TEE has been told that the record's VM is no more.
    VmDestroyed {
        /// Whether another CPU is still inside a call of it, so that it goes later.
        draining: bool,
    },
    /// The TEE has taken back all that the record's VM had.
    VmReclaimed {
        /// Pages that it had.
        pages: u64,
        /// Pages that are free after it.
        free: u64,
        /// How many VMs are left.
        vms: u64,
    },
    /// A thread of the partition begins a yielding call.
    ThreadStart {
        /// Which.
        thread: u8,
        /// What is called.
        function: u32,
    },
    /// It goes on after an RPC.
    ThreadResume {
        /// Which.
        thread: u8,
    },
    /// It waits for the normal world.
    ThreadSuspend {
        /// Which.
        thread: u8,
        /// x0 to x2 of the RPC.
        rpc: [u64; 3],
    },
    /// Its call is done.
    ThreadFinish {
        /// Which.
        thread: u8,
        /// The call's return code.
        code: u64,
    },
    /// The TEE works on a message.
    Message {
        /// `OPTEE_MSG_CMD_*`.
        command: u32,
        /// The trusted application's function.
        function: u32,
        /// The session.
        session: u32,
        /// Parameters.
        params: u32,
    },
    /// The message is answered.
    Reply {
        /// TEEC result.
        result: u32,
        /// Its origin.
        origin: u32,
        /// The session.
        session: u32,
    },
    /// The TEE asks the normal world for something by a message.
    Rpc {
        /// `OPTEE_RPC_CMD_*`.
        command: u32,
    },
    /// Shared memory is registered: at EL2 by the VM, at S-EL1 for it.
    ShmRegister {
        /// Its cookie.
        cookie: u64,
        /// Pages.
        pages: u64,
        /// Physical address of the first page.
        first: u64,
    },
    /// It is no more.
    ShmUnregister {
        /// Its cookie.
        cookie: u64,
    },
    /// A VM touched what its stage 2 does not map.
    Stage2Fault {
        /// Which vCPU.
        vcpu: u8,
        /// The IPA.
        ipa: u64,
        /// Where it happened.
        pc: u64,
        /// ESR_EL2.
        esr: u64,
    },
    /// The heap of a partition, when a call ends.
    Heap {
        /// Bytes in use.
        used: u64,
        /// The most that ever were.
        peak: u64,
        /// Bytes that it has.
        size: u64,
    },
    /// The layer refuses something.
    Refused {
        /// Why.
        reason: Refusal,
        /// What it refuses: the address, id or number it is about, as far as it has one.
        value: u64,
    },
    /// The layer panics.
    Panic {
        /// The first words of its last ones.
        text: [u8; 64],
    },
    /// Memory changes hands.
    Memory {
        /// Whose it is now; the record says which VM.
        owner: Owner,
        /// Physical address.
        base: u64,
        /// Bytes.
        size: u64,
        /// Where the VM sees it: its IPA.
        ipa: u64,
    },
    /// An element of a pool's free list, when the pool is about to be used: the as-reported TEE's.
    FreeBlock {
        /// 0 for the list's head, then in the list's order.
        index: u8,
        /// Where it is: a virtual address of the TEE.
        address: u64,
        /// Bytes that are free there.
        size: u64,
        /// Forward link.
        next: u64,
        /// Backward link.
        previous: u64,
    },
    /// EL2 has no vCPU to run on this CPU, and waits. What passes until the next record is not work.
    Idle,
    /// A physical interrupt has come while the layer itself had the CPU: it waited, or this is the second one of an
    /// exit.
    Wake {
        /// Its INTID.
        intid: u32,
    },
}

impl Event {
    /// Makes an event of last words, cut to what a record holds.
    pub fn panic(words: &str) -> Self {
        Self::last_words(format_args!("{words}"))
    }

    /// Makes an event of last words, which are still to be put together.
    pub fn last_words(words: fmt::Arguments<'_>) -> Self {
        let mut text = Text { bytes: [0; 64], len: 0 };
        // What does not fit is left out.
        let _ = fmt::write(&mut text, words);
        Self::Panic { text: text.bytes }
    }

    /// Returns one of each kind, for tests of those who write and read them.
    pub fn examples() -> impl Iterator<Item = Self> {
        let x: [u64; 8] = core::array::from_fn(|i| 0x1111_1111_1111_1111 * i as u64);
        let r = four(x);
        [
            Self::Calibration { round: 3 },
            Self::Start { base: 0x0E10_0000, size: 0x5_4000 },
            Self::Call { conduit: Conduit::Hvc, from: World::Normal, vcpu: 5, x },
            Self::Call { conduit: Conduit::Smc, from: World::Secure, vcpu: 0, x },
            Self::Answer { to: World::Normal, vcpu: 63, x: r, pc: 0xFFFF_8000_0000_0000 },
            Self::Send { x },
            Self::Receive { x: r },
            Self::WorldSwitch { to: World::Secure, errand: 2, pc: 0x0E10_0040 },
            Self::Resume { to: World::Normal, pc: 0x6000_0000 },
            Self::Exit { vcpu: 1, esr: 0x9300_0046, pc: 1, far: 2, ipa: 3 },
            Self::Interrupt { vcpu: 1, intid: 27, pc: 0x4020_0000 },
            Self::Enter { vcpu: 1, pc: 0x4020_0000, pstate: 0x3C5 },
            Self::VirtualInterrupt { vcpu: 1, intid: 27 },
            Self::VcpuSwitch { vcpu: 1, from: 0xFFFF, from_vcpu: 7 },
            Self::VmState { state: VmState::Crashed },
            Self::PartitionSelect { slot: 127 },
            Self::PartitionLeave { slot: 127 },
            Self::VmCreated { pages: 29, free: 3000, vms: 1 },
            Self::VmDestroyed { draining: true },
            Self::VmReclaimed { pages: 29, free: 3029, vms: 0 },
            Self::ThreadStart { thread: 3, function: 0x3200_0004 },
            Self::ThreadResume { thread: 3 },
            Self::ThreadSuspend { thread: 3, rpc: [0xFFFF_0004, 1, 2] },
            Self::ThreadFinish { thread: 3, code: 0 },
            Self::Message { command: 1, function: 2, session: 3, params: 4 },
            Self::Reply { result: 0xFFFF_0006, origin: 4, session: 3 },
            Self::Rpc { command: 6 },
            Self::ShmRegister { cookie: u64::MAX, pages: 1, first: 0x4800_0000 },
            Self::ShmUnregister { cookie: u64::MAX },
            Self::Stage2Fault { vcpu: 2, ipa: 0x0E00_0000, pc: 0x4020_0000, esr: 0x9200_0006 },
            Self::Heap { used: 1, peak: 2, size: 3 },
            Self::Refused { reason: Refusal::NotAVm, value: 0x1_0000 },
            Self::panic("Assertion failed at bget.c"),
            Self::Memory { owner: Owner::Vm, base: 0x5000_0000, size: 0x100_0000, ipa: 0x4000_0000 },
            Self::FreeBlock { index: 1, address: 1, size: 2, next: 3, previous: 4 },
            Self::Idle,
            Self::Wake { intid: 33 },
        ]
        .into_iter()
    }
}

struct Text {
    bytes: [u8; 64],
    len: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(text.bytes()) {
            *place = byte;
            self.len += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::encoding::{encoded, words};
    use super::*;

    #[test]
    fn every_kind_has_an_example_and_comes_back() {
        let mut kinds: Vec<_> = Event::examples().map(|event| event.encode().kind).collect();
        for event in Event::examples() {
            assert_eq!(Event::decode(&event.encode()), Some(event));
        }
        kinds.dedup();
        assert_eq!(kinds, (1..=36).collect::<Vec<_>>());
        for kind in [0, 37, 255] {
            assert_eq!(Event::decode(&encoded(kind, 0, words([]))), None);
        }
    }

    #[test]
    fn last_words_are_cut_to_what_a_record_holds() {
        let Event::Panic { text } = Event::last_words(format_args!("{}{}", "ab", "c".repeat(99))) else { panic!() };
        assert_eq!((&text[..3], text[63]), (&b"abc"[..], b'c'));
        assert_eq!(Event::last_words(format_args!("a{}", 1)), Event::panic("a1"));
    }

    #[test]
    fn what_no_layer_writes_is_refused() {
        let too_large = words([u64::MAX, u64::MAX]);
        for kind in [7, 10, 12, 13, 20, 24, 25, 26, 31, 33, 36] {
            assert_eq!(Event::decode(&encoded(kind, 0xFF, too_large)), None, "{kind}");
        }
    }
}
