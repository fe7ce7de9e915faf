//! Bad input, one row a case: what makes it, what is run, and what `ketch` must say.
//!
//! `tests/hostile.rs` runs the rows in a debug build; `cargo bench --bench hostile` runs them in a
//! release build and measures.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Fills an empty folder.
    pub(crate) make: fn(&Path),
    /// What bash runs in that folder.
    pub(crate) line: &'static str,
    pub(crate) code: i32,
    /// A part of what it says on standard error; all of it if this is empty.
    pub(crate) said: &'static str,
    /// Where it says the fault is.
    pub(crate) place: &'static str,
    /// Whether a debug build would take too long.
    pub(crate) pace: Pace,
}

/// How long a case takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Quick,
    /// Too long for a debug build.
    Slow,
}

const fn refused(
    name: &'static str,
    make: fn(&Path),
    said: &'static str,
    place: &'static str,
) -> Case {
    Case { name, make, line: "ketch config -q", code: 1, said, place, pace: Pace::Quick }
}

const fn accepted(name: &'static str, make: fn(&Path)) -> Case {
    Case { code: 0, ..refused(name, make, "", "") }
}

/// Accepted, and said on standard error.
const fn shown(name: &'static str, make: fn(&Path), said: &'static str) -> Case {
    Case { code: 0, ..refused(name, make, said, "") }
}

impl Case {
    const fn line(self, line: &'static str) -> Self {
        Self { line, ..self }
    }

    const fn slow(self) -> Self {
        Self { pace: Pace::Slow, ..self }
    }
}

pub(crate) const WEB: &str = "services:\n  web:\n    image: nginx\n";

/// The largest size that is read, less a little.
const FULL: usize = (16 << 20) - 4096;

/// More than is read.
const HUGE: usize = 50 << 20;

