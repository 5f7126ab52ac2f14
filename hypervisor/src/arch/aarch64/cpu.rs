// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU's own set-up at EL2: what traps, and which features there are.

use super::sysreg::{isb, read, write};
use aarch64_cpu::registers::{CNTHCTL_EL2, CNTVOFF_EL2, CPTR_EL2, HCR_EL2, MIDR_EL1, Readable, VBAR_EL2, Writeable};
use bitflags::bitflags;
use core::sync::atomic::{AtomicU64, Ordering};

bitflags! {
    /// Features that change what has to be switched or set up.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Features: u64 {
        /// Pointer authentication (FEAT_PAuth).
        const PAUTH = 1 << 0;
        /// Scalable matrices (FEAT_SME), for TPIDR2_EL0 alone; the rest traps.
        const SME = 1 << 1;
        /// Random numbers by RNDR (FEAT_RNG).
        const RNG = 1 << 2;
        /// Fine-grained traps (FEAT_FGT).
        const FGT = 1 << 3;
        /// HCRX_EL2 (FEAT_HCX).
        const HCX = 1 << 4;
        /// Error synchronisation (FEAT_RAS), for VDISR_EL2 alone; the rest traps.
        const RAS = 1 << 5;
    }
}

static FEATURES: AtomicU64 = AtomicU64::new(0);

/// Returns the features of the first CPU. The machine's CPUs are alike.
#[inline(always)]
pub fn features() -> Features {
    Features::from_bits_retain(FEATURES.load(Ordering::Relaxed))
}

/// Finds out what the CPU has. Once, on the first.
pub fn detect() {
    let isar0 = read!("id_aa64isar0_el1");
    let isar1 = read!("id_aa64isar1_el1");
    let isar2 = read!("s3_0_c0_c6_2");
    let pfr0 = read!("id_aa64pfr0_el1");
    let pfr1 = read!("id_aa64pfr1_el1");
    let mmfr0 = read!("id_aa64mmfr0_el1");
    let mmfr1 = read!("id_aa64mmfr1_el1");
    let field = |register: u64, shift: u32| register >> shift & 0xF != 0;
    let mut found = Features::empty();
    // APA and API, or APA3 of ISAR2.
    found.set(Features::PAUTH, field(isar1, 4) || field(isar1, 8) || field(isar2, 12));
    found.set(Features::SME, field(pfr1, 24));
    found.set(Features::RNG, field(isar0, 60));
    found.set(Features::FGT, field(mmfr0, 56));
    found.set(Features::HCX, field(mmfr1, 40));
    found.set(Features::RAS, field(pfr0, 28));
    FEATURES.store(found.bits(), Ordering::Relaxed);
}

/// Sets what leaves a guest for EL2 (Arm ARM D19.2.48). Beside stage 2 (VM) and all physical interrupts (FMO, IMO,
/// AMO): WFI, so that others may run; SMC; ID registers, which are sanitised (TID3) or zero (TID1);
/// implementation-defined registers (TIDCP, TACR); RAS error records (TERR); LORegions (TLOR). Pointer authentication
/// does not trap (API, APK). Invalidating by set and way cleans as well (SWIO). Memory tags (ATA) and SCXTNUM (EnSCXT)
/// stay off, that is, trapped.
fn set_hcr() {
    HCR_EL2.write(
        HCR_EL2::VM::Enable
            + HCR_EL2::SWIO::SET
            + HCR_EL2::FMO::EnableVirtualFIQ
            + HCR_EL2::IMO::EnableVirtualIRQ
            + HCR_EL2::AMO::SET
            + HCR_EL2::TWI::SET
            + HCR_EL2::TID1::SET
            + HCR_EL2::TID3::SET
            + HCR_EL2::TSC::EnableTrapEl1SmcToEl2
            + HCR_EL2::TIDCP::SET
            + HCR_EL2::TACR::SET
            + HCR_EL2::RW::EL1IsAarch64
            + HCR_EL2::TLOR::SET
            + HCR_EL2::TERR::SET
            + HCR_EL2::APK::DisableTrapPointerAuthKeyRegsToEl2
            + HCR_EL2::API::DisableTrapPointerAuthInstToEl2,
    );
}

