// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab report`: one HTML file that shows what happened in a run, from the layers' own records.
//!
//! | module | what |
//! |---|---|
//! | [`story`] | from records to calls, VMs, memory, and a panic; independent of how it is shown |
//! | [`fields`] | registers by field |
//! | [`kept`] | what a run leaves beside its trace |
//! | [`data`], [`strings`] | what the page draws, as JSON |
//! | [`page`] | the page; its script and style are in `lab/report/page/` |
//! | [`perfetto`] | the same as Chrome's trace events |
//! | [`sample`] | traces that were never recorded, for tests |
#![forbid(unsafe_code)]
// They panic where nobody reads any more; `lab_run::screen` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![deny(unreachable_pub)]

pub mod data;
pub mod fields;
pub mod kept;
pub mod page;
pub mod perfetto;
pub mod sample;
pub mod story;
pub mod strings;
