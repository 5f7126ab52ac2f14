// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures that take no Linux are what the committed baseline has them to be.

use lab_bench::{Options, measure};
use lab_run::progress::Progress;
use lab_run::workspace::Workspace;

#[test]
fn no_call_costs_more_than_in_the_baseline() {
    let report = measure(&Workspace::locate().unwrap(), &Options::default(), &Progress::silent()).unwrap();
    assert!(report.held(), "\n{report}");
}
