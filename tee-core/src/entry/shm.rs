// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory: REGISTER_SHM, UNREGISTER_SHM.

use crate::call::{Call, page_list};
use crate::memory::pages::PAGE_SIZE;
use crate::msg::Message;
use crate::partition::shm::{Cookie, Refused, Registration};
use crate::trace::{self, event, refused};
use shared_abi::optee_msg::{Direction, Param};
use shared_abi::tee::TeeResult;

/// Registers a buffer. As in OP-TEE, whatever is wrong with the buffer or its list is a bad parameter.
pub(super) fn register(call: &Call<'_, '_>, message: &Message) -> Result<(), TeeResult> {
    let bad = TeeResult::BAD_PARAMETERS;
    let [param] = message.params() else { return Err(refused!(BadMessage, message.params().len() as u64, bad)) };
    let Ok(Param::Tmem { dir: Direction::Out, buf_ptr, size, shm_ref, noncontig: true }) = Param::parse(param) else {
        return Err(refused!(BadParameter, param.attr, bad));
    };
    let cookie = Cookie::new(shm_ref).filter(|_| !param.is_meta());
    let cookie = cookie.ok_or_else(|| refused!(BadParameter, param.attr, bad))?;
    let buffer = page_list::fetch_to_keep(call, buf_ptr, size)?;
    let (pages, first) = if trace::ON { extent(&buffer) } else { (0, 0) };
    call.partition().shm().register(cookie, buffer).map_err(|(refused, buffer)| {
        buffer.free(call.partition().heap());
        match refused {
            Refused::Full => refused!(Full, shm_ref, TeeResult::OUT_OF_MEMORY),
            _ => refused!(InUse, shm_ref, bad),
        }
    })?;
    event!(ShmRegister { cookie: shm_ref, pages, first });
    Ok(())
}

/// Says how many pages a buffer has, and where the first one is.
fn extent(buffer: &Registration<'_>) -> (u64, u64) {
    let frames = buffer.frames();
    (frames.len() as u64, frames.first().map_or(0, |frame| u64::from(*frame) * PAGE_SIZE as u64))
}

/// Ends the registration of a buffer.
pub(super) fn unregister(call: &Call<'_, '_>, message: &Message) -> Result<(), TeeResult> {
    let bad = TeeResult::BAD_PARAMETERS;
    let [param] = message.params() else { return Err(refused!(BadMessage, message.params().len() as u64, bad)) };
    let Ok(Param::Rmem { shm_ref, .. }) = Param::parse(param) else {
        return Err(refused!(BadParameter, param.attr, bad));
    };
    let cookie = Cookie::new(shm_ref).ok_or_else(|| refused!(UnknownCookie, 0, bad))?;
    call.partition().shm().unregister(cookie, call.partition().heap()).map_err(|refused| match refused {
        Refused::Busy => refused!(InUse, shm_ref, TeeResult::BUSY),
        _ => refused!(UnknownCookie, shm_ref, bad),
    })?;
    event!(ShmUnregister { cookie: shm_ref });
    Ok(())
}
