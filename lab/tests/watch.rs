// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab watch` on a terminal: what it shows, and that it gives the terminal back on every way out.

#[cfg(target_os = "linux")]
mod children;
mod program;
mod terminal;

use anyhow::{Result, ensure};
use lab::watch::keys::HELP;
use lab_run::workspace::Workspace;
use std::process::Command;
use terminal::{Heard, Terminal};

/// The scenario that is over at once, and the one that takes long.
const SHORT: &str = "scenarios/second-vm.toml";
const LONG: &str = "scenarios/ten-thousand-cycles.toml";

fn shows_help(watched: &mut Terminal) -> Result<()> {
    watched.press(b"?")?;
    for (key, what) in HELP {
        // In one line, and whole.
        let is_in = |line: &str| line.contains(key) && line.contains(what);
        watched.wait_until(what, |heard| heard.text().lines().any(is_in))?;
    }
    Ok(())
}

fn is_coloured(heard: &Heard) -> bool {
    let screen = heard.terminal.screen();
    let (rows, columns) = screen.size();
    let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).filter_map(move |column| screen.cell(row, column)));
    cells.into_iter().any(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
}

#[test]
fn the_view_is_shown_and_left_with_q() -> Result<()> {
    let mut watched = Terminal::start(&["watch", SHORT], (80, 24), &[])?;
    watched.wait_for("the machine powered off")?;
    for what in ["second-vm", "2/2 expected", "S-EL1 TEE", "PSCI_SYSTEM_OFF", "q leave"] {
        watched.wait_for(what)?;
    }
    watched.wait_until("colours", is_coloured)?;
    shows_help(&mut watched)?;
    watched.press(b"xq")?;
    let after = watched.end()?.text();
    ensure!(after.contains("PASS second-vm"), "{after}");
    Ok(())
}

#[test]
fn the_machine_that_is_watched_is_the_one_that_the_scenario_describes() -> Result<()> {
    let output = Command::new(program::lab())
        .args(["watch", "scenarios/late-cpus.toml"])
        .current_dir(Workspace::locate()?.root())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}");
    let found = |what: &str| said.lines().position(|line| line.contains(what));
    let (asked, came) = (found("PSCI_CPU_ON_64 x1=0x3"), found("CPU3 [EL3] EL3          starts"));
    ensure!(asked.is_some() && asked < came, "CPU 3 comes in line {came:?}, and is held back in {asked:?}:\n{said}");
    Ok(())
}

#[test]
fn without_colours_it_shows_the_same() -> Result<()> {
    let mut watched = Terminal::start(&["watch", SHORT], (100, 30), &[("NO_COLOR", "1")])?;
    watched.wait_for("the machine powered off")?;
    // Where the CPU is can be seen without them.
    watched.wait_until("a CPU in one of the worlds", |heard| {
        let screen = heard.terminal.screen();
        let row = heard.text().lines().position(|line| line.starts_with(" CPU0"));
        row.is_some_and(|row| (0..100).any(|at| screen.cell(row as u16, at).is_some_and(vt100::Cell::inverse)))
    })?;
    ensure!(!is_coloured(&watched.heard()), "colours");
    shows_help(&mut watched)?;
    watched.press(b"xq")?;
    ensure!(!is_coloured(&watched.end()?), "colours");
    Ok(())
}

#[test]
fn a_terminal_that_only_prints_gets_lines() -> Result<()> {
    for command in ["watch", "run"] {
        let heard = Terminal::start(&[command, SHORT], (80, 24), &[("TERM", "dumb")])?.end()?;
        let text = String::from_utf8_lossy(&heard.bytes);
        ensure!(text.contains("PASS second-vm"), "{text}");
        ensure!(!text.contains('\x1b'), "{text:?}");
    }
    Ok(())
}

#[test]
fn ctrl_c_gives_the_terminal_back() -> Result<()> {
    let mut watched = Terminal::start(&["watch", LONG], (200, 60), &[])?;
    watched.wait_for("S-EL1 TEE")?;
    watched.press(b"\x03")?;
    let after = watched.end()?.text();
    ensure!(after.contains("nothing is judged"), "{after}");
    Ok(())
}

/// Only Linux tells who a process's children are this easily.
#[cfg(target_os = "linux")]
#[test]
fn a_crash_of_qemu_is_shown_and_the_terminal_is_given_back() -> Result<()> {
    let mut watched = Terminal::start(&["watch", LONG], (80, 24), &[])?;
    watched.wait_for("S-EL1 TEE")?;
    Command::new("kill").args(["-KILL", &children::qemu(watched.id())?.to_string()]).status()?;
    watched.wait_for("QEMU ended without a word")?;
    watched.press(b"q")?;
    let after = watched.end()?.text();
    ensure!(after.contains("FAIL ten-thousand-cycles"), "{after}");
    Ok(())
}
