//! Filters, run by a small machine of our own, against the profiles that they come from.

use serde_json::{Value, json};

use super::filter::Instruction;
use super::{CapabilitySet, Seccomp, filter, numbers};

const ALLOWED: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

/// A call as a filter sees it.
struct Call {
    number: u32,
    arch: u32,
    arguments: [u64; 6],
}

/// What a filter returns.
fn run(program: &[Instruction], call: &Call) -> u32 {
    let load = |offset: u32| match offset {
        0 => call.number,
        4 => call.arch,
        _ => {
            let argument = call.arguments[(offset as usize - 16) / 8];
            (if offset.is_multiple_of(8) { argument } else { argument >> 32 }) as u32
        }
    };
    let (mut at, mut value) = (0, 0);
    loop {
        let Instruction { code, yes, no, operand } = program[at];
        let jump = |holds: bool| usize::from(if holds { yes } else { no });
        at += 1;
        match code {
            0x20 => value = load(operand),
            0x54 => value &= operand,
            0x05 => at += operand as usize,
            0x15 => at += jump(value == operand),
            0x25 => at += jump(value > operand),
            0x35 => at += jump(value >= operand),
            0x06 => return operand,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

fn of(seccomp: &Seccomp, capabilities: CapabilitySet) -> Vec<Instruction> {
    filter(seccomp, capabilities).unwrap().unwrap()
}

/// What a filter says to a call of an architecture by name.
fn asked(program: &[Instruction], arch: usize, name: &str, arguments: &[u64]) -> u32 {
    let arch = numbers::native()[arch];
    let (_, number) = arch.calls().find(|(call, _)| *call == name).expect("a known call");
    let mut six = [0; 6];
    six[..arguments.len()].copy_from_slice(arguments);
    run(program, &Call { number, arch: arch.audit, arguments: six })
}

fn own(program: &[Instruction], name: &str, arguments: &[u64]) -> u32 {
    asked(program, 0, name, arguments)
}

#[test]
fn the_usual_profile_keeps_the_dangerous_calls_away() {
    let program = of(&Seccomp::Default, CapabilitySet::usual());
    for name in ["read", "execve", "chroot", "openat2", "futex", "statx", "ptrace"] {
        assert_eq!(own(&program, name, &[]), ALLOWED, "{name}");
    }
    for name in ["mount", "bpf", "setns", "kexec_load", "io_uring_setup", "keyctl", "reboot"] {
        assert_eq!(own(&program, name, &[]), EPERM, "{name}");
    }
    assert_eq!(own(&program, "clone", &[0x11]), ALLOWED);
    assert_eq!(own(&program, "clone", &[0x1000_0000]), EPERM, "a namespace for users");
    assert_eq!(own(&program, "clone3", &[]), ENOSYS);
    assert_eq!(own(&program, "socket", &[2]), ALLOWED);
    assert_eq!(own(&program, "socket", &[40]), EPERM);
    assert_eq!(own(&program, "personality", &[8]), ALLOWED);
    assert_eq!(own(&program, "personality", &[9]), EPERM);
}

#[test]
fn capabilities_open_calls() {
    let program = of(&Seccomp::Default, CapabilitySet::all());
    for name in ["mount", "bpf", "setns", "clone3", "reboot", "finit_module"] {
        assert_eq!(own(&program, name, &[]), ALLOWED, "{name}");
    }
    assert_eq!(own(&program, "clone", &[0x1000_0000]), ALLOWED);
    assert_eq!(own(&program, "kexec_load", &[]), EPERM);
}

#[test]
fn unknown_calls_and_architectures_are_told_apart() {
    let program = of(&Seccomp::Default, CapabilitySet::usual());
    let arch = numbers::native()[0].audit;
    let call = |number, arch| run(&program, &Call { number, arch, arguments: [0; 6] });
    for number in [470, 5000, 0x4000_0000, u32::MAX] {
        assert_eq!(call(number, arch), ENOSYS, "{number}");
    }
    assert_eq!(call(0, 0x1234), 0x8000_0000);
    if numbers::native().len() > 1 {
        assert_eq!(asked(&program, 1, "read", &[]), ALLOWED);
        assert_eq!(asked(&program, 1, "mount", &[]), EPERM);
    }
}

#[test]
fn filters_are_short() {
    let program = of(&Seccomp::Default, CapabilitySet::usual());
    println!("{} instructions", program.len());
    assert!(program.len() < 500, "{}", program.len());
}

fn profile(json: Value) -> Seccomp {
    Seccomp::Profile(Box::new(json))
}

#[test]
fn every_comparison_compares_all_64_bits() {
    let big: u64 = 0x1_0000_0005;
    let near = [0, 4, 5, 6, big - 1, big, big + 1, 0x2_0000_0005, u64::MAX];
    let masked = |value: u64| value & 0x1_0000_000f == big;
    let tests: [(&str, &dyn Fn(u64) -> bool); 7] = [
        ("EQ", &|value| value == big),
        ("NE", &|value| value != big),
        ("GT", &|value| value > big),
        ("GE", &|value| value >= big),
        ("LT", &|value| value < big),
        ("LE", &|value| value <= big),
        ("MASKED_EQ", &masked),
    ];
    for (op, expected) in tests {
        let (value, two) = if op == "MASKED_EQ" { (0x1_0000_000f, big) } else { (big, 0) };
        let argument = json!({"index": 3, "value": value, "valueTwo": two,
                              "op": format!("SCMP_CMP_{op}")});
        let sure = json!({"index": 0, "value": 1, "op": "SCMP_CMP_EQ"});
        for args in [json!([argument, sure]), json!([sure, argument])] {
            let program = of(
                &profile(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                    {"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": args}]})),
                CapabilitySet::usual(),
            );
            for value in near {
                let found = own(&program, "kill", &[1, 0, 0, value]) == ALLOWED;
                assert_eq!(found, expected(value), "{op} {value:#x}");
                assert_eq!(own(&program, "kill", &[0, 0, 0, value]), EPERM);
            }
        }
    }
}

