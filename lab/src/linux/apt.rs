//! The machine's own apt, with a private state: another architecture and release, nothing installed, no root.
//!
//! apt verifies what it fetches: the release file by the archive's keyring, the package lists by the release file, each
//! package by its list. The mirror is the one that the machine already uses for Debian, or [`MIRROR_VARIABLE`]'s.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, thread};

use anyhow::{Context, Result, anyhow, bail};

use super::packages::Suite;
use super::store;

/// The environment variable that names a Debian mirror, for machines whose apt knows none (Ubuntu, Mint).
pub const MIRROR_VARIABLE: &str = "TRIPTYCH_DEBIAN_MIRROR";

/// What to do instead, on a machine that can't fetch.
const OWN_FILES: &str =
    "or boot your own: `kernel = \"path/to/Image\"`, `initramfs = \"path/to/cpio\"` in the scenario";

/// Where Debian's `debian-archive-keyring` package installs its keys, newest name first.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// What an apt source of Debian's main archive calls its release; other archives of the same machine (security
/// updates, Ubuntu, third parties) call theirs otherwise.
const DEBIAN_SUITES: [&str; 12] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
];

/// apt, reading Debian's arm64 package lists of one suite.
pub struct Apt {
    config: PathBuf,
}

/// What the package lists say of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The package's version.
    pub version: String,
    /// Names of the packages in its `Depends`, in order, without versions.
    pub depends: Vec<String>,
    /// Size of the `.deb`, in bytes.
    pub size: u64,
}

impl Apt {
    /// Prepares the private state in `folder` and fetches the package lists of `suite` into it.
    pub fn update(folder: &Path, suite: Suite, progress: &dyn Fn(&str)) -> Result<Self> {
        let folder = std::path::absolute(folder).context("the cache folder has no absolute path")?;
        let mirror = mirror()?;
        let apt = Self { config: folder.join("apt.conf") };
        fs::create_dir_all(folder.join("lists/partial"))
            .with_context(|| format!("can't create {}", folder.display()))?;
        store::write(&folder.join("debian.sources"), sources(&mirror, suite, keyring().as_deref()).as_bytes())?;
        store::write(&folder.join("status"), b"")?;
        store::write(&apt.config, configuration(&folder).as_bytes())?;
        progress(&format!("Debian {}: package lists", suite.name()));
        apt.run("apt-get", ["-qq", "update"].map(OsStr::new), None).with_context(|| {
            format!("apt can't read Debian {} from {mirror} (another mirror: {MIRROR_VARIABLE}=URL)", suite.name())
        })?;
        Ok(apt)
    }

    /// What the lists say of `package`.
    pub fn listed(&self, package: &str) -> Result<Listed> {
        let arguments = ["show", "--no-all-versions", package].map(OsStr::new);
        let stanza = self
            .run("apt-cache", arguments, None)
            .with_context(|| format!("Debian's package lists have no {package}"))?;
        parse_stanza(&stanza).with_context(|| format!("apt's answer for {package} can't be read"))
    }

    /// Fetches one package into `folder`, which holds nothing else; returns the path of its `.deb`.
    pub fn download(&self, package: &str, folder: &Path, progress: &dyn Fn(&str)) -> Result<PathBuf> {
        let mut command = self.command("apt-get");
        // Status-Fd 1: lines of progress on the standard output (apt's README.progress-reporting).
        command.args(["-qq", "-o", "APT::Status-Fd=1", "download", package]).current_dir(folder);
        let said = Cell::new(0);
        // A step of ten per cent is news enough: where this is logged, each is a line.
        let line = |line: &str| {
            let percent = download_percent(line).unwrap_or_default() / 10 * 10;
            if percent > said.replace(percent.max(said.get())) && percent < 100 {
                progress(&format!("{percent}%"));
            }
        };
        run(command, Some(&line)).with_context(|| format!("apt can't fetch {package}"))?;
        let mut entries = fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
        match (entries.next(), entries.next()) {
            (Some(Ok(only)), None) => Ok(only.path()),
            _ => bail!("apt left something else than one package in {}", folder.display()),
        }
    }

    fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        // `-c` is read after the machine's own configuration, so proxies and the like stay in force.
        command.arg("-c").arg(&self.config).env("LC_ALL", "C");
        command
    }

    fn run<'a>(
        &self,
        tool: &str,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        line: Option<&dyn Fn(&str)>,
    ) -> Result<String> {
        let mut command = self.command(tool);
        command.args(arguments);
        run(command, line)
    }
}

/// Unpacks a `.deb` into `folder`.
pub fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").arg(package).arg(folder);
    run(command, None).map(drop).with_context(|| format!("can't unpack {}", package.display()))
}

/// Runs a command to its end; its standard output line by line to `line`, and whole to the caller.
fn run(mut command: Command, line: Option<&dyn Fn(&str)>) -> Result<String> {
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
            "{tool} is missing: the Linux guest is made of Debian's packages, which need a Debian or Ubuntu host; {OWN_FILES}"
        ),
    }
}

