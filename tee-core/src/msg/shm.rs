//! Shared memory: REGISTER_SHM, UNREGISTER_SHM.

use super::{Message, page_list};
use crate::entry::call::Call;
use crate::partition::shm::{Buffer, Cookie, Refused};
use shared_abi::optee_msg::{Direction, Param};
use shared_abi::tee::TeeResult;

/// As in OP-TEE, whatever is wrong with the buffer or its list is a bad parameter.
pub(super) fn register(call: &Call<'_>, message: &Message) -> Result<(), TeeResult> {
    let bad = TeeResult::BAD_PARAMETERS;
    let [param] = message.params() else { return Err(bad) };
    let Ok(Param::Tmem { dir: Direction::Out, buf_ptr, size, shm_ref, noncontig: true }) = Param::parse(param) else {
        return Err(bad);
    };
    let cookie = Cookie::new(shm_ref).filter(|_| !param.is_meta()).ok_or(bad)?;
    let (frames, offset, len) = page_list::fetch_to_keep(call, buf_ptr, size)?;
    let buffer = Buffer { frames, offset, len };
    call.partition.shm.register(cookie, buffer).map_err(|(refused, buffer)| {
        call.partition.heap.free(buffer.frames);
        if refused == Refused::Full { TeeResult::OUT_OF_MEMORY } else { bad }
    })
}

pub(super) fn unregister(call: &Call<'_>, message: &Message) -> Result<(), TeeResult> {
    let bad = TeeResult::BAD_PARAMETERS;
    let [param] = message.params() else { return Err(bad) };
    let Ok(Param::Rmem { shm_ref, .. }) = Param::parse(param) else { return Err(bad) };
    let cookie = Cookie::new(shm_ref).ok_or(bad)?;
    call.partition.shm.unregister(cookie, &call.partition.heap).map_err(|refused| match refused {
        Refused::Busy => TeeResult::BUSY,
        _ => bad,
    })
}
