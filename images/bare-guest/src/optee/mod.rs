// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of OP-TEE: what a driver must do to send a message and to serve the TEE meanwhile.
//!
//! It speaks the SMC ABI with the message ABI on top (OP-TEE `optee_smc.h`, `optee_msg.h`), with dynamic shared memory
//! only, one call at a time. Whoever uses it says how a call is made and how time passes ([`World`]) and gives it some
//! [`Page`]s.
#![forbid(unsafe_code)]

mod call;
mod client;
mod page;
mod rpc;
#[cfg(test)]
mod tests;

pub use client::{Client, Info, NotOpTee, Session};
pub use page::{PAGES, Page};

use core::fmt;
use shared_abi::optee_smc::ReturnCode;
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;

/// The world around the client.
pub trait World {
    /// Calls the TEE: x1 to x7 in, x0 to x3 out, 32 bits each.
    fn call(&mut self, function: FunctionId, args: [u32; 7]) -> [u32; 4];
    /// Sleeps so many milliseconds.
    fn sleep(&mut self, ms: u64);
    /// Reads the word at an address that may be nobody's.
    fn read(&mut self, address: u64) -> u32;
}

/// Why a call came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The call itself was refused: the code in x0.
    Refused(u32),
    /// The TEE answered with an error.
    Tee {
        /// The error.
        result: TeeResult,
        /// Whose error it is ([`shared_abi::tee::Origin`]).
        origin: u32,
        /// The size of the output that the answer speaks of: what is needed, with SHORT_BUFFER.
        size: usize,
    },
    /// What is to be sent does not fit the client's memory.
    TooLong,
}

impl Error {
    /// Returns the TEE's result, if there is one.
    pub fn result(&self) -> Option<TeeResult> {
        match self {
            Self::Tee { result, .. } => Some(*result),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => match ReturnCode::from_x0(u64::from(*code)) {
                Some(code) => write!(f, "{code}"),
                None => write!(f, "x0 = {code:#x}"),
            },
            Self::Tee { result, origin, .. } => write!(f, "{result} (origin {origin})"),
            Self::TooLong => f.write_str("too long to send"),
        }
    }
}
