// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose the layers of a chain are, as a scenario names them: ours, or somebody else's by package or file.

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

/// Whose a layer is that nobody else's can stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// As this repository has it.
    #[default]
    Ours,
}

/// A package of Debian's, which may hold several builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub package: String,
    /// Which of its builds.
    pub build: Option<String>,
}

/// A program that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    /// A package's.
    Package(Package),
    /// A user's file.
    Image(PathBuf),
}

/// Whose the TEE is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TeeLayer {
    /// Nobody said: ours, or that of the monitor's flash.
    #[default]
    Usual,
    /// As this repository has it.
    Ours,
    /// Ours, built with features: the reported bug, and remedies.
    Featured(Vec<String>),
    /// Somebody else's.
    Foreign(Foreign),
}

/// Whose the monitor is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MonitorLayer {
    /// As this repository has it.
    #[default]
    Ours,
    /// That of a flash image, which brings a TEE with it.
    Flash(PathBuf),
    /// TF-A as it is built, in parts.
    Parts(Parts),
}

/// TF-A's images, of which the lab makes a flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// What the machine starts.
    pub bl1: PathBuf,
    /// The loader.
    pub bl2: PathBuf,
    /// The runtime.
    pub bl31: PathBuf,
}

/// What the chain starts as the normal world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NormalWorld {
    /// Our hypervisor.
    #[default]
    Hypervisor,
    /// The probe in its place; it plays the scenario's steps.
    Probe,
    /// Debian's Linux, at EL2.
    Linux,
    /// Another hypervisor, a boot loader, a kernel.
    Foreign(Foreign),
}

impl NormalWorld {
    /// Says whether it is a program that is not ours: it has its own words, and the console is its alone.
    pub const fn is_foreign(&self) -> bool {
        !matches!(self, Self::Hypervisor | Self::Probe)
    }
}

/// A layer that a word names, or a table.
trait Named: Sized {
    /// What a message says is expected.
    const EXPECTED: &'static str;
    /// The words.
    type Word: for<'de> Deserialize<'de> + Into<Self>;
    /// The table.
    type Table: for<'de> Deserialize<'de> + TryInto<Self, Error = &'static str>;
}

/// Reads a layer.
struct Reader<L>(PhantomData<L>);

impl<'de, L: Named> Visitor<'de> for Reader<L> {
    type Value = L;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(L::EXPECTED)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<L, E> {
        L::Word::deserialize(StrDeserializer::new(name)).map(Into::into)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<L, A::Error> {
        let table = L::Table::deserialize(MapAccessDeserializer::new(map))?;
        table.try_into().map_err(Error::custom)
    }
}

/// Reads a layer that can be left out: `false` is nobody's, and `true` is as good as `"ours"`.
struct Optional;

impl<'de> Visitor<'de> for Optional {
    type Value = Option<TeeLayer>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or false for none", TeeLayer::EXPECTED)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Reader::<TeeLayer>(PhantomData).visit_str(name).map(Some)
    }

    fn visit_bool<E: Error>(self, there: bool) -> Result<Self::Value, E> {
        Ok(there.then(TeeLayer::default))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Reader::<TeeLayer>(PhantomData).visit_map(map).map(Some)
    }
}

/// Reads whose the TEE is, if there is one.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TeeLayer>, D::Error> {
    deserializer.deserialize_any(Optional)
}

impl<'de> Deserialize<'de> for MonitorLayer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<'de> Deserialize<'de> for NormalWorld {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TeeWord {
    Ours,
    AsReported,
}

/// A program that is not ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ForeignTable {
    package: Option<String>,
    build: Option<String>,
    image: Option<PathBuf>,
}

impl TryFrom<ForeignTable> for Foreign {
    type Error = &'static str;

    fn try_from(table: ForeignTable) -> Result<Self, Self::Error> {
        match table {
            ForeignTable { package: Some(package), build, image: None } => {
                Ok(Self::Package(Package { package, build }))
            }
            ForeignTable { package: None, build: None, image: Some(image) } => Ok(Self::Image(image)),
            _ => Err("it is a `package`, perhaps a `build` of it, or an `image`"),
        }
    }
}

impl Named for TeeLayer {
    const EXPECTED: &'static str =
        "the name of a TEE, `ours` or `as-reported`, or a table with a `package` or an `image`";
    type Word = TeeWord;
    type Table = ForeignTable;
}

impl From<TeeWord> for TeeLayer {
    fn from(word: TeeWord) -> Self {
        match word {
            TeeWord::Ours => Self::Ours,
            TeeWord::AsReported => Self::Featured(vec!["as-reported".to_owned()]),
        }
    }
}

impl TryFrom<ForeignTable> for TeeLayer {
    type Error = &'static str;

    fn try_from(table: ForeignTable) -> Result<Self, Self::Error> {
        table.try_into().map(Self::Foreign)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MonitorWord {
    Ours,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct MonitorTable {
    flash: Option<PathBuf>,
    bl1: Option<PathBuf>,
    bl2: Option<PathBuf>,
    bl31: Option<PathBuf>,
}

impl Named for MonitorLayer {
    const EXPECTED: &'static str =
        "the name of a monitor, `ours`, or a table with a `flash`, or `bl1`, `bl2` and `bl31`";
    type Word = MonitorWord;
    type Table = MonitorTable;
}

impl From<MonitorWord> for MonitorLayer {
    fn from(word: MonitorWord) -> Self {
        match word {
            MonitorWord::Ours => Self::Ours,
        }
    }
}

impl TryFrom<MonitorTable> for MonitorLayer {
    type Error = &'static str;

    fn try_from(table: MonitorTable) -> Result<Self, Self::Error> {
        match table {
            MonitorTable { flash: Some(flash), bl1: None, bl2: None, bl31: None } => Ok(Self::Flash(flash)),
            MonitorTable { flash: None, bl1: Some(bl1), bl2: Some(bl2), bl31: Some(bl31) } => {
                Ok(Self::Parts(Parts { bl1, bl2, bl31 }))
            }
            _ => Err("a monitor is a `flash`, or all of `bl1`, `bl2` and `bl31`"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NormalWorldWord {
    Hypervisor,
    Probe,
    Linux,
}

impl Named for NormalWorld {
    const EXPECTED: &'static str =
        "the name of a normal world, `hypervisor`, `probe` or `linux`, or a table with a `package` or an `image`";
    type Word = NormalWorldWord;
    type Table = ForeignTable;
}

impl From<NormalWorldWord> for NormalWorld {
    fn from(word: NormalWorldWord) -> Self {
        match word {
            NormalWorldWord::Hypervisor => Self::Hypervisor,
            NormalWorldWord::Probe => Self::Probe,
            NormalWorldWord::Linux => Self::Linux,
        }
    }
}

impl TryFrom<ForeignTable> for NormalWorld {
    type Error = &'static str;

    fn try_from(table: ForeignTable) -> Result<Self, Self::Error> {
        table.try_into().map(Self::Foreign)
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.build {
            Some(build) => write!(f, "{}:{build}", self.package),
            None => f.write_str(&self.package),
        }
    }
}

/// Reads a package as an option of a command has it: `optee-os`, or `optee-os:plain`.
impl From<&str> for Package {
    fn from(text: &str) -> Self {
        match text.split_once(':') {
            Some((package, build)) => Self { package: package.to_owned(), build: Some(build.to_owned()) },
            None => Self { package: text.to_owned(), build: None },
        }
    }
}
