use super::sgi::SgiRegister;
use super::*;
use std::vec::Vec;

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;
const EOI: u64 = 1 << 41;
const HW: u64 = 1 << 61;
const UART: u32 = 33;

/// A CPU's list registers, and the guest's side of them.
struct Fake {
    lrs: Vec<u64>,
    underflow: bool,
    deactivated: Vec<u32>,
    timer: bool,
}

impl Fake {
    fn new(count: usize) -> Self {
        Self { lrs: vec![0; count], underflow: false, deactivated: Vec::new(), timer: false }
    }

    /// The guest acknowledges the most urgent pending interrupt.
    fn acknowledge(&mut self) -> Option<u32> {
        let lr =
            self.lrs.iter_mut().filter(|lr| **lr & (PENDING | ACTIVE) == PENDING).min_by_key(|lr| **lr >> 48 & 0xFF)?;
        *lr = *lr & !PENDING | ACTIVE;
        Some(*lr as u32)
    }

    /// The guest ends and deactivates an interrupt. Whether that raises a maintenance interrupt.
    fn end(&mut self, intid: u32) -> bool {
        let lr = self.lrs.iter_mut().find(|lr| **lr & ACTIVE != 0 && **lr as u32 == intid).expect("it is active");
        *lr &= !ACTIVE;
        if *lr & HW != 0 {
            self.deactivated.push(intid);
        }
        *lr & (HW | EOI | PENDING) == EOI
    }

    fn pending(&self) -> Vec<u32> {
        self.lrs.iter().filter(|lr| **lr & PENDING != 0).map(|lr| *lr as u32).collect()
    }
}

impl ListRegisters for Fake {
    fn count(&self) -> usize {
        self.lrs.len()
    }

    fn finished(&self) -> u16 {
        let over = self.lrs.iter().enumerate().filter(|(_, lr)| **lr & (PENDING | ACTIVE) == 0);
        over.fold(0, |bits, (n, _)| bits | 1 << n)
    }

    fn read(&self, index: usize) -> u64 {
        self.lrs[index]
    }

    fn write(&mut self, index: usize, value: u64) {
        self.lrs[index] = value;
    }

    fn set_underflow(&mut self, on: bool) {
        self.underflow = on;
    }

    fn deactivate(&mut self, intid: u32) {
        self.deactivated.push(intid);
    }

    fn timer_fires(&self) -> bool {
        self.timer
    }
}

/// A VM whose guest has enabled all of its interrupts, with list registers for each of its CPUs.
fn vm(vcpus: usize, lrs: usize) -> (Vgic, Vec<Fake>) {
    let mut vgic = Vgic::new(Client::alleged(3), vcpus);
    vgic.write_distributor(0, 4, 2);
    for n in 1..4 {
        vgic.write_distributor(0x100 + 4 * n, 4, 0xFFFF_FFFF);
    }
    for vcpu in 0..vcpus as u64 {
        vgic.write_redistributor(vcpu * 0x2_0000 + 0x1_0100, 4, 0xFFFF_FFFF);
    }
    vgic.take_stale();
    (vgic, (0..vcpus).map(|_| Fake::new(lrs)).collect())
}

#[test]
fn an_sgi_reaches_its_targets_and_nobody_else() {
    let (mut vgic, mut cpus) = vm(4, 4);
    // INTID 5 to Aff0 1 and 2.
    assert_eq!(vgic.send_sgi(0, SgiRegister::Group1, 5 << 24 | 0b0110), 0b0110);
    assert!(!vgic.sync(0, &mut cpus[0]));
    assert!(vgic.sync(1, &mut cpus[1]));
    assert_eq!(cpus[1].acknowledge(), Some(5));
    assert!(vgic.has_pending(2) && !vgic.has_pending(3));
    // IRM: everybody else.
    assert_eq!(vgic.send_sgi(3, SgiRegister::Group1, 1 << 40), 0b0111);
    // Clusters and vCPUs that are not there, and a group that it is not in.
    assert_eq!(vgic.send_sgi(0, SgiRegister::Group1, 1 << 16 | 1), 0);
    assert_eq!(vgic.send_sgi(0, SgiRegister::Group1, 0xFFF0), 0);
    vgic.send_sgi(0, SgiRegister::Group0, 7 << 24 | 0b1000);
    assert!(!vgic.sync(3, &mut cpus[3]) || !cpus[3].pending().contains(&7));
}

