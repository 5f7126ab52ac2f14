// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines, where there is no terminal: what is said, and the records that the view would show, as they come.

use super::filter::Filter;
use super::session::{Interrupted, Session};
use anyhow::Result;
use lab_run::say;
use lab_run::screen::Screen;
use lab_trace::text::Log;
use std::time::{Duration, Instant};

/// How often lines are printed.
const PERIOD: Duration = Duration::from_millis(50);

/// Prints until the machine ends; says whether all that the scenario expects holds.
pub fn watch(mut session: Session) -> Result<bool> {
    let screen = Screen::new();
    let (filter, mut log) = (Filter::default(), Log::default());
    let (mut lines, mut heard) = (0, 0);
    loop {
        let pumped = session.pump(Instant::now() + PERIOD);
        let before = heard;
        heard = session.history.heard();
        let first = session.history.len() - ((heard - before) as usize).min(session.history.len());
        for index in first..session.history.len() {
            let Some(entry) = session.history.entry(index) else { break };
            // Every record, so that answers find their calls.
            let line = log.line(entry);
            if session.history.shows(index, &filter) {
                say!("{line}");
            }
        }
        session.lines().iter().skip(lines).for_each(|line| screen.print(line));
        lines = session.lines().len();
        if let Err(Interrupted) = pumped {
            say!("interrupted");
            break;
        }
        if session.ended.is_some() && heard == before {
            break;
        }
        session.stop_in_vain();
    }
    finish(session)
}

/// Ends a session: prints what it came to.
pub fn finish(session: Session) -> Result<bool> {
    let title = session.title.clone();
    let result = session.finish()?;
    let passed = result.verdicts.iter().all(|verdict| verdict.holds);
    for verdict in &result.verdicts {
        say!("{}  {}\n        {}", verdict.mark(), verdict.claim, verdict.evidence);
    }
    say!("{} records; trace and logs: {}", result.trace.entries.len(), result.folder.display());
    match (result.verdicts.is_empty(), passed) {
        (true, _) => say!("{title}: left before its end, so nothing is judged"),
        (false, true) => say!("PASS {title}"),
        (false, false) => say!("FAIL {title}"),
    }
    Ok(passed)
}
