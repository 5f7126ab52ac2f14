// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps small secrets of a VM (see [`shared_abi::pta::vault`]), in the VM's own partition.

use crate::app::Application;
use crate::app::reach::Reach;
use crate::msg::params::{Memref, Parameter, Parameters};
use crate::partition::secrets::{Full, Text};
use shared_abi::optee_msg::Direction;
use shared_abi::pta::vault::{CMD_DELETE, CMD_GET, CMD_PUT, UUID};
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// The pseudo-TA.
pub struct Vault;

impl Application for Vault {
    const UUID: Uuid = UUID;

    fn is_device(&self) -> bool {
        true
    }

    fn invoke(&self, reach: Reach<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        match (function, params) {
            (CMD_PUT, [Parameter::Memref(name), Parameter::Memref(value), Parameter::None, Parameter::None]) => {
                let (name, value) = (text(reach, name)?, text(reach, value)?);
                reach.secrets()?.put(&name, &value).map_err(|Full| TeeResult::STORAGE_NO_SPACE)
            }
            (CMD_GET, [Parameter::Memref(name), Parameter::Memref(value), Parameter::None, Parameter::None])
                if value.dir() == Direction::Out =>
            {
                let name = text(reach, name)?;
                let vault = reach.secrets()?;
                let secret = vault.get(&name).ok_or(TeeResult::ITEM_NOT_FOUND)?;
                value.announce(secret.len())?;
                // From its place straight to the caller, so that no stack keeps a copy of the secret.
                reach.write(value, 0, secret)
            }
            (CMD_DELETE, [Parameter::Memref(name), Parameter::None, Parameter::None, Parameter::None]) => {
                let name = text(reach, name)?;
                if reach.secrets()?.delete(&name) { Ok(()) } else { Err(TeeResult::ITEM_NOT_FOUND) }
            }
            (CMD_PUT | CMD_GET | CMD_DELETE, _) => Err(TeeResult::BAD_PARAMETERS),
            _ => Err(TeeResult::NOT_SUPPORTED),
        }
    }
}

/// Copies a text of the caller.
fn text<const N: usize>(reach: Reach<'_, '_>, memref: &Memref<'_>) -> Result<Text<N>, TeeResult> {
    let text = Text::zeroes(memref.len()).filter(|_| memref.dir().reads());
    let mut text = text.ok_or(TeeResult::BAD_PARAMETERS)?;
    reach.read(memref, 0, text.as_mut_slice())?;
    Ok(text)
}
