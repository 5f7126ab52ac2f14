// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the first instruction to Rust, on the first CPU and on the others.
//!
//! The image begins with the header of the arm64 boot protocol (Linux `Documentation/arch/arm64/booting.rst`), so that
//! QEMU's `-kernel`, U-Boot, TF-A and our monitor all start it the same way: at EL2, MMU and caches off, x0 = device
//! tree. It was linked at 0 and finds out where it is.

use core::arch::global_asm;
use firmware_support::arch::start;
use firmware_support::image_header;

global_asm!(
    image_header!(".quad 0, 0, 0"),
    r#"
1:  msr     daifset, #0xf
    mov     x19, x0             // device tree
    mrs     x1, CurrentEL
    cmp     x1, #8              // EL2
    b.ne    5f

    // Nothing of the image may linger in a cache that is about to be enabled: all writes below go to memory.
    adrp    x20, _image_start
    add     x20, x20, :lo12:_image_start
    adrp    x21, _image_end
    add     x21, x21, :lo12:_image_end

    bl      {relocate}
    cbz     x0, 6f

5:  wfi                         // not at EL2, or not our image
    b       5b

6:  dsb     sy
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2          // smallest data cache line
    sub     x4, x3, #1
    bic     x1, x20, x4
7:  dc      ivac, x1
    add     x1, x1, x3
    cmp     x1, x21
    b.lo    7b
    ic      iallu
    dsb     sy
    isb

    adrp    x1, {boot_stack}
    add     x1, x1, :lo12:{boot_stack}
    mov     x2, #{stack_size}
    add     sp, x1, x2
    mov     x0, x19
    mov     x1, x20
    mov     x2, x21
    b       hypervisor_main

    // PSCI CPU_ON brings the other CPUs here, x0 = the address of their `Secondary`.
    .global secondary_entry
secondary_entry:
    msr     daifset, #0xf
    ldp     x1, x2, [x0]        // TTBR0, TCR
    ldp     x3, x4, [x0, #16]   // MAIR, SCTLR
    ldp     x5, x6, [x0, #32]   // stack, argument
    msr     ttbr0_el2, x1
    msr     tcr_el2, x2
    msr     mair_el2, x3
    dsb     sy
    tlbi    alle2
    ic      iallu
    dsb     sy
    isb
    msr     sctlr_el2, x4
    isb
    mov     sp, x5
    mov     x0, x6
    b       hypervisor_secondary
    .popsection
"#,
    relocate = sym start::relocate,
    boot_stack = sym super::stack::BOOT,
    stack_size = const super::stack::WITH_GUARD,
);

unsafe extern "C" {
    /// Begins on a CPU that CPU_ON sends here, with the address of its [`Secondary`]. It goes on in
    /// `hypervisor_secondary`, as the first CPU does in `hypervisor_main`; both are in the bin's `main.rs`.
    pub fn secondary_entry();
}

/// What a CPU that PSCI starts needs before it has an MMU. `secondary_entry` knows the layout.
#[repr(C)]
pub struct Secondary {
    /// TTBR0_EL2.
    pub ttbr0: u64,
    /// TCR_EL2.
    pub tcr: u64,
    /// MAIR_EL2.
    pub mair: u64,
    /// SCTLR_EL2.
    pub sctlr: u64,
    /// Its stack pointer.
    pub stack: u64,
    /// Handed to `hypervisor_secondary`.
    pub cpu: u64,
}

impl Secondary {
    /// Says what CPU_ON is to be told so that a CPU comes this way: its entry point, and its argument.
    pub fn entry(&'static self) -> (u64, u64) {
        let argument = core::ptr::from_ref(self) as u64;
        super::cpu::clean_to_memory(argument, size_of::<Self>() as u64);
        (secondary_entry as *const () as u64, argument)
    }
}
