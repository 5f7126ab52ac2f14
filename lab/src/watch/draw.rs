// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture: on a narrow terminal one column with the console that has the focus, on a wide one all consoles beside
//! it.

use super::history::History;
use super::keys::HELP;
use super::session::{Ended, Session};
use super::status::{Status, Vm};
use super::view::View;
use lab_report::story::level;
use lab_report::story::place::Place;
use lab_run::console::{Line as Said, is_vm};
use lab_trace::Entry;
use lab_trace::text::Log;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};
use shared_abi::trace::event::VmState;
use shared_abi::trace::{Event, Layer};

/// From this width on consoles stand beside the records.
const WIDE: u16 = 130;
/// VMs that have a line of their own.
const MOST_VMS: usize = 8;

/// What is drawn.
#[derive(Debug)]
pub struct Scene<'s> {
    /// The scenario, the CPU.
    pub title: &'s str,
    /// The records.
    pub history: &'s History,
    /// What was said.
    pub lines: &'s [Said],
    /// What is being said.
    pub open: Vec<Said>,
    /// The VMs' consoles.
    pub consoles: Vec<String>,
    /// How the machine ended.
    pub ended: Option<&'s Ended>,
    /// Expectations that hold, and how many there are.
    pub score: (usize, usize),
}

impl<'s> Scene<'s> {
    /// Pictures a session.
    pub fn of(session: &'s Session) -> Self {
        Self {
            title: &session.title,
            history: &session.history,
            lines: session.lines(),
            open: session.open_lines().collect(),
            consoles: session.consoles(),
            ended: session.ended.as_ref(),
            score: session.score(),
        }
    }
}

/// Draws the picture.
pub fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>, view: &View) {
    let status = view.status(scene.history);
    let ended = u16::from(scene.ended.is_some());
    let [top, end, body, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(ended), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(title(scene, view), top);
    if let Some(ended) = scene.ended {
        frame.render_widget(how_it_ended(ended), end);
    }
    frame.render_widget(footer(scene, view), bottom);
    if body.width >= WIDE {
        let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(body);
        let [upper, records] = above(left, &status);
        frame.render_widget(machine(&status, upper.height), upper);
        self::records(frame, records, scene, view);
        consoles(frame, right, scene, view);
    } else {
        let [upper, rest] = above(body, &status);
        let [records, said] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(rest);
        frame.render_widget(machine(&status, upper.height), upper);
        self::records(frame, records, scene, view);
        let focus = view.console.min(scene.consoles.len());
        console(frame, said, scene, focus, view);
    }
    if view.help {
        help(frame);
    }
}

/// Splits the area into the part for VMs and CPUs, and what is left.
fn above(area: Rect, status: &Status) -> [Rect; 2] {
    let vms = status.vms.len().clamp(1, MOST_VMS + 1) as u16;
    let height = (1 + vms + status.cpus().count() as u16).min(area.height / 2);
    Layout::vertical([Constraint::Length(height), Constraint::Min(0)]).areas(area)
}

const fn colour(layer: Layer) -> Color {
    match layer {
        Layer::Monitor => Color::Red,
        Layer::Tee => Color::Magenta,
        Layer::Hypervisor => Color::Yellow,
    }
}

fn title<'l>(scene: &Scene<'_>, view: &View) -> Line<'l> {
    let mut spans = vec![Span::from(format!(" {} ", scene.title)).bold().reversed()];
    let time = view.end(scene.history).checked_sub(1).and_then(|index| scene.history.entry(index));
    let time = time.map_or(0.0, |entry| seconds(scene.history, entry));
    spans.push(match view.at {
        Some(_) => Span::from(format!(" STOPPED at {time:.6} s ")).black().on_yellow(),
        None => Span::from(format!(" {time:.3} s ")),
    });
    let (hold, all) = scene.score;
    spans.push(Span::from(format!(" {} records  {hold}/{all} expected ", scene.history.heard())));
    Line::from(spans)
}