#[test]
fn an_sgi_sent_while_the_last_one_is_handled_comes_again() {
    let (mut vgic, mut cpus) = vm(1, 4);
    let cpu = &mut cpus[0];
    for _ in 0..2 {
        vgic.send_sgi(0, SgiRegister::Group1, 1);
        vgic.sync(0, cpu);
    }
    assert_eq!(cpu.pending(), [0], "two before it is taken are one");
    assert_eq!(cpu.acknowledge(), Some(0));
    vgic.send_sgi(0, SgiRegister::Group1, 1);
    vgic.sync(0, cpu);
    cpu.end(0);
    assert_eq!(cpu.acknowledge(), Some(0));
    cpu.end(0);
    assert!(!vgic.sync(0, cpu));
    assert!(!vgic.has_pending(0));
}

#[test]
fn a_level_comes_again_until_the_device_lets_go() {
    let (mut vgic, mut cpus) = vm(1, 4);
    let cpu = &mut cpus[0];
    vgic.set_line(UART, true);
    assert_eq!(vgic.take_stale(), 1);
    assert!(vgic.sync(0, cpu));
    assert_eq!(cpu.acknowledge(), Some(UART));
    assert!(cpu.end(UART), "its end asks for maintenance");
    assert!(vgic.sync(0, cpu));
    assert_eq!(cpu.acknowledge(), Some(UART));
    vgic.set_line(UART, false);
    cpu.end(UART);
    assert!(!vgic.sync(0, cpu));
}

#[test]
fn a_level_that_falls_before_it_is_taken_is_withdrawn() {
    let (mut vgic, mut cpus) = vm(1, 4);
    vgic.set_line(UART, true);
    vgic.sync(0, &mut cpus[0]);
    vgic.set_line(UART, false);
    assert_eq!(vgic.take_stale(), 1);
    assert!(!vgic.sync(0, &mut cpus[0]));
    assert!(cpus[0].pending().is_empty());
}

#[test]
fn an_interrupt_that_a_guest_is_given_is_recorded_once() {
    use shared_abi::trace::Event;
    let (mut vgic, mut cpus) = vm(2, 4);
    crate::trace::taken();
    vgic.send_sgi(0, SgiRegister::Group1, 5 << 24 | 0b10);
    assert_eq!(crate::trace::taken(), []);
    vgic.sync(1, &mut cpus[1]);
    vgic.sync(1, &mut cpus[1]);
    let given = [(3, Event::VirtualInterrupt { vcpu: 1, intid: 5 })];
    assert_eq!(crate::trace::taken(), given);
    // Again, while the guest handles it.
    assert_eq!(cpus[1].acknowledge(), Some(5));
    vgic.send_sgi(0, SgiRegister::Group1, 5 << 24 | 0b10);
    vgic.sync(1, &mut cpus[1]);
    assert_eq!(crate::trace::taken(), given);
}

#[test]
fn an_interrupt_that_is_disabled_waits() {
    let (mut vgic, mut cpus) = vm(1, 4);
    let cpu = &mut cpus[0];
    vgic.send_sgi(0, SgiRegister::Group1, 3 << 24 | 1);
    vgic.sync(0, cpu);
    vgic.write_redistributor(0x1_0180, 4, 1 << 3);
    assert!(!vgic.sync(0, cpu));
    assert!(cpu.pending().is_empty());
    assert_eq!(vgic.read_redistributor(0x1_0200, 4), Some(1 << 3));
    vgic.write_redistributor(0x1_0100, 4, 1 << 3);
    assert!(vgic.sync(0, cpu));
    assert_eq!(cpu.pending(), [3]);
    // The whole group.
    vgic.write_distributor(0, 4, 0);
    assert!(!vgic.sync(0, cpu));
}

