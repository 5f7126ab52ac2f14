// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each command asks of the TEE, and what the user is told.

use core::fmt::{self, Write};

use shared_abi::pta::{stats, vault};
use shared_abi::tee::TeeResult;
use uuid::Uuid;
use zerocopy::FromBytes;

use crate::command::{Command, Vault};
use crate::ioctl::{IMPLEMENTATION_OPTEE, Version};

/// The TEE, as a driver offers it. Memory that is shared with it has two halves, [`Half::First`] and [`Half::Second`].
pub trait Tee {
    /// Asks which TEE it is.
    fn version(&mut self) -> Result<Version, Failure>;
    /// Opens a session with a trusted application.
    fn open(&mut self, uuid: Uuid) -> Result<Session, Failure>;
    /// Invokes a command.
    fn invoke(&mut self, session: &Session, function: u32, arguments: [Argument<'_>; 2]) -> Result<Filled, Failure>;
    /// Copies from the start of a half what the TEE put there; as much as fits into `into`.
    fn read(&mut self, half: Half, into: &mut [u8]);
    /// Closes a session. That can't fail in a way that matters: the kernel closes what is left open.
    fn close(&mut self, session: Session);
}

/// An open session, closed once.
#[derive(Debug, PartialEq, Eq)]
pub struct Session(pub u32);

/// A half of the shared memory. Each argument that needs memory has its own: the first argument the first half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The first.
    First,
    /// The second.
    Second,
}

/// Bytes in a half of the shared memory: more than any value of the vault, so that it is the TEE that refuses.
pub const HALF: usize = 2048;

/// An argument of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// Not used.
    None,
    /// Two numbers.
    Value(u64, u64),
    /// Bytes for the TEE.
    Input(&'a [u8]),
    /// Room for the TEE's answer: its whole half.
    Output,
}

/// How many bytes the TEE filled of each output.
pub type Filled = [u64; 2];

/// Why something could not be had of the TEE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel has no TEE device.
    NoDevice(Errno),
    /// The kernel refused.
    Kernel(Errno),
    /// More bytes than a half of the shared memory.
    TooLong,
    /// The TEE answered with an error.
    Tee {
        /// Its result.
        result: TeeResult,
        /// Where it says the result comes from (`TEEC_ORIGIN_*`).
        origin: u32,
    },
}

/// An error number of the kernel, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// The program's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Done = 0,
    /// The TEE, or the kernel, refused.
    Refused = 1,
    /// The command line says nothing known.
    Usage = 2,
    /// The TEE has nothing of that name.
    NotFound = 3,
    /// There is no TEE.
    NoTee = 4,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice(errno) => write!(f, "no TEE: /dev/tee0 can't be opened (errno {})", errno.0),
            Self::Kernel(errno) => write!(f, "refused by the kernel (errno {})", errno.0),
            Self::TooLong => write!(f, "longer than {HALF} bytes"),
            Self::Tee { result: TeeResult::ITEM_NOT_FOUND, .. } => {
                write!(f, "not found (0x{:08X})", TeeResult::ITEM_NOT_FOUND.0)
            }
            Self::Tee { result, origin } => match result.name() {
                Some(_) => write!(f, "{result} (0x{:08X}), origin {origin}", result.0),
                None => write!(f, "0x{:08X}, origin {origin}", result.0),
            },
        }
    }
}

impl Failure {
    fn status(self) -> Status {
        match self {
            Self::NoDevice(_) => Status::NoTee,
            Self::Tee { result: TeeResult::ITEM_NOT_FOUND, .. } => Status::NotFound,
            Self::Kernel(_) | Self::TooLong | Self::Tee { .. } => Status::Refused,
        }
    }
}

/// Does what `command` asks and says on `out` what came of it, in one line or a few.
pub fn run(command: Command<'_>, tee: &mut impl Tee, out: &mut impl Write) -> Result<Status, fmt::Error> {
    match command {
        Command::Version => version(tee, out),
        Command::Stats => stats(tee, out),
        Command::Vault(command) => vault(command, tee, out),
    }
}

fn version(tee: &mut impl Tee, out: &mut impl Write) -> Result<Status, fmt::Error> {
    match tee.version() {
        Ok(version) => {
            let name = if version.implementation == IMPLEMENTATION_OPTEE { "OP-TEE" } else { "unknown" };
            writeln!(
                out,
                "tee: implementation {} ({name}), capabilities 0x{:x}",
                version.implementation, version.capabilities
            )?;
            Ok(Status::Done)
        }
        Err(failure) => {
            writeln!(out, "tee: {failure}")?;
            Ok(failure.status())
        }
    }
}

