// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that waits for gdb before its first instruction.

use crate::console::{Listener, Port};
use crate::machine::{Event, Machine};
use crate::prepare::Prepared;
use crate::say;
use crate::screen::Screen;
use crate::workspace::Workspace;
use anyhow::Result;
use std::time::{Duration, Instant};

/// The committed script that loads every layer's symbols.
const SCRIPT: &str = "lab/gdb/triptych.gdb";
/// There is no time limit here; this is how often nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// Starts the machine halted, says how to attach, and shows what it says until it ends.
pub fn wait_for_gdb(workspace: &Workspace, mut prepared: Prepared) -> Result<()> {
    prepared.line.wait_for_gdb();
    let mut machine = Machine::start(&prepared)?;
    say!("The machine waits at its reset vector. In another terminal:");
    say!("    gdb-multiarch -cd {} -x {}", workspace.symbols()?.display(), workspace.root().join(SCRIPT).display());
    say!("(no gdb-multiarch? apt-get install gdb-multiarch; a gdb built for AArch64 does as well). Ctrl-C ends it.");
    let screen = Screen::new();
    let mut listeners = Port::ALL.map(Listener::new);
    loop {
        match machine.next(Instant::now() + TICK)? {
            Event::Bytes(port, bytes) => {
                let heard = Port::ALL.iter().position(|each| *each == port);
                for line in heard.into_iter().flat_map(|index| listeners[index].hear(&bytes)) {
                    screen.print(&line);
                }
            }
            Event::Silence => {}
            Event::Interrupted => return Ok(()),
            Event::Ended(ending) => {
                say!("{ending}");
                return Ok(());
            }
        }
    }
}
