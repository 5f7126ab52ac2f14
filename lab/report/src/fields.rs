// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every register of a record by the name of its field, as the function's ABI has it.

use super::story::Request;
use super::story::call::errand;
use super::story::esr::{Esr, Field};
use super::story::names::{answer, bytes, client, conduit, interrupt, owner, printable, state_words, world};
use lab_trace::Entry;
use shared_abi::optee_msg::{Cmd, RpcCmd};
use shared_abi::optee_smc::{self, Rpc, from_halves};
use shared_abi::opteed;
use shared_abi::psci;
use shared_abi::smccc::{self, FunctionId, OwningEntity};
use shared_abi::tee::TeeResult;
use shared_abi::trace::{Event, Layer};

/// Lists every field of a record.
pub(crate) fn fields(entry: &Entry, asked: Option<Request>) -> Vec<Field> {
    let mut out = Vec::new();
    let mut add = |name: &str, value: String, meaning: &str| out.push(Field::new(name, value, meaning));
    let hex = |value: u64| format!("{value:#x}");
    match entry.record.event {
        Event::Call { conduit: by, from, vcpu, x } => {
            add("instruction", conduit(by).into(), "");
            match entry.layer {
                Layer::Hypervisor => add("vCPU", vcpu.to_string(), ""),
                _ => add("from", world(from).into(), ""),
            }
            out.extend(registers(&x, entry.layer == Layer::Hypervisor));
        }
        Event::Send { x } => out.extend(registers(&x, false)),
        Event::Answer { to, vcpu, x, pc } => {
            match entry.layer {
                Layer::Hypervisor => add("vCPU", vcpu.to_string(), ""),
                _ => add("to", world(to).into(), ""),
            }
            if pc != 0 {
                add("PC", hex(pc), "where the caller goes on");
            }
            out.extend(results(&x, asked));
        }
        Event::Receive { x } => out.extend(results(&x, asked)),
        Event::WorldSwitch { to, errand: number, pc } => {
            add("to", world(to).into(), "");
            add("errand", number.to_string(), errand(number));
            add("ELR_EL3", hex(pc), "where it is entered");
        }
        Event::Resume { to, pc } => {
            add("to", world(to).into(), "");
            add("ELR_EL3", hex(pc), "where it goes on");
        }
        Event::Exit { vcpu, esr, pc, far, ipa } => {
            add("vCPU", vcpu.to_string(), "");
            add("ESR", hex(esr), "");
            out.extend(Esr(esr).fields());
            out.push(Field::new("ELR", hex(pc), "where it happened"));
            out.push(Field::new("FAR", hex(far), "faulting virtual address"));
            out.push(Field::new("HPFAR_EL2", hex(ipa), "faulting IPA"));
        }
        Event::Stage2Fault { vcpu, ipa, pc, esr } => {
            add("vCPU", vcpu.to_string(), "");
            add("IPA", hex(ipa), "what was touched");
            add("PC", hex(pc), "where it happened");
            add("ESR_EL2", hex(esr), "");
            out.extend(Esr(esr).fields());
        }
        Event::Interrupt { vcpu, intid, pc } => {
            add("vCPU", vcpu.to_string(), "");
            add("INTID", intid.to_string(), interrupt(intid));
            add("PC", hex(pc), "where it happened");
        }
        Event::Enter { vcpu, pc, pstate } => {
            add("vCPU", vcpu.to_string(), "");
            add("ELR_EL2", hex(pc), "where it goes on");
            add("SPSR_EL2", hex(pstate), "");
            out.extend(spsr(pstate));
        }
        Event::VirtualInterrupt { vcpu, intid } => {
            add("vCPU", vcpu.to_string(), "");
            add("INTID", intid.to_string(), interrupt(intid));
        }
        Event::VcpuSwitch { vcpu, from, from_vcpu } => {
            add("to", format!("{} vCPU {vcpu}", client(entry.record.client)), "");
            let before = if from == 0 { "nobody".into() } else { format!("{} vCPU {from_vcpu}", client(from)) };
            add("from", before, "");
        }
        Event::VmState { state } => add("state", state_words(state), ""),
        Event::PartitionSelect { slot } | Event::PartitionLeave { slot } => {
            add("slot", slot.to_string(), "its place in the TEE's table of VMs");
        }
        Event::VmCreated { pages, free, vms } | Event::VmReclaimed { pages, free, vms } => {
            add("pages", pages.to_string(), "of the partition, 4 KiB each");
            add("free", free.to_string(), "pages that the TEE has left");
            add("VMs", vms.to_string(), "that the TEE has now");
        }
        Event::VmDestroyed { draining } => add("draining", draining.to_string(), "a call of it is still inside"),
        Event::ThreadStart { thread, function } => {
            add("thread", thread.to_string(), "");
            add("function", format!("{function:#010x}"), &FunctionId(function).to_string());
        }
        Event::ThreadResume { thread } => add("thread", thread.to_string(), ""),
        Event::ThreadSuspend { thread, rpc } => {
            add("thread", thread.to_string(), "");
            let code = answer(Request::Function(optee_smc::OPTEE_SMC_CALL_WITH_ARG), rpc[0]);
            add("x0", hex(rpc[0]), &code);
            add("x1, x2", hex(from_halves(rpc[1], rpc[2])), "what the RPC is about");
        }
        Event::ThreadFinish { thread, code } => {
            add("thread", thread.to_string(), "");
            add("code", hex(code), &answer(Request::Function(optee_smc::OPTEE_SMC_CALL_WITH_ARG), code));
        }
        Event::Message { command, function, session, params } => {
            add("cmd", command.to_string(), Cmd(command).name().unwrap_or("nobody defines it"));
            add("func", hex(function.into()), "of the trusted application");
            add("session", session.to_string(), "");
            add("num_params", params.to_string(), "");
        }
        Event::Reply { result, origin, session } => {
            add("ret", format!("{result:#010x}"), &TeeResult(result).to_string());
            add("ret_origin", origin.to_string(), origin_words(origin));
            add("session", session.to_string(), "");
        }
        Event::Rpc { command } => add("cmd", command.to_string(), RpcCmd(command).name().unwrap_or("")),
        Event::ShmRegister { cookie, pages, first } => {
            add("cookie", hex(cookie), "the caller's name for it");
            add("pages", pages.to_string(), &bytes(pages.saturating_mul(4096)));
            add("first page", hex(first), "physical address");
        }
        Event::ShmUnregister { cookie } => add("cookie", hex(cookie), "the caller's name for it"),
        Event::Heap { used, peak, size } => {
            add("used", used.to_string(), &bytes(used));
            add("peak", peak.to_string(), &bytes(peak));
            add("size", size.to_string(), &bytes(size));
        }
        Event::Refused { reason, value } => {
            add("reason", (reason as u8).to_string(), reason.text());
            add("about", hex(value), "");
        }
        Event::Panic { text } => add("words", printable(&text), "the first 64 of them"),
        Event::Memory { owner: of, base, size, ipa } => {
            add("owner", owner(of).into(), "");
            add("address", hex(base), "physical");
            add("size", hex(size), &bytes(size));
            add("IPA", hex(ipa), "where the VM sees it");
        }
        Event::FreeBlock { index, address, size, next, previous } => {
            add("index", index.to_string(), if index == 0 { "the list's head" } else { "" });
            add("address", hex(address), "");
            add("size", size.to_string(), &bytes(size));
            add("flink", hex(next), "forward link");
            add("blink", hex(previous), "backward link");
        }
        Event::Start { base, size } => {
            add("address", hex(base), "of its image");
            add("size", hex(size), &bytes(size));
        }
        Event::Calibration { round } => add("round", round.to_string(), ""),
        Event::Wake { intid } => add("INTID", intid.to_string(), interrupt(intid)),
        Event::Idle => add("idle", "yes".into(), "no vCPU is to run on this CPU"),
    }
    out
}

