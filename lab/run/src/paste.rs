// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that are printed for people to paste into a shell.

use std::ffi::OsStr;

/// Writes a word of a command, in quotes if a shell would make more, or something else, of it.
pub fn word(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Takes a command apart into the words that a shell makes of it.
    fn words(command: &str) -> Vec<String> {
        let script = format!("set -- {command}\nprintf '%s\\0' \"$@\"");
        let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        said.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_makes_one_word_of_it_again() {
        for text in ["/a/plain-path_1.dtb", "/a folder/it's $HOME", "a\nb", "", "*", "~", "a;b", "#", "\\", "\"`id`\""]
        {
            assert_eq!(words(&word(text)), [text], "{}", word(text));
        }
        assert_eq!(word("/a/plain-path_1.dtb"), "/a/plain-path_1.dtb");
    }
}
