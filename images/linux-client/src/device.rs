// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `optee` driver's device as a [`Tee`].
//!
//! What it needs of the kernel is behind [`Kernel`], so that the requests it builds are tested on the host.

use shared_abi::tee::TeeResult;
use uuid::Uuid;

use crate::client::{Argument, Errno, Failure, Filled, HALF, Half, Session, Tee};
use crate::ioctl::{CloseSession, Invoke, OpenSession, Parameter, ShmAlloc, Version};

/// An open `/dev/tee0`: one method for each request, so that none can carry another's argument.
pub trait Kernel {
    /// Asks by `TEE_IOC_VERSION`.
    fn version(&mut self) -> Result<Version, Errno>;
    /// Allocates by `TEE_IOC_SHM_ALLOC`, and maps the memory: what [`copy_in`](Self::copy_in) and
    /// [`copy_out`](Self::copy_out) reach.
    fn allocate(&mut self, request: &mut ShmAlloc) -> Result<(), Errno>;
    /// Asks by `TEE_IOC_OPEN_SESSION`.
    fn open_session(&mut self, request: &mut OpenSession) -> Result<(), Errno>;
    /// Asks by `TEE_IOC_INVOKE`.
    fn invoke(&mut self, request: &mut Invoke) -> Result<(), Errno>;
    /// Asks by `TEE_IOC_CLOSE_SESSION`.
    fn close_session(&mut self, request: &mut CloseSession) -> Result<(), Errno>;
    /// Copies into the allocated memory; what would leave it is not copied.
    fn copy_in(&mut self, offset: usize, from: &[u8]);
    /// Copies out of the allocated memory; what would leave it is not copied.
    fn copy_out(&mut self, offset: usize, into: &mut [u8]);
}

/// The device and the memory that it shares with the TEE.
pub struct Device<K> {
    kernel: K,
    /// Identifier of the shared memory, once there is some.
    memory: Option<i32>,
}

impl<K: Kernel> Device<K> {
    /// Takes an open device.
    pub const fn new(kernel: K) -> Self {
        Self { kernel, memory: None }
    }

    /// Returns the identifier of the shared memory, allocated when first needed.
    fn memory(&mut self) -> Result<i32, Failure> {
        if let Some(id) = self.memory {
            return Ok(id);
        }
        let mut request = ShmAlloc { size: 2 * HALF as u64, ..ShmAlloc::default() };
        self.kernel.allocate(&mut request).map_err(Failure::Kernel)?;
        self.memory = Some(request.id);
        Ok(request.id)
    }

    fn parameter(&mut self, half: Half, argument: Argument<'_>) -> Result<Parameter, Failure> {
        Ok(match argument {
            Argument::None => Parameter::NONE,
            Argument::Value(a, b) => Parameter::value(a, b),
            Argument::Input(bytes) => {
                if bytes.len() > HALF {
                    return Err(Failure::TooLong);
                }
                let id = self.memory()?;
                self.kernel.copy_in(offset(half), bytes);
                Parameter::input(id, offset(half), bytes.len())
            }
            Argument::Output => Parameter::output(self.memory()?, offset(half), HALF),
        })
    }
}

const fn offset(half: Half) -> usize {
    match half {
        Half::First => 0,
        Half::Second => HALF,
    }
}

fn check(result: u32, origin: u32) -> Result<(), Failure> {
    TeeResult(result).ok().map_err(|result| Failure::Tee { result, origin })
}

impl<K: Kernel> Tee for Device<K> {
    fn version(&mut self) -> Result<Version, Failure> {
        self.kernel.version().map_err(Failure::Kernel)
    }

    fn open(&mut self, uuid: Uuid) -> Result<Session, Failure> {
        let mut request = OpenSession::new(uuid);
        self.kernel.open_session(&mut request).map_err(Failure::Kernel)?;
        check(request.result, request.origin)?;
        Ok(Session(request.session))
    }

