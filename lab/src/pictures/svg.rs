// SPDX-License-Identifier: MIT OR Apache-2.0
//! A drawing as SVG: text, bars and lines, readable on light and on dark pages, and on a phone.
//!
//! A picture that is wider than the page is made smaller by whoever shows it, its text with it. So none is wider than
//! [`WIDTH`], which a phone has room for.

use std::fmt::{Display, Write};

/// Colours by meaning. Text is dark on light, or light on dark, as the reader's system is.
const STYLE: &str = "\
text{font:12px ui-monospace,monospace;fill:#1f2328}.dim{fill:#59636e}.head{font-weight:bold}\
.bad{fill:#b3261e}.on{fill:#1f2328!important}rect.vm{fill:#7aa6da}rect.el2{fill:#6abf8b}\
rect.el3{fill:#d9a441}rect.tee{fill:#b58bd9}\
rect.good{fill:#6abf8b}rect.refused{fill:#d9a441}rect.wrong{fill:#ee9a76}rect.panic{fill:#f08077}\
rect.page{fill:#ffffff}line{stroke:#59636e;stroke-width:1}line.lane{stroke:#d1d9e0}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9198a1}.bad{fill:#ff8a80}rect.page{fill:#0d1117}\
line{stroke:#9198a1}line.lane{stroke:#3d444d}}";

/// The widest that a drawing may be, in its own units: a phone's page has some 360 pixels.
pub(super) const WIDTH: u32 = 380;
/// What is left free at the right.
const MARGIN: u32 = 12;
/// Tenths of a unit that a letter is wide: the font has 12, and a letter six tenths of that.
const LETTER: u32 = 73;

/// Says how many letters have room between two places.
pub(super) const fn room(from: u32, to: u32) -> usize {
    (to.saturating_sub(from) * 10 / LETTER) as usize
}

/// Wraps a text into lines of at most so many letters: the first, and the others. Lines end at blanks, else after an
/// underscore or an arrow.
pub(super) fn wrapped(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive([' ', '_', '>']) {
        let most = if lines.len() == 1 { first } else { others };
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.len() + word.trim_end().len() <= most => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// A drawing in the making.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    body: String,
    width: u32,
    height: u32,
}

impl Drawing {
    /// Writes a line of text; `class` is one of the style's.
    pub(super) fn text(&mut self, x: u32, y: u32, class: &str, text: impl Display) {
        let text = text.to_string();
        self.reach(x + LETTER * text.chars().count() as u32 / 10, y + 6);
        self.add(format_args!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>", escape(&text)));
    }

    /// Writes a line of text that ends at `x`.
    pub(super) fn text_to(&mut self, x: u32, y: u32, class: &str, text: impl Display) {
        self.reach(x, y + 6);
        let text = escape(&text.to_string());
        self.add(format_args!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\" text-anchor=\"end\">{text}</text>"));
    }

    /// Draws a bar.
    pub(super) fn bar(&mut self, x: u32, y: u32, width: u32, height: u32, class: &str) {
        self.reach(x + width, y + height);
        let size = format!("width=\"{width}\" height=\"{height}\"");
        self.add(format_args!("<rect x=\"{x}\" y=\"{y}\" {size} rx=\"2\" class=\"{class}\"/>"));
    }

    /// Draws a line from here to there.
    pub(super) fn line(&mut self, from: (u32, u32), to: (u32, u32), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.reach(x1.max(x2), y1.max(y2));
        self.add(format_args!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" class=\"{class}\"/>"));
    }

    /// Returns the file's text. `title` is for those who can't see it.
    pub(super) fn finish(self, title: &str) -> String {
        let (width, height) = (self.width + MARGIN, self.height + 10);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n",
            title = escape(title),
            body = self.body,
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }

    fn reach(&mut self, x: u32, y: u32) {
        (self.width, self.height) = (self.width.max(x), self.height.max(y));
    }
}

fn escape(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control()).collect::<String>();
    printable.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_blanks_underscores_and_arrows() {
        assert_eq!(wrapped("SMC OPTEE_SMC_CALLS_UID", 12, 20), ["SMC OPTEE_", "SMC_CALLS_UID"]);
        assert_eq!(wrapped("one two three", 7, 5), ["one two", "three"]);
        assert_eq!(wrapped("poolset->freelist", 12, 12), ["poolset->", "freelist"]);
        assert_eq!(wrapped("unbreakable", 3, 3), ["unbreakable"]);
        assert_eq!(room(100, 173), 10);
    }

    #[test]
    fn a_drawing_is_as_large_as_what_is_in_it_and_text_stays_text() {
        let mut drawing = Drawing::default();
        drawing.bar(10, 20, 30, 40, "vm");
        drawing.text(0, 5, "dim", "a < \"b\" & c\0");
        let svg = drawing.finish("<x>");
        assert!(svg.contains("viewBox=\"0 0 99 70\"") && svg.contains("aria-label=\"&lt;x&gt;\""), "{svg}");
        assert!(svg.contains(">a &lt; &quot;b&quot; &amp; c<"), "{svg}");
    }
}
