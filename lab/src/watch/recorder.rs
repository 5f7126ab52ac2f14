// SPDX-License-Identifier: MIT OR Apache-2.0
//! The view of a whole run as one moving SVG, for documents: the same picture that a terminal shows, drawn as it went.

use super::draw::{Scene, draw};
use super::plain;
use super::session::Session;
use super::view::View;
use anyhow::{Context, Result};
use lab_run::files::Destination;
use lab_run::say;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Columns and rows.
const SIZE: (u16, u16) = (100, 30);
/// Between two pictures.
const PERIOD: Duration = Duration::from_millis(400);
/// How long the last one stands, in pictures.
const REST: usize = 8;
/// Pictures at most; the last ones count.
const MOST: usize = 48;

/// Width and height of a character, in pixels.
const CELL: (f32, f32) = (8.0, 17.0);

/// Watches to the machine's end without a terminal and writes what would have been seen; says whether all that the
/// scenario expects holds.
pub fn watch(mut session: Session, file: &Destination) -> Result<bool> {
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).context("cannot draw")?;
    let (mut pictures, mut view): (Vec<Buffer>, _) = (Vec::new(), View::default());
    while let Ok(forgotten) = session.pump(Instant::now() + PERIOD) {
        view.forget(forgotten);
        let over = session.ended.is_some();
        session.stop_in_vain();
        terminal.draw(|frame| draw(frame, &Scene::of(&session), &view)).context("cannot draw")?;
        let picture = terminal.backend().buffer();
        if pictures.last() != Some(picture) {
            pictures.push(picture.clone());
        } else if over {
            break;
        }
    }
    let first = pictures.len().saturating_sub(MOST);
    file.write(svg(&pictures[first..]).as_bytes())?;
    say!("{} pictures: {file}", pictures.len() - first);
    plain::finish(session)
}

/// A row's text, and the pictures in which it stands: the first, and the one after the last.
struct Stretch {
    row: u16,
    shown: (usize, usize),
    text: String,
}

/// Writes pictures one after another, as an SVG that moves by itself.
fn svg(pictures: &[Buffer]) -> String {
    let mut stretches: Vec<Stretch> = Vec::new();
    for row in 0..SIZE.1 {
        for (number, picture) in pictures.iter().enumerate() {
            let text = draw_row(picture, row);
            match stretches.last_mut() {
                Some(last) if last.row == row && last.text == text => last.shown.1 = number + 1,
                _ => stretches.push(Stretch { row, shown: (number, number + 1), text }),
            }
        }
    }
    let length = pictures.len() + REST;
    let (mut styles, mut rows) = (BTreeMap::new(), String::new());
    for Stretch { shown, text, .. } in stretches.iter().filter(|stretch| !stretch.text.is_empty()) {
        let (from, mut to) = *shown;
        if to == pictures.len() {
            to = length;
        }
        if (from, to) == (0, length) {
            rows += text;
            continue;
        }
        let class = format!("s{from}-{to}");
        // Writing to a String cannot fail.
        let _ = writeln!(rows, "<g class=\"{class}\">{text}</g>");
        let percent = |number: usize| number as f32 * 100.0 / length as f32;
        let hidden = if from == 0 { "visible" } else { "hidden" };
        styles.entry(class.clone()).or_insert_with(|| {
            format!(
                "@keyframes {class}{{0%{{visibility:{hidden}}}{:.2}%{{visibility:visible}}{:.2}%{{visibility:{}}}}}\n\
                 .{class}{{animation:{class} {:.1}s infinite step-end}}\n",
                percent(from),
                percent(to),
                if to == length { "visible" } else { "hidden" },
                length as f32 * PERIOD.as_secs_f32()
            )
        });
    }
    let (width, height) = (f32::from(SIZE.0) * CELL.0 + 16.0, f32::from(SIZE.1) * CELL.1 + 16.0);
    let styles: String = styles.into_values().collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-8 -8 {width} {height}\" role=\"img\">\n\
         <title>lab watch</title>\n\
         <style>text{{font:13px ui-monospace,Menlo,Consolas,monospace;white-space:pre}}\n{styles}</style>\n\
         <rect x=\"-8\" y=\"-8\" width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#11151c\"/>\n{rows}</svg>\n"
    )
}

/// Draws one row: a piece for each run of cells that look the same.
fn draw_row(picture: &Buffer, row: u16) -> String {
    let mut out = String::new();
    let mut column = 0;
    while column < SIZE.0 {
        let look = picture.cell((column, row)).map(Look::of).unwrap_or_default();
        let begin = column;
        let mut text = String::new();
        while let Some(cell) = picture.cell((column, row)).filter(|cell| column < SIZE.0 && Look::of(cell) == look) {
            text += cell.symbol();
            column += 1;
        }
        // A cell that isn't there ends the row.
        column = column.max(begin + 1);
        piece(&mut out, row, begin, column - begin, &text, look);
    }
    out
}

/// What a cell looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    front: &'static str,
    back: Option<&'static str>,
    bold: bool,
    dim: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (front, back) = (hue(cell.fg), hue(cell.bg));
        let reversed = cell.modifier.contains(Modifier::REVERSED);
        let (front, back) = match (reversed, back) {
            (true, _) => ("#11151c", Some(front.unwrap_or(PLAIN))),
            (false, Some(back)) => (front.unwrap_or("#11151c"), Some(back)),
            (false, None) => (front.unwrap_or(PLAIN), None),
        };
        let has = |modifier| cell.modifier.contains(modifier);
        Self { front, back, bold: has(Modifier::BOLD), dim: has(Modifier::DIM) && !reversed }
    }
}

const PLAIN: &str = "#d7dce5";

const fn hue(colour: Color) -> Option<&'static str> {
    match colour {
        Color::Reset => None,
        Color::Black => Some("#11151c"),
        Color::Red => Some("#ff7b72"),
        Color::Green => Some("#7ee787"),
        Color::Yellow => Some("#e3b341"),
        Color::Magenta => Some("#d2a8ff"),
        Color::Cyan => Some("#76d9e6"),
        _ => Some(PLAIN),
    }
}

fn piece(out: &mut String, row: u16, column: u16, columns: u16, text: &str, look: Look) {
    let (x, y) = (f32::from(column) * CELL.0, f32::from(row) * CELL.1);
    let width = f32::from(columns) * CELL.0;
    if let Some(back) = look.back {
        let _ = write!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"{back}\"/>", CELL.1);
    }
    if text.trim().is_empty() {
        return;
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let opacity = if look.dim { " opacity=\".6\"" } else { "" };
    let _ = write!(
        out,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{width}\" fill=\"{}\"{weight}{opacity}>{text}</text>",
        y + 13.0,
        look.front
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    fn picture(text: &str) -> Buffer {
        let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, SIZE.0, SIZE.1));
        buffer.set_string(0, 0, "the same", Style::new());
        buffer.set_string(0, 1, text, Style::new().fg(Color::Red));
        buffer
    }

    #[test]
    fn what_stays_is_drawn_once_and_what_changes_when_it_does() {
        let text = svg(&[picture("<one>"), picture("two"), picture("two")]);
        assert_eq!(text.matches("the same").count(), 1);
        assert_eq!((text.matches("&lt;one&gt;").count(), text.matches(">two<").count()), (1, 1));
        assert!(text.contains("class=\"s0-1\"") && text.contains("class=\"s1-11\""), "{text}");
    }

    #[test]
    fn one_picture_stands_still() {
        let text = svg(&[picture("one")]);
        assert!(!text.contains("keyframes"), "{text}");
    }
}
