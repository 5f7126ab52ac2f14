// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pseudo-TAs.

use super::buffer::{Buffer, Lost};
use super::call::Call;
use super::message::{Parameter, error};
use super::nexus::World;
use error::{BAD_PARAMETERS, CANCEL, COMMUNICATION, ITEM_NOT_FOUND, NOT_IMPLEMENTED, NOT_SUPPORTED, SHORT_BUFFER};
use shared_abi::optee_msg::Direction::{self, In, InOut, Out};
use shared_abi::pta;
use tee_core::app::Application;
use tee_core::app::pseudo::self_test::SelfTest;
use uuid::Uuid;
use zerocopy::IntoBytes;

/// A pseudo-TA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Device,
    Rng,
    SelfTest,
    Stats,
    Vault,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Vault, Self::Device, Self::Rng, Self::Stats, Self::SelfTest];

    pub fn uuid(self) -> Uuid {
        match self {
            Self::Device => pta::device::UUID,
            Self::Rng => pta::rng::UUID,
            Self::SelfTest => SelfTest::UUID,
            Self::Stats => pta::stats::UUID,
            Self::Vault => pta::vault::UUID,
        }
    }

    pub fn by_uuid(world: &World, uuid: &Uuid) -> Option<Self> {
        let there = |service: &Self| *service != Self::Rng || world.has_random.get();
        Self::ALL.into_iter().find(|service| service.uuid() == *uuid && there(service))
    }
}

/// Says that `wanted` bytes are there.
fn announce(buffer: &Buffer, size: &mut u64, wanted: usize) -> Result<(), u32> {
    *size = wanted as u64;
    if wanted > buffer.len { Err(SHORT_BUFFER) } else { Ok(()) }
}

type Result<T, E = u32> = std::result::Result<T, E>;

impl Call {
    /// Calls a function of a pseudo-TA.
    pub async fn serve(&self, service: Service, session: u32, function: u32, p: &mut [Parameter]) -> Result<()> {
        match service {
            Service::Device => self.device(function, p).await,
            Service::Rng => self.rng(session, function, p).await,
            Service::SelfTest => self.self_test(session, function, p).await,
            Service::Stats => self.stats(function, p).await,
            Service::Vault => self.vault(function, p).await,
        }
    }

    fn is_cancelled(&self, session: u32) -> bool {
        self.vm.session(session, |session| session.cancelled).unwrap_or(false)
    }

    async fn device(&self, function: u32, p: &mut [Parameter]) -> Result<()> {
        if function > 2 {
            return Err(NOT_IMPLEMENTED);
        }
        let [Parameter::Memref { dir: Out, buffer, size }, Parameter::None, Parameter::None, Parameter::None] = p
        else {
            return Err(BAD_PARAMETERS);
        };
        let mut listed = Vec::new();
        if function == 0 {
            listed.extend(self.world.has_random.get().then_some(pta::rng::UUID));
            listed.push(pta::vault::UUID);
        }
        for (n, uuid) in listed.iter().enumerate() {
            if (n + 1) * 16 <= buffer.len {
                self.write(buffer, n * 16, uuid.as_bytes()).await.map_err(|Lost| SHORT_BUFFER)?;
            }
        }
        announce(buffer, size, listed.len() * 16)
    }

    async fn rng(&self, session: u32, function: u32, p: &mut [Parameter]) -> Result<()> {
        match (function, p) {
            (
                0,
                [Parameter::Memref { dir: Out | InOut, buffer, .. }, Parameter::None, Parameter::None, Parameter::None],
            ) => {
                if buffer.len > 4096 {
                    return Err(NOT_SUPPORTED);
                }
                for at in (0..buffer.len).step_by(8) {
                    if self.is_cancelled(session) {
                        return Err(CANCEL);
                    }
                    let random = (0..16).find_map(|_| self.world.random()).ok_or(1u32)?;
                    let bytes = &random.to_le_bytes()[..(buffer.len - at).min(8)];
                    self.write(buffer, at, bytes).await.map_err(|Lost| SHORT_BUFFER)?;
                }
                Ok(())
            }
            (1, [Parameter::Value { dir: Out, a, b }, Parameter::None, Parameter::None, Parameter::None]) => {
                (*a, *b) = (1 << 20, 1024);
                Ok(())
            }
            (0 | 1, _) => Err(BAD_PARAMETERS),
            _ => Err(NOT_IMPLEMENTED),
        }
    }

