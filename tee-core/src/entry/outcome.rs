// SPDX-License-Identifier: MIT OR Apache-2.0
//! How messages end.

use shared_abi::tee::{Origin, TeeResult};

/// What became of a message, and who says so.
pub(super) struct Outcome {
    result: TeeResult,
    origin: Origin,
}

impl Outcome {
    /// Says that the TEE ends it so.
    pub(super) fn of_tee(result: Result<(), TeeResult>) -> Self {
        Self { result: result.err().unwrap_or(TeeResult::SUCCESS), origin: Origin::Tee }
    }

    /// Says that the application ends it so.
    pub(super) fn of_app(result: Result<(), TeeResult>) -> Self {
        Self { result: result.err().unwrap_or(TeeResult::SUCCESS), origin: Origin::TrustedApp }
    }

    /// Returns the result.
    pub(super) fn result(&self) -> TeeResult {
        self.result
    }

    /// Returns who says so.
    pub(super) fn origin(&self) -> Origin {
        self.origin
    }
}