fn stats(tee: &mut impl Tee, out: &mut impl Write) -> Result<Status, fmt::Error> {
    let arguments = [Argument::Value(stats::ALLOC_ID_ALL, 0), Argument::Output];
    let mut buffer = [0; HALF];
    match ask(tee, stats::UUID, stats::CMD_ALLOC_STATS, arguments, &mut buffer) {
        Ok(answer) => {
            let records = answer.chunks_exact(size_of::<stats::Alloc>());
            if !records.remainder().is_empty() {
                // Older versions of OP-TEE have a shorter record, told from this one by nothing but the sizes.
                writeln!(out, "stats: {} bytes in another version's format", answer.len())?;
                return Ok(Status::Done);
            }
            for record in records {
                let Ok(record) = stats::Alloc::read_from_bytes(record) else { continue };
                let name = record.desc.split(|byte| *byte == 0).next().unwrap_or_default();
                writeln!(
                    out,
                    "stats: {}: {} of {} bytes allocated, at most {}, {} allocations failed",
                    name.escape_ascii(),
                    record.allocated,
                    record.size,
                    record.max_allocated,
                    record.num_alloc_fail
                )?;
            }
            Ok(Status::Done)
        }
        Err(failure) => {
            writeln!(out, "stats: {failure}")?;
            Ok(failure.status())
        }
    }
}

fn vault(command: Vault<'_>, tee: &mut impl Tee, out: &mut impl Write) -> Result<Status, fmt::Error> {
    let (verb, name, function, second) = match command {
        Vault::Put { name, value } => ("put", name, vault::CMD_PUT, Argument::Input(value)),
        Vault::Get { name } => ("get", name, vault::CMD_GET, Argument::Output),
        Vault::Delete { name } => ("delete", name, vault::CMD_DELETE, Argument::None),
    };
    write!(out, "vault: {verb} {}: ", name.escape_ascii())?;
    let mut buffer = [0; HALF];
    match ask(tee, vault::UUID, function, [Argument::Input(name), second], &mut buffer) {
        Ok(value) => {
            match command {
                Vault::Get { .. } => writeln!(out, "{}", value.escape_ascii())?,
                Vault::Put { value, .. } => writeln!(out, "done, {} bytes", value.len())?,
                Vault::Delete { .. } => writeln!(out, "done")?,
            }
            Ok(Status::Done)
        }
        Err(failure) => {
            writeln!(out, "{failure}")?;
            Ok(failure.status())
        }
    }
}

