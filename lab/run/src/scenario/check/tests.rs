// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is refused, with the very words.

use crate::scenario::Scenario;
use std::path::Path;

const GOOD: &str = "\
name = 'two'
summary = 'Two VMs.'

[machine]
cpu = 'max,pauth-impdef=on'
also-on = ['cortex-a57']
memory = '2G'

[chain]
tee = true

[[vm]]
name = 'linux'
kernel = 'linux'
initramfs = 'linux'
memory = '256M'
tee = true
bootargs = 'quiet'
[[vm]]
name = 'bare'
kernel = 'bare-guest'
memory = '16M'
tee = true
bootargs = 'print=word'

[[send]]
to = 'vm1'
after = 'linux#'
text = 'exit'

[[expect]]
from = 'vm1'
line = 'hello'

[[expect]]
from = 'HYP'
regex = 'image (\\d+) KiB'
at-most = 512
";

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text, Path::new("s/two.toml")).map_err(|error| error.to_string())
}

/// Returns what is said of the good scenario with one thing changed.
#[track_caller]
fn refused(changes: &[(&str, &str, &str)]) {
    assert_eq!(parse(GOOD).err(), None);
    for (old, new, message) in changes {
        assert!(GOOD.contains(old), "{old}");
        let text = GOOD.replacen(old, new, 1);
        assert_eq!(parse(&text).expect_err(new), format!("s/two.toml:{message}"), "{new}");
    }
}

/// Returns what is taken of the good scenario with one thing changed.
#[track_caller]
fn taken(changes: &[(&str, &str)]) {
    for (old, new) in changes {
        assert!(GOOD.contains(old), "{old}");
        assert_eq!(parse(&GOOD.replacen(old, new, 1)).err(), None, "{new}");
    }
}

#[test]
fn a_machine_that_the_layers_do_not_take_is_refused() {
    refused(&[
        ("'two'", "'../two'", "1: a name is made of a-z, 0-9 and `-`: it names a folder"),
        ("[machine]", "timeout = 0\n[machine]", "4: 0 seconds; 1 to 86400 are possible"),
        ("[machine]", "timeout = 9999999999\n[machine]", "4: 9999999999 seconds; 1 to 86400 are possible"),
        ("memory = '2G'", "icount-shift = 4", "7: 4; 0 to 10 are possible, and only with `icount`"),
        ("memory = '2G'", "cpus = 9", "7: 9 CPUs; the layers have room for 1 to 8"),
        ("memory = '2G'", "cpus = 0", "7: 0 CPUs; the layers have room for 1 to 8"),
        ("memory = '2G'", "memory = '512M'", "7: 512M; the machine needs 513M or more, in whole megabytes"),
        ("memory = '2G'", "memory = '2097153K'", "7: 2097153K; the machine needs 513M or more, in whole megabytes"),
        ("['cortex-a57']", "['cortex-a57', 'max']", "6: `max` is named twice, and each run is called after its model"),
        ("tee = true", "tee = false\ndamage = { flip = 'bl32' }", "11: there is no BL32 to damage: `tee` is false"),
        ("memory = '2G'", "secure-memory = 0", "7: it is zero at the start as it is"),
        (
            "memory = '2G'",
            "late-cpus = { from = 'probe', line = 'a' }",
            "7: `probe` is nobody here: EL3, TEE, HYP, vm1 and vm2 speak",
        ),
        (
            "memory = '2G'",
            "late-cpus = { from = 'HYP', line = '' }",
            "7: it is part of every line; name the line to wait for",
        ),
        (
            "memory = '2G'",
            "cpus = 1\nlate-cpus = { from = 'HYP', line = 'a' }",
            "8: the machine has one CPU, and the first one is never late",
        ),
    ]);
    taken(&[("memory = '2G'", "resets = true\nsecure-memory = 1\nlate-cpus = { from = 'vm2', line = 'a' }")]);
    let probe = "name = 'a'\nsummary = 'b'\n[chain]\nnormal-world = 'probe'\nharden-branch-predictor = true\n\
                 [[step]]\nwait-ms = 1\n";
    let message = "5: it is the hypervisor that would do this, and `normal-world` is the probe";
    assert_eq!(parse(probe).unwrap_err(), format!("s/two.toml:{message}"));
    let only = format!("{GOOD}only-with = {{ tee = 'our' }}\n");
    assert!(parse(&only).unwrap_err().ends_with("`our` is no layer's"), "{:?}", parse(&only));
    let xen = "normal-world = { package = 'xen' }";
    for (chain, rest, message) in [
        ("bootargs = 'quiet'", "", "4: it is for a normal world that is not ours; a VM has its own"),
        (
            "normal-world = 'linux'\nkernel = 'linux'",
            "",
            "5: `normal-world` is the kernel; another one is `normal-world = { image = \"FILE\" }`",
        ),
        (&format!("{xen}\nhypervisor-bootargs = 'a'"), "", "5: a hypervisor has a `kernel` to start"),
        (
            xen,
            "[[vm]]\nname = 'a'\nmemory = '16M'\n",
            "4: VMs need a hypervisor: one that is not ours has a `kernel` to start first",
        ),
        (
            &format!("{xen}\nkernel = 'linux'"),
            "[[vm]]\nname = 'a'\nmemory = '16M'\nid = 7\n",
            "9: only our hypervisor knows of `id`, and `normal-world` is another",
        ),
        (&format!("{xen}\ninitramfs = 'none'"), "", "5: there is no file s/none"),
        (
            "normal-world = 'linux'\ninitramfs = 'linux-xtest'\nbootargs = 'triptych.xtest=1001,9999'",
            "",
            "6: `triptych.xtest=1001,9999`: the suite has no case `9999`",
        ),
    ] {
        let text = format!("name = 'a'\nsummary = 'b'\n[chain]\n{chain}\n{rest}[[expect]]\nfrom = 'EL3'\n");
        assert_eq!(parse(&text).unwrap_err(), format!("s/two.toml:{message}"), "{chain}");
    }
}

