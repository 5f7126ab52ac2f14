// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report in a real browser: it loads without a complaint and shows what the trace holds, at a desk, on a phone
//! and in the dark; all of it can be read, reached with the keyboard and linked to.
//!
//! Where there is no Chromium the tests say so and pass: what the page is made of has tests of its own. With
//! `TRIPTYCH_PICTURES=FOLDER` they leave their pictures there, to be looked at.

mod browser;

use browser::{Browser, DESK, DESK_DARK, PHONE, PHONE_DARK, Window};
use lab::command::report::{Options, report};
use lab_report::kept::{Kept, KeptVm};
use lab_report::page::page;
use lab_report::sample::Sample;
use lab_report::story::{Caller, Story};
use lab_run::console::Line;
use lab_run::files::Destination;
use lab_run::judge::Verdict;
use lab_run::progress::Progress;
use lab_run::workspace::Workspace;
use lab_trace::Trace;
use serde_json::json;
use shared_abi::trace::Layer;
use std::collections::BTreeSet;
use std::fs;

fn kept(name: &str, vms: &[(u16, &str, &str)], probe: bool) -> Kept {
    let line = |speaker: &str, text: &str| Line { speaker: speaker.into(), text: text.into() };
    Kept {
        name: name.into(),
        summary: "Linux and a bare program boot side by side and share one TEE, each in a memory of its own.".into(),
        passed: Some(!probe),
        cpu: "max".into(),
        cpus: 1,
        tee: if probe { "as-reported".into() } else { String::new() },
        probe,
        vms: vms
            .iter()
            .map(|(id, name, kernel)| KeptVm { id: *id, name: (*name).into(), kernel: (*kernel).into() })
            .collect(),
        versions: vec![("Triptych".into(), "0.1.0 (abc1234)".into()), ("QEMU".into(), "7.2.22".into())],
        verdicts: vec![
            Verdict::new(true, "TEE says /image (\\d+) KiB/, at most 384", "[TEE] image 84 KiB"),
            Verdict::new(!probe, "vm2 says \"bare-guest: PASS\"", "[vm2] bare-guest: PASS"),
        ],
        lines: vec![
            line("EL3", "runtime 48 KiB"),
            line(
                "TEE",
                "E/TC:0 0   assertion 'poolset->freelist.ql.blink->ql.flink == &poolset->freelist' failed at \
                 tee-core/src/as_reported/bget.rs:102 <bpool>",
            ),
            line("vm1", "</script><img src=x onerror=console.error('markup')> <b>bold</b>"),
            line("HYP", "vm2: powered off"),
        ],
    }
}

fn html(kept: &Kept, trace: &Trace) -> String {
    page(kept, trace, &Story::of(trace, |_| {}))
}

fn guests() -> Kept {
    kept("two-guests", &[(1, "linux", "linux"), (2, "bare", "bare-guest")], false)
}

#[test]
fn the_report_of_two_guests_shows_every_call_at_a_desk_on_a_phone_and_in_the_dark() {
    let Some(mut browser) = Browser::find() else { return };
    let trace = Sample::two_guests(60).trace();
    let html = html(&guests(), &trace);
    let calls = Story::of(&trace, |_| {}).calls.len();
    for window in [DESK, DESK_DARK, PHONE] {
        let dom = browser.open("two-guests", &html, window, "");
        assert!(dom.contains(&format!("data-ready=\"calls={calls}\"")));
        assert_eq!(dom.matches("data-index=").count(), calls);
        assert!(dom.contains("id=\"run-figure\"><svg") && dom.contains("id=\"lanes\""), "nothing is drawn");
        assert!(dom.contains("PSCI") || dom.contains("OPTEE_SMC_CALL_WITH_ARG"));
        assert!(["data-first=\"1\"", "data-first=\"2\""].iter().all(|first| dom.contains(first)));
        assert!(!dom.contains("<img src"), "what a guest says became markup");
        // A page that is wider than its window says so.
        assert!(dom.contains("data-overflow=\"0\""), "wider than {}", window.0);
    }
}

