// Exercise 8, the defence. Chapter: docs/course/08-break-it.md
//
// Every address that the normal world gives the TEE comes through this function (`NsRam::claim` in
// tee-core/src/memory/ns_ram.rs asks it for each range of non-secure RAM). It has a hole: find what gets through with
// your script, 08.toml, and then mend it here. There is `core` for it and nothing else: nobody to ask, nothing unsafe.

/// Says whether all of `len` bytes from the address `pa` on lie in the `size` bytes of RAM from `base` on.
pub fn holds(base: u64, size: u64, pa: u64, len: u64) -> bool {
    base <= pa && pa.checked_add(len).is_some_and(|end| end <= base + size)
}
