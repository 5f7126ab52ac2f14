// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records as lines of a log: when, where, whose, what.

use super::Entry;
use shared_abi::optee_msg::{Cmd, RpcCmd};
use shared_abi::optee_smc::{ReturnCode, Rpc};
use shared_abi::smccc::{FunctionId, OwningEntity};
use shared_abi::tee::TeeResult;
use shared_abi::trace::event::{Conduit, ERRANDS};
use shared_abi::trace::{Event, Layer, World};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Prints one record after another; remembers what was called, so that an answer can be named.
#[derive(Clone, Debug, Default)]
pub struct Log {
    called: BTreeMap<(Layer, u8), FunctionId>,
}

/// Writes a record by itself, as a line.
pub fn line(entry: &Entry) -> String {
    Log::default().line(entry)
}

/// Names an event's kind, by which records are chosen.
pub const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Calibration { .. } => "calibration",
        Event::Start { .. } => "start",
        Event::Call { .. } => "call",
        Event::Answer { .. } => "answer",
        Event::Send { .. } => "send",
        Event::Receive { .. } => "receive",
        Event::WorldSwitch { .. } => "world-switch",
        Event::Resume { .. } => "resume",
        Event::Exit { .. } => "exit",
        Event::Interrupt { .. } => "interrupt",
        Event::Enter { .. } => "enter",
        Event::VirtualInterrupt { .. } => "virtual-interrupt",
        Event::VcpuSwitch { .. } => "vcpu-switch",
        Event::VmState { .. } => "vm-state",
        Event::PartitionSelect { .. } => "partition-select",
        Event::PartitionLeave { .. } => "partition-leave",
        Event::VmCreated { .. } => "vm-created",
        Event::VmDestroyed { .. } => "vm-destroyed",
        Event::VmReclaimed { .. } => "vm-reclaimed",
        Event::ThreadStart { .. } => "thread-start",
        Event::ThreadResume { .. } => "thread-resume",
        Event::ThreadSuspend { .. } => "thread-suspend",
        Event::ThreadFinish { .. } => "thread-finish",
        Event::Message { .. } => "message",
        Event::Reply { .. } => "reply",
        Event::Rpc { .. } => "rpc",
        Event::ShmRegister { .. } => "shm-register",
        Event::ShmUnregister { .. } => "shm-unregister",
        Event::Stage2Fault { .. } => "stage2-fault",
        Event::Heap { .. } => "heap",
        Event::Refused { .. } => "refused",
        Event::Panic { .. } => "panic",
        Event::Memory { .. } => "memory",
        Event::FreeBlock { .. } => "free-block",
        Event::Idle => "idle",
        Event::Wake { .. } => "wake",
    }
}

impl Log {
    /// Writes the next record.
    pub fn line(&mut self, entry: &Entry) -> String {
        let Entry { layer, cpu, record } = entry;
        let whose = if record.client == 0 { String::new() } else { format!("vm{}", record.client) };
        let what = self.what(entry);
        format!("{:>13} CPU{cpu} [{}] {:6} {whose:5} {what}", record.time, layer.name(), layer.exception_level())
    }

