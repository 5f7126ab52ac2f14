// SPDX-License-Identifier: MIT OR Apache-2.0
//! Texts that are written once and then named by number: most of a report repeats itself.

use super::story::esr::Field;
use std::collections::HashMap;

/// Texts, and fields made of them.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    texts: Vec<String>,
    text_numbers: HashMap<String, u32>,
    fields: Vec<[u32; 3]>,
    field_numbers: HashMap<[u32; 3], u32>,
}

impl Strings {
    /// Returns the number of a text.
    pub(crate) fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.text_numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.text_numbers.insert(text.to_owned(), number);
        number
    }

    /// Returns the number of a field.
    pub(crate) fn field(&mut self, field: &Field) -> u32 {
        let key = [&field.name, &field.value, &field.meaning].map(|text| self.text(text));
        *self.field_numbers.entry(key).or_insert_with(|| {
            self.fields.push(key);
            self.fields.len() as u32 - 1
        })
    }

    /// Returns every text and every field.
    pub(crate) fn into_tables(self) -> (Vec<String>, Vec<[u32; 3]>) {
        (self.texts, self.fields)
    }
}
