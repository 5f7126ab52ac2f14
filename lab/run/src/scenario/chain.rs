// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[chain]`: whose the layers are, what boots first above them, and what is wrong with the flash.

use super::layer::{self, MonitorLayer, NormalWorld, Owner, TeeLayer};
use super::tables::is_our_initramfs;
use lab_script::Size;
use serde::Deserialize;

/// What is in the flash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Chain {
    /// Whose the monitor is.
    pub monitor: MonitorLayer,
    /// Whose the TEE is, if there is one.
    #[serde(deserialize_with = "layer::optional")]
    pub tee: Option<TeeLayer>,
    /// Whether the TEE has a partition for each VM, or one for whoever calls; else what fits the normal world.
    pub tee_mode: Option<TeeMode>,
    /// Whose the hypervisor is, where it is the normal world.
    pub hypervisor: Owner,
    /// What the normal world is.
    pub normal_world: NormalWorld,
    /// The kernel that a hypervisor in the normal world's place starts first: `linux` or a path.
    pub kernel: Option<String>,
    /// The RAM disk of that, or of a kernel in the normal world's place: `linux`, `linux-xtest` or a path.
    pub initramfs: Option<String>,
    /// Its command line.
    pub bootargs: String,
    /// The command line of the hypervisor itself.
    pub hypervisor_bootargs: String,
    /// Bytes of all images together: the normal world's is filled up with zeros.
    pub images: Option<Size>,
    /// What is wrong with the flash.
    pub damage: Option<Damage>,
    /// The hypervisor makes the branch predictor forget at every exit of a guest.
    pub harden_branch_predictor: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            monitor: MonitorLayer::default(),
            tee: Some(TeeLayer::default()),
            tee_mode: None,
            hypervisor: Owner::default(),
            normal_world: NormalWorld::default(),
            kernel: None,
            initramfs: None,
            bootargs: String::new(),
            hypervisor_bootargs: String::new(),
            images: None,
            damage: None,
            harden_branch_predictor: false,
        }
    }
}

/// Whom the TEE keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeeMode {
    /// VMs, which a hypervisor tells it of.
    Virtualized,
    /// Nobody: it has one client.
    Single,
}

impl Chain {
    /// Says which mode of our TEE fits the normal world: only ours tells it of VMs, and the probe does what it likes.
    pub fn tee_mode(&self) -> TeeMode {
        let fitting = if self.normal_world.is_foreign() { TeeMode::Single } else { TeeMode::Virtualized };
        self.tee_mode.unwrap_or(fitting)
    }

    /// Says whether the first kernel's init is ours, which plays the steps in its command line.
    pub fn plays_steps(&self) -> bool {
        self.initramfs.as_deref().is_some_and(is_our_initramfs)
    }
}

/// One thing that is wrong with a flash. The images themselves are as built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Damage {
    /// One bit of this image is flipped after it was hashed.
    Flip(Image),
    /// The flash ends in the middle of this image.
    CutIn(Image),
    /// The package ends in the middle of its table of contents.
    CutToc,
    /// The package's entry for this image claims more bytes than the flash has.
    Oversize(Image),
    /// The package holds no such image.
    Drop(Image),
    /// The manifest has no hash for this image.
    Unlisted(Image),
    /// Nothing but zeros where the manifest should be.
    NoManifest,
}

/// An image of the firmware package, by the name that TF-A gives its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// The monitor's runtime.
    Bl31,
    /// The TEE.
    Bl32,
    /// The normal world: the hypervisor.
    Bl33,
}
