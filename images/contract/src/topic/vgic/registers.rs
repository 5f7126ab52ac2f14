// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers as such: what they read, which bits hold, how wide they may be accessed.

use crate::arch::catch;
use crate::arch::mmio::{read8, read16, read32, read64, write8, write16, write32, write64};
use crate::arch::snippet::snippet;
use crate::arch::sysreg::{read, write};
use crate::check::Answer;
use crate::gic::{self, CONFIG, CTLR, PRIORITY, ROUTER, bits, distributor, private, redistributor};
use crate::inventory;

/// GICx_PIDR and CIDR.
fn ids(frame: u64) -> [u32; 12] {
    core::array::from_fn(|n| read32(frame + 0xFFD0 + 4 * n as u64))
}

pub(super) fn identification(answer: &mut Answer) {
    answer.hex("typer", read32(distributor(4)));
    answer.hex("iidr", read32(distributor(8)));
    answer.hex("typer2", read32(distributor(0xC)));
    answer.hex("statusr", read32(distributor(0x10)));
    answer.hex("gicr-iidr", read32(redistributor(0, 4)));
}

/// GICx_PIDR and CIDR, of what QEMU says is Arm's.
pub(super) fn component_ids(answer: &mut Answer) {
    for (name, frame) in [("gicd", distributor(0)), ("gicr", redistributor(0, 0)), ("sgi", private(0, 0))] {
        answer.say(format_args!("{name}-ids={:x?}", ids(frame)));
    }
}

pub(super) fn control(answer: &mut Answer) {
    for value in [0, 1, 2, 3, 0x13, 0x57, u32::MAX, 0] {
        write32(CTLR, value);
        answer.hex("ctlr", read32(CTLR));
    }
}

/// Of GICR_TYPER what is about LPIs: PLPIS, VLPIS, DirectLPI, CommonLPIAff.
const LPIS: u64 = 1 | 1 << 1 | 1 << 3 | 3 << 24;

pub(super) fn redistributors(answer: &mut Answer) {
    for cpu in 0..inventory::cpus() {
        let typer = redistributor(cpu, 8);
        let (whole, low, high) = (read64(typer) & !LPIS, u64::from(read32(typer)) & !LPIS, read32(typer + 4));
        answer.say(format_args!("{whole:#x}/{low:#x}/{high:#x}"));
    }
}

/// What is there of LPIs: in TYPER, CTLR, PROPBASER and PENDBASER.
pub(super) fn lpis(answer: &mut Answer) {
    answer.hex("gicd-typer", read32(distributor(4)) & (1 << 17 | 0x1F << 11));
    answer.hex("gicr-typer", read64(redistributor(0, 8)) & LPIS);
    answer.hex("ctlr", read32(redistributor(0, 0)));
    write32(redistributor(0, 0), u32::MAX);
    answer.hex("ctlr-ones", read32(redistributor(0, 0)));
    write32(redistributor(0, 0), 0);
    for offset in [0x70, 0x78] {
        write64(redistributor(0, offset), 0x4000_0000);
        answer.say(format_args!("{offset:#x}={:#x}", read64(redistributor(0, offset))));
        write64(redistributor(0, offset), 0);
    }
}

pub(super) fn waker(answer: &mut Answer) {
    let waker = redistributor(0, 0x14);
    let before = read32(waker);
    for value in [0, 2, 0, u32::MAX, 0] {
        write32(waker, value);
        answer.hex("waker", read32(waker));
    }
    // A sleeping redistributor holds on to what comes.
    gic::open(40, 0x80, 0);
    write32(waker, 2);
    gic::pend(40);
    answer.put("asleep-pending", gic::get(40, bits::SET_PENDING));
    write32(waker, 0);
    answer.put("awake-iar", gic::ack());
    gic::end(40);
    write32(waker, before);
}

