// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records in words.

use super::Request;
use super::esr::{self, Esr};
use lab_trace::Entry;
use shared_abi::optee_msg::{Cmd, RpcCmd};
use shared_abi::optee_smc::{self, ReturnCode, Rpc};
use shared_abi::smccc::{self, FunctionId, OwningEntity};
use shared_abi::tee::TeeResult;
use shared_abi::trace::event::{Conduit, VmState};
use shared_abi::trace::{self, Event, World};

/// Names the kind of an event, as records are counted.
pub const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Calibration { .. } => "calibration",
        Event::Start { .. } => "start of a layer",
        Event::Call { .. } => "call",
        Event::Answer { .. } => "answer",
        Event::Send { .. } => "call to the layer below",
        Event::Receive { .. } => "answer of the layer below",
        Event::WorldSwitch { .. } => "world switch",
        Event::Resume { .. } => "return without a switch",
        Event::Exit { .. } => "exception",
        Event::Interrupt { .. } => "interrupt",
        Event::Enter { .. } => "entry of a VM",
        Event::VirtualInterrupt { .. } => "virtual interrupt",
        Event::VcpuSwitch { .. } => "vCPU switch",
        Event::VmState { .. } => "state of a VM",
        Event::PartitionSelect { .. } => "partition mapped",
        Event::PartitionLeave { .. } => "partition unmapped",
        Event::VmCreated { .. } => "VM created in the TEE",
        Event::VmDestroyed { .. } => "VM destroyed in the TEE",
        Event::VmReclaimed { .. } => "VM reclaimed in the TEE",
        Event::ThreadStart { .. } => "thread started",
        Event::ThreadResume { .. } => "thread resumed",
        Event::ThreadSuspend { .. } => "thread suspended",
        Event::ThreadFinish { .. } => "thread finished",
        Event::Message { .. } => "message",
        Event::Reply { .. } => "reply",
        Event::Rpc { .. } => "RPC message",
        Event::ShmRegister { .. } => "shared memory registered",
        Event::ShmUnregister { .. } => "shared memory unregistered",
        Event::Stage2Fault { .. } => "stage 2 fault",
        Event::Heap { .. } => "heap of a partition",
        Event::Refused { .. } => "refusal",
        Event::Panic { .. } => "panic",
        Event::Memory { .. } => "memory changes hands",
        Event::FreeBlock { .. } => "element of a free list",
        Event::Idle => "EL2 idle",
        Event::Wake { .. } => "interrupt of EL2",
    }
}

/// Names an instruction.
pub const fn conduit(conduit: Conduit) -> &'static str {
    match conduit {
        Conduit::Smc => "SMC",
        Conduit::Hvc => "HVC",
    }
}

/// Names a world.
pub const fn world(world: World) -> &'static str {
    match world {
        World::Normal => "normal world",
        World::Secure => "secure world",
    }
}

/// Names an owner of memory.
pub const fn owner(owner: trace::Owner) -> &'static str {
    match owner {
        trace::Owner::Free => "free",
        trace::Owner::Monitor => "monitor",
        trace::Owner::Tee => "TEE nexus",
        trace::Owner::Partition => "TEE partition",
        trace::Owner::Hypervisor => "hypervisor",
        trace::Owner::Vm => "VM",
        trace::Owner::Shared => "shared with the TEE",
        trace::Owner::Shadow => "shadow messages",
        trace::Owner::Dirty => "to be scrubbed",
    }
}

/// Names a client id.
pub fn client(id: u16) -> String {
    if id == 0 { "hypervisor (0)".into() } else { format!("vm{id}") }
}

