// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's small secrets, each under a name.
//!
//! They are in the VM's own partition: what another VM's call could leak is not even mapped while it runs.

use shared_abi::pta::vault::{MAX_ENTRIES, MAX_NAME, MAX_VALUE};

/// Bytes of a length up to `N`, at least 1.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    len: u16,
    bytes: [u8; N],
}

/// What a secret is called.
pub type Name = Text<MAX_NAME>;
/// A secret.
pub type Value = Text<MAX_VALUE>;

impl<const N: usize> Text<N> {
    const EMPTY: Self = Self { len: 0, bytes: [0; N] };

    /// Makes `len` zeroes, to be filled. `None` if that is no length.
    pub fn zeroes(len: usize) -> Option<Self> {
        (1..=N).contains(&len).then_some(Self { len: len as u16, bytes: [0; N] })
    }

    /// Gives the bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len).min(N)]
    }

    /// Gives the bytes, to change them.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len).min(N)]
    }
}

/// An entry with an empty name is free.
#[derive(Clone, Copy)]
struct Entry {
    name: Name,
    value: Value,
}

/// The secrets.
pub struct Secrets {
    entries: [Entry; MAX_ENTRIES],
}

/// There is no room for another secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Secrets {
    /// Makes a vault without secrets.
    pub const fn new() -> Self {
        Self { entries: [Entry { name: Text::EMPTY, value: Text::EMPTY }; MAX_ENTRIES] }
    }

    /// Finds the entry of this name; that without one is free.
    fn place(&self, name: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name.as_slice() == name)
    }

    /// Keeps a secret, in the place of another one of this name.
    pub fn put(&mut self, name: &Name, value: &Value) -> Result<(), Full> {
        let place = self.place(name.as_slice()).or_else(|| self.place(&[])).ok_or(Full)?;
        self.entries[place] = Entry { name: *name, value: *value };
        Ok(())
    }

    /// Finds the secret of this name, where it stands: so that no stack keeps a copy of it.
    pub fn get(&self, name: &Name) -> Option<&[u8]> {
        self.place(name.as_slice()).map(|place| self.entries[place].value.as_slice())
    }

    /// Forgets the secret of this name. Says whether there was one.
    pub fn delete(&mut self, name: &Name) -> bool {
        let place = self.place(name.as_slice());
        place.map(|place| self.entries[place] = Entry { name: Text::EMPTY, value: Text::EMPTY }).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<const N: usize>(from: &str) -> Text<N> {
        let mut text = Text::zeroes(from.len()).unwrap();
        text.as_mut_slice().copy_from_slice(from.as_bytes());
        text
    }

    #[test]
    fn a_name_has_one_secret_until_it_is_deleted() {
        let mut vault = Box::new(Secrets::new());
        let (name, other) = (text("name"), text("name2"));
        assert_eq!(vault.get(&name), None);
        vault.put(&name, &text("first")).unwrap();
        vault.put(&other, &text("other")).unwrap();
        vault.put(&name, &text("second")).unwrap();
        assert_eq!((vault.get(&name), vault.get(&other)), (Some(&b"second"[..]), Some(&b"other"[..])));
        assert!(vault.delete(&name) && !vault.delete(&name));
        assert_eq!((vault.get(&name), vault.get(&other)), (None, Some(&b"other"[..])));
    }

    #[test]
    fn there_is_a_bound_on_secrets_and_on_their_lengths() {
        let mut vault = Box::new(Secrets::new());
        for n in 0..MAX_ENTRIES {
            vault.put(&text(&n.to_string()), &text("value")).unwrap();
        }
        assert_eq!(vault.put(&text("one more"), &text("value")), Err(Full));
        assert_eq!(vault.put(&text("0"), &text("changed")), Ok(()));
        assert!(vault.delete(&text("1")));
        assert_eq!(vault.put(&text("one more"), &text("value")), Ok(()));
        assert!(Name::zeroes(0).is_none() && Name::zeroes(MAX_NAME + 1).is_none());
        assert!(Value::zeroes(MAX_VALUE).is_some_and(|value| value.as_slice().len() == MAX_VALUE));
    }
}
