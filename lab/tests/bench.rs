// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures that take no Linux are what the committed baseline has them to be.

use lab::bench::{Options, measure};
use lab::progress::Progress;
use lab::workspace::Workspace;

#[test]
fn no_call_costs_more_than_in_the_baseline() {
    let report = measure(&Workspace::locate().unwrap(), &Options::default(), &Progress::silent()).unwrap();
    assert!(report.held(), "\n{report}");
}
