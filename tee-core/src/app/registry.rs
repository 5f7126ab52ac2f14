// SPDX-License-Identifier: MIT OR Apache-2.0
//! The applications that there are.

use super::Application;
use super::pseudo;
use super::reach::Reach;
#[cfg(test)]
use super::witness;
use crate::arch::Machine;
use crate::msg::params::Parameters;
use crate::partition::sessions::AppId;
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// Makes an enum of the applications, so that whoever calls one calls it directly: sessions are on the path that is
/// measured.
macro_rules! registry {
    ($($(#[doc = $what:literal])* $(#[cfg($when:meta)])? $name:ident => $application:expr,)+) => {
        /// The applications.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum App {
            $($(#[doc = $what])* $(#[cfg($when)])? $name,)+
        }

        impl App {
            /// All of them.
            pub const ALL: &[Self] = &[$($(#[cfg($when)])? Self::$name),+];

            /// Finds the one of this number.
            pub fn of(AppId(number): AppId) -> Option<Self> {
                match number {
                    $($(#[cfg($when)])? number if number == Self::$name as u8 => Some(Self::$name),)+
                    _ => None,
                }
            }
        }

        /// What [`Application`] says of each.
        impl App {
            /// Returns the UUID by which clients ask for it.
            pub fn uuid(self) -> Uuid {
                match self { $($(#[cfg($when)])? Self::$name => uuid_of(&$application),)+ }
            }

            /// Says whether this machine has what it takes.
            pub fn is_there(self, machine: &Machine) -> bool {
                match self { $($(#[cfg($when)])? Self::$name => $application.is_there(machine),)+ }
            }

            /// Says whether Linux shall make a device of it.
            pub fn is_device(self) -> bool {
                match self { $($(#[cfg($when)])? Self::$name => $application.is_device(),)+ }
            }

            /// Agrees to a session.
            pub fn open(self, reach: Reach<'_, '_>, params: &Parameters<'_>) -> Result<(), TeeResult> {
                match self { $($(#[cfg($when)])? Self::$name => $application.open(reach, params),)+ }
            }

            /// Calls a function in a session.
            // Measured: one function that has all of them saves registers once for itself and them.
            #[inline(always)]
            pub fn invoke(
                self,
                reach: Reach<'_, '_>,
                function: u32,
                params: &mut Parameters<'_>,
            ) -> Result<(), TeeResult> {
                match self { $($(#[cfg($when)])? Self::$name => $application.invoke(reach, function, params),)+ }
            }

            /// Notices that a session is closed.
            pub fn close(self, reach: Reach<'_, '_>) {
                match self { $($(#[cfg($when)])? Self::$name => $application.close(reach),)+ }
            }
        }
    };
}

const fn uuid_of<A: Application>(_: &A) -> Uuid {
    A::UUID
}

registry! {
    /// Lists the others.
    Device => pseudo::device::Device(App::device),
    /// Entropy.
    Rng => pseudo::rng::Rng,
    /// Tests of the core that run in the core.
    SelfTest => pseudo::self_test::SelfTest,
    /// Figures of the caller's partition.
    Stats => pseudo::stats::Stats,
    /// The caller's secrets.
    Vault => pseudo::vault::Vault,
    /// Notes what is asked of it.
    #[cfg(test)]
    Witness => witness::Witness,
}

impl App {
    /// Returns its number.
    pub const fn id(self) -> AppId {
        AppId(self as u8)
    }

    /// Finds the one of this UUID, if this machine has it.
    pub fn by_uuid(machine: &Machine, uuid: &Uuid) -> Option<Self> {
        Self::ALL.iter().copied().find(|app| app.uuid() == *uuid && app.is_there(machine))
    }

    /// Finds the next of those that Linux shall make devices of: its place among all, from `from` on, and its UUID.
    fn device(machine: &Machine, from: usize) -> Option<(usize, Uuid)> {
        let mut places = Self::ALL.iter().enumerate().skip(from);
        let found = places.find(|(_, app)| app.is_device() && app.is_there(machine));
        found.map(|(place, app)| (place, app.uuid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_number_and_a_uuid_name_one_application() {
        let mut uuids = HashSet::new();
        for app in App::ALL {
            assert!(uuids.insert(app.uuid()), "{app:?} has the UUID of another application");
            assert_eq!(App::of(app.id()), Some(*app));
        }
        assert_eq!(App::of(AppId(App::ALL.len() as u8)), None);
    }
}