pub(super) fn groups(answer: &mut Answer) {
    for (name, frame, word) in [("ppis", private(0, 0), 0), ("spis", distributor(0), 4)] {
        for value in [0, 0x1234_5678, u32::MAX] {
            write32(frame + bits::GROUP + word, value);
            answer.hex(name, read32(frame + bits::GROUP + word));
        }
        write32(frame + 0xD00 + word, u32::MAX);
        write32(frame + 0xE00 + word, u32::MAX);
        answer.hex("igrpmodr", read32(frame + 0xD00 + word));
        answer.hex("nsacr", read32(frame + 0xE00 + word));
        write32(frame + 0xD00 + word, 0);
        write32(frame + 0xE00 + word, 0);
    }
}

pub(super) fn enables(answer: &mut Answer) {
    for (name, frame, word) in [("private", private(0, 0), 0), ("shared", distributor(0), 4)] {
        let (set, clear) = (frame + bits::SET_ENABLE + word, frame + bits::CLEAR_ENABLE + word);
        write32(set, 0xF0F0_F0F0);
        write32(set, 0x0000_000F);
        write32(clear, 0x00F0_0000);
        answer.say(format_args!("{name}={:#x}/{:#x}", read32(set), read32(clear)));
        write32(clear, u32::MAX);
        write32(set, 0);
        answer.say(format_args!("{name}-off={:#x}/{:#x}", read32(set), read32(clear)));
    }
}

pub(super) fn priorities(answer: &mut Answer) {
    for (name, frame, first) in [("private", private(0, 0), 16), ("shared", distributor(0), 48)] {
        let register = frame + PRIORITY + first;
        write32(register, 0x1020_3040);
        answer.hex(name, read32(register));
        write8(register + 1, 0x80);
        write8(register + 3, 0x48);
        answer.hex("bytes-written", read32(register));
        answer.say(format_args!("{:#x}/{:#x}", read8(register), read8(register + 3)));
    }
}

/// Bits that nothing compares are RAZ/WI (§4.8.1).
pub(super) fn priority_bits(answer: &mut Answer) {
    for (name, register) in [("private", private(0, PRIORITY + 16)), ("shared", distributor(PRIORITY + 48))] {
        write32(register, u32::MAX);
        answer.hex(name, read32(register));
        write32(register, 0x1122_3344);
        answer.hex("word", read32(register));
        write8(register, 0x4F);
        answer.hex("byte", read8(register));
    }
}

pub(super) fn config(answer: &mut Answer) {
    for (name, register) in [
        ("sgis", private(0, CONFIG)),
        ("ppis", private(0, CONFIG + 4)),
        ("private-spis", distributor(CONFIG)),
        ("spis", distributor(CONFIG + 8)),
    ] {
        for value in [u32::MAX, 0x5555_5555, 0x8000_0002, 0] {
            write32(register, value);
            answer.hex(name, read32(register));
        }
    }
}

pub(super) fn router_widths(answer: &mut Answer) {
    let register = distributor(ROUTER + 8 * 50);
    write64(register, 0xFF_00FF_FFFF);
    answer.hex("ones", read64(register));
    write64(register, 0x0000_0012_0034_5607);
    answer.hex("double", read64(register));
    answer.say(format_args!("halves={:#x}/{:#x}", read32(register), read32(register + 4)));
    write32(register, 1);
    answer.hex("low-written", read64(register));
    write32(register + 4, 0xFF);
    answer.hex("high-written", read64(register));
    write64(register, 0);
    // Private interrupts have no route.
    write64(distributor(ROUTER + 8 * 16), 1);
    answer.hex("of-ppi", read64(distributor(ROUTER + 8 * 16)));
}

/// Interrupt_Routing_Mode, and what is reserved.
pub(super) fn router_bits(answer: &mut Answer) {
    let register = distributor(ROUTER + 8 * 50);
    write64(register, 1 << 31 | 1);
    answer.hex("one-of-n", read64(register));
    write64(register, u64::MAX);
    answer.hex("ones", read64(register));
    write64(register, 0);
}

