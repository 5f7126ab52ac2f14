//! `lab report`: one HTML file that shows what happened in a run, from the layers' own records.
//!
//! | module | what |
//! |---|---|
//! | [`story`] | from records to calls, VMs, memory, and a panic; independent of how it is shown |
//! | [`names`] | records in words, registers by field |
//! | [`sample`] | traces that were never recorded, for tests |

pub mod names;
pub mod sample;
pub mod story;
