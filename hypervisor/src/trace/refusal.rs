//! Why a call was refused, from the code that it is answered with.

use super::{Client, ON, record};
use shared_abi::optee_smc::{ReturnCode, from_halves};
use shared_abi::smccc::{FunctionId, Owner, SMCCC_ARCH_FEATURES};
use shared_abi::trace::{Event, Refusal};

/// PSCI_FEATURES, whose NOT_SUPPORTED is an answer.
const PSCI_FEATURES: FunctionId = FunctionId(0x8400_000A);

/// The answer to a call that goes no further than EL2: PSCI, the Arm architecture's calls, or nobody's. `x` is x0 to x7 of the call,
/// `answer` its x0. Calls of the trusted OS are the mediator's, who knows which refusals are its own.
#[inline(always)]
pub fn answered(client: Client, x: &[u64; 8], answer: u64) {
    if ON && let Some((reason, value)) = of_answer(x, answer) {
        record(client, || Event::Refused { reason, value });
    }
}

fn of_answer(x: &[u64; 8], answer: u64) -> Option<(Refusal, u64)> {
    let function = FunctionId(x[0] as u32);
    if matches!(function.owner(), Owner::TrustedApp | Owner::TrustedOs)
        || function == SMCCC_ARCH_FEATURES
        || function == PSCI_FEATURES
    {
        return None;
    }
    // SMCCC 1.4 §5.1 and PSCI (DEN 0022) §5.2.2.
    match answer as i32 {
        -1 => Some((Refusal::UnknownFunction, function.0.into())),
        -2 => Some((Refusal::BadParameter, x[1])),
        -3 => Some((Refusal::NotForCaller, function.0.into())),
        -4 | -5 => Some((Refusal::BadState, x[1])),
        -9 => Some((Refusal::BadAddress, x[2])),
        _ => None,
    }
}

/// A yielding call that the mediator refuses, with its arguments. A message that is refused (`Ok`: the code is in the message) has
/// been recorded where its mistake was found.
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
            (0x8400_00FF, -1, Refusal::UnknownFunction, 0x8400_00FF),
            (0xC300_0000, -1, Refusal::UnknownFunction, 0xC300_0000),
            (CPU_ON, -2, Refusal::BadParameter, 11),
            (CPU_ON, -4, Refusal::BadState, 11),
            (CPU_ON, -9, Refusal::BadAddress, 22),
        ] {
            answered(VM, &[x0, 11, 22, 33, 0, 0, 0, 0], code as u64);
            assert_eq!(taken(), [(2, Event::Refused { reason, value })]);
        }
    }

    #[test]
    fn an_answer_is_no_refusal() {
        for (x0, code) in [(0x8400_0000u64, 0x1_0001i64), (0x8400_000A, -1), (0x8000_0001, -1), (0xB200_0007, -1)] {
            answered(VM, &[x0, 1, 2, 3, 0, 0, 0, 0], code as u64);
            assert_eq!(taken(), []);
        }
    }
}
