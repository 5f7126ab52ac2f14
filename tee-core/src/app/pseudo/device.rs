// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists the applications that the normal world shall make devices of (OP-TEE's `device` pseudo-TA).

use crate::app::Application;
use crate::app::reach::Reach;
use crate::arch::Machine;
use crate::msg::params::{Parameter, Parameters};
use shared_abi::optee_msg::Direction;
use shared_abi::pta::device::{CMD_GET_DEVICES, CMD_GET_DEVICES_RPMB, CMD_GET_DEVICES_SUPP, UUID};
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// The pseudo-TA, with a function that finds the next of the devices that a machine has, from a place on.
pub struct Device(pub fn(machine: &Machine, from: usize) -> Option<(usize, Uuid)>);

impl Application for Device {
    const UUID: Uuid = UUID;

    fn invoke(&self, reach: Reach<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        match function {
            CMD_GET_DEVICES => self.list(reach, 0, params),
            // None of ours needs the supplicant or an RPMB.
            CMD_GET_DEVICES_SUPP | CMD_GET_DEVICES_RPMB => self.list(reach, usize::MAX, params),
            _ => Err(TeeResult::NOT_IMPLEMENTED),
        }
    }
}

impl Device {
    /// Lists the devices from this place on.
    fn list(&self, reach: Reach<'_, '_>, mut from: usize, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        let [Parameter::Memref(list), Parameter::None, Parameter::None, Parameter::None] = params else {
            return Err(TeeResult::BAD_PARAMETERS);
        };
        if list.dir() != Direction::Out {
            return Err(TeeResult::BAD_PARAMETERS);
        }
        let mut size = 0;
        while let Some((place, uuid)) = (self.0)(reach.machine(), from) {
            from = place + 1;
            if size + uuid.as_bytes().len() <= list.len() {
                reach.write(list, size, uuid.as_bytes())?;
            }
            size += uuid.as_bytes().len();
        }
        list.announce(size)
    }
}
