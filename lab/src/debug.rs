// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that waits for gdb before its first instruction.

use anyhow::Result;
use lab_run::console::Listeners;
use lab_run::machine::{Event, Machine};
use lab_run::paste;
use lab_run::prepare::Prepared;
use lab_run::say;
use lab_run::screen::Screen;
use lab_run::workspace::Workspace;
use std::path::Path;
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
    say!("    {}", attach(&workspace.symbols()?, &workspace.root().join(SCRIPT)));
    say!("(no gdb-multiarch? apt-get install gdb-multiarch; a gdb built for AArch64 does as well). Ctrl-C ends it.");
    let screen = Screen::new();
    let mut listeners = Listeners::new(false);
    loop {
        match machine.next(Instant::now() + TICK)? {
            Event::Bytes(port, bytes) => {
                for line in listeners.at(port).hear(&bytes) {
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

/// Writes the command that attaches gdb.
fn attach(symbols: &Path, script: &Path) -> String {
    format!("gdb-multiarch -cd {} -x {}", paste::word(symbols), paste::word(script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted_wherever_the_checkout_is() {
        let [symbols, script] = ["/some where/it's/symbols", "/some where/it's/triptych.gdb"];
        let command = attach(Path::new(symbols), Path::new(script));
        // What words a shell makes of that is a test of `paste`'s.
        let [symbols, script] = [r"'/some where/it'\''s/symbols'", r"'/some where/it'\''s/triptych.gdb'"];
        assert_eq!(command, format!("gdb-multiarch -cd {symbols} -x {script}"));
    }
}
