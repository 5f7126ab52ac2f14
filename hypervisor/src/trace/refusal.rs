// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a call was refused, from the code that it is answered with.

use super::{Client, ON, record};
use arm_psci::ErrorCode;
use shared_abi::optee_smc::{ReturnCode, from_halves};
use shared_abi::smccc::FunctionId;
use shared_abi::trace::{Event, Refusal};

/// PSCI_FEATURES, whose NOT_SUPPORTED is an answer.
const PSCI_FEATURES: FunctionId = FunctionId(0x8400_000A);

/// Records PSCI's answer to a VM, if it is a refusal: x0 to x3 of the call, and the code.
#[inline(always)]
pub fn psci(client: Client, x: &[u64; 4], code: i32) {
    if ON
        && code < 0
        && let Some((reason, value)) = of_psci(x, code)
    {
        record(client, || Event::Refused { reason, value });
    }
}

/// Tells refusals by the codes of DEN 0022 §5.2.2.
fn of_psci(x: &[u64; 4], code: i32) -> Option<(Refusal, u64)> {
    let function = FunctionId(x[0] as u32);
    if function == PSCI_FEATURES {
        return None;
    }
    Some(match ErrorCode::try_from(code as u32).ok()? {
        ErrorCode::NotSupported => (Refusal::UnknownFunction, function.0.into()),
        ErrorCode::InvalidParameters => (Refusal::BadParameter, x[1]),
        ErrorCode::AlreadyOn | ErrorCode::OnPending => (Refusal::BadState, x[1]),
        ErrorCode::InvalidAddress => (Refusal::BadAddress, x[2]),
        _ => (Refusal::NotForCaller, function.0.into()),
    })
}

/// Records a yielding call that the mediator refuses, with its arguments. A message that is refused (`Ok`: the code is
/// in the message) has been recorded where its mistake was found.
#[inline(always)]
pub fn yielding(client: Client, code: ReturnCode, args: &[u64; 8]) {
    let message = from_halves(args[1], args[2]);
    let (reason, value) = match code {
        ReturnCode::Ok => return,
        ReturnCode::EThreadLimit => (Refusal::NoThread, message),
        ReturnCode::EBadAddr => (Refusal::BadAddress, message),
        ReturnCode::EResume => (Refusal::BadThread, args[3]),
        ReturnCode::ENotAvail => (Refusal::VmIsGoing, 0),
        _ => (Refusal::BadMessage, message),
    };
    record(client, || Event::Refused { reason, value });
}

#[cfg(test)]
mod tests {
    use super::super::taken;
    use super::*;

    const VM: Client = Client::alleged(2);

    #[test]
    fn a_refused_call_says_what_was_wrong_with_it() {
        const CPU_ON: u64 = 0xC400_0003;
        for (x0, code, reason, value) in [
            (0x8400_001F, -1, Refusal::UnknownFunction, 0x8400_001F),
            (CPU_ON, -2, Refusal::BadParameter, 11),
            (CPU_ON, -4, Refusal::BadState, 11),
            (CPU_ON, -5, Refusal::BadState, 11),
            (CPU_ON, -9, Refusal::BadAddress, 22),
        ] {
            psci(VM, &[x0, 11, 22, 33], code);
            assert_eq!(taken(), [(2, Event::Refused { reason, value })]);
        }
    }

    #[test]
    fn an_answer_is_no_refusal() {
        for (x0, code) in [(0x8400_0000u64, 0x1_0001), (0x8400_0004, 1), (0x8400_000A, -1)] {
            psci(VM, &[x0, 1, 2, 3], code);
            assert_eq!(taken(), []);
        }
    }
}