#[test]
fn a_vm_that_the_hypervisor_would_skip_is_refused_in_the_scenarios_words() {
    refused(&[
        ("'16M'", "'513M'", "22: 513M; a VM has a multiple of 2M, at most 63G: 514M, say"),
        ("'16M'", "'1024K'", "22: 1M; a VM has a multiple of 2M, at most 63G: 2M, say"),
        ("'16M'", "'0'", "22: 0; a VM has a multiple of 2M, at most 63G: 2M, say"),
        ("'16M'", "'64G'", "22: 64G; a VM has a multiple of 2M, at most 63G: 63G, say"),
        ("'16M'", "'16Q'", "22: `16Q` is no size; write 64K, 512M or 2G"),
        ("'16M'", "'16M'\ncpus = 9", "23: 9 CPUs; a VM has 1 to 8"),
        ("'16M'", "'16M'\ncpus = 0", "23: 0 CPUs; a VM has 1 to 8"),
        ("'16M'", "'16M'\nid = 0", "23: 0; a VM's id is 1 to 65535"),
        ("'16M'", "'16M'\nid = 65536", "23: 65536; a VM's id is 1 to 65535"),
        ("'16M'", "'16M'\nid = 1", "23: it is vm1, and so is `linux`: give one of them another `id`"),
        ("'256M'", "'256M'\nid = 2", "21: it is vm2, and so is `linux`: give one of them another `id`"),
        ("'bare'", "'linux'", "20: there are two VMs `linux`"),
        ("'bare'", "'Bare'", "20: a name is made of a-z, 0-9 and `-`: it names a node and files"),
        (
            "'16M'",
            "'1792M'",
            "22: the VMs up to this one have 2G together, the machine 2G: give them less, or it more \
             (`[machine] memory`)",
        ),
        ("'quiet'", "\"qu\\niet\"", "18: a command line is one line, without control characters"),
    ]);
    let long = GOOD.replace("'quiet'", &format!("'{}'", "x".repeat(4097)));
    assert_eq!(parse(&long).unwrap_err(), "s/two.toml:18: 4097 bytes; a command line has at most 4096");
    let mut many = GOOD.replace("'2G'", "'8G'");
    for number in 3..=65 {
        many += &format!("[[vm]]\nname = 'guest-{number}'\nkernel = 'bare-guest'\nmemory = '2M'\n");
    }
    assert!(parse(&many).unwrap_err().ends_with("one VM too many: there can be 64"));
    let mut wide = GOOD.replace("'2G'", "'8G'\ncpus = 1");
    for number in 3..=10 {
        wide += &format!("[[vm]]\nname = 'guest-{number}'\nkernel = 'bare-guest'\nmemory = '2M'\ncpus = 8\n");
    }
    let said = parse(&wide).unwrap_err();
    assert!(said.ends_with("the VMs up to this one have 66 CPUs together, and the machine's take 64"), "{said}");
}

