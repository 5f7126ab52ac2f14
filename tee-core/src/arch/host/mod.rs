//! A fake machine for the host, which tests and fuzzers drive.
//!
//! Its non-secure RAM is a vector that they read and write, also in the middle of a call; its threads are the host's,
//! of which one runs at a time for each CPU, as on the machine; its foreign interrupts come when they say so.

pub mod context;
pub mod machine;
pub mod masked;
pub mod normal_world;
pub mod space;
pub mod trace;
