// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that expressions may use for the numbers of specifications and of the machine.

use firmware_support::board::BOARD;
use probe::script::expression::Known;
use shared_abi::layout::{self, Range};
use shared_abi::optee_msg::{Cmd, PAGE_SIZE, RpcCmd};
use shared_abi::optee_smc::{ReturnCode, Rpc};
use shared_abi::smccc::FunctionId;
use shared_abi::tee::TeeResult;

/// Where RAM is, which depends on who plays.
#[derive(Debug, Clone, Copy)]
pub struct Ram {
    /// Its first address.
    pub base: u64,
    /// The one after its last byte.
    pub end: u64,
}

const CODES: [ReturnCode; 9] = [
    ReturnCode::Ok,
    ReturnCode::EThreadLimit,
    ReturnCode::EBusy,
    ReturnCode::EResume,
    ReturnCode::EBadAddr,
    ReturnCode::EBadCmd,
    ReturnCode::ENoMem,
    ReturnCode::ENotAvail,
    ReturnCode::UnknownFunction,
];

const RPCS: [Rpc; 4] = [Rpc::Alloc, Rpc::Free, Rpc::ForeignIntr, Rpc::Cmd];

const RESULTS: [TeeResult; 23] = [
    TeeResult::SUCCESS,
    TeeResult::GENERIC,
    TeeResult::ACCESS_DENIED,
    TeeResult::CANCEL,
    TeeResult::ACCESS_CONFLICT,
    TeeResult::EXCESS_DATA,
    TeeResult::BAD_FORMAT,
    TeeResult::BAD_PARAMETERS,
    TeeResult::BAD_STATE,
    TeeResult::ITEM_NOT_FOUND,
    TeeResult::NOT_IMPLEMENTED,
    TeeResult::NOT_SUPPORTED,
    TeeResult::NO_DATA,
    TeeResult::OUT_OF_MEMORY,
    TeeResult::BUSY,
    TeeResult::COMMUNICATION,
    TeeResult::SECURITY,
    TeeResult::SHORT_BUFFER,
    TeeResult::EXTERNAL_CANCEL,
    TeeResult::TIMEOUT,
    TeeResult::OVERFLOW,
    TeeResult::TARGET_DEAD,
    TeeResult::STORAGE_NO_SPACE,
];

const PLACES: [(&str, Range); 10] = [
    ("FLASH", layout::FLASH),
    ("GICD", BOARD.distributor),
    ("GICR", BOARD.redistributors),
    ("UART_NS", BOARD.uart.registers),
    ("UART_S", BOARD.secure_uart),
    ("RTC", BOARD.rtc.registers),
    ("GPIO_S", BOARD.secure_gpio),
    ("MONITOR", layout::MONITOR),
    ("TEE", layout::TEE),
    ("DTB", layout::DTB),
];

/// Exception classes (Arm ARM D24.2.40), and what else has no table of its own.
const OTHERS: [(&str, u64); 8] = [
    ("UNDEFINED", 0x00),
    ("INSTRUCTION_ABORT", 0x21),
    ("PC_ALIGNMENT", 0x22),
    ("DATA_ABORT", 0x25),
    ("NOT_SUPPORTED", u64::MAX),
    ("INVALID_PARAMETERS", -2_i64 as u64),
    ("PAGE", PAGE_SIZE as u64),
    ("RET", 0xD65F_03C0),
];

/// Lists every name with its number.
pub(super) fn all(ram: Ram) -> impl Iterator<Item = (String, u64)> {
    let functions =
        [shared_abi::smccc::NAMES, shared_abi::psci::NAMES, shared_abi::optee_smc::NAMES, shared_abi::opteed::NAMES];
    let functions = functions.into_iter().flatten().map(|(FunctionId(id), name)| ((*name).to_owned(), u64::from(*id)));
    let codes = CODES.into_iter().map(|code| (code.name().to_owned(), code as u64));
    let rpcs = RPCS.into_iter().map(|rpc| (rpc.name().to_owned(), rpc.x0()));
    let results = RESULTS.into_iter().map(|result| (result.to_string(), u64::from(result.0)));
    let commands = Cmd::ALL.iter().filter_map(|cmd| Some((cmd.name()?.to_owned(), u64::from(cmd.0))));
    let rpc_commands = RpcCmd::ALL.iter().filter_map(|cmd| Some((cmd.name()?.to_owned(), u64::from(cmd.0))));
    let places = PLACES.into_iter().flat_map(|(name, range)| {
        [(name.to_owned(), range.base), (format!("{name}_SIZE"), range.size), (format!("{name}_END"), range.end())]
    });
    let ram = [("RAM".to_owned(), ram.base), ("RAM_END".to_owned(), ram.end)];
    let others = OTHERS.into_iter().map(|(name, number)| (name.to_owned(), number));
    functions
        .chain(codes)
        .chain(rpcs)
        .chain(results)
        .chain(commands)
        .chain(rpc_commands)
        .chain(places)
        .chain(ram)
        .chain(others)
}

/// Says what the machine knows by this name.
pub(super) fn known(name: &str) -> Option<Known> {
    Known::NAMES.iter().find(|(text, _)| *text == name).map(|(_, known)| *known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn no_name_means_two_numbers() {
        let mut seen = HashMap::new();
        for (name, number) in all(Ram { base: 0, end: 1 }) {
            assert_eq!(*seen.entry(name.clone()).or_insert(number), number, "{name}");
            assert!(known(&name).is_none(), "{name}");
        }
        assert_eq!(seen["OPTEE_SMC_VM_CREATED"], 0xB200_000D);
        assert_eq!(seen["TEE_ERROR_BAD_PARAMETERS"], 0xFFFF_0006);
        assert_eq!(seen["TEE_END"], 0x0F00_0000);
    }
}
