// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's own apt, with a private state: another architecture and release, nothing installed, no root.
//!
//! apt verifies the lists that it fetches: the release file by the archive's keyring, the package lists by the release
//! file. A package is held against its hash by who asks for it ([`super::packages`]).

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::Unreachable;
use super::mirror::{MIRROR_VARIABLE, Mirror};
use super::recorded::Package;
use super::store;

/// What to do instead, on a machine that can't fetch.
pub(crate) const OWN_FILES: &str =
    "or name files of your own in the scenario, as `kernel = \"path/to/Image\"`, `initramfs = \"path/to/cpio\"`";

/// apt's tool that fetches a file from an address, with the machine's proxies and the like.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// apt, reading a mirror's arm64 packages of one release.
pub(crate) struct Apt {
    mirror: Mirror,
    release: String,
    folder: PathBuf,
}

impl Apt {
    /// Prepares the private state in `folder`; nothing is fetched.
    pub(crate) fn new(folder: &Path, mirror: Mirror, release: &str) -> Result<Self> {
        let folder = std::path::absolute(folder).context("the cache folder has no absolute path")?;
        fs::create_dir_all(folder.join("lists/partial"))
            .with_context(|| format!("can't create {}", folder.display()))?;
        store::write(&folder.join("debian.sources"), mirror.sources(release).as_bytes())?;
        store::write(&folder.join("status"), b"")?;
        store::write(&folder.join("apt.conf"), configuration(&folder).as_bytes())?;
        Ok(Self { mirror, release: release.to_owned(), folder })
    }

    /// Returns the mirror.
    pub(crate) const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Fetches the package lists.
    pub(crate) fn update(&self, progress: &dyn Fn(&str)) -> Result<()> {
        let (release, address) = (&self.release, &self.mirror.address);
        progress(&format!("Debian {release}: package lists"));
        let mut command = self.command("apt-get");
        command.args(["-qq", "update"]);
        run(command, None).map(drop).with_context(|| {
            Unreachable(format!(
                "apt can't read Debian {release} from {address} (another mirror: {MIRROR_VARIABLE}=URL)"
            ))
        })
    }

    /// Says what the lists have of a package.
    pub(crate) fn listed(&self, name: &str) -> Result<Package> {
        let stanza = self.stanza(name)?;
        listed(&stanza).with_context(|| format!("apt's answer for {name} can't be read"))
    }

    /// Lists the names of the packages that a package depends on, in order, without versions.
    pub(crate) fn dependencies(&self, name: &str) -> Result<Vec<String>> {
        Ok(dependencies(&self.stanza(name)?))
    }

    fn stanza(&self, name: &str) -> Result<String> {
        let mut command = self.command("apt-cache");
        command.args(["show", "--no-all-versions", name]);
        run(command, None).with_context(|| format!("Debian's package lists have no {name}"))
    }

    /// Fetches what the mirror has in a package's place, whatever it is.
    pub(crate) fn fetch(&self, package: &Package, progress: &dyn Fn(&str)) -> Result<Vec<u8>> {
        let title = format!("Debian {}: {}", self.release, package.title());
        progress(&title);
        let folder =
            tempfile::tempdir_in(&self.folder).with_context(|| format!("can't write in {}", self.folder.display()))?;
        let arriving = folder.path().join("package.deb");
        let mut command = self.command(HELPER);
        // Status-Fd 1: lines of progress on the standard output (apt's README.progress-reporting).
        command.args(["-qq", "-o", "APT::Status-Fd=1", "download-file", &self.mirror.address_of(&package.file)]);
        command.arg(&arriving);
        let said = Cell::new(0);
        // A step of ten per cent is news enough: where this is logged, each is a line.
        let line = |line: &str| {
            let percent = download_percent(line).unwrap_or_default() / 10 * 10;
            if percent > said.replace(percent.max(said.get())) && percent < 100 {
                progress(&format!("{title}, {percent}%"));
            }
        };
        run(command, Some(&line))?;
        fs::read(&arriving).with_context(|| format!("can't read {}", arriving.display()))
    }

    fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        // `-c` is read after the machine's own configuration, so proxies and the like stay in force.
        command.arg("-c").arg(self.folder.join("apt.conf")).env("LC_ALL", "C");
        command
    }
}

/// Unpacks a `.deb` into `folder`.
pub(crate) fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").arg(package).arg(folder);
    run(command, None).map(drop).with_context(|| format!("can't unpack {}", package.display()))
}

