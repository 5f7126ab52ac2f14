// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snippets: instructions that a check runs with registers of its choice. What they fault on is noted and skipped.

use super::cpu::{Caught, Cpu, Resume};
use super::exceptions::skip;
use super::tables::{self, attribute};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;

/// How many registers a snippet has: x0 to x28.
pub const REGISTERS: usize = 29;

/// Pages of the window in which EL0 finds its code.
const CODE_PAGE: usize = 500;
/// Where that is.
pub const EL0_CODE: u64 = tables::WINDOW + 4096 * CODE_PAGE as u64;
/// SPSR_EL1 for AArch32 at EL0, interrupts masked.
const AARCH32: u64 = 0x1D0;
/// SPSR_EL1 for EL0, interrupts masked.
const EL0: u64 = 0x3C0;

/// Instructions. They may change x0 to x29, flags, and memory that no Rust object is in.
#[derive(Clone, Copy)]
pub struct Snippet(unsafe extern "C" fn());

/// What came of a snippet.
pub struct Ran {
    /// Its registers afterwards.
    pub x: [u64; REGISTERS],
    /// What it faulted on.
    pub caught: Caught,
}

impl Snippet {
    /// Makes one for `snippet!`, whose instructions keep to what a [`Snippet`] may do.
    pub const fn new(code: unsafe extern "C" fn()) -> Self {
        Self(code)
    }

    /// Says where it stands.
    pub fn address(self) -> u64 {
        self.0 as *const () as u64
    }

    /// Runs it with these registers, and zeros in the others.
    pub fn run(self, registers: &[u64]) -> Ran {
        self.run_with(skip, registers)
    }

    /// Runs it with another way to go on from what it faults on.
    pub fn run_with(self, resume: Resume, registers: &[u64]) -> Ran {
        let mut x = [0; REGISTERS];
        x[..registers.len()].copy_from_slice(registers);
        let caught = Cpu::this().catch(resume, || {
            // SAFETY: the assembly keeps to the procedure call standard, and the snippet to what its type says.
            unsafe { contract_snippet(self.address(), &mut x, 0) };
        });
        Ran { x, caught }
    }

    /// Runs it at EL0.
    pub fn run_at_el0(self, registers: &[u64]) -> Ran {
        self.run_at_el0_with(skip, registers)
    }

    /// Runs it at EL0, from a view of its page in the window. Nothing else of the program is there for it.
    pub fn run_at_el0_with(self, resume: Resume, registers: &[u64]) -> Ran {
        let page = tables::map(
            CODE_PAGE,
            self.address(),
            attribute::MEMORY | attribute::EL0 | attribute::READ_ONLY | attribute::NEVER_BY_EL1,
        );
        // It may reach into the next page.
        tables::map(
            CODE_PAGE + 1,
            self.address() + 4096,
            attribute::MEMORY | attribute::EL0 | attribute::READ_ONLY | attribute::NEVER_BY_EL1,
        );
        let mut x = [0; REGISTERS];
        x[..registers.len()].copy_from_slice(registers);
        let caught = Cpu::this().catch(resume, || {
            // SAFETY: as in `run_with`; EL0 reaches the window alone.
            unsafe { contract_snippet(page + self.address() % 4096, &mut x, EL0) };
        });
        tables::unmap(CODE_PAGE);
        tables::unmap(CODE_PAGE + 1);
        Ran { x, caught }
    }
}

/// Instructions of AArch32, which the window shows to EL0.
#[repr(C, align(4096))]
struct Page(UnsafeCell<[u32; 1024]>);

// SAFETY: only the boot CPU writes there, and EL0 reads.
unsafe impl Sync for Page {}

static PAGE: Page = Page(UnsafeCell::new([0; 1024]));

