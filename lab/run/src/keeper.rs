// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who ends QEMU when the lab can't: a process that waits for the lab's end, however that comes.
//!
//! A lab that is killed (`kill -9`) cleans nothing up. The keeper holds the other end of a pipe, which the system
//! closes with the lab, and is the first of the process group that QEMU joins: what it ends is never another process
//! that has got QEMU's number since.

use anyhow::{Context, Result};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A line says that the lab has seen to it. The end of the pipe without one ends everything, the keeper too.
const SCRIPT: &str = "read -r word || { rm -rf -- \"$@\"; kill -KILL 0; }";

/// The process.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    /// Nobody else has this end: it is closed when a program is started.
    lab: Option<ChildStdin>,
}

impl Keeper {
    /// Begins to wait. When the lab is gone these files and folders go, too.
    pub(crate) fn start<'p>(files: impl IntoIterator<Item = &'p Path>) -> Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "triptych-keeper"]).args(files).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child =
            command.spawn().context("cannot start /bin/sh, which would end QEMU after a lab that is killed")?;
        let lab = child.stdin.take();
        Ok(Self { child, lab })
    }

    /// Returns the process group that ends with the lab.
    pub(crate) fn group(&self) -> i32 {
        self.child.id().cast_signed()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It has ended before only if somebody killed it, which is what comes of this as well.
        if let Some(mut lab) = self.lab.take() {
            let _ = lab.write_all(b"done\n");
        }
        let _ = self.child.wait();
    }
}
