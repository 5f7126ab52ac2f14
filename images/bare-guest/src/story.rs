// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest does and says. Every line that claims something about the TEE is caused by what the TEE answered.
#![forbid(unsafe_code)]

use crate::optee::{Client, Error, NotOpTee, PAGES, Page, Session, World};
use crate::script::{Step, steps};
use core::fmt::{self, Write};
use shared_abi::pta::{device, vault};
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// Most devices that are listed.
const MAX_DEVICES: usize = 16;

/// The console: what is written is shown, and somebody may type.
pub trait Terminal: Write {
    /// Sleeps until somebody types a line.
    fn wait_line(&mut self);
}

/// A step that went wrong: why.
enum Failure {
    /// The TEE's answer, or none.
    Answer(Error),
    /// The secret is another one.
    Differs,
    /// There is a secret where none must be.
    Present,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(error) => write!(f, "{error}"),
            Self::Differs => f.write_str("the TEE returned something else"),
            Self::Present => f.write_str("the TEE returned a secret"),
        }
    }
}

/// Uses the TEE. Returns how many things went wrong; a terminal that cannot be written to is one of them.
pub fn tell<W: World, T: Terminal>(terminal: &mut T, world: W, pages: &'static [Page; PAGES], bootargs: &str) -> usize {
    let client = match Client::probe(world, pages) {
        Ok(client) => client,
        Err(why) => {
            let _ = match why {
                NotOpTee::Uid(word) => writeln!(terminal, "optee: FAILED: no OP-TEE answers, but {word:#010x}"),
                NotOpTee::Refused(code) => writeln!(terminal, "optee: FAILED: capabilities refused with {code:#x}"),
                NotOpTee::NoDynamicMemory => writeln!(terminal, "optee: FAILED: no dynamic shared memory"),
            };
            return 1;
        }
    };
    let mut teller = Teller { terminal, client };
    teller.all(bootargs).unwrap_or(1)
}

struct Teller<'a, W, T> {
    terminal: &'a mut T,
    client: Client<W>,
}

