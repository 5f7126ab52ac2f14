// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

/// What the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Which TEE answers.
    Version,
    /// Heap figures of this VM's partition.
    Stats,
    /// Something of the vault.
    Vault(Vault<'a>),
}

/// A command to the vault. Names and values are bytes, as the TEE takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vault<'a> {
    /// Put a value under a name.
    Put {
        /// The name.
        name: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Show the value under a name.
    Get {
        /// The name.
        name: &'a [u8],
    },
    /// Delete a name and its value.
    Delete {
        /// The name.
        name: &'a [u8],
    },
}

/// How the program is used.
pub const USAGE: &str = "usage: tee-client version\n\
                         \x20      tee-client stats\n\
                         \x20      tee-client vault put NAME VALUE\n\
                         \x20      tee-client vault get NAME\n\
                         \x20      tee-client vault delete NAME\n\
                         exit status: 0 done, 1 refused by the TEE, 2 usage, 3 not found, 4 no TEE\n";

impl<'a> Command<'a> {
    /// Reads the arguments that follow the program's name; `None` if they say nothing known.
    pub fn parse(arguments: &[&'a [u8]]) -> Option<Self> {
        Some(match *arguments {
            [b"version"] => Self::Version,
            [b"stats"] => Self::Stats,
            [b"vault", b"put", name, value] => Self::Vault(Vault::Put { name, value }),
            [b"vault", b"get", name] => Self::Vault(Vault::Get { name }),
            [b"vault", b"delete", name] => Self::Vault(Vault::Delete { name }),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_read() {
        assert_eq!(Command::parse(&[b"version"]), Some(Command::Version));
        assert_eq!(Command::parse(&[b"stats"]), Some(Command::Stats));
        assert_eq!(
            Command::parse(&[b"vault", b"put", b"n", b"v"]),
            Some(Command::Vault(Vault::Put { name: b"n", value: b"v" }))
        );
        assert_eq!(Command::parse(&[b"vault", b"get", b"n"]), Some(Command::Vault(Vault::Get { name: b"n" })));
        assert_eq!(Command::parse(&[b"vault", b"delete", b"n"]), Some(Command::Vault(Vault::Delete { name: b"n" })));
    }

    #[test]
    fn too_few_too_many_or_unknown_words_are_no_command() {
        for line in ["", "vault", "vault get", "vault put n", "vault get n m", "version x", "?"] {
            let words: std::vec::Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
            assert_eq!(Command::parse(&words), None, "{line}");
        }
    }
}
