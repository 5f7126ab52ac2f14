// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pseudo-TAs: trusted services inside the TEE core, their UUIDs and commands.
//!
//! `device`, `rng` and `stats` are OP-TEE's (`lib/libutee/include/pta_*.h`), so that Linux's drivers and OP-TEE's tools
//! find them; [`vault`] is a demonstration of ours.

/// Lists the pseudo-TAs that Linux shall make devices of.
pub mod device {
    use uuid::{Uuid, uuid};

    /// `PTA_DEVICE_UUID`.
    pub const UUID: Uuid = uuid!("7011a688-ddde-4053-a5a9-7b3c4ddf13b8");
    /// Out: memref of UUIDs, 16 octets each. Devices that do not need tee-supplicant.
    pub const CMD_GET_DEVICES: u32 = 0;
    /// Out: memref of UUIDs. Devices that do need tee-supplicant.
    pub const CMD_GET_DEVICES_SUPP: u32 = 1;
    /// Out: memref of UUIDs. Devices that need an RPMB.
    pub const CMD_GET_DEVICES_RPMB: u32 = 2;
}

/// Entropy for the normal world; Linux's `optee-rng` binds to it.
pub mod rng {
    use uuid::{Uuid, uuid};

    /// `PTA_RNG_UUID`.
    pub const UUID: Uuid = uuid!("ab7a617c-b8e7-4d8f-8301-d09b61036b64");
    /// In/out: memref to fill; its size says how much was filled.
    pub const CMD_GET_ENTROPY: u32 = 0;
    /// Out: value, a = bytes each second, b = quality in bits of entropy for 1024 bits of data.
    pub const CMD_GET_RNG_INFO: u32 = 1;
}

/// Figures of the TEE's heaps.
pub mod stats {
    use uuid::{Uuid, uuid};
    use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

    /// `STATS_UUID`.
    pub const UUID: Uuid = uuid!("d96a5b40-e2c7-b1af-8794-1002a5d5c61b");
    /// In: value, a = allocator ([`ALLOC_ID_ALL`], …), b = 1 to reset the peaks. Out: memref of [`Alloc`].
    pub const CMD_ALLOC_STATS: u32 = 1;
    /// Ours, not OP-TEE's. Out: value, a = how often calls of the VM found a lock of its partition taken, b = how often
    /// one that all VMs share; both modulo 2^32, since the VM was created.
    pub const CMD_LOCK_WAITS: u32 = 0x100;
    /// Every allocator.
    pub const ALLOC_ID_ALL: u64 = 0;
    /// The core's heap: here, the heap of the calling VM's partition.
    pub const ALLOC_ID_HEAP: u64 = 1;

    /// `struct pta_stats_alloc`: figures of one allocator. Sizes in bytes.
    #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    pub struct Alloc {
        /// Name of the allocator, padded with zeroes.
        pub desc: [u8; 32],
        /// Sum of the squared sizes of the free chunks.
        pub free2_sum: u64,
        /// Allocated at the moment.
        pub allocated: u32,
        /// Most that was ever allocated.
        pub max_allocated: u32,
        /// Size of the pool.
        pub size: u32,
        /// Allocations that failed.
        pub num_alloc_fail: u32,
        /// The largest of them.
        pub biggest_alloc_fail: u32,
        /// How much was allocated when that one failed.
        pub biggest_alloc_fail_used: u32,
    }
}

/// Keeps small secrets of a VM, visible to that VM alone.
///
/// They live in the VM's own partition of the TEE: another VM's call does not even have them mapped. They are gone with
/// the VM; this is a demonstration of separation, not storage.
pub mod vault {
    use uuid::{Uuid, uuid};

    /// The vault's UUID.
    pub const UUID: Uuid = uuid!("5ca1ab1e-7a9d-4c3f-9e52-61d0b7f4c0de");
    /// In: memref name, memref value. Puts a secret; one of the same name is replaced.
    pub const CMD_PUT: u32 = 0;
    /// In: memref name. Out: memref value; SHORT_BUFFER and the size needed if it is too small.
    pub const CMD_GET: u32 = 1;
    /// In: memref name.
    pub const CMD_DELETE: u32 = 2;
    /// Longest name, in bytes; the shortest is 1.
    pub const MAX_NAME: usize = 32;
    /// Longest value, in bytes; the shortest is 1.
    pub const MAX_VALUE: usize = 256;
    /// Secrets a VM can keep at a time.
    pub const MAX_ENTRIES: usize = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_have_op_tees_layout() {
        assert_eq!(size_of::<stats::Alloc>(), 64);
        assert_eq!(core::mem::offset_of!(stats::Alloc, allocated), 40);
    }
}
