//! Where the RAM of VMs is: as each of them sees it, and as it is.

use super::svg::Drawing;
use crate::report::names::bytes;
use crate::report::story::Story;
use crate::trace::Trace;
use shared_abi::trace::Owner;

const COLUMN: u32 = 300;

/// Pieces of RAM that VMs were given: the IPA on the left, the physical address on the right.
pub fn stage2(trace: &Trace) -> Drawing {
    let story = Story::of(trace, |_| {});
    let given = story.memory.changes.iter().filter(|change| change.owner == Owner::Vm);
    let mut pieces: Vec<_> = given.map(|change| (change.vm, change.ipa, change.base, change.size)).collect();
    pieces.sort_unstable();
    pieces.dedup();
    let mut physical: Vec<_> = pieces.iter().map(|piece| piece.2).collect();
    physical.sort_unstable();
    let row = |n: usize| 34 + 40 * n as u32;
    let mut drawing = Drawing::default();
    drawing.text(6, 18, "head", "what the VM sees (IPA)");
    drawing.text(6 + 2 * COLUMN, 18, "head", "what it is (PA)");
    for (n, (vm, ipa, base, size)) in pieces.iter().enumerate() {
        let place = physical.iter().position(|other| other == base).unwrap_or(n);
        let class = ["vm", "tee", "el2"][usize::from(*vm) % 3];
        let (left, right) = (row(n), row(place));
        drawing.bar(6, left, COLUMN - 20, 32, class);
        drawing.text(14, left + 20, "on", format!("vm{vm}: {ipa:#x}, {}", bytes(*size)));
        drawing.line((COLUMN - 14, left + 16), (6 + 2 * COLUMN, right + 16), "");
        drawing.bar(6 + 2 * COLUMN, right, COLUMN - 20, 32, class);
        drawing.text(14 + 2 * COLUMN, right + 20, "on", format!("{base:#x}..{:#x}", base + size));
    }
    drawing.text(6 + COLUMN, 18, "dim", "stage 2 of each VM");
    drawing
}