const fn origin_words(origin: u32) -> &'static str {
    match origin {
        1 => "client API",
        2 => "communication",
        3 => "the TEE",
        4 => "the trusted application",
        _ => "",
    }
}

/// Says what an argument register of a function means.
fn argument(id: FunctionId, register: usize) -> &'static str {
    use optee_smc as o;
    match (id, register) {
        (o::OPTEE_SMC_VM_CREATED | o::OPTEE_SMC_VM_DESTROYED, 1) => "id of the VM",
        (o::OPTEE_SMC_EXCHANGE_CAPABILITIES, 1) => "capabilities of the normal world",
        (o::OPTEE_SMC_CALL_WITH_REGD_ARG, 3) => "offset of the message",
        (o::OPTEE_SMC_CALL_RETURN_FROM_RPC, 3) => "thread that goes on",
        (psci::PSCI_CPU_ON_64 | psci::PSCI_CPU_ON_32, 1) => "MPIDR of the CPU",
        (psci::PSCI_CPU_ON_64 | psci::PSCI_CPU_ON_32, 2) => "where it starts",
        (psci::PSCI_CPU_ON_64 | psci::PSCI_CPU_ON_32, 3) => "its x0",
        (psci::PSCI_AFFINITY_INFO_64 | psci::PSCI_AFFINITY_INFO_32, 1) => "MPIDR of the CPU",
        (psci::PSCI_AFFINITY_INFO_64 | psci::PSCI_AFFINITY_INFO_32, 2) => "lowest affinity level",
        (psci::PSCI_FEATURES | smccc::SMCCC_ARCH_FEATURES | smccc::TRNG_FEATURES, 1) => "function",
        (opteed::TEESMC_OPTEED_RETURN_ENTRY_DONE, 1) => "vector table",
        (opteed::TEESMC_OPTEED_RETURN_CALL_DONE, 1) => "x0 of the answer",
        (opteed::TEESMC_OPTEED_RETURN_CALL_DONE, 2) => "x1 of the answer",
        (opteed::TEESMC_OPTEED_RETURN_CALL_DONE, 3) => "x2 of the answer",
        (opteed::TEESMC_OPTEED_RETURN_CALL_DONE, 4) => "x3 of the answer",
        (id, 7) if id.owner() == OwningEntity::TrustedOs && !is_from_tee(id) => "client id",
        _ => "",
    }
}

