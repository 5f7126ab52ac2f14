//! What plays the other side on the host: the monitor that boots and calls the TEE, and a normal world for tests.

pub mod monitor;
pub mod normal_world;
