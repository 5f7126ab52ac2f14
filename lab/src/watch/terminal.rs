// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal, and how it is given back: on every way out, by `q`, Ctrl-C, a signal, an error or a panic.

use super::draw::{Scene, draw};
use super::keys::{Action, press};
use super::plain;
use super::session::{Interrupted, Session};
use super::view::View;
use crate::machine::interrupted;
use crate::screen::wants_colours;
use anyhow::{Context, Result};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::style::{Color, Modifier};
use ratatui::{DefaultTerminal, Frame};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between two pictures.
const PERIOD: Duration = Duration::from_millis(40);

/// The terminal while it is ours.
struct Stage(DefaultTerminal);

impl Stage {
    /// The alternate screen, raw. A panic gives it back, too.
    fn enter() -> Result<Self> {
        ratatui::try_init().map(Self).context("cannot set the terminal")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the view until the user leaves; the machine's end alone doesn't end it. Whether all that the scenario expects
/// holds.
pub fn watch(mut session: Session) -> Result<bool> {
    let mut stage = Stage::enter()?;
    let shown = show(&mut stage, &mut session);
    drop(stage);
    shown?;
    plain::finish(session)
}

/// What stands on a colour is reversed then. Nothing is told by a colour alone.
fn without_colours(picture: &mut Buffer) {
    for cell in &mut picture.content {
        if cell.bg != Color::Reset {
            cell.modifier |= Modifier::REVERSED;
        }
        (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
    }
}

fn show(stage: &mut Stage, session: &mut Session) -> Result<()> {
    let (mut view, colours) = (View::default(), wants_colours());
    loop {
        match session.pump(Instant::now() + PERIOD) {
            Ok(forgotten) => view.forget(forgotten),
            Err(Interrupted) => return Ok(()),
        }
        // A machine that has ended takes no time; the next key may.
        let patience = if session.ended.is_some() { PERIOD } else { Duration::ZERO };
        let mut wait = patience;
        while event::poll(wait).context("cannot read the keyboard")? {
            wait = Duration::ZERO;
            let Event::Key(key) = event::read().context("cannot read the keyboard")? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            let consoles = session.consoles();
            match press(&mut view, &session.history, consoles.len(), key) {
                Action::None => {}
                Action::Quit => return Ok(()),
                Action::Type(keys) => {
                    if let Some(vm) = consoles.get(view.console) {
                        session.type_in(vm, &keys);
                    }
                }
            }
        }
        if interrupted().load(Ordering::Relaxed) {
            return Ok(());
        }
        let picture = |frame: &mut Frame<'_>| {
            draw(frame, &Scene::of(session), &view);
            if !colours {
                without_colours(frame.buffer_mut());
            }
        };
        stage.0.draw(picture).context("cannot draw")?;
    }
}