/// Says in a line what happened. `asked` is what the call around it asks for.
pub fn title(entry: &Entry, asked: Option<Request>) -> String {
    let answered = |x0| asked.map_or_else(|| format!("{x0:#x}"), |asked| answer(asked, x0));
    let result = |code: u64| answer(Request::Function(optee_smc::OPTEE_SMC_CALL_WITH_ARG), code);
    match entry.record.event {
        Event::Calibration { round } => format!("calibration {round}"),
        Event::Start { .. } => format!("{} begins", entry.layer.name()),
        Event::Call { conduit: by, x, .. } => format!("{} {}", conduit(by), FunctionId(x[0] as u32)),
        Event::Answer { x, .. } => format!("answer: {}", answered(x[0])),
        Event::Send { x } => format!("SMC {}", FunctionId(x[0] as u32)),
        Event::Receive { x } => format!("answered: {}", answered(x[0])),
        Event::WorldSwitch { to, .. } => format!("world switch to the {}", world(to)),
        Event::Resume { to, .. } => format!("back to the {}", world(to)),
        Event::Exit { esr, .. } => esr::exit(Esr(esr)),
        Event::Interrupt { intid, .. } => format!("interrupt {intid} ({})", interrupt(intid)),
        Event::Enter { vcpu, .. } => format!("enters {} vCPU {vcpu}", client(entry.record.client)),
        Event::VirtualInterrupt { intid, .. } => format!("virtual interrupt {intid} ({})", interrupt(intid)),
        Event::VcpuSwitch { vcpu, .. } => format!("switches to {} vCPU {vcpu}", client(entry.record.client)),
        Event::VmState { state } => format!("{}: {}", client(entry.record.client), state_words(state)),
        Event::PartitionSelect { slot } => format!("maps the partition of {} (slot {slot})", vm(entry)),
        Event::PartitionLeave { .. } => format!("unmaps the partition of {}", vm(entry)),
        Event::VmCreated { pages, .. } => format!("{} exists, {pages} pages", vm(entry)),
        Event::VmDestroyed { draining: true } => format!("{} is to go when its last call has left", vm(entry)),
        Event::VmDestroyed { draining: false } => format!("{} is to go", vm(entry)),
        Event::VmReclaimed { pages, .. } => format!("{} is gone, {pages} pages free again", vm(entry)),
        Event::ThreadStart { thread, function } => format!("thread {thread} starts {}", FunctionId(function)),
        Event::ThreadResume { thread } => format!("thread {thread} resumes"),
        Event::ThreadSuspend { thread, rpc } => format!("thread {thread} waits: {}", result(rpc[0])),
        Event::ThreadFinish { thread, code } => format!("thread {thread} is done: {}", result(code)),
        Event::Message { command, .. } => format!("message {}", Cmd(command)),
        Event::Reply { result, .. } => format!("reply {}", TeeResult(result)),
        Event::Rpc { command } => format!("RPC {}", RpcCmd(command)),
        Event::ShmRegister { pages, .. } => format!("shared memory of {pages} pages registered"),
        Event::ShmUnregister { .. } => "shared memory unregistered".into(),
        Event::Stage2Fault { ipa, .. } => format!("stage 2 fault at {ipa:#x}"),
        Event::Heap { used, .. } => format!("heap of {}: {used} bytes in use", vm(entry)),
        Event::Refused { reason, value } => format!("refused: {reason} ({value:#x})"),
        Event::Panic { text } => format!("PANIC {}", printable(&text)),
        Event::Memory { owner: of, size, .. } => format!("{} becomes: {}", bytes(size), owner(of)),
        Event::Idle => "waits for an interrupt".into(),
        Event::Wake { intid } => format!("interrupt {intid} ({})", interrupt(intid)),
        Event::FreeBlock { index: 0, .. } => "free list: its head".into(),
        Event::FreeBlock { index, .. } => format!("free list: element {index}"),
    }
}

fn vm(entry: &Entry) -> String {
    format!("VM {}", entry.record.client)
}

/// Says in words what became of a VM.
pub fn state_words(state: VmState) -> String {
    super::vm::VmChange::State(state).words()
}

/// Reads the words of a panic.
pub fn printable(text: &[u8; 64]) -> String {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end]).into_owned()
}

/// Writes a size as it is best read.
pub fn bytes(size: u64) -> String {
    match size {
        0 => "0 bytes".into(),
        _ if size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} bytes"),
    }
}