pub(super) fn reserved(answer: &mut Answer) {
    // GICD: 0x14, 0x20 (IMP DEF), SETSPI, between registers, SGIR (no legacy), CPENDSGIR, 0xC000 (IMP DEF).
    for offset in [0x14, 0x20, 0x40, 0x48, 0x60, 0x800, 0xBFC, 0xF00, 0xF10, 0xF20, 0x1000, 0x5FFC, 0xC000, 0xFFCC] {
        let caught = catch(|| {
            write32(distributor(offset), u32::MAX);
            answer.say(format_args!("{offset:#x}={:#x}", read32(distributor(offset))));
        });
        answer.exceptions("", &caught);
    }
    // GICR: STATUSR, between, SETLPIR, CLRLPIR, INVLPIR, INVALLR, SYNCR, between.
    for offset in [0x10, 0x18, 0x20, 0x40, 0x48, 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0x100, 0xFFCC] {
        let caught = catch(|| {
            write32(redistributor(0, offset), u32::MAX);
            answer.say(format_args!("gicr-{offset:#x}={:#x}", read32(redistributor(0, offset))));
        });
        answer.exceptions("", &caught);
    }
    answer.hex("double-reserved", read64(distributor(0x1000)));
}

/// Accesses of other widths than a register's are reserved; that they do no harm is what counts.
pub(super) fn odd_widths(answer: &mut Answer) {
    let priority = distributor(PRIORITY + 48);
    write32(priority, 0x1020_3040);
    write16(priority, 0xA0B0);
    answer.hex("priority-half", read32(priority));
    answer.hex("read", read16(priority + 2));
    write64(priority, 0x8070_6050_4030_2010);
    answer.hex("priority-double", read64(priority));
    let enable = distributor(bits::SET_ENABLE + 4);
    let caught = catch(|| {
        answer.hex("ctlr-byte", read8(CTLR));
        answer.hex("ctlr-half", read16(CTLR));
        answer.hex("ctlr-double", read64(CTLR));
        write8(enable, 0xFF);
        answer.hex("enable-byte", read32(enable));
        write16(enable, 0xFFFF);
        answer.hex("enable-half", read32(enable));
        write64(enable, u64::MAX);
        answer.hex("enable-double", read32(enable));
        answer.hex("enable-next", read32(enable + 4));
        answer.hex("enable-read-double", read64(enable));
        answer.hex("router-byte", read8(distributor(ROUTER + 8 * 40)));
    });
    answer.exceptions("caught", &caught);
    let unaligned = snippet!("ldr w1, [x0]").run(&[CTLR + 2]);
    answer.exceptions("unaligned", &unaligned.caught);
}

pub(super) fn private_in_distributor(answer: &mut Answer) {
    for register in [bits::GROUP, bits::SET_ENABLE, bits::SET_PENDING, bits::SET_ACTIVE, PRIORITY] {
        write32(distributor(register), u32::MAX);
        answer.say(format_args!("{:#x}={:#x}", register, read32(distributor(register))));
    }
    answer.hex("gicr-enable", read32(private(0, bits::SET_ENABLE)));
    answer.hex("gicr-pending", read32(private(0, bits::SET_PENDING)));
    // And a redistributor's second word of such registers is nobody's.
    for register in [bits::GROUP, bits::SET_ENABLE, bits::SET_PENDING] {
        write32(private(0, register + 4), u32::MAX);
        answer.hex("gicr-next", read32(private(0, register + 4)));
    }
}

