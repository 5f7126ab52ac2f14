// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program learns of its machine from its device tree.

use core::sync::atomic::{AtomicUsize, Ordering};
use fdt::Fdt;

static CPUS: AtomicUsize = AtomicUsize::new(1);

/// Says how many CPUs there are.
pub fn cpus() -> usize {
    CPUS.load(Ordering::Relaxed)
}

/// Counts the CPUs; whether PSCI is called by `smc`, and the command line.
pub fn read<'t>(tree: &Fdt<'t>) -> (bool, &'t str) {
    CPUS.store(tree.find_all_nodes("/cpus/cpu").count().clamp(1, 8), Ordering::Relaxed);
    let method = tree.find_node("/psci").and_then(|node| node.property("method")).and_then(|method| method.as_str());
    let bootargs = tree.find_node("/chosen").and_then(|node| node.property("bootargs"));
    (method == Some("smc"), bootargs.and_then(|property| property.as_str()).unwrap_or(""))
}