    async fn self_test(&self, session: u32, function: u32, p: &mut [Parameter]) -> Result<()> {
        match (function, p) {
            (2, _) => {
                let block = self.allocate(512).ok_or(error::OUT_OF_MEMORY)?;
                self.vm.heap.borrow_mut().free(block);
                let (buffer, cookie) = self.allocate_shm(12288).await?;
                let result = self.pattern(session, &buffer).await;
                let freed = self.free_shm(cookie).await;
                self.release(buffer);
                freed.and(result)
            }
            (10, [Parameter::Memref { dir: InOut, buffer, .. }, Parameter::None, Parameter::None, Parameter::None])
                if matches!(buffer.memory, super::buffer::Memory::Null) =>
            {
                Ok(())
            }
            (10, _) => Err(BAD_PARAMETERS),
            (1, p) => self.sum(session, p).await,
            // One call runs at a time here, and none stops with the numbers in its hands.
            (
                7,
                [
                    Parameter::Value { dir: In, a: 0 | 1, b: rounds },
                    Parameter::Value { dir: Out, a, b },
                    Parameter::None,
                    Parameter::None,
                ],
            ) if *rounds <= 1 << 20 => {
                (*a, *b) = (1, 1);
                if *rounds > 0 && self.is_cancelled(session) { Err(CANCEL) } else { Ok(()) }
            }
            (7, _) => Err(BAD_PARAMETERS),
            (11, _) => Ok(()),
            (8 | 12, _) => Err(NOT_SUPPORTED),
            _ => Err(NOT_IMPLEMENTED),
        }
    }

    /// One of four is the answer, whichever it is.
    async fn sum(&self, session: u32, p: &mut [Parameter]) -> Result<()> {
        let inputs: Vec<(u32, u32)> = p
            .iter()
            .filter_map(|p| match p {
                Parameter::Value { dir: In, a, b } => Some((*a, *b)),
                _ => None,
            })
            .collect();
        let absent = p.iter().filter(|p| matches!(p, Parameter::None)).count();
        let is_answer = |p: &&mut Parameter| !matches!(p, Parameter::None | Parameter::Value { dir: In, .. });
        match (p.iter_mut().find(is_answer), &inputs[..], absent) {
            (Some(Parameter::Value { dir: InOut, a, b }), [], 3) => *a = a.wrapping_add(*b),
            (Some(Parameter::Value { dir: Out, a, b }), [x, y, z], 0) => {
                *a = x.0.wrapping_add(y.0).wrapping_add(z.0);
                *b = x.1.wrapping_add(y.1).wrapping_add(z.1);
            }
            (Some(Parameter::Memref { dir: InOut, buffer, .. }), [], 3) if buffer.len > 0 => {
                let mut sum = 0u8;
                for at in (0..buffer.len).step_by(256) {
                    if self.is_cancelled(session) {
                        return Err(CANCEL);
                    }
                    let mut piece = vec![0; (buffer.len - at).min(256)];
                    self.read(buffer, at, &mut piece).await.map_err(|Lost| BAD_PARAMETERS)?;
                    sum = piece.iter().fold(sum, |sum, byte| sum.wrapping_add(*byte));
                }
                self.write(buffer, 0, &[sum]).await.map_err(|Lost| SHORT_BUFFER)?;
            }
            _ => return Err(BAD_PARAMETERS),
        }
        Ok(())
    }

    async fn pattern(&self, session: u32, buffer: &Buffer) -> Result<()> {
        let word = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        for at in (0..12288).step_by(8) {
            self.write(buffer, at, &word(at)).await.map_err(|Lost| COMMUNICATION)?;
        }
        for at in (0..12288).step_by(8) {
            if self.is_cancelled(session) {
                return Err(CANCEL);
            }
            if self.read_value::<[u8; 8]>(buffer, at).await.map_err(|Lost| COMMUNICATION)? != word(at) {
                return Err(COMMUNICATION);
            }
        }
        Ok(())
    }

