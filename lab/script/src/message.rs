// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages: what a step's keys put where, and the names of a message's fields.

use super::compile::{Compiler, Mistake, Place};
use super::expression::bytes;
use super::source::{Number, RawParam, RawStep, Value};
use super::step::item;
use probe::script::expression::{Binary, Operation, Width};
use shared_abi::optee_msg::{
    ATTR_META, ATTR_NONCONTIG, Cmd, Direction, LOGIN_PUBLIC, MsgHeader, MsgParam, Param, uuid_to_value,
};
use shared_abi::pta;
use std::mem::offset_of;
use toml::Spanned;
use uuid::Uuid;

/// What `ret` and `ret_origin` hold before somebody answers: no code of anybody.
const UNANSWERED: u32 = 0x5A5A_5A5A;

/// Pseudo-TAs that `open` knows by a name. Others are known by their UUIDs.
const PSEUDO_TAS: &[(&str, Uuid)] =
    &[("device", pta::device::UUID), ("rng", pta::rng::UUID), ("stats", pta::stats::UUID), ("vault", pta::vault::UUID)];

/// Fields of a message that expressions can name, with offset and width. `param<n>_<field>` stand beside them.
pub(super) const FIELDS: [(&str, usize, Width); 4] = [
    ("session", offset_of!(MsgHeader, session), Width::Bits32),
    ("ret", offset_of!(MsgHeader, ret), Width::Bits32),
    ("ret_origin", offset_of!(MsgHeader, ret_origin), Width::Bits32),
    ("num_params", offset_of!(MsgHeader, num_params), Width::Bits32),
];

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    offset: usize,
    width: Width,
}

impl Field {
    /// Makes the operations that find this field in the message at an address.
    pub(super) fn of(self, message: &[Operation]) -> Vec<Operation> {
        let mut operations = message.to_vec();
        operations.extend([
            Operation::Number(self.offset as u64),
            Operation::Binary(Binary::Add),
            Operation::Load(self.width),
        ]);
        operations
    }
}

/// Finds the field of this name.
pub(super) fn field(name: &str) -> Option<Field> {
    if let Some((_, offset, width)) = FIELDS.iter().find(|(known, ..)| *known == name) {
        return Some(Field { offset: *offset, width: *width });
    }
    let (number, of_param) = name.strip_prefix("param")?.split_once('_')?;
    let offset = match of_param {
        "attr" => offset_of!(MsgParam, attr),
        "a" => offset_of!(MsgParam, a),
        "b" => offset_of!(MsgParam, b),
        "c" => offset_of!(MsgParam, c),
        _ => return None,
    };
    let number = number.parse::<u8>().ok()?;
    let param = size_of::<MsgHeader>() + usize::from(number) * size_of::<MsgParam>();
    Some(Field { offset: param + offset, width: Width::Bits64 })
}

impl Compiler<'_> {
    /// Writes a message, number by number.
    pub(super) fn message_items(&self, raw: &RawStep, place: &Place) -> Result<Vec<u8>, Mistake> {
        let opening = raw.open.as_ref().map(|target| opening(target, place)).transpose()?;
        let cmd = match (&raw.cmd, &raw.open) {
            (Some(_), Some(open)) => return place.mistake_at(open.span(), "`open` says the command already"),
            (None, Some(_)) => vec![Operation::Number(Cmd::OPEN_SESSION.0.into())],
            (Some(cmd), None) => self.command(cmd, place)?,
            (None, None) => return place.mistake("a message has a `cmd` or an `open`"),
        };
        let own = opening
            .iter()
            .flatten()
            .map(|param| [param.attr, param.a, param.b, param.c].map(|number| vec![Operation::Number(number)]));
        let mut params: Vec<_> = own.collect();
        for param in &raw.params {
            params.push(self.param(param, place)?);
        }
        let or = |value: &Option<Number>, default: u64| match value {
            Some(value) => self.operations(value, place),
            None => Ok(vec![Operation::Number(default)]),
        };
        let header = [
            cmd,
            or(&raw.func, 0)?,
            or(&raw.session, 0)?,
            or(&raw.cancel_id, 0)?,
            vec![Operation::Number(0)],
            vec![Operation::Number(UNANSWERED.into())],
            vec![Operation::Number(UNANSWERED.into())],
            or(&raw.num_params, params.len() as u64)?,
        ];
        let mut items = Vec::new();
        for word in header {
            item(Width::Bits32, &bytes(&word), &mut items);
        }
        for number in params.iter().flatten() {
            item(Width::Bits64, &bytes(number), &mut items);
        }
        Ok(items)
    }

    /// Reads a command by a short name (`INVOKE_COMMAND`), or as any number.
    fn command(&self, cmd: &Number, place: &Place) -> Result<Vec<Operation>, Mistake> {
        if let Value::Text(text) = cmd.get_ref()
            && let Some(cmd) = Cmd::from_name(&format!("OPTEE_MSG_CMD_{text}"))
        {
            return Ok(vec![Operation::Number(cmd.0.into())]);
        }
        self.operations(cmd, place)
    }

    fn param(&self, spanned: &Spanned<RawParam>, place: &Place) -> Result<[Vec<Operation>; 4], Mistake> {
        let raw = spanned.get_ref();
        let flags = if raw.meta { ATTR_META } else { 0 } | if raw.noncontig { ATTR_NONCONTIG } else { 0 };
        let mut attr = match (&raw.kind, &raw.attr) {
            (Some(kind), None) => match attribute(kind) {
                Some(attr) => vec![Operation::Number(attr | flags)],
                None => {
                    let message = format!(
                        "`{kind}` is no parameter; there are none, value-in, tmem-out, rmem-inout and their like"
                    );
                    return place.mistake_at(spanned.span(), message);
                }
            },
            (None, Some(attr)) => self.operations(attr, place)?,
            _ => return place.mistake_at(spanned.span(), "a parameter has either a `type` or an `attr`"),
        };
        if raw.attr.is_some() && flags != 0 {
            attr.extend([Operation::Number(flags), Operation::Binary(Binary::Or)]);
        }
        let or_zero = |value: &Option<Number>| match value {
            Some(value) => self.operations(value, place),
            None => Ok(vec![Operation::Number(0)]),
        };
        Ok([attr, or_zero(&raw.a)?, or_zero(&raw.b)?, or_zero(&raw.c)?])
    }
}

