// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes as people write them.

use serde::Deserialize;
use std::fmt;

/// A number of bytes, written as `64K`, `512M` or `2G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (digits, shift) = match text.char_indices().last() {
            Some((end, 'K')) => (&text[..end], 10),
            Some((end, 'M')) => (&text[..end], 20),
            Some((end, 'G')) => (&text[..end], 30),
            _ => (text.as_str(), 0),
        };
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no size; write 64K, 512M or 2G"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [(30, "G"), (20, "M"), (10, "K")].into_iter().find(|(shift, _)| self.0.trailing_zeros() >= *shift);
        match unit {
            Some((shift, name)) if self.0 != 0 => write!(f, "{}{name}", self.0 >> shift),
            _ => write!(f, "{}", self.0),
        }
    }
}
