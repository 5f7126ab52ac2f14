// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exercise 7: what each remedy alone makes of sequences that the report does not have.

use super::bench::Bench;
use super::sheet::Sheet;
use anyhow::{Result, ensure};
use lab_reproduce::build;
use lab_reproduce::play::Bench as Player;
use lab_reproduce::table::{Cell, Table};
use lab_run::judge::Verdict;
use lab_run::machine::interrupted;
use lab_run::stack::Stack;
use std::sync::atomic::Ordering;

/// Plays every sequence to every TEE and holds the prediction against what became of it.
pub(super) fn judge(bench: &Bench<'_>, sheet: &Sheet) -> Result<Vec<Verdict>> {
    let table = Table::parse(sheet.text.clone(), &sheet.file)?;
    let (firmware, images) = build(bench.workspace, &table, bench.progress)?;
    let player = Player { workspace: bench.workspace, table: &table, stack: &Stack::default(), firmware: &firmware };
    let mut verdicts = Vec::new();
    for sequence in &table.sequences {
        for (tee, image) in table.tees.iter().zip(&images) {
            bench.progress.step(&format!("{}: {}", tee.name, sequence.name));
            let run = format!("{}/{}", sequence.play, tee.name);
            let played = player.play(&run, &image.image, &sequence.play, false)?;
            ensure!(!interrupted().load(Ordering::Relaxed), "interrupted");
            let became = played.cell.map_or("no answer", Cell::words);
            let said = bench.numbers.then(|| format!("the machine: {became}\n{}", played.evidence()));
            let right = played.cell == Some(sequence.cells[&tee.name]);
            verdicts.push(sheet.answered(&sequence.name, &tee.name)?.verdict(right, said.as_deref()));
        }
    }
    Ok(verdicts)
}
