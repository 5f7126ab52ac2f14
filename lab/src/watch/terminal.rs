// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal, and how it is given back: on every way out, by `q`, Ctrl-C, a signal, an error or a panic.

use super::draw::{Scene, draw};
use super::keys::{Action, press};
use super::plain;
use super::session::{Interrupted, Session};
use super::view::View;
use anyhow::{Context, Result};
use lab_run::machine::interrupted;
use lab_run::screen::wants_colours;
use ratatui::backend::Backend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::style::{Color, Modifier};
use ratatui::{DefaultTerminal, Frame, Terminal};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between two pictures.
const PERIOD: Duration = Duration::from_millis(40);

/// The terminal while it is ours.
struct Stage {
    terminal: DefaultTerminal,
    shown: Option<Buffer>,
}

impl Stage {
    /// Enters the alternate screen, raw. A panic gives it back, too.
    fn enter() -> Result<Self> {
        let terminal = ratatui::try_init().context("cannot set the terminal")?;
        Ok(Self { terminal, shown: None })
    }
}

/// Draws a picture, unless it is the one that is shown: then the terminal, and whoever records it, is sent nothing.
fn show<B>(terminal: &mut Terminal<B>, shown: &mut Option<Buffer>, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()>
where
    B: Backend<Error: Send + Sync + 'static>,
{
    terminal.autoresize()?;
    draw(&mut terminal.get_frame());
    let picture = terminal.current_buffer_mut();
    if shown.as_ref() == Some(picture) {
        picture.reset();
        return Ok(());
    }
    *shown = Some(picture.clone());
    terminal.flush()?;
    terminal.hide_cursor()?;
    terminal.swap_buffers();
    terminal.backend_mut().flush()?;
    Ok(())
}

impl Drop for Stage {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the view until the user leaves; the machine's end alone doesn't end it. Says whether all that the scenario
/// expects holds.
pub fn watch(mut session: Session) -> Result<bool> {
    let mut stage = Stage::enter()?;
    let shown = follow(&mut stage, &mut session);
    drop(stage);
    shown?;
    plain::finish(session)
}

/// Takes the colours out; what stands on a colour is reversed then. Nothing is told by a colour alone.
fn without_colours(picture: &mut Buffer) {
    for cell in &mut picture.content {
        if cell.bg != Color::Reset {
            cell.modifier |= Modifier::REVERSED;
        }
        (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
    }
}

fn follow(stage: &mut Stage, session: &mut Session) -> Result<()> {
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
        show(&mut stage.terminal, &mut stage.shown, picture).context("cannot draw")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::CrosstermBackend;
    use ratatui::layout::Rect;
    use ratatui::widgets::Paragraph;
    use ratatui::{TerminalOptions, Viewport};
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    /// A terminal that keeps what it is sent.
    #[derive(Clone, Default)]
    struct Sink(Rc<RefCell<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_picture_that_is_shown_is_not_drawn_again() {
        let viewport = Viewport::Fixed(Rect::new(0, 0, 20, 2));
        let sink = Sink::default();
        let backend = CrosstermBackend::new(sink.clone());
        let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
        let mut shown = None;
        let mut sent = |text: &str| {
            let picture = |frame: &mut Frame<'_>| frame.render_widget(Paragraph::new(text.to_owned()), frame.area());
            show(&mut terminal, &mut shown, picture).unwrap();
            String::from_utf8(sink.0.take()).unwrap()
        };
        assert!(sent("one").contains("one"));
        assert_eq!(sent("one"), "");
        assert_eq!(sent("one"), "");
        // What is drawn next is what differs from what is shown.
        assert!(sent("onto").contains("to") && sent("on").contains(' '));
        assert_eq!(sent("on"), "");
    }
}
