// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layers of somebody else's, out of Debian's packages.

use crate::debian::Depot;
use crate::kernel;
use crate::scenario::Package;
use crate::tee_image;
use anyhow::{Context, Result, bail, ensure};
use shared_abi::layout::BL33_BASE;
use std::fs;
use std::path::Path;

/// A build in a package that can stand in a layer's place.
struct Build {
    package: &'static str,
    /// What a scenario calls it; nothing if the package has one only.
    name: Option<&'static str>,
    file: &'static str,
}

/// The TEEs, the usual build of each first.
const TEES: [Build; 2] = [
    Build {
        package: "optee-os",
        name: Some("virtualized"),
        file: "usr/lib/optee/vexpress-qemu_armv8a-virtualized/tee-header_v2.bin",
    },
    Build { package: "optee-os", name: Some("plain"), file: "usr/lib/optee/vexpress-qemu_armv8a/tee-header_v2.bin" },
];

/// What can be the normal world.
const NORMAL_WORLDS: [Build; 2] = [
    Build { package: "u-boot-qemu", name: None, file: "usr/lib/u-boot/qemu_arm64/u-boot.bin" },
    Build { package: "xen-hypervisor-4.20-arm64", name: None, file: "boot/xen-4.20-arm64" },
];

/// A layer's image.
pub(crate) struct Program {
    /// As it is put into the flash.
    pub image: Vec<u8>,
    /// What it is of instead of the recorded package, for people.
    pub instead: Vec<String>,
}

/// Fetches a TEE.
pub(crate) fn tee(depot: &Depot<'_>, package: &Package) -> Result<Program> {
    out_of(depot, find(&TEES, package, "TEE")?, &|file| tee_image::read(file))
}

/// Fetches a normal world.
pub(crate) fn normal_world(depot: &Depot<'_>, package: &Package) -> Result<Program> {
    let read = |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    out_of(depot, find(&NORMAL_WORLDS, package, "normal world")?, &read)
}

/// Reads a user's normal world: as it is, or what is packed in it.
pub(crate) fn image(file: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let kernel = kernel::unpack(bytes).with_context(|| format!("{} can't be started", file.display()))?;
    if let Some(place) = kernel.place {
        ensure!(
            (place.address, place.entry) == (BL33_BASE, BL33_BASE),
            "{} is linked for {:#x} and entered at {:#x}: a normal world is entered where it begins, at {BL33_BASE:#x}",
            file.display(),
            place.address,
            place.entry
        );
    }
    Ok(kernel.bytes)
}

fn find(builds: &'static [Build], wanted: &Package, what: &str) -> Result<&'static Build> {
    let of_package: Vec<_> = builds.iter().filter(|build| build.package == wanted.package).collect();
    let Some(usual) = of_package.first() else {
        let mut known: Vec<_> = builds.iter().map(|build| build.package).collect();
        known.dedup();
        bail!("no {what} is known in a package `{}`, but in {}", wanted.package, known.join(" and "));
    };
    let Some(name) = &wanted.build else { return Ok(usual) };
    of_package.iter().find(|build| build.name == Some(name)).copied().with_context(|| {
        let known: Vec<_> = of_package.iter().filter_map(|build| build.name).collect();
        match known.as_slice() {
            [] => format!("{} has one build only, and `{name}` is none", wanted.package),
            known => format!("{} has no build `{name}`, but {}", wanted.package, known.join(" and ")),
        }
    })
}

fn out_of(depot: &Depot<'_>, build: &Build, read: &dyn Fn(&Path) -> Result<Vec<u8>>) -> Result<Program> {
    let _lock = depot.lock()?;
    let set = depot.obtain(&depot.set_with(build.package)?)?;
    let unpacked = set.unpacked()?;
    let image = read(&unpacked.path().join(build.file)).with_context(|| format!("{} is of no use", build.package))?;
    Ok(Program { image, instead: set.packages.instead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_found_by_name_and_the_usual_one_without() {
        let file = |builds, text: &str| {
            find(builds, &Package::from(text), "TEE").map(|build| build.file).map_err(|error| error.to_string())
        };
        assert_eq!(file(&TEES, "optee-os"), Ok(TEES[0].file));
        assert_eq!(file(&TEES, "optee-os:plain"), Ok(TEES[1].file));
        assert_eq!(
            file(&TEES, "optee-os:small"),
            Err("optee-os has no build `small`, but virtualized and plain".into())
        );
        assert_eq!(file(&TEES, "trusty"), Err("no TEE is known in a package `trusty`, but in optee-os".into()));
        let said = file(&NORMAL_WORLDS, "u-boot-qemu:big");
        assert_eq!(said, Err("u-boot-qemu has one build only, and `big` is none".into()));
    }
}
