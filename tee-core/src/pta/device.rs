//! Lists the pseudo-TAs that the normal world shall make devices of (OP-TEE's `device` pseudo-TA).

use super::Pta;
use crate::entry::call::Call;
use crate::msg::params::{Parameter, Parameters};
use shared_abi::optee_msg::Direction;
use shared_abi::pta::device::{CMD_GET_DEVICES, CMD_GET_DEVICES_RPMB, CMD_GET_DEVICES_SUPP};
use shared_abi::tee::TeeResult;

pub(super) fn invoke(call: &Call<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
    let wanted = match function {
        CMD_GET_DEVICES => true,
        // None of ours needs the supplicant or an RPMB.
        CMD_GET_DEVICES_SUPP | CMD_GET_DEVICES_RPMB => false,
        _ => return Err(TeeResult::NOT_IMPLEMENTED),
    };
    let [Parameter::Memref(list), Parameter::None, Parameter::None, Parameter::None] = params else {
        return Err(TeeResult::BAD_PARAMETERS);
    };
    if list.dir != Direction::Out {
        return Err(TeeResult::BAD_PARAMETERS);
    }
    let mut size = 0;
    for pta in Pta::devices(call.tee()).filter(|_| wanted) {
        let uuid = pta.uuid();
        if size + uuid.as_bytes().len() <= list.len() {
            list.write(call, size, uuid.as_bytes())?;
        }
        size += uuid.as_bytes().len();
    }
    list.announce(size)
}
