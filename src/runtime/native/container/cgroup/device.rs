//! Which devices a container may use: rules to the words of version 1, and to a program of BPF
//! for version 2.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use super::limits::DeviceRule;

/// `c MAJOR:MINOR` of what every container may use: null, zero, full, random, urandom, tty, ptmx,
/// and all terminals.
const USUAL: &[(u32, Option<u32>)] = &[
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

/// The rules that every container has.
pub(super) fn usual() -> Vec<DeviceRule> {
    let make = |kind| DeviceRule { kind, major: None, minor: None, access: "m".to_owned() };
    let usable = |(major, minor): &(u32, Option<u32>)| DeviceRule {
        kind: 'c',
        major: Some(*major),
        minor: *minor,
        access: "rwm".to_owned(),
    };
    [make('c'), make('b')].into_iter().chain(USUAL.iter().map(usable)).collect()
}

/// A rule as version 1 reads it: `c 1:3 rwm`.
pub(super) fn line(rule: &DeviceRule) -> String {
    let part = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    format!("{} {}:{} {}", rule.kind, part(rule.major), part(rule.minor), rule.access)
}

/// One instruction of extended BPF, as the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the lower half, source in the upper.
    registers: u8,
    offset: i16,
    operand: i32,
}

const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_UNLESS: u8 = 0x55;
const JUMP_UNLESS_SAME: u8 = 0x5d;
const EXIT: u8 = 0x95;

/// Registers: the answer, the context, and what is asked for.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

fn instruction(code: u8, to: u8, from: u8, operand: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset: 0, operand }
}

/// A program that lets pass what one of the rules allows.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let load = |to, offset| Instruction { offset, ..instruction(LOAD_WORD, to, CONTEXT, 0) };
    let mut program = vec![
        load(KIND, 0),
        instruction(COPY, ACCESS, KIND, 0),
        instruction(AND, KIND, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    program.extend(rules.iter().flat_map(allow));
    program.extend([instruction(SET, ANSWER, 0, 0), instruction(EXIT, 0, 0, 0)]);
    program
}

/// Answers yes if a rule fits, else goes on behind itself.
fn allow(rule: &DeviceRule) -> Vec<Instruction> {
    let mut tests = Vec::new();
    match rule.kind {
        'b' => tests.push(instruction(JUMP_UNLESS, KIND, 0, 1)),
        'c' => tests.push(instruction(JUMP_UNLESS, KIND, 0, 2)),
        _ => {}
    }
    let bit = |letter, bit| if rule.access.contains(letter) { bit } else { 0 };
    let access = bit('m', 1) | bit('r', 2) | bit('w', 4);
    tests.extend([
        instruction(COPY, SCRATCH, ACCESS, 0),
        instruction(AND, SCRATCH, 0, access),
        instruction(JUMP_UNLESS_SAME, SCRATCH, ACCESS, 0),
    ]);
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        tests.extend(number.map(|n| instruction(JUMP_UNLESS, register, 0, n.cast_signed())));
    }
    tests.extend([instruction(SET, ANSWER, 0, 1), instruction(EXIT, 0, 0, 0)]);
    let length = tests.len();
    for (at, test) in tests.iter_mut().enumerate() {
        if test.code == JUMP_UNLESS || test.code == JUMP_UNLESS_SAME {
            test.offset = i16::try_from(length - at - 1).unwrap_or(i16::MAX);
        }
    }
    tests
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const CGROUP_DEVICE: u32 = 15;
const ATTACH_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for loading a program.
#[derive(Clone, Copy)]
#[repr(C)]
struct LoadProgram {
    kind: u32,
    length: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for attaching one.
#[derive(Clone, Copy)]
#[repr(C)]
struct AttachProgram {
    target: RawFd,
    program: RawFd,
    kind: u32,
    flags: u32,
}

/// Keeps a cgroup of version 2 from all devices but those that the rules allow. The program goes
/// with the cgroup.
pub(super) fn restrict(cgroup: impl AsFd, rules: &[DeviceRule]) -> io::Result<()> {
    let program = load(&program(rules))?;
    let attach = AttachProgram {
        target: cgroup.as_fd().as_raw_fd(),
        program: program.as_raw_fd(),
        kind: ATTACH_DEVICE,
        flags: ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &attach).map(drop)
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let load = LoadProgram {
        kind: CGROUP_DEVICE,
        length: u32::try_from(program.len()).unwrap_or(u32::MAX),
        instructions: program.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let fd = bpf(PROG_LOAD, &load)?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are the head of `union bpf_attr` for this command, of the size that
    // is told; what they point to outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::{DeviceRule, Instruction, line, program, usual};

    /// Runs a program as the kernel does.
    fn answer(program: &[Instruction], (kind, access): (u64, u64), device: (u64, u64)) -> u64 {
        let mut registers = [0_u64; 10];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, operand } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let operand = operand as u64;
            let skip = usize::try_from(offset).unwrap();
            at += 1;
            match code {
                0x61 => {
                    registers[to] = match offset {
                        0 => access << 16 | kind,
                        4 => device.0,
                        _ => device.1,
                    }
                }
                0xbf => registers[to] = registers[from],
                0xb7 => registers[to] = operand,
                0x57 => registers[to] &= operand,
                0x77 => registers[to] >>= operand,
                0x55 if registers[to] != operand => at += skip,
                0x5d if registers[to] != registers[from] => at += skip,
                0x55 | 0x5d => {}
                0x95 => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    const BLOCK: u64 = 1;
    const CHAR: u64 = 2;

    #[test]
    fn usual_devices_and_rules_are_open_all_else_is_not() {
        let mut rules = usual();
        rules.push(DeviceRule { kind: 'b', major: Some(8), minor: None, access: "r".to_owned() });
        let program = program(&rules);
        let asked = |kind, access, device| answer(&program, (kind, access), device);
        assert_eq!(asked(CHAR, 2, (1, 3)), 1, "read null");
        assert_eq!(asked(CHAR, 6, (136, 77)), 1, "a terminal");
        assert_eq!(asked(CHAR, 2, (1, 1)), 0, "read memory");
        assert_eq!(asked(CHAR, 1, (1, 1)), 1, "any node may be made");
        assert_eq!(asked(BLOCK, 2, (8, 5)), 1);
        assert_eq!(asked(BLOCK, 6, (8, 5)), 0, "write");
        assert_eq!(asked(BLOCK, 2, (9, 5)), 0);
    }

    #[test]
    fn a_rule_for_all_opens_all() {
        let all = DeviceRule { kind: 'a', major: None, minor: None, access: "rwm".to_owned() };
        assert_eq!(line(&all), "a *:* rwm");
        assert_eq!(answer(&program(&[all]), (BLOCK, 7), (9, 9)), 1);
        assert_eq!(answer(&program(&[]), (BLOCK, 1), (9, 9)), 0);
    }
}
