// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order in which a crate's rooms stand, and what breaks it.

use crate::source::Crate;
use std::collections::{BTreeMap, BTreeSet};

/// Reads what `lib.rs` says under the heading `# Rooms`: the rooms of each line, from the top.
pub fn lines(about: &str) -> Vec<Vec<String>> {
    let text = about.lines().skip_while(|line| line.trim() != "# Rooms").skip(1);
    let text = text.take_while(|line| !line.starts_with('#'));
    text.filter_map(|line| {
        let (number, line) = line.split_once(". ")?;
        number.parse::<usize>().ok()?;
        let (rooms, _) = line.split_once(':')?;
        Some(rooms.split('`').skip(1).step_by(2).map(String::from).collect())
    })
    .collect()
}

/// Returns the room that a file belongs to: the folder or file of `src`. What a program alone has is above all of them.
pub fn room(file: &str) -> &str {
    file.split_once('/').map_or_else(|| file.trim_end_matches(".rs"), |(room, _)| room)
}

/// Lists all that breaks the order, one sentence each.
pub fn faults(of: &Crate) -> Vec<String> {
    let lines = lines(&of.about);
    if lines.is_empty() {
        return vec!["lib.rs says no order: it has no numbered list under `# Rooms`".into()];
    }
    let mut faults = Vec::new();
    let mut level = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        for room in line {
            if level.insert(room.as_str(), number).is_some() {
                faults.push(format!("lib.rs: `{room}` stands twice"));
            }
        }
    }
    let there: BTreeSet<&str> = of.modules.iter().map(String::as_str).collect();
    let listed: BTreeSet<&str> = level.keys().copied().collect();
    faults.extend(there.difference(&listed).map(|room| format!("lib.rs: `{room}` has no place in the order")));
    faults.extend(listed.difference(&there).map(|room| format!("lib.rs: there is no `{room}`")));
    for (file, imports) in &of.files {
        for import in imports {
            let (from, to) = (room(file), room(&import.to));
            let (Some(above), below) = (level.get(from), level.get(to)) else { continue };
            let how = match below {
                None => "which is in no room",
                Some(below) if from == to || above < below => continue,
                Some(below) if above == below => "which stands beside it",
                Some(_) => "which stands above it",
            };
            faults.push(format!("{file}: `{from}` imports {}, {how}", import.path));
        }
    }
    faults.extend(circles(of).into_iter().map(|files| format!("a circle across folders: {}", files.join(", "))));
    faults
}

/// Finds files that lead to each other and are not all of one folder, a circle each.
pub fn circles(of: &Crate) -> Vec<Vec<&str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = of.files.keys().map(|file| (file.as_str(), reach(of, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &reach {
        let circle: Vec<&str> =
            reached.iter().copied().filter(|other| reach.get(other).is_some_and(|back| back.contains(file))).collect();
        if circle.len() > 1 && !one_folder(of, &circle) {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// Follows what a file leads to.
fn reach<'a>(of: &'a Crate, file: &'a str) -> BTreeSet<&'a str> {
    let (mut found, mut next) = (BTreeSet::new(), vec![file]);
    while let Some(file) = next.pop() {
        for import in of.files.get(file).into_iter().flatten() {
            if found.insert(import.to.as_str()) {
                next.push(&import.to);
            }
        }
    }
    found
}

/// Says whether there is a folder of which all these files are: a file that has the same name as a folder beside it is
/// of that one, too.
fn one_folder(of: &Crate, files: &[&str]) -> bool {
    let folders = |file: &str| -> BTreeSet<String> {
        let own = file.trim_end_matches(".rs").to_string();
        let has_children = of.files.keys().any(|other| other.starts_with(&format!("{own}/")));
        let around = file.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
        [around].into_iter().chain(has_children.then_some(own)).collect()
    };
    let mut common = folders(files[0]);
    for file in files {
        let these = folders(file);
        common.retain(|folder| these.contains(folder));
    }
    !common.is_empty()
}