pub(super) fn cpu_interface(answer: &mut Answer) {
    answer.hex("sre", read!("icc_sre_el1"));
    write!("icc_sre_el1", 0);
    answer.hex("sre-zero", read!("icc_sre_el1"));
    write!("icc_sre_el1", 7);
    answer.hex("ctlr", read!("icc_ctlr_el1"));
    write!("icc_ctlr_el1", u64::MAX);
    answer.hex("ctlr-ones", read!("icc_ctlr_el1"));
    write!("icc_ctlr_el1", 0);
    for value in [0, 1, u64::MAX] {
        write!("icc_igrpen0_el1", value);
        write!("icc_igrpen1_el1", value);
        answer.say(format_args!("en={:#x}/{:#x}", read!("icc_igrpen0_el1"), read!("icc_igrpen1_el1")));
    }
    write!("icc_igrpen0_el1", 0);
    answer.hex("rpr", gic::running());
    answer.put("hppir1", gic::highest());
    answer.put("hppir0", gic::highest0());
    answer.hex("ap0r0", read!("icc_ap0r0_el1"));
    answer.hex("ap1r0", read!("icc_ap1r0_el1"));
}

pub(super) fn binary_points(answer: &mut Answer) {
    for value in 0..8 {
        write!("icc_bpr0_el1", value);
        write!("icc_bpr1_el1", value);
        answer.say(format_args!("{value}:{}/{}", read!("icc_bpr0_el1"), read!("icc_bpr1_el1")));
    }
    write!("icc_ctlr_el1", 1);
    answer.put("common-bpr1", read!("icc_bpr1_el1"));
    write!("icc_bpr1_el1", 3);
    answer.put("common-written-bpr0", read!("icc_bpr0_el1"));
    write!("icc_ctlr_el1", 0);
    answer.put("bpr1", read!("icc_bpr1_el1"));
}

/// Registers of the CPU interface that exist, are write-only, or are another level's.
pub(super) fn system_registers(answer: &mut Answer) {
    macro_rules! try_read {
        ($($name:literal)*) => {$(
            let ran = snippet!(concat!("mrs x0, ", $name)).run(&[]);
            answer.exceptions($name, &ran.caught);
        )*};
    }
    macro_rules! try_write {
        ($($name:literal)*) => {$(
            let ran = snippet!(concat!("msr ", $name, ", x0")).run(&[]);
            answer.exceptions($name, &ran.caught);
        )*};
    }
    // AP0R1 to AP1R3, SGI0R, SGI1R, ASGI1R, EOIR0, DIR; SRE_EL2, SRE_EL3, IGRPEN1_EL3, CTLR_EL3, ICH_HCR, ICH_VTR, LR0.
    try_read!("s3_0_c12_c8_5" "s3_0_c12_c8_6" "s3_0_c12_c8_7" "s3_0_c12_c9_1" "s3_0_c12_c9_2" "s3_0_c12_c9_3");
    try_read!("s3_0_c12_c11_7" "s3_0_c12_c11_5" "s3_0_c12_c11_6" "s3_0_c12_c8_1" "s3_0_c12_c11_1" "s3_0_c12_c12_1");
    try_read!(
        "s3_4_c12_c9_5" "s3_6_c12_c12_5" "s3_6_c12_c12_7" "s3_6_c12_c12_4"
        "s3_4_c12_c11_0" "s3_4_c12_c11_1" "s3_4_c12_c12_0"
    );
    // IAR1, HPPIR1, RPR, IAR0, HPPIR0.
    try_write!("s3_0_c12_c12_0" "s3_0_c12_c12_2" "s3_0_c12_c11_3" "s3_0_c12_c8_0" "s3_0_c12_c8_2");
}

pub(super) fn beyond(answer: &mut Answer) {
    let beyond = redistributor(inventory::cpus(), 0);
    for (name, address) in [("rd", beyond), ("sgi", beyond + 0x1_0000), ("far", beyond + 0x20_0000)] {
        let read = snippet!("mov w1, #-1", "ldr w1, [x0]").run(&[address]);
        let write = snippet!("str w1, [x0]", "dsb sy").run(&[address]);
        answer.exceptions(name, &read.caught);
        answer.hex("value", read.x[1]);
        answer.exceptions("write", &write.caught);
    }
}
