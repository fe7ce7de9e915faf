//! Seccomp profiles in Docker's form.
//!
//! In: JSON, and the capabilities that decide which rules count. Out: a [`Profile`]; what it does
//! not understand is an error.

use serde::Deserialize;

use super::numbers;
use crate::runtime::native::container::config::CapabilitySet;

/// Which calls are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// What happens where no rule fits.
    pub(super) otherwise: Action,
    /// The rules; those without conditions come last in effect.
    pub(super) rules: Vec<Rule>,
    /// Architectures besides the machine's own; `None`: all that the machine can run.
    pub(super) arches: Option<Vec<String>>,
}

/// What happens to some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The calls.
    pub(super) names: Vec<String>,
    /// What happens.
    pub(super) action: Action,
    /// When: all of these.
    pub(super) conditions: Vec<Condition>,
    /// On which architectures; empty: all.
    pub(super) arches: Vec<String>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It fails with this error.
    Errno(u32),
    /// The thread is killed.
    KillThread,
    /// The process is killed.
    KillProcess,
    /// The process gets SIGSYS.
    Trap,
    /// It is made, and the kernel writes that down.
    Log,
    /// A tracer decides.
    Trace(u32),
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Its number, from 0.
    pub(super) argument: u8,
    /// How it is tested.
    pub(super) test: Test,
}

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// How it is compared.
    pub(super) compare: Compare,
    /// With what.
    pub(super) value: u64,
}

/// How an argument is compared with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// It is the number.
    Equals,
    /// It is another.
    Differs,
    /// It is greater.
    Greater,
    /// It is not less.
    AtLeast,
    /// It is less.
    Less,
    /// It is not greater.
    AtMost,
    /// Its bits under this mask are the number.
    Masked(u64),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchMap>>,
    syscalls: Option<Vec<Syscall>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    includes: Option<Conditions>,
    excludes: Option<Conditions>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conditions {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read(json: &serde_json::Value, caps: CapabilitySet) -> Result<Profile, String> {
    let broken = |error| format!("the seccomp profile cannot be read: {error}");
    let file = File::deserialize(json).map_err(broken)?;
    let otherwise = action(&file.default_action, file.default_errno_ret)?;
    let mut rules = Vec::new();
    for syscall in file.syscalls.into_iter().flatten() {
        if counts(&syscall, caps)? {
            rules.push(rule(syscall)?);
        }
    }
    Ok(Profile { otherwise, rules, arches: arches(file.architectures, file.arch_map) })
}

/// The architectures that a profile names, without `SCMP_ARCH_`.
fn arches(names: Option<Vec<String>>, map: Option<Vec<ArchMap>>) -> Option<Vec<String>> {
    let own = numbers::native().first().map_or("", |arch| arch.name);
    let short = |name: &str| name.strip_prefix("SCMP_ARCH_").unwrap_or(name).to_owned();
    let mapped = map.into_iter().flatten().find(|entry| short(&entry.architecture) == own);
    let names = names.filter(|names| !names.is_empty());
    let names = names.or_else(|| mapped.and_then(|entry| entry.sub_architectures));
    Some(names.into_iter().flatten().map(|name| short(&name)).collect())
}

/// Whether a rule is for a container with these capabilities, on this kernel.
fn counts(syscall: &Syscall, caps: CapabilitySet) -> Result<bool, String> {
    let own = numbers::native().first().map_or("", |arch| arch.short);
    let all = |names: &Option<Vec<String>>, test: &dyn Fn(&String) -> bool| {
        names.as_ref().is_none_or(|names| names.is_empty() || names.iter().all(test))
    };
    let any = |names: &Option<Vec<String>>, test: &dyn Fn(&String) -> bool| {
        names.as_ref().is_some_and(|names| names.iter().any(test))
    };
    let is_own = |name: &String| name == own;
    let has = |name: &String| caps.has(name);
    let mut counts = true;
    if let Some(only) = &syscall.includes {
        let arches = only.arches.as_ref();
        counts &= arches.is_none_or(|names| names.is_empty() || names.iter().any(is_own));
        counts &= all(&only.caps, &has) && kernel_is(only.min_kernel.as_deref())?.unwrap_or(true);
    }
    if let Some(not) = &syscall.excludes {
        counts &= !any(&not.arches, &is_own) && !any(&not.caps, &has);
        counts &= !kernel_is(not.min_kernel.as_deref())?.unwrap_or(false);
    }
    Ok(counts)
}

/// Whether the kernel has at least this version; `None` where none is asked for.
fn kernel_is(least: Option<&str>) -> Result<Option<bool>, String> {
    let Some(least) = least.filter(|least| !least.is_empty()) else { return Ok(None) };
    let unreadable = || format!("`minKernel: {least}` of the seccomp profile is no version");
    let least = version(least).ok_or_else(unreadable)?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(Some(version(&release).is_none_or(|running| running >= least)))
}

/// `MAJOR.MINOR` of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn rule(syscall: Syscall) -> Result<Rule, String> {
    let names = syscall.names.into_iter().flatten().chain(syscall.name).collect();
    let action = action(&syscall.action, syscall.errno_ret)?;
    let conditions = syscall.args.iter().flatten().map(condition).collect::<Result<_, _>>()?;
    Ok(Rule { names, action, conditions, arches: Vec::new() })
}

fn action(name: &str, errno: Option<u32>) -> Result<Action, String> {
    let errno = errno.unwrap_or(libc::EPERM.unsigned_abs());
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(errno),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(errno),
        _ => return Err(format!("`{name}` in the seccomp profile is no action that can be taken")),
    })
}

fn condition(argument: &Argument) -> Result<Condition, String> {
    if argument.index > 5 {
        return Err(format!("a system call has no argument {}", argument.index));
    }
    let (compare, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (Compare::Equals, argument.value),
        "SCMP_CMP_NE" => (Compare::Differs, argument.value),
        "SCMP_CMP_GT" => (Compare::Greater, argument.value),
        "SCMP_CMP_GE" => (Compare::AtLeast, argument.value),
        "SCMP_CMP_LT" => (Compare::Less, argument.value),
        "SCMP_CMP_LE" => (Compare::AtMost, argument.value),
        "SCMP_CMP_MASKED_EQ" => (Compare::Masked(argument.value), argument.value_two),
        other => {
            return Err(format!("`{other}` in the seccomp profile is no comparison"));
        }
    };
    Ok(Condition { argument: argument.index, test: Test { compare, value } })
}
