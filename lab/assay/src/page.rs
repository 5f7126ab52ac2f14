// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows as one HTML file, which needs nothing besides.

use super::Assay;
use super::row::{Became, Row};
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

pub(super) fn page(assay: &Assay) -> String {
    let (name, word) = (escaped(&assay.name), if assay.passed() { "PASS" } else { "FAIL" });
    let rows: String = assay.rows.iter().map(row).collect();
    let sum = escaped(assay.to_string().trim_end());
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name} {word}</title>\n<style>\n{STYLE}</style></head>\n<body>\n\
         <h1>What becomes of {name}</h1>\n<p class=\"{class}\">{sum}</p>\n\
         <p>Each row is a machine of its own, in which the stack is called as no well-behaved normal world would call \
         it. It <b>holds</b> if it answers as OP-TEE's ABI, the SMC Calling Convention and GlobalPlatform have it, or \
         as our TEE does where they leave it open; it <b>answers otherwise</b> if it lives and says something else, \
         which may be a choice of its own; it <b>dies</b> if it panics, or comes back from a call no more: nothing \
         that a normal world says may be a TEE's end.</p>\n\
         <table>\n<thead><tr><th>scenario</th><th>what it asks</th><th>what became of it</th></tr></thead>\n<tbody>\n\
         {rows}</tbody>\n</table>\n</body></html>\n",
        class = word.to_lowercase(),
    )
}

fn row(row: &Row) -> String {
    let class = match row.became {
        _ if row.is_fine() => "pass",
        Became::Unrun(_) => "unrun",
        _ => "fail",
    };
    let mut cell = format!("<b class=\"{class}\">{}</b>", row.became.word());
    if row.accepted {
        cell += ", which is accepted";
    }
    // Writing to a String cannot fail.
    let _ = write!(cell, " <small>{:.1} s</small>", row.seconds);
    if let Some(why) = row.became.why() {
        let _ = write!(cell, "<pre>{}</pre>", escaped(why));
    }
    let details = |title: &str, lines: &[String]| {
        let lines: String = lines.iter().map(|line| escaped(line) + "\n").collect();
        format!("<details><summary>{title}</summary><pre>{lines}</pre></details>")
    };
    if !row.last_words.is_empty() {
        cell += &details("its last words", &row.last_words);
    }
    if !row.differences.is_empty() {
        cell += &details(&format!("{} answers otherwise", row.differences.len()), &row.differences);
    }
    format!("<tr><td><code>{}</code></td><td>{}</td><td>{cell}</td></tr>\n", escaped(&row.name), escaped(&row.meaning))
}

/// Writes text as HTML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tee_says_is_text_on_the_page() {
        let row = Row {
            name: "second-vm".into(),
            meaning: "Ids & calls.".into(),
            became: Became::Dies("[TEE] <script>".into()),
            differences: vec!["a: x0 = 0x0".into()],
            last_words: vec!["[TEE] </pre>".into()],
            seconds: 1.25,
            accepted: false,
        };
        let page = page(&Assay { name: "tee<1>".into(), rows: vec![row] });
        assert!(!page.contains("<script>") && !page.contains("[TEE] </pre>"), "{page}");
        for part in
            ["tee&lt;1&gt; FAIL", "[TEE] &lt;script&gt;", "its last words", "1 answers otherwise", "Ids &amp; calls."]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
