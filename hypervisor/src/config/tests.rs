// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use shared_abi::layout::TRACE;
use vm_fdt::{FdtReserveEntry, FdtWriter};

const IMAGE: Range = Range::new(0x6000_0000, 0x8_0000);
/// What the tree's block of reservations has, and the nodes of its /reserved-memory.
const BLOCKED: Range = Range::new(0xB000_0000, 0x1000);
const HIDDEN: Range = Range::new(0x9000_0800, 0x1000);
const RESERVED: [Range; 2] = [TRACE, HIDDEN];

/// Writes a tree with 2 GiB of memory, reserved pieces in it, four CPUs and what `vms` adds to /chosen.
fn tree(vms: impl FnOnce(&mut FdtWriter)) -> Vec<u8> {
    let reserved = [FdtReserveEntry::new(BLOCKED.base, BLOCKED.size).unwrap()];
    let mut fdt = FdtWriter::new_with_mem_reserv(&reserved).unwrap();
    let root = fdt.begin_node("").unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 2).unwrap();
    let memory = fdt.begin_node("memory@40000000").unwrap();
    fdt.property_array_u64("reg", &[0x4000_0000, 0x8000_0000]).unwrap();
    fdt.end_node(memory).unwrap();
    let cpus = fdt.begin_node("cpus").unwrap();
    fdt.property_u32("#address-cells", 1).unwrap();
    fdt.property_u32("#size-cells", 0).unwrap();
    for cpu in 0..4 {
        let node = fdt.begin_node(&format!("cpu@{cpu}")).unwrap();
        fdt.property_u32("reg", cpu).unwrap();
        fdt.end_node(node).unwrap();
    }
    fdt.end_node(cpus).unwrap();
    let reserved = fdt.begin_node("reserved-memory").unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 2).unwrap();
    for range in RESERVED {
        let node = fdt.begin_node(&format!("some@{:x}", range.base)).unwrap();
        fdt.property_array_u64("reg", &[range.base, range.size]).unwrap();
        if range == HIDDEN {
            fdt.property_null("no-map").unwrap();
        }
        fdt.end_node(node).unwrap();
    }
    fdt.end_node(reserved).unwrap();
    let chosen = fdt.begin_node("chosen").unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 2).unwrap();
    vms(&mut fdt);
    fdt.end_node(chosen).unwrap();
    fdt.end_node(root).unwrap();
    fdt.finish().unwrap()
}

fn vm(fdt: &mut FdtWriter, name: &str, kernel: [u64; 2], more: impl FnOnce(&mut FdtWriter)) {
    let node = fdt.begin_node(name).unwrap();
    fdt.property_string("compatible", "xen,domain").unwrap();
    fdt.property_u64("memory", 65536).unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 2).unwrap();
    more(fdt);
    let module = fdt.begin_node("module@70000000").unwrap();
    fdt.property_string_list("compatible", vec!["multiboot,kernel".into(), "multiboot,module".into()]).unwrap();
    fdt.property_array_u64("reg", &kernel).unwrap();
    fdt.property_string("bootargs", "console=ttyAMA0").unwrap();
    fdt.end_node(module).unwrap();
    fdt.end_node(node).unwrap();
}

fn read(blob: &[u8]) -> (Inventory, Vec<VmConfig>, Vec<Skipped>) {
    let tree = Fdt::new(blob).unwrap();
    let machine = machine(&tree, IMAGE, Range::new(0x4800_0000, 0x1_0000));
    let asked = vms(&tree, &machine, |range| range.base == 0x7F00_0000);
    (machine, asked.vms, asked.skipped)
}

/// What is said of a tree with one VM, which is made.
fn remarks(chosen: impl FnOnce(&mut FdtWriter), more: impl FnOnce(&mut FdtWriter)) -> (VmConfig, Vec<String>) {
    let blob = tree(|fdt| {
        chosen(fdt);
        vm(fdt, "domU1", KERNEL, more);
    });
    let tree = Fdt::new(&blob).unwrap();
    let asked = vms(&tree, &machine(&tree, IMAGE, Range::new(0x4800_0000, 0x1_0000)), |_| false);
    assert_eq!(asked.skipped, []);
    (asked.vms[0].clone(), asked.remarks.into_iter().map(|remark| format!("{} {}", remark.node, remark.text)).collect())
}

