// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a key does.
//!
//! While keys go to a VM, Ctrl-A is the escape as in `lab shell`: Ctrl-A Escape takes the keyboard back, Ctrl-A Ctrl-A
//! is one for the VM.

use super::history::History;
use super::view::View;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What is to be done beyond changing the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Leave.
    Quit,
    /// Type this into the console that has the focus.
    Type(Vec<u8>),
}

/// What the keys do, for those who look.
pub const HELP: &[(&str, &str)] = &[
    ("space", "stop the picture, or follow the machine, which goes on"),
    ("← →", "a record back, forward"),
    ("PgUp PgDn", "twenty records back, forward"),
    ("Home End", "the first record, the newest"),
    ("v", "the next VM alone, then all again"),
    ("h t m", "hypervisor, TEE, monitor: show or hide its records"),
    ("a", "every record, or only calls, switches and lives"),
    ("Tab", "the next console"),
    ("Enter", "type into that VM's console, until Ctrl-A Esc"),
    ("?", "this help"),
    ("q, Ctrl-C", "leave"),
];

/// Presses a key. There are `vms` consoles to type into, and the layers' beside them.
pub fn press(view: &mut View, history: &History, vms: usize, key: KeyEvent) -> Action {
    if view.typing {
        return typed(view, key);
    }
    if view.help {
        view.help = false;
        return Action::None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => return Action::Quit,
        KeyCode::Char('q') => return Action::Quit,
        KeyCode::Char(' ') => view.pause(history),
        KeyCode::Left | KeyCode::Up => view.step(history, 1),
        KeyCode::Right | KeyCode::Down => view.step(history, -1),
        KeyCode::PageUp => view.step(history, 20),
        KeyCode::PageDown => view.step(history, -20),
        KeyCode::Home => view.first(history),
        KeyCode::End => view.at = None,
        KeyCode::Char('v') => view.filter.next_vm(history.now().vms.keys().copied()),
        KeyCode::Char('m') => view.filter.layers[0] ^= true,
        KeyCode::Char('t') => view.filter.layers[1] ^= true,
        KeyCode::Char('h') => view.filter.layers[2] ^= true,
        KeyCode::Char('a') => view.filter.all ^= true,
        KeyCode::Tab => view.console = (view.console + 1) % (vms + 1),
        KeyCode::Enter if view.console < vms => view.typing = true,
        KeyCode::Char('?') => view.help = true,
        _ => {}
    }
    Action::None
}

/// Takes a key while keys go to a VM.
fn typed(view: &mut View, key: KeyEvent) -> Action {
    let escape = is_escape(key);
    if std::mem::take(&mut view.escaped) {
        match key.code {
            KeyCode::Esc => view.typing = false,
            KeyCode::Char('x' | 'q') if !escape => return Action::Quit,
            // The hypervisor's own escape is the same: it makes of two one for the VM.
            _ if escape => return Action::Type(vec![1, 1]),
            _ => {}
        }
        return Action::None;
    }
    if escape {
        view.escaped = true;
        return Action::None;
    }
    Action::Type(bytes(key))
}

fn is_escape(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('a')
}

/// Returns what a terminal sends for a key.
fn bytes(key: KeyEvent) -> Vec<u8> {
    match key.code {
        KeyCode::Char(letter @ ('a'..='z' | '@'..='_')) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            vec![letter as u8 & 0x1F]
        }
        KeyCode::Char(letter) => letter.to_string().into_bytes(),
        KeyCode::Enter => b"\r".to_vec(),
        KeyCode::Tab => b"\t".to_vec(),
        KeyCode::Backspace => b"\x7f".to_vec(),
        KeyCode::Esc => b"\x1b".to_vec(),
        KeyCode::Up => b"\x1b[A".to_vec(),
        KeyCode::Down => b"\x1b[B".to_vec(),
        KeyCode::Right => b"\x1b[C".to_vec(),
        KeyCode::Left => b"\x1b[D".to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn control(letter: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
    }

    #[test]
    fn keys_choose_and_leave() {
        let (mut view, history) = (View::default(), History::new(1));
        let mut key = |key| press(&mut view, &history, 2, key);
        assert_eq!(key(plain(KeyCode::Char('t'))), Action::None);
        assert_eq!(key(plain(KeyCode::Char('a'))), Action::None);
        assert_eq!(key(plain(KeyCode::Tab)), Action::None);
        assert_eq!(key(plain(KeyCode::Char('q'))), Action::Quit);
        assert_eq!(key(control('c')), Action::Quit);
        assert_eq!((view.filter.layers, view.filter.all, view.console), ([true, false, true], true, 1));
    }

    #[test]
    fn typing_takes_every_key_until_the_escape() {
        let (mut view, history) = (View::default(), History::new(1));
        assert_eq!(press(&mut view, &history, 1, plain(KeyCode::Enter)), Action::None);
        let mut key = |key| press(&mut view, &history, 1, key);
        assert_eq!(key(plain(KeyCode::Char('q'))), Action::Type(b"q".to_vec()));
        assert_eq!(key(control('c')), Action::Type(vec![3]));
        assert_eq!(key(plain(KeyCode::Enter)), Action::Type(vec![13]));
        assert_eq!(key(control('a')), Action::None);
        assert_eq!(key(control('a')), Action::Type(vec![1, 1]));
        assert_eq!(key(control('a')), Action::None);
        assert_eq!(key(plain(KeyCode::Esc)), Action::None);
        assert_eq!(key(plain(KeyCode::Char('q'))), Action::Quit);
    }

    #[test]
    fn nobody_types_where_no_console_is() {
        let mut view = View::default();
        press(&mut view, &History::new(1), 0, plain(KeyCode::Enter));
        assert!(!view.typing);
    }
}