#[test]
fn a_key_of_a_vm_that_would_be_ignored_is_refused() {
    let nothing = "means nothing without a `kernel`";
    refused(&[
        (
            "kernel = 'bare-guest'",
            "kernel = 'bare-gest'",
            "21: there is no file s/bare-gest; `linux`, `bare-guest`, `probe` and `contract` need none",
        ),
        (
            "initramfs = 'linux'",
            "initramfs = 'lnux'",
            "15: there is no file s/lnux; `linux` and `linux-xtest` need none",
        ),
        ("'16M'", "'16M'\ninitramfs = 'linux'", "23: the bare guest reads no RAM disk"),
        ("'16M'", "'16M'\nplay = 'list'", "23: only the probe plays lists of steps, and the kernel is `bare-guest`"),
        ("kernel = 'bare-guest'\n", "", &format!("23: `bootargs` {nothing}")),
        ("kernel = 'linux'\n", "", &format!("14: `initramfs` {nothing}")),
        (
            "kernel = 'bare-guest'\nmemory = '16M'\ntee = true\nbootargs = 'print=word'",
            "memory = '16M'\nkernel-ballast = '1M'",
            &format!("22: `kernel-ballast` {nothing}"),
        ),
        (
            "'16M'",
            "'16M'\nproperties = { memory = 1 }",
            "23: `memory` is no property that can be written there, or has a key of its own",
        ),
        (
            "'16M'",
            "'16M'\nproperties = { 'triptych,tee' = true }",
            "23: `triptych,tee` is no property that can be written there, or has a key of its own",
        ),
        (
            "'16M'",
            "'16M'\nproperties = { 'direct-map' = false }",
            "23: `direct-map` is no property that can be written there, or has a key of its own",
        ),
        (
            "kernel = 'bare-guest'\nmemory = '16M'\ntee = true\nbootargs = 'print=word'",
            "memory = '16M'\ndtb = 'after-kernel'",
            &format!("22: `dtb` {nothing}"),
        ),
        (
            "kernel = 'bare-guest'\nmemory = '16M'\ntee = true\nbootargs = 'print=word'",
            "memory = '16M'\nkernel-module = { size = 1 }",
            &format!("22: `kernel-module` {nothing}"),
        ),
        (
            "kernel = 'bare-guest'\nmemory = '16M'\ntee = true\nbootargs = 'print=word'",
            "memory = '16M'\nplay = 'x'",
            &format!("22: `play` {nothing}"),
        ),
        (
            "'bare-guest'",
            "'probe'",
            "24: the probe reads no command line: it plays [[step]], or the list that `play` names",
        ),
        (
            "kernel = 'bare-guest'\nmemory = '16M'",
            "kernel = 'probe'\ninitramfs = 'linux'\nmemory = '16M'",
            "22: the probe's script is its RAM disk",
        ),
    ]);
    taken(&[("kernel = 'bare-guest'\nmemory = '16M'\ntee = true\nbootargs = 'print=word'", "memory = '16M'")]);
}