#[test]
fn the_report_of_the_second_vm_draws_the_path_and_the_dirty_list() {
    let Some(mut browser) = Browser::find() else { return };
    let dom = browser.open("second-vm", &html(&kept("second-vm", &[], true), &Sample::second_vm().trace()), DESK, "");
    assert_eq!(dom.matches("data-list=\"clean\"").count(), 1);
    assert_eq!(dom.matches("data-list=\"dirty\"").count(), 1);
    assert!(dom.contains("head.blink-&gt;flink == &amp;head does not hold"));
    browser.open("second-vm", &html(&kept("second-vm", &[], true), &Sample::second_vm().trace()), PHONE, "");
}

/// Makes a run in which nearly all VMs only come and go.
fn crowded() -> String {
    html(&kept("crowd", &[], false), &Sample::crowd(126).trace())
}

/// Makes the reports that must be readable: two guests, a panic, a crowd.
fn readable() -> [(&'static str, String); 3] {
    let trace = Sample::two_guests(60).trace();
    let panic = html(&kept("second-vm", &[], true), &Sample::second_vm().trace());
    [("two-guests", html(&guests(), &trace)), ("second-vm", panic), ("crowd", crowded())]
}

#[test]
fn a_crowd_of_vms_shares_a_row_and_a_table() {
    let Some(mut browser) = Browser::find() else { return };
    for (window, most) in [(DESK, 6_000), (PHONE, 9_000)] {
        browser.open("crowd", &crowded(), window, "");
        let height = browser.ask("document.documentElement.scrollHeight").as_u64().unwrap();
        assert!(height < most, "{height} pixels at a width of {}", window.0);
        assert_eq!(browser.ask("document.querySelectorAll('#vms article').length"), 1);
        assert_eq!(browser.ask("document.querySelectorAll('#vms .crowd-table tbody tr').length"), 126);
        assert_eq!(browser.ask("document.querySelectorAll('#run-figure .crowd').length"), 126);
        let names = browser
            .ask("[...document.querySelectorAll('#run-figure text:not(.soft)')].map((text) => text.textContent)");
        assert_eq!(names, json!(["hypervisor", "vm1", "126 other VMs"]));
    }
}

#[test]
fn a_heap_is_drawn_as_long_as_its_partition_is_there() {
    let Some(mut browser) = Browser::find() else { return };
    let mut sample = Sample::new();
    sample.start_vm(1);
    sample.guest_call(1);
    sample.end_vm(1);
    sample.start_vm(2);
    for _ in 0..30 {
        sample.guest_call(2);
    }
    browser.open("heap", &html(&guests(), &sample.trace()), DESK, "");
    // The first VM's heap ends where its partition does, long before the second one's, at the end of the run.
    let ends = |shapes: &str| {
        format!(
            "[...document.querySelectorAll('#run-figure {shapes}')].map((shape) => shape.getBBox()) \
             .map((box) => box.x + box.width)"
        )
    };
    let (lines, bars) = (browser.ask(&ends(".heapline")), browser.ask(&ends(".part")));
    let number = |list: &serde_json::Value, index: usize| list[index].as_f64().unwrap();
    assert!((number(&lines, 0) - number(&bars, 0)).abs() < 1.5, "{lines} {bars}");
    assert!(number(&lines, 0) + 200.0 < number(&lines, 1), "{lines}");
}

#[test]
fn every_text_has_the_contrast_that_small_text_needs() {
    let Some(mut browser) = Browser::find() else { return };
    for (name, html) in readable() {
        for window in [DESK, DESK_DARK, PHONE, PHONE_DARK] {
            browser.open(name, &html, window, "");
            // All of it in the window: what is not on the screen can't be asked what it stands on.
            let height = browser.ask("document.documentElement.scrollHeight").as_u64().unwrap();
            browser.size(Window(window.0, height as u32, window.2));
            browser.ask("document.querySelectorAll('details').forEach((part) => { part.open = true; })");
            let found = browser.ask(include_str!("contrast.js"));
            assert!(found["seen"].as_u64().unwrap() > 100, "{name}: only {} texts", found["seen"]);
            assert_eq!(found["poor"], json!([]), "{name}, {window:?}");
        }
    }
}

/// What has the focus: a path of names and places, what it is called, and whether one sees that it has it.
const FOCUS: &str = "(() => {
    const node = document.activeElement;
    if (!node || node === document.body) return null;
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const seen = outlined && box.width > 0 && box.bottom > 0 && box.top < innerHeight;
    return { path: pathOf(node), list: node.closest('.rows')?.id ?? null, seen, is: node.outerHTML.slice(0, 90) };
})()";

