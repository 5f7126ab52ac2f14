//! Pseudo-TAs: trusted services that are part of the TEE core.

pub mod device;
pub mod rng;
pub mod self_test;
pub mod stats;
pub mod vault;

use crate::entry::call::Call;
use crate::msg::params::Parameters;
use crate::partition::sessions::InUse;
use crate::tee::Tee;
use shared_abi::pta;
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// The pseudo-TAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pta {
    /// Lists the others.
    Device,
    /// Entropy.
    Rng,
    /// Tests of the core that run in the core.
    SelfTest,
    /// Figures of the caller's partition.
    Stats,
    /// The caller's secrets.
    Vault,
}

impl Pta {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Device, Self::Rng, Self::SelfTest, Self::Stats, Self::Vault];

    /// Its UUID.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Device => pta::device::UUID,
            Self::Rng => pta::rng::UUID,
            Self::SelfTest => self_test::UUID,
            Self::Stats => pta::stats::UUID,
            Self::Vault => pta::vault::UUID,
        }
    }

    /// Whether this machine has what it takes.
    fn is_there(self, tee: &Tee) -> bool {
        self != Self::Rng || tee.machine.has_random()
    }

    /// Whether Linux shall make a device of it.
    fn is_device(self) -> bool {
        matches!(self, Self::Rng | Self::Vault)
    }

    /// The one of this UUID, if this machine has it.
    pub fn by_uuid(tee: &Tee, uuid: &Uuid) -> Option<Self> {
        Self::ALL.into_iter().find(|pta| pta.uuid() == *uuid && pta.is_there(tee))
    }

    /// Those that Linux shall make devices of.
    pub fn devices(tee: &Tee) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|pta| pta.is_device() && pta.is_there(tee))
    }

    /// Calls function `function` in a session.
    pub fn invoke(
        self,
        call: &Call<'_, '_>,
        session: &InUse<'_>,
        function: u32,
        params: &mut Parameters<'_>,
    ) -> Result<(), TeeResult> {
        match self {
            Self::Device => device::invoke(call, function, params),
            Self::Rng => rng::invoke(call, session, function, params),
            Self::SelfTest => self_test::invoke(call, session, function, params),
            Self::Stats => stats::invoke(call, function, params),
            Self::Vault => vault::invoke(call, function, params),
        }
    }
}
