//! Snippets: instructions that a check runs with registers of its choice. What they fault on is noted and skipped.

use super::cpu::{Caught, Cpu, Resume};
use super::exceptions::skip;
use core::arch::global_asm;

/// How many registers a snippet has: x0 to x28.
pub const REGISTERS: usize = 29;

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
    /// For `snippet!`, whose instructions keep to what a [`Snippet`] may do.
    pub const fn new(code: unsafe extern "C" fn()) -> Self {
        Self(code)
    }

    /// Where it stands.
    pub fn address(self) -> u64 {
        self.0 as *const () as u64
    }

    /// Runs it with these registers, and zeros in the others.
    pub fn run(self, registers: &[u64]) -> Ran {
        self.run_with(skip, registers)
    }

    /// The same with another way to go on from what it faults on.
    pub fn run_with(self, resume: Resume, registers: &[u64]) -> Ran {
        let mut x = [0; REGISTERS];
        x[..registers.len()].copy_from_slice(registers);
        let caught = Cpu::this().catch(resume, || {
            // SAFETY: The assembly keeps to the procedure call standard, and the snippet to what its type says.
            unsafe { contract_snippet(self.0, &mut x) };
        });
        Ran { x, caught }
    }
}

/// Makes a [`Snippet`] of lines of assembly.
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
    fn contract_snippet(code: unsafe extern "C" fn(), registers: &mut [u64; REGISTERS]);
}

global_asm!(
    r#"
    .pushsection .text.contract_snippet, "ax"
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
    blr     x30
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