    fn invoke(&mut self, session: &Session, function: u32, arguments: [Argument<'_>; 2]) -> Result<Filled, Failure> {
        let first = self.parameter(Half::First, arguments[0])?;
        let second = self.parameter(Half::Second, arguments[1])?;
        let mut request = Invoke::new(session.0, function, [first, second, Parameter::NONE, Parameter::NONE]);
        self.kernel.invoke(&mut request).map_err(Failure::Kernel)?;
        check(request.result, request.origin)?;
        Ok([request.parameters[0].filled(), request.parameters[1].filled()])
    }

    fn read(&mut self, half: Half, into: &mut [u8]) {
        self.kernel.copy_out(offset(half), into);
    }

    fn close(&mut self, session: Session) {
        // Nothing can be done about an error, and the kernel closes all sessions when the program ends.
        let _ = self.kernel.close_session(&mut CloseSession { session: session.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::pta::vault;
    use std::vec::Vec;

    /// A kernel that records invocations and answers as told.
    struct Fake {
        memory: [u8; 2 * HALF],
        allocations: usize,
        invoked: Vec<Invoke>,
        result: u32,
    }

    impl Kernel for &mut Fake {
        fn version(&mut self) -> Result<Version, Errno> {
            Err(Errno(25))
        }
        fn allocate(&mut self, request: &mut ShmAlloc) -> Result<(), Errno> {
            assert_eq!(request.size, 2 * HALF as u64);
            request.id = 5;
            self.allocations += 1;
            Ok(())
        }
        fn open_session(&mut self, request: &mut OpenSession) -> Result<(), Errno> {
            request.session = 9;
            (request.result, request.origin) = (self.result, 3);
            Ok(())
        }
        fn invoke(&mut self, request: &mut Invoke) -> Result<(), Errno> {
            self.invoked.push(*request);
            (request.result, request.origin) = (self.result, 4);
            Ok(())
        }
        fn close_session(&mut self, request: &mut CloseSession) -> Result<(), Errno> {
            assert_eq!(request.session, 9);
            Ok(())
        }
        fn copy_in(&mut self, offset: usize, from: &[u8]) {
            self.memory[offset..offset + from.len()].copy_from_slice(from);
        }
        fn copy_out(&mut self, offset: usize, into: &mut [u8]) {
            into.copy_from_slice(&self.memory[offset..offset + into.len()]);
        }
    }

    fn fake(result: u32) -> Fake {
        Fake { memory: [0; 2 * HALF], allocations: 0, invoked: Vec::new(), result }
    }

    #[test]
    fn arguments_lie_in_halves_of_one_shared_memory() {
        let mut kernel = fake(0);
        let mut device = Device::new(&mut kernel);
        let session = device.open(vault::UUID).unwrap();
        device.invoke(&session, vault::CMD_PUT, [Argument::Input(b"name"), Argument::Input(b"value")]).unwrap();
        device.close(session);
        assert_eq!(kernel.allocations, 1);
        assert_eq!(kernel.memory[..4], *b"name");
        assert_eq!(kernel.memory[HALF..HALF + 5], *b"value");
        let expected = [Parameter::input(5, 0, 4), Parameter::input(5, HALF, 5), Parameter::NONE, Parameter::NONE];
        assert_eq!(kernel.invoked[0].parameters, expected);
    }

    #[test]
    fn an_error_of_the_tee_is_no_session() {
        let mut kernel = fake(TeeResult::ITEM_NOT_FOUND.0);
        let failure = Device::new(&mut kernel).open(vault::UUID).unwrap_err();
        assert_eq!(failure, Failure::Tee { result: TeeResult::ITEM_NOT_FOUND, origin: 3 });
    }

    #[test]
    fn an_error_of_the_kernel_is_passed_on() {
        assert_eq!(Device::new(&mut fake(0)).version(), Err(Failure::Kernel(Errno(25))));
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let mut kernel = fake(0);
        let mut device = Device::new(&mut kernel);
        let long = [0; HALF + 1];
        let refused = device.invoke(&Session(9), vault::CMD_PUT, [Argument::Input(b"n"), Argument::Input(&long)]);
        assert_eq!(refused, Err(Failure::TooLong));
        assert!(kernel.invoked.is_empty());
    }
}
