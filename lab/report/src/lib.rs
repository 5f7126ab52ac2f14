// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab report`: one HTML file that shows what happened in a run, from the layers' own records.
//!
//! The way in: [`story::Story`] understands a trace, and [`page::page`] writes the file.
//!
//! | module | what |
//! |---|---|
//! | [`story`] | from records to calls, VMs, memory, and a panic; independent of how it is shown |
//! | `fields` | the registers of a record, by the names of their fields |
//! | [`kept`] | what a run leaves beside its trace |
//! | `data`, `strings` | what the page draws, as JSON |
//! | [`page`] | the page; its script and style are in `lab/report/page/` |
//! | [`perfetto`] | a run as Chrome's trace events |
//! | [`sample`] | traces that were never recorded, for tests |
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

mod data;
mod fields;
pub mod kept;
pub mod page;
pub mod perfetto;
pub mod sample;
pub mod story;
mod strings;
