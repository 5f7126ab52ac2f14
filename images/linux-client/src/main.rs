// SPDX-License-Identifier: MIT OR Apache-2.0
//! `tee-client`, the Linux guest's program. See the library's documentation.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]
#![deny(unreachable_pub)]

#[cfg(target_os = "none")]
mod program {
    use core::fmt::Write;
    use core::panic::PanicInfo;

    use linux_client::arch::{Arguments, Output, TeeDevice, exit};
    use linux_client::client::{Failure, Status, run};
    use linux_client::command::{Command, USAGE};
    use linux_client::device::Device;

    /// Runs the program; the library's entry calls it by this name.
    #[unsafe(no_mangle)]
    fn tee_client(arguments: &Arguments) -> i32 {
        let mut out = Output::new();
        let status = match Command::parse(arguments.words()) {
            Some(command) => match TeeDevice::open() {
                Ok(device) => run(command, &mut Device::new(device), &mut out),
                Err(errno) => writeln!(out, "tee: {}", Failure::NoDevice(errno)).map(|()| Status::NoTee),
            },
            None => out.write_str(USAGE).map(|()| Status::Usage),
        };
        out.flush();
        status.unwrap_or(Status::Refused) as i32
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        let mut out = Output::new();
        let _ = writeln!(out, "tee-client: {info}");
        // What Rust programs with a standard library end with after a panic.
        exit(101)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("tee-client runs in the Linux guest only");
}
