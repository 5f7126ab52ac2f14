// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of Debian's mirrors is asked, and whose word its package lists need.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::apt::{OWN_FILES, run};

/// The environment variable that names a Debian mirror, for machines whose apt knows none (Ubuntu, Mint).
pub(crate) const MIRROR_VARIABLE: &str = "TRIPTYCH_DEBIAN_MIRROR";

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

/// A mirror of Debian's main archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Its address, without a slash at the end.
    pub address: String,
    /// Who signs its lists.
    pub signed_by: Keys,
}

/// Who may sign package lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Those of this keyring.
    Keyring(PathBuf),
    /// Those that the machine trusts for everything.
    Machine,
    /// Nobody has to: a test's own mirror.
    #[cfg(test)]
    Nobody,
}

impl Mirror {
    /// Finds the mirror of this machine: the user's word, or what its apt uses.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let keyring = KEYRINGS.iter().map(PathBuf::from).find(|path| path.exists());
        let signed_by = keyring.map_or(Keys::Machine, Keys::Keyring);
        if let Some(address) = env::var(MIRROR_VARIABLE).ok().filter(|address| !address.is_empty()) {
            return Ok(Self::new(&address, signed_by));
        }
        let mut command = Command::new("apt-get");
        // Prints what an update would fetch; needs no root and fetches nothing.
        command.args(["--print-uris", "update"]).env("LC_ALL", "C");
        let uris = run(command, None).context("apt's sources can't be read")?;
        let address = debian_mirror(&uris).ok_or_else(|| {
            anyhow!("this machine's apt sources name no Debian mirror: set {MIRROR_VARIABLE}=URL to one, {OWN_FILES}")
        })?;
        Ok(Self::new(address, signed_by))
    }

    /// Takes the mirror at an address.
    pub(crate) fn new(address: &str, signed_by: Keys) -> Self {
        Self { address: address.trim_end_matches('/').to_owned(), signed_by }
    }

    /// Returns the address of one of its files. Where it is a folder the file is copied: of `file:` apt makes a link.
    pub(crate) fn address_of(&self, file: &str) -> String {
        let address = match self.address.strip_prefix("file:") {
            Some(folder) => format!("copy:{folder}"),
            None => self.address.clone(),
        };
        // What `+` in an address stands for is not the same to all servers.
        format!("{address}/{}", file.replace('+', "%2b"))
    }

    /// Writes the mirror as the only source of a private state, in sources.list(5)'s deb822 form. apt never goes on
    /// without a signature.
    pub(crate) fn sources(&self, release: &str) -> String {
        let signed = match &self.signed_by {
            Keys::Keyring(path) => format!("Signed-By: {}\n", Path::display(path)),
            Keys::Machine => String::new(),
            #[cfg(test)]
            Keys::Nobody => "Trusted: yes\n".to_owned(),
        };
        let address = &self.address;
        format!("Types: deb\nURIs: {address}\nSuites: {release}\nComponents: main\nTargets: Packages\n{signed}")
    }
}

/// Finds the Debian mirror among the release files that apt would fetch: `'MIRROR/dists/SUITE/InRelease' …`, one a
/// line.
fn debian_mirror(uris: &str) -> Option<&str> {
    uris.lines().find_map(|line| {
        let uri = line.strip_prefix('\'')?.split('\'').next()?;
        let (mirror, suite) = uri.strip_suffix("/InRelease")?.split_once("/dists/")?;
        DEBIAN_SUITES.contains(&suite).then_some(mirror)
    })
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
    fn the_source_is_signed_and_has_only_package_lists() {
        let text = Mirror::new("http://mirror.test/debian/", Keys::Keyring("/k.gpg".into())).sources("trixie");
        assert!(
            text.contains("URIs: http://mirror.test/debian\n")
                && text.contains("Suites: trixie\n")
                && text.contains("Signed-By: /k.gpg\n")
                && text.contains("Targets: Packages\n")
        );
        let text = Mirror::new("http://m.test", Keys::Machine).sources("trixie");
        assert!(!text.contains("Signed-By") && !text.contains("Trusted"));
    }

    #[test]
    fn a_file_has_an_address_on_a_server_and_in_a_folder() {
        let address = |mirror: &str| Mirror::new(mirror, Keys::Machine).address_of("pool/k_6+deb.deb");
        assert_eq!(address("http://m.test/debian"), "http://m.test/debian/pool/k_6%2bdeb.deb");
        assert_eq!(address("file:///srv/debian/"), "copy:///srv/debian/pool/k_6%2bdeb.deb");
    }
}
