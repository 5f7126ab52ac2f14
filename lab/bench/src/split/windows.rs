// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was executed between two readings of the counter, found in the stream of all instructions.
//!
//! The probe reads the counter at labels that are known, and passes another one whenever it prints a figure. So the
//! n-th passing of that label belongs to the n-th figure among its lines, and the readings before it are that figure's.

use super::symbols::Symbols;
use crate::level::Level;
use anyhow::Result;

/// `wfi`
const WFI: u32 = 0xD503_207F;
/// Offsets in a vector table of exceptions from a lower level in AArch64: the synchronous ones, and the last ones' end.
const FROM_BELOW: u64 = 0x400;
const FROM_BELOW_END: u64 = 0x600;
/// Size of a vector.
const VECTOR: u64 = 0x80;

/// Instructions one after another.
pub type Window = Vec<u64>;

/// What was executed since the figure before.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Of each call, from the reading before it to that after it.
    pub calls: Vec<Window>,
    /// Of the last code that a script had written and executed, from its call to its return.
    pub code: Window,
}

/// Where the probe's readings are.
#[derive(Debug, Clone, Copy)]
struct Marks {
    smc: u64,
    smc_end: u64,
    hvc: u64,
    hvc_end: u64,
    execute: u64,
    execute_end: u64,
    figure: u64,
}

/// Goes through the stream.
#[derive(Debug)]
pub(super) struct Watcher<'s> {
    symbols: &'s Symbols,
    marks: Marks,
    /// The hypervisor's vectors for what comes from guests, if there is one.
    vectors: Option<u64>,
    open: Option<bool>,
    window: Window,
    batch: Batch,
}

impl<'s> Watcher<'s> {
    /// Begins at the start of the stream.
    pub(super) fn new(symbols: &'s Symbols, vectors: Option<u64>) -> Result<Self> {
        let label = |name: &str| symbols.label(name);
        let marks = Marks {
            smc: label("probe_smc")?,
            smc_end: label("probe_smc_end")?,
            hvc: label("probe_hvc")?,
            hvc_end: label("probe_hvc_end")?,
            execute: label("probe_execute")?,
            execute_end: label("probe_execute_end")?,
            figure: label("probe_figure")?,
        };
        let vectors = vectors.map(|vectors| vectors + FROM_BELOW);
        Ok(Self { symbols, marks, vectors, open: None, window: Window::new(), batch: Batch::default() })
    }

    /// Takes an instruction; returns what belongs to the figure that is about to be printed, if one is.
    pub(super) fn see(&mut self, pc: u64) -> Option<Batch> {
        let Marks { smc, smc_end, hvc, hvc_end, execute, execute_end, figure } = self.marks;
        if pc == smc || pc == hvc || pc == execute {
            self.window.clear();
            self.open = Some(pc == execute);
        } else if (pc == smc_end || pc == hvc_end) && self.open == Some(false) {
            self.batch.calls.push(std::mem::take(&mut self.window));
            self.open = None;
        } else if pc == execute_end && self.open == Some(true) {
            self.batch.code = std::mem::take(&mut self.window);
            self.open = None;
        } else if pc == figure {
            return Some(std::mem::take(&mut self.batch));
        }
        if self.open.is_some() {
            // An access that aborts is not counted by QEMU: it is executed again, or made by the hypervisor.
            if self.vectors.is_some_and(|vectors| (vectors..vectors + VECTOR).contains(&pc))
                && self.open == Some(true)
                && self.window.last().is_some_and(|last| !self.is_layers(*last))
            {
                self.window.pop();
            }
            self.window.push(pc);
        }
        None
    }

    /// Says whether an instruction is of a layer, and not of who measures.
    fn is_layers(&self, pc: u64) -> bool {
        let mine = self.symbols.find(self.marks.smc).map(|index| self.symbols.function(index).level);
        self.symbols.find(pc).is_some_and(|index| Some(self.symbols.function(index).level) != mine)
    }

    /// Returns the part of executed code that a reading of this length is about: it ends where the guest goes on after
    /// the layers last ran. It begins with an instruction of the guest's or, if all slept, with the one that did.
    pub(super) fn measured<'w>(&self, code: &'w [u64], length: usize) -> Option<&'w [u64]> {
        let end = code.iter().rposition(|pc| self.is_layers(*pc))? + 1;
        let start = end.checked_sub(length)?;
        let slept = self.symbols.instruction(code[start]) == Some(WFI);
        (slept || !self.is_layers(code[start])).then(|| &code[start..end])
    }
}

/// Counts what is executed from a VM's first exit to its last one, but for the VM itself.
#[derive(Debug)]
pub(super) struct Exits {
    vectors: u64,
    /// Since the last exit.
    pending: Option<Window>,
}