#[test]
fn the_most_urgent_interrupts_get_the_list_registers() {
    let (mut vgic, mut cpus) = vm(1, 2);
    let cpu = &mut cpus[0];
    for (intid, priority) in [(40, 0xA0), (41, 0x80), (42, 0x20), (43, 0x90)] {
        vgic.write_distributor(0x400 + intid, 1, priority);
        vgic.set_line(intid as u32, true);
    }
    vgic.sync(0, cpu);
    let mut pending = cpu.pending();
    pending.sort_unstable();
    assert_eq!(pending, [41, 42]);
    assert!(cpu.underflow);
    // A more urgent one pushes the least urgent out.
    vgic.write_distributor(0x400 + 44, 1, 0x10);
    vgic.set_line(44, true);
    vgic.sync(0, cpu);
    let mut order = Vec::new();
    while let Some(intid) = cpu.acknowledge() {
        order.push(intid);
        vgic.set_line(intid, false);
        cpu.end(intid);
        vgic.sync(0, cpu);
    }
    assert_eq!(order, [44, 42, 41, 43, 40]);
    assert!(!cpu.underflow);
}

#[test]
fn an_active_interrupt_keeps_its_list_register() {
    let (mut vgic, mut cpus) = vm(1, 1);
    let cpu = &mut cpus[0];
    vgic.set_line(40, true);
    vgic.sync(0, cpu);
    cpu.acknowledge();
    vgic.set_line(41, true);
    vgic.sync(0, cpu);
    assert!(cpu.pending().is_empty() && cpu.underflow);
    vgic.set_line(40, false);
    cpu.end(40);
    vgic.sync(0, cpu);
    assert_eq!(cpu.pending(), [41]);
}

#[test]
fn the_timers_interrupt_is_linked_to_the_physical_one() {
    let (mut vgic, mut cpus) = vm(1, 4);
    let cpu = &mut cpus[0];
    cpu.timer = true;
    vgic.timer_fired(0);
    assert!(vgic.timer_in_flight(0));
    vgic.sync(0, cpu);
    assert_eq!(cpu.lrs[0] >> 32 & 0x1FFF, HW >> 32 & 0x1FFF | 27);
    assert_eq!(cpu.acknowledge(), Some(27));
    assert!(vgic.timer_in_flight(0));
    cpu.end(27);
    vgic.sync(0, cpu);
    assert!(!vgic.timer_in_flight(0));
    assert_eq!(cpu.deactivated, [27]);
}

#[test]
fn a_timer_that_is_switched_off_while_its_interrupt_is_disabled_is_not_pending() {
    let (mut vgic, mut cpus) = vm(1, 4);
    let cpu = &mut cpus[0];
    vgic.write_redistributor(0x1_0180, 4, 1 << 27);
    cpu.timer = true;
    vgic.timer_fired(0);
    assert!(!vgic.sync(0, cpu));
    assert!(vgic.timer_in_flight(0));
    cpu.timer = false;
    vgic.sync(0, cpu);
    assert_eq!(cpu.deactivated, [27]);
    vgic.write_redistributor(0x1_0100, 4, 1 << 27);
    assert!(!vgic.sync(0, cpu));
}

