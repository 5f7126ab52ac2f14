//! What became of each sequence under each remedy.

use super::svg::Drawing;
use crate::reproduce::Matrix;
use crate::reproduce::table::Cell;

const FIRST: u32 = 450;
const COLUMN: u32 = 150;
const ROW: u32 = 24;

/// The matrix as it was played.
pub fn matrix(matrix: &Matrix) -> Drawing {
    let mut drawing = Drawing::default();
    for (n, name) in matrix.tees().enumerate() {
        drawing.text(FIRST + COLUMN * n as u32, 18, "head", name);
    }
    for (n, (name, cells)) in matrix.rows().enumerate() {
        let y = 28 + ROW * n as u32;
        drawing.text(6, y + 16, "", name);
        for (column, cell) in cells.into_iter().enumerate() {
            let x = FIRST + COLUMN * column as u32;
            let class = match cell {
                Some(Cell::Correct) => "good",
                Some(Cell::Refused | Cell::DoesNotApply) => "refused",
                Some(Cell::WrongButAlive) => "wrong",
                Some(Cell::Panic) | None => "panic",
            };
            drawing.bar(x, y + 3, 8, ROW - 6, class);
            drawing.text(x + 14, y + 16, "", cell.map_or("no answer", Cell::words));
        }
    }
    drawing
}
