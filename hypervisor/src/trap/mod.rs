//! Why a guest left, and what is done about it.
//!
//! The vectors jump to the three functions below with the vCPU that was running, its x0 to x30 saved, everything else of it
//! still in the CPU. They end by entering a guest: they never return, so they restore none of the registers that they use.
//!
//! | file | what |
//! |---|---|
//! | [`syndrome`] | what ESR_EL2 says |
//! | [`exception`] | exceptions that a guest is given |
//! | `call` | SMC and HVC |
//! | `mmio` | accesses to devices |
//! | `system` | trapped system registers |
//! | `traced` | the same with records of each exit and entry, in trace builds |

#[cfg(target_os = "none")]
pub mod call;
pub mod exception;
#[cfg(target_os = "none")]
pub mod mmio;
pub mod syndrome;
#[cfg(target_os = "none")]
pub mod system;
#[cfg(all(target_os = "none", feature = "trace"))]
pub mod traced;

#[cfg(target_os = "none")]
pub use entry::{guest_irq, guest_serror, guest_sync};
#[cfg(all(target_os = "none", feature = "trace"))]
use entry::{irq, serror, sync};

#[cfg(target_os = "none")]
mod entry {
    use super::exception::{self, Exception};
    use super::syndrome::{self, Class};
    use super::{call, mmio, system};
    use crate::arch::sysreg::{self, read, write};
    use crate::arch::vectors::enter_guest;
    use crate::arch::virtual_interface::Interface;
    use crate::cpu;
    use crate::machine::End;
    use crate::platform::gic;
    use crate::trace::{Client, record, refuse};
    use crate::vcpu::Vcpu;
    use shared_abi::trace::{Event, Refusal};

