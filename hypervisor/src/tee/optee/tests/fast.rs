// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fast calls, and what never reaches the TEE.

use super::*;
use crate::tee::optee::{CreateError, NoTee};

#[test]
fn a_tee_is_found_by_asking_as_the_hypervisor() {
    let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
    let mut tee = FakeTee::new(shadow);
    let mediator = Optee::probe(&mut tee).unwrap();
    assert_eq!((mediator.threads, mediator.rpc_params), (4, 4));
    assert_eq!(mediator.caps.bits(), 0x56);
    assert!(tee.calls.iter().all(|regs| regs[7] == 0));
    tee.calls.clear();
    mediator.vm_made(VmId::new(9).unwrap(), shadow, &mut tee).unwrap();
    assert_eq!(tee.calls, [[u64::from(OPTEE_SMC_VM_CREATED.0), 9, 0, 0, 0, 0, 0, 0]]);
}

#[test]
fn a_tee_whose_rpcs_have_more_parameters_than_there_is_room_for_has_no_messages_for_them() {
    for (rpc_params, expected) in [(0, (0, 0x16)), (1, (1, 0x56)), (4, (4, 0x56)), (5, (0, 0x16)), (255, (0, 0x16))] {
        let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
        let mediator = Optee::probe(&mut FakeTee { rpc_params, ..FakeTee::new(shadow) }).unwrap();
        assert_eq!((mediator.rpc_params, mediator.caps.bits()), expected, "{rpc_params}");
    }
}

#[test]
fn what_is_no_tee_for_vms_says_why() {
    struct Answers(fn(FunctionId) -> [u64; 4]);
    impl Conduit for Answers {
        fn call(&mut self, regs: [u64; 8]) -> [u64; 4] {
            (self.0)(FunctionId(regs[0] as u32))
        }
    }
    let probe = |answers| Optee::probe(&mut Answers(answers));
    assert_eq!(probe(|_| [u64::MAX, 0, 0, 0]), Err(NoTee::Absent));
    assert_eq!(
        probe(|id| match id {
            OPTEE_SMC_CALLS_UID => CALLS_UID.map(u64::from),
            OPTEE_SMC_VM_DESTROYED => [0xFFFF_FFFF, 0, 0, 0],
            _ => [0, 2, 0, 0],
        }),
        Err(NoTee::NoVirtualization)
    );
    assert_eq!(
        probe(|id| match id {
            OPTEE_SMC_CALLS_UID => CALLS_UID.map(u64::from),
            OPTEE_SMC_EXCHANGE_CAPABILITIES => [0, 1, 0, 0],
            _ => [0, 2, 0, 0],
        }),
        Err(NoTee::NoDynamicMemory)
    );
}

#[test]
fn a_vm_that_the_tee_refuses_is_not_created() {
    let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
    let mut tee = FakeTee::new(shadow);
    let mediator = Optee::probe(&mut tee).unwrap();
    tee.answers.clear();
    tee.then(|_, _| [7, 0, 0, 0]);
    let error = mediator.vm_made(VmId::new(9).unwrap(), shadow, &mut tee).err();
    assert_eq!(error, Some(CreateError::Refused(7)));
    assert_eq!(CreateError::Refused(7).to_string(), "the TEE refused the VM: OPTEE_SMC_RETURN_ENOTAVAIL");
}

#[test]
fn a_guest_sees_only_the_capabilities_that_are_mediated() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(OPTEE_SMC_EXCHANGE_CAPABILITIES, [u64::MAX, 0, 0, 0, 0]), [0, 0x56, 0, 4]);
    assert_eq!(guest.tee.calls[0][1], 1, "of the guest's own capabilities too");
    assert_eq!(Guest::old().call(OPTEE_SMC_EXCHANGE_CAPABILITIES, [0; 5]), [0, 0x16, 0, 0]);
    guest.tee.rpc_params = 200;
    assert_eq!(guest.call(OPTEE_SMC_EXCHANGE_CAPABILITIES, [0; 5])[3], 4, "as it was at boot");
}

#[test]
fn every_call_carries_the_vms_id_whatever_the_guest_put_there() {
    let mut guest = Guest::new();
    for function in [OPTEE_SMC_CALLS_UID, OPTEE_SMC_CALL_GET_OS_REVISION, OPTEE_SMC_ENABLE_SHM_CACHE] {
        for x7 in [0, 4, 0x1_0000_0003, u64::MAX] {
            let mut regs = [u64::from(function.0) | 0xABCD << 32, 1, 2, 3, 4, 5, 6, x7];
            Optee::call(&guest.vm, &mut regs, &guest.memory, &mut guest.tee);
            let seen = guest.tee.calls.pop().unwrap();
            assert_eq!(seen, [u64::from(function.0), 0, 0, 0, 0, 0, 0, 3], "nothing of the guest's registers else");
        }
    }
}

#[test]
fn what_is_the_hypervisors_or_nobodys_never_reaches_the_tee() {
    let mut guest = Guest::new();
    let refused = [
        OPTEE_SMC_VM_CREATED,
        OPTEE_SMC_VM_DESTROYED,
        OPTEE_SMC_GET_SHM_CONFIG,
        OPTEE_SMC_L2CC_MUTEX,
        OPTEE_SMC_BOOT_SECONDARY,
        OPTEE_SMC_ENABLE_ASYNC_NOTIF,
        OPTEE_SMC_GET_ASYNC_NOTIF_VALUE,
        OPTEE_SMC_GET_PROTMEM_CONFIG,
        FunctionId(0xB200_FFFF),
        FunctionId(0x3200_0000),
        FunctionId(0x3200_0005),
        FunctionId(0xBE00_0000),
        FunctionId(OPTEE_SMC_CALL_WITH_ARG.0 | 1 << 30),
        FunctionId(OPTEE_SMC_CALLS_UID.0 | 1 << 30),
    ];
    for function in refused {
        assert_eq!(guest.call(function, [1, 0, 0, 0, 0]), [u64::MAX, 0, 0, 0], "{function}");
    }
    assert_eq!(guest.tee.calls, [[0; 8]; 0]);
    let mut old = Guest::old();
    assert_eq!(old.send_rpc(RAM)[0], u64::MAX, "RPC_ARG was not offered");
}

