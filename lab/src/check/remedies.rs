//! Exercise 7: what each remedy alone makes of sequences that the report does not have.

use super::bench::Bench;
use super::verdict;
use crate::judge::Verdict;
use crate::machine::interrupted;
use crate::reproduce::build;
use crate::reproduce::play::Bench as Player;
use crate::reproduce::table::{Cell, Table};
use anyhow::{Result, ensure};
use std::sync::atomic::Ordering;

/// Plays every sequence to every TEE and holds the prediction against what became of it.
pub(super) fn judge(bench: &Bench<'_>) -> Result<Vec<Verdict>> {
    let table = Table::read(&bench.file("07.toml"))?;
    let (firmware, images) = build(bench.workspace, &table, bench.progress)?;
    let player = Player { workspace: bench.workspace, table: &table, firmware: &firmware };
    let mut verdicts = Vec::new();
    for sequence in &table.sequences {
        for (tee, image) in table.tees.iter().zip(&images) {
            bench.progress.step(&format!("{}: {}", tee.name, sequence.name));
            let run = format!("{}/{}", sequence.play, tee.name);
            let played = player.play(&run, &image.image, &sequence.play, false)?;
            ensure!(!interrupted().load(Ordering::Relaxed), "interrupted");
            let predicted = sequence.cells[&tee.name];
            let became = played.cell.map_or("no answer", Cell::words);
            let right = played.cell == Some(predicted);
            let mut evidence = played.evidence();
            if !right {
                evidence = format!("you predict {}, it is {became}\n{evidence}", predicted.words());
            }
            verdicts.push(verdict(right, format!("{}, {}", tee.name, sequence.name), evidence));
        }
    }
    Ok(verdicts)
}