/// Runs a command to its end; its standard output goes line by line to `line`, and whole to the caller.
pub(crate) fn run(mut command: Command, line: Option<&dyn Fn(&str)>) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| missing(&name, &error))?;
    let stdout = child.stdout.take().context("the output is a pipe")?;
    let mut stderr = child.stderr.take().context("the errors are a pipe")?;
    // Both pipes are drained at once: a tool that fills one while we wait on the other would stand still.
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    });
    let mut output = String::new();
    for read in BufReader::new(stdout).lines() {
        let read = read.with_context(|| format!("{name}'s output can't be read"))?;
        if let Some(line) = line {
            line(&read);
        }
        output.push_str(&read);
        output.push('\n');
    }
    let status = child.wait().with_context(|| format!("{name} can't be waited for"))?;
    let errors = errors.join().unwrap_or_default();
    if status.success() { Ok(output) } else { Err(anyhow!("{name}: {status}\n{}", errors.trim_end())) }
}

fn missing(tool: &str, error: &std::io::Error) -> anyhow::Error {
    if error.kind() != std::io::ErrorKind::NotFound {
        return anyhow!("can't start {tool}: {error}");
    }
    match tool {
        // Present wherever apt is; someone who removed it can bring it back by that.
        "dpkg-deb" => anyhow!("dpkg-deb is missing: sudo apt-get install dpkg"),
        _ => anyhow!(
            "{tool} is missing: it fetches Debian's packages, which takes a Debian or Ubuntu host; \
             {OWN_FILES}"
        ),
    }
}

/// Writes apt.conf(5) of the private state.
fn configuration(folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    format!(
        r#"// Made by the lab; read after the machine's own configuration.
#clear APT::Architectures;
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
// The machine's hooks are about its own state.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
// When root runs this, apt's own user could not reach a folder in a home.
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{state}";
Dir::State::lists "{lists}";
Dir::State::status "{status}";
Dir::Cache "{cache}";
Dir::Etc::sourcelist "{sources}";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
"#,
        state = at("state"),
        lists = at("lists"),
        status = at("status"),
        cache = at("cache"),
        sources = at("debian.sources"),
    )
}

/// Reads the percentage in a line like `dlstatus:2:12.9964:Retrieving file 2 of 2`.
fn download_percent(line: &str) -> Option<u32> {
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    percent.split('.').next()?.parse().ok().filter(|percent| *percent <= 100)
}

/// Reads the first stanza of `apt-cache show` as a package.
fn listed(stanza: &str) -> Option<Package> {
    let own = |name| field(stanza, name).map(str::to_owned);
    Some(Package {
        name: own("Package")?,
        version: own("Version")?,
        file: own("Filename")?,
        sha256: own("SHA256")?,
        follows: None,
    })
}

fn dependencies(stanza: &str) -> Vec<String> {
    let all = field(stanza, "Depends").unwrap_or_default().split(',');
    let names = all.filter_map(|dependency| dependency.split(['|', '(', ':']).next()).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn field<'s>(stanza: &'s str, name: &str) -> Option<&'s str> {
    let mut lines = stanza.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZA: &str = "Package: linux-image-cloud-arm64\nVersion: 6.12.1-1\n\
        Depends: linux-image-6.12.1-cloud-arm64 (= 6.12.1-1), kmod | module-init-tools, perl:any\n\
        Filename: pool/main/l/x.deb\nSHA256: 0f\n\nPackage: other\nVersion: 9\nSHA256: 1f\n";

    #[test]
    fn a_package_is_read_from_its_stanza_alone() {
        let package = listed(STANZA).unwrap();
        assert_eq!(package.title(), "linux-image-cloud-arm64 6.12.1-1");
        assert_eq!((package.file.as_str(), package.sha256.as_str()), ("pool/main/l/x.deb", "0f"));
        assert_eq!(listed(&STANZA.replacen("SHA256: 0f\n", "", 1)), None);
    }

    #[test]
    fn a_metapackages_dependency_is_read_without_its_version() {
        assert_eq!(dependencies(STANZA), ["linux-image-6.12.1-cloud-arm64", "kmod", "perl"]);
        assert_eq!(dependencies("Package: alone\n"), [""; 0]);
    }

    #[test]
    fn progress_is_read_from_apts_status_lines_only() {
        assert_eq!(download_percent("dlstatus:2:12.9964:Retrieving file 2 of 2"), Some(12));
        assert_eq!(download_percent("Get:1 something"), None);
        assert_eq!(download_percent("dlstatus:2:nan:x"), None);
    }
}
