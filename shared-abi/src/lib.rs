//! The contracts.
#![no_std]
