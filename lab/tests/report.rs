//! The report in a real browser: it loads without a complaint, shows what the trace holds, also on a phone and in the dark.
//!
//! Where there is no Chromium the tests say so and pass: what the page is made of has tests of its own. With
//! `TRIPTYCH_PICTURES=FOLDER` they leave their pictures there, to be looked at.

use lab::command::report::{Options, report};
use lab::console::Line;
use lab::judge::Verdict;
use lab::progress::Progress;
use lab::report::kept::{Kept, KeptVm};
use lab::report::page::page;
use lab::report::sample::Sample;
use lab::report::story::{Caller, Story};
use lab::trace::Trace;
use lab::workspace::Workspace;
use shared_abi::trace::Layer;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A window: width, height, and whether it is dark.
#[derive(Clone, Copy)]
struct Window(u32, u32, bool);

const DESK: Window = Window(1280, 2600, false);
const DESK_DARK: Window = Window(1280, 2600, true);
const PHONE: Window = Window(390, 3400, false);

/// A page in a browser.
struct Browser {
    program: PathBuf,
    folder: TempDir,
}

impl Browser {
    /// The browser of this machine, if it has one.
    fn find() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let found = std::env::split_paths(&path)
            .flat_map(|folder| names.map(|name| folder.join(name)))
            .find(|program| program.is_file());
        if found.is_none() {
            eprintln!("skipped: no Chromium; `apt-get install chromium` makes this test run");
        }
        Some(Self { program: found?, folder: tempfile::tempdir().unwrap() })
    }

    fn run(&self, window: Window, more: &[String]) -> (String, String) {
        let Window(width, height, dark) = window;
        let profile = tempfile::tempdir_in(self.folder.path()).unwrap();
        let mut command = Command::new("timeout");
        command.arg("120").arg(&self.program);
        for option in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=4000",
        ] {
            command.arg(option);
        }
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--window-size={width},{height}"));
        command.arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }));
        let output = command.args(more).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The page after its script has run. A complaint on the console fails the test.
    fn load(&self, name: &str, html: &str, window: Window) -> String {
        self.load_at(name, html, window, "")
    }

    /// The same, opened at a place of the page.
    fn load_at(&self, name: &str, html: &str, window: Window, place: &str) -> String {
        let file = self.folder.path().join(format!("{name}.html"));
        fs::write(&file, html).unwrap();
        let url = format!("file://{}{place}", file.display());
        let (dom, log) = self.run(window, &["--dump-dom".into(), url.clone()]);
        let complaints: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        assert!(dom.contains("data-ready"), "the script did not come to its end: {log}");
        if let Some(folder) = std::env::var_os("TRIPTYCH_PICTURES") {
            let Window(width, _, dark) = window;
            let shade = if dark { "-dark" } else { "" };
            let picture = Path::new(&folder).join(format!("{name}-{width}{shade}.png"));
            self.run(window, &[format!("--screenshot={}", picture.display()), url]);
            assert!(picture.exists(), "no picture {}", picture.display());
        }
        dom
    }
}

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
                "E/TC:0 0   assertion 'poolset->freelist.ql.blink->ql.flink == &poolset->freelist' failed at tee-core/src/as_reported/bget.rs:101 <bpool>",
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
    let Some(browser) = Browser::find() else { return };
    let trace = Sample::two_guests(60).trace();
    let html = html(&guests(), &trace);
    let calls = Story::of(&trace, |_| {}).calls.len();
    for window in [DESK, DESK_DARK, PHONE] {
        let dom = browser.load("two-guests", &html, window);
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
    let Some(browser) = Browser::find() else { return };
    let dom = browser.load("second-vm", &html(&kept("second-vm", &[], true), &Sample::second_vm().trace()), DESK);
    assert_eq!(dom.matches("data-list=\"clean\"").count(), 1);
    assert_eq!(dom.matches("data-list=\"dirty\"").count(), 1);
    assert!(dom.contains("head.blink-&gt;flink == &amp;head does not hold"));
    browser.load("second-vm", &html(&kept("second-vm", &[], true), &Sample::second_vm().trace()), PHONE);
}

#[test]
fn an_exit_is_opened_with_its_syndrome_by_field() {
    let Some(browser) = Browser::find() else { return };
    let trace = Sample::two_guests(20).trace();
    let story = Story::of(&trace, |_| {});
    let exit = format!("#call-{}", story.calls.len());
    for window in [DESK, PHONE] {
        let dom = browser.load_at("exit", &html(&guests(), &trace), window, &exit);
        assert_eq!(dom.matches("data-index=").count(), story.exits.len());
        for field in ["EC [31:26]", "IL [25]", "ISS [24:0]", "TI [1:0]"] {
            assert!(dom.contains(field), "{field}");
        }
    }
}

#[test]
fn an_empty_trace_and_a_huge_one_are_shown_too() {
    let Some(browser) = Browser::find() else { return };
    let dom = browser.load("empty", &html(&guests(), &Trace::default()), DESK);
    assert!(dom.contains("data-ready=\"calls=0\""));
    let huge = html(&guests(), &Sample::two_guests(6000).trace());
    assert!(huge.len() < 10 << 20, "{} bytes", huge.len());
    let dom = browser.load("huge", &huge, PHONE);
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
        stack: lab::stack::Options { tee: (!tee.is_empty()).then(|| tee.join(",")), flash: None },
        from: None,
        output: Some(output.clone()),
        perfetto: Some(folder.path().join("perfetto.json")),
    };
    let passed = report(&workspace, &options, &Progress::silent()).unwrap();
    let run = workspace.target().join("runs").join(scenario.trim_end_matches(".toml")).join("cortex-a57");
    let trace = Trace::read(&run.join("trace.bin")).unwrap();
    assert_eq!((trace.lost, trace.damaged), (0, 0));
    let again = Options { from: Some(run), scenario: None, output: Some(folder.path().join("again.html")), ..options };
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
    let Some(browser) = Browser::find() else { return };
    let dom = browser.load("real-second-vm", &page, DESK);
    assert_eq!(dom.matches("data-list=\"dirty\"").count(), 1);
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
    let Some(browser) = Browser::find() else { return };
    for window in [DESK, PHONE] {
        let dom = browser.load("real-two-guests", &page, window);
        assert!(["data-first=\"1\"", "data-first=\"2\""].iter().all(|first| dom.contains(first)));
    }
}
