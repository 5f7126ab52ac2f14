// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several vCPUs of a VM at once.

use super::*;
use std::sync::Mutex;
use std::thread;

/// A TEE whose threads are numbered: each call is interrupted once, then ends. Shared by all CPUs.
struct Threads(Mutex<[bool; 4]>);

impl Conduit for &Threads {
    fn call(&mut self, x: [u64; 8]) -> [u64; 4] {
        assert_eq!(x[7], 3);
        let mut busy = self.0.lock().unwrap();
        if x[0] as u32 == OPTEE_SMC_CALL_RETURN_FROM_RPC.0 {
            assert!(std::mem::take(&mut busy[x[3] as usize]), "a thread that is not suspended was resumed");
            return [0; 4];
        }
        match busy.iter().position(|busy| !busy) {
            Some(free) => {
                busy[free] = true;
                [Rpc::ForeignIntr.x0(), 0, 0, free as u64]
            }
            None => [ReturnCode::EThreadLimit as u64, 0, 0, 0],
        }
    }
}

#[test]
fn all_vcpus_call_and_resume_and_nothing_is_left() {
    let shadow: &'static Shadow = Box::leak(Box::new(Shadow::new()));
    let mut probe = FakeTee::new(shadow);
    let mediator = Optee::probe(&mut probe).unwrap();
    let vm = mediator.vm_made(VmId::new(3).unwrap(), shadow, &mut probe).unwrap();
    let memory = Memory::new();
    let tee = Threads(Mutex::new([false; 4]));
    memory.list(page(0), [page(1)]);

    thread::scope(|scope| {
        for cpu in 0..6 {
            let (vm, memory, tee) = (&vm, &memory, &tee);
            scope.spawn(move || {
                let message = RAM + cpu * PAGE_SIZE;
                let param = Param::Tmem { dir: Direction::In, buf_ptr: page(0), size: 9, shm_ref: 1, noncontig: true };
                memory.write(message, Cmd::INVOKE_COMMAND, &[param.to_msg()]);
                let handle = |mut regs: [u64; 8]| {
                    Optee::call(vm, &mut regs, memory, &mut &*tee);
                    regs
                };
                for _ in 0..500 {
                    let mut x = handle([OPTEE_SMC_CALL_WITH_ARG.0.into(), 0, message, 0, 0, 0, 0, 0]);
                    while x[0] == Rpc::ForeignIntr.x0() {
                        x = handle([OPTEE_SMC_CALL_RETURN_FROM_RPC.0.into(), 0, 0, x[3], 0, 0, 0, 0]);
                    }
                    assert!(x[0] == 0 || x[0] == ReturnCode::EThreadLimit as u64, "{:#x}", x[0]);
                    assert_eq!(memory.header(message).ret, 0);
                }
            });
        }
    });
    // Every list page is free again: a call that needs most of them at once succeeds.
    let mut guest = Guest { memory, tee: probe, vm };
    guest.memory.list(RAM + PAGE_SIZE, (0..1024).map(page));
    guest.memory.write(RAM, Cmd::INVOKE_COMMAND, &[tmem(RAM + PAGE_SIZE, 1024 * PAGE_SIZE, 1); 5]);
    assert_eq!((guest.send(RAM), guest.result(RAM)), (0, TeeResult::SUCCESS));
}