impl<W: World, T: Terminal> Teller<'_, W, T> {
    fn all(&mut self, bootargs: &str) -> Result<usize, fmt::Error> {
        let info = *self.client.info();
        writeln!(
            self.terminal,
            "optee: revision {}.{}, API {}.{}, {} threads, {} RPC parameters, {}",
            info.os[0],
            info.os[1],
            info.api[0],
            info.api[1],
            info.threads,
            info.rpc_params,
            Names(info.caps),
        )?;
        match self.client.register() {
            Ok(size) => writeln!(self.terminal, "optee: registered {size} bytes in pages out of order")?,
            Err(error) => {
                writeln!(self.terminal, "optee: FAILED: registering a buffer: {error}")?;
                return Ok(1);
            }
        }
        let mut failures = self.devices()?;
        failures += match self.client.open(&vault::UUID) {
            Ok(session) => {
                writeln!(self.terminal, "vault: opened")?;
                let failures = self.play(&session, bootargs)?;
                match self.client.close(session) {
                    Ok(()) => writeln!(self.terminal, "vault: closed")?,
                    Err(error) => writeln!(self.terminal, "vault: FAILED: close: {error}")?,
                }
                failures
            }
            Err(error) => {
                writeln!(self.terminal, "vault: FAILED: open: {error}")?;
                1
            }
        };
        if let Err(error) = self.client.unregister() {
            writeln!(self.terminal, "optee: FAILED: unregistering the buffer: {error}")?;
            failures += 1;
        }
        Ok(failures)
    }

    /// Lists the devices as Linux does: asks for the size with a null reference first.
    fn devices(&mut self) -> Result<usize, fmt::Error> {
        let mut uuids = [0; MAX_DEVICES * 16];
        let listed = self.client.open(&device::UUID).and_then(|session| {
            let size = match self.client.invoke(&session, device::CMD_GET_DEVICES, &[], Some(&mut [])) {
                Err(Error::Tee { result: TeeResult::SHORT_BUFFER, size, .. }) => size,
                Ok(_) => 0,
                Err(error) => return Err(error),
            };
            let room = uuids.get_mut(..size).ok_or(Error::TooLong)?;
            let size = match room {
                [] => 0,
                room => self.client.invoke(&session, device::CMD_GET_DEVICES, &[], Some(room))?,
            };
            self.client.close(session)?;
            Ok(size)
        });
        match listed {
            Ok(size) => {
                let list = uuids.get(..size).unwrap_or_default().as_chunks().0;
                writeln!(self.terminal, "devices: {}", list.len())?;
                for octets in list {
                    writeln!(self.terminal, "devices: {}", Uuid::from_bytes(*octets))?;
                }
                Ok(0)
            }
            Err(error) => {
                writeln!(self.terminal, "devices: FAILED: {error}")?;
                Ok(1)
            }
        }
    }

    /// Plays the command line's steps.
    fn play(&mut self, session: &Session, bootargs: &str) -> Result<usize, fmt::Error> {
        let mut failures = 0;
        for step in steps(bootargs) {
            match step {
                Ok(Step::WaitMs(ms)) => self.client.world().sleep(ms),
                Ok(Step::WaitLine) => self.terminal.wait_line(),
                Ok(Step::Print(word)) => writeln!(self.terminal, "{word}")?,
                Ok(Step::Call(id)) => {
                    let answer = self.client.world().call(FunctionId(id), [0; 7]);
                    writeln!(self.terminal, "call: {id:#x} -> {}", answer[0].cast_signed())?;
                }
                Ok(Step::Read(address)) => {
                    let word = self.client.world().read(address);
                    writeln!(self.terminal, "read: {address:#x} -> {word:#x}")?;
                }
                Ok(step) => failures += usize::from(!self.vault(session, step)?),
                Err(unknown) => {
                    writeln!(self.terminal, "bare-guest: FAILED: '{}' is no step", unknown.0)?;
                    failures += 1;
                }
            }
        }
        Ok(failures)
    }

    /// Plays one step of the vault's and says whether it went well.
    fn vault(&mut self, session: &Session, step: Step<'_>) -> Result<bool, fmt::Error> {
        let mut room = [0; vault::MAX_VALUE];
        let client = &mut self.client;
        let mut get = |name: &str| match client.invoke(session, vault::CMD_GET, &[name.as_bytes()], Some(&mut room)) {
            Ok(size) => Ok(Some(size)),
            Err(error) if error.result() == Some(TeeResult::ITEM_NOT_FOUND) => Ok(None),
            Err(error) => Err(Failure::from(error)),
        };
        let (verb, name, done) = match step {
            Step::Get { name } => ("get", name, get(name)),
            Step::Expect { name, value } => {
                let got = get(name);
                let done = match got {
                    Ok(Some(size)) if room.get(..size) != Some(value.as_bytes()) => Err(Failure::Differs),
                    Ok(None) => Err(Failure::Answer(not_found())),
                    other => other,
                };
                ("get", name, done)
            }
            Step::ExpectMissing { name } => {
                let done = match get(name) {
                    Ok(Some(_)) => Err(Failure::Present),
                    other => other,
                };
                ("get", name, done)
            }
            Step::Put { name, value } => {
                let done = client.invoke(session, vault::CMD_PUT, &[name.as_bytes(), value.as_bytes()], None);
                ("put", name, done.map(|_| None).map_err(Failure::from))
            }
            Step::Delete { name } => {
                let done = client.invoke(session, vault::CMD_DELETE, &[name.as_bytes()], None);
                ("delete", name, done.map(|_| None).map_err(Failure::from))
            }
            Step::WaitMs(_) | Step::WaitLine | Step::Print(_) | Step::Call(_) | Step::Read(_) => return Ok(true),
        };
        let out = &mut *self.terminal;
        match (&done, verb) {
            (Ok(Some(size)), _) => {
                let value = room.get(..*size).unwrap_or_default();
                writeln!(out, "vault: get '{name}' -> '{}'", value.escape_ascii())?;
            }
            (Ok(None), "get") => writeln!(out, "vault: get '{name}' -> not found")?,
            (Ok(None), _) => writeln!(out, "vault: {verb} '{name}' ok")?,
            (Err(why), _) => writeln!(out, "vault: FAILED: {verb} '{name}': {why}")?,
        }
        Ok(done.is_ok())
    }
}

fn not_found() -> Error {
    Error::Tee { result: TeeResult::ITEM_NOT_FOUND, origin: 0, size: 0 }
}

/// Capabilities by their names.
struct Names(shared_abi::optee_smc::SecureCaps);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, _)) in self.0.iter_names().enumerate() {
            let comma = if n == 0 { "" } else { " " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}
