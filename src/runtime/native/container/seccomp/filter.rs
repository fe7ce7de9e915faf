//! A profile to instructions of classic BPF.
//!
//! For each architecture, the numbers of the calls fall into ranges with the same decision; the
//! ranges become a tree of comparisons. What depends on arguments is decided in the leaves.

use std::collections::BTreeMap;

use super::numbers::Arch;
use super::profile::{Action, Compare, Condition, Profile, Rule, Test};

/// One instruction, as the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(in crate::runtime::native::container) struct Instruction {
    /// What it does.
    pub(super) code: u16,
    /// How many instructions are skipped if it is true.
    pub(super) yes: u8,
    /// How many are skipped if it is false.
    pub(super) no: u8,
    /// Its operand.
    pub(super) operand: u32,
}

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_AT_LEAST: u16 = 0x35;

/// Where the number, the architecture and the arguments of a call stand.
const AT_NUMBER: u32 = 0;
const AT_ARCH: u32 = 4;
const AT_ARGUMENTS: u32 = 16;

/// The most instructions that the kernel takes.
const MOST: usize = 4096;
/// From here on an architecture has numbers of its own kind.
const PRIVATE: u32 = 0x1000;

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision<'a> {
    /// This, always.
    Always(Action),
    /// What the first rule that fits says, else the action.
    Depends(Vec<&'a Rule>, Action),
}

/// Compiles a profile for some architectures.
///
/// # Errors
///
/// If it is too long.
pub(super) fn compile(profile: &Profile, arches: &[Arch]) -> Result<Vec<Instruction>, String> {
    let mut program = vec![plain(LOAD, AT_ARCH)];
    for arch in arches {
        let mut block = vec![plain(LOAD, AT_NUMBER)];
        block.extend(tree(&ranges(profile, *arch)));
        // A jump of its own: the block may be longer than a comparison can skip.
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        program.push(compare(JUMP_EQUAL, arch.audit, 1, 0));
        program.push(plain(JUMP, length));
        program.extend(block);
    }
    program.push(plain(RETURN, number(Action::KillProcess)));
    if program.len() > MOST {
        let length = program.len();
        return Err(format!("the seccomp profile makes {length} instructions, {MOST} is the most"));
    }
    Ok(program)
}

/// The decisions by the first number that they are for, in order, from 0 on.
fn ranges<'a>(profile: &'a Profile, arch: Arch) -> Vec<(u32, Decision<'a>)> {
    let rules = by_name(profile, arch);
    let calls: BTreeMap<u32, &str> = arch.calls().map(|(name, number)| (number, name)).collect();
    let newest = calls.range(..PRIVATE).next_back().map_or(0, |(number, _)| *number);
    let unknown = |number: u32| match profile.otherwise {
        Action::Allow | Action::Log => profile.otherwise,
        _ if number > newest => Action::Errno(libc::ENOSYS.unsigned_abs()),
        other => other,
    };
    let mut ranges = Ranges(Vec::new());
    let mut next = 0;
    for (number, name) in &calls {
        if next < *number {
            ranges.push(next, Decision::Always(unknown(next)));
        }
        ranges.push(*number, decide(rules.get(name), profile.otherwise));
        next = number + 1;
    }
    ranges.push(next, Decision::Always(unknown(next)));
    ranges.0
}

/// The ranges so far.
struct Ranges<'a>(Vec<(u32, Decision<'a>)>);

impl<'a> Ranges<'a> {
    fn push(&mut self, start: u32, decision: Decision<'a>) {
        if self.0.last().is_none_or(|(_, last)| *last != decision) {
            self.0.push((start, decision));
        }
    }
}

/// The rules for each call.
fn by_name<'a>(profile: &'a Profile, arch: Arch) -> BTreeMap<&'a str, Vec<&'a Rule>> {
    let mut rules: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in &profile.rules {
        if rule.arches.is_empty() || rule.arches.iter().any(|name| name == arch.short) {
            for name in &rule.names {
                rules.entry(name).or_default().push(rule);
            }
        }
    }
    rules
}

fn decide<'a>(rules: Option<&Vec<&'a Rule>>, otherwise: Action) -> Decision<'a> {
    let Some(rules) = rules else { return Decision::Always(otherwise) };
    match rules.iter().find(|rule| rule.conditions.is_empty()) {
        Some(rule) => Decision::Always(rule.action),
        None => Decision::Depends(rules.clone(), otherwise),
    }
}

