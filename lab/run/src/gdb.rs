// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's debugger stub, as far as the lab uses it: some CPUs run while others don't, and a CPU is stopped somewhere
//! and changed.
//!
//! It speaks gdb's remote protocol (GDB manual, appendix "Remote Protocol"). A thread of that protocol is a CPU, the
//! first one is 1.

use anyhow::{Context, Result, bail, ensure};
use shared_abi::layout::Range as Place;
use std::io::{BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Long enough for a loaded host to start a process, and to let a CPU come to its end.
const PATIENCE: Duration = Duration::from_secs(900);
/// The register after x0 to x30 and the stack pointer.
const PC: usize = 32;
/// PSTATE.
const CPSR: usize = 33;
/// Bytes that are filled by one packet; of a packet's text, two hexadecimal digits a byte, QEMU takes 4 KiB.
const FILLED: usize = 1920;

/// A connection. While it lasts, whatever stops a CPU stops all; when it ends, all go on.
#[derive(Debug)]
pub struct Gdb {
    input: BufReader<UnixStream>,
    output: UnixStream,
    /// QEMU tells registers one by one only to who has asked it which there are.
    introduced: bool,
}

impl Gdb {
    /// Connects to a QEMU that is about to listen there.
    pub fn connect(socket: &Path) -> Result<Self> {
        let begin = Instant::now();
        let output = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if begin.elapsed() > PATIENCE => {
                    return Err(error).context("QEMU's debugger does not listen");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        output.set_read_timeout(Some(PATIENCE)).context("cannot use a socket")?;
        let input = BufReader::new(output.try_clone().context("cannot share a socket")?);
        Ok(Self { input, output, introduced: false })
    }

    /// Lets some CPUs run; the others stay where they are.
    pub fn let_run(&mut self, cpus: Range<usize>) -> Result<()> {
        self.send(&cpus.fold("vCont".to_owned(), |packet, cpu| format!("{packet};c:{:x}", cpu + 1)))
    }

    /// Lets all CPUs run until one comes to a breakpoint; says which.
    pub fn run_to_breakpoint(&mut self) -> Result<usize> {
        self.send("vCont;c")?;
        self.stopped()
    }

    /// Executes one instruction of a CPU.
    pub fn step(&mut self, cpu: usize) -> Result<()> {
        self.send(&format!("vCont;s:{}", cpu + 1))?;
        self.stopped().map(|_| ())
    }

    /// Stops whatever runs.
    pub fn stop(&mut self) -> Result<()> {
        self.output.write_all(b"\x03").context("QEMU's debugger is gone")?;
        self.stopped().map(|_| ())
    }

    /// Ends the connection, and lets all CPUs run.
    pub fn detach(mut self) -> Result<()> {
        self.expect_ok("D")
    }

    /// Sets a breakpoint at an instruction.
    pub fn break_at(&mut self, address: u64) -> Result<()> {
        self.expect_ok(&format!("Z0,{address:x},4"))
    }

    /// Removes a breakpoint.
    pub fn remove_break(&mut self, address: u64) -> Result<()> {
        self.expect_ok(&format!("z0,{address:x},4"))
    }

    /// Fills memory with a word, as a CPU sees it that is where it is now.
    pub fn fill(&mut self, cpu: usize, place: Place, word: u64) -> Result<()> {
        self.select(cpu)?;
        let text = hexadecimal(&word.to_le_bytes().repeat(FILLED / 8));
        for at in (place.base..place.end()).step_by(FILLED) {
            let length = FILLED.min((place.end() - at) as usize);
            self.expect_ok(&format!("M{at:x},{length:x}:{}", &text[..2 * length]))?;
        }
        Ok(())
    }

    /// Reads x0 to x30 of a CPU.
    pub fn x(&mut self, cpu: usize, register: usize) -> Result<u64> {
        let bytes = self.register(cpu, register)?;
        Ok(u64::from_le_bytes(bytes.try_into().ok().context("a register has 8 bytes")?))
    }

    /// Says where a CPU is.
    pub fn pc(&mut self, cpu: usize) -> Result<u64> {
        self.x(cpu, PC)
    }

    /// Reads a CPU's PSTATE.
    pub fn pstate(&mut self, cpu: usize) -> Result<u32> {
        let bytes = self.register(cpu, CPSR)?;
        Ok(u32::from_le_bytes(bytes.try_into().ok().context("PSTATE has 4 bytes")?))
    }

    /// Changes one of x0 to x30 of a CPU.
    pub fn set_x(&mut self, cpu: usize, register: usize, value: u64) -> Result<()> {
        self.introduce()?;
        self.select(cpu)?;
        self.expect_ok(&format!("P{register:x}={}", hexadecimal(&value.to_le_bytes())))
    }

    fn introduce(&mut self) -> Result<()> {
        if !self.introduced {
            self.send("qXfer:features:read:target.xml:0,10")?;
            self.receive()?;
            self.introduced = true;
        }
        Ok(())
    }

    fn register(&mut self, cpu: usize, register: usize) -> Result<Vec<u8>> {
        self.introduce()?;
        self.select(cpu)?;
        self.send(&format!("p{register:x}"))?;
        let reply = self.receive()?;
        let byte = |at| reply.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        (0..reply.len()).step_by(2).map(byte).collect::<Option<_>>().with_context(|| format!("no register: {reply}"))
    }

    fn select(&mut self, cpu: usize) -> Result<()> {
        self.expect_ok(&format!("Hg{:x}", cpu + 1))
    }

    /// Waits until the CPUs have stopped; says which one is the reason.
    fn stopped(&mut self) -> Result<usize> {
        let reply = self.receive()?;
        ensure!(reply.starts_with('T') || reply.starts_with('S'), "QEMU's debugger answers {reply:?}");
        let thread = reply.split("thread:").nth(1).and_then(|text| text.split([';', '.']).next());
        let thread = thread.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        Ok(thread.unwrap_or(1).saturating_sub(1))
    }

    fn expect_ok(&mut self, packet: &str) -> Result<()> {
        self.send(packet)?;
        match self.receive()?.as_str() {
            "OK" => Ok(()),
            other => bail!("QEMU's debugger answers {other:?} to {packet:?}"),
        }
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        self.output.write_all(&framed(packet)).context("QEMU's debugger is gone")
    }

    /// Receives the next packet. Acknowledgements of what was sent come before it; nothing is lost on this way, so none
    /// is a refusal.
    fn receive(&mut self) -> Result<String> {
        let mut byte = || -> Result<u8> {
            let mut byte = [0];
            self.input.read_exact(&mut byte).context("QEMU's debugger does not answer")?;
            Ok(byte[0])
        };
        while byte()? != b'$' {}
        let mut packet = Vec::new();
        loop {
            match byte()? {
                b'#' => break,
                other => packet.push(other),
            }
        }
        let _checksum = [byte()?, byte()?];
        self.output.write_all(b"+").context("QEMU's debugger is gone")?;
        Ok(String::from_utf8_lossy(&packet).into_owned())
    }
}

/// Frames a packet: `$`, the text, `#` and the sum of its bytes.
fn framed(packet: &str) -> Vec<u8> {
    let sum = packet.bytes().fold(0u8, u8::wrapping_add);
    format!("${packet}#{sum:02x}").into_bytes()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;
    use tempfile::TempDir;

    #[test]
    fn a_packet_is_framed_as_gdb_frames_it() {
        // From the manual's description of a packet: the sum of all characters, modulo 256.
        assert_eq!(framed("OK"), b"$OK#9a");
        assert_eq!(framed(""), b"$#00");
    }

    /// Connects to a stub that expects these packets, and answers each with the text beside it; the frame's own bytes
    /// are left out.
    fn against(conversation: &'static [(&'static str, &'static str)], talk: impl FnOnce(&mut Gdb)) {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("gdb");
        let listener = UnixListener::bind(&socket).unwrap();
        let stub = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for (expected, answer) in conversation {
                let mut heard = vec![0; framed(expected).len()];
                stream.read_exact(&mut heard).unwrap();
                assert_eq!(String::from_utf8(heard).unwrap(), String::from_utf8(framed(expected)).unwrap());
                stream.write_all(b"+").unwrap();
                stream.write_all(&framed(answer)).unwrap();
                let mut acknowledged = [0];
                stream.read_exact(&mut acknowledged).unwrap();
                assert_eq!(acknowledged, *b"+");
            }
        });
        talk(&mut Gdb::connect(&socket).unwrap());
        stub.join().unwrap();
    }

    #[test]
    fn a_cpus_registers_are_read_and_changed() {
        let conversation = &[
            ("qXfer:features:read:target.xml:0,10", "m<?xml version="),
            ("Hg2", "OK"),
            ("p9", "0102030405060708"),
            ("Hg1", "OK"),
            ("P9=0001000000000000", "OK"),
        ];
        against(conversation, |gdb| {
            assert_eq!(gdb.x(1, 9).unwrap(), 0x0807_0605_0403_0201);
            gdb.set_x(0, 9, 0x100).unwrap();
        });
    }

    #[test]
    fn who_came_to_a_breakpoint_is_said() {
        against(&[("Z0,e000800,4", "OK"), ("vCont;c", "T05thread:03;")], |gdb| {
            gdb.break_at(0x0E00_0800).unwrap();
            assert_eq!(gdb.run_to_breakpoint().unwrap(), 2);
        });
    }

    #[test]
    fn cpus_are_let_go_together() {
        against(&[("vCont;c:2;c:3;c:4", "T02thread:02;"), ("D", "OK")], |gdb| {
            gdb.let_run(1..4).unwrap();
            gdb.stopped().unwrap();
            gdb.expect_ok("D").unwrap();
        });
    }

    #[test]
    fn memory_is_filled_to_its_last_byte() {
        let conversation = &[("Hg1", "OK"), ("M1000,10:00000001000000000000000100000000", "OK")];
        against(conversation, |gdb| gdb.fill(0, Place::new(0x1000, 16), 0x0100_0000).unwrap());
    }

    #[test]
    fn a_refusal_is_an_error() {
        against(&[("z0,4,4", "E22")], |gdb| {
            let error = gdb.remove_break(4).unwrap_err();
            assert!(error.to_string().contains("E22"), "{error}");
        });
    }
}
