// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exception syndromes by field (Arm ARM DDI 0487, D24.2.40 "ESR_EL2").

/// The value of an ESR_ELx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Esr(pub u64);

/// A field of a register: its name with its bits, its value, what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `EC[31:26]`.
    pub name: String,
    /// In hexadecimal, or as it is best read.
    pub value: String,
    /// In words; empty if the number says it all.
    pub meaning: String,
}

impl Field {
    /// Makes a field.
    pub fn new(name: impl Into<String>, value: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), meaning: meaning.into() }
    }
}

/// Exception class numbers that are told apart.
mod class {
    pub(super) const WFX: u64 = 0x01;
    pub(super) const SYSREG: u64 = 0x18;
    pub(super) const INSTRUCTION_LOWER: u64 = 0x20;
    pub(super) const INSTRUCTION_SAME: u64 = 0x21;
    pub(super) const DATA_LOWER: u64 = 0x24;
    pub(super) const DATA_SAME: u64 = 0x25;
    pub(super) const BRK: u64 = 0x3C;
}

impl Esr {
    /// Returns the exception class.
    pub const fn ec(self) -> u64 {
        self.0 >> 26 & 0x3F
    }

    /// Returns the instruction specific syndrome.
    pub const fn iss(self) -> u64 {
        self.0 & 0x1FF_FFFF
    }

    const fn bit(self, number: u32) -> bool {
        self.0 >> number & 1 != 0
    }

    /// Says the class in words.
    pub const fn class(self) -> &'static str {
        match self.ec() {
            0x00 => "unknown reason",
            class::WFX => "WFI or WFE",
            0x07 => "SVE, SIMD or floating point",
            0x09 => "pointer authentication",
            0x0E => "illegal execution state",
            0x11 | 0x15 => "SVC",
            0x12 | 0x16 => "HVC",
            0x13 | 0x17 => "SMC",
            class::SYSREG => "MSR, MRS or system instruction",
            0x19 => "SVE",
            0x1D => "SME",
            class::INSTRUCTION_LOWER => "instruction abort, lower level",
            class::INSTRUCTION_SAME => "instruction abort, same level",
            0x22 => "PC alignment",
            class::DATA_LOWER => "data abort, lower level",
            class::DATA_SAME => "data abort, same level",
            0x26 => "SP alignment",
            0x2C => "floating point",
            0x2F => "SError",
            0x30 | 0x31 => "breakpoint",
            0x32 | 0x33 => "software step",
            0x34 | 0x35 => "watchpoint",
            class::BRK => "BRK",
            _ => "reserved class",
        }
    }

    /// Lists every field that means something for its class.
    pub fn fields(self) -> Vec<Field> {
        let mut fields = vec![
            Field::new("EC [31:26]", format!("{:#04x}", self.ec()), self.class()),
            Field::new("IL [25]", flag(self.bit(25)), if self.bit(25) { "32-bit instruction" } else { "16-bit" }),
            Field::new("ISS [24:0]", format!("{:#x}", self.iss()), ""),
        ];
        match self.ec() {
            class::WFX => {
                let what = ["WFI", "WFE", "WFIT", "WFET"][(self.0 & 3) as usize];
                fields.push(Field::new("TI [1:0]", format!("{}", self.0 & 3), what));
            }
            0x11..=0x13 | 0x15..=0x17 | class::BRK => {
                fields.push(Field::new("imm16 [15:0]", format!("{:#x}", self.0 & 0xFFFF), "the instruction's operand"));
            }
            class::SYSREG => {
                let (op0, op1, n, m, op2) = self.operands();
                fields.push(Field::new(
                    "register",
                    format!("S{op0}_{op1}_C{n}_C{m}_{op2}"),
                    register(op0, op1, n, m, op2).unwrap_or(""),
                ));
                fields.push(Field::new("Rt [9:5]", format!("x{}", self.0 >> 5 & 31), ""));
                let way = if self.bit(0) { "MRS: read" } else { "MSR: write" };
                fields.push(Field::new("Direction [0]", flag(self.bit(0)), way));
            }
            class::INSTRUCTION_LOWER | class::INSTRUCTION_SAME => {
                fields.push(Field::new("S1PTW [7]", flag(self.bit(7)), "on a stage 1 walk"));
                fields.push(Field::new("IFSC [5:0]", format!("{:#04x}", self.0 & 0x3F), status(self.0)));
            }
            class::DATA_LOWER | class::DATA_SAME => self.data_abort(&mut fields),
            _ => {}
        }
        fields
    }

    fn data_abort(self, fields: &mut Vec<Field>) {
        if self.bit(24) {
            let size = 8 << (self.0 >> 22 & 3);
            fields.push(Field::new("ISV [24]", "1", "the fields down to AR are valid"));
            fields.push(Field::new("SAS [23:22]", format!("{}", self.0 >> 22 & 3), format!("{size} bits")));
            fields.push(Field::new("SSE [21]", flag(self.bit(21)), "sign extension"));
            let register = match self.0 >> 16 & 31 {
                31 => "xzr".into(),
                number => format!("x{number}"),
            };
            fields.push(Field::new("SRT [20:16]", register, "register of the access"));
            fields.push(Field::new("SF [15]", flag(self.bit(15)), "64-bit register"));
            fields.push(Field::new("AR [14]", flag(self.bit(14)), "acquire or release"));
        } else {
            fields.push(Field::new("ISV [24]", "0", "no more about the instruction"));
        }
        fields.push(Field::new("FnV [10]", flag(self.bit(10)), "FAR is not valid"));
        fields.push(Field::new("CM [8]", flag(self.bit(8)), "cache maintenance"));
        fields.push(Field::new("S1PTW [7]", flag(self.bit(7)), "on a stage 1 walk"));
        fields.push(Field::new("WnR [6]", flag(self.bit(6)), if self.bit(6) { "write" } else { "read" }));
        fields.push(Field::new("DFSC [5:0]", format!("{:#04x}", self.0 & 0x3F), status(self.0)));
    }

    /// Returns op0, op1, CRn, CRm and op2 of a trapped access to a system register.
    const fn operands(self) -> (u64, u64, u64, u64, u64) {
        let iss = self.0;
        (iss >> 20 & 3, iss >> 14 & 7, iss >> 10 & 15, iss >> 1 & 15, iss >> 17 & 7)
    }
}