/// Says what is known by an INTID (GICv3 architecture §2.2).
pub const fn interrupt(intid: u32) -> &'static str {
    match intid {
        0..16 => "SGI",
        25 => "GIC maintenance",
        26 => "EL2 timer",
        27 => "virtual timer",
        28 => "EL2 virtual timer",
        29 => "secure timer",
        30 => "physical timer",
        16..32 => "PPI",
        33 => "PL011",
        34 => "PL031",
        32..1020 => "SPI",
        _ => "special",
    }
}

/// Says whether a function of the trusted OS answers with words of its own where others have a return code.
pub const fn answers_with_words(id: FunctionId) -> bool {
    use optee_smc as o;
    matches!(
        id,
        o::OPTEE_SMC_CALLS_COUNT
            | o::OPTEE_SMC_CALLS_UID
            | o::OPTEE_SMC_CALLS_REVISION
            | o::OPTEE_SMC_CALL_GET_OS_UUID
            | o::OPTEE_SMC_CALL_GET_OS_REVISION
    )
}

/// Says in words what x0 of an answer means.
pub fn answer(asked: Request, x0: u64) -> String {
    match asked {
        Request::Function(id) if answers_with_words(id) => format!("{x0:#x}"),
        Request::Function(id) if id.owner() == OwningEntity::TrustedOs => ReturnCode::from_x0(x0)
            .map(|code| code.name())
            .or_else(|| Rpc::from_x0(x0).map(Rpc::name))
            .map_or_else(|| format!("{x0:#x}"), |name| name.trim_start_matches("OPTEE_SMC_RETURN_").to_owned()),
        Request::Function(id) if id.owner() == OwningEntity::Standard && x0 as i32 == -1 => "NOT_SUPPORTED (-1)".into(),
        Request::Function(id) if id.owner() == OwningEntity::Standard => match x0 as i32 {
            0 => "SUCCESS (0)".into(),
            -2 => "INVALID_PARAMETERS (-2)".into(),
            -3 => "DENIED (-3)".into(),
            -4 => "ALREADY_ON (-4)".into(),
            -5 => "ON_PENDING (-5)".into(),
            -6 => "INTERNAL_FAILURE (-6)".into(),
            -7 => "NOT_PRESENT (-7)".into(),
            -8 => "DISABLED (-8)".into(),
            -9 => "INVALID_ADDRESS (-9)".into(),
            other => format!("{other:#x}"),
        },
        _ => match x0 as i32 {
            smccc::NOT_SUPPORTED => "NOT_SUPPORTED (-1)".into(),
            smccc::NOT_REQUIRED => "NOT_REQUIRED (-2)".into(),
            smccc::INVALID_PARAMETER => "INVALID_PARAMETER (-3)".into(),
            _ => format!("{x0:#x}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::psci;
    use shared_abi::trace::{Layer, Record};

    fn entry(event: Event) -> Entry {
        Entry { layer: Layer::Hypervisor, cpu: 0, record: Record { time: 0, sequence: 0, client: 1, event } }
    }

    #[test]
    fn every_event_has_a_title_and_a_kind() {
        for event in Event::examples() {
            let entry = entry(event);
            assert!(!title(&entry, None).is_empty() && !kind(&event).is_empty());
        }
    }

    #[test]
    fn answers_are_told_in_the_words_of_their_interface() {
        let of = |id, x0| answer(Request::Function(id), x0);
        assert_eq!(of(optee_smc::OPTEE_SMC_VM_CREATED, 7), "ENOTAVAIL");
        assert_eq!(of(optee_smc::OPTEE_SMC_CALL_WITH_ARG, 0xFFFF_0004), "RPC_FOREIGN_INTR");
        assert_eq!(of(psci::PSCI_CPU_ON_64, smccc::in_x0(-4)), "ALREADY_ON (-4)");
        assert_eq!(of(smccc::SMCCC_ARCH_FEATURES, smccc::in_x0(-1)), "NOT_SUPPORTED (-1)");
        assert_eq!(of(smccc::SMCCC_VERSION, 0x1_0004), "0x10004");
        // Revision 2.0 is not EBUSY.
        assert_eq!(of(optee_smc::OPTEE_SMC_CALLS_REVISION, 2), "0x2");
    }
}