    async fn stats(&self, function: u32, p: &mut [Parameter]) -> Result<()> {
        match (function, p) {
            (
                1,
                [
                    Parameter::Value { dir: In, a: id, b: reset },
                    Parameter::Memref { dir: Out, buffer, size },
                    Parameter::None,
                    Parameter::None,
                ],
            ) => {
                if *id > 1 {
                    return Err(ITEM_NOT_FOUND);
                }
                announce(buffer, size, 64)?;
                let figures = self.vm.heap.borrow().figures;
                let mut bytes = b"Partition heap".to_vec();
                bytes.resize(40, 0);
                for number in [
                    figures.allocated as u32,
                    figures.max_allocated as u32,
                    figures.size as u32,
                    figures.failures,
                    figures.biggest_failure as u32,
                    figures.biggest_failure_used as u32,
                ] {
                    bytes.extend(number.as_bytes());
                }
                self.write(buffer, 0, &bytes).await.map_err(|Lost| SHORT_BUFFER)?;
                if *reset != 0 {
                    self.vm.heap.borrow_mut().reset_peaks();
                }
                Ok(())
            }
            (
                4,
                [
                    Parameter::Value { dir: Out, a, b },
                    Parameter::Value { dir: Out, a: c, b: d },
                    Parameter::None,
                    Parameter::None,
                ],
            ) => {
                let (seconds, nanoseconds) = self.time_of_day().await?;
                let uptime = self.world.uptime();
                (*a, *b) = (seconds as u32, (nanoseconds / 1_000_000) as u32);
                (*c, *d) = ((uptime / 1000) as u32, (uptime % 1000) as u32);
                Ok(())
            }
            // One call runs at a time here: nobody ever waits for a lock.
            (0x100, [Parameter::Value { dir: Out, a, b }, Parameter::None, Parameter::None, Parameter::None]) => {
                (*a, *b) = (0, 0);
                Ok(())
            }
            (1 | 4 | 0x100, _) => Err(BAD_PARAMETERS),
            _ => Err(NOT_SUPPORTED),
        }
    }

    /// Reads a name or a value.
    async fn text(&self, dir: Direction, buffer: &Buffer, most: usize) -> Result<Vec<u8>> {
        if !dir.reads() || buffer.len == 0 || buffer.len > most {
            return Err(BAD_PARAMETERS);
        }
        let mut bytes = vec![0; buffer.len];
        self.read(buffer, 0, &mut bytes).await.map_err(|Lost| BAD_PARAMETERS)?;
        Ok(bytes)
    }

    async fn vault(&self, function: u32, p: &mut [Parameter]) -> Result<()> {
        match (function, p) {
            (
                0,
                [
                    Parameter::Memref { dir, buffer: name, .. },
                    Parameter::Memref { dir: value_dir, buffer: value, .. },
                    Parameter::None,
                    Parameter::None,
                ],
            ) => {
                let name = self.text(*dir, name, 32).await?;
                let value = self.text(*value_dir, value, 256).await?;
                self.lock_vault().await?;
                let done = self.vm.put(name, value);
                self.unlock_vault().await;
                if done { Ok(()) } else { Err(error::STORAGE_NO_SPACE) }
            }
            (
                1,
                [
                    Parameter::Memref { dir, buffer: name, .. },
                    Parameter::Memref { dir: Out, buffer: value, size },
                    Parameter::None,
                    Parameter::None,
                ],
            ) => {
                let name = self.text(*dir, name, 32).await?;
                self.lock_vault().await?;
                let secret = self.vm.vault.borrow().get(&name).cloned();
                let result = match secret {
                    None => Err(ITEM_NOT_FOUND),
                    Some(secret) => match announce(value, size, secret.len()) {
                        Ok(()) => self.write(value, 0, &secret).await.map_err(|Lost| SHORT_BUFFER),
                        short => short,
                    },
                };
                self.unlock_vault().await;
                result
            }
            (2, [Parameter::Memref { dir, buffer: name, .. }, Parameter::None, Parameter::None, Parameter::None]) => {
                let name = self.text(*dir, name, 32).await?;
                self.lock_vault().await?;
                let known = self.vm.vault.borrow_mut().remove(&name).is_some();
                self.unlock_vault().await;
                if known { Ok(()) } else { Err(ITEM_NOT_FOUND) }
            }
            (0..=2, _) => Err(BAD_PARAMETERS),
            _ => Err(NOT_SUPPORTED),
        }
    }
}
