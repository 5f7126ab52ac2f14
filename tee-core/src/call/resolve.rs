// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a message's parameters to what they refer to.

use super::{Call, page_list};
use crate::msg::buffer::{Buffer, Lost};
use crate::msg::params::Parameter;
use crate::partition::shm::Cookie;
use crate::trace::refused;
use shared_abi::optee_msg::{MsgParam, Param};
use shared_abi::tee::TeeResult;

impl<'p> Call<'_, 'p> {
    /// Checks a parameter and resolves what it refers to.
    pub fn resolve(&self, param: &MsgParam) -> Result<Parameter<'p>, TeeResult> {
        if param.is_meta() {
            return Err(refused!(BadParameter, param.attr, TeeResult::BAD_PARAMETERS));
        }
        match Param::parse(param).map_err(|_| refused!(BadParameter, param.attr, TeeResult::BAD_PARAMETERS))? {
            Param::None => Ok(Parameter::None),
            Param::Value { dir, value: [a, b, _] } => Ok(Parameter::Value { dir, a: a as u32, b: b as u32 }),
            Param::Tmem { dir, buf_ptr: 0, .. } => Ok(Parameter::memref(dir, Buffer::null())),
            Param::Tmem { dir, buf_ptr, size, noncontig: true, .. } => {
                Ok(Parameter::memref(dir, Buffer::listed(page_list::fetch(self, buf_ptr, size)?)))
            }
            Param::Tmem { dir, buf_ptr, size, noncontig: false, .. } => {
                let range = self.tee().claim(buf_ptr, size);
                let range = range.ok_or_else(|| refused!(BadAddress, buf_ptr, TeeResult::BAD_PARAMETERS))?;
                Ok(Parameter::memref(dir, Buffer::contiguous(range)))
            }
            Param::Rmem { dir, offs, size, shm_ref } => {
                let memory = Cookie::new(shm_ref).and_then(|cookie| self.partition().shm().enter(cookie));
                let memory = memory.ok_or_else(|| refused!(UnknownCookie, shm_ref, TeeResult::BAD_PARAMETERS))?;
                // As OP-TEE: the one wrong number that is called a violation (CVE-2019-1010292).
                let part = Buffer::registered(memory).part(offs, size);
                Ok(Parameter::memref(dir, part.map_err(|Lost| refused!(BadParameter, offs, TeeResult::SECURITY))?))
            }
        }
    }
}
