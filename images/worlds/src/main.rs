// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worlds. What they do says the library's documentation.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
mod firmware {
    use core::arch::global_asm;
    use core::panic::PanicInfo;
    use firmware_support::board::VIRT;
    use shared_abi::optee_smc::OPTEE_SMC_CALLS_UID;
    use shared_abi::opteed::{
        TEESMC_OPTEED_RETURN_CALL_DONE, TEESMC_OPTEED_RETURN_ENTRY_DONE, TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE,
    };
    use shared_abi::psci::PSCI_SYSTEM_OFF;

    // One register: `set` writes a world's number, `look` adds its bit to w20 if the number is not there any more.
    // SP_EL1 is the TEE's own stack pointer, which it has no name for and does not use.
    global_asm!(
        r#"
        .macro set_normal bit, reg, number
        ldr     x9, =\number
        msr     \reg, x9
        .endm

        .macro set_secure bit, reg, number
        ldr     x9, =\number
        .ifc    \reg, sp_el1
        mov     sp, x9
        .else
        msr     \reg, x9
        .endif
        .endm

        .macro look_normal bit, reg, number
        mrs     x9, \reg
        ldr     x10, =\number
        cmp     x9, x10
        cset    w11, ne
        orr     w20, w20, w11, lsl #\bit
        .endm

        .macro look_secure bit, reg, number
        .if     \bit < 14
        .ifc    \reg, sp_el1
        mov     x9, sp
        .else
        mrs     x9, \reg
        .endif
        ldr     x10, =\number
        cmp     x9, x10
        cset    w11, ne
        orr     w20, w20, w11, lsl #\bit
        .endif
        .endm
        "#
    );

    /// The four programs, register by register.
    macro_rules! programs {
        ($($bit:literal $name:literal $normal:literal $secure:literal;)*) => {
            global_asm!(
                ".pushsection .text",
                "set_all_normal:",
                $(concat!("set_normal ", $bit, ", ", $name, ", ", $normal),)*
                "isb",
                "ret",
                "look_at_all_normal:",
                "mov w20, wzr",
                $(concat!("look_normal ", $bit, ", ", $name, ", ", $normal),)*
                "ret",
                "set_all_secure:",
                $(concat!("set_secure ", $bit, ", ", $name, ", ", $secure),)*
                "isb",
                "ret",
                "look_at_all_secure:",
                "mov w20, wzr",
                $(concat!("look_secure ", $bit, ", ", $name, ", ", $secure),)*
                "ret",
                ".ltorg",
                ".popsection",
            );
        };
    }
    worlds::registers!(programs);

    // Neither world needs a stack or memory of its own: everything is in registers that are not under test.
    global_asm!(
        r#"
        .pushsection .head, "ax"
        .global _start
_start:
        mrs     x9, CurrentEL
        cmp     x9, #(2 << 2)
        b.eq    normal_world

        // The TEE, first entry: x0 to x2 say nothing that it needs.
        bl      set_all_secure
        ldr     x0, ={entry_done}
        adr     x1, tee_vectors
        smc     #0

        // shared_abi::opteed::Vector, in its order.
tee_vectors:
        b       tee_call                        // yielding
        b       tee_call                        // fast
        b       .
        b       .
        b       .
        b       .
        b       .
        b       tee_off                         // the machine is about to be switched off
        b       .

tee_call:
        bl      look_at_all_secure
        bl      set_all_secure
        ldr     x0, ={call_done}
        mov     w1, w20
        mov     x2, xzr
        mov     x3, xzr
        mov     x4, xzr
        smc     #0
tee_off:
        ldr     x0, ={off_done}
        mov     x1, xzr
        smc     #0

        // The normal world: w21 and w22 collect what was not kept, w23 counts rounds.
normal_world:
        mov     w21, wzr
        mov     w22, wzr
        mov     w23, #2
1:      bl      set_all_normal
        ldr     x0, ={call}
        mov     x7, xzr
        smc     #0
        orr     w22, w22, w0
        bl      look_at_all_normal
        orr     w21, w21, w20
        subs    w23, w23, #1
        b.ne    1b

        ldr     x1, ={uart}
        adr     x0, said
        bl      print
        mov     w2, w21
        bl      print_hex
        adr     x0, of_the_tee
        bl      print
        mov     w2, w22
        bl      print_hex
        mov     w3, #10
        str     w3, [x1]
        ldr     x0, ={power_off}
        smc     #0
        b       .

        // The string at x0 to the UART at x1. Changes x0 and x3.
print:  ldrb    w3, [x0], #1
        cbz     w3, 2f
        str     w3, [x1]
        b       print
2:      ret

        // w2 in eight hexadecimal digits to the UART at x1. Changes w2 to w4.
print_hex:
        mov     w4, #8
3:      ror     w2, w2, #28
        and     w3, w2, #0xf
        cmp     w3, #10
        add     w3, w3, #48
        b.lo    4f
        add     w3, w3, #39
4:      str     w3, [x1]
        subs    w4, w4, #1
        b.ne    3b
        ret

said:   .asciz  "[probe] not kept: normal world 0x"
of_the_tee: .asciz ", TEE 0x"
        .balign 4
        .ltorg
        .popsection
        "#,
        entry_done = const TEESMC_OPTEED_RETURN_ENTRY_DONE.0,
        call_done = const TEESMC_OPTEED_RETURN_CALL_DONE.0,
        off_done = const TEESMC_OPTEED_RETURN_SYSTEM_OFF_DONE.0,
        call = const OPTEE_SMC_CALLS_UID.0,
        power_off = const PSCI_SYSTEM_OFF.0,
        uart = const VIRT.uart.registers.base,
    );

    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        loop {}
    }
}

/// On the host there is nothing to run: the library's list is all there is.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the worlds run in the machine: cargo lab check 3");
}