fn how_it_ended<'l>(ended: &Ended) -> Line<'l> {
    let style = if ended.well() { Style::new().green() } else { Style::new().red().bold() };
    let words = ended.words.lines().next().unwrap_or_default();
    Line::styled(format!(" {} {words}", ended.verdict.mark()), style)
}

fn footer<'l>(scene: &Scene<'_>, view: &View) -> Line<'l> {
    if view.typing {
        let vm = scene.consoles.get(view.console).cloned().unwrap_or_default();
        return Line::from(format!(" keys go to {vm}; Ctrl-A Esc gives the keyboard back ")).black().on_green();
    }
    let keys = "q leave  ? help  space stop  ←→ step  v VM  htm layers  a all  Tab console";
    Line::from(format!(" {keys}")).dim()
}

/// Draws VMs and CPUs in so many rows. VMs make room for CPUs: there may be many, and what the last ones do is seen by
/// their records.
fn machine<'p>(status: &Status, rows: u16) -> Paragraph<'p> {
    let room = usize::from(rows).saturating_sub(1 + status.cpus().count());
    let all = status.vms.len();
    let shown = if all <= room.min(MOST_VMS) { all } else { room.saturating_sub(1).min(MOST_VMS) };
    let heading = format!(
        " {:5} {:8} {:>8} {:>10} {:>7} {:>7} {:>26}",
        "VM", "state", "exits/s", "exits", "calls", "refused", "TEE heap used/most/size"
    );
    let mut lines = vec![Line::from(heading).dim()];
    if status.vms.is_empty() {
        lines.push(Line::from(" none yet").dim());
    }
    lines.extend(status.vms.iter().take(shown).map(|(id, vm)| vm_line(*id, vm)));
    if all > shown {
        lines.push(Line::from(format!(" and {} more", all - shown)).dim());
    }
    lines.extend(status.cpus().map(|(cpu, place)| cpu_line(cpu, place)));
    Paragraph::new(lines)
}

fn vm_line<'l>(id: u16, vm: &Vm) -> Line<'l> {
    let (state, style) = match vm.state {
        None => ("-", Style::new()),
        Some(VmState::Made) => ("made", Style::new()),
        Some(VmState::Running) => ("running", Style::new().green()),
        Some(VmState::Off) => ("off", Style::new().dim()),
        Some(VmState::Reset) => ("reset", Style::new().yellow()),
        Some(VmState::Crashed) => ("crashed", Style::new().red().bold()),
    };
    let heap = match (vm.heap, vm.partition) {
        (Some(heap), _) => format!("{}/{}/{}", heap.used, heap.peak, heap.size),
        (None, Some(pages)) => format!("{pages} pages"),
        (None, None) => "-".to_owned(),
    };
    let refused = Style::new().fg(if vm.refusals > 0 { Color::Red } else { Color::Reset });
    Line::from(vec![
        Span::from(format!(" vm{id:<3} ")).cyan().bold(),
        Span::styled(format!("{state:8} "), style),
        Span::from(format!("{:>8} {:>10} {:>7} ", vm.exits_per_second(), vm.exits, vm.calls)),
        Span::styled(format!("{:>7} ", vm.refusals), refused),
        Span::from(format!("{heap:>26}")),
    ])
}

/// Draws where a CPU is, among the levels.
fn cpu_line<'l>(cpu: u8, place: Place) -> Line<'l> {
    let vm = match place {
        Place::Vm(id) => format!(" EL1 vm{id} "),
        _ => " EL1 vm ".to_owned(),
    };
    let names = [vm, " EL2 HYP ".to_owned(), " EL3 monitor ".to_owned(), " S-EL1 TEE ".to_owned()];
    let colours = [Color::Cyan, Color::Yellow, Color::Red, Color::Magenta];
    let mut spans = vec![Span::from(format!(" CPU{cpu} ")).dim()];
    for (index, (name, colour)) in names.into_iter().zip(colours).enumerate() {
        let here = level(place) == Some(index);
        let style = if here { Style::new().fg(colour).add_modifier(Modifier::REVERSED) } else { Style::new().dim() };
        spans.push(Span::from(" "));
        spans.push(Span::styled(name, style));
    }
    if place == Place::Idle {
        spans.push(Span::from("  idle").dim());
    }
    Line::from(spans)
}

