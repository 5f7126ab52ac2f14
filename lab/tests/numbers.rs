// SPDX-License-Identifier: MIT OR Apache-2.0
//! docs/numbers.md says what the committed baseline says.

use lab_run::workspace::Workspace;
use regex::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;

/// A figure of `lab/bench/baseline.json`.
#[derive(Deserialize)]
struct Figure {
    name: String,
    median: f64,
    max: f64,
    reference: Option<f64>,
}

fn baseline() -> BTreeMap<String, Figure> {
    let file = Workspace::locate().unwrap().root().join("lab/bench/baseline.json");
    let figures: Vec<Figure> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    figures.into_iter().map(|figure| (figure.name.clone(), figure)).collect()
}

fn page() -> String {
    fs::read_to_string(Workspace::locate().unwrap().root().join("docs/numbers.md")).unwrap()
}

/// Lists the words in backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Reads the numbers of a cell, `1,977` or `1.35, 3.13 million`, as they are written and in what unit.
fn numbers(cell: &str) -> Vec<(String, f64)> {
    let unit = if cell.ends_with(" million") { 1e6 } else { 1.0 };
    let number = Regex::new(r"\d+(,\d{3})*(\.\d+)?").unwrap();
    number.find_iter(cell).map(|found| (found.as_str().replace(',', ""), unit)).collect()
}

/// Says whether a number is this one, as exactly as it is written.
fn is((written, unit): &(String, f64), value: f64) -> bool {
    let decimals = written.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    format!("{:.decimals$}", value / unit) == *written
}

/// Finds the rows of the tables that begin with this cell, each with its table's head.
fn rows<'p>(page: &'p str, first: &str) -> Vec<(Vec<&'p str>, Vec<&'p str>)> {
    let mut rows = Vec::new();
    let mut head: Option<Vec<&str>> = None;
    for line in page.lines() {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        match &head {
            _ if !line.starts_with('|') => head = None,
            None => head = Some(cells),
            Some(head) if head[0] == first && !cells[0].starts_with("---") => rows.push((head.clone(), cells)),
            Some(_) => {}
        }
    }
    rows
}

#[test]
fn each_number_of_the_tables_is_the_baselines() {
    let (baseline, page) = (baseline(), page());
    let (mut wrong, mut held) = (Vec::new(), 0);
    for (head, cells) in rows(&page, "number") {
        let named = names(cells[0]);
        for (column, cell) in head.iter().zip(&cells).skip(1) {
            // A column of ours, or of ours with one of these behind the name.
            let suffixes = if *column == "ours" { vec![""] } else { names(column) };
            for suffix in suffixes {
                let figures: Vec<_> = named.iter().map(|name| baseline.get(&format!("{name}{suffix}"))).collect();
                let said = numbers(cell);
                let holds = match said.as_slice() {
                    [] => figures.iter().all(Option::is_none),
                    said => {
                        said.len() == figures.len()
                            && said
                                .iter()
                                .zip(&figures)
                                .all(|(number, figure)| figure.is_some_and(|figure| is(number, figure.median)))
                    }
                };
                if !holds {
                    let medians: Vec<_> = figures.iter().map(|figure| figure.map(|figure| figure.median)).collect();
                    wrong.push(format!("{named:?}{suffix}: {cell:?}, in the baseline {medians:?}"));
                }
                held += said.len();
            }
        }
        let references = head.iter().zip(&cells).filter(|(column, _)| ["reference", "Xen", "KVM"].contains(*column));
        let references: Vec<_> = references.flat_map(|(_, cell)| numbers(cell)).collect();
        for figure in named.iter().filter_map(|name| baseline.get(*name)) {
            // A table without references has none to be wrong.
            let told = |reference| references.iter().any(|number| is(number, reference));
            if head.contains(&"what is executed") && !figure.reference.is_none_or(told) {
                wrong.push(format!("{}: no reference {:?} in {cells:?}", figure.name, figure.reference));
            }
        }
    }
    assert!(held > 40 && wrong.is_empty(), "docs/numbers.md, {held} numbers:\n{}", wrong.join("\n"));
}

#[test]
fn a_number_in_the_text_beside_a_name_is_the_baselines() {
    let (baseline, page) = (baseline(), page());
    let text = page.replace('\n', " ");
    let beside = Regex::new(r"\((?:most of )?`([a-z0-9_@]+)`, ([\d,]+\d)\)").unwrap();
    let mut held = 0;
    for found in beside.captures_iter(&text) {
        let figure = baseline.get(&found[1]).unwrap_or_else(|| panic!("no figure is called {}", &found[1]));
        let value = if found[0].starts_with("(most") { figure.max } else { figure.median };
        assert!(is(&numbers(&found[2])[0], value), "docs/numbers.md: {}, in the baseline {value}", &found[0]);
        held += 1;
    }
    assert!(held >= 3, "{held}");
}

#[test]
fn a_number_is_held_as_exactly_as_it_is_written() {
    let is = |cell: &str, value: f64| crate::is(&numbers(cell)[0], value);
    assert!(is("1,977", 1977.0) && !is("1,977", 1976.0));
    assert!(is("1.35, 3.13 million", 1_354_933.0) && !is("1.35 million", 1_355_933.0));
    assert!(is("0.037", 0.036_7) && !is("0.036", 0.036_7));
    assert_eq!(numbers("57, 59").len(), 2);
}
