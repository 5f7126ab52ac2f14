// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab that tests call.

use std::env;
use std::path::PathBuf;

/// Finds the program that was built with the calling test: where cargo says that it is now, or beside the test.
/// Compiled in, the path would lead out of a checkout that was copied or moved.
pub fn lab() -> PathBuf {
    let said = env::var_os("CARGO_BIN_EXE_lab").map(PathBuf::from);
    said.unwrap_or_else(|| env::current_exe().unwrap().ancestors().nth(2).unwrap().join("lab"))
}
