// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU: its command line, its process, its serial ports.
//!
//! Each serial port is a socket that the lab listens on before QEMU starts, so not one byte is lost, and QEMU waits if
//! the lab is slow. QEMU ends when the value does, whatever way that is.

use crate::clock::Clock;
use crate::console::Port;
use crate::guests::{Guest, Module};
use crate::keeper::Keeper;
use crate::models::{PROGRAM, doubled};
use crate::paste;
use crate::scenario::Hardware;
use anyhow::{Context, Result, bail, ensure};
use lab_trace::Traced;
use lab_trace::memory::Memory;
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use shared_abi::layout::Range;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The first version whose `virt` has what the chain needs.
const OLDEST: (u32, u32) = (7, 2);
/// The first one that calls it one-insn-per-tb; to those before it was -singlestep.
const ONE_INSTRUCTION: (u32, u32) = (8, 1);
/// Stops the machine before its first instruction.
const HALTED: &str = "-S";
/// Only a QEMU that hangs takes so long to start on any host.
const START: Duration = Duration::from_secs(900);

/// Arguments for QEMU, in order.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    arguments: Vec<OsString>,
    /// What it logs is read while it is written.
    logs: bool,
    /// The file that is its memory, if it has one: its standard input.
    memory: Option<Arc<Memory>>,
    /// The folder of a socket that a debugger uses.
    debugger: Option<PathBuf>,
}

impl CommandLine {
    /// Describes the machine without what is on its serial ports.
    pub fn machine(machine: &Hardware, cpu: &str, flash: &Path) -> Self {
        Self::with_board(machine, cpu, flash, "virt,secure=on,virtualization=on,gic-version=3".into())
    }

    fn with_board(machine: &Hardware, cpu: &str, flash: &Path, board: String) -> Self {
        let mut line = Self::default();
        line.add("-M", board)
            .add("-cpu", format!("{cpu},cntfrq={}", frequency(machine)))
            .add("-smp", machine.cpus.to_string());
        line.add("-m", format!("{}K", machine.memory.0 / 1024));
        line.add("-display", "none").add("-monitor", "none").add("-net", "none").flag("-nodefaults");
        if !machine.resets {
            // A reset that nobody asked for must not start the run again.
            line.flag("-no-reboot");
        }
        if machine.icount {
            line.count_instructions(machine.icount_shift);
        }
        line.add("-bios", flash);
        line
    }

    /// Describes the board without firmware, EL2 and EL3, and a kernel on it as QEMU starts Linux. Its time is the
    /// count of instructions.
    pub fn plain(machine: &Hardware, cpu: &str, kernel: &Path, bootargs: &str) -> Self {
        let mut line = Self::default();
        line.add("-M", "virt,gic-version=3").add("-cpu", format!("{cpu},cntfrq={}", frequency(machine)));
        line.add("-smp", machine.cpus.to_string()).add("-m", format!("{}K", machine.memory.0 / 1024));
        line.add("-display", "none").add("-monitor", "none").add("-net", "none").flag("-nodefaults");
        line.count_instructions(machine.icount_shift);
        line.add("-kernel", kernel).add("-append", bootargs);
        line
    }

    fn count_instructions(&mut self, shift: u32) -> &mut Self {
        self.add("-icount", format!("shift={shift},sleep=off")).add("-rtc", "clock=vm").add("-seed", "1")
    }

