// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures what a call takes, in ticks of the counter.
//!
//! Where the machine counts instructions as virtual time and the counter ticks with them, these are instructions. The
//! counter is read before and after the call's one instruction, so a reading holds one instruction beside what it
//! measures; a step `time-loop`, whose length is known, shows whether that is so.
//!
//! A call that is not answered as the step expects is another call than the one that was to be measured: it gives no
//! figure.

use super::{Fault, Machine, Player};
use crate::script::SAMPLES;
use crate::script::step::{Call, Step};

impl<'a, M: Machine> Player<'a, '_, M> {
    pub(super) fn measure(
        &mut self,
        step: &Step<'a>,
        name: &str,
        samples: u16,
        warm_up: u16,
        call: &Call<'a>,
    ) -> Result<(), Fault> {
        for _ in 0..warm_up {
            self.call(step, call)?;
        }
        let mut readings = [0; SAMPLES];
        let readings = &mut readings[..usize::from(samples).clamp(1, SAMPLES)];
        for reading in readings.iter_mut() {
            self.call(step, call)?;
            *reading = self.ticks;
            if !self.holds(step) {
                return Ok(());
            }
        }
        readings.sort_unstable();
        let (min, median, max) = (readings[0], readings[readings.len() / 2], readings[readings.len() - 1]);
        self.machine.mark();
        self.machine.print(format_args!("[probe] figure {name} min={min} median={median} max={max} samples={samples}"));
        Ok(())
    }
}
