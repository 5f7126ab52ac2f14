// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences that failed once, and some that must never.

use crate::play::Sequence;
use crate::step::{Address::*, How::*, In::*, List, Meanwhile::*, Msg, P::*, Reply::*, Shape, Step::*, Token::*};

/// Two calls of one VM want the vault, of which one is interrupted while it has it: the other sleeps, and is woken.
#[test]
fn a_call_that_waits_for_another_sleeps_in_the_normal_world() {
    let put = Msg { cmd: 1, func: 0, session: Its(0, 0), params: List(vec![Name(0, 1), Secret(7, 32)]), count: None };
    let get = List(vec![Name(0, 1), Memory(1, Of(0, 9, 0), 64)]);
    let get = Msg { cmd: 1, func: 1, session: Its(0, 0), params: get, count: None };
    let steps = vec![
        Create(1),
        Open(0, 0, 1),
        Call(0, 0, RpcArg, put),
        // Header, two parameters, name: the fifth access is to the secret's place.
        Interrupt(4),
        Call(0, 0, RpcArg, get.clone()),
        Call(0, 1, RpcArg, get),
        Resume(1, None, Right, Obeys),
        Finish(0),
        Finish(0),
    ];
    Sequence { pages: 72, steps }.play();
}

/// Another CPU destroys the VM in the middle of its call, which then ends or stops as if nothing were.
#[test]
fn a_vm_that_is_destroyed_under_its_call_is_gone_afterwards() {
    let get = List(vec![Name(0, 1), Memory(1, Of(0, 9, 0), 64)]);
    let get = Msg { cmd: 1, func: 1, session: Its(0, 0), params: get, count: None };
    let steps = vec![Create(1), Open(0, 0, 1), After(2, Calls(0x0E, 1, 0)), Call(0, 0, Arg, get), Create(1)];
    Sequence { pages: 72, steps }.play();
}

/// A call lists devices, is interrupted between two of them, and goes on with the next one: the device before it, which
/// is none any more by then, does not count again.
#[test]
fn a_list_of_devices_goes_on_where_it_was_interrupted() {
    let list =
        Msg { cmd: 1, func: 0, session: Its(1, 0), params: List(vec![Pages(1, Shape::Good, 0, 16, 0)]), count: None };
    let steps =
        vec![Create(1), Random(true), Open(0, 1, 1), Interrupt(3), Call(0, 0, Arg, list), Random(false), Finish(0)];
    Sequence { pages: 40, steps }.play();
}

/// What the probe plays in QEMU is made of the same sequences: `cargo test … scenario -- --nocapture` prints one.
#[test]
fn a_sequence_can_be_written_as_a_scenario() {
    let put = Msg { cmd: 1, func: 0, session: Its(0, 0), params: List(vec![Name(0, 1), Secret(7, 32)]), count: None };
    let steps = vec![Create(1), Open(0, 0, 1), Call(0, 0, Arg, put), Destroy(1), Destroy(1)];
    let scenario = Sequence { pages: 72, steps }.scenario("vault-put");
    assert!(scenario.contains("smc = 0xb200000d\nx1 = 1\nexpect = { x0 = 0, x1 = 0, x2 = 0, x3 = 0 }"), "{scenario}");
    assert!(scenario.ends_with("smc = \"PSCI_SYSTEM_OFF\"\nreturns = false\n"));
    println!("{scenario}");
}
