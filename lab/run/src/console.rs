// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine says: bytes of two serial ports become lines of speakers.

use lab_trace::Entry;
use lab_trace::frames::Frames;
use shared_abi::trace::Layer;
use std::fmt;

/// A serial port of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The normal world's, which is the hypervisor's.
    NonSecure,
    /// The secure world's, which monitor and TEE share.
    Secure,
}

impl Port {
    /// Both.
    pub const ALL: [Self; 2] = [Self::NonSecure, Self::Secure];

    /// Returns the name of its log and of its socket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonSecure => "normal-world",
            Self::Secure => "secure-world",
        }
    }

    /// Says who a line without a prefix comes from.
    const fn nobody(self) -> &'static str {
        match self {
            Self::NonSecure => "?ns",
            Self::Secure => "?s",
        }
    }

    /// Returns the layers that print on this port.
    const fn layers(self) -> &'static [Layer] {
        match self {
            Self::NonSecure => &[Layer::Hypervisor],
            Self::Secure => &[Layer::Monitor, Layer::Tee],
        }
    }

    /// Says whether this speaker is heard on this port. What the normal world prints can't pass for the secure world's.
    fn carries(self, speaker: &str) -> bool {
        match self {
            Self::NonSecure => speaker == "HYP" || speaker == "probe" || is_vm(speaker),
            Self::Secure => speaker == "EL3" || speaker == "TEE",
        }
    }
}

/// Says whether a speaker is a VM.
pub fn is_vm(speaker: &str) -> bool {
    speaker.strip_prefix("vm").is_some_and(|number| number.parse::<u16>().is_ok())
}

/// One line, and who said it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Line {
    /// `EL3`, `TEE`, `HYP`, `vm1`, …; `?ns` and `?s` where nobody put a name before it.
    pub speaker: String,
    /// What was said, without prefix, line end and terminal controls.
    pub text: String,
}

/// Who speaks for a normal world that is not ours: it has the console to itself, and puts no name before its lines.
pub const FOREIGN: &str = "EL2";

/// What Linux says before it repeats its command line, or what it didn't know of it (`start_kernel`).
const ECHOES: [&str; 2] = ["Kernel command line: ", "Unknown kernel command line parameters "];

impl Line {
    /// Finds where a kernel begins to repeat its command line, whose words it has from the scenario and doesn't say
    /// itself: what begins there is not something that anybody waits for.
    pub fn echo(&self) -> usize {
        let begins = |echo: &&str| Some(self.text.find(*echo)? + echo.len());
        ECHOES
            .iter()
            .filter(|_| is_vm(&self.speaker) || self.speaker == FOREIGN)
            .find_map(begins)
            .unwrap_or(self.text.len() + 1)
    }

    /// Says whether this text is said.
    pub fn says(&self, text: &str) -> bool {
        self.text.find(text).is_some_and(|at| at < self.echo())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.speaker, self.text)
    }
}

/// A line of more bytes is told in pieces: what has no end would be looked at again and again, and longer each time.
const LONGEST: usize = 16 << 10;

/// Makes lines of one port's bytes.
#[derive(Debug)]
pub struct Listener {
    port: Port,
    open: Vec<u8>,
    /// Who said the pieces before, if what is open is the rest of a line: it can't name another speaker.
    goes_on: Option<String>,
    /// Trace frames are among the lines.
    frames: Option<Frames>,
    /// Who says a line with nobody's name before it.
    nobody: &'static str,
}

impl Listener {
    /// Begins with nothing heard.
    pub const fn new(port: Port) -> Self {
        Self { port, open: Vec::new(), goes_on: None, frames: None, nobody: port.nobody() }
    }

    /// Begins with nothing heard, of a port on which layers write trace frames.
    pub fn traced(port: Port) -> Self {
        Self { frames: Some(Frames::new(port.layers())), ..Self::new(port) }
    }

    /// Takes what has nobody's name before it for the words of a normal world that is not ours.
    pub fn of_foreign_world(self) -> Self {
        Self { nobody: FOREIGN, ..self }
    }

