//! The calls that the monitor answers, a family each.

pub mod arch;
pub mod opteed;
pub mod psci;
pub mod standard;
