// SPDX-License-Identifier: MIT OR Apache-2.0
//! Function ids of the Power State Coordination Interface (Arm DEN 0022, version 1.1).
//!
//! Only the ids and their names: arguments, states and error codes are the `arm-psci` crate's types, which monitor and
//! hypervisor use.

use crate::smccc::function_ids;

function_ids! {
    /// Version of the interface (PSCI 1.1 §5.3).
    PSCI_VERSION = 0x8400_0000;
    /// Suspends the calling CPU (PSCI 1.1 §5.4).
    PSCI_CPU_SUSPEND_32 = 0x8400_0001;
    /// Suspends the calling CPU, 64-bit form.
    PSCI_CPU_SUSPEND_64 = 0xC400_0001;
    /// Powers the calling CPU off (PSCI 1.1 §5.5).
    PSCI_CPU_OFF = 0x8400_0002;
    /// Powers a CPU on (PSCI 1.1 §5.6).
    PSCI_CPU_ON_32 = 0x8400_0003;
    /// Powers a CPU on, 64-bit form.
    PSCI_CPU_ON_64 = 0xC400_0003;
    /// State of a CPU or a group of them (PSCI 1.1 §5.7).
    PSCI_AFFINITY_INFO_32 = 0x8400_0004;
    /// State of a CPU or a group of them, 64-bit form.
    PSCI_AFFINITY_INFO_64 = 0xC400_0004;
    /// Asks a uniprocessor trusted OS to move (PSCI 1.1 §5.8).
    PSCI_MIGRATE_32 = 0x8400_0005;
    /// Asks a uniprocessor trusted OS to move, 64-bit form.
    PSCI_MIGRATE_64 = 0xC400_0005;
    /// Whether the trusted OS can and need be moved (PSCI 1.1 §5.9).
    PSCI_MIGRATE_INFO_TYPE = 0x8400_0006;
    /// Where a uniprocessor trusted OS is (PSCI 1.1 §5.10).
    PSCI_MIGRATE_INFO_UP_CPU_32 = 0x8400_0007;
    /// Where a uniprocessor trusted OS is, 64-bit form.
    PSCI_MIGRATE_INFO_UP_CPU_64 = 0xC400_0007;
    /// Switches the machine off (PSCI 1.1 §5.11).
    PSCI_SYSTEM_OFF = 0x8400_0008;
    /// Resets the machine (PSCI 1.1 §5.13).
    PSCI_SYSTEM_RESET = 0x8400_0009;
    /// Whether a function is there, and in which form (PSCI 1.1 §5.17).
    PSCI_FEATURES = 0x8400_000A;
    /// Stops the calling CPU where it stands (PSCI 1.1 §5.18).
    PSCI_CPU_FREEZE = 0x8400_000B;
    /// Suspends the calling CPU to the default state (PSCI 1.1 §5.19).
    PSCI_CPU_DEFAULT_SUSPEND_32 = 0x8400_000C;
    /// Suspends the calling CPU to the default state, 64-bit form.
    PSCI_CPU_DEFAULT_SUSPEND_64 = 0xC400_000C;
    /// Power state of a node as the hardware has it (PSCI 1.1 §5.20).
    PSCI_NODE_HW_STATE_32 = 0x8400_000D;
    /// Power state of a node as the hardware has it, 64-bit form.
    PSCI_NODE_HW_STATE_64 = 0xC400_000D;
    /// Suspends the machine to RAM (PSCI 1.1 §5.21).
    PSCI_SYSTEM_SUSPEND_32 = 0x8400_000E;
    /// Suspends the machine to RAM, 64-bit form.
    PSCI_SYSTEM_SUSPEND_64 = 0xC400_000E;
    /// Platform-coordinated or OS-initiated suspension (PSCI 1.1 §5.22).
    PSCI_SET_SUSPEND_MODE = 0x8400_000F;
    /// Time spent in a state (PSCI 1.1 §5.23).
    PSCI_STAT_RESIDENCY_32 = 0x8400_0010;
    /// Time spent in a state, 64-bit form.
    PSCI_STAT_RESIDENCY_64 = 0xC400_0010;
    /// Times a state was entered (PSCI 1.1 §5.24).
    PSCI_STAT_COUNT_32 = 0x8400_0011;
    /// Times a state was entered, 64-bit form.
    PSCI_STAT_COUNT_64 = 0xC400_0011;
    /// Resets the machine in a chosen way (PSCI 1.1 §5.14).
    PSCI_SYSTEM_RESET2_32 = 0x8400_0012;
    /// Resets the machine in a chosen way, 64-bit form.
    PSCI_SYSTEM_RESET2_64 = 0xC400_0012;
    /// Memory contents are to be lost on reset (PSCI 1.1 §5.15).
    PSCI_MEM_PROTECT = 0x8400_0013;
    /// Whether a range is covered by MEM_PROTECT (PSCI 1.1 §5.16).
    PSCI_MEM_PROTECT_CHECK_RANGE_32 = 0x8400_0014;
    /// Whether a range is covered by MEM_PROTECT, 64-bit form.
    PSCI_MEM_PROTECT_CHECK_RANGE_64 = 0xC400_0014;
    /// Switches the machine off in a chosen way (PSCI 1.3).
    PSCI_SYSTEM_OFF2_32 = 0x8400_0015;
    /// Switches the machine off in a chosen way, 64-bit form (PSCI 1.3).
    PSCI_SYSTEM_OFF2_64 = 0xC400_0015;
}