/// Returns the attribute of a parameter's type.
fn attribute(kind: &str) -> Option<u64> {
    if kind == "none" {
        return Some(0);
    }
    let (base, dir) = kind.split_once('-')?;
    let dir = match dir {
        "in" => Direction::In,
        "out" => Direction::Out,
        "inout" => Direction::InOut,
        _ => return None,
    };
    let param = match base {
        "value" => Param::Value { dir, value: [0; 3] },
        "tmem" => Param::Tmem { dir, buf_ptr: 0, size: 0, shm_ref: 0, noncontig: false },
        "rmem" => Param::Rmem { dir, offs: 0, size: 0, shm_ref: 0 },
        _ => return None,
    };
    Some(param.to_msg().attr)
}

/// Returns OPEN_SESSION's own two parameters: whose session, and who asks.
fn opening(target: &Spanned<String>, place: &Place) -> Result<[MsgParam; 2], Mistake> {
    let text = target.get_ref();
    let uuid = match PSEUDO_TAS.iter().find(|(name, _)| name == text) {
        Some((_, uuid)) => *uuid,
        None => match Uuid::parse_str(text) {
            Ok(uuid) => uuid,
            Err(_) => {
                let message = format!("`{text}` is neither {} nor a UUID", pseudo_tas());
                return place.mistake_at(target.span(), message);
            }
        },
    };
    let (a, b) = uuid_to_value(&uuid);
    let value = |value| Param::Value { dir: Direction::In, value }.to_msg().meta();
    Ok([value([a, b, 0]), value([0, 0, LOGIN_PUBLIC])])
}

/// The pseudo-TAs that have a name here, as a list.
fn pseudo_tas() -> String {
    PSEUDO_TAS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_the_pseudo_tas_that_have_a_name() {
        let line = format!("# OPEN_SESSION: {} or a UUID;", pseudo_tas());
        let reference = include_str!("../../../scenarios/STEPS.md");
        assert!(reference.contains(&line), "the example of `open` in scenarios/STEPS.md has to say \"{line}\"");
    }

    #[test]
    fn types_have_the_numbers_of_the_message_abi() {
        assert_eq!(attribute("value-inout"), Some(3));
        assert_eq!(attribute("rmem-in"), Some(5));
        assert_eq!(attribute("tmem-out"), Some(0xA));
        assert_eq!(attribute("none"), Some(0));
        assert_eq!(attribute("tmem"), None);
        assert_eq!(attribute("tmem-up"), None);
    }

    #[test]
    fn fields_are_found_by_their_names() {
        assert_eq!(field("ret"), Some(Field { offset: 20, width: Width::Bits32 }));
        assert_eq!(field("param2_b"), Some(Field { offset: 32 + 64 + 16, width: Width::Bits64 }));
        assert_eq!(field("param_b"), None);
        assert_eq!(field("param1_d"), None);
    }
}
