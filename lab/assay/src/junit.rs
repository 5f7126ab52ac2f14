// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows as JUnit XML, a case each.

use super::Assay;
use super::row::{Became, Row};
use anyhow::{Context, Result};
use lab_run::junit::fit;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

pub(super) fn junit(assay: &Assay) -> Result<String> {
    let mut suite = TestSuite::new(fit(&format!("judge {}", assay.name)));
    suite.add_test_cases(assay.rows.iter().map(|row| case(row, &assay.name)));
    Report::new("judge").add_test_suite(suite).to_string().context("cannot write the rows as XML")
}

fn case(row: &Row, class: &str) -> TestCase {
    let mut status = match (&row.became, row.accepted) {
        (Became::Holds, _) => TestCaseStatus::success(),
        (Became::Unrun(_), _) => TestCaseStatus::non_success(NonSuccessKind::Error),
        (_, true) => TestCaseStatus::skipped(),
        (Became::Otherwise | Became::Dies(_), false) => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    if row.became != Became::Holds {
        status.set_message(row.became.word());
        status.set_description(fit(&row.to_string()));
    }
    let mut case = TestCase::new(row.name.clone(), status);
    case.set_classname(fit(class)).set_time(Duration::from_secs_f64(row.seconds));
    case
}
