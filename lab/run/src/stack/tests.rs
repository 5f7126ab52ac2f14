// SPDX-License-Identifier: MIT OR Apache-2.0
//! Layers as options and scenarios name them.

use super::*;

fn scenario(chain: &str) -> Scenario {
    let text = format!("name = 'a'\nsummary = 'b'\n[chain]\n{chain}\n[[expect]]\nfrom = 'EL3'\n");
    Scenario::parse(&text, Path::new("a.toml")).unwrap()
}

fn tee(tee: &str) -> Result<Stack, String> {
    let options = Options { tee: Some(tee.to_owned()), ..Options::default() };
    options.stack().map_err(|error| format!("{error:#}"))
}

fn file() -> UserFile {
    UserFile { name: "my tee.v2.bin".into(), bytes: vec![1] }
}

fn of_tee(tee: Tee) -> Stack {
    Stack { flash: None, tee }
}

#[test]
fn features_are_told_from_files() {
    assert_eq!(Options::default().stack().unwrap(), Stack::default());
    assert_eq!(tee("ours"), Ok(Stack::default()));
    let features = |words: &[&str]| Stack::featured(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(tee("as-reported"), Ok(features(&["as-reported"])));
    assert_eq!(tee("as-reported,client-id"), Ok(features(&["as-reported", "client-id"])));
    let said = tee("./as-reported").unwrap_err();
    assert_eq!(
        said,
        "--tee ./as-reported: there is no such file, and our TEE has no such features: as-reported, client-id, \
         pristine-template, fallible-pool are"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("as.bin");
    fs::write(&file, [0xAA; 8]).unwrap();
    let stack = tee(file.to_str().unwrap()).unwrap();
    assert_eq!(stack, of_tee(Tee::Image(UserFile { name: "as.bin".into(), bytes: vec![0xAA; 8] })));
    let package = Package { package: "optee-os".into(), build: Some("plain".into()) };
    assert_eq!(tee("optee-os:plain"), Ok(of_tee(Tee::Package(package))));
    let options = Options { monitor: Some(folder.path().join("none.bin")), ..Options::default() };
    assert!(options.stack().unwrap_err().to_string().starts_with("cannot read "));
    // The file is named as the user names it.
    let options = Options { monitor: Some(file.clone()), ..Options::default() };
    let said = format!(
        "{} is no flash for this machine: it has no firmware image package at 0x40000, where TF-A's port has it \
         (the word there is not 0xaa640001)",
        file.display()
    );
    assert_eq!(format!("{:#}", options.stack().unwrap_err()), said);
}

#[test]
fn a_scenario_that_would_not_run_what_is_given_is_refused() {
    let said = |stack: Stack, chain: &str| stack.check(&scenario(chain)).map_err(|error| error.to_string());
    let (name, tee, flash) = ("my tee.v2.bin", of_tee(Tee::Image(file())), Stack::of_flash(file()));
    assert_eq!(said(tee.clone(), ""), Ok(()));
    let left_out = "a leaves the TEE out (`tee` of its [chain]), so this would not run";
    assert_eq!(said(tee.clone(), "tee = false"), Err(format!("the TEE {name}: {left_out}")));
    assert_eq!(said(flash.clone(), "tee = false"), Err(format!("the monitor {name}: {left_out}")));
    assert_eq!(said(tee, "damage = 'cut-toc'"), Ok(()));
    let damage = format!("the monitor {name}: a is about a flash of ours (its `damage`)");
    assert_eq!(said(flash, "damage = 'cut-toc'"), Err(damage));
}

#[test]
fn a_scenario_names_its_layers_and_options_stand_in_for_them() {
    let of = |chain: &str| Stack::of(&scenario(chain).chain, Path::new(""));
    assert_eq!(of("tee = 'as-reported'").unwrap(), Stack::featured(vec!["as-reported".into()]));
    let package = Package { package: "optee-os".into(), build: None };
    assert_eq!(of("tee = { package = 'optee-os' }").unwrap(), of_tee(Tee::Package(package)));
    let said = format!("{:#}", of("tee = { image = 'nowhere.bin' }").unwrap_err());
    assert!(said.starts_with("cannot read nowhere.bin"), "{said}");
    // An option stands in for a file that need not be there.
    let mut mine = scenario("tee = { image = 'nowhere.bin' }");
    assert_eq!(mine.quotes, ["TEE"]);
    let options = Options { tee: Some("ours".into()), ..Options::default() };
    options.put_into(&mut mine).unwrap();
    assert_eq!((mine.chain.tee.as_ref(), mine.quotes.len()), (Some(&TeeLayer::Ours), 0));
    assert_eq!(Stack::of(&mine.chain, Path::new("")).unwrap(), Stack::default());
    let options = Options { normal_world: Some("u-boot-qemu".into()), ..Options::default() };
    let u_boot = Package { package: "u-boot-qemu".into(), build: None };
    assert_eq!(options.chain().unwrap().normal_world, NormalWorld::Foreign(Foreign::Package(u_boot)));
    let said = options.stack().unwrap_err().to_string();
    assert_eq!(said, "--normal-world u-boot-qemu: this command has its own normal worlds");
    // What a scenario says must fit the normal world that is given.
    let vm = "[[vm]]\nname = 'a'\nmemory = '16M'\n";
    let text = format!("name = 'a'\nsummary = 'b'\n{vm}[[expect]]\nfrom = 'EL3'\n");
    let mut two = Scenario::parse(&text, Path::new("a.toml")).unwrap();
    let said = options.put_into(&mut two).unwrap_err().to_string();
    assert!(said.starts_with("--normal-world u-boot-qemu: a: `normal-world` of it: VMs need a hypervisor"), "{said}");
    let options = Options { tee: Some("optee-os".into()), ..Options::default() };
    let said = options.put_into(&mut scenario("tee = false")).unwrap_err().to_string();
    assert!(said.starts_with("--tee optee-os: a leaves the TEE out"), "{said}");
}

#[test]
fn what_ran_is_told_by_name() {
    let names = |stack: &Stack, chain: &str| stack.names(&scenario(chain));
    assert_eq!(names(&Stack::default(), ""), Names::default());
    assert_eq!(names(&Stack::default(), "tee = false").tee, "none");
    let named = names(&of_tee(Tee::Image(file())), "");
    assert_eq!((named.monitor.as_str(), named.tee.as_str()), ("Triptych", "my tee.v2.bin"));
    let named = names(&Stack::of_flash(file()), "");
    assert_eq!((named.monitor.as_str(), named.tee.as_str()), ("my tee.v2.bin", "of my tee.v2.bin"));
    assert_eq!(of_tee(Tee::Image(file())).suffix(), "-on-my-tee");
    let stack = Stack { tee: Tee::Package(Package::from("optee-os:plain")), ..Stack::of_flash(file()) };
    assert_eq!(stack.suffix(), "-on-my-tee-on-optee-os-plain");
    assert_eq!(stack.label(), "my tee.v2.bin+optee-os:plain");
}
