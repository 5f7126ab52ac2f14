// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured, as the machine's lines say it.

use super::table::{Entry, Source};
use lab_run::console::{Line, is_vm};

/// Samples of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Half of the samples are not above it, half not below.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// How many there are.
    pub samples: usize,
}

impl Measured {
    /// Sums samples up, if there are any.
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let (&min, &max) = (samples.first()?, samples.last()?);
        let middle = samples.len() / 2;
        let median =
            if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 };
        Some(Self { median, min, max, samples: samples.len() })
    }

    /// Takes something of this size off every figure.
    pub fn minus(self, base: f64) -> Self {
        Self { median: self.median - base, min: self.min - base, max: self.max - base, ..self }
    }

    /// Reads `min=… median=… max=… samples=…`.
    fn summed_up(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut value = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=')?.parse::<f64>().ok();
        let (min, median, max) = (value("min")?, value("median")?, value("max")?);
        let samples = value("samples")? as usize;
        Some(Self { median, min, max, samples })
    }
}

/// Reads what one line says of a figure: a sample, or all of them summed up.
pub(super) fn line(value: &str) -> Option<Measured> {
    match value.parse() {
        Ok(sample) => Measured::of(vec![sample]),
        Err(_) => Measured::summed_up(value),
    }
}

/// Finds an entry's figure in what a run said.
pub(super) fn of(lines: &[Line], entry: &Entry) -> Option<Measured> {
    match &entry.source {
        Some(source) => matched(lines, source, 0.0),
        None => printed(lines, entry.printed()),
    }
}

/// Finds the figure of this name that a probe prints: summed up in one line, or sample by sample.
pub(super) fn printed(lines: &[Line], name: &str) -> Option<Measured> {
    let mut samples = Vec::new();
    for line in lines {
        let said = match line.speaker.as_str() {
            "probe" => Some(line.text.as_str()),
            vm if is_vm(vm) => line.text.strip_prefix("[probe] "),
            _ => None,
        };
        let of_name = said.and_then(|said| said.strip_prefix("figure ")?.strip_prefix(name)?.strip_prefix(' '));
        let Some(value) = of_name else { continue };
        match value.parse() {
            Ok(sample) => samples.push(sample),
            Err(_) => return Measured::summed_up(value),
        }
    }
    Measured::of(samples)
}

/// Reads the figure out of the lines that `source` names, with `more` added to its first group.
pub(super) fn matched(lines: &[Line], source: &Source, more: f64) -> Option<Measured> {
    let found = lines
        .iter()
        .filter(|line| line.speaker == source.from)
        .filter_map(|line| {
            let groups = source.regex.captures(&line.text)?;
            let first = groups.get(1)?.as_str().parse::<f64>().ok()? + more;
            match groups.get(2) {
                None => Some(first),
                Some(whole) => Some(first * 100.0 / whole.as_str().parse::<f64>().ok().filter(|whole| *whole > 0.0)?),
            }
        })
        .collect();
    Measured::of(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn lines(said: &[(&str, &str)]) -> Vec<Line> {
        said.iter().map(|(speaker, text)| Line { speaker: (*speaker).into(), text: (*text).into() }).collect()
    }

    #[test]
    fn a_figure_is_the_median_between_its_extremes() {
        let figure = Measured::of(vec![3.0, 1.0, 2.0, 10.0]).unwrap();
        assert_eq!(figure, Measured { median: 2.5, min: 1.0, max: 10.0, samples: 4 });
        assert_eq!(figure.minus(1.0), Measured { median: 1.5, min: 0.0, max: 9.0, samples: 4 });
        assert_eq!(Measured::of(vec![]), None);
    }

    #[test]
    fn probes_print_figures_at_once_or_sample_by_sample() {
        let lines = lines(&[
            ("probe", "figure call 5"),
            ("probe", "figure call_other 50"),
            ("vm1", "figure call 1000"),
            ("vm1", "[probe] figure call 7"),
            ("HYP", "figure call 1000"),
            ("probe", "figure long min=57 median=58 max=60 samples=41"),
            ("probe", "figure torn min=57 median=58"),
        ]);
        assert_eq!(printed(&lines, "call"), Measured::of(vec![5.0, 7.0]));
        assert_eq!(printed(&lines, "long"), Some(Measured { median: 58.0, min: 57.0, max: 60.0, samples: 41 }));
        assert_eq!(printed(&lines, "torn"), None);
        assert_eq!(printed(&lines, "absent"), None);
    }

    #[test]
    fn a_second_group_is_what_the_first_is_a_share_of() {
        let regex = Regex::new(r"^vm1: instructions EL2=(\d+) EL1\+EL0=(\d+)").unwrap();
        let source = Source { from: "HYP".into(), regex };
        let said = "vm1: instructions EL2=15 EL1+EL0=1000";
        assert_eq!(matched(&lines(&[("HYP", said)]), &source, 0.0), Measured::of(vec![1.5]));
        assert_eq!(matched(&lines(&[("HYP", said)]), &source, 5.0), Measured::of(vec![2.0]));
        assert_eq!(matched(&lines(&[("vm1", said)]), &source, 0.0), None);
        assert_eq!(matched(&lines(&[("HYP", "vm1: instructions EL2=1 EL1+EL0=0")]), &source, 0.0), None);
        let source = Source { from: "probe".into(), regex: Regex::new(r"tick (\d+)").unwrap() };
        assert_eq!(matched(&lines(&[("probe", "began at tick 42")]), &source, 0.0), Measured::of(vec![42.0]));
    }
}