fn is_from_tee(id: FunctionId) -> bool {
    opteed::NAMES.iter().any(|(known, _)| *known == id)
}

/// Finds a 64-bit value that a function takes in two registers: which ones, and what it means.
fn pair(id: FunctionId) -> Option<(usize, &'static str)> {
    use optee_smc as o;
    match id {
        o::OPTEE_SMC_CALL_WITH_ARG | o::OPTEE_SMC_CALL_WITH_RPC_ARG => Some((1, "address of the message")),
        o::OPTEE_SMC_CALL_WITH_REGD_ARG => Some((1, "cookie of the registered memory")),
        o::OPTEE_SMC_CALL_RETURN_FROM_RPC => Some((1, "answer to the RPC")),
        _ => None,
    }
}

/// Lists the registers of a call. What a VM says about itself in x7 counts for nothing.
fn registers(x: &[u64; 8], by_vm: bool) -> Vec<Field> {
    let id = FunctionId(x[0] as u32);
    let mut out = vec![Field::new("x0", format!("{:#010x}", x[0]), id.to_string())];
    let owner = (id.0 >> 24) & 0x3F;
    let kind = if id.is_fast() { "fast call" } else { "yielding call" };
    out.push(Field::new("x0 [31]", u8::from(id.is_fast()).to_string(), kind));
    let width = if id.is_64() { "SMC64" } else { "SMC32" };
    out.push(Field::new("x0 [30]", u8::from(id.is_64()).to_string(), width));
    out.push(Field::new("x0 [29:24]", owner.to_string(), format!("owner: {}", owner_words(id.owner()))));
    out.push(Field::new("x0 [15:0]", format!("{:#x}", id.number()), "function number"));
    for (register, value) in x.iter().enumerate().skip(1) {
        let mut meaning = argument(id, register).to_owned();
        if meaning == "function" {
            meaning = FunctionId(*value as u32).to_string();
        } else if meaning == "client id" && by_vm {
            meaning = "client id: not a VM's to say, EL2 puts its own there".into();
        } else if meaning == "client id" {
            meaning = format!("client id: {}", client(*value as u16));
            if *value as u32 > 0xFFFF {
                meaning = "client id: none that a VM can have".into();
            }
        } else if meaning == "x0 of the answer" {
            let code = answer(Request::Function(optee_smc::OPTEE_SMC_CALL_WITH_ARG), *value);
            meaning = format!("x0 of the answer: {code}");
        }
        if !id.is_64() && *value >> 32 != 0 {
            meaning += if meaning.is_empty() { "" } else { "; " };
            meaning += "bits 63:32 are not part of an SMC32 argument";
        }
        out.push(Field::new(format!("x{register}"), format!("{value:#x}"), meaning));
        if let Some((first, what)) = pair(id)
            && register == first + 1
        {
            let whole = from_halves(x[first], x[first + 1]);
            out.push(Field::new(format!("x{first}, x{}", first + 1), format!("{whole:#x}"), what));
        }
    }
    out
}

