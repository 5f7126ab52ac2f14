# SPDX-License-Identifier: MIT OR Apache-2.0
# Attaches to a machine that waits (`make debug`) and knows the symbols of every layer.
#
# Started in the folder that holds the layers' ELF files; `make debug` prints the command. Addresses are those of
# shared-abi/src/layout.rs. All layers run on identity maps, so a symbol's address is the same with the MMU on and off.

set confirm off
set pagination off
set architecture aarch64

# EL3: the boot stage in flash, and the runtime that it loads.
symbol-file boot.elf
add-symbol-file runtime.elf

# S-EL1.
add-symbol-file tee-core.elf

# NS-EL2: linked at 0, placed at layout::BL33_BASE.
add-symbol-file hypervisor.elf -o 0x60000000

# EL1 of the bare guest: linked at 0, placed by the hypervisor in the VM's RAM (0x40000000 holds the device tree).
define bare-guest
    if $argc == 0
        add-symbol-file bare-guest.elf -o 0x40200000
    else
        add-symbol-file bare-guest.elf -o $arg0
    end
end
document bare-guest
Load the bare guest's symbols: bare-guest [ADDRESS], where ADDRESS is that of its image, by default 0x40200000.
Its addresses are guest-physical. They mean something only while a CPU is in that VM.
end

define el
    set language c
    printf "EL%d\n", ($cpsr >> 2) & 3
    set language auto
end
document el
Say at which exception level this CPU is.
end

target remote :1234
echo \n
echo Every CPU stands at its reset vector. Good places to stop at:\n
echo \  hbreak *0x0e000000   EL3, the runtime's entry, after the hashes were checked\n
echo \  hbreak *0x0e100000   S-EL1, the TEE's entry\n
echo \  hbreak *0x60000000   EL2, the hypervisor's entry\n
echo `el` says where a CPU is; `info threads` lists the CPUs; `help bare-guest` has the guest.\n