#[test]
fn steps_that_a_guest_would_not_play_are_refused() {
    refused(&[
        ("'print=word'", "'quiet'", "24: `quiet` is no step of the bare guest, which takes every word for one"),
        (
            "'print=word'",
            "'vault.put=a'",
            "24: `vault.put=a` is no step of the bare guest, which takes every word for one",
        ),
        (
            "tee = true\nbootargs = 'print=word'",
            "bootargs = 'print=word'",
            "23: the bare guest plays no step without a TEE, and `tee` is not true",
        ),
        (
            "[chain]\ntee = true",
            "[chain]\ntee = false",
            "24: the bare guest plays no step without a TEE, and `[chain] tee` is false",
        ),
        ("'quiet'", "'quiet triptych.vault.gt=a'", "18: `triptych.vault.gt=a` is no step of the Linux guest"),
        ("'quiet'", "'triptych.interrupts='", "18: `triptych.interrupts=` is no step of the Linux guest"),
        ("'quiet'", "'triptych.read=0x8000000'", "18: `triptych.read=0x8000000` is no step of the Linux guest"),
        (
            "tee = true\nbootargs = 'quiet'",
            "bootargs = 'triptych.vault.get=a'",
            "17: `triptych.vault.get=a` needs the TEE, and `tee` is not true",
        ),
        (
            "initramfs = 'linux'\nmemory = '256M'\ntee = true\nbootargs = 'quiet'",
            "memory = '256M'\ntee = true\nbootargs = 'triptych.poweroff'",
            "17: it is the `initramfs` that plays steps, and there is none",
        ),
    ]);
    taken(&[
        ("'quiet'", "'quiet triptych.vault.put=a:b triptych.wait-line triptych.shell'"),
        ("'quiet'", "'quiet triptych.interrupts=timer'"),
        ("tee = true\nbootargs = 'quiet'", "bootargs = 'triptych.print=word triptych.poweroff'"),
        ("tee = true\nbootargs = 'print=word'", ""),
    ]);
}

#[test]
fn an_expectation_that_says_nothing_or_can_never_be_met_is_refused() {
    let all = "EL3, TEE, HYP, vm1 and vm2 speak";
    let any = "without `line` and `regex` any line meets an expectation";
    refused(&[
        ("from = 'vm1'", "from = 'EL4'", &format!("32: `EL4` is nobody here: {all}")),
        ("from = 'vm1'", "from = 'vm7'", &format!("32: `vm7` is nobody here: {all}")),
        ("from = 'vm1'\nline = 'hello'", "from = 'vm7'\nabsent = true", &format!("32: `vm7` is nobody here: {all}")),
        ("from = 'vm1'", "from = 'vm01'", &format!("32: `vm01` is nobody here: {all}")),
        ("from = 'vm1'", "from = 'probe'", &format!("32: `probe` is nobody here: {all}")),
        ("line = 'hello'", "line = ''", &format!("33: it is part of every line; {any}")),
        (
            "line = 'hello'",
            "line = \"a\\tb\"",
            &format!("33: no line has control characters: a tab is a space in them; {any}"),
        ),
        ("line = 'hello'", "regex = ''", &format!("33: it is found in lines that say nothing; {any}")),
        ("line = 'hello'", "regex = '(PASS)?'", &format!("33: it is found in lines that say nothing; {any}")),
        ("line = 'hello'", "regex = '.'", &format!("33: it is found in lines that say nothing; {any}")),
        ("line = 'hello'", "line = 'hello'\nregex = 'hello'", "33: an expectation has either a `line` or a `regex`"),
        ("line = 'hello'", "line = 'hello'\ncount = 0", "34: write `absent = true` for what must not be seen"),
        ("line = 'hello'", "absent = true\ncount = 1", "33: what is absent has no count and no bounds"),
        (
            "regex = 'image (\\d+) KiB'",
            "regex = 'image'",
            "37: `at-most` and `at-least` are about the first group of a `regex`",
        ),
        ("at-most = 512", "at-most = 512\nat-least = 513", "39: no number is at least 513 and at most 512"),
        ("at-most = 512", "at-most = nan", "38: a bound is a number"),
        (
            "line = 'hello'",
            "on = ['max', 'cortex-a53']",
            "33: the scenario doesn't run on `cortex-a53`, but on max and cortex-a57",
        ),
        ("line = 'hello'", "in-order = true", "33: no expectation stands before it"),
        (
            "line = 'hello'\n\n[[expect]]",
            "line = 'hello'\nabsent = true\n\n[[expect]]\nin-order = true",
            "37: the expectation before it is `absent`: no line will meet it",
        ),
        (
            "line = 'hello'\n\n[[expect]]",
            "on = ['max']\n\n[[expect]]\nin-order = true",
            "36: the expectation before it does not count on cortex-a57",
        ),
    ]);
    let said = parse(&GOOD.replace("line = 'hello'", "regex = 'hello('")).unwrap_err();
    assert!(said.starts_with("s/two.toml:33: regex parse error") && said.contains("unclosed group"), "{said}");
    taken(&[
        (
            "line = 'hello'\n\n[[expect]]",
            "on = ['max']\n\n[[expect]]\nfrom = 'EL3'\non = ['max']\nin-order = true\n\n[[expect]]",
        ),
        ("line = 'hello'", "regex = '^runtime '"),
        ("line = 'hello'", "regex = '\\d'"),
    ]);
}

