// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the normal world does, one step at a time.
//!
//! A step says *which* session or *which* suspended call by a number that counts those there are, so that it still
//! means something when steps before it are taken away. Its `Debug` form is Rust: a failing sequence can be pasted into
//! a test.

use std::fmt;

/// VMs that the steps name by their number in this list.
pub const VMS: [u16; 3] = [1, 2, 0xFFFF];
/// A list that prints as `vec![…]`.
#[derive(Clone)]
pub struct List<T>(pub Vec<T>);

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List(vec!{:?})", self.0)
    }
}

/// Registers x0 to x7, which print as the headers write them.
#[derive(Clone, Copy)]
pub struct X(pub [u32; 8]);

impl fmt::Debug for X {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X([")?;
        for (n, x) in self.0.iter().enumerate() {
            write!(f, "{}{x:#x}", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("])")
    }
}

/// An address.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    /// In a VM's own pages: VM, page, offset.
    Of(u8, u8, u16),
    /// So far from the end of RAM.
    End(u16),
    /// So far before what is not RAM.
    Hole(u16),
    /// A page of the TEE's own memory, the monitor's, the flash, a device.
    Secure(u8),
    /// Any number.
    Raw(u64),
}

/// How a message is handed over.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// CALL_WITH_ARG.
    Arg,
    /// CALL_WITH_RPC_ARG.
    RpcArg,
    /// CALL_WITH_REGD_ARG: cookie, offset.
    Registered(u8, u32),
}

/// A list of pages.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// The VM's buffer pages in turn, in as many list pages as there are, the last of which names itself.
    Good,
    /// With this address at this place.
    Bad(u8, Address),
    /// With this address for the next page of the list.
    Next(Address),
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub enum P {
    Nothing,
    /// Attribute and three numbers.
    Attr(u64, u64, u64, u64),
    /// OPEN_SESSION's first: which pseudo-TA.
    Target(u8),
    /// OPEN_SESSION's second: the login.
    Client(u32),
    /// Direction, a, b.
    Value(u8, u32, u32),
    /// Direction, address, size.
    Memory(u8, Address, u64),
    /// Direction, shape, offset, size, cookie.
    Pages(u8, Shape, u16, u64, u8),
    /// Direction, cookie, offset, size.
    Shared(u8, u8, u64, u64),
    /// A name, which is written to memory: which, length.
    Name(u8, u8),
    /// A secret: first byte, length.
    Secret(u8, u16),
}

/// A session.
#[derive(Clone, Copy, Debug)]
pub enum In {
    /// Of those that are open with this pseudo-TA, this one.
    Its(u8, u8),
    /// Of all that are open, this one.
    Any(u8),
    /// This number.
    Id(u32),
}

/// A message.
#[derive(Clone, Debug)]
pub struct Msg {
    /// Command.
    pub cmd: u32,
    /// Function of the pseudo-TA.
    pub func: u32,
    /// The session.
    pub session: In,
    /// Parameters.
    pub params: List<P>,
    /// What is said to be their number, if that is a lie.
    pub count: Option<u32>,
}

/// What is answered to an RPC.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// What a good normal world answers.
    Obeys,
    /// x1, x2, x4, x5.
    Words(u32, u32, u32, u32),
    /// Memory: address, cookie.
    Gives(Address, u8),
    /// A message with this result.
    Fails(u32),
    /// A message with this parameter.
    Says(P),
}

/// Whom the answer names.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    /// The call.
    Right,
    /// The call, before it was last suspended: an answer given twice.
    Last,
    /// Some call.
    Number(u32),
}

/// What another CPU does meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Meanwhile {
    /// Writes a number.
    Write(Address, u64),
    /// Makes a fast call: the function's lowest bits, x1, client.
    Calls(u8, u32, u32),
}

/// A step.
#[derive(Clone, Debug)]
pub enum Step {
    /// VM_CREATED of this id.
    Create(u32),
    /// VM_DESTROYED of this id.
    Destroy(u32),
    /// A call with these registers.
    Smc(X),
    /// A message of this VM in this page of its own.
    Call(u8, u8, How, Msg),
    /// RETURN_FROM_RPC: which suspended call, the VM that says so if not its own, token, answer.
    Resume(u8, Option<u8>, Token, Reply),
    /// Answers all RPCs of a suspended call as a good normal world does, until it is done.
    Finish(u8),
    /// This VM registers so many buffers of so many bytes, from this cookie on.
    Register(u8, u8, u8, u32),
    /// This VM opens so many sessions with this pseudo-TA.
    Open(u8, u8, u8),
    /// A foreign interrupt at so many accesses from now.
    Interrupt(u16),
    /// Another CPU does something before so many accesses from now.
    After(u16, Meanwhile),
    /// The normal world writes numbers.
    Poke(Address, [u64; 4]),
    /// Whether the CPU makes random numbers.
    Random(bool),
}