/// Sends one command in a session of its own; answers what the TEE put into the second argument.
fn ask<'a>(
    tee: &mut impl Tee,
    uuid: Uuid,
    function: u32,
    arguments: [Argument<'_>; 2],
    buffer: &'a mut [u8; HALF],
) -> Result<&'a [u8], Failure> {
    let session = tee.open(uuid)?;
    let filled = tee.invoke(&session, function, arguments);
    tee.close(session);
    let filled = match arguments[1] {
        // The TEE's word, not a fact: no more than the half is there to read.
        Argument::Output => usize::try_from(filled?[1]).unwrap_or(HALF).min(HALF),
        _ => filled.map(|_| 0)?,
    };
    let answer = &mut buffer[..filled];
    tee.read(Half::Second, answer);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use zerocopy::{FromZeros, IntoBytes};

    /// A TEE with a vault and one heap.
    #[derive(Default)]
    struct Fake {
        secrets: BTreeMap<Vec<u8>, Vec<u8>>,
        answer: Vec<u8>,
        /// Claim this size instead of the answer's.
        claimed: Option<u64>,
        opened: usize,
        closed: usize,
        absent: bool,
    }

    impl Tee for Fake {
        fn version(&mut self) -> Result<Version, Failure> {
            if self.absent {
                return Err(Failure::NoDevice(Errno(2)));
            }
            Ok(Version { implementation: 1, implementation_capabilities: 1, capabilities: 0xd })
        }

        fn open(&mut self, uuid: Uuid) -> Result<Session, Failure> {
            if self.absent {
                return Err(Failure::NoDevice(Errno(2)));
            }
            assert!(uuid == vault::UUID || uuid == stats::UUID);
            self.opened += 1;
            Ok(Session(1))
        }

        fn invoke(&mut self, _: &Session, function: u32, arguments: [Argument<'_>; 2]) -> Result<Filled, Failure> {
            const NOT_FOUND: Failure = Failure::Tee { result: TeeResult::ITEM_NOT_FOUND, origin: 4 };
            match (function, arguments) {
                (vault::CMD_PUT, [Argument::Input(name), Argument::Input(value)]) => {
                    if name.len() > vault::MAX_NAME {
                        return Err(Failure::Tee { result: TeeResult::BAD_PARAMETERS, origin: 4 });
                    }
                    self.secrets.insert(name.to_vec(), value.to_vec());
                }
                (vault::CMD_GET, [Argument::Input(name), Argument::Output]) => {
                    self.answer = self.secrets.get(name).ok_or(NOT_FOUND)?.clone();
                }
                (vault::CMD_DELETE, [Argument::Input(name), Argument::None]) => {
                    self.secrets.remove(name).ok_or(NOT_FOUND)?;
                }
                (stats::CMD_ALLOC_STATS, [Argument::Value(0, 0), Argument::Output]) => {
                    let mut heap = stats::Alloc::new_zeroed();
                    heap.desc[..4].copy_from_slice(b"Heap");
                    (heap.allocated, heap.max_allocated, heap.size) = (10, 20, 4096);
                    self.answer = heap.as_bytes().to_vec();
                }
                other => panic!("asked for {other:?}"),
            }
            Ok([0, self.claimed.unwrap_or(self.answer.len() as u64)])
        }

        fn read(&mut self, half: Half, into: &mut [u8]) {
            assert_eq!(half, Half::Second);
            let length = into.len().min(self.answer.len());
            into[..length].copy_from_slice(&self.answer[..length]);
        }

        fn close(&mut self, _: Session) {
            self.closed += 1;
        }
    }

    fn said(tee: &mut Fake, arguments: &[&[u8]]) -> (Status, String) {
        let mut out = String::new();
        let status = run(Command::parse(arguments).unwrap(), tee, &mut out).unwrap();
        assert_eq!(tee.opened, tee.closed, "a session was left open");
        (status, out)
    }

    #[test]
    fn what_was_put_is_got_until_it_is_deleted() {
        let tee = &mut Fake::default();
        assert_eq!(
            said(tee, &[b"vault", b"put", b"colour", b"blue"]),
            (Status::Done, "vault: put colour: done, 4 bytes\n".into())
        );
        assert_eq!(said(tee, &[b"vault", b"get", b"colour"]), (Status::Done, "vault: get colour: blue\n".into()));
        assert_eq!(said(tee, &[b"vault", b"delete", b"colour"]), (Status::Done, "vault: delete colour: done\n".into()));
        assert_eq!(
            said(tee, &[b"vault", b"get", b"colour"]),
            (Status::NotFound, "vault: get colour: not found (0xFFFF0008)\n".into())
        );
    }

    #[test]
    fn an_error_of_the_tee_is_named() {
        let (status, line) = said(&mut Fake::default(), &[b"vault", b"put", &[b'x'; 33], b"v"]);
        assert_eq!(status, Status::Refused);
        assert!(line.ends_with("TEE_ERROR_BAD_PARAMETERS (0xFFFF0006), origin 4\n"), "{line}");
    }

    #[test]
    fn a_tee_that_claims_more_than_there_is_is_not_believed() {
        let tee = &mut Fake { claimed: Some(u64::MAX), ..Fake::default() };
        tee.secrets.insert(b"n".to_vec(), b"v".to_vec());
        assert_eq!(said(tee, &[b"vault", b"get", b"n"]).0, Status::Done);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_escaped() {
        let tee = &mut Fake::default();
        tee.secrets.insert(b"n".to_vec(), b"\x1b[2J\n".to_vec());
        assert_eq!(said(tee, &[b"vault", b"get", b"n"]).1, "vault: get n: \\x1b[2J\\n\n");
    }

    #[test]
    fn heap_figures_are_shown() {
        assert_eq!(
            said(&mut Fake::default(), &[b"stats"]).1,
            "stats: Heap: 10 of 4096 bytes allocated, at most 20, 0 allocations failed\n"
        );
    }

    #[test]
    fn records_of_another_size_are_not_misread() {
        // OP-TEE 4.5: four pools, 56 bytes each.
        let tee = &mut Fake { claimed: Some(224), ..Fake::default() };
        assert_eq!(said(tee, &[b"stats"]).1, "stats: 224 bytes in another version's format\n");
    }

    #[test]
    fn the_version_names_the_implementation() {
        assert_eq!(said(&mut Fake::default(), &[b"version"]).1, "tee: implementation 1 (OP-TEE), capabilities 0xd\n");
    }

    #[test]
    fn without_a_tee_every_command_says_so() {
        for arguments in [&[b"version".as_slice()][..], &[b"stats"], &[b"vault", b"get", b"n"]] {
            let (status, line) = said(&mut Fake { absent: true, ..Fake::default() }, arguments);
            assert_eq!(status, Status::NoTee);
            assert!(line.contains("no TEE: /dev/tee0"), "{line}");
        }
    }
}