    /// Says what the next record tells, without when, where and whose.
    pub fn what(&mut self, entry: &Entry) -> String {
        if let Event::Call { x, .. } | Event::Send { x } = entry.record.event {
            self.called.insert((entry.layer, entry.cpu), FunctionId(x[0] as u32));
        }
        let hypervisor = entry.layer == Layer::Hypervisor;
        let on = |vcpu: u8| if hypervisor { format!(" vcpu{vcpu}") } else { String::new() };
        match entry.record.event {
            Event::Calibration { round } => format!("calibration {round}"),
            Event::Start { base, size } => format!("starts: image at {base:#x}, {} KiB", size / 1024),
            Event::Call { conduit, from, vcpu, x } => {
                let by = match conduit {
                    Conduit::Smc => "SMC",
                    Conduit::Hvc => "HVC",
                };
                let from = if hypervisor { on(vcpu) } else { format!(" from {}", world(from)) };
                format!("{by}{from}: {}", call(&x))
            }
            Event::Answer { to, vcpu, x, pc } => {
                let to = if hypervisor { on(vcpu) } else { format!(" to {}", world(to)) };
                format!("answer{to}{}: {}", at(pc), self.answer(entry, &x))
            }
            Event::Send { x } => format!("SMC: {}", call(&x)),
            Event::Receive { x } => format!("answer: {}", self.answer(entry, &x)),
            Event::WorldSwitch { to, errand, pc } => {
                let errand = ERRANDS.get(usize::from(errand)).copied().unwrap_or("?");
                format!("switches to {} ({errand}){}", world(to), at(pc))
            }
            Event::Resume { to, pc } => format!("resumes {}{}", world(to), at(pc)),
            Event::Exit { vcpu, esr, pc, far, ipa } => {
                let class = class(esr);
                format!("exit{}{}: {class}, ESR={esr:#x} FAR={far:#x} HPFAR={ipa:#x}", on(vcpu), at(pc))
            }
            Event::Interrupt { vcpu, intid, pc } => format!("interrupt {}{}{}", intid_name(intid), on(vcpu), at(pc)),
            Event::Enter { vcpu, pc, pstate } => {
                format!("enters{} EL{}{}, SPSR={pstate:#x}", on(vcpu), pstate >> 2 & 3, at(pc))
            }
            Event::VirtualInterrupt { vcpu, intid } => format!("virtual interrupt {intid} for vcpu{vcpu}"),
            Event::VcpuSwitch { vcpu, from: 0, .. } => format!("runs vcpu{vcpu}"),
            Event::VcpuSwitch { vcpu, from, from_vcpu } => {
                format!("runs vcpu{vcpu} after vcpu{from_vcpu} of vm{from}")
            }
            Event::VmState { state } => format!("VM: {}", format!("{state:?}").to_lowercase()),
            Event::PartitionSelect { slot } => format!("partition {slot} mapped"),
            Event::PartitionLeave { slot } => format!("partition {slot} unmapped"),
            Event::VmCreated { pages, free, vms } => format!("VM created: {pages} pages, {free} free, {vms} VMs"),
            Event::VmDestroyed { draining: false } => "VM destroyed".to_owned(),
            Event::VmDestroyed { draining: true } => "VM destroyed, once its calls are done".to_owned(),
            Event::VmReclaimed { pages, free, vms } => format!("VM reclaimed: {pages} pages, {free} free, {vms} VMs"),
            Event::ThreadStart { thread, function } => format!("thread {thread} starts: {}", FunctionId(function)),
            Event::ThreadResume { thread } => format!("thread {thread} resumes"),
            Event::ThreadSuspend { thread, rpc } => {
                format!("thread {thread} suspends: {}", registers(&rpc, |x0| Rpc::from_x0(x0).map(Rpc::name)))
            }
            Event::ThreadFinish { thread, code } => format!("thread {thread} is done: {}", optee(code)),
            Event::Message { command, function, session, params } => {
                let command = Cmd(command).name().map_or_else(|| format!("command {command}"), str::to_owned);
                format!("message: {command} session={session} func={function} params={params}")
            }
            Event::Reply { result, origin, session } => {
                format!("reply: {} origin={origin} session={session}", TeeResult(result))
            }
            Event::Rpc { command } => {
                format!("RPC: {}", RpcCmd(command).name().map_or_else(|| command.to_string(), str::to_owned))
            }
            Event::ShmRegister { cookie, pages, first } => {
                format!("shared memory {cookie:#x} registered: {pages} pages, first at {first:#x}")
            }
            Event::ShmUnregister { cookie } => format!("shared memory {cookie:#x} unregistered"),
            Event::Stage2Fault { vcpu, ipa, pc, esr } => {
                format!("stage 2 fault{} on IPA {ipa:#x}{}: {}, ESR={esr:#x}", on(vcpu), at(pc), class(esr))
            }
            Event::Heap { used, peak, size } => format!("heap: {used} of {size} bytes in use, {peak} at most"),
            Event::Refused { reason, value } => format!("REFUSED: {reason} ({value:#x})"),
            Event::Panic { text } => {
                format!("PANIC: {}", String::from_utf8_lossy(&text).trim_end_matches('\0').escape_debug())
            }
            Event::Memory { owner, base, size, ipa } => {
                let ipa = if ipa == 0 { String::new() } else { format!(", IPA {ipa:#x}") };
                format!("memory {base:#x}..{:#x} is now: {}{ipa}", base.saturating_add(size), owner_name(owner))
            }
            Event::FreeBlock { index, address, size, next, previous } => {
                format!("free list [{index}] at {address:#x}: {size} bytes, next={next:#x} previous={previous:#x}")
            }
            Event::Idle => "idle".to_owned(),
            Event::Wake { intid } => format!("wakes: interrupt {}", intid_name(intid)),
        }
    }

    fn answer(&self, entry: &Entry, x: &[u64; 4]) -> String {
        let called = self.called.get(&(entry.layer, entry.cpu));
        registers(x, |x0| called.filter(|id| id.owner() == OwningEntity::TrustedOs).and_then(|_| name_of(x0)))
    }
}

/// Says what x0 of a TEE's answer is called.
fn name_of(x0: u64) -> Option<&'static str> {
    ReturnCode::from_x0(x0).map(ReturnCode::name).or_else(|| Rpc::from_x0(x0).map(Rpc::name))
}