    /// What a handler leaves to be done.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Next {
        /// The guest goes on.
        Resume,
        /// The vCPU waits for an interrupt.
        Wait,
        /// The vCPU goes off.
        Off,
        /// The VM ends.
        Stop,
    }

    /// A synchronous exception of a guest's.
    ///
    /// # Safety
    ///
    /// For the vectors: `vcpu` is loaded on this CPU and nobody else refers to it.
    pub unsafe extern "C" fn guest_sync(vcpu: *mut Vcpu) -> ! {
        // SAFETY: As the vectors promise; the vCPU that comes back is loaded on this CPU.
        unsafe { enter_guest(sync(vcpu)) }
    }

    /// A physical interrupt.
    ///
    /// # Safety
    ///
    /// As for [`guest_sync`].
    pub unsafe extern "C" fn guest_irq(vcpu: *mut Vcpu) -> ! {
        // SAFETY: As above.
        unsafe { enter_guest(irq(vcpu)) }
    }

    /// An asynchronous external abort: memory or a bus is broken.
    ///
    /// # Safety
    ///
    /// As for [`guest_sync`].
    pub unsafe extern "C" fn guest_serror(vcpu: *mut Vcpu) -> ! {
        // SAFETY: As above.
        unsafe { enter_guest(serror(vcpu)) }
    }

    /// Serves a synchronous exception; the vCPU to enter, which is loaded on this CPU.
    ///
    /// # Safety
    ///
    /// As for [`guest_sync`].
    #[inline(always)]
    pub unsafe fn sync(vcpu: *mut Vcpu) -> *mut Vcpu {
        let pointer = vcpu;
        // SAFETY: As the vectors promise.
        let vcpu = unsafe { &mut *pointer };
        let esr = sysreg::esr();
        let next = match Class::of(esr) {
            Class::Hvc => call::serve(vcpu, esr),
            Class::Smc => {
                skip(esr);
                call::serve(vcpu, esr)
            }
            Class::DataAbort => data_abort(vcpu, esr),
            Class::SystemRegister => match system::emulate(vcpu, esr) {
                system::Done::Next => {
                    skip(esr);
                    Next::Resume
                }
                system::Done::Again => Next::Resume,
                system::Done::Undefined => give(refused(vcpu, esr), esr),
            },
            Class::Wfi => {
                skip(esr);
                Next::Wait
            }
            Class::InstructionAbort => instruction_abort(vcpu, esr),
            Class::Other => give(refused(vcpu, esr), esr),
        };
        match next {
            Next::Resume => pointer,
            // From here on the CPU decides who has the vCPU: `vcpu` is not used any more.
            Next::Wait => wait(pointer),
            Next::Off => {
                let (cpu, slot) = (cpu::this(), vcpu.place.slot);
                cpu.switch_off(slot);
                cpu.schedule()
            }
            Next::Stop => cpu::this().schedule(),
        }
    }

    /// The same for an asynchronous external abort.
    ///
    /// # Safety
    ///
    /// As for [`guest_sync`].
    pub unsafe fn serror(vcpu: *mut Vcpu) -> *mut Vcpu {
        // SAFETY: As the vectors promise.
        let vm = unsafe { (*vcpu).vm };
        vm.end(End::Crash("asynchronous external abort"));
        cpu::this().schedule()
    }

    /// The same for a physical interrupt.
    ///
    /// # Safety
    ///
    /// As for [`guest_sync`].
    #[inline(always)]
    pub unsafe fn irq(vcpu: *mut Vcpu) -> *mut Vcpu {
        let cpu = cpu::this();
        let mut reschedule = false;
        while let Some(intid) = gic::acknowledge() {
            reschedule |= cpu.interrupt(intid);
        }
        if reschedule { cpu.schedule() } else { vcpu }
    }

    fn wait(pointer: *mut Vcpu) -> *mut Vcpu {
        // SAFETY: The vCPU that has just left its guest; the reference ends before the CPU looks for another one.
        let (vm, index, slot) = unsafe { ((*pointer).vm, (*pointer).index, (*pointer).place.slot) };
        let cpu = cpu::this();
        // Asleep first, then the look whether an interrupt is there: one that comes in between wakes it again.
        cpu.sleep(slot);
        let is_ending = vm.is_ending();
        if vm.machine.lock().vgic.sync(index, &mut Interface) || is_ending {
            cpu.wake_own(slot);
            if !is_ending {
                return pointer;
            }
        }
        cpu.schedule()
    }

    /// The guest goes on behind the instruction that trapped.
    #[inline(always)]
    fn skip(esr: u64) {
        sysreg::set_elr(sysreg::elr().wrapping_add(syndrome::instruction_length(esr)));
    }

    #[inline]
    fn data_abort(vcpu: &mut Vcpu, esr: u64) -> Next {
        let far = sysreg::far();
        let ipa = syndrome::fault_address(sysreg::hpfar(), far);
        if let Some(access) = syndrome::Access::of(esr)
            && !is_walk(esr)
            && mmio::emulate(vcpu, ipa, access)
        {
            skip(esr);
            return Next::Resume;
        }
        let write = esr & 1 << 6 != 0;
        let what = if is_walk(esr) {
            "its page tables"
        } else if write {
            "a write"
        } else {
            "a read"
        };
        fault(vcpu, ipa, esr);
        vcpu.vm.complain(format_args!("nothing at IPA {ipa:#x} for {what} (pc {:#x})", sysreg::elr()));
        give(Exception::DataAbort { far, write, walk: is_walk(esr) }, esr)
    }

    fn instruction_abort(vcpu: &mut Vcpu, esr: u64) -> Next {
        let far = sysreg::far();
        let ipa = syndrome::fault_address(sysreg::hpfar(), far);
        fault(vcpu, ipa, esr);
        vcpu.vm.complain(format_args!("nothing at IPA {ipa:#x} to run (pc {:#x})", sysreg::elr()));
        give(Exception::InstructionAbort { far, walk: is_walk(esr) }, esr)
    }

    /// An access that is nobody's.
    #[inline(always)]
    fn fault(vcpu: &Vcpu, ipa: u64, esr: u64) {
        let event = || Event::Stage2Fault { vcpu: vcpu.index as u8, ipa, pc: sysreg::elr(), esr };
        record(Client::of(vcpu.vm.config.id), event);
    }

    /// An instruction that the guest does not have.
    #[inline(always)]
    fn refused(vcpu: &Vcpu, esr: u64) -> Exception {
        refuse(Client::of(vcpu.vm.config.id), Refusal::Undefined, esr, Exception::Undefined)
    }

    /// S1PTW: the guest's MMU met the fault, on its way through the guest's tables.
    fn is_walk(esr: u64) -> bool {
        esr & 1 << 7 != 0
    }

    /// The guest takes an exception at EL1.
    fn give(exception: Exception, esr: u64) -> Next {
        let vbar = read!("vbar_el1");
        let registers = exception::take(exception, sysreg::elr(), sysreg::spsr(), esr, vbar, read!("sctlr_el1"));
        sysreg::set_elr(registers.pc);
        sysreg::set_spsr(registers.pstate);
        write!("elr_el1", registers.elr);
        write!("spsr_el1", registers.spsr);
        write!("esr_el1", registers.esr);
        if let Some(far) = registers.far {
            write!("far_el1", far);
        }
        Next::Resume
    }
}

#[cfg(target_os = "none")]
pub use entry::Next;
