//! What a student has not filled in yet.

/// How a hole is written, where a value will stand.
const HOLE: &str = "\"?\"";

/// A line with a hole in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The line's number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// The holes of a file. What stands in a comment is none.
pub fn holes(text: &str) -> Vec<Hole> {
    let code = |line: &str| line.split('#').next().unwrap_or(line).trim().to_owned();
    let lines = text.lines().map(code).zip(1..);
    lines.filter(|(text, _)| text.contains(HOLE)).map(|(text, line)| Hole { line, text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_a_question_mark_that_stands_for_a_value() {
        let text = "# write \"?\"\na = 1 # \"?\"\nb = \"?\"\nc = \"what?\"\n";
        assert_eq!(holes(text), [Hole { line: 3, text: "b = \"?\"".into() }]);
    }
}