/// The remarks on one VM's node.
fn said(more: impl FnOnce(&mut FdtWriter)) -> Vec<String> {
    remarks(|_| {}, more).1
}

/// Why the one VM of a tree is skipped.
fn reason(kernel: [u64; 2], more: impl FnOnce(&mut FdtWriter)) -> String {
    let (_, vms, skipped) = read(&tree(|fdt| vm(fdt, "domU1", kernel, more)));
    assert!(vms.is_empty());
    assert_eq!(skipped[0].node, "domU1");
    skipped[0].reason.clone()
}

const KERNEL: [u64; 2] = [0x7000_0000, 0x10_0000];

#[test]
fn a_vm_has_what_its_node_says() {
    let blob = tree(|fdt| {
        vm(fdt, "domU1", KERNEL, |fdt| {
            fdt.property_u32("cpus", 2).unwrap();
            fdt.property_null("triptych,tee").unwrap();
            fdt.property_string("triptych,name", "linux").unwrap();
        });
        vm(fdt, "domU2", [0x7800_0000, 0x1000], |fdt| fdt.property_u32("triptych,id", 40).unwrap());
    });
    let (machine, vms, skipped) = read(&blob);
    assert!(skipped.is_empty());
    assert_eq!(machine.cpus, [0, 1, 2, 3]);
    assert_eq!(vms[0].id.get(), 1);
    assert_eq!((vms[0].vcpus, vms[0].tee, vms[0].name.as_deref()), (2, true, Some("linux")));
    assert_eq!((vms[0].memory, vms[0].bootargs.as_str()), (64 << 20, "console=ttyAMA0"));
    assert_eq!(vms[0].kernel, Range::new(KERNEL[0], KERNEL[1]));
    assert_eq!((vms[1].id.get(), vms[1].vcpus, vms[1].tee), (40, 1, false));
}

#[test]
fn memory_that_is_used_is_not_free() {
    let (machine, ..) = read(&tree(|fdt| vm(fdt, "domU1", KERNEL, |_| {})));
    for used in [
        IMAGE,
        DTB,
        OPTEE_RESERVED_SHM,
        Range::new(0x4800_0000, 0x1_0000),
        BLOCKED,
        TRACE,
        HIDDEN,
        Range::new(KERNEL[0], KERNEL[1]),
    ] {
        assert!(machine.free.ranges().iter().all(|free| !free.overlaps(&used)), "{used:x?}");
    }
}

#[test]
fn all_that_is_free_is_taken_and_what_is_reserved_never_is() {
    let (mut machine, ..) = read(&tree(|fdt| vm(fdt, "domU1", KERNEL, |_| {})));
    let reserved = [BLOCKED, TRACE, HIDDEN];
    let is_reserved = |range: &Range| reserved.iter().any(|reserved| reserved.overlaps(range));
    // A VM's RAM first, in as many pieces as there may be; then what stacks and heap are made of, page by page.
    let size =
        (1..=1024).rev().map(|blocks| blocks * BLOCK).find(|size| machine.free.clone().take_ram(*size).is_some());
    let ram = machine.free.take_ram(size.unwrap()).unwrap();
    assert!(ram.extents().len() > 3);
    assert!(!ram.extents().iter().any(|extent| is_reserved(&Range::new(extent.pa.0, extent.size))));
    while let Some(range) = machine.free.take(0x1000, 0x1000) {
        assert!(!is_reserved(&range), "{range:x?}");
    }
    assert_eq!(machine.hidden.ranges(), [HIDDEN]);
}

#[test]
fn a_module_in_reserved_memory_is_refused() {
    for range in [BLOCKED, HIDDEN, Range::new(TRACE.end() - 0x1000, 0x2000)] {
        assert!(reason([range.base, range.size], |_| {}).contains("overlaps the hypervisor or reserved memory"));
    }
}