    /// Loads the tree that the chain boots with, the files of what boots `first`, and the guests' files.
    pub fn load(&mut self, tree: &Path, first: &[Module], guests: &[Guest<'_>]) -> &mut Self {
        self.add("-dtb", tree);
        for module in first.iter().chain(guests.iter().flat_map(|guest| &guest.modules)) {
            let file = doubled(&module.file);
            self.add("-device", format!("loader,file={file},addr={:#x},force-raw=on", module.address));
        }
        self
    }

    /// Puts the machine's memory into a file, and its exceptions into a log, as far as tracing asks for it.
    pub fn trace(&mut self, machine: &Hardware, traced: &Traced) -> &mut Self {
        if let Some(memory) = &traced.memory {
            let (size, path) = (machine.memory.0 / 1024, Memory::INPUT);
            self.add("-object", format!("memory-backend-file,id=ram,size={size}K,mem-path={path},share=on"));
            self.add("-M", "memory-backend=ram");
            self.memory = Some(Arc::clone(memory));
        }
        if let Some(log) = &traced.exceptions {
            self.add("-d", "int").add("-D", log);
        }
        self
    }

    /// Waits for gdb before the first instruction.
    pub fn wait_for_gdb(&mut self) -> &mut Self {
        self.flag(HALTED).flag("-s")
    }

    /// Waits before the first instruction for who speaks gdb's protocol on a socket, which is alone in its folder.
    pub(crate) fn wait_for_debugger(&mut self, socket: &Path) -> &mut Self {
        self.debugger = socket.parent().map(Path::to_path_buf);
        self.flag(HALTED).add("-gdb", format!("unix:{},server=on,wait=off", doubled(socket)))
    }

    /// Makes every instruction a block of its own, and logs those in these ranges: [`Qemu::log`].
    pub fn log_instructions(&mut self, ranges: &[Range]) -> Result<&mut Self> {
        let (line, version) = installed()?;
        match version {
            Some(version) if version >= ONE_INSTRUCTION => self.add("-accel", "tcg,one-insn-per-tb=on"),
            Some(_) => self.flag("-singlestep"),
            None => bail!("{line}: the version is not known"),
        };
        let ranges: Vec<_> = ranges.iter().map(|range| format!("{:#x}+{:#x}", range.base, range.size)).collect();
        self.logs = true;
        Ok(self.add("-d", "exec,nochain").add("-dfilter", ranges.join(",")))
    }

    fn add(&mut self, option: &str, value: impl Into<OsString>) -> &mut Self {
        self.arguments.extend([option.into(), value.into()]);
        self
    }

    fn flag(&mut self, option: &str) -> &mut Self {
        self.arguments.push(option.into());
        self
    }

    /// Writes the line as a person runs it, the serial ports on the terminal and in a file.
    pub fn by_hand(&self) -> String {
        let mut text = PROGRAM.to_owned();
        for argument in &self.arguments {
            text += if argument.to_string_lossy().starts_with('-') { " \\\n    " } else { " " };
            text += &paste::word(argument);
        }
        text + " \\\n    -serial stdio -serial file:secure-world.txt\n"
    }
}

/// Says how many ticks of the machine's counter are a second. Under icount one is a nanosecond of virtual time, which
/// is one instruction; else it is what QEMU 7.2 has without being told.
pub const fn frequency(machine: &Hardware) -> u64 {
    if machine.icount { 1_000_000_000 } else { 62_500_000 }
}

/// Reads the machine's own device tree. It depends on every option that shapes the machine, the firmware among them.
/// Until it is read it stands beside the flash.
pub fn dump_tree(machine: &Hardware, cpu: &str, flash: &Path) -> Result<Vec<u8>> {
    let file = flash.with_file_name("machine.dtb");
    let board = format!("virt,secure=on,virtualization=on,gic-version=3,dumpdtb={}", doubled(&file));
    let output = command()
        .args(CommandLine::with_board(machine, cpu, flash, board).arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(missing)?;
    ensure!(output.status.success(), "QEMU refuses the machine: {}", String::from_utf8_lossy(&output.stderr).trim());
    let tree = fs::read(&file).context("QEMU wrote no device tree")?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok(tree)
}

/// Asks QEMU for its version; returns what it says, and the version in it.
fn installed() -> Result<(String, Option<(u32, u32)>)> {
    let output = command().arg("--version").output().map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default().to_owned();
    let version = version(&first);
    Ok((first, version))
}

/// Finds out whether QEMU is there and new enough; returns its version.
pub fn check() -> Result<String> {
    let (first, version) = installed()?;
    match version {
        Some(version) if version >= OLDEST => Ok(first),
        _ => bail!("{first}: the machine needs QEMU {}.{} or newer; {REMEDY}", OLDEST.0, OLDEST.1),
    }
}

const REMEDY: &str = "install it with `apt-get install qemu-system-arm` (Debian, Ubuntu), `brew install qemu` (macOS) \
                      or `dnf install qemu-system-aarch64-core` (Fedora)";

fn command() -> Command {
    Command::new(PROGRAM)
}

fn missing(error: std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        return anyhow::anyhow!("{PROGRAM} is missing; {REMEDY}");
    }
    anyhow::Error::new(error).context(format!("cannot start {PROGRAM}"))
}

/// Reads `QEMU emulator version 7.2.22 (…)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split("version ").nth(1)?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A running QEMU.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    ports: Vec<UnixStream>,
    control: Option<UnixStream>,
    goes: bool,
    log: Option<File>,
    complaints: PathBuf,
    /// Ends it if the lab can't; goes after it.
    _keeper: Keeper,
}

