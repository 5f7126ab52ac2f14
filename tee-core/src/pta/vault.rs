//! Keeps small secrets of a VM (see [`shared_abi::pta::vault`]).
//!
//! They are in the VM's own partition: what another VM's call could leak is not even mapped while it runs.

use crate::entry::call::Call;
use crate::msg::params::{Memref, Parameter, Parameters};
use shared_abi::optee_msg::Direction;
use shared_abi::pta::vault::{CMD_DELETE, CMD_GET, CMD_PUT, MAX_ENTRIES, MAX_NAME, MAX_VALUE};
use shared_abi::tee::TeeResult;

/// Bytes of a length up to `N`, at least 1.
#[derive(Clone, Copy)]
struct Text<const N: usize> {
    len: u16,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = Self { len: 0, bytes: [0; N] };

    fn read(call: &Call<'_, '_>, memref: &Memref<'_>) -> Result<Self, TeeResult> {
        if !memref.dir.reads() || !(1..=N).contains(&memref.len()) {
            return Err(TeeResult::BAD_PARAMETERS);
        }
        let mut text = Self { len: memref.len() as u16, bytes: [0; N] };
        memref.read(call, &mut text.bytes[..memref.len()])?;
        Ok(text)
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len).min(N)]
    }
}

#[derive(Clone, Copy)]
struct Entry {
    name: Text<MAX_NAME>,
    value: Text<MAX_VALUE>,
}

/// A VM's secrets. An entry with an empty name is free.
pub struct Vault {
    entries: [Entry; MAX_ENTRIES],
}

impl Vault {
    /// Without secrets.
    pub const fn new() -> Self {
        Self { entries: [Entry { name: Text::EMPTY, value: Text::EMPTY }; MAX_ENTRIES] }
    }

    fn find(&mut self, name: &[u8]) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name.as_slice() == name)
    }
}

impl Default for Vault {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn invoke(call: &Call<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
    match (function, params) {
        (CMD_PUT, [Parameter::Memref(name), Parameter::Memref(value), Parameter::None, Parameter::None]) => {
            let entry = Entry { name: Text::read(call, name)?, value: Text::read(call, value)? };
            let mut vault = call.partition().vault.lock(call)?;
            let place = match vault.entries.iter().position(|e| e.name.as_slice() == entry.name.as_slice()) {
                Some(place) => place,
                None => vault.entries.iter().position(|e| e.name.len == 0).ok_or(TeeResult::STORAGE_NO_SPACE)?,
            };
            vault.entries[place] = entry;
            Ok(())
        }
        (CMD_GET, [Parameter::Memref(name), Parameter::Memref(value), Parameter::None, Parameter::None])
            if value.dir == Direction::Out =>
        {
            let name = Text::<MAX_NAME>::read(call, name)?;
            let mut vault = call.partition().vault.lock(call)?;
            let entry = vault.find(name.as_slice()).ok_or(TeeResult::ITEM_NOT_FOUND)?;
            value.announce(entry.value.as_slice().len())?;
            // From its place straight to the caller, so that no stack keeps a copy of the secret.
            value.write(call, 0, entry.value.as_slice())
        }
        (CMD_DELETE, [Parameter::Memref(name), Parameter::None, Parameter::None, Parameter::None]) => {
            let name = Text::<MAX_NAME>::read(call, name)?;
            let mut vault = call.partition().vault.lock(call)?;
            let entry = vault.find(name.as_slice()).ok_or(TeeResult::ITEM_NOT_FOUND)?;
            *entry = Entry { name: Text::EMPTY, value: Text::EMPTY };
            Ok(())
        }
        (CMD_PUT | CMD_GET | CMD_DELETE, _) => Err(TeeResult::BAD_PARAMETERS),
        _ => Err(TeeResult::NOT_SUPPORTED),
    }
}