#[test]
fn an_spi_follows_its_route() {
    let (mut vgic, mut cpus) = vm(2, 4);
    vgic.write_distributor(0x6100 + 8, 8, 1);
    vgic.take_stale();
    vgic.set_line(UART, true);
    assert_eq!(vgic.take_stale(), 0b10);
    assert!(!vgic.sync(0, &mut cpus[0]) && vgic.sync(1, &mut cpus[1]));
    assert_eq!(vgic.read_distributor(0x6108, 8), 1);
    // A vCPU that is not there gets nothing, and nobody else does.
    vgic.write_distributor(0x6100 + 8 * 2, 8, 0xFF_00FF_FFFF);
    vgic.take_stale();
    vgic.set_line(34, true);
    assert_eq!(vgic.take_stale(), 0);
    assert!(!vgic.sync(0, &mut cpus[0]));
}

#[test]
fn the_guest_can_deactivate_by_register() {
    let (mut vgic, mut cpus) = vm(1, 4);
    let cpu = &mut cpus[0];
    vgic.set_line(UART, true);
    vgic.sync(0, cpu);
    cpu.acknowledge();
    vgic.sync(0, cpu);
    assert_eq!(vgic.read_distributor(0x304, 4), 1 << 1);
    vgic.set_line(UART, false);
    vgic.write_distributor(0x384, 4, 1 << 1);
    vgic.sync(0, cpu);
    assert_eq!(vgic.read_distributor(0x304, 4), 0);
    assert_eq!(cpu.lrs, [0; 4]);
}

#[test]
fn a_vcpu_that_starts_anew_has_nothing_in_flight() {
    let (mut vgic, mut cpus) = vm(1, 4);
    cpus[0].timer = true;
    vgic.timer_fired(0);
    vgic.set_line(UART, true);
    vgic.sync(0, &mut cpus[0]);
    vgic.forget_lists(0);
    assert!(!vgic.timer_in_flight(0));
    // The device's line is still up.
    let mut cpu = Fake::new(4);
    assert!(vgic.sync(0, &mut cpu));
    assert_eq!(cpu.pending(), [UART]);
}

#[test]
fn guests_recognise_the_controller() {
    let (mut vgic, _) = vm(3, 4);
    assert_eq!(vgic.read_distributor(0xFFE8, 4) >> 4 & 0xF, 3);
    assert_eq!(vgic.read_distributor(0, 4), 0x52);
    assert_eq!(vgic.read_distributor(4, 4) & 0x1F, 3);
    for vcpu in 0..3u64 {
        let base = vcpu * 0x2_0000;
        let typer = vgic.read_redistributor(base + 8, 8).unwrap();
        assert_eq!((typer >> 32, typer >> 8 & 0xFFFF, typer >> 4 & 1), (vcpu, vcpu, u64::from(vcpu == 2)));
        assert_eq!(vgic.read_redistributor(base + 0x14, 4), Some(6));
        assert!(vgic.write_redistributor(base + 0x14, 4, 0));
        assert_eq!(vgic.read_redistributor(base + 0x14, 4), Some(0));
    }
    assert_eq!(vgic.read_redistributor(3 * 0x2_0000, 4), None);
    assert!(!vgic.write_redistributor(3 * 0x2_0000, 4, 0));
}

#[test]
fn no_offset_width_or_value_is_too_much() {
    let (mut vgic, mut cpus) = vm(8, 4);
    for offset in 0..0x1_0000 {
        for width in [1, 2, 4, 8] {
            vgic.write_distributor(offset, width, u64::MAX);
            vgic.read_distributor(offset, width);
        }
    }
    for offset in (0..8 * 0x2_0000).step_by(4) {
        vgic.write_redistributor(offset, 8, u64::MAX);
        vgic.read_redistributor(offset, 8);
    }
    for bit in 0..64 {
        vgic.send_sgi(7, SgiRegister::Group1, 1 << bit);
    }
    vgic.send_sgi(0, SgiRegister::Group0, u64::MAX);
    for (vcpu, cpu) in cpus.iter_mut().enumerate() {
        vgic.sync(vcpu, cpu);
    }
    vgic.set_line(u32::MAX, true);
    assert!(!vgic.sync(8, &mut Fake::new(4)));
}