fn file(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn yaml(dir: &Path, content: impl AsRef<[u8]>) {
    file(dir, "compose.yaml", content);
}

/// A project with one service, and this as `.env`.
fn dotenv(dir: &Path, content: impl AsRef<[u8]>) {
    yaml(dir, WEB);
    file(dir, ".env", content);
}

/// A service with these attributes.
fn service(dir: &Path, attributes: &str) {
    yaml(dir, format!("{WEB}    {attributes}\n"));
}

/// `each(0) each(1) …`
fn many(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect()
}

/// A text of `size` bytes, made of one piece.
fn filled(piece: &str, size: usize) -> String {
    piece.repeat(size / piece.len())
}

/// Ten anchors, each of which holds the one before nine times.
fn bomb(dir: &Path, first: &str, item: &str, (open, close): (&str, &str)) {
    let mut text = format!("x-0: &a0 {first}\n");
    for level in 1..10 {
        let items: Vec<String> = (0..9)
            .map(|i| {
                item.replace("KEY", &format!("k{i}")).replace("ANCHOR", &format!("*a{}", level - 1))
            })
            .collect();
        writeln!(text, "x-{level}: &a{level} {open}{}{close}", items.join(", ")).unwrap();
    }
    yaml(dir, text + WEB);
}

/// Each of many services extends the next.
fn extended(dir: &Path) {
    let services = many(10_000, |i| format!("  s{i}: {{image: i, extends: s{}}}\n", i + 1));
    yaml(dir, format!("services:\n{services}"));
}

fn link(dir: &Path, from: &str, to: &str) {
    symlink(to, dir.join(from)).unwrap();
}

/// What expands.
pub(crate) const BOMBS: &[Case] = &[
    refused(
        "lists of aliases",
        |d| bomb(d, "[x]", "ANCHOR", ("[", "]")),
        "error[too-large]",
        "compose.yaml:7:16",
    ),
    refused(
        "mappings of aliases",
        |d| bomb(d, "{k: x}", "KEY: ANCHOR", ("{", "}")),
        "error[too-large]",
        "compose.yaml:7:24",
    ),
    refused(
        "merge keys of aliases",
        |d| bomb(d, "{k: x}", "KEY: {<<: ANCHOR}", ("{", "}")),
        "error[too-large]",
        "compose.yaml:7:20",
    ),
    refused(
        "lists of merged aliases",
        |d| bomb(d, "{k: x}", "ANCHOR", ("{<<: [", "]}")),
        "error[too-large]",
        "compose.yaml:7:21",
    ),
    refused(
        "aliases in services",
        |d| {
            yaml(
                d,
                format!(
                    "x-e: &e\n{}services:\n{}",
                    many(1000, |i| format!("  K{i}: v\n")),
                    many(1000, |i| format!("  s{i}: {{image: i, environment: *e}}\n"))
                ),
            );
        },
        "error[too-large]",
        "compose.yaml:1247:33",
    ),
    refused(
        "one long text, often",
        |d| {
            yaml(
                d,
                format!("x-a: &a {}\nx-b: [{}]\n{WEB}", "x".repeat(1 << 20), "*a, ".repeat(100)),
            );
        },
        "error[too-large]",
        "compose.yaml:2:251",
    ),
    refused(
        "an alias to itself",
        |d| yaml(d, "x-a: &a [*a]\n"),
        "error[alias]",
        "compose.yaml:1:10",
    ),
    refused(
        "an alias to itself by `<<`",
        |d| yaml(d, "x-a: &a\n  <<: *a\n"),
        "error[alias]",
        "compose.yaml:2:7",
    ),
    refused(
        "includes that double",
        |d| {
            yaml(d, "include: [1.yaml, 1.yaml]\n");
            for level in 1..60 {
                file(
                    d,
                    &format!("{level}.yaml"),
                    format!("include: [{0}.yaml, ./{0}.yaml]\n", level + 1),
                );
            }
            file(d, "60.yaml", WEB);
        },
        "expands to more than Ketch reads\n --> 5",
        "",
    ),
    refused(
        "one include, often",
        |d| {
            yaml(d, format!("include:\n{}", "- a.yaml\n".repeat(100_000)));
            file(d, "a.yaml", many(100, |i| format!("x-{i}: {{a: 1}}\n")) + WEB);
        },
        "error[too-large]",
        "a.yaml:35:1",
    ),
    refused(
        "variables that double in `.env`",
        |d| dotenv(d, many(60, |i| format!("A{}=x$A{i}$A{i}\n", i + 1))),
        "error[env-file]",
        ".env:21:5",
    ),
    refused(
        "one long variable, often",
        |d| {
            file(d, ".env", format!("A={}\n", "x".repeat(100_000)));
            yaml(d, format!("{WEB}    command:\n{}", "    - $A$A$A$A\n".repeat(10_000)));
        },
        "error[too-large]",
        "compose.yaml:171:7",
    ),
    refused(
        "one long variable in one value",
        |d| {
            file(d, ".env", format!("A={}\n", "x".repeat(100_000)));
            service(d, &format!("command: {}", "$A".repeat(10_000)));
        },
        "error[too-large]",
        "compose.yaml:4:14",
    ),
    refused(
        "one env file in many services",
        |d| {
            file(d, "a.env", many(10_000, |i| format!("K{i}=value\n")));
            yaml(
                d,
                format!(
                    "services:\n{}",
                    many(1000, |i| format!("  s{i}: {{image: i, env_file: a.env}}\n"))
                ),
            );
        },
        "error[env-file]",
        "a.env:1:1",
    )
    .slow(),
    refused(
        "a long port range, often",
        |d| {
            yaml(
                d,
                format!(
                    "services:\n{}",
                    many(100, |i| format!("  s{i}: {{image: i, ports: ['1-65535:1-65535']}}\n"))
                ),
            );
        },
        "error[too-large]",
        "compose.yaml:3:26",
    ),
    refused(
        "problems by the hundred thousand",
        |d| yaml(d, format!("services:\n{}", many(100_000, |i| format!("  s{i}: 1\n")))),
        "more than 1000 problems",
        "compose.yaml:2:7",
    ),
    accepted("dense dependencies", |d| {
        yaml(
            d,
            format!(
                "services:\n{}",
                many(400, |i| format!(
                    "  s{i}:\n    image: i\n    depends_on: [{}]\n",
                    many(i, |j| format!("s{j},"))
                ))
            ),
        );
    })
    .slow(),
];

/// What is nested.
pub(crate) const DEPTHS: &[Case] = &[
    refused(
        "flow lists",
        |d| yaml(d, "[".repeat(10_000)),
        "error[too-large]",
        "compose.yaml:1:256",
    ),
    refused(
        "closed flow lists",
        |d| yaml(d, "x-a: ".to_owned() + &"[".repeat(10_000) + &"]".repeat(10_000)),
        "error[too-large]",
        "compose.yaml:1:261",
    ),
    refused(
        "flow mappings",
        |d| yaml(d, "{a: ".repeat(10_000)),
        "error[too-large]",
        "compose.yaml:1:1021",
    ),
    refused(
        "block lists on one line",
        |d| yaml(d, "- ".repeat(10_000)),
        "error[too-large]",
        "compose.yaml:1:511",
    ),
    refused(
        "block mappings",
        |d| yaml(d, many(5_000, |i| format!("{}a:\n", " ".repeat(i)))),
        "error[too-large]",
        "compose.yaml:256:256",
    ),
    refused(
        "complex keys",
        |d| yaml(d, "? ".repeat(10_000)),
        "error[too-large]",
        "compose.yaml:1:511",
    ),
    refused(
        "aliases",
        |d| {
            yaml(
                d,
                "x-0: &a0 [x]\n".to_owned()
                    + &many(10_000, |i| format!("x-{}: &a{} [*a{i}]\n", i + 1, i + 1)),
            );
        },
        "error[too-large]",
        "compose.yaml:1:10",
    ),
    refused(
        "variables",
        |d| service(d, &format!("command: {}x{}", "${a:-".repeat(10_000), "}".repeat(10_000))),
        "error[too-large]",
        "compose.yaml:4:514",
    ),
    refused(
        "variables without end",
        |d| service(d, &format!("command: \"{}\"", "${a:-".repeat(10_000))),
        "error[interpolation-syntax]",
        "compose.yaml:4:15",
    ),
    refused(
        "variables in `.env`",
        |d| dotenv(d, format!("A={}x{}\n", "${a:-".repeat(10_000), "}".repeat(10_000))),
        "error[env-file]",
        ".env:1:503",
    ),
    refused(
        "includes",
        |d| {
            yaml(d, "include: [0.yaml]\n");
            for level in 0..10_000 {
                file(d, &format!("{level}.yaml"), format!("include: [{}.yaml]\n", level + 1));
            }
        },
        "error[too-large]",
        "62.yaml:1:11",
    ),
    accepted("services that inherit much, in a row", |d| {
        let variables = many(200, |i| format!("      V{i}: v\n"));
        let rest = many(256, |i| format!("  s{}: {{extends: s{i}}}\n", i + 1));
        yaml(d, format!("services:\n  s0:\n    image: i\n    environment:\n{variables}{rest}"));
    }),
    refused("extended services, told once", extended, "1\n", "")
        .line("ketch config -q 2>&1 | grep -c 'one too many' >&2; exit 1"),
    refused("extended services", extended, "error[too-large]", "compose.yaml:258:29"),
    refused(
        "extended files",
        |d| {
            yaml(d, "services: {web: {extends: {file: 0.yaml, service: web}}}\n");
            for level in 0..10_000 {
                file(
                    d,
                    &format!("{level}.yaml"),
                    format!(
                        "services: {{web: {{extends: {{file: {}.yaml, service: web}}}}}}\n",
                        level + 1
                    ),
                );
            }
        },
        "error[too-large]",
        "255.yaml:1:27",
    ),
    accepted("dependencies", |d| {
        yaml(
            d,
            format!(
                "services:\n{}  s10000: {{image: i}}\n",
                many(10_000, |i| format!("  s{i}: {{image: i, depends_on: [s{}]}}\n", i + 1))
            ),
        );
    })
    .slow(),
    refused(
        "dependencies in a circle",
        |d| {
            yaml(
                d,
                format!(
                    "services:\n{}",
                    many(10_000, |i| format!(
                        "  s{i}: {{image: i, depends_on: [s{}]}}\n",
                        (i + 1) % 10_000
                    ))
                ),
            );
        },
        "error[dependency-cycle]",
        "compose.yaml:2:31",
    ),
];

/// What leads back to itself.
pub(crate) const CIRCLES: &[Case] = &[
    refused(
        "include of itself",
        |d| yaml(d, "include: [compose.yaml]\n"),
        "error[include-cycle]",
        "compose.yaml:1:11",
    ),
    refused(
        "include in a circle",
        |d| {
            yaml(d, "include: [a/b.yaml]\n");
            file(d, "a/b.yaml", "include: [../compose.yaml]\n");
        },
        "error[include-cycle]",
        "a/b.yaml:1:11",
    ),
    refused(
        "include through a link",
        |d| {
            yaml(d, "include: [link.yaml]\n");
            link(d, "link.yaml", "compose.yaml");
        },
        "error[include-cycle]",
        "link.yaml:1:11",
    ),
    refused(
        "include through a linked folder",
        |d| {
            yaml(d, "include: [sub/compose.yaml]\n");
            link(d, "sub", ".");
        },
        "error[unreadable-file]",
        "",
    ),
    refused(
        "extends of itself",
        |d| yaml(d, "services: {a: {extends: a}}\n"),
        "error[extends-cycle]",
        "compose.yaml:1:25",
    ),
    refused(
        "extends in one file",
        |d| yaml(d, "services: {a: {extends: b}, b: {extends: {service: a}}}\n"),
        "error[extends-cycle]",
        "compose.yaml:1:25",
    ),
    refused(
        "extends across files",
        |d| {
            yaml(d, "services: {a: {extends: {file: b.yaml, service: b}}}\n");
            file(d, "b.yaml", "services: {b: {extends: {file: compose.yaml, service: a}}}\n");
        },
        "error[extends-cycle]",
        "compose.yaml:1:25",
    ),
    refused(
        "extends through a link",
        |d| {
            yaml(d, "services: {a: {extends: {file: link.yaml, service: a}}}\n");
            link(d, "link.yaml", "compose.yaml");
        },
        "error[extends-cycle]",
        "compose.yaml:1:25",
    ),
    refused(
        "extends through a linked folder",
        |d| {
            yaml(d, "services: {a: {extends: {file: sub/compose.yaml, service: a}}}\n");
            link(d, "sub", ".");
        },
        "error[unreadable-file]",
        "",
    ),
    refused(
        "depends on itself",
        |d| yaml(d, "services: {a: {image: a, depends_on: [a]}}\n"),
        "error[dependency-cycle]",
        "compose.yaml:1:39",
    ),
];

/// What is large.
pub(crate) const SIZES: &[Case] = &[
    refused("a project file", |d| yaml(d, filled("# comment\n", HUGE)), "error[too-large]", ""),
    refused("`.env`", |d| dotenv(d, filled("A=b\n", HUGE)), "error[env-file]", ""),
    refused(
        "`--env-file`",
        |d| {
            yaml(d, WEB);
            file(d, "a.env", filled("A=b\n", HUGE));
        },
        "error[env-file]",
        "",
    )
    .line("ketch --env-file a.env config -q"),
    refused(
        "`env_file`",
        |d| {
            service(d, "env_file: a.env");
            file(d, "a.env", filled("A=b\n", HUGE));
        },
        "error[env-file]",
        "compose.yaml:4:15",
    ),
    refused(
        "`label_file`",
        |d| {
            service(d, "label_file: a.env");
            file(d, "a.env", filled("A=b\n", HUGE));
        },
        "error[label-file]",
        "compose.yaml:4:17",
    ),
    refused(
        "an included file",
        |d| {
            yaml(d, "include: [a.yaml]\n");
            file(d, "a.yaml", filled("#\n", HUGE));
        },
        "error[too-large]",
        "compose.yaml:1:11",
    ),
    refused(
        "an extended file",
        |d| {
            service(d, "extends: {file: a.yaml, service: web}");
            file(d, "a.yaml", filled("#\n", HUGE));
        },
        "error[too-large]",
        "compose.yaml:4:21",
    ),
    refused(
        "a file with a hole",
        |d| fs::File::create(d.join("compose.yaml")).unwrap().set_len(1 << 40).unwrap(),
        "error[too-large]",
        "",
    ),
    refused(
        "a 16 MiB hole",
        |d| fs::File::create(d.join("compose.yaml")).unwrap().set_len(FULL as u64).unwrap(),
        "error[yaml-syntax]",
        "compose.yaml:1:1",
    ),
    accepted("one scalar", |d| service(d, &format!("command: [\"{}\"]", "x".repeat(FULL)))).slow(),
    refused(
        "a command of many words",
        |d| service(d, &format!("command:\n{}", filled("     xxxxxxxx\n", FULL))),
        "error[too-large]",
        "compose.yaml:5:6",
    )
    .slow(),
    accepted("one comment", |d| service(d, &format!("#{}", "x".repeat(FULL)))).slow(),
    accepted("blank lines", |d| service(d, &"\n".repeat(FULL))).slow(),
    accepted("spaces", |d| service(d, &" ".repeat(FULL))).slow(),
    refused(
        "one line",
        |d| service(d, &format!("command: [{}]", filled("a, ", FULL))),
        "error[too-large]",
        "compose.yaml:4:1499988",
    )
    .slow(),
    refused(
        "many keys",
        |d| yaml(d, format!("x-a:\n{}{WEB}", many(900_000, |i| format!(" k{i}: 1\n")))),
        "error[too-large]",
        "compose.yaml:250000:11",
    )
    .slow(),
    refused(
        "many documents",
        |d| yaml(d, WEB.to_owned() + &filled("---\n", FULL)),
        "error[too-large]",
        "compose.yaml:166666:4",
    )
    .slow(),
    refused(
        "many documents with a key",
        |d| yaml(d, WEB.to_owned() + &filled("---\nx-a: 1\n", FULL)),
        "error[too-large]",
        "compose.yaml:166667:6",
    )
    .slow(),
    refused(
        "many anchors",
        |d| yaml(d, format!("x-a: [{}]\n{WEB}", filled("&a b, ", FULL))),
        "error[too-large]",
        "compose.yaml:1:2999992",
    )
    .slow(),
    refused(
        "unclosed quote",
        |d| service(d, &format!("command: \"{}", filled("word\\n ", FULL))),
        "error[yaml-syntax]",
        "compose.yaml:4:14",
    )
    .slow(),
    refused(
        "duplicate keys",
        |d| yaml(d, WEB.to_owned() + &"x-a: 1\n".repeat(200_000)),
        "error[duplicate-key]",
        "compose.yaml:5:1",
    )
    .slow(),
    refused(
        "a long key",
        |d| yaml(d, format!("{}: 1\n{WEB}", "k".repeat(100_000))),
        "error[yaml-syntax]",
        "compose.yaml:1:100001",
    ),
    refused(
        "a long quoted key",
        |d| yaml(d, format!("\"{}\": 1\n{WEB}", "k".repeat(FULL))),
        "error[yaml-syntax]",
        "compose.yaml:1:16773123",
    )
    .slow(),
    refused(
        "a long service name",
        |d| yaml(d, format!("services: {{? {} : {{image: 5}}}}\n", "s".repeat(1 << 20))),
        "error[wrong-type]",
        "compose.yaml:1:1048601",
    ),
    refused(
        "a long bad value",
        |d| service(d, &format!("ports: [{}]", "9".repeat(1 << 20))),
        "error[invalid-value]",
        "compose.yaml:4:13",
    ),
    refused(
        "dollar signs",
        |d| service(d, &format!("command: \"{}\"", filled("${", FULL))),
        "error[interpolation-syntax]",
        "compose.yaml:4:15",
    )
    .slow(),
    accepted("a long value in `.env`", |d| dotenv(d, format!("A={}\n", "x".repeat(FULL)))).slow(),
    refused(
        "many values in `.env`",
        |d| dotenv(d, many(900_000, |i| format!("A{i}=1\n"))),
        "error[env-file]",
        ".env:1:1",
    )
    .slow(),
    refused(
        "an unclosed quote in `.env`",
        |d| dotenv(d, format!("A=\"{}", filled("x\n", FULL / 40))),
        "error[env-file]",
        ".env:1:3",
    ),
    accepted("carriage returns in `.env`", |d| dotenv(d, format!("A={}", "\r".repeat(FULL))))
        .slow(),
    refused(
        "dollar signs in `.env`",
        |d| dotenv(d, format!("A={}\n", filled("${", FULL))),
        "error[env-file]",
        ".env:1:3",
    )
    .slow(),
];

/// Values out of any range.
pub(crate) const VALUES: &[Case] = &[
    refused(
        "a port beyond 65535",
        |d| service(d, "ports: ['65536']"),
        "error[invalid-value]",
        "compose.yaml:4:13",
    ),
    refused(
        "a port beyond 64 bits",
        |d| service(d, "ports: ['99999999999999999999']"),
        "error[invalid-value]",
        "compose.yaml:4:13",
    ),
    refused(
        "a port range beyond 65535",
        |d| service(d, "ports: ['1-4294967296:1-4294967296']"),
        "error[invalid-value]",
        "compose.yaml:4:13",
    ),
    refused(
        "a port range backwards",
        |d| service(d, "ports: ['9-1']"),
        "error[invalid-value]",
        "compose.yaml:4:13",
    ),
    refused(
        "port ranges of two lengths",
        |d| service(d, "ports: ['1-9:1-5']"),
        "error[invalid-value]",
        "compose.yaml:4:13",
    ),
    refused(
        "a published number beyond 64 bits",
        |d| service(d, "ports: [{target: 99999999999999999999, published: 1}]"),
        "error[invalid-value]",
        "compose.yaml:4:22",
    ),
    refused(
        "a size",
        |d| service(d, "mem_limit: 99999999999999999999g"),
        "error[invalid-value]",
        "compose.yaml:4:16",
    ),
    refused(
        "a negative size",
        |d| service(d, "mem_limit: -99999999999999999999g"),
        "error[invalid-value]",
        "compose.yaml:4:16",
    ),
    refused(
        "a size that is infinite",
        |d| service(d, "mem_limit: 1e999"),
        "error[invalid-value]",
        "compose.yaml:4:16",
    ),
    refused(
        "a duration",
        |d| service(d, "stop_grace_period: 99999999999999999999h"),
        "error[invalid-value]",
        "compose.yaml:4:24",
    ),
    refused(
        "a duration with an exponent",
        |d| service(d, "stop_grace_period: 1e400s"),
        "error[invalid-value]",
        "compose.yaml:4:24",
    ),
    refused(
        "a long duration",
        |d| service(d, &format!("stop_grace_period: {}s", "9".repeat(100_000))),
        "error[invalid-value]",
        "compose.yaml:4:24",
    ),
    refused(
        "a share of processors",
        |d| service(d, "cpus: 1e999"),
        "error[invalid-value]",
        "compose.yaml:4:11",
    ),
    refused(
        "replicas",
        |d| service(d, "deploy: {replicas: 99999999999999999999}"),
        "error[invalid-value]",
        "compose.yaml:4:24",
    ),
    refused(
        "a count of retries",
        |d| service(d, "healthcheck: {test: a, retries: -1}"),
        "error[invalid-value]",
        "compose.yaml:4:37",
    ),
    refused(
        "a long number",
        |d| service(d, &format!("cpu_shares: {}", "9".repeat(100_000))),
        "error[wrong-type]",
        "compose.yaml:4:17",
    ),
    refused(
        "a long binary number",
        |d| service(d, &format!("cpu_shares: 0b{}", "1".repeat(100_000))),
        "error[wrong-type]",
        "compose.yaml:4:17",
    ),
];

/// What could steer a terminal, in all that messages quote.
pub(crate) const ESCAPES: &[Case] = &[
    refused(
        "in a key",
        |d| yaml(d, WEB.to_owned() + "\"a\\e[31m\\x9b\\x85\\u202e\": 1\n"),
        "a␛[31m¤¤�",
        "compose.yaml:4:1",
    ),
    refused(
        "in a service name",
        |d| yaml(d, "services: {\"\\e]0;x\\a\\u202e\": {image: 1}}\n"),
        "␛]0;x␇�",
        "compose.yaml:1:12",
    ),
    refused(
        "in a value",
        |d| service(d, "ports: [\"\\e[2J\\x9b31m\\b\\r\\u2066\"]"),
        "␛[2J¤31m␈␍�",
        "compose.yaml:4:13",
    ),
    refused(
        "raw in a value",
        |d| service(d, "ports: [\"a\u{202e}b\u{2066}c\u{200b}d\u{85}\"]"),
        "a�b�c�d¤",
        "compose.yaml:4:13",
    ),
    refused(
        "raw in a comment",
        |d| service(d, "ports: [a] # \u{202e}gnp.exe"),
        "error[invalid-value]",
        "compose.yaml:4:13",
    ),
    refused(
        "a raw escape",
        |d| service(d, "ports: [\u{1b}[31m]"),
        "error[yaml-syntax]",
        "compose.yaml:4:13",
    ),
    refused(
        "a raw C1 control",
        |d| service(d, "ports: [\u{9b}31m]"),
        "error[yaml-syntax]",
        "compose.yaml:4:13",
    ),
    refused("in `.env`", |d| dotenv(d, "A\u{1b}[31m\u{9b}31m\u{202e}=1\n"), "A␛", ".env:1:2"),
    refused(
        "in a value of `.env`",
        |d| {
            file(d, ".env", "A=\u{1b}[31m\u{9b}31m\u{202e}\n");
            service(d, "ports: [\"$A\"]");
        },
        "␛[31m¤31m�",
        "compose.yaml:4:13",
    ),
    refused(
        "in an env file",
        |d| {
            service(d, "env_file: a.env");
            file(d, "a.env", "A B\u{1b}[31m\u{9b}=1\n");
        },
        "A B␛",
        "a.env:1:4",
    ),
    refused(
        "in a file name",
        |d| service(d, "env_file: \"\\e[31m\\u202e\""),
        "␛[31m�",
        "compose.yaml:4:15",
    ),
    refused(
        "in an included name",
        |d| yaml(d, "include: [\"\\e[31m\\u202e\"]\n"),
        "␛[31m�",
        "compose.yaml:1:11",
    ),
    refused("in `--file`", |d| yaml(d, WEB), "␛[31m�", "")
        .line("ketch -f $'\\e[31m\u{202e}' config"),
    refused("in a service on the command line", |d| yaml(d, WEB), "␛[31m�", "")
        .line("ketch config $'\\e[31m\u{202e}'"),
    refused("in a flag", |d| yaml(d, WEB), "--a␛[31m�", "")
        .line("ketch config $'--a\\e[31m\u{202e}'"),
    refused("in a format", |d| yaml(d, WEB), "unsupported format \"␛[31m�\"", "")
        .line("ketch config --format $'\\e[31m\u{202e}'"),
    refused("in a path to explain", |d| yaml(d, WEB), "has no `␛`", "")
        .line("ketch explain $'services.\\e[31m\u{202e}'"),
    refused("in the command", |d| yaml(d, WEB), "␛[31m�", "").line("ketch $'\\e[31m\u{202e}'"),
    refused("in the project's name", |d| yaml(d, WEB), "␛[31m�", "")
        .line("ketch -p $'\\e[31m\u{202e}' config"),
    refused("in the environment", |d| yaml(d, WEB), "␛[31m�", "")
        .line("COMPOSE_FILE=$'\\e[31m\u{202e}' ketch config"),
    shown(
        "in what `explain` shows",
        |d| service(d, "command: \"\\e[31m\\x9b\\u202e\""),
        "services.web.command",
    )
    .line("ketch explain services.web.command >&2"),
    refused(
        "arguments that are not text",
        |d| yaml(d, WEB),
        "invalid UTF-8 was detected in one or mor",
        "",
    )
    .line("ketch -f $'\\xff' config"),
];

/// Streams that do not end, and streams that end early.
pub(crate) const STREAMS: &[Case] = &[
    refused("endless lines", |_| (), "error[too-large]", "").line("yes | ketch -f - config -q"),
    refused("endless list", |_| (), "error[too-large]", "")
        .line("yes -- '- a' | ketch -f - config -q"),
    refused("endless zeros", |_| (), "error[too-large]", "")
        .line("ketch -f - config -q </dev/zero"),
    refused("nothing", |_| (), "error[empty-project]", "").line("ketch -f - config -q </dev/null"),
    refused("a closed input", |_| (), "error[empty-project]", "").line("ketch -f - config -q <&-"),
    refused("a folder as input", |_| (), "error[unreadable-file]", "")
        .line("ketch -f - config -q <."),
    refused("noise", |_| (), "error[unreadable-file]", "<stdin>:1:1")
        .line("printf '\\xff\\x00\\x80' | ketch -f - config -q"),
    accepted("a reader that stops", |d| {
        yaml(d, format!("services:\n{}", many(2000, |i| format!("  s{i}: {{image: i}}\n"))));
    })
    .line("ketch config | head -1 >/dev/null"),
    accepted("a closed output", |d| yaml(d, WEB)).line("ketch config >&-"),
    refused("a full output", |d| yaml(d, WEB), "cannot write to standard output: no spac", "")
        .line("ketch config >/dev/full"),
    refused(
        "a full output for a list",
        |d| yaml(d, WEB),
        "cannot write to standard output: no spac",
        "",
    )
    .line("ketch config --services >/dev/full"),
    refused(
        "a full output for help",
        |d| yaml(d, WEB),
        "cannot write to standard output: no spac",
        "",
    )
    .line("ketch --help >/dev/full"),
    refused(
        "a full output for a check",
        |d| yaml(d, WEB),
        "cannot write to standard output: no spac",
        "",
    )
    .line("ketch check >/dev/full"),
    refused(
        "a full output for a report",
        |d| yaml(d, WEB),
        "cannot write to standard output: no spac",
        "",
    )
    .line("ketch check --format json >/dev/full"),
    refused(
        "a full output for the schema",
        |d| yaml(d, WEB),
        "cannot write to standard output: no spac",
        "",
    )
    .line("ketch schema >/dev/full"),
    refused("closed standard error", |d| yaml(d, "a"), "", "").line("ketch config 2>&-"),
    refused("full standard error", |d| yaml(d, "a"), "", "").line("ketch config 2>/dev/full"),
    accepted("all streams closed", |d| yaml(d, WEB)).line("ketch config -q <&- >&- 2>&-"),
];

/// What lies where a file should be, and why it cannot be read.
const PLACES: &[(&str, &str)] = &[
    ("mkdir thing", "it is a directory"),
    ("touch thing; chmod 0 thing", "permission denied"),
    ("ln -s thing thing", "too many levels of symbolic links"),
    ("ln -s nothing thing", "there is no such file"),
    ("ln -s socket thing", "it is a pipe, socket or device"),
    ("mkfifo thing", "it is a pipe, socket or device"),
    ("ln -s /dev/zero thing", "it is a pipe, socket or device"),
    ("ln -s /dev/full thing", "it is a pipe, socket or device"),
    ("ln -s /dev/tty thing", "it is a pipe, socket or device"),
];

/// Who reads a file: arguments, what the message says before the reason, and where the file is
/// named.
const READERS: &[(&str, &str, &str)] = &[
    ("-f thing", "cannot read `thing`: ", ""),
    ("--env-file thing", "cannot read env file `thing`: ", ""),
    ("-f env_file.yaml", "cannot read env file `thing`: ", "env_file.yaml:4:15"),
    ("-f label_file.yaml", "cannot read label file `thing`: ", "label_file.yaml:4:17"),
    ("-f include.yaml", "cannot read `thing`: ", "include.yaml:4:11"),
    ("-f extends.yaml", "cannot read `thing`: ", "extends.yaml:4:21"),
];

/// Projects that name the file `$THING`, or `thing`, in all ways.
fn readers(dir: &Path) {
    yaml(dir, WEB);
    file(dir, "env_file.yaml", format!("{WEB}    env_file: ${{THING-thing}}\n"));
    file(dir, "label_file.yaml", format!("{WEB}    label_file: ${{THING-thing}}\n"));
    file(dir, "include.yaml", format!("{WEB}include: [\"${{THING-thing}}\"]\n"));
    let extends = "extends: {file: \"${THING-thing}\", service: web}";
    file(dir, "extends.yaml", format!("{WEB}    {extends}\n"));
    UnixListener::bind(dir.join("socket")).unwrap();
}

/// Root may read everything unless it gives up the right to.
const HUMBLE: &str =
    "h=; [ $EUID = 0 ] && h='setpriv --bounding-set=-dac_override,-dac_read_search'";

/// What is no file, for everything that reads one.
pub(crate) fn places() -> Vec<Case> {
    let pairs = PLACES.iter().flat_map(|place| READERS.iter().map(move |reader| (place, reader)));
    let case = |((make, reason), (arguments, said, place)): (
        &'static (&str, &str),
        &(&str, &'static str, &'static str),
    )| {
        let line = format!("{make}; {HUMBLE}; $h ketch {arguments} config -q");
        let said = format!("{said}{reason}");
        Case { line: line.leak(), ..refused(make, readers, said.leak(), place) }
    };
    pairs.map(case).collect()
}

/// Places that not every reader treats alike.
pub(crate) const SPECIAL_PLACES: &[Case] = &[
    refused("below what is closed", readers, "cannot read `d/f`: permission denied", "").line("mkdir -m 0 d; h=; [ $EUID = 0 ] && h='setpriv --bounding-set=-dac_override,-dac_read_search'; $h ketch -f d/f config"),
    accepted("a folder as `.env`", readers).line("mkdir .env; ketch config -q"),
    accepted("nothing behind `.env`", readers).line("ln -s nothing .env; ketch config -q"),
    accepted("no device as `.env`", readers).line("ln -s /dev/null .env; ketch config -q"),
    accepted("no device as env file", readers).line("THING=/dev/null ketch -f env_file.yaml config -q"),
    refused("a pipe as `.env`", readers, "cannot read env file `.env`: it is a pipe, socket or device", "").line("mkfifo .env; ketch config -q"),
    refused("a loop as `.env`", readers, "cannot read env file `.env`: too many levels of symbolic links", "").line("ln -s .env .env; ketch config -q"),
    refused("no device as project", readers, "error[empty-project]", "").line("ketch -f /dev/null config -q"),
    refused("no device as base", readers, "error[extends]", "extends.yaml:4:21").line("THING=/dev/null ketch -f extends.yaml config -q"),
    refused("a folder as default file", |d| fs::create_dir(d.join("compose.yaml")).unwrap(), "cannot read `compose.yaml`: it is a directory", ""),
    refused("output to a folder", readers, "cannot write", "").line("mkdir thing; ketch config -o thing"),
    refused("output below a file", readers, "cannot write", "").line("ketch config -o compose.yaml/thing"),
    refused("output to a loop", readers, "cannot write", "").line("ln -s thing thing; ketch config -o thing"),
    refused("output to a socket", readers, "cannot write", "").line("ketch config -o socket"),
    refused("output to a pipe that nobody reads", readers, "cannot write", "").line("mkfifo thing; ketch config -o thing"),
    accepted("output to a pipe that somebody reads", readers).line("ln -s /dev/stdout thing; ketch config -o thing | grep -q nginx"),
    refused("output to a full device", readers, "cannot write", "").line("ln -s /dev/full thing; ketch config -o thing"),
    refused("output to no terminal", readers, "cannot write", "").line("ln -s /dev/tty thing; setsid -w ketch config -o thing"),
    accepted("output to a device that takes all", readers).line("ln -s /dev/zero thing; ketch config -o thing"),
    refused("output to a closed folder", readers, "cannot write", "").line("mkdir -m 0 d; h=; [ $EUID = 0 ] && h='setpriv --bounding-set=-dac_override,-dac_read_search'; $h ketch config -o d/f"),
    refused("a current folder that is gone", readers, "current directory", "").line("mkdir d; cd d; rmdir ../d; ketch config"),
];

/// Bytes that are no plain UTF-8: what makes them of a text, and what is wrong with them, in YAML
/// and in an env file; blank where nothing is.
type Encoding = (&'static str, fn(&str) -> Vec<u8>, [&'static str; 2]);

