// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the RAM of VMs is: as each of them sees it, and as it is.

use super::svg::Drawing;
use lab_report::story::Story;
use lab_report::story::names::bytes;
use lab_trace::Trace;
use shared_abi::trace::Owner;

/// A bar, and what is between the two of a piece.
const BAR: u32 = 147;
const BETWEEN: u32 = 68;
const ROW: u32 = 52;

/// Draws pieces of RAM that VMs were given: the IPA on the left, the physical address on the right.
pub(super) fn stage2(trace: &Trace) -> Drawing {
    let story = Story::of(trace, |_| {});
    let given = story.memory.changes.iter().filter(|change| change.owner == Owner::Vm);
    let mut pieces: Vec<_> = given.map(|change| (change.vm, change.ipa, change.base, change.size)).collect();
    pieces.sort_unstable();
    pieces.dedup();
    let mut physical: Vec<_> = pieces.iter().map(|piece| piece.2).collect();
    physical.sort_unstable();
    let row = |n: usize| 44 + ROW * n as u32;
    let right = 6 + BAR + BETWEEN;
    let mut drawing = Drawing::default();
    for (x, first, second) in [(6, "what the VM sees", "(IPA)"), (right, "what it is", "(PA)")] {
        drawing.text(x, 18, "head", first);
        drawing.text(x, 33, "head", second);
    }
    for (n, (vm, ipa, base, size)) in pieces.iter().enumerate() {
        let place = physical.iter().position(|other| other == base).unwrap_or(n);
        let class = ["vm", "tee", "el2"][usize::from(*vm) % 3];
        let (seen, real) = (row(n), row(place));
        drawing.line((6 + BAR, seen + 21), (right, real + 21), "");
        let sides = [
            (6, seen, format!("vm{vm}, {}", bytes(*size)), format!("from {ipa:#x}")),
            (right, real, format!("{base:#x}"), format!("to {:#x}", base + size)),
        ];
        for (x, y, first, second) in sides {
            drawing.bar(x, y, BAR, ROW - 10, class);
            drawing.text(x + 8, y + 18, "on", first);
            drawing.text(x + 8, y + 34, "on", second);
        }
    }
    drawing.text(right - BETWEEN + 8, 33, "dim", "stage 2");
    drawing
}
