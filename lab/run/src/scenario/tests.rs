// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;

const GOOD: &str = "\
name = 'two'
summary = 'Two VMs.'

[machine]
cpu = 'max,pauth-impdef=on'
also-on = ['cortex-a57']

[[vm]]
name = 'linux'
kernel = 'linux'
memory = '256M'
tee = true

[[vm]]
name = 'bare'
kernel = 'bare-guest'
memory = '16M'

[[expect]]
from = 'vm1'
line = 'hello'
on = ['max']

[[expect]]
from = 'HYP'
regex = 'image (\\d+) KiB'
at-most = 512
";

fn parse(text: &str) -> Result<Scenario, Error> {
    Scenario::parse(text, Path::new("scenarios/two.toml"))
}

fn complaint(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old));
    parse(&GOOD.replacen(old, new, 1)).expect_err("a mistake").to_string()
}

#[test]
fn a_scenario_is_read_with_its_defaults() {
    let scenario = parse(GOOD).unwrap();
    assert_eq!(scenario.vms[0].memory, Size(256 << 20));
    assert_eq!(scenario.machine.cpus, 2);
    assert!(scenario.chain.tee.is_some() && !scenario.slow);
    assert_eq!(scenario.end, End::PowersOff);
    assert_eq!(scenario.cpu("max").unwrap(), "max,pauth-impdef=on");
    // One more is implied of each guest.
    assert_eq!(scenario.expects_on("cortex-a57").len(), 1 + 1);
    assert_eq!(scenario.expects_on("max,pauth-impdef=on").len(), 2 + 1);
    assert!(scenario.cpu("cortex-a72").unwrap_err().to_string().contains("max, cortex-a57"));
}

#[test]
fn layers_are_named_and_the_tee_may_be_left_out() {
    let with = |key: &str| parse(&format!("{GOOD}[chain]\n{key}\n"));
    let package = |name: &str, build: Option<&str>| {
        Foreign::Package(Package { package: name.into(), build: build.map(str::to_owned) })
    };
    for (value, tee) in [
        ("true", Some(TeeLayer::Usual)),
        ("'ours'", Some(TeeLayer::Ours)),
        ("false", None),
        ("'as-reported'", Some(TeeLayer::Featured(vec!["as-reported".into()]))),
        ("{ image = 'tee.bin' }", Some(TeeLayer::Foreign(Foreign::Image("tee.bin".into())))),
        ("{ package = 'optee-os' }", Some(TeeLayer::Foreign(package("optee-os", None)))),
        ("{ package = 'optee-os', build = 'plain' }", Some(TeeLayer::Foreign(package("optee-os", Some("plain"))))),
    ] {
        let chain = with(&format!("tee = {value}")).unwrap().chain;
        assert_eq!(chain.tee, tee, "{value}");
    }
    let chain = with("monitor = 'ours'\nhypervisor = 'ours'").unwrap().chain;
    assert_eq!((chain.monitor, chain.hypervisor), (MonitorLayer::Ours, Owner::Ours));
    let chain = with("monitor = { flash = 'f.bin' }").unwrap().chain;
    assert_eq!((chain.monitor, chain.tee), (MonitorLayer::Flash("f.bin".into()), Some(TeeLayer::Usual)));
    let parts = Parts { bl1: "1".into(), bl2: "2".into(), bl31: "31".into() };
    let chain = with("monitor = { bl1 = '1', bl2 = '2', bl31 = '31' }").unwrap().chain;
    assert_eq!(chain.monitor, MonitorLayer::Parts(parts));
    for key in ["monitor", "tee", "hypervisor"] {
        let said = with(&format!("{key} = 'theirs'")).unwrap_err().to_string();
        assert!(said.contains("unknown variant `theirs`, expected ") && said.contains("`ours`"), "{key}: {said}");
    }
    for (key, why) in [
        ("tee = 1", "expected the name of a TEE, `ours` or `as-reported`, or a table"),
        ("tee = { build = 'plain' }", "it is a `package`, perhaps a `build` of it, or an `image`"),
        ("tee = { image = 'a', package = 'b' }", "it is a `package`, perhaps a `build` of it, or an `image`"),
        ("tee = { packages = 'b' }", "did you mean `package`?"),
        ("monitor = { bl1 = '1' }", "a monitor is a `flash`, or all of `bl1`, `bl2` and `bl31`"),
        ("normal-world = 'xen'", "unknown variant `xen`, expected one of `hypervisor`, `probe`, `linux`"),
    ] {
        let said = with(key).unwrap_err().to_string();
        assert!(said.contains(why), "{key}: {said}");
    }
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_the_nearest_one() {
    let said = complaint("memory = '256M'", "memry = '256M'");
    assert!(said.starts_with("scenarios/two.toml:11: "), "{said}");
    assert!(said.contains("`memry`") && said.ends_with("did you mean `memory`?"), "{said}");
}

#[test]
fn a_key_that_is_renamed_says_its_new_name() {
    let said = complaint("memory = '16M'", "memory = '16M'\nvmid = 7");
    assert_eq!(said, "scenarios/two.toml:18: `vmid` is called `id` now");
    // Elsewhere it was never a key.
    let said = complaint("[machine]", "[machine]\nvmid = 7");
    assert!(said.starts_with("scenarios/two.toml:5: unknown field `vmid`"), "{said}");
}

#[test]
fn every_table_refuses_unknown_keys() {
    for (old, new, line, nearest) in [
        ("summary", "sumary", 2, "summary"),
        ("also-on", "also_on", 6, "also-on"),
        ("[[vm]]", "[[vms]]", 8, "vm"),
        ("line = 'hello'", "lines = 'hello'", 21, "line"),
        ("[machine]", "[chain]\nte = true\n[machine]", 5, "tee"),
        ("[machine]", "[chain]\ndamage = { flop = 'bl33' }\n[machine]", 5, "flip"),
        ("tee = true", "kernel-module = { sizes = 1 }", 12, "size"),
    ] {
        let said = complaint(old, new);
        assert!(said.starts_with(&format!("scenarios/two.toml:{line}: ")), "{said}");
        assert!(said.ends_with(&format!("did you mean `{nearest}`?")), "{said}");
    }
}

#[test]
fn sizes_have_units_and_do_not_overflow() {
    assert_eq!(Size::try_from("64K".to_owned()), Ok(Size(65536)));
    assert_eq!(Size::try_from("2G".to_owned()), Ok(Size(2 << 30)));
    assert!(Size::try_from("99999999999999999G".to_owned()).is_err());
    assert!(Size::try_from(String::new()).is_err());
    assert!(Size::try_from("é".to_owned()).is_err());
    assert_eq!(
        [0, 1000, 4096, 513 << 20, 2 << 30].map(|bytes| Size(bytes).to_string()),
        ["0", "1000", "4K", "513M", "2G"]
    );
}

#[test]
fn cases_of_the_test_suite_are_expected_to_count_what_they_counted_before() {
    let vm = "[[vm]]\nname = 'l'\nkernel = 'linux'\ninitramfs = 'linux-xtest'\nmemory = '512M'\ntee = true\n";
    let scenario = |bootargs: &str| {
        let text = format!("name = 'a'\nsummary = 'b'\n{vm}bootargs = '{bootargs}'\n[[expect]]\nfrom = 'EL3'\n");
        Scenario::parse(&text, Path::new("a.toml")).map_err(|error| error.to_string())
    };
    let expects = scenario("quiet triptych.xtest=1001,1013").unwrap().expects;
    let bounds: Vec<_> = expects.iter().filter_map(|expect| Some([expect.at_least?, expect.at_most?])).collect();
    assert_eq!(bounds, [[3.0, 3.0], [570.0, 660.0]]);
    assert_eq!(expects[2].regex.as_deref(), Some(r"^xtest: regression_1001: (\d+) subtests, 0 failed"));
    let said = scenario("triptych.xtest=1001,1014").unwrap_err();
    assert!(said.ends_with("`triptych.xtest=1001,1014`: the suite has no case `1014`"), "{said}");
}

#[test]
fn the_examples_of_the_reference_are_scenarios() {
    let reference = include_str!("../../../../scenarios/README.md");
    let examples = reference.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("toml"));
    let scenarios: Vec<_> = examples.map(|text| parse(text).unwrap_or_else(|error| panic!("{error}"))).collect();
    let counts = |scenario: &Scenario| (scenario.vms.len(), scenario.expects.len());
    assert_eq!(scenarios.iter().map(counts).collect::<Vec<_>>(), [(1, 4 + 1), (0, 1 + 1), (0, 1 + 1)]);
}