/// Where a node stands, as a text.
const PATH: &str = "globalThis.pathOf = (node) => {
    const path = [];
    for (; node.parentElement; node = node.parentElement) {
        path.unshift(node.tagName + [...node.parentElement.children].indexOf(node));
    }
    return path.join('/');
};";

/// Everything that can be seen and used, by the same paths. A list is one stop.
const USABLE: &str = "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]
    .filter((node) => node.checkVisibility() && node.tabIndex >= 0).map(pathOf)";

#[test]
fn everything_can_be_reached_and_used_with_the_keyboard() {
    let Some(mut browser) = Browser::find() else { return };
    for (name, html) in readable() {
        for window in [DESK, PHONE] {
            browser.open(name, &html, window, "");
            browser.ask(PATH);
            let usable = browser.ask(USABLE);
            let usable: BTreeSet<_> =
                usable.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect();
            let mut reached = BTreeSet::new();
            let mut lists = Vec::new();
            let mut first = None;
            // From the top to the bottom, where the Tab key leaves the page, or begins anew.
            loop {
                browser.press("Tab");
                let focus = browser.ask(FOCUS);
                let Some(path) = focus["path"].as_str() else { break };
                if first.get_or_insert_with(|| path.to_owned()) == path && !reached.is_empty() {
                    break;
                }
                assert_eq!(focus["seen"], true, "{name}: one does not see the focus: {}", focus["is"]);
                assert!(reached.insert(path.to_owned()), "{name}: the Tab key is caught at {}", focus["is"]);
                lists.extend(focus["list"].as_str().map(str::to_owned));
            }
            let missed: Vec<_> = usable.difference(&reached).collect();
            assert!(missed.is_empty() && usable.len() > 10, "{name}: never reached: {missed:?}");
            assert_eq!(lists, ["call-list", "step-list"], "{name}: a list is one stop");
            let mouse = browser.only_for_the_mouse();
            assert!(mouse.is_empty(), "{name}: nothing but a mouse gets at {mouse:?}");
        }
    }
}

#[test]
fn keys_move_in_the_run_the_diagram_the_lists_and_the_memory() {
    let Some(mut browser) = Browser::find() else { return };
    browser.open("two-guests", &html(&guests(), &Sample::two_guests(60).trace()), DESK, "");
    let focus = |browser: &mut Browser, what: &str| browser.ask(&format!("document.querySelector('{what}').focus()"));
    let at = |browser: &mut Browser| browser.ask("location.hash").as_str().unwrap().to_owned();
    let focused = |browser: &mut Browser| browser.ask("document.activeElement.id").as_str().unwrap().to_owned();

    focus(&mut browser, "#run-figure svg");
    let mut places = Vec::new();
    for key in ["Home", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "End"] {
        browser.press(key);
        places.push(at(&mut browser));
    }
    assert!(places.windows(2).all(|pair| pair[0] != pair[1]), "{places:?}");
    browser.press("Enter");
    assert_eq!(focused(&mut browser), "lanes");

    let call = at(&mut browser);
    browser.press("[");
    assert_ne!(at(&mut browser), call);
    browser.press("]");
    assert_eq!(at(&mut browser), call);
    browser.press("[");
    browser.press("[");
    let step = at(&mut browser);
    browser.press("ArrowDown");
    assert_eq!(at(&mut browser), step.replace("-0", "-1"));
    browser.press("ArrowUp");
    assert_eq!(at(&mut browser), step);
    let ruler = "document.querySelector('#lanes text.soft:last-of-type').textContent";
    let before = browser.ask(ruler);
    for _ in 0..6 {
        browser.press("-");
    }
    browser.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))");
    assert_ne!(browser.ask(ruler), before);

    focus(&mut browser, "#call-list button[tabindex=\"0\"]");
    browser.press("Home");
    let first = at(&mut browser);
    browser.press("ArrowDown");
    assert_ne!(at(&mut browser), first);
    assert_eq!(browser.ask("document.activeElement.getAttribute('aria-current')"), "true");
    browser.press("End");
    let last = "document.activeElement === [...document.querySelectorAll('#call-list button')].at(-1)";
    assert_eq!(browser.ask(last), true);

    focus(&mut browser, "#memory input[type=range]");
    let before = browser.ask("document.querySelector('#memory .what').textContent");
    browser.press("ArrowLeft");
    assert_ne!(browser.ask("document.querySelector('#memory .what').textContent"), before);
    browser.is_silent();
}