#[test]
fn expectations_that_a_machine_meets_by_doing_nothing_are_refused() {
    let head = "name = 'two'\nsummary = 's'\n[machine]\ncpu = 'max'\nalso-on = ['cortex-a57']\n";
    assert_eq!(parse(head).unwrap_err(), "s/two.toml:1: nothing is expected: add an [[expect]]");
    let absent = "[[expect]]\nfrom = 'HYP'\nabsent = true\n";
    let message = |model: &str| {
        format!(
            "s/two.toml:1: all that is expected on {model} is `absent`, so a machine that did nothing would do: \
             expect a line, too"
        )
    };
    assert_eq!(parse(&format!("{head}{absent}")).unwrap_err(), message("max"));
    let on_max = "[[expect]]\nfrom = 'EL3'\non = ['max']\n";
    assert_eq!(parse(&format!("{head}{absent}{on_max}")).unwrap_err(), message("cortex-a57"));
    assert_eq!(parse(&format!("{head}{on_max}")).unwrap_err(), "s/two.toml:1: nothing is expected on cortex-a57");
    assert_eq!(parse(&format!("{head}{absent}{}", on_max.replace("on = ['max']", ""))).err(), None);
}

#[test]
fn who_is_not_in_the_machine_does_not_speak() {
    let expect = |from: &str, more: &str| format!("[[expect]]\nfrom = 'EL3'\n[[expect]]\nfrom = '{from}'\n{more}");
    let head = "name = 'two'\nsummary = 's'\n[chain]\ntee = false\n";
    let said = parse(&format!("{head}{}", expect("TEE", ""))).unwrap_err();
    assert_eq!(said, "s/two.toml:8: `TEE` is nobody here: EL3 and HYP speak");
    let said = parse(&format!("{head}{}", expect("TEE", "absent = true\nline = 'ready'"))).unwrap_err();
    assert_eq!(said, "s/two.toml:8: `TEE` is nobody here: EL3 and HYP speak");
    // That it is silent shows that it was left out.
    assert_eq!(parse(&format!("{head}{}", expect("TEE", "absent = true"))).err(), None);

    let head = "name = 'two'\nsummary = 's'\n[chain]\nnormal-world = 'probe'\n[[step]]\nwait-ms = 1\n";
    let said = parse(&format!("{head}{}", expect("HYP", "absent = true"))).unwrap_err();
    assert_eq!(said, "s/two.toml:10: `HYP` is nobody here: EL3, TEE and probe speak");

    let head =
        "name = 'two'\nsummary = 's'\n[[vm]]\nname = 'a'\nkernel = 'probe'\nmemory = '4M'\n[[step]]\nwait-ms = 1\n";
    let said = parse(&format!("{head}{}", expect("probe", ""))).unwrap_err();
    let speak = "EL3, TEE, HYP and vm1 speak, and a VM's probe speaks as the VM";
    assert_eq!(said, format!("s/two.toml:12: `probe` is nobody here: {speak}"));
}

#[test]
fn what_would_never_be_typed_is_refused() {
    refused(&[
        ("to = 'vm1'", "to = 'vm3'", "27: there is no VM `vm3`, but vm1 and vm2"),
        ("after = 'linux#'", "after = ''", "28: it is part of every line; name the line, or the prompt, to wait for"),
        (
            "after = 'linux#'",
            "after = \"a\\nb\"",
            "28: no line has control characters: a tab is a space in them; name the line, or the prompt, to wait for",
        ),
        (
            "after = 'linux#'",
            "after = 'linux#'\nfrom = 'vm3'",
            "29: `vm3` is nobody here: EL3, TEE, HYP, vm1 and vm2 speak",
        ),
        (
            "text = 'exit'",
            "text = \"\\u0001n\"",
            "29: Ctrl-A is for the hypervisor, which then takes the next key itself",
        ),
        ("text = 'exit'", "text = 'exit'\ntimes = 0", "30: 0 times; once or more, and 65536 bytes at most"),
        (
            "text = 'exit'",
            "text = 'exit'\ntimes = 1000000000000",
            "30: 1000000000000 times; once or more, and 65536 bytes at most",
        ),
    ]);
}