impl Qemu {
    /// Starts it, halted. What it complains about goes to a file in `logs`.
    pub fn start(line: &CommandLine, logs: &Path) -> Result<Self> {
        let sockets = TempDir::with_prefix("triptych-").context("cannot make a temporary folder")?;
        let complaints = logs.join("qemu.txt");
        let file = fs::File::create(&complaints).with_context(|| format!("cannot write {}", complaints.display()))?;
        let mut command = command();
        let input = line.memory.as_ref().map_or_else(|| Ok(Stdio::null()), |memory| memory.input())?;
        command.args(&line.arguments).stdin(input).stdout(Stdio::null()).stderr(file);
        let mut log = None;
        if line.logs {
            let path = sockets.path().join("log");
            log = Some(pipe(&path)?);
            command.arg("-D").arg(path);
        }
        // Who listens lets it go, so that it can't be over before: `Qemu::control`.
        let goes = !line.arguments.iter().any(|argument| argument == HALTED);
        if goes {
            command.arg(HALTED);
        }
        // Not the lab's group: Ctrl-C is for the lab, which ends QEMU, not for QEMU, whose end would look like the
        // machine's.
        let keeper = Keeper::start(line.debugger.iter().map(PathBuf::as_path).chain([sockets.path()]))?;
        command.process_group(keeper.group());
        let mut listeners = Vec::new();
        for (option, name) in Port::ALL.map(|port| ("-serial", port.name())).into_iter().chain([("-qmp", "control")]) {
            let path = sockets.path().join(name);
            let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
            listener.set_nonblocking(true).context("cannot poll a socket")?;
            listeners.push(listener);
            command.arg(option).arg(format!("unix:{}", doubled(&path)));
        }
        let child = command.spawn().map_err(missing)?;
        // From here on an early return kills it.
        let mut qemu = Self { child, ports: Vec::new(), control: None, goes, log: None, complaints, _keeper: keeper };
        for listener in &listeners {
            let socket = qemu.accept(listener)?;
            qemu.ports.push(socket);
        }
        qemu.control = qemu.ports.pop();
        if let Some(reader) = log {
            // It opened its log before its ports: reading waits for what comes, and ends with QEMU.
            fcntl_setfl(&reader, OFlags::empty()).context("cannot read QEMU's log")?;
            qemu.log = Some(reader);
        }
        // Everybody has what they need open: names are of no use any more, and can't be left behind.
        sockets.close().context("cannot remove a temporary folder")?;
        Ok(qemu)
    }

    /// Waits for QEMU to open a serial port, or its control socket.
    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream> {
        let begin = Instant::now();
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).context("cannot use a socket")?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("QEMU did not open its serial ports"),
            }
            ensure!(self.ended()?.is_none(), "QEMU refuses to start: {}", self.complaints().trim());
            ensure!(begin.elapsed() < START, "QEMU did not open its serial ports");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns a handle on one of its serial ports.
    pub fn port(&self, port: Port) -> Result<UnixStream> {
        let index = Port::ALL.iter().position(|each| *each == port);
        let stream = index.and_then(|index| self.ports.get(index)).context("QEMU has no such serial port")?;
        stream.try_clone().context("cannot share a serial port")
    }

    /// Returns its control socket, once, and whether the machine waits for whoever has it to let it go.
    pub fn control(&mut self) -> Result<(UnixStream, bool)> {
        let control = self.control.take().context("QEMU has no control socket")?;
        Ok((control, self.goes))
    }

    /// Returns what it logs. It waits if nobody reads.
    pub const fn log(&mut self) -> Option<File> {
        self.log.take()
    }

    /// Returns its time.
    pub fn clock(&self) -> Clock {
        Clock::of(self.child.id())
    }

    /// Says how it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("QEMU is lost")
    }

    /// Reads what it complained about.
    pub fn complaints(&self) -> String {
        // They are for people; without a file there are none.
        let bytes = fs::read(&self.complaints).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Makes a named pipe; returns its reading end, which waits for nobody yet.
fn pipe(path: &Path) -> Result<File> {
    let made = Command::new("mkfifo").arg(path).status().context("cannot start mkfifo")?;
    ensure!(made.success(), "cannot make the pipe {}", path.display());
    let reader = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    Ok(File::from(reader.context("cannot read a pipe")?))
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Fails only for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::{Module, Role};
    use crate::scenario::{Scenario, Vm};
    use crate::workspace::Workspace;

    #[test]
    fn versions_are_read_as_qemu_prints_them() {
        assert_eq!(version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg)"), Some((7, 2)));
        assert_eq!(version("QEMU emulator version 10.0.50"), Some((10, 0)));
        assert_eq!(version("something else"), None);
        assert!(version("QEMU emulator version 10.0").unwrap() > OLDEST);
    }

    #[test]
    fn the_line_by_hand_can_be_pasted_into_a_shell() {
        let machine = Hardware { icount: true, ..Hardware::default() };
        let vm: Vm = toml::from_str("name = 'a'\nmemory = '1M'").unwrap();
        let file = PathBuf::from("/tmp/it's, here.bin");
        let module = Module { role: Role::Kernel, file, address: 0x7000_0000, size: 1, place: None };
        let mut line = CommandLine::machine(&machine, "max,pauth-impdef=on", Path::new("flash.bin"));
        line.load(Path::new("a.dtb"), &[], &[Guest { vm: &vm, modules: vec![module] }]);
        let text = line.by_hand();
        assert!(text.contains("-cpu max,pauth-impdef=on,cntfrq=1000000000"), "{text}");
        assert!(text.contains("-icount shift=0,sleep=off"), "{text}");
        assert!(text.contains("'loader,file=/tmp/it'\\''s,, here.bin,addr=0x70000000,force-raw=on'"), "{text}");
        assert!(text.contains("-m 2097152K"), "{text}");
    }

    #[test]
    fn every_scenario_of_the_checkout_is_valid() {
        let folder = Workspace::locate().unwrap().scenarios();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let scenario = Scenario::read(&path).unwrap();
                assert_eq!(
                    path.file_stem().unwrap().to_str(),
                    Some(scenario.name.as_str()),
                    "a file is named as it says"
                );
            }
        }
    }
}