#[test]
fn a_link_to_a_step_is_copied_and_opens_it_again() {
    let Some(mut browser) = Browser::find() else { return };
    let html = html(&guests(), &Sample::two_guests(60).trace());
    let shown = "JSON.stringify({ call: document.querySelector('#call-list [aria-current=true]')?.dataset.index, step: \
                 [...document.querySelectorAll('#step-list button')].findIndex((b) => b.ariaCurrent === 'true'), \
                 fields: document.getElementById('detail').textContent })";
    for window in [DESK, PHONE] {
        browser.open("link", &html, window, "");
        assert_eq!(browser.ask("location.hash"), "", "the page changes its address by itself");
        let opening = browser.ask(shown);
        browser.ask("document.querySelector('#lanes').focus()");
        for key in ["]", "]", "]", "ArrowDown", "ArrowDown"] {
            browser.press(key);
        }
        let chosen = browser.ask(shown);
        assert_ne!(chosen, opening);
        // The link is a link, the page's address, and, where there is a clipboard, in that.
        let link = browser.ask("document.getElementById('link').href").as_str().unwrap().to_owned();
        assert_eq!(browser.ask("location.href"), link.as_str());
        browser.call(
            "Browser.grantPermissions",
            json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] }),
        );
        browser.ask("document.getElementById('link').focus()");
        browser.press("Enter");
        let copied =
            browser.ask("new Promise((done) => setTimeout(() => navigator.clipboard.readText().then(done), 50))");
        assert_eq!(copied, link.as_str());
        assert_eq!(browser.ask("document.getElementById('link').textContent"), "Copied");

        let place = &link[link.find('#').unwrap()..];
        browser.open("link", &html, window, place);
        assert_eq!(browser.ask(shown), chosen, "{place}");
        let on_screen = "(() => { const box = document.getElementById('lanes').getBoundingClientRect(); \
                         return box.bottom > 0 && box.top < innerHeight; })()";
        assert_eq!(browser.ask(on_screen), true, "the link's call is not on the screen");

        // Typed into the page that is open, also while a filter hides that call.
        let search = "(() => { const field = document.querySelector('#calls input[type=search]'); \
                      field.value = 'INVOKE'; field.dispatchEvent(new Event('input')); })()";
        browser.ask(search);
        assert_ne!(browser.ask(shown), chosen);
        browser.ask(&format!("location.hash = ''; location.hash = '{place}'"));
        let reopened = format!(
            "new Promise((done) => {{ let n = 0; const look = () => {shown} === {chosen} || n++ > 200 \
             ? done({shown}) : setTimeout(look, 20); look(); }})"
        );
        assert_eq!(browser.ask(&reopened), chosen);
        // What is not there is no reason to complain, and a step too many is the last one.
        browser.open("link", &html, window, "#call-99999-1");
        assert_eq!(browser.ask(shown), opening);
        browser.open("link", &html, window, "#call-3-999");
        assert_eq!(browser.ask("document.querySelector('#step-list li:last-child button').ariaCurrent"), "true");
    }
}

#[test]
fn an_exit_is_opened_with_its_syndrome_by_field() {
    let Some(mut browser) = Browser::find() else { return };
    let trace = Sample::two_guests(20).trace();
    let story = Story::of(&trace, |_| {});
    let exit = format!("#call-{}", story.calls.len());
    for window in [DESK, PHONE] {
        let dom = browser.open("exit", &html(&guests(), &trace), window, &exit);
        assert_eq!(dom.matches("data-index=").count(), story.exits.len());
        for field in ["EC [31:26]", "IL [25]", "ISS [24:0]", "TI [1:0]"] {
            assert!(dom.contains(field), "{field}");
        }
    }
}

#[test]
fn an_empty_trace_and_a_huge_one_are_shown_too() {
    let Some(mut browser) = Browser::find() else { return };
    let dom = browser.open("empty", &html(&guests(), &Trace::default()), DESK, "");
    assert!(dom.contains("data-ready=\"calls=0\""));
    let huge = html(&guests(), &Sample::two_guests(6000).trace());
    assert!(huge.len() < 10 << 20, "{} bytes", huge.len());
    let dom = browser.open("huge", &huge, PHONE, "");
    assert!(dom.contains("later calls"));
}