fn seconds(history: &History, entry: &Entry) -> f64 {
    let begin = history.entry(0).map_or(0, |first| first.record.time);
    entry.record.time.saturating_sub(begin) as f64 / history.frequency().max(1) as f64
}

fn records(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>, view: &View) {
    let block = Block::bordered().title(format!(" {} ", view.filter.words()));
    let rows = usize::from(block.inner(area).height);
    let history = scene.history;
    let shown = history.window(view.end(history), rows, &view.filter);
    let mut log = Log::default();
    let lines: Vec<_> = shown
        .iter()
        .filter_map(|index| history.entry(*index).map(|entry| (*index, entry)))
        .map(|(index, entry)| {
            let line = record(history, entry, log.what(entry));
            if view.at == Some(index) { line.reversed() } else { line }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Writes a record: when, at which of the levels, whose, what.
fn record<'l>(history: &History, entry: &Entry, what: String) -> Line<'l> {
    let column = level(Place::of(entry.layer)).unwrap_or(0);
    let lanes: String = (0..4).map(|lane| if lane == column { '●' } else { '·' }).collect();
    let style = Style::new().fg(colour(entry.layer));
    let whose = if entry.record.client == 0 { String::new() } else { format!("vm{}", entry.record.client) };
    let style_of_what = match entry.record.event {
        Event::Refused { .. } => Style::new().red(),
        Event::Panic { .. } => Style::new().red().bold(),
        Event::WorldSwitch { .. } => Style::new().bold(),
        _ => Style::new(),
    };
    Line::from(vec![
        Span::from(format!("{:>11.6} {} ", seconds(history, entry), entry.cpu)).dim(),
        Span::styled(lanes, style),
        Span::styled(format!(" {:3} ", entry.layer.name()), style),
        Span::from(format!("{whose:4} ")).cyan(),
        Span::styled(what, style_of_what),
    ])
}

/// Draws all consoles, one above the other; the layers' lines are the last.
fn consoles(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>, view: &View) {
    // What fits with five lines each; the one that has the focus always does.
    let fit = usize::from(area.height / 7).max(1);
    let all = scene.consoles.len() + 1;
    let focus = view.console.min(all - 1);
    let first = if all <= fit { 0 } else { focus.min(all - fit) };
    let places = Layout::vertical(vec![Constraint::Fill(1); fit.min(all)]).split(area);
    for (place, index) in places.iter().zip(first..all) {
        console(frame, *place, scene, index, view);
    }
}

fn console(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>, index: usize, view: &View) {
    let vm = scene.consoles.get(index);
    let belongs = |line: &&Said| match vm {
        Some(vm) => line.speaker == *vm,
        None => !is_vm(&line.speaker),
    };
    let name = match vm {
        Some(vm) => format!(" {vm} "),
        None => " layers ".to_owned(),
    };
    let mut block = Block::bordered().title(name);
    if view.console.min(scene.consoles.len()) == index {
        let style = if view.typing { Style::new().green() } else { Style::new().cyan() };
        block = block.border_style(style).border_type(BorderType::Thick);
    }
    let rows = usize::from(block.inner(area).height);
    let open: Vec<_> = scene.open.iter().filter(belongs).collect();
    let before = rows.saturating_sub(open.len());
    let mut lines: Vec<_> = scene.lines.iter().rev().filter(belongs).take(before).collect();
    lines.reverse();
    let text: Vec<_> = lines
        .into_iter()
        .chain(open)
        .map(|line| Line::from(if vm.is_some() { line.text.clone() } else { line.to_string() }))
        .collect();
    frame.render_widget(Paragraph::new(text).block(block), area);
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let (width, height) = (76.min(area.width), (HELP.len() as u16 + 2).min(area.height));
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    let lines: Vec<_> = HELP
        .iter()
        .map(|(key, what)| Line::from(vec![Span::from(format!(" {key:10} ")).bold(), Span::from(*what)]))
        .collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), place);
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_report::sample::Sample;
    use lab_run::judge::Verdict;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn picture(width: u16, height: u16, view: &View, calls: usize) -> String {
        pictured(width, height, view, calls, None)
    }

    /// Pictures a session after so many calls of as many VMs, but sixteen at most.
    fn pictured(width: u16, height: u16, view: &View, calls: usize, ended: Option<&Ended>) -> String {
        let mut history = History::new(1_000_000_000);
        let mut sample = Sample::new();
        (0..calls).for_each(|call| sample.guest_call(1 + call as u16 % 16));
        sample.trace().entries.into_iter().for_each(|entry| {
            history.hear(entry);
        });
        let line = |speaker: &str, text: &str| Said { speaker: speaker.into(), text: text.into() };
        let lines = [line("HYP", "image 316 KiB"), line("vm1", "Welcome"), line("vm2", "waiting")];
        let scene = Scene {
            title: "two-guests on max",
            history: &history,
            lines: &lines,
            open: vec![line("vm1", "linux# ")],
            consoles: vec!["vm1".into(), "vm2".into()],
            ended,
            score: (3, 9),
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &scene, view)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_small_terminal_shows_everything_that_matters() {
        let picture = picture(80, 24, &View::default(), 3);
        for what in ["two-guests on max", "3/9 expected", "vm1", "exits/s", "CPU0", "S-EL1 TEE", "OPTEE", "linux# "] {
            assert!(picture.contains(what), "{what}: {picture}");
        }
        assert!(!picture.contains("waiting"), "one console has the focus: {picture}");
        assert!(picture.contains("q leave"));
    }

    #[test]
    fn a_large_terminal_shows_every_console() {
        let picture = picture(200, 60, &View::default(), 3);
        for what in ["linux# ", "waiting", "[HYP] image 316 KiB", "vm2", " layers "] {
            assert!(picture.contains(what), "{what}: {picture}");
        }
    }

    #[test]
    fn how_it_ended_is_told_whole_and_no_cpu_makes_room_for_a_vm() {
        for (width, height, calls) in [(80, 24, 40), (200, 60, 40), (80, 24, 3)] {
            let words = "QEMU ended without a word; was it killed?";
            let ended = Ended { verdict: Verdict::new(false, "the machine powers off", words), words: words.into() };
            let picture = pictured(width, height, &View::default(), calls, Some(&ended));
            assert!(picture.contains("FAIL QEMU ended without a word; was it killed?"), "{picture}");
            assert!(picture.contains("3/9 expected") && picture.contains("CPU0"), "{picture}");
        }
    }

    #[test]
    fn no_size_and_no_state_is_too_much() {
        for (width, height) in [(1, 1), (2, 40), (20, 5), (129, 3), (130, 2), (300, 8)] {
            for calls in [0, 50] {
                for help in [false, true] {
                    let view = View { at: Some(7), help, console: 99, typing: true, ..View::default() };
                    picture(width, height, &view, calls);
                }
            }
        }
    }

    #[test]
    fn help_is_whole_on_a_small_terminal() {
        let picture = picture(80, 24, &View { help: true, ..View::default() }, 3);
        for (key, what) in HELP {
            assert!(picture.lines().any(|line| line.contains(key) && line.contains(what)), "{key}: {picture}");
        }
    }

    #[test]
    fn a_stopped_picture_says_where() {
        let view = View { at: Some(40), ..View::default() };
        let picture = picture(80, 24, &view, 3);
        assert!(picture.contains("STOPPED at 0.00"), "{picture}");
    }
}