#[test]
fn a_vm_that_cannot_run_is_named_and_the_others_are_kept() {
    let blob = tree(|fdt| {
        vm(fdt, "domU1", KERNEL, |_| {});
        vm(fdt, "domU2", [0x7008_0000, 0x1000], |_| {});
        vm(fdt, "domU3", [0x7400_0000, 0x1000], |_| {});
    });
    let (_, vms, skipped) = read(&blob);
    assert_eq!(vms.iter().map(|vm| vm.id.get()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(skipped[0].node, "domU2");
    assert_eq!(skipped[0].reason, "kernel at 0x70080000, 4096 bytes, overlaps the kernel of domU1: load them apart");
}

#[test]
fn every_mistake_is_told() {
    assert!(reason([0x7F00_0000, 0x1000], |_| {}).ends_with("is missing: nothing was loaded there"));
    assert!(reason([0x7000_0000, 0], |_| {}).contains("empty kernel"));
    assert!(reason([0xBFFF_F000, 0x2000], |_| {}).contains("is not in memory"));
    assert!(reason([u64::MAX, 2], |_| {}).contains("is not in memory"));
    assert!(reason([0x6000_1000, 0x1000], |_| {}).contains("overlaps the hypervisor"));
    assert!(reason(KERNEL, |fdt| fdt.property_u32("cpus", 9).unwrap()).contains("asks for 9 CPUs"));
    assert!(reason(KERNEL, |fdt| fdt.property_u32("cpus", 0).unwrap()).contains("asks for 0 CPUs"));
    assert!(reason(KERNEL, |fdt| fdt.property_u32("triptych,id", 0).unwrap()).contains("that no VM can have"));
    assert!(reason(KERNEL, |fdt| fdt.property_u32("triptych,id", 0x1_0001).unwrap()).contains("that no VM can have"));
    assert!(reason(KERNEL, |fdt| fdt.property_null("triptych,te").unwrap()).contains("unknown property triptych,te"));
    assert!(reason(KERNEL, |fdt| fdt.property("cpus", &[1, 2, 3]).unwrap()).contains("3 bytes"));
}

#[test]
fn a_property_that_is_renamed_says_its_new_name() {
    let said = reason(KERNEL, |fdt| fdt.property_u32("triptych,vmid", 40).unwrap());
    assert_eq!(said, "has a property triptych,vmid, which is called triptych,id now");
}

#[test]
fn two_vms_cannot_have_one_id() {
    let blob = tree(|fdt| {
        vm(fdt, "domU1", KERNEL, |fdt| fdt.property_u32("triptych,id", 2).unwrap());
        vm(fdt, "domU2", [0x7800_0000, 0x1000], |_| {});
    });
    let (_, vms, skipped) = read(&blob);
    assert_eq!(vms.len(), 1);
    assert!(skipped[0].reason.contains("the id 2 of domU1"));
}

#[test]
fn what_no_vm_can_have_is_told_too() {
    let patched = |from: &[u8], to: &[u8]| {
        let mut blob = tree(|fdt| vm(fdt, "domU1", KERNEL, |_| {}));
        let at = blob.windows(from.len()).rposition(|bytes| bytes == from).unwrap();
        blob[at..at + to.len()].copy_from_slice(to);
        read(&blob).2[0].reason.clone()
    };
    assert!(patched(b"console=ttyAMA0", b"console\0").contains("no command line"));
    let most = u64::MAX / 1024;
    assert!(patched(&65536u64.to_be_bytes(), &most.to_be_bytes()).contains("such as 66060288"));
    assert!(patched(&65536u64.to_be_bytes(), &0u64.to_be_bytes()).contains("such as 2048"));
    assert!(patched(&65536u64.to_be_bytes(), &(most + 1).to_be_bytes()).contains("beyond all bounds"));
    assert!(patched(&65536u64.to_be_bytes(), &66060289u64.to_be_bytes()).contains("such as 66060288"));
}

#[test]
fn memory_comes_in_whole_blocks() {
    let with = |kib: u64| {
        let mut blob = tree(|fdt| vm(fdt, "domU1", KERNEL, |_| {}));
        let at = blob.windows(8).rposition(|bytes| bytes == 65536u64.to_be_bytes()).unwrap();
        blob[at..at + 8].copy_from_slice(&kib.to_be_bytes());
        let tree = Fdt::new(&blob).unwrap();
        let asked = vms(&tree, &machine(&tree, IMAGE, Range::new(0x4800_0000, 0x1_0000)), |_| false);
        (asked.vms[0].memory >> 10, asked.remarks.first().map(|remark| remark.text.clone()))
    };
    assert_eq!(with(65536), (65536, None));
    assert_eq!(with(66060288), (66060288, None));
    let (memory, remark) = with(513 << 10);
    assert_eq!(
        (memory, remark.unwrap()),
        (514 << 10, "asks for 525312 KiB of memory, and gets 526336: it comes in pieces of 2048".into())
    );
    assert_eq!(with(1).0, 2048);
}

#[test]
fn a_vm_has_the_tee_by_our_property_or_by_xens() {
    let tee = |more: &dyn Fn(&mut FdtWriter)| {
        let (vm, remarks) = remarks(|_| {}, more);
        (vm.tee, remarks.len())
    };
    let xen = |fdt: &mut FdtWriter, kind| fdt.property_string("xen,tee", kind).unwrap();
    let ours = |fdt: &mut FdtWriter| fdt.property_null("triptych,tee").unwrap();
    assert_eq!(tee(&|_| {}), (false, 0));
    assert_eq!(tee(&|fdt| xen(fdt, "optee")), (true, 0));
    assert_eq!(tee(&|fdt| xen(fdt, "none")), (false, 0));
    assert_eq!(tee(&ours), (true, 0));
    assert_eq!(
        tee(&|fdt| {
            ours(fdt);
            xen(fdt, "none")
        }),
        (true, 0)
    );
    assert_eq!(tee(&|fdt| xen(fdt, "ffa")), (false, 1));
    assert_eq!(
        tee(&|fdt| {
            ours(fdt);
            xen(fdt, "ffa")
        }),
        (true, 1)
    );
    let text = said(|fdt| xen(fdt, "ffa"));
    assert_eq!(text, ["domU1 has xen,tee = \"ffa\", which is neither \"optee\" nor \"none\": it gets no TEE"]);
}

#[test]
fn a_wish_of_xens_that_is_not_followed_is_said_once() {
    for name in [
        "direct-map",
        "xen,static-mem",
        "passthrough",
        "xen,enhanced",
        "max_grant_version",
        "max_grant_frames",
        "max_maptrack_frames",
        "xen,domain-p2m-mem-mb",
        "nr_spis",
        "sve",
        "llc-colors",
        "domain-cpupool",
        "capabilities",
        "trap-unmapped-accesses",
        "xen,sci_type",
        "v8r_el1_msa",
        "#xen,static-mem-address-cells",
    ] {
        let text = said(|fdt| fdt.property_null(name).unwrap());
        assert_eq!(text.len(), 1, "{name}");
        assert!(text[0].starts_with(&format!("domU1 has {name}, which is not followed: ")), "{}", text[0]);
    }
    let direct = said(|fdt| fdt.property_null("direct-map").unwrap());
    assert!(direct[0].ends_with("its RAM begins at 0x40000000 for it, wherever that is in the machine"));
}

#[test]
fn a_wish_for_what_every_vm_has_is_not_worth_a_word() {
    let quiet = said(|fdt| {
        fdt.property_null("vpl011").unwrap();
        fdt.property_string("passthrough", "disabled").unwrap();
        fdt.property_string("xen,enhanced", "disabled").unwrap();
        fdt.property_string("xen,sci_type", "none").unwrap();
        fdt.property_string("v8r_el1_msa", "mmu").unwrap();
        fdt.property_u32("sve", 0).unwrap();
        fdt.property_u32("capabilities", 0).unwrap();
        fdt.property_u32("trap-unmapped-accesses", 1).unwrap();
    });
    assert_eq!(quiet, [""; 0]);
    assert_eq!(said(|fdt| fdt.property_u32("sve", 128).unwrap()).len(), 1);
    assert_eq!(said(|fdt| fdt.property_u32("trap-unmapped-accesses", 0).unwrap()).len(), 1);
    assert_eq!(said(|fdt| fdt.property_string("passthrough", "enabled").unwrap()).len(), 1);
}

#[test]
fn what_nobody_knows_is_said_too() {
    assert_eq!(said(|fdt| fdt.property_null("xen,tea").unwrap()), ["domU1 has xen,tea, which means nothing here"]);
    assert_eq!(said(|fdt| fdt.property_u32("vcpus", 2).unwrap()), ["domU1 has vcpus, which means nothing here"]);
}

/// A node in another one, compatible with this.
fn child(fdt: &mut FdtWriter, name: &str, compatible: &[&str]) {
    let node = fdt.begin_node(name).unwrap();
    fdt.property_string_list("compatible", compatible.iter().map(|name| name.to_string()).collect()).unwrap();
    fdt.property_array_u64("reg", &[0x7A00_0000, 0x1000]).unwrap();
    fdt.end_node(node).unwrap();
}

#[test]
fn nodes_of_xens_that_are_not_followed_are_said() {
    for kind in [
        "multiboot,device-tree",
        "xen,vcpu",
        "xen,evtchn-v1",
        "xen,evtchn",
        "xen,domain-shared-memory-v1",
        "xen,xsm-policy",
    ] {
        let text = said(|fdt| child(fdt, "some@7a000000", &[kind, "multiboot,module"]));
        let begin = format!("domU1 has some@7a000000, compatible with \"{kind}\", which is not followed: ");
        assert!(text.len() == 1 && text[0].starts_with(&begin), "{text:?}");
    }
    let module = said(|fdt| child(fdt, "module@7a000000", &["multiboot,module"]));
    assert_eq!(
        module,
        ["domU1 has module@7a000000, a module that is neither \"multiboot,kernel\" nor \"multiboot,ramdisk\": \
             it is not used"]
    );
    assert_eq!(said(|fdt| child(fdt, "x", &["y"])), ["domU1 has x, which means nothing here"]);
    let second = said(|fdt| child(fdt, "module@7a000000", &["multiboot,kernel", "multiboot,module"]));
    assert_eq!(second, ["domU1 has more than one kernel: the first one counts"]);
}

#[test]
fn a_module_that_is_not_used_is_not_free_memory_either() {
    let blob = tree(|fdt| {
        vm(fdt, "domU1", KERNEL, |fdt| child(fdt, "t@7a000000", &["multiboot,device-tree", "multiboot,module"]))
    });
    let (machine, ..) = read(&blob);
    assert!(machine.free.ranges().iter().all(|free| !free.overlaps(&Range::new(0x7A00_0000, 0x1000))));
}

#[test]
fn what_chosen_and_devices_ask_for_is_said() {
    let text = remarks(
        |fdt| {
            for name in [
                "xen,xen-bootargs",
                "xen,static-heap",
                "xen,other",
                "triptych,other",
                "triptych,ballast",
                "triptych,tee",
                "other",
            ] {
                fdt.property_null(name).unwrap();
            }
            child(fdt, "module@7a000000", &["multiboot,kernel", "multiboot,module"]);
            child(fdt, "pool", &["xen,cpupool"]);
            let node = fdt.begin_node("device").unwrap();
            fdt.property_null("xen,passthrough").unwrap();
            fdt.end_node(node).unwrap();
        },
        |_| {},
    );
    assert_eq!(
        text.1,
        [
            "/chosen has xen,xen-bootargs, which is not followed: the hypervisor has no command line",
            "/chosen has xen,static-heap, which is not followed: the hypervisor's heap is taken from what is free",
            "/chosen has xen,other, which means nothing here",
            "/chosen has triptych,other, which means nothing here",
            "/chosen has module@7a000000, a module for a dom0, which there is not: it is not used",
            "/chosen has pool, compatible with \"xen,cpupool\", which is not followed: there is one pool, of all CPUs",
            "device has xen,passthrough, which is not followed: no device is given to a VM",
        ]
    );
}

#[test]
fn the_names_of_xen_4_4_are_taken() {
    let blob = tree(|fdt| {
        let node = fdt.begin_node("domU1").unwrap();
        fdt.property_string("compatible", "xen,domain").unwrap();
        fdt.property_u64("memory", 65536).unwrap();
        fdt.property_u32("#address-cells", 2).unwrap();
        fdt.property_u32("#size-cells", 2).unwrap();
        child(fdt, "kernel", &["xen,linux-zimage", "xen,multiboot-module"]);
        let ramdisk = fdt.begin_node("ramdisk").unwrap();
        fdt.property_string_list("compatible", vec!["xen,linux-initrd".into(), "xen,multiboot-module".into()]).unwrap();
        fdt.property_array_u64("reg", &[0x7B00_0000, 0x2000]).unwrap();
        fdt.end_node(ramdisk).unwrap();
        fdt.end_node(node).unwrap();
    });
    let (machine, vms, skipped) = read(&blob);
    assert_eq!(skipped, []);
    assert_eq!(vms[0].kernel, Range::new(0x7A00_0000, 0x1000));
    assert_eq!(vms[0].ramdisk, Some(Range::new(0x7B00_0000, 0x2000)));
    for module in [vms[0].kernel, vms[0].ramdisk.unwrap()] {
        assert!(machine.free.ranges().iter().all(|free| !free.overlaps(&module)));
    }
}

#[test]
fn a_vm_says_where_its_images_are_to_be() {
    let places = |more: &dyn Fn(&mut FdtWriter)| remarks(|_| {}, more).0.places;
    assert_eq!(places(&|_| {}), Wish::default());
    let wish = places(&|fdt| {
        fdt.property_string("triptych,dtb", "after-kernel").unwrap();
        fdt.property_u64("triptych,kernel-address", 0x4008_0000).unwrap();
        fdt.property_u32("triptych,kernel-entry", 0x4008_0040).unwrap();
    });
    assert_eq!(
        wish,
        Wish { dtb: DtbPlace::AfterKernel, kernel: Some(Ipa(0x4008_0000)), entry: Some(Ipa(0x4008_0040)) }
    );
    assert!(reason(KERNEL, |fdt| fdt.property_string("triptych,dtb", "on-top").unwrap()).contains("after-kernel"));
}

#[test]
fn hardening_is_a_wish_that_the_tree_says() {
    assert!(!read(&tree(|_| {})).0.harden_branch_predictor);
    let (machine, ..) = read(&tree(|fdt| fdt.property_null("triptych,harden-predictor").unwrap()));
    assert!(machine.harden_branch_predictor);
}

/// What is read of a node for the TEE with these interrupts, and what is said of it.
fn notification(interrupts: Option<&[u32]>) -> (Option<u32>, usize) {
    let mut fdt = FdtWriter::new().unwrap();
    let nodes = ["", "firmware", "optee"].map(|name| fdt.begin_node(name).unwrap());
    if let Some(interrupts) = interrupts {
        fdt.property_array_u32("interrupts", interrupts).unwrap();
    }
    nodes.into_iter().rev().for_each(|node| fdt.end_node(node).unwrap());
    let blob = fdt.finish().unwrap();
    let tree = Fdt::new(&blob).unwrap();
    let machine = machine(&tree, IMAGE, Range::new(0x4800_0000, 0x1_0000));
    let remarks = vms(&tree, &machine, |_| false).remarks;
    assert!(remarks.iter().all(|remark| remark.node == "/firmware/optee" && remark.text.contains("no notifications")));
    (machine.notification, remarks.len())
}

#[test]
fn the_tee_notifies_by_the_one_spi_that_its_node_names() {
    assert_eq!(notification(Some(&[0, 187, 1])), (Some(219), 0));
    assert_eq!(notification(Some(&[0, 987, 1])), (Some(1019), 0));
    assert_eq!(notification(None), (None, 0));
    let (no_spi, no_edge, consoles) = ([1, 9, 1], [0, 187, 4], [0, UART - 32, 1]);
    for other in [&no_spi[..], &no_edge, &consoles, &[0, 988, 1], &[0, 187], &[0, 187, 1, 0, 188, 1], &[]] {
        assert_eq!(notification(Some(other)), (None, 1), "{other:?}");
    }
    assert_eq!(read(&tree(|_| {})).0.notification, None);
}
