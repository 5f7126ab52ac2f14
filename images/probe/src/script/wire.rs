// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a script stands in bytes: little-endian numbers, texts and lists with their length before them.
//!
//! Whoever reads checks every bound: a script that was cut, or that is none, is an error and never a panic.

use core::fmt;
use core::marker::PhantomData;

/// Why bytes are no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// They do not begin as one.
    Magic,
    /// Written for another probe.
    Version(u32),
    /// They end too early.
    Truncated,
    /// A number that means nothing where it stands.
    Unknown(&'static str, u32),
    /// More of something than the probe has room for.
    TooMany(&'static str),
    /// A text that is not UTF-8.
    NoText,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("it does not begin as a script"),
            Self::Version(version) => write!(f, "it is of version {version}, this probe plays {}", super::VERSION),
            Self::Truncated => f.write_str("it is cut short"),
            Self::Unknown(what, number) => write!(f, "{number:#x} is no {what}"),
            Self::TooMany(what) => write!(f, "too many {what}"),
            Self::NoText => f.write_str("a text is not UTF-8"),
        }
    }
}

impl core::error::Error for Damage {}

/// Something with a form in bytes.
pub trait Record<'a>: Sized {
    /// Reads it.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage>;

    /// Writes it so that [`Record::read`] gives it back.
    fn write(&self, out: &mut impl Extend<u8>);
}

/// Reads records one after another.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Makes a reader at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Says whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damage::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Damage::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// Reads the next record.
    pub fn get<T: Record<'a>>(&mut self) -> Result<T, Damage> {
        T::read(self)
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl<'a> Record<'a> for $type {
            fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
                reader.array().map(Self::from_le_bytes)
            }

            fn write(&self, out: &mut impl Extend<u8>) {
                out.extend(self.to_le_bytes());
            }
        })*
    };
}
numbers!(u8, u16, u32, u64);

impl<'a> Record<'a> for bool {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        match reader.get::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Damage::Unknown("truth value", other.into())),
        }
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        u8::from(*self).write(out);
    }
}

/// A text of at most 65,535 bytes; what is longer is written as far as that goes.
impl<'a> Record<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        let length = reader.get::<u16>()?;
        core::str::from_utf8(reader.bytes(length.into())?).map_err(|_| Damage::NoText)
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        let text = &self[..self.floor_char_boundary(u16::MAX.into())];
        (text.len() as u16).write(out);
        out.extend(text.bytes());
    }
}

impl<'a, T: Record<'a>> Record<'a> for Option<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        if reader.get()? { reader.get().map(Some) } else { Ok(None) }
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }
}

/// Records of one kind, left in bytes until somebody goes through them.
#[derive(Debug)]
pub struct List<'a, T> {
    bytes: &'a [u8],
    records: PhantomData<T>,
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<'a, T> List<'a, T> {
    /// No record.
    pub const EMPTY: Self = Self::of(&[]);

    /// Returns the list whose records were written into `bytes`, one after another.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, records: PhantomData }
    }

    /// Says whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a, T: Record<'a>> List<'a, T> {
    /// Returns the records. Damage ends them.
    pub fn records(self) -> impl Iterator<Item = Result<T, Damage>> + 'a
    where
        T: 'a,
    {
        let mut reader = Reader::new(self.bytes);
        core::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let record = reader.get();
            if record.is_err() {
                reader = Reader::new(&[]);
            }
            Some(record)
        })
    }

    /// Returns the records of a list that was found undamaged.
    pub fn iter(self) -> impl Iterator<Item = T> + 'a
    where
        T: 'a,
    {
        self.records().map_while(Result::ok)
    }
}

impl<'a, T> Record<'a> for List<'a, T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damage> {
        let length = reader.get::<u32>()?;
        let length = usize::try_from(length).map_err(|_| Damage::Truncated)?;
        Ok(Self::of(reader.bytes(length)?))
    }

    fn write(&self, out: &mut impl Extend<u8>) {
        (self.bytes.len() as u32).write(out);
        out.extend(self.bytes.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let mut bytes = Vec::new();
        0x1234_u16.write(&mut bytes);
        "née".write(&mut bytes);
        Some(7_u64).write(&mut bytes);
        List::<u8>::of(&[1, 2, 3]).write(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.get(), Ok(0x1234_u16));
        assert_eq!(reader.get(), Ok("née"));
        assert_eq!(reader.get(), Ok(Some(7_u64)));
        assert_eq!(reader.get::<List<'_, u8>>().unwrap().iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(reader.is_empty());
    }

    #[test]
    fn every_cut_is_noticed() {
        let mut bytes = Vec::new();
        "text".write(&mut bytes);
        List::<u8>::of(&[1, 2, 3]).write(&mut bytes);
        for end in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..end]);
            let read = reader.get::<&str>().and_then(|_| reader.get::<List<'_, u8>>());
            assert_eq!(read, Err(Damage::Truncated), "{end}");
        }
    }

    #[test]
    fn damage_in_a_list_ends_it() {
        let records: Vec<_> = List::<u16>::of(&[1, 0, 2]).records().collect();
        assert_eq!(records, [Ok(1), Err(Damage::Truncated)]);
        assert_eq!(List::<bool>::of(&[1, 9, 1]).iter().collect::<Vec<_>>(), [true]);
    }
}