/// CPTR_EL2 (with HCR_EL2.E2H = 0): SVE and SME trap by the bits that are RES1 without them; trace (TTA) and activity
/// monitors (TAM) trap as well; FP/SIMD does not.
const CPTR: u64 = 0x33FF & !(1 << 10) | 1 << 20 | 1 << 30;

/// Sets this CPU up for guests, with vectors that make the branch predictor forget or without.
pub fn init(hardened: bool) {
    set_hcr();
    CPTR_EL2.set(CPTR);
    write!("hstr_el2", 0);
    write!("hacr_el2", 0);
    // The physical count, which is the virtual one, and the EL1 physical timer are the guest's: EL2 has a timer of its
    // own.
    CNTHCTL_EL2.write(CNTHCTL_EL2::EL1PCTEN::SET + CNTHCTL_EL2::EL1PCEN::SET);
    CNTVOFF_EL2.set(0);
    write!("vpidr_el2", MIDR_EL1.get());
    if features().contains(Features::HCX) {
        // Whatever a bit of HCRX_EL2 enables is hidden from guests.
        write!("s3_4_c1_c2_2", 0);
    }
    if features().contains(Features::FGT) {
        // HFGRTR, HFGWTR, HFGITR, HDFGRTR, HDFGWTR: no trap of its own, and those that are on at 0 are of hidden
        // features.
        write!("s3_4_c1_c1_4", 0);
        write!("s3_4_c1_c1_5", 0);
        write!("s3_4_c1_c1_6", 0);
        write!("s3_4_c3_c1_4", 0);
        write!("s3_4_c3_c1_5", 0);
    }
    if read!("id_aa64mmfr0_el1") >> 56 & 0xF >= 2 {
        // FEAT_FGT2: HDFGRTR2, HDFGWTR2, HFGRTR2, HFGWTR2, HFGITR2, the same.
        write!("s3_4_c3_c1_0", 0);
        write!("s3_4_c3_c1_1", 0);
        write!("s3_4_c3_c1_2", 0);
        write!("s3_4_c3_c1_3", 0);
        write!("s3_4_c3_c1_7", 0);
    }
    if read!("id_aa64mmfr1_el1") >> 8 & 0xF != 0 {
        // CNTHV_CTL: EL2's virtual timer, which nobody here uses, is off whoever used it before.
        write!("s3_4_c14_c3_1", 0);
    }
    super::debug::init();
    VBAR_EL2.set(super::vectors::address(hardened));
    isb();
}

/// Waits for an interrupt, masked or not.
#[inline(always)]
pub fn wait_for_interrupt() {
    // SAFETY: interrupts are masked: the CPU only stands still.
    unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}

/// Lets another CPU run where CPUs share one, as QEMU's do when it counts instructions; a spin-loop hint elsewhere.
pub fn relax() {
    // SAFETY: a hint changes nothing.
    unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) }
}

/// Returns this CPU's affinity: MPIDR_EL1's Aff3 to Aff0, as PSCI names CPUs.
pub fn affinity() -> u64 {
    read!("mpidr_el1") & 0xFF_00FF_FFFF
}

/// Returns the address of what is this CPU's own, TPIDR_EL2.
#[inline(always)]
pub fn own() -> usize {
    read!("tpidr_el2") as usize
}

/// Sets it.
///
/// # Safety
///
/// Whoever asks for it must find there what it expects.
pub unsafe fn set_own(address: usize) {
    write!("tpidr_el2", address as u64);
}