#[test]
fn profiles_say_what_happens_and_when() {
    let json = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "nonsense"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2},
        {"name": "rmdir", "action": "SCMP_ACT_KILL"},
        {"names": ["link"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_TIME"]}},
        {"names": ["sync"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_CHOWN"]}},
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.0"}},
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "includes": {"arches": ["vax"]}}]});
    let program = of(&profile(json), CapabilitySet::usual());
    assert_eq!(own(&program, "mkdirat", &[]), ALLOWED);
    for name in ["sync", "kill"] {
        assert_eq!(own(&program, name, &[]), ALLOWED, "{name}");
    }
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(own(&program, "mkdir", &[]), 0x0005_0002);
        assert_eq!(own(&program, "rmdir", &[]), 0);
        assert_eq!(own(&program, "link", &[]), ALLOWED);
    }
    let arch = numbers::native()[0].audit;
    assert_eq!(run(&program, &Call { number: 4999, arch, arguments: [0; 6] }), ALLOWED);
}

#[test]
fn profiles_that_cannot_be_kept_are_refused() {
    let refused = |json| filter(&profile(json), CapabilitySet::usual()).unwrap_err();
    assert!(refused(json!({})).starts_with("the seccomp profile cannot be read"));
    for (name, part) in [
        (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "SCMP_ACT_NOTIFY"),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
                "action": "SCMP_ACT_ERRNO", "args": [{"index": 9, "value": 0, "op": "x"}]}]}),
            "argument 9",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
                "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0, "op": "ODD"}]}]}),
            "ODD",
        ),
    ] {
        assert!(refused(name).contains(part), "{part}");
    }
}

#[test]
fn no_filter_is_none() {
    assert_eq!(filter(&Seccomp::Unconfined, CapabilitySet::all()), Ok(None));
}