/// Finds the range of the number that is loaded.
fn tree(ranges: &[(u32, Decision<'_>)]) -> Vec<Instruction> {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let Some((start, decision)) = upper.first() else { return Vec::new() };
    if lower.is_empty() {
        return leaf(decision);
    }
    let (lower, upper) = (tree(lower), tree(upper));
    let mut program = match u8::try_from(lower.len()) {
        Ok(skip) => vec![compare(JUMP_AT_LEAST, *start, skip, 0)],
        Err(_) => {
            let length = u32::try_from(lower.len()).unwrap_or(u32::MAX);
            vec![compare(JUMP_AT_LEAST, *start, 0, 1), plain(JUMP, length)]
        }
    };
    program.extend(lower);
    program.extend(upper);
    program
}

fn leaf(decision: &Decision<'_>) -> Vec<Instruction> {
    match decision {
        Decision::Always(action) => vec![plain(RETURN, number(*action))],
        Decision::Depends(rules, otherwise) => {
            let mut program: Vec<_> = rules.iter().flat_map(|rule| tested(rule)).collect();
            program.push(plain(RETURN, number(*otherwise)));
            program
        }
    }
}

/// Returns the action of a rule if all its conditions hold, else goes on behind it.
fn tested(rule: &Rule) -> Vec<Instruction> {
    let mut program = vec![plain(RETURN, number(rule.action))];
    for condition in rule.conditions.iter().rev() {
        let mut test = test(*condition, program.len());
        test.append(&mut program);
        program = test;
    }
    program
}

/// Goes on behind itself if a condition holds, else `rest` instructions further.
fn test(condition: Condition, rest: usize) -> Vec<Instruction> {
    let Condition { argument, test: Test { compare: how, value } } = condition;
    let [low, high] = [value, value >> 32].map(|half| (half & 0xffff_ffff) as u32);
    let at_low = AT_ARGUMENTS + 8 * u32::from(argument);
    let at_high = at_low + 4;
    // Instructions behind the test itself: 0 passes, `fail` does not.
    let fail = u8::try_from(rest).unwrap_or(u8::MAX);
    match how {
        Compare::Equals => equals([at_high, at_low], [high, low], [u32::MAX; 2], fail),
        Compare::Masked(mask) => {
            let masks = [mask >> 32, mask].map(|half| (half & 0xffff_ffff) as u32);
            equals([at_high, at_low], [high, low], masks, fail)
        }
        Compare::Differs => vec![
            plain(LOAD, at_high),
            compare(JUMP_EQUAL, high, 0, 2),
            plain(LOAD, at_low),
            compare(JUMP_EQUAL, low, fail, 0),
        ],
        Compare::Greater => ordered(JUMP_GREATER, [at_high, at_low], [high, low], [0, fail]),
        Compare::AtLeast => ordered(JUMP_AT_LEAST, [at_high, at_low], [high, low], [0, fail]),
        Compare::AtMost => ordered(JUMP_GREATER, [at_high, at_low], [high, low], [fail, 0]),
        Compare::Less => ordered(JUMP_AT_LEAST, [at_high, at_low], [high, low], [fail, 0]),
    }
}

/// Both halves are equal under their masks.
fn equals(at: [u32; 2], halves: [u32; 2], masks: [u32; 2], fail: u8) -> Vec<Instruction> {
    let half = |index: usize, fail: u8| {
        let mut program = vec![plain(LOAD, at[index])];
        if masks[index] != u32::MAX {
            program.push(plain(AND, masks[index]));
        }
        program.push(compare(JUMP_EQUAL, halves[index], 0, fail));
        program
    };
    let low = half(1, fail);
    let behind = u8::try_from(low.len()).unwrap_or(u8::MAX);
    let mut program = half(0, fail.saturating_add(behind));
    program.extend(low);
    program
}

/// The upper halves decide; where they are equal, the lower ones do by `code`.
fn ordered(code: u16, at: [u32; 2], halves: [u32; 2], [yes, no]: [u8; 2]) -> Vec<Instruction> {
    vec![
        plain(LOAD, at[0]),
        compare(JUMP_GREATER, halves[0], yes.saturating_add(3), 0),
        compare(JUMP_EQUAL, halves[0], 0, no.saturating_add(2)),
        plain(LOAD, at[1]),
        compare(code, halves[1], yes, no),
    ]
}

/// An action as a filter returns it.
fn number(action: Action) -> u32 {
    match action {
        Action::Allow => 0x7fff_0000,
        Action::Log => 0x7ffc_0000,
        Action::Trace(value) => 0x7ff0_0000 | value & 0xffff,
        Action::Errno(errno) => 0x0005_0000 | errno & 0xffff,
        Action::Trap => 0x0003_0000,
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
    }
}

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, yes: 0, no: 0, operand }
}

fn compare(code: u16, operand: u32, yes: u8, no: u8) -> Instruction {
    Instruction { code, yes, no, operand }
}