    /// Takes the trace entries that came since this was last asked.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        self.frames.as_mut().map_or_else(Vec::new, Frames::take)
    }

    /// Hears more bytes; returns the lines that they end.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<Line> {
        let heard = self.open.len();
        match &mut self.frames {
            Some(frames) => self.open.extend(frames.hear(bytes)),
            None => self.open.extend_from_slice(bytes),
        }
        let mut said = Vec::new();
        if let Some(end) = self.open[heard..].iter().rposition(|byte| *byte == b'\n') {
            let rest = self.open.split_off(heard + end + 1);
            let whole = std::mem::replace(&mut self.open, rest);
            let mut lines: Vec<_> = whole[..heard + end].split(|byte| *byte == b'\n').collect();
            if let Some(frames) = &mut self.frames {
                lines.retain(|line| !frames.are_remains(line.trim_ascii_end()));
            }
            for line in lines {
                said.push(self.line(line));
                self.goes_on = None;
            }
        }
        while self.open.len() > LONGEST {
            let rest = self.open.split_off(LONGEST);
            let piece = std::mem::replace(&mut self.open, rest);
            let piece = self.line(&piece);
            self.goes_on = Some(piece.speaker.clone());
            said.push(piece);
        }
        said
    }

    /// Returns the line that has not ended (yet): a prompt, or last words.
    pub fn open(&self) -> Option<Line> {
        (!self.open.is_empty()).then(|| self.line(&self.open))
    }

    fn line(&self, bytes: &[u8]) -> Line {
        let text = plain(&String::from_utf8_lossy(bytes));
        if let Some(speaker) = &self.goes_on {
            return Line { speaker: speaker.clone(), text };
        }
        if self.nobody == FOREIGN {
            // It has names of its own, and whatever it writes before a line is part of that.
            return Line { speaker: FOREIGN.to_owned(), text };
        }
        if let Some((speaker, said)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            && self.port.carries(speaker)
        {
            let said = said.strip_prefix(' ').unwrap_or(said);
            return Line { speaker: speaker.to_owned(), text: said.to_owned() };
        }
        if self.port == Port::Secure && is_op_tees(&text) {
            return Line { speaker: "TEE".to_owned(), text };
        }
        Line { speaker: self.nobody.to_owned(), text }
    }
}

/// A listener at either port.
#[derive(Debug)]
pub struct Listeners {
    non_secure: Listener,
    secure: Listener,
}

impl Listeners {
    /// Begins with nothing heard. Layers may write trace frames on the ports.
    pub fn new(frames: bool) -> Self {
        let listener = if frames { Listener::traced } else { Listener::new };
        Self { non_secure: listener(Port::NonSecure), secure: listener(Port::Secure) }
    }

    /// Takes what has nobody's name before it on the normal world's port for a foreign one's words.
    pub fn of_foreign_world(self) -> Self {
        Self { non_secure: self.non_secure.of_foreign_world(), ..self }
    }

    /// Returns the console at a port.
    pub const fn at(&mut self, port: Port) -> &mut Listener {
        match port {
            Port::NonSecure => &mut self.non_secure,
            Port::Secure => &mut self.secure,
        }
    }

    /// Returns the lines that have not ended (yet).
    pub fn open(&self) -> impl Iterator<Item = Line> {
        [&self.non_secure, &self.secure].into_iter().filter_map(Listener::open)
    }

    /// Says how many trace frames were damaged.
    pub fn damaged(&self) -> u64 {
        [&self.non_secure, &self.secure].into_iter().filter_map(|at| Some(at.frames.as_ref()?.damaged())).sum()
    }
}

/// Says whether a line is of OP-TEE's log: level, `/`, and who (`I/TC: `, `E/TC:0 0 `, `D/LD: `). Of the secure world's
/// own programs only the TEE writes such lines.
fn is_op_tees(text: &str) -> bool {
    let Some((level, rest)) = text.split_once('/') else { return false };
    ["E", "W", "I", "D", "F"].contains(&level) && ["TC:", "TA:", "LD:"].iter().any(|who| rest.starts_with(who))
}

/// Where text stands among terminal controls, byte by byte: a guest has no business with the user's terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Controls {
    /// Outside of them.
    #[default]
    Outside,
    /// After an escape.
    Escaped,
    /// In a control sequence (ECMA-48 §5.4): it ends with a byte from 0x40 to 0x7E.
    Sequence,
}

