// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which function of which layer an instruction belongs to, by the symbols of the programs in the machine.

use crate::level::Level;
use anyhow::{Context, Result};
use object::LittleEndian as Le;
use object::elf::{FileHeader64, PF_X, PT_LOAD, SHT_SYMTAB, STT_FUNC, STT_NOTYPE};
use object::read::elf::{FileHeader, ProgramHeader, Sym};

/// A function, or code that begins at a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Where it begins.
    start: u64,
    /// The address after it.
    end: u64,
    /// The level that it runs at.
    pub level: Level,
    /// Its path without the compiler's hash.
    pub name: String,
}

/// The functions of all programs, by address.
#[derive(Debug, Default)]
pub struct Symbols {
    functions: Vec<Function>,
    labels: Vec<(String, u64)>,
    texts: Vec<(u64, Vec<u8>)>,
}

impl Symbols {
    /// Adds a program that runs at this level, moved by so much from where it was linked.
    pub fn add(&mut self, elf: &[u8], level: Level, moved: u64) -> Result<()> {
        let header = FileHeader64::<Le>::parse(elf).context("not a 64-bit ELF file")?;
        let endian = header.endian().context("not little-endian")?;
        let mut texts = Vec::new();
        for segment in header.program_headers(endian, elf).context("damaged program headers")? {
            if segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).0 & PF_X.0 != 0 {
                let data = segment.data(endian, elf).ok().context("a segment lies outside of the file")?;
                texts.push((segment.p_vaddr(endian).wrapping_add(moved), data.to_vec()));
            }
        }
        let sections = header.sections(endian, elf).context("damaged section headers")?;
        let table = sections.symbols(endian, elf, SHT_SYMTAB).context("damaged symbol table")?;
        let mut found = Vec::new();
        for symbol in table.iter() {
            let name = symbol.name(endian, table.strings()).context("a symbol has no name")?;
            let name = String::from_utf8_lossy(name);
            let address = symbol.st_value(endian).wrapping_add(moved);
            let is_code = texts.iter().any(|(start, bytes)| (*start..start + bytes.len() as u64).contains(&address));
            let kind = symbol.st_type();
            // `$x` and `$d` say where code and data begin, and name nothing.
            if is_code && (kind == STT_FUNC || kind == STT_NOTYPE) && !name.is_empty() && !name.starts_with('$') {
                let sized = symbol.st_size(endian) != 0;
                found.push((address, sized, format!("{:#}", rustc_demangle::demangle(&name))));
            }
        }
        self.labels.extend(found.iter().map(|(address, _, name)| (name.clone(), *address)));
        // Of several names for one place the function's is the best.
        found.sort_by_key(|(address, sized, _)| (*address, !sized));
        found.dedup_by_key(|(address, ..)| *address);
        for (index, (start, _, name)) in found.iter().enumerate() {
            let next = found.get(index + 1).map_or(u64::MAX, |(next, ..)| *next);
            let text = texts.iter().find(|(text, bytes)| (*text..text + bytes.len() as u64).contains(start));
            let end = next.min(text.map_or(*start, |(text, bytes)| text + bytes.len() as u64));
            self.functions.push(Function { start: *start, end, level, name: name.clone() });
        }
        self.functions.sort_by_key(|function| function.start);
        self.texts.extend(texts);
        Ok(())
    }

    /// Returns the number of the function that this instruction is of.
    pub fn find(&self, pc: u64) -> Option<usize> {
        let index = self.functions.partition_point(|function| function.start <= pc).checked_sub(1)?;
        (pc < self.functions[index].end).then_some(index)
    }

    /// Returns the function of this number.
    pub fn function(&self, index: usize) -> &Function {
        &self.functions[index]
    }

    /// Says where a label is.
    pub fn label(&self, name: &str) -> Result<u64> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        Ok(found.with_context(|| format!("no program has the label {name}"))?.1)
    }

    /// Returns the instruction at an address.
    pub fn instruction(&self, pc: u64) -> Option<u32> {
        let (start, bytes) =
            self.texts.iter().find(|(start, bytes)| (*start..start + bytes.len() as u64).contains(&pc))?;
        let bytes = bytes.get((pc - start) as usize..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
impl Symbols {
    /// Makes functions of these names, levels and ranges.
    pub fn of(functions: &[(&str, Level, std::ops::Range<u64>)]) -> Self {
        let labels = functions.iter().map(|(name, _, range)| ((*name).to_owned(), range.start)).collect();
        let functions = functions.iter().map(|(name, level, range)| Function {
            start: range.start,
            end: range.end,
            level: *level,
            name: (*name).to_owned(),
        });
        Self { functions: functions.collect(), labels, texts: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_belongs_to_the_function_around_it_and_to_none_between_them() {
        let symbols = Symbols::of(&[("a", Level::El3, 0x100..0x110), ("b", Level::El2, 0x200..0x208)]);
        let name = |pc| symbols.find(pc).map(|index| symbols.function(index).name.as_str());
        assert_eq!([0xFC, 0x100, 0x10C, 0x110].map(name), [None, Some("a"), Some("a"), None]);
        assert_eq!([0x1FC, 0x204, 0x208].map(name), [None, Some("b"), None]);
    }

    #[test]
    fn symbols_of_a_program_are_read_where_it_runs() {
        // This test's own program: whatever it was built for, its sections have the same form.
        let elf = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut symbols = Symbols::default();
        if symbols.add(&elf, Level::El1, 0x1000).is_err() {
            // Not an ELF system.
            return;
        }
        let main = symbols.label("main").unwrap();
        assert_eq!(symbols.function(symbols.find(main).unwrap()).level, Level::El1);
        assert!(symbols.label("no such label").is_err());
    }
}
