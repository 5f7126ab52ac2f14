// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a step expects.

use super::compile::{Compiler, Mistake, Place};
use super::expression::bytes;
use super::source::RawStep;
use crate::distance;
use probe::script::expression::{Binary, Expression, Known, Operation};
use probe::script::step::{Check, Relation};
use probe::script::wire::Record;
use std::ops::Range;

/// Keys of an expectation that is a table.
const KEYS: [&str; 5] = ["is", "is-not", "at-most", "at-least", "mask"];

impl Compiler<'_> {
    /// Lists everything that must hold after a step.
    pub(super) fn checks(&self, raw: &RawStep, place: &Place) -> Result<Vec<u8>, Mistake> {
        let mut out = Vec::new();
        if let Some(fault) = &raw.faults {
            // Exception class: bits 31:26 of the syndrome.
            let class = [
                Operation::Known(Known::Syndrome),
                Operation::Number(26),
                Operation::Binary(Binary::ShiftRight),
                Operation::Number(0x3F),
                Operation::Binary(Binary::And),
            ];
            let address = [Operation::Known(Known::FaultAddress)];
            let parts = [("exception class", &class[..], &fault.class), ("FAR", &address[..], &fault.address)];
            for (label, left, value) in parts {
                if let Some(value) = value {
                    let right = bytes(&self.operations(value, place)?);
                    is(label, &bytes(left), &right, &mut out);
                }
            }
        }
        for (key, value) in &raw.expect {
            let left = bytes(&self.parse(key.get_ref(), key.span(), place)?);
            self.check(key.get_ref(), &left, value.get_ref(), value.span(), place, &mut out)?;
        }
        Ok(out)
    }

    fn check(
        &self,
        label: &str,
        left: &[u8],
        value: &toml::Value,
        span: Range<usize>,
        place: &Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Mistake> {
        let toml::Value::Table(table) = value else {
            is(label, left, &self.side(value, &span, place)?, out);
            return Ok(());
        };
        if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let nearest = KEYS.into_iter().min_by_key(|key| distance(unknown, key)).map(str::to_owned);
            let message = format!("unknown key `{unknown}` of an expectation");
            return Err(Mistake { file: place.file, span, message, nearest });
        }
        let mask = table.get("mask").map(|mask| self.side(mask, &span, place)).transpose()?;
        let relations: Vec<_> = Relation::NAMES.iter().filter(|(name, _)| table.contains_key(*name)).collect();
        if relations.is_empty() {
            return place.mistake_at(span, "an expectation says `is`, `is-not`, `at-most` or `at-least`");
        }
        for (name, relation) in relations {
            let right = self.side(&table[*name], &span, place)?;
            let label = if mask.is_some() { format!("{label}, masked") } else { label.to_owned() };
            Check {
                label: &label,
                left: Expression::of(left),
                mask: mask.as_deref().map(Expression::of),
                relation: *relation,
                right: Expression::of(&right),
            }
            .write(out);
        }
        Ok(())
    }

    fn side(&self, value: &toml::Value, span: &Range<usize>, place: &Place) -> Result<Vec<u8>, Mistake> {
        match value {
            toml::Value::Integer(number) => Ok(bytes(&[Operation::Number(*number as u64)])),
            toml::Value::String(text) => self.parse(text, span.clone(), place).map(|operations| bytes(&operations)),
            _ => place.mistake_at(span.clone(), "expected a number, an expression or a table"),
        }
    }
}

fn is(label: &str, left: &[u8], right: &[u8], out: &mut Vec<u8>) {
    Check { label, left: Expression::of(left), mask: None, relation: Relation::Is, right: Expression::of(right) }
        .write(out);
}
