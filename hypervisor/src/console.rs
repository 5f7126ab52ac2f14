// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one console that all share: the VMs' lines and the hypervisor's, each prefixed with who speaks.
//!
//! A VM's output arrives in pieces ([`crate::device::pl011`] gathers lines). A piece without a line end, such as a
//! prompt, leaves its line open: the same VM may go on with it, anybody else begins a new one.
#![forbid(unsafe_code)]

use core::fmt::{self, Write};
use shared_abi::client::VmId;

/// Where bytes go.
pub trait Wire {
    /// Sends a byte, waiting for room if need be.
    fn send(&mut self, byte: u8);
}

/// The console on a wire.
pub struct Console<W> {
    wire: W,
    /// Whose line is open.
    open: Option<VmId>,
}

impl<W: Wire> Console<W> {
    /// Makes a console at the start of a line.
    pub const fn new(wire: W) -> Self {
        Self { wire, open: None }
    }

    /// Returns the wire, for what comes in on it.
    pub fn wire(&mut self) -> &mut W {
        &mut self.wire
    }

    /// Prints a whole line of a VM.
    pub fn line(&mut self, vm: VmId, text: &[u8]) {
        self.partial(vm, text);
        self.end();
    }

    /// Prints a piece of a VM's line and leaves the line open.
    pub fn partial(&mut self, vm: VmId, text: &[u8]) {
        if self.open != Some(vm) {
            self.end();
            let _ = write!(self, "[{vm}] ");
            self.open = Some(vm);
        }
        for byte in text {
            self.wire.send(*byte);
        }
    }

    /// Prints a whole line of the hypervisor's.
    pub fn log(&mut self, text: fmt::Arguments<'_>) {
        self.end();
        let _ = write!(self, "[HYP] {text}\r\n");
    }

    /// Prints a line that brings its own end, for machines.
    pub fn whole(&mut self, line: &[u8]) {
        self.end();
        for byte in line {
            self.wire.send(*byte);
        }
    }

    fn end(&mut self) {
        if self.open.take().is_some() {
            self.wire.send(b'\r');
            self.wire.send(b'\n');
        }
    }
}

impl<W: Wire> Write for Console<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.wire.send(byte);
        }
        Ok(())
    }
}

/// Starts a command to the console: Ctrl-A.
pub const ESCAPE: u8 = 0x01;

/// What a byte that came in means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// For the selected VM.
    Byte(u8),
    /// Select the next VM.
    NextVm,
    /// Part of a command, or an unknown one.
    Nothing,
}

/// Tells commands from input.
#[derive(Default)]
pub struct Escape {
    seen: bool,
}

impl Escape {
    /// Makes one that has seen nothing yet.
    pub const fn new() -> Self {
        Self { seen: false }
    }

    /// Takes the next byte.
    pub fn take(&mut self, byte: u8) -> Input {
        match (core::mem::take(&mut self.seen), byte) {
            (false, ESCAPE) => {
                self.seen = true;
                Input::Nothing
            }
            (false, byte) | (true, byte @ ESCAPE) => Input::Byte(byte),
            (true, b'n') => Input::NextVm,
            (true, _) => Input::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Wire for Vec<u8> {
        fn send(&mut self, byte: u8) {
            self.push(byte);
        }
    }

    fn vm(id: u16) -> VmId {
        VmId::new(id).unwrap()
    }

    fn printed(console: &Console<Vec<u8>>) -> &str {
        core::str::from_utf8(&console.wire).unwrap()
    }

    #[test]
    fn every_line_says_whose_it_is() {
        let mut console = Console::new(Vec::new());
        console.line(vm(1), b"one");
        console.log(format_args!("two {}", 2));
        console.line(vm(2), b"");
        assert_eq!(printed(&console), "[vm1] one\r\n[HYP] two 2\r\n[vm2] \r\n");
    }

    #[test]
    fn an_open_line_goes_on_unless_somebody_else_speaks() {
        let mut console = Console::new(Vec::new());
        console.partial(vm(1), b"/ # ");
        console.partial(vm(1), b"ls");
        console.line(vm(1), b"");
        console.partial(vm(1), b"/ # ");
        console.line(vm(2), b"hello");
        console.line(vm(1), b"pwd");
        console.partial(vm(1), b"/ # ");
        console.whole(b"\x1e...\n");
        assert_eq!(
            printed(&console),
            "[vm1] / # ls\r\n[vm1] / # \r\n[vm2] hello\r\n[vm1] pwd\r\n[vm1] / # \r\n\x1e...\n"
        );
    }

    #[test]
    fn control_a_is_a_command_and_twice_it_is_itself() {
        let mut escape = Escape::new();
        let taken: Vec<Input> = [b'a', 1, b'n', 1, 1, 1, b'?', b'b'].map(|byte| escape.take(byte)).to_vec();
        use Input::*;
        assert_eq!(taken, [Byte(b'a'), Nothing, NextVm, Nothing, Byte(1), Nothing, Nothing, Byte(b'b')]);
    }
}