const NUL: [&str; 2] = ["control character U+0000", "unexpected character in variable name"];

const ENCODINGS: &[Encoding] = &[
    ("bom", |text| format!("\u{feff}{text}").into(), ["", ""]),
    ("crlf", |text| text.replace('\n', "\r\n").into(), ["", ""]),
    ("cr", |text| text.replace('\n', "\r").into(), ["", ""]),
    ("utf16le", |text| utf16(&format!("\u{feff}{text}"), u16::to_le_bytes), ["", ""]),
    ("utf16be", |text| utf16(&format!("\u{feff}{text}"), u16::to_be_bytes), ["", ""]),
    ("utf16bare", |text| utf16(text, u16::to_le_bytes), NUL),
    (
        "utf16odd",
        |text| [&utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)[..], b"x"].concat(),
        ["is not UTF-16 text"; 2],
    ),
    (
        "utf16half",
        |text| [&utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)[..], b"\x00\xd8"].concat(),
        ["is not UTF-16 text"; 2],
    ),
    (
        "utf32le",
        |text| format!("\u{feff}{text}").chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
        NUL,
    ),
    (
        "utf32be",
        |text| format!("\u{feff}{text}").chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        ["is not UTF-8 text"; 2],
    ),
    ("latin1", |text| [b"# \xe9\n", text.as_bytes()].concat(), ["is not UTF-8 text"; 2]),
    ("overlong", |text| [b"# \xc0\x80\n", text.as_bytes()].concat(), ["is not UTF-8 text"; 2]),
    ("surrogate", |text| [b"# \xed\xa0\x80\n", text.as_bytes()].concat(), ["is not UTF-8 text"; 2]),
    ("nul", |text| format!("\0{text}").into(), NUL),
    ("tab", |text| text.replace("  ", "\t").into(), ["not valid YAML", ""]),
];

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// Every encoding, as `NAME.yaml` and `NAME.env`.
fn encoded(dir: &Path) {
    readers(dir);
    for (name, encode, _) in ENCODINGS {
        file(dir, &format!("{name}.yaml"), encode(WEB));
        file(dir, &format!("{name}.env"), encode("A=1\nB=2\n"));
    }
}

