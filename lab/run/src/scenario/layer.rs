// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose the layers of a chain are, as a scenario names them.
//!
//! A scenario is about ours. Who wants to see it on others says so when it runs ([`crate::stack`]), so no other name is
//! taken here.

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error, Visitor};
use std::fmt;

/// Whose a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// As this repository has it.
    #[default]
    Ours,
}

/// Reads whose a layer is that can be left out: `false` is nobody's, and `true` is as good as `"ours"`.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Owner>, D::Error> {
    deserializer.deserialize_any(Optional)
}

struct Optional;

impl Visitor<'_> for Optional {
    type Value = Option<Owner>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a layer, `ours`, or false for none")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Owner::deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn visit_bool<E: Error>(self, there: bool) -> Result<Self::Value, E> {
        Ok(there.then_some(Owner::Ours))
    }
}
