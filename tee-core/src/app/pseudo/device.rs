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

/// The pseudo-TA, with a function that names the `n`th of the devices that a machine has.
pub struct Device(pub fn(machine: &Machine, n: usize) -> Option<Uuid>);

impl Application for Device {
    fn uuid(&self) -> Uuid {
        UUID
    }

    fn invoke(&self, reach: Reach<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        let wanted = match function {
            CMD_GET_DEVICES => true,
            // None of ours needs the supplicant or an RPMB.
            CMD_GET_DEVICES_SUPP | CMD_GET_DEVICES_RPMB => false,
            _ => return Err(TeeResult::NOT_IMPLEMENTED),
        };
        let [Parameter::Memref(list), Parameter::None, Parameter::None, Parameter::None] = params else {
            return Err(TeeResult::BAD_PARAMETERS);
        };
        if list.dir() != Direction::Out {
            return Err(TeeResult::BAD_PARAMETERS);
        }
        let mut size = 0;
        let devices = (0..).map_while(|n| self.0(reach.machine(), n));
        for uuid in devices.filter(|_| wanted) {
            if size + uuid.as_bytes().len() <= list.len() {
                reach.write(list, size, uuid.as_bytes())?;
            }
            size += uuid.as_bytes().len();
        }
        list.announce(size)
    }
}