/// Says why a VM left the CPU, in few words: what belongs together goes by one name.
pub fn exit(esr: Esr) -> String {
    let write = if esr.bit(6) { "write" } else { "read" };
    match esr.ec() {
        class::WFX => ["WFI", "WFE", "WFIT", "WFET"][(esr.0 & 3) as usize].into(),
        class::SYSREG => {
            let (op0, op1, n, m, op2) = esr.operands();
            let way = if esr.bit(0) { "MRS" } else { "MSR" };
            match register(op0, op1, n, m, op2) {
                _ if (op0, op1, n) == (3, 0, 0) => format!("{way} ID register"),
                Some(name) => format!("{way} {name}"),
                None => format!("{way} S{op0}_{op1}_C{n}_C{m}_{op2}"),
            }
        }
        class::DATA_LOWER => format!("stage 2: data {write}"),
        class::INSTRUCTION_LOWER => "stage 2: instruction".into(),
        _ => esr.class().into(),
    }
}

const fn flag(set: bool) -> &'static str {
    if set { "1" } else { "0" }
}

/// Names a fault status code.
const fn status(code: u64) -> &'static str {
    match code & 0x3F {
        0x00..=0x03 => "address size fault",
        0x04 => "translation fault, level 0",
        0x05 => "translation fault, level 1",
        0x06 => "translation fault, level 2",
        0x07 => "translation fault, level 3",
        0x08..=0x0B => "access flag fault",
        0x0C => "permission fault, level 0",
        0x0D => "permission fault, level 1",
        0x0E => "permission fault, level 2",
        0x0F => "permission fault, level 3",
        0x10 => "synchronous external abort",
        0x14..=0x17 => "external abort on a walk",
        0x21 => "alignment fault",
        0x30 => "TLB conflict",
        _ => "",
    }
}

/// Names a register that hypervisors trap, by its operands.
const fn register(op0: u64, op1: u64, n: u64, m: u64, op2: u64) -> Option<&'static str> {
    Some(match (op0, op1, n, m, op2) {
        (3, 0, 12, 11, 5) => "ICC_SGI1R_EL1",
        (3, 0, 12, 11, 6) => "ICC_ASGI1R_EL1",
        (3, 0, 12, 11, 7) => "ICC_SGI0R_EL1",
        (3, 0, 12, 12, 5) => "ICC_SRE_EL1",
        (3, 0, 12, 11, 1) => "ICC_DIR_EL1",
        (3, 0, 4, 6, 0) => "ICC_PMR_EL1",
        (3, 0, 1, 0, 1) => "ACTLR_EL1",
        (3, 3, 14, 2, 0) => "CNTP_TVAL_EL0",
        (3, 3, 14, 2, 1) => "CNTP_CTL_EL0",
        (3, 3, 14, 2, 2) => "CNTP_CVAL_EL0",
        (2, 0, 1, 0, 4) => "OSLAR_EL1",
        (2, 0, 1, 1, 4) => "OSLSR_EL1",
        (2, 0, 1, 3, 4) => "OSDLR_EL1",
        (2, 0, 0, 2, 2) => "MDSCR_EL1",
        (3, 0, 0, 4, 0) => "ID_AA64PFR0_EL1",
        (3, 0, 0, 5, 0) => "ID_AA64DFR0_EL1",
        (3, 0, 0, 6, 0) => "ID_AA64ISAR0_EL1",
        (3, 0, 0, 6, 1) => "ID_AA64ISAR1_EL1",
        (3, 0, 0, 7, 0) => "ID_AA64MMFR0_EL1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trapped_store_is_told_field_by_field() {
        // ISV, 32 bits, x6, a write, translation fault of level 3.
        let esr = Esr(0x9386_0047);
        let fields = esr.fields();
        let value = |name: &str| fields.iter().find(|field| field.name.starts_with(name)).map(|f| f.value.as_str());
        assert_eq!(esr.class(), "data abort, lower level");
        assert_eq!((value("SAS"), value("SRT"), value("WnR")), (Some("2"), Some("x6"), Some("1")));
        assert!(fields.iter().any(|field| field.meaning == "translation fault, level 3"));
        assert_eq!(exit(esr), "stage 2: data write");
    }

    #[test]
    fn a_trapped_register_has_its_name() {
        // MSR ICC_SGI1R_EL1, x0.
        let esr = Esr(0x18 << 26 | 1 << 25 | 3 << 20 | 5 << 17 | 12 << 10 | 11 << 1);
        assert_eq!(exit(esr), "MSR ICC_SGI1R_EL1");
        assert_eq!(exit(Esr(1 << 26 | 1)), "WFE");
        assert_eq!(exit(Esr(0x17 << 26)), "SMC");
    }

    #[test]
    fn every_class_has_fields() {
        for class in 0..64 {
            assert!(Esr(class << 26 | 0x1FF_FFFF).fields().len() >= 3);
        }
    }
}
