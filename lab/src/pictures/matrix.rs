// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of each sequence under each remedy.

use super::svg::{Drawing, WIDTH, room, wrapped};
use lab_reproduce::Matrix;
use lab_reproduce::table::Cell;

const COLUMN: u32 = 72;
const LINE: u32 = 15;
/// Letters of a cell.
const LETTERS: usize = room(0, COLUMN - 4);

/// Draws the matrix as it was played: below each sequence its cells, a column for each TEE.
pub(super) fn matrix(matrix: &Matrix) -> Drawing {
    let mut drawing = Drawing::default();
    for (n, name) in matrix.tees().enumerate() {
        let (first, second) = name.split_once('-').map_or((name, ""), |(first, second)| (first, second));
        let first = if second.is_empty() { first.to_owned() } else { format!("{first}-") };
        for (line, part) in [first.as_str(), second].into_iter().enumerate() {
            drawing.text(column(n), 16 + LINE * line as u32, "dim", part);
        }
    }
    let mut y = 16 + 2 * LINE;
    for (name, cells) in matrix.rows() {
        let most = room(6, WIDTH - 12);
        for line in wrapped(name, most, most) {
            y += LINE;
            drawing.text(6, y, "head", line);
        }
        y += 6;
        // A cell is a bar with its words on it, in two lines where they need them.
        let words = cells.iter().map(|cell| wrapped(cell.map_or("no answer", Cell::words), LETTERS, LETTERS));
        let words: Vec<_> = words.collect();
        let height = LINE * words.iter().map(Vec::len).max().unwrap_or(1) as u32 + 5;
        for (n, (cell, words)) in cells.into_iter().zip(words).enumerate() {
            let class = match cell {
                Some(Cell::Correct) => "good",
                Some(Cell::Refused | Cell::DoesNotApply) => "refused",
                Some(Cell::WrongButAlive) => "wrong",
                Some(Cell::Panic) | None => "panic",
            };
            drawing.bar(column(n), y, COLUMN - 4, height, class);
            for (line, part) in words.into_iter().enumerate() {
                drawing.text(column(n) + 2, y + 14 + LINE * line as u32, "on", part);
            }
        }
        y += height + 8;
    }
    drawing
}

const fn column(n: usize) -> u32 {
    6 + COLUMN * n as u32
}