#[test]
fn the_thread_count_is_what_the_mediator_lets_through() {
    assert_eq!(Guest::new().call(OPTEE_SMC_GET_THREAD_COUNT, [0; 5]), [0, 4, 0, 0]);
}

#[test]
fn the_vms_end_is_told_and_nothing_follows_it() {
    let mut guest = Guest::new();
    assert_eq!(guest.register(1, 0, 0x1000, &[page(1)]), TeeResult::SUCCESS);
    guest.tee.then(|_, _| [7, 0, 0, 0]);
    assert!(!Optee::vm_gone(&guest.vm, &mut guest.tee));
    assert_eq!(guest.vm.pinned_pages(), 1, "a TEE that does not agree may still write there");
    guest.tee.calls.clear();
    assert!(Optee::vm_gone(&guest.vm, &mut guest.tee));
    assert_eq!(guest.tee.calls, [[u64::from(OPTEE_SMC_VM_DESTROYED.0), 3, 0, 0, 0, 0, 0, 0]]);
    assert_eq!(guest.vm.pinned_pages(), 0);
    guest.memory.write(RAM, Cmd::CANCEL, &[]);
    assert_eq!(guest.send(RAM), 7);
    assert_eq!(guest.resume(0)[0], 7);
    assert_eq!(guest.tee.calls.len(), 1);
}

/// A VM that has notifications.
fn notified() -> Guest {
    let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
    Guest::through(FakeTee::new(shadow), shadow, Optee::let_notify)
}

#[test]
fn notifications_are_of_a_tee_that_has_them_and_of_who_passes_them_on() {
    let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
    for (caps, can) in [(0x3FF, true), (0x3DF, false)] {
        let tee = Optee::probe(&mut FakeTee { caps, ..FakeTee::new(shadow) }).unwrap();
        assert_eq!((tee.can_notify(), tee.notifies(), tee.let_notify().notifies()), (can, false, can));
    }
    assert_eq!(notified().call(OPTEE_SMC_EXCHANGE_CAPABILITIES, [0; 5]), [0, 0x76, 99, 4], "with the greatest value");
}

#[test]
fn a_vm_is_notified_from_when_on_it_asks_for_that() {
    let mut guest = notified();
    assert!(!Optee::wants_notifications(&guest.vm));
    guest.tee.then(|_, _| [7, 1, 2, 3]);
    assert_eq!(guest.call(OPTEE_SMC_ENABLE_ASYNC_NOTIF, [1; 5]), [7, 0, 0, 0]);
    assert!(!Optee::wants_notifications(&guest.vm), "the TEE did not agree");
    guest.tee.then(|_, _| [0, 1, 2, 3]);
    assert_eq!(guest.call(OPTEE_SMC_ENABLE_ASYNC_NOTIF, [1; 5]), [0; 4]);
    assert!(Optee::wants_notifications(&guest.vm));
    assert_eq!(guest.tee.calls, [[OPTEE_SMC_ENABLE_ASYNC_NOTIF.0.into(), 0, 0, 0, 0, 0, 0, 3]; 2]);
    assert!(Optee::vm_gone(&guest.vm, &mut guest.tee));
    assert!(!Optee::wants_notifications(&guest.vm));
}

#[test]
fn a_vm_asks_for_its_own_notifications() {
    let mut guest = notified();
    guest.tee.then(|_, _| [0, 17, 3, 0x66]);
    assert_eq!(guest.call(OPTEE_SMC_GET_ASYNC_NOTIF_VALUE, [1; 5]), [0, 17, 3, 0]);
    guest.tee.then(|_, _| [7, 17, 3, 0x66]);
    assert_eq!(guest.call(OPTEE_SMC_GET_ASYNC_NOTIF_VALUE, [1; 5]), [7, 0, 0, 0]);
    assert_eq!(guest.tee.calls, [[OPTEE_SMC_GET_ASYNC_NOTIF_VALUE.0.into(), 0, 0, 0, 0, 0, 0, 3]; 2]);
}

#[test]
fn the_commands_about_notifications_are_there_where_notifications_are() {
    let mut guest = notified();
    guest.call(OPTEE_SMC_ENABLE_ASYNC_NOTIF, [0; 5]);
    for (command, wants) in [(Cmd::DO_BOTTOM_HALF, true), (Cmd::STOP_ASYNC_NOTIF, false)] {
        guest.memory.write(RAM, command, &[]);
        assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
        assert_eq!(Optee::wants_notifications(&guest.vm), wants);
    }
    assert_eq!(guest.tee.functions()[1..], [OPTEE_SMC_CALL_WITH_ARG; 2]);
    let mut others = Guest::new();
    for command in [Cmd::DO_BOTTOM_HALF, Cmd::STOP_ASYNC_NOTIF] {
        others.memory.write(RAM, command, &[]);
        assert_eq!(others.send(RAM), ReturnCode::EBadCmd as u64);
    }
    guest.memory.write(RAM, Cmd::LEND_PROTMEM, &[]);
    assert_eq!(guest.send(RAM), ReturnCode::EBadCmd as u64);
    assert_eq!(others.tee.calls, [[0; 8]; 0]);
}