/// Returns what the CPU says of itself to EL1: the ID registers of CRm 1 to 7, by op2.
pub fn id_registers() -> [[u64; 8]; 7] {
    macro_rules! row {
        ($crm:literal) => {
            [
                read!(concat!("s3_0_c0_c", $crm, "_0")),
                read!(concat!("s3_0_c0_c", $crm, "_1")),
                read!(concat!("s3_0_c0_c", $crm, "_2")),
                read!(concat!("s3_0_c0_c", $crm, "_3")),
                read!(concat!("s3_0_c0_c", $crm, "_4")),
                read!(concat!("s3_0_c0_c", $crm, "_5")),
                read!(concat!("s3_0_c0_c", $crm, "_6")),
                read!(concat!("s3_0_c0_c", $crm, "_7")),
            ]
        };
    }
    [row!(1), row!(2), row!(3), row!(4), row!(5), row!(6), row!(7)]
}

/// Returns the system count, as it is without waiting for what comes before.
#[inline(always)]
pub fn count() -> u64 {
    read!("cntpct_el0")
}

/// Returns a number that a guest can't foresee: RNDR where there is one, else a mix of what differs from boot to boot.
pub fn random() -> u64 {
    if features().contains(Features::RNG) {
        for _ in 0..8 {
            let (value, failed): (u64, u64);
            // SAFETY: RNDR (Arm ARM D19.2.117) changes no memory; NZCV, where it reports failure, is an operand here.
            unsafe {
                core::arch::asm!(
                    "mrs {}, s3_3_c2_c4_0",
                    "cset {}, eq",
                    out(reg) value,
                    out(reg) failed,
                    options(nomem, nostack)
                );
            }
            if failed == 0 {
                return value;
            }
        }
    }
    static STATE: AtomicU64 = AtomicU64::new(0x9E37_79B9_7F4A_7C15);
    // SplitMix64 over the counter: not entropy, but different every time. Where there is no RNDR, nothing better is
    // here.
    let mut z = STATE.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed) ^ read!("cntpct_el0").rotate_left(32);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Makes the calling CPU drop translations and instructions that another vCPU of the same VM may have left here: the
/// two share a VMID, yet may use one ASID for different address spaces.
pub fn flush_guest_tlb() {
    // SAFETY: stage 1 and 2 entries of the current VMID only; they are walked again when needed.
    unsafe { core::arch::asm!("tlbi vmalle1", "ic iallu", "dsb nsh", "isb", options(nostack, preserves_flags)) };
}

/// Puts `[start, start + size)` into memory for an observer without caches, such as a guest before it enables its MMU.
pub fn clean_to_memory(start: u64, size: u64) {
    let line = 4u64 << (read!("ctr_el0") >> 16 & 0xF);
    let mut address = start & !(line - 1);
    while address < start + size {
        // SAFETY: cleaning and invalidating a line keeps its contents.
        unsafe { core::arch::asm!("dc civac, {}", in(reg) address, options(nostack, preserves_flags)) };
        address += line;
    }
    // SAFETY: barriers; instructions that were loaded as data are fetched anew.
    unsafe { core::arch::asm!("dsb sy", "ic ialluis", "dsb sy", "isb", options(nostack, preserves_flags)) };
}

/// Writes zeroes over `[start, start + size)`, whole blocks of it, with `dc zva` where that is allowed.
///
/// # Safety
///
/// It must be mapped memory to which nobody refers.
pub unsafe fn zero(start: u64, size: u64) {
    let dczid = read!("dczid_el0");
    if dczid & 1 << 4 == 0 {
        for address in (start..start + size).step_by(4 << (dczid & 0xF)) {
            // SAFETY: as the caller promises.
            unsafe { core::arch::asm!("dc zva, {}", in(reg) address, options(nostack, preserves_flags)) };
        }
    } else {
        let start: *mut u8 = core::ptr::with_exposed_provenance_mut(start as usize);
        // SAFETY: as the caller promises.
        unsafe { start.write_bytes(0, size as usize) };
    }
}