impl Exits {
    /// Begins for a hypervisor with these vectors.
    pub(super) const fn new(vectors: u64) -> Self {
        Self { vectors: vectors + FROM_BELOW, pending: None }
    }

    /// Takes an instruction; returns all since the last exit if this is the next one.
    pub(super) fn see(&mut self, pc: u64) -> Option<Window> {
        let exit = (self.vectors..self.vectors + FROM_BELOW_END - FROM_BELOW).contains(&pc)
            && pc.wrapping_sub(self.vectors).is_multiple_of(VECTOR);
        let complete = if exit { self.pending.replace(Window::new()) } else { None };
        if let Some(pending) = &mut self.pending {
            pending.push(pc);
        }
        complete
    }
}

/// Counts the instructions of a window that are of this level.
pub(super) fn at(symbols: &Symbols, window: &[u64], level: Level) -> usize {
    let is_of = |pc: &&u64| symbols.find(**pc).is_some_and(|index| symbols.function(index).level == level);
    window.iter().filter(is_of).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: u64 = 0x4000_0000;
    const VECTORS: u64 = 0x6000_0800;
    const LABELS: [&str; 7] = [
        "probe_smc",
        "probe_smc_end",
        "probe_hvc",
        "probe_hvc_end",
        "probe_execute",
        "probe_execute_end",
        "probe_figure",
    ];

    /// Makes a guest with the probe's labels 16 bytes from each other, a hypervisor and a monitor.
    fn symbols() -> Symbols {
        let mut functions = vec![("runtime", Level::El3, 0x0E00_0000..0x0E01_0000)];
        for (label, start) in LABELS.into_iter().zip((GUEST..).step_by(16)) {
            functions.push((label, Level::El1, start..start + 16));
        }
        functions.push(("vectors", Level::El2, VECTORS..VECTORS + 0x800));
        Symbols::of(&functions)
    }

    fn label(name: &str) -> u64 {
        symbols().label(name).unwrap()
    }

    fn batches(pcs: &[u64]) -> Vec<Batch> {
        let symbols = symbols();
        let mut watcher = Watcher::new(&symbols, Some(VECTORS)).unwrap();
        pcs.iter().filter_map(|pc| watcher.see(*pc)).collect()
    }

    #[test]
    fn calls_between_two_figures_belong_to_the_second() {
        let (smc, end, figure) = (label("probe_smc"), label("probe_smc_end"), label("probe_figure"));
        let call = [smc, smc + 4, 0x0E00_0400, end];
        let batches = batches(&[&call[..], &[figure, 1, 2], &call, &[3], &call, &[figure]].concat());
        assert_eq!(batches.len(), 2);
        assert_eq!(batches[0].calls, [call[..3].to_vec()]);
        assert_eq!(batches[1].calls, [call[..3].to_vec(), call[..3].to_vec()]);
    }

    #[test]
    fn what_a_reading_of_executed_code_is_about_ends_where_the_guest_goes_on() {
        let (execute, end, figure) = (label("probe_execute"), label("probe_execute_end"), label("probe_figure"));
        let buffer = 0x4040_0000;
        let exit = VECTORS + FROM_BELOW;
        // Reads the counter at +4, touches a register at +8, which aborts, reads it again at +12, and returns.
        let code =
            [execute, buffer, buffer + 4, buffer + 8, exit, exit + 4, exit + 8, buffer + 12, buffer + 16, end, figure];
        let batches = batches(&code);
        assert_eq!(batches[0].code, [execute, buffer, buffer + 4, exit, exit + 4, exit + 8, buffer + 12, buffer + 16]);
        let symbols = symbols();
        let watcher = Watcher::new(&symbols, Some(VECTORS)).unwrap();
        let measured = |length| watcher.measured(&batches[0].code, length);
        assert_eq!(measured(4).unwrap(), [buffer + 4, exit, exit + 4, exit + 8]);
        assert_eq!(measured(2), None, "it would begin within the hypervisor");
        assert_eq!(measured(7), None, "there is not so much");
    }

    #[test]
    fn what_comes_between_exits_is_complete_at_the_next_one() {
        let mut exits = Exits::new(VECTORS);
        let (sync, interrupt) = (VECTORS + 0x400, VECTORS + 0x480);
        let seen: Vec<_> = [7, sync, 8, 0x0E00_0000, interrupt, 9].into_iter().filter_map(|pc| exits.see(pc)).collect();
        assert_eq!(seen, [[sync, 8, 0x0E00_0000]]);
    }

    #[test]
    fn instructions_are_counted_by_level() {
        let window = [0x0E00_0000, 0x0E00_0004, VECTORS, 0xDEAD_0000];
        assert_eq!([Level::El3, Level::El2, Level::El1].map(|level| at(&symbols(), &window, level)), [2, 1, 0]);
    }
}
