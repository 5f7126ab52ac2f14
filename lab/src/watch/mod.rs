// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab watch`: a running machine, seen step by step.
//!
//! The layers write their records into memory that the lab reads from outside, so watching disturbs nothing, and
//! pausing stops the picture, not the machine. On a terminal there is a live view; elsewhere plain lines.
//!
//! | module | what |
//! |---|---|
//! | [`session`] | the machine, its consoles and its records, as they come |
//! | [`status`] | what the layers and VMs are doing, from the records alone |
//! | [`history`] | all of it, so that one can step back |
//! | [`filter`] | which records are shown |
//! | [`view`] | what the user looks at: where in time, which filter, which console |
//! | [`keys`] | what a key does |
//! | [`draw`] | the picture |
//! | [`terminal`] | the terminal, and how it is given back |
//! | [`plain`] | lines, where there is no terminal |
//! | [`recorder`] | a moving picture of it, for documents |

pub mod draw;
pub mod filter;
pub mod history;
pub mod keys;
pub mod plain;
pub mod recorder;
pub mod session;
pub mod status;
pub mod terminal;
pub mod view;

use anyhow::Result;
use lab_run::files::Destination;
use lab_run::prepare::Prepared;
use lab_run::screen::is_clever;
use session::Session;
use std::io::{IsTerminal, stdin, stdout};

/// Watches what is prepared to its end, or until the user has seen enough. Says whether all that it expects holds; true
/// if the user left before that could be known.
pub fn watch(prepared: &Prepared, record: Option<&Destination>) -> Result<bool> {
    let session = Session::start(prepared)?;
    if let Some(file) = record {
        recorder::watch(session, file)
    } else if is_clever(&stdout()) && stdin().is_terminal() {
        terminal::watch(session)
    } else {
        plain::watch(session)
    }
}
