//! To be replaced.
#![no_std]