/// The mirror: the user's word, or what the machine's apt uses.
fn mirror() -> Result<String> {
    if let Some(mirror) = env::var(MIRROR_VARIABLE).ok().filter(|mirror| !mirror.is_empty()) {
        return Ok(mirror);
    }
    let mut command = Command::new("apt-get");
    // Prints what an update would fetch; needs no root and fetches nothing.
    command.args(["--print-uris", "update"]).env("LC_ALL", "C");
    let uris = run(command, None).context("apt's sources can't be read")?;
    debian_mirror(&uris).map(str::to_owned).ok_or_else(|| {
        anyhow!("this machine's apt sources name no Debian mirror: set {MIRROR_VARIABLE}=URL to one, {OWN_FILES}")
    })
}

/// The Debian mirror among the release files that apt would fetch: `'MIRROR/dists/SUITE/InRelease' …`, one a line.
fn debian_mirror(uris: &str) -> Option<&str> {
    uris.lines().find_map(|line| {
        let uri = line.strip_prefix('\'')?.split('\'').next()?;
        let (mirror, suite) = uri.strip_suffix("/InRelease")?.split_once("/dists/")?;
        DEBIAN_SUITES.contains(&suite).then_some(mirror)
    })
}

fn keyring() -> Option<String> {
    KEYRINGS.into_iter().find(|path| Path::new(path).exists()).map(str::to_owned)
}

/// The only source of the private state, in sources.list(5)'s deb822 form. Without `keyring` apt uses the keys that
/// the machine trusts for everything; it never goes on without a signature.
fn sources(mirror: &str, suite: Suite, keyring: Option<&str>) -> String {
    let signed = keyring.map(|path| format!("Signed-By: {path}\n")).unwrap_or_default();
    format!("Types: deb\nURIs: {mirror}\nSuites: {}\nComponents: main\nTargets: Packages\n{signed}", suite.name())
}

/// apt.conf(5) of the private state.
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

/// The percentage in a line like `dlstatus:2:12.9964:Retrieving file 2 of 2`.
fn download_percent(line: &str) -> Option<u32> {
    let percent = line.strip_prefix("dlstatus:")?.split(':').nth(1)?;
    percent.split('.').next()?.parse().ok().filter(|percent| *percent <= 100)
}

/// Reads the fields we need from the first stanza of `apt-cache show`.
fn parse_stanza(text: &str) -> Option<Listed> {
    let field = |name: &str| {
        text.lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::trim)
    };
    let depends = field("Depends")
        .unwrap_or_default()
        .split(',')
        .filter_map(|dependency| dependency.split(['|', '(', ':']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    Some(Listed { version: field("Version")?.to_owned(), depends, size: field("Size")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_debians_main_archive() {
        let uris = "'http://third.test/apt/dists/stable-x/InRelease' third_InRelease 0 \n\
            'http://mirror.test/debian-security/dists/bookworm-security/InRelease' s_InRelease 0 \n\
            'http://mirror.test/debian/dists/bookworm-updates/InRelease' u_InRelease 0 \n\
            'http://mirror.test/debian/dists/bookworm/InRelease' b_InRelease 0 \n\
            'http://mirror.test/debian/dists/bookworm/main/binary-amd64/Packages.xz' b_Packages 0 \n";
        assert_eq!(debian_mirror(uris), Some("http://mirror.test/debian"));
    }

    #[test]
    fn ubuntus_sources_name_no_debian_mirror() {
        assert_eq!(debian_mirror("'http://archive.test/ubuntu/dists/noble/InRelease' n 0 \n"), None);
        assert_eq!(debian_mirror(""), None);
    }

    #[test]
    fn a_metapackages_dependency_is_read_without_its_version() {
        let stanza = "Package: linux-image-cloud-arm64\nVersion: 6.12.1-1\n\
            Depends: linux-image-6.12.1-cloud-arm64 (= 6.12.1-1), kmod | module-init-tools, perl:any\nSize: 1464\n\n\
            Package: other\nVersion: 9\n";
        let listed = parse_stanza(stanza).unwrap();
        assert_eq!(listed.version, "6.12.1-1");
        assert_eq!(listed.depends, ["linux-image-6.12.1-cloud-arm64", "kmod", "perl"]);
        assert_eq!(listed.size, 1464);
        assert_eq!(parse_stanza("Package: no-version\n"), None);
    }

    #[test]
    fn progress_is_read_from_apts_status_lines_only() {
        assert_eq!(download_percent("dlstatus:2:12.9964:Retrieving file 2 of 2"), Some(12));
        assert_eq!(download_percent("Get:1 something"), None);
        assert_eq!(download_percent("dlstatus:2:nan:x"), None);
    }

    #[test]
    fn the_source_is_signed_and_has_only_package_lists() {
        let text = sources("http://mirror.test/debian", Suite::Trixie, Some("/k.gpg"));
        assert!(
            text.contains("Suites: trixie\n")
                && text.contains("Signed-By: /k.gpg\n")
                && text.contains("Targets: Packages\n")
        );
        assert!(!sources("http://m.test", Suite::Bookworm, None).contains("Signed-By"));
    }
}
