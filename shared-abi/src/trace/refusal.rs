// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a layer said no.

use core::fmt;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The reason of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[$doc])* $name = $number,)*
        }

        impl Refusal {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the reason of this number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Says it in words.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

refusals! {
    /// The function id belongs to nobody here.
    UnknownFunction = 1, "no such function";
    /// The function is not for this caller.
    NotForCaller = 2, "not for this caller";
    /// x7 or an argument is no id that a VM can have.
    NotAVm = 3, "an id that no VM can have";
    /// Nobody has created a VM of this id.
    UnknownVm = 4, "no such VM";
    /// A VM of this id exists.
    VmExists = 5, "the VM exists";
    /// The VM is being destroyed.
    VmIsGoing = 6, "the VM is being destroyed";
    /// There is no memory for it, or no quota.
    NoMemory = 7, "no memory left for it";
    /// A table is full.
    Full = 8, "a table is full";
    /// Every thread, or call, of the VM is taken.
    NoThread = 9, "every thread is taken";
    /// The thread does not wait for this.
    BadThread = 10, "the thread does not wait for that";
    /// The address is not memory that the caller may name.
    BadAddress = 11, "not memory that the caller may name";
    /// The message does not keep to its format.
    BadMessage = 12, "a message that breaks its format";
    /// A parameter does not fit.
    BadParameter = 13, "a parameter that does not fit";
    /// No shared memory has this cookie.
    UnknownCookie = 14, "no such shared memory";
    /// What it names is in use.
    InUse = 15, "in use";
    /// No session has this number.
    UnknownSession = 16, "no such session";
    /// There is no such trusted application.
    UnknownApplication = 17, "no such trusted application";
    /// There is no TEE to ask.
    NoTee = 18, "there is no TEE";
    /// The state of what it names does not allow it.
    BadState = 19, "not in this state";
    /// The caller has no such instruction or register: it is given an exception.
    Undefined = 20, "an instruction or register that it does not have";
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