/// Lists the registers of an answer.
fn results(x: &[u64; 4], asked: Option<Request>) -> Vec<Field> {
    let meaning = asked.map_or_else(String::new, |asked| answer(asked, x[0]));
    let mut out = vec![Field::new("x0", format!("{:#x}", x[0]), meaning)];
    let rpc = asked.filter(|asked| asked.is_for_tee()).and_then(|_| Rpc::from_x0(x[0]));
    for (register, value) in x.iter().enumerate().skip(1) {
        let meaning = match (rpc, register) {
            (Some(Rpc::Alloc), 1) => "bytes that the TEE wants",
            (Some(Rpc::Free), 2) => "lower half of the cookie",
            (Some(Rpc::Cmd), 2) => "lower half of the message's cookie",
            (Some(_), 3) => "thread to resume",
            _ => "",
        };
        out.push(Field::new(format!("x{register}"), format!("{value:#x}"), meaning));
    }
    out
}

const fn owner_words(owner: OwningEntity) -> &'static str {
    match owner {
        OwningEntity::Arch => "Arm architecture",
        OwningEntity::Cpu => "CPU service",
        OwningEntity::Sip => "silicon partner",
        OwningEntity::Oem => "OEM",
        OwningEntity::Standard => "standard secure service",
        OwningEntity::StandardHypervisor => "standard hypervisor service",
        OwningEntity::VendorHypervisor => "vendor's hypervisor service",
        OwningEntity::VendorMonitor => "vendor's monitor service",
        OwningEntity::TrustedApp => "trusted application",
        OwningEntity::TrustedOs => "trusted OS",
        OwningEntity::Reserved => "reserved",
    }
}

/// Takes a VM's SPSR_EL2 apart (Arm ARM C5.2.21).
fn spsr(value: u64) -> Vec<Field> {
    let mode = match value & 0x1F {
        0x00 => "EL0",
        0x04 => "EL1 with SP_EL0",
        0x05 => "EL1 with SP_EL1",
        _ => "no mode of AArch64 EL1",
    };
    let masked: String = [(9, 'D'), (8, 'A'), (7, 'I'), (6, 'F')]
        .into_iter()
        .filter(|(bit, _)| value >> bit & 1 != 0)
        .map(|(_, letter)| letter)
        .collect();
    let masked = if masked.is_empty() { "nothing masked".into() } else { format!("masked: {masked}") };
    vec![
        Field::new("M [4:0]", format!("{:#x}", value & 0x1F), mode),
        Field::new("DAIF [9:6]", format!("{:#x}", value >> 6 & 15), masked),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use shared_abi::trace::Record;

    #[test]
    fn every_event_has_fields() {
        for event in Event::examples() {
            let record = Record { time: 0, sequence: 0, client: 1, event };
            assert!(!fields(&Entry { layer: Layer::Hypervisor, cpu: 0, record }, None).is_empty(), "{event:?}");
        }
    }

    #[test]
    fn registers_are_told_as_the_functions_abi_has_them() {
        let trace = {
            let mut sample = Sample::new();
            sample.guest_call(1);
            sample.trace()
        };
        let sent = trace.entries.iter().find(|entry| matches!(entry.record.event, Event::Send { .. })).unwrap();
        let fields = fields(sent, None);
        let of = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
        assert_eq!(of("x0").meaning, "OPTEE_SMC_CALL_WITH_ARG");
        assert_eq!(of("x0 [31]").meaning, "yielding call");
        assert_eq!(
            (of("x1, x2").value.as_str(), of("x1, x2").meaning.as_str()),
            ("0x60100000", "address of the message")
        );
        assert_eq!(of("x7").meaning, "client id: vm1");
    }
}
