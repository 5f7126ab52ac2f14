// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures of the calling VM's partition (OP-TEE's `stats` pseudo-TA).

use crate::app::Application;
use crate::app::reach::Reach;
use crate::msg::params::{Parameter, Parameters};
use shared_abi::optee_msg::Direction;
use shared_abi::pta::stats::{ALLOC_ID_ALL, ALLOC_ID_HEAP, Alloc, CMD_ALLOC_STATS, CMD_LOCK_WAITS, UUID};
use shared_abi::tee::TeeResult;
use uuid::Uuid;
use zerocopy::IntoBytes;

/// `STATS_CMD_GET_TIME`: out: value, the normal world's time in seconds and milliseconds; value, the TEE's time since
/// the machine started.
pub const CMD_GET_TIME: u32 = 4;

/// The name of the one allocator a VM has.
const HEAP_NAME: &[u8] = b"Partition heap";

/// The pseudo-TA.
pub struct Stats;

impl Application for Stats {
    const UUID: Uuid = UUID;

    fn invoke(&self, reach: Reach<'_, '_>, function: u32, params: &mut Parameters<'_>) -> Result<(), TeeResult> {
        use Direction::{In, Out};
        match (function, params) {
            (
                CMD_ALLOC_STATS,
                [
                    Parameter::Value { dir: In, a: id, b: reset },
                    Parameter::Memref(list),
                    Parameter::None,
                    Parameter::None,
                ],
            ) if list.dir() == Out => {
                if ![ALLOC_ID_ALL, ALLOC_ID_HEAP].contains(&u64::from(*id)) {
                    return Err(TeeResult::ITEM_NOT_FOUND);
                }
                list.announce(size_of::<Alloc>())?;
                reach.write(list, 0, heap(reach).as_bytes())?;
                if *reset != 0 {
                    reach.reset_heap_peaks();
                }
                Ok(())
            }
            (
                CMD_GET_TIME,
                [
                    Parameter::Value { dir: Out, a, b },
                    Parameter::Value { dir: Out, a: c, b: d },
                    Parameter::None,
                    Parameter::None,
                ],
            ) => {
                let time_of_day = reach.time_of_day()?;
                let uptime = reach.uptime();
                (*a, *b) = (time_of_day.as_secs() as u32, time_of_day.subsec_millis());
                (*c, *d) = (uptime.as_secs() as u32, uptime.subsec_millis());
                Ok(())
            }
            (
                CMD_LOCK_WAITS,
                [Parameter::Value { dir: Out, a: own, b: shared }, Parameter::None, Parameter::None, Parameter::None],
            ) => {
                (*own, *shared) = reach.lock_waits();
                Ok(())
            }
            (CMD_ALLOC_STATS | CMD_GET_TIME | CMD_LOCK_WAITS, _) => Err(TeeResult::BAD_PARAMETERS),
            _ => Err(TeeResult::NOT_SUPPORTED),
        }
    }
}

/// Gives the heap's figures. `free2_sum` is left 0, as in OP-TEE without the heap's debugging: it would take a walk
/// through all free blocks.
fn heap(reach: Reach<'_, '_>) -> Alloc {
    let figures = reach.heap_figures();
    let mut desc = [0; 32];
    desc[..HEAP_NAME.len()].copy_from_slice(HEAP_NAME);
    Alloc {
        desc,
        free2_sum: 0,
        allocated: figures.allocated as u32,
        max_allocated: figures.max_allocated as u32,
        size: figures.size as u32,
        num_alloc_fail: figures.failures,
        biggest_alloc_fail: u32::try_from(figures.biggest_failure).unwrap_or(u32::MAX),
        biggest_alloc_fail_used: figures.biggest_failure_used as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::normal_world::NormalWorld;
    use shared_abi::optee_msg::Param;

    #[test]
    fn a_vm_is_told_how_often_it_waited_for_its_own_locks_and_for_shared_ones() {
        let world = NormalWorld::with_vms(&[1, 2]);
        let waits = |vm: u16| {
            let session = world.open(vm, &UUID).unwrap();
            let out = Param::Value { dir: Direction::Out, value: [9; 3] }.to_msg();
            assert_eq!(world.invoke(vm, session, CMD_LOCK_WAITS, &[out]), TeeResult::SUCCESS);
            let told = world.param(vm, 0);
            (told.a, told.b)
        };
        let (own, shared) = world.tee.vms().slot(1).waits();
        own.count();
        shared.count();
        shared.count();
        assert_eq!((waits(1), waits(2)), ((1, 2), (0, 0)));
    }
}
