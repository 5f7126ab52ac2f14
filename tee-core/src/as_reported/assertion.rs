// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a failed assertion of the report's TEE does: it says so in two lines of that TEE's form, and the CPU stops.

/// Says which assertion failed, and does not come back.
#[cold]
pub(crate) fn failed(assertion: &str, line: u32, function: &str) -> ! {
    #[cfg(as_reported)]
    {
        use crate::arch::aarch64::cpu;
        use crate::platform::console::last_words;
        let cpu = cpu::index();
        crate::trace::panic(format_args!("bget: {assertion}"));
        let place = "tee-core/src/as_reported/bget.rs";
        last_words(format_args!("E/TC:{cpu} 0   assertion '{assertion}' failed at {place}:{line} <{function}>"));
        last_words(format_args!("E/TC:{cpu} 0   Panic at {}:{} <failed>", file!(), line!()));
        cpu::stop()
    }
    #[cfg(not(as_reported))]
    panic!("assertion '{assertion}' failed at line {line} <{function}>")
}