#[test]
fn an_unknown_cpu_model_is_refused_when_the_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.toml");
    let read = |text: String| {
        std::fs::write(&file, text).unwrap();
        Scenario::read(&file).map_err(|error| error.to_string())
    };
    assert!(read(GOOD.to_owned()).is_ok());
    let said = read(GOOD.replace("'cortex-a57'", "'cortex-a58'")).unwrap_err();
    assert!(said.contains("two.toml:6: QEMU has no CPU model `cortex-a58`; did you mean"), "{said}");
    let said = read(GOOD.replace("'max,pauth-impdef=on'", "'cortex-a15'").replace("on = ['max']", "")).unwrap_err();
    assert!(said.contains("two.toml:5: `cortex-a15` is a 32-bit CPU"), "{said}");
}

#[test]
fn that_no_step_of_a_guest_fails_is_expected_unless_the_scenario_knows_better() {
    let implied = |text: &str| -> Vec<_> {
        let scenario = parse(text).unwrap();
        let of_guests = scenario.expects.into_iter().filter(|expect| expect.absent && expect.regex.is_some());
        of_guests.map(|expect| (expect.from, expect.regex.unwrap())).collect()
    };
    let bare = ("vm2".to_owned(), "^bare-guest: (?:FAIL|PANIC)".to_owned());
    assert_eq!(implied(GOOD), std::slice::from_ref(&bare));
    let linux = GOOD.replace("kernel = 'linux'", "kernel = 'linux'\ninitramfs = 'linux'");
    assert_eq!(implied(&linux), [("vm1".to_owned(), "^init: FAIL".to_owned()), bare]);
    assert_eq!(implied(&(GOOD.to_owned() + "[[expect]]\nfrom = 'vm2'\nline = 'bare-guest: FAIL 1'\n")), []);
    assert_eq!(implied(&(GOOD.to_owned() + "[[expect]]\nfrom = 'vm2'\nabsent = true\n")), []);
}