fn optee(x0: u64) -> String {
    name_of(x0).map_or_else(|| format!("{x0:#x}"), str::to_owned)
}

/// Writes a call's registers. Those at the end that are 0 are left out.
fn call(x: &[u64; 8]) -> String {
    let mut text = FunctionId(x[0] as u32).to_string();
    let used = x.iter().rposition(|value| *value != 0).unwrap_or(0);
    for (n, value) in x.iter().enumerate().take(used + 1).skip(1) {
        // Writing to a String cannot fail.
        let _ = write!(text, " x{n}={value:#x}");
    }
    text
}

/// Writes registers from x0 on, the first by its name if it has one.
fn registers(x: &[u64], name: impl Fn(u64) -> Option<&'static str>) -> String {
    let mut text = String::new();
    for (n, value) in x.iter().enumerate() {
        let _ = match name(*value).filter(|_| n == 0) {
            Some(name) => write!(text, "x0={value:#x} ({name})"),
            None => write!(text, "{}x{n}={value:#x}", if n == 0 { "" } else { " " }),
        };
    }
    text
}

fn at(pc: u64) -> String {
    if pc == 0 { String::new() } else { format!(" at {pc:#x}") }
}

const fn world(world: World) -> &'static str {
    match world {
        World::Normal => "the normal world",
        World::Secure => "the secure world",
    }
}

fn intid_name(intid: u32) -> String {
    match intid {
        0..16 => format!("SGI {intid}"),
        16..32 => format!("PPI {intid}"),
        32..1020 => format!("SPI {intid}"),
        1023 => "of another level".to_owned(),
        other => other.to_string(),
    }
}

fn owner_name(owner: shared_abi::trace::Owner) -> &'static str {
    use shared_abi::trace::Owner;
    match owner {
        Owner::Free => "free",
        Owner::Monitor => "the monitor's",
        Owner::Tee => "the TEE's",
        Owner::Partition => "the VM's partition",
        Owner::Hypervisor => "the hypervisor's",
        Owner::Vm => "the VM's",
        Owner::Shared => "shared with the TEE",
        Owner::Shadow => "a shadow of the VM's message",
        Owner::Dirty => "to be scrubbed",
    }
}

/// Names the exception class of a syndrome (Arm ARM D24.2.40).
fn class(esr: u64) -> String {
    let name = match esr >> 26 & 0x3F {
        0x00 => "unknown reason",
        0x01 => "WFI or WFE",
        0x07 => "SIMD or SVE access",
        0x0E => "illegal execution state",
        0x15 => "SVC",
        0x16 => "HVC",
        0x17 => "SMC",
        0x18 => "system register access",
        0x20 => "instruction abort",
        0x21 => "instruction abort, same level",
        0x22 => "PC alignment",
        0x24 => "data abort",
        0x25 => "data abort, same level",
        0x26 => "SP alignment",
        0x2F => "SError",
        0x3C => "BRK",
        other => return format!("exception class {other:#x}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    #[test]
    fn every_event_has_a_line_of_its_own_and_a_kind() {
        let mut lines: Vec<_> = Event::examples().map(|event| line(&entry(Layer::Hypervisor, 7, 0, event))).collect();
        assert!(lines.iter().all(|line| !line.contains('\n') && line.starts_with("            7 CPU0 [HYP] NS-EL2")));
        let count = lines.len();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), count);
        assert!(Event::examples().all(|event| kind(&event).chars().all(|c| c == '-' || c.is_ascii_alphanumeric())));
    }

    #[test]
    fn calls_and_their_answers_are_named_as_the_specifications_name_them() {
        let mut log = Log::default();
        let x = [0xB200_000D, 1, 0, 0, 0, 0, 0, 0];
        let call = Event::Call { conduit: Conduit::Smc, from: World::Normal, vcpu: 0, x };
        let said = log.line(&entry(Layer::Monitor, 1, 0, call));
        assert!(said.ends_with("SMC from the normal world: OPTEE_SMC_VM_CREATED x1=0x1"), "{said}");
        let answer = Event::Answer { to: World::Normal, vcpu: 0, x: [7, 0, 0, 0], pc: 0x6000_1074 };
        let said = log.line(&entry(Layer::Monitor, 2, 1, answer));
        assert!(said.contains("answer to the normal world at 0x60001074: x0=0x7 (OPTEE_SMC_RETURN_ENOTAVAIL) x1=0x0"));
        // The same number means something else to who called something else.
        assert!(!line(&entry(Layer::Monitor, 2, 1, answer)).contains("OPTEE"));
    }
}