/// Every encoding, for everything that reads a file.
pub(crate) fn encodings() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, _, [yaml, env]) in ENCODINGS {
        for (arguments, _, _) in READERS {
            let dotenv = arguments.contains("env") || arguments.contains("label");
            let (end, said) = if dotenv { ("env", env) } else { ("yaml", yaml) };
            let arguments = arguments.replace(" thing", &format!(" {name}.{end}"));
            let line = format!("THING={name}.{end} ketch {arguments} config -q");
            let code = i32::from(!said.is_empty());
            cases.push(Case { line: line.leak(), code, ..refused(name, encoded, said, "") });
        }
    }
    cases
}

/// What one run left behind.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl From<std::process::Output> for Said {
    fn from(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            text: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A line of bash that gets at most 256 MiB and a minute; `ketch` is this program.
pub(crate) fn limited(line: &str, ketch: &Path) -> Command {
    let mut command = Command::new("timeout");
    let script = format!("ulimit -v 262144; {line}");
    command.args(["-s", "KILL", "60", "bash", "-o", "pipefail", "-c", &script]).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", ketch.parent().unwrap().display()));
    command
}

impl Case {
    /// Compares; the error is a paragraph for people.
    pub(crate) fn check(&self, found: &Said) -> Result<(), String> {
        let text = &found.text;
        let place = text.contains(&format!("--> {}\n", self.place));
        let right = found.code == Some(self.code)
            && text.contains(self.said)
            && (self.place.is_empty() || place)
            && (text.is_empty() || !self.said.is_empty())
            && !text.chars().any(steers)
            && text.len() < 64 << 10;
        if right {
            return Ok(());
        }
        let Self { name, code, said, place, .. } = self;
        let start: String = text.chars().take(1000).collect();
        Err(format!(
            "--- {name}: expected {code}, {said:?} at {place:?}; got {:?}\n{}\n",
            found.code,
            start.escape_debug().to_string().replace("\\n", "\n")
        ))
    }
}

/// Whether a character steers a terminal or reorders a line.
fn steers(character: char) -> bool {
    character != '\n' && character.is_control()
        || matches!(character, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