impl Controls {
    /// Takes the next byte; says whether it is text, a tabulator or the end of a line.
    pub const fn keeps(&mut self, byte: u8) -> bool {
        let (next, keeps) = match (*self, byte) {
            // A line ends whatever stands open in it.
            (_, b'\n') => (Self::Outside, true),
            (_, 0x1B) => (Self::Escaped, false),
            (Self::Escaped, b'[') => (Self::Sequence, false),
            (Self::Sequence, 0..=0x3F) => (Self::Sequence, false),
            (Self::Outside, byte) => (Self::Outside, byte == b'\t' || !byte.is_ascii_control()),
            // No control is written in letters beyond ASCII.
            (_, byte) => (Self::Outside, !byte.is_ascii()),
        };
        *self = next;
        keeps
    }
}

/// Takes terminal controls out of a text.
fn plain(text: &str) -> String {
    let mut controls = Controls::default();
    let kept = text.bytes().filter(|byte| controls.keeps(*byte)).collect::<Vec<_>>();
    let tabless = |letter| if letter == '\t' { ' ' } else { letter };
    let mut out: String = String::from_utf8_lossy(&kept).chars().map(tabless).collect();
    out.retain(|letter| !letter.is_control());
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(port: Port, chunks: &[&str]) -> Vec<String> {
        let mut listener = Listener::new(port);
        chunks.iter().flat_map(|chunk| listener.hear(chunk.as_bytes())).map(|line| line.to_string()).collect()
    }

    #[test]
    fn lines_are_whole_however_the_bytes_arrive() {
        let expected = ["[HYP] one", "[vm1] two"];
        assert_eq!(lines(Port::NonSecure, &["[HYP] one\r\n[vm1] two\r\n"]), expected);
        assert_eq!(lines(Port::NonSecure, &["[HY", "P] one\r", "\n[vm1] ", "two", "\n[vm1"]), expected);
    }

    #[test]
    fn a_line_without_an_end_comes_in_pieces_and_nobody_else_speaks_in_them() {
        let mut listener = Listener::new(Port::NonSecure);
        let filler = "x".repeat(LONGEST - "[vm1] ".len());
        assert!(listener.hear(format!("[vm1] {filler}").as_bytes()).is_empty());
        let told = listener.hear(b"[HYP] PANIC");
        assert_eq!((told.len(), told[0].speaker.as_str(), told[0].text.len()), (1, "vm1", filler.len()));
        assert_eq!(listener.open().unwrap().to_string(), "[vm1] [HYP] PANIC");
        let told: Vec<_> = listener.hear(b", no\n[HYP] bye\n").iter().map(ToString::to_string).collect();
        assert_eq!(told, ["[vm1] [HYP] PANIC, no", "[HYP] bye"]);
        // However much of it comes, no more than a piece is kept to be looked at again.
        assert_eq!(listener.hear(&vec![b' '; 10 * LONGEST]).len(), 9);
        assert_eq!(listener.open.len(), LONGEST);
    }

    #[test]
    fn a_kernel_that_repeats_its_command_line_does_not_say_it() {
        let line = |speaker: &str, text: &str| Line { speaker: speaker.into(), text: text.into() };
        let echo = line("vm1", "[    0.00] Kernel command line: console=ttyAMA0 triptych.print=ready");
        assert!(!echo.says("ready") && !echo.says("console=ttyAMA0"));
        assert!(echo.says("Kernel command line") && echo.says("line: console=ttyAMA0 triptych.print=ready"));
        let unknown = line("vm1", "Unknown kernel command line parameters \"ready\", will be passed to user space.");
        assert!(!unknown.says("ready") && unknown.says("Unknown"));
        assert!(line("vm1", "ready").says("ready") && line("vm1", "").says(""));
        // Others have nothing to repeat.
        assert!(line("HYP", "Kernel command line: ready").says("ready"));
    }

    #[test]
    fn a_normal_world_that_is_not_ours_speaks_alone_whatever_it_writes_before_a_line() {
        let mut listeners = Listeners::new(false).of_foreign_world();
        let said: Vec<_> =
            listeners.at(Port::NonSecure).hear(b"[HYP] PANIC\nU-Boot\n=> ").iter().map(ToString::to_string).collect();
        assert_eq!(said, ["[EL2] [HYP] PANIC", "[EL2] U-Boot"]);
        assert_eq!(listeners.at(Port::NonSecure).open().unwrap().to_string(), "[EL2] =>");
        let said = listeners.at(Port::Secure).hear(b"[EL3] ready\n");
        assert_eq!(said[0].to_string(), "[EL3] ready");
    }

    #[test]
    fn a_prompt_is_an_open_line() {
        let mut listener = Listener::new(Port::NonSecure);
        assert!(listener.open().is_none());
        assert!(listener.hear(b"[vm1] ~ # ").is_empty());
        assert_eq!(listener.open().unwrap().to_string(), "[vm1] ~ #");
    }

    #[test]
    fn nobody_speaks_in_anothers_name() {
        assert_eq!(lines(Port::NonSecure, &["[TEE] all is well\n"]), ["[?ns] [TEE] all is well"]);
        assert_eq!(lines(Port::Secure, &["[HYP] hello\n", "hello\n"]), ["[?s] [HYP] hello", "[?s] hello"]);
        assert_eq!(lines(Port::NonSecure, &["[vm1] [HYP] PANIC\n"]), ["[vm1] [HYP] PANIC"]);
        assert_eq!(lines(Port::NonSecure, &["[vm99999] x\n"]), ["[?ns] [vm99999] x"]);
    }

    #[test]
    fn op_tee_is_known_by_the_form_of_its_lines() {
        let said = ["I/TC: OP-TEE version: 4.5.0\n", "E/TC:0 0 Panic at x\n", "D/LD:  ldelf:1\n"];
        let heard = ["[TEE] I/TC: OP-TEE version: 4.5.0", "[TEE] E/TC:0 0 Panic at x", "[TEE] D/LD:  ldelf:1"];
        assert_eq!(lines(Port::Secure, &said), heard);
        assert_eq!(lines(Port::Secure, &["I/O error\n", "X/TC: a\n"]), ["[?s] I/O error", "[?s] X/TC: a"]);
        assert_eq!(lines(Port::NonSecure, &["I/TC: all is well\n"]), ["[?ns] I/TC: all is well"]);
    }

    #[test]
    fn terminal_controls_are_left_out() {
        assert_eq!(lines(Port::NonSecure, &["[vm1] \u{1b}[1;31mred\u{1b}[0m\u{7}\u{1b}[6n\tx\r\n"]), ["[vm1] red x"]);
    }

    #[test]
    fn a_control_that_never_ends_takes_no_line_with_it_and_letters_stay_whole() {
        assert_eq!(lines(Port::NonSecure, &["[vm1] a\u{1b}[1\n[vm1] b\u{1b}\n"]), ["[vm1] a", "[vm1] b"]);
        assert_eq!(
            lines(Port::NonSecure, &["[vm1] \u{1b}\u{e9}\u{1b}c\u{9b}\u{e9}\u{1b}\u{1b}[mx\n"]),
            ["[vm1] \u{e9}\u{e9}x"]
        );
    }

    #[test]
    fn trace_frames_are_no_lines() {
        use shared_abi::trace::frame::Frame;
        use shared_abi::trace::{Event, Layer, Record};
        let record = Record { time: 1, sequence: 0, client: 0, event: Event::Calibration { round: 0 } };
        let frame = Frame { layer: Layer::Tee, cpu: 1, record }.to_string();
        let mut listener = Listener::traced(Port::Secure);
        let bytes = format!("[TEE] re{frame}ady\n{}[TEE] bye\n", frame.replace('\x1e', "?"));
        let lines: Vec<_> = listener.hear(bytes.as_bytes()).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["[TEE] ready", "[TEE] bye"]);
        assert_eq!(listener.take_entries(), [Entry { layer: Layer::Tee, cpu: 1, record }]);
        assert_eq!(Listeners { secure: listener, ..Listeners::new(true) }.damaged(), 1);
        assert!(Listener::new(Port::Secure).hear(frame.as_bytes())[0].text.starts_with('1'));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let mut listener = Listener::new(Port::Secure);
        assert_eq!(listener.hear(b"[EL3] \xff\xfe\n").len(), 1);
        assert_eq!(listener.hear(b"\n")[0].text, "");
    }
}