/// Runs instructions of A32, or of T32, at EL0; r0 to r14 are x0 to x14. They end with `svc #0xe0`.
pub fn run_aarch32(code: &[u32], thumb: bool, registers: &[u64]) -> Ran {
    // SAFETY: the boot CPU's, and nobody runs it now.
    let page = unsafe { &mut *PAGE.0.get() };
    page[..code.len()].copy_from_slice(code);
    let attributes = attribute::MEMORY | attribute::EL0 | attribute::READ_ONLY | attribute::NEVER_BY_EL1;
    let here = PAGE.0.get().expose_provenance() as u64;
    let at = tables::map(CODE_PAGE, here, attributes);
    let mut x = [0; REGISTERS];
    x[..registers.len()].copy_from_slice(registers);
    let caught = Cpu::this().catch(skip, || {
        // SAFETY: EL0 reaches the window alone.
        unsafe {
            asm!("dsb ish", "ic iallu", "dsb ish", "isb", options(nostack));
            contract_snippet(at, &mut x, AARCH32 | u64::from(thumb) << 5);
        }
    });
    tables::unmap(CODE_PAGE);
    Ran { x, caught }
}

/// Makes a [`Snippet`] of lines of assembly. One for EL0 ends with `svc #0xe0`, which brings it back; what runs at EL1
/// comes back behind the last line.
macro_rules! snippet {
    ($($line:expr),+ $(,)?) => {{
        #[unsafe(naked)]
        unsafe extern "C" fn code() {
            core::arch::naked_asm!(
                ".arch_extension fp",
                ".arch_extension simd",
                ".arch_extension lse",
                ".arch_extension rcpc",
                $($line,)+
                "ret",
            )
        }
        $crate::arch::snippet::Snippet::new(code)
    }};
}

pub(crate) use snippet;

unsafe extern "C" {
    fn contract_snippet(code: u64, registers: &mut [u64; REGISTERS], spsr: u64);
}

global_asm!(
    r#"
    .pushsection .text.contract_snippet, "ax"
    // x29 has the registers.
    .macro load_registers
    ldp     x0, x1, [x29, #0]
    ldp     x2, x3, [x29, #16]
    ldp     x4, x5, [x29, #32]
    ldp     x6, x7, [x29, #48]
    ldp     x8, x9, [x29, #64]
    ldp     x10, x11, [x29, #80]
    ldp     x12, x13, [x29, #96]
    ldp     x14, x15, [x29, #112]
    ldp     x16, x17, [x29, #128]
    ldp     x18, x19, [x29, #144]
    ldp     x20, x21, [x29, #160]
    ldp     x22, x23, [x29, #176]
    ldp     x24, x25, [x29, #192]
    ldp     x26, x27, [x29, #208]
    ldr     x28, [x29, #224]
    .endm

    // contract_snippet(code, registers, spsr): at EL1 if spsr is 0, else by ERET, from where it comes back by
    // contract_snippet_back (exceptions.rs).
    .global contract_snippet
contract_snippet:
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x1, [sp, #96]
    mov     x30, x0
    mov     x29, x1
    cbnz    x2, 1f
    load_registers
    blr     x30
    b       contract_snippet_back
1:  msr     elr_el1, x0
    msr     spsr_el1, x2
    load_registers
    eret
    .global contract_snippet_back
contract_snippet_back:
    ldr     x29, [sp, #96]
    stp     x0, x1, [x29, #0]
    stp     x2, x3, [x29, #16]
    stp     x4, x5, [x29, #32]
    stp     x6, x7, [x29, #48]
    stp     x8, x9, [x29, #64]
    stp     x10, x11, [x29, #80]
    stp     x12, x13, [x29, #96]
    stp     x14, x15, [x29, #112]
    stp     x16, x17, [x29, #128]
    stp     x18, x19, [x29, #144]
    stp     x20, x21, [x29, #160]
    stp     x22, x23, [x29, #176]
    stp     x24, x25, [x29, #192]
    stp     x26, x27, [x29, #208]
    str     x28, [x29, #224]
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #112
    ret
    .popsection
"#
);
