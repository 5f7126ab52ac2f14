// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page: one file that needs no network and runs nothing but its own script.

use super::data::data;
use super::kept::Kept;
use super::story::Story;
use lab_trace::Trace;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/style.css");
/// In the order in which the page needs them.
const SCRIPTS: [&str; 10] = [
    include_str!("../page/dom.js"),
    include_str!("../page/head.js"),
    include_str!("../page/run.js"),
    include_str!("../page/lanes.js"),
    include_str!("../page/calls.js"),
    include_str!("../page/steps.js"),
    include_str!("../page/memory.js"),
    include_str!("../page/vms.js"),
    include_str!("../page/panic.js"),
    concat!(include_str!("../page/tail.js"), include_str!("../page/main.js")),
];

/// Writes the report of a run.
pub fn page(kept: &Kept, trace: &Trace, story: &Story) -> String {
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.concat());
    let data = in_script(&data(kept, trace, story).to_string());
    // Data last: nothing is looked for in what a guest said.
    PAGE.replacen("{{script-hash}}", &source_hash(&script), 1)
        .replacen("{{style-hash}}", &source_hash(STYLE), 1)
        .replacen("{{title}}", &escaped(&format!("{} {}", kept.name, kept.verdict())), 1)
        .replacen("{{style}}", STYLE, 1)
        .replacen("{{script}}", &script, 1)
        .replacen("{{data}}", &data, 1)
}

/// Writes JSON as it may stand in a script element: with no `<`, nothing in it can end the element or begin a comment.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Writes text as it may stand in an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('{', "&#123;")
}

/// Writes a source expression of the Content Security Policy (CSP 3 §2.3.1): only this very text may run.
fn source_hash(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = "sha256-".to_owned();
    for bytes in Sha256::digest(text).chunks(3) {
        let group = bytes.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - bytes.len()));
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place) & 63) as usize];
            out.push(if place > bytes.len() { '=' } else { letter.into() });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use lab_run::console::Line;

    fn kept() -> Kept {
        Kept {
            name: "two-guests".into(),
            summary: "Two VMs share a TEE.".into(),
            passed: Some(true),
            ..Kept::default()
        }
    }

    fn made(kept: &Kept) -> String {
        let trace = Sample::two_guests(20).trace();
        page(kept, &trace, &Story::of(&trace, |_| {}))
    }

    #[test]
    fn what_a_guest_says_cannot_leave_its_place() {
        let mut kept = kept();
        let nasty = "</script><script>alert(1)</script><!-- {{script}} {{data}} \u{2028}";
        kept.lines.push(Line { speaker: "vm1".into(), text: nasty.into() });
        kept.name = "<b>&".into();
        let page = made(&kept);
        assert_eq!(page.matches("</script>").count(), 2);
        assert_eq!(page.matches("<!--").count(), PAGE.matches("<!--").count());
        assert!(page.contains("<title>&lt;b&gt;&amp; PASS</title>"));
        let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["console"][0][1], nasty);
    }

    #[test]
    fn the_page_asks_nothing_of_a_network_and_runs_only_its_own_script() {
        let page = made(&kept());
        assert!(page.contains("default-src 'none'"));
        let body = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http://", "https://", "@import", "fetch(", "XMLHttpRequest", "innerHTML", "eval(", "url("] {
            assert!(!body.contains(word), "{word}");
        }
        let script = page.rsplit("<script>").next().unwrap().split("</script>").next().unwrap();
        assert!(page.contains(&format!("script-src '{}'", source_hash(script))));
    }

    #[test]
    fn a_hash_is_written_as_the_policy_wants_it() {
        // RFC 4648 §4 over FIPS 180's digest of the empty text.
        assert_eq!(source_hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn the_call_that_is_shown_first_is_a_guests_across_every_level() {
        let trace = Sample::two_guests(20).trace();
        let data = data(&kept(), &trace, &Story::of(&trace, |_| {}));
        let first = &data["calls"][data["first"].as_u64().unwrap() as usize];
        assert_eq!((first["caller"].as_str(), first["mood"].as_str()), (Some("vm1"), Some("good")));
        assert_eq!(first["steps"][0].as_array().unwrap().len(), 9 + 2 + 5 + 7 + 1);
    }
}
