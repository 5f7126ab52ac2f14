//! Every scenario is a test.
fn main() {}