/// Boots a scenario traced and makes its report: whether it passed, its story, the page.
fn report_of(scenario: &str, tee: &[&str]) -> (bool, Story, String) {
    let workspace = Workspace::locate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("report.html");
    let options = Options {
        scenario: Some(workspace.scenarios().join(scenario)),
        cpu: Some("cortex-a57".into()),
        stack: lab_run::stack::Options { tee: (!tee.is_empty()).then(|| tee.join(",")), ..Default::default() },
        from: None,
        output: Some(Destination::file(output.clone())),
        perfetto: Some(Destination::file(folder.path().join("perfetto.json"))),
    };
    let passed = report(&workspace, &options, &Progress::silent()).unwrap();
    let run = workspace.target().join("runs").join(scenario.trim_end_matches(".toml")).join("cortex-a57-traced");
    let trace = Trace::read(&run.join("trace.bin")).unwrap();
    assert_eq!((trace.lost, trace.damaged), (0, 0));
    let again = Some(Destination::file(folder.path().join("again.html")));
    let again = Options { from: Some(run), scenario: None, output: again, ..options };
    assert_eq!(report(&workspace, &again, &Progress::silent()).unwrap(), passed);
    let page = fs::read_to_string(&output).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("again.html")).unwrap(), page, "made again it is another one");
    (passed, Story::of(&trace, |_| {}), page)
}

#[test]
#[ignore = "builds the layers anew, to trace"]
fn what_the_reported_tee_dies_of_is_told_to_the_last_link() {
    let (passed, story, page) = report_of("second-vm.toml", &["as-reported"]);
    assert!(!passed);
    let panic = story.crash.panics.first().expect("no panic in the trace");
    let path: Vec<_> = story.path_to(panic, 8).into_iter().map(|index| story.calls[index].title()).collect();
    // Before them the pool is measured, with VMs that come and go.
    assert!(path.ends_with(&["OPTEE_SMC_VM_CREATED".into(), "OPTEE_SMC_VM_CREATED".into()]), "{path:?}");
    let verdicts: Vec<_> = story.crash.lists.iter().map(|list| list.verdict()).collect();
    assert!(verdicts[0].is_none(), "{verdicts:?}");
    assert!(verdicts.last().unwrap().as_ref().unwrap().contains("head.blink->flink == &head does not hold"));
    let Some(mut browser) = Browser::find() else { return };
    let dom = browser.open("real-second-vm", &page, DESK, "");
    assert_eq!(dom.matches("data-list=\"dirty\"").count(), 1);
    for (window, most) in [(DESK, 9_000), (PHONE, 14_000)] {
        browser.open("real-second-vm", &page, window, "");
        let height = browser.ask("document.documentElement.scrollHeight").as_u64().unwrap();
        assert!(height < most, "{height} pixels at a width of {}", window.0);
    }
}

#[test]
#[ignore = "builds the layers anew, to trace, and boots Linux"]
fn both_guests_first_calls_are_told_across_every_level() {
    let (passed, story, page) = report_of("two-guests.toml", &[]);
    assert!(passed);
    for vm in [1, 2] {
        let mut calls = story.calls.iter().filter(|call| call.caller == Caller::Vm(vm) && call.touches(Layer::Tee));
        let first = calls.next().expect("no call to the TEE");
        assert!(Layer::ALL.iter().all(|layer| first.touches(*layer)), "vm{vm}");
        assert_eq!(first.steps.iter().map(|step| step.ticks).sum::<u64>(), first.total());
        assert!((200..2000).contains(&first.total()), "vm{vm}: {} instructions", first.total());
        assert!(calls.any(|call| call.message.is_some() && call.outcome_words() == "TEE_SUCCESS"), "vm{vm}");
    }
    assert!(page.len() < 10 << 20, "{} bytes", page.len());
    let Some(mut browser) = Browser::find() else { return };
    for window in [DESK, PHONE] {
        let dom = browser.open("real-two-guests", &page, window, "");
        assert!(["data-first=\"1\"", "data-first=\"2\""].iter().all(|first| dom.contains(first)));
    }
}
