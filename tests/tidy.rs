//! The house rules that a machine can hold: who may import whom, sizes, names, documents.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use ketch::diagnostic::Code;

use crate::binary::{compare, ketch, root};

const MAX_FILE: usize = 600;
const MAX_FUNCTION: usize = 60;

/// All that is not a face to people or tests.
const LIBRARY: &[&str] = &[
    "bundle",
    "diagnostic",
    "event",
    "graph",
    "model",
    "orchestrator",
    "plan",
    "project",
    "runtime",
    "scheduler",
    "watch",
];

/// What each module of ours may use, in one row or several; with `::` only what lies under that path.
const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("lib", &[]),
    ("model", &[]),
    ("graph", &[]),
    ("diagnostic", &[]),
    ("project", &["diagnostic", "graph", "model"]),
    ("plan", &["graph", "diagnostic", "model"]),
    ("event", &["plan", "model"]),
    ("runtime", &["model"]),
    ("scheduler", &["plan", "runtime", "event", "graph", "model"]),
    ("orchestrator", &["diagnostic", "event", "model", "plan", "project", "runtime", "scheduler"]),
    ("bundle", &["event", "model", "orchestrator", "plan", "runtime", "scheduler"]),
    ("watch", &["event", "model"]),
    ("ui", &["diagnostic", "model", "event", "plan", "project::node"]),
    ("testing", LIBRARY),
    ("cli", LIBRARY),
    ("cli", &["testing", "ui"]),
];

/// A file of ours: its path below the project and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    /// `ui` for `src/ui/text.rs`, `graph` for `src/graph.rs`.
    fn module(&self) -> &str {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = path.split('/').next().unwrap_or(path);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

/// Every text file under `path`, which may itself be one.
fn files(path: &str) -> Vec<File> {
    let mut found = Vec::new();
    visit(&root().join(path), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn visit(path: &Path, found: &mut Vec<File>) {
    if let Ok(entries) = std::fs::read_dir(path) {
        entries.for_each(|entry| visit(&entry.unwrap().path(), found));
    } else if path.extension().is_some_and(|end| end == "pending-snap") {
        // What insta leaves behind; ignored by git.
    } else if let Ok(text) = read_to_string(path) {
        let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        found.push(File { path, text });
    }
}

/// The files under `src` that are not tests, without the tests inside them.
fn sources() -> Vec<File> {
    let files = files("src").into_iter().filter(|file| !file.is_test());
    files.map(|file| File { text: without_tests(&file.text), ..file }).collect()
}

/// The text without `#[cfg(test)] mod … { … }`.
fn without_tests(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = String::new();
    let mut at = 0;
    while at < lines.len() {
        let indent = indentation(lines[at]);
        let next = lines.get(at + 1).map_or("", |line| line.trim_start());
        if lines[at].trim() == "#[cfg(test)]" && next.starts_with("mod ") {
            at += 2;
            if next.ends_with('{') {
                let close = lines[at..].iter().position(|line| closes(line, indent));
                at += close.map_or(lines.len(), |end| end + 1);
            }
            continue;
        }
        kept.push_str(lines[at]);
        kept.push('\n');
        at += 1;
    }
    kept
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether a line ends what began at this indentation.
fn closes(line: &str, indent: usize) -> bool {
    indentation(line) == indent && line.trim_start().starts_with('}')
}

/// The functions of a formatted file: name and number of lines.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = indentation(line);
        // A signature that ends in `;` has no body; it may take several lines.
        let is_end = |line: &&str| {
            closes(line, indent) || (indentation(line) == indent && line.ends_with(';'))
        };
        let ends_at_once = line.ends_with(';') || line.ends_with('}');
        // A signature of several lines has a line that begins with `)` and opens the body.
        let length = match lines[start + 1..].iter().position(is_end) {
            _ if ends_at_once => 1,
            Some(more) => more + 2,
            None => lines.len() - start,
        };
        found.push((name.to_owned(), length));
    }
    found
}

/// The name of the function that a line begins.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let qualifier = |word: &str| {
        word.starts_with("pub")
            || ["const", "async", "unsafe", "extern", "\"C\"", "in"].contains(&word)
    };
    let first = words.find(|word| !qualifier(word) && !word.ends_with(')'))?;
    let name = if first == "fn" { words.next()? } else { return None };
    name.split(['(', '<']).next().filter(|name| !name.is_empty())
}

/// The paths under our own crate that a text uses: `crate::ui::{Screen, log}` is two.
fn imports(file: &File) -> Vec<String> {
    // In a file that is a module of the first level, `super` is the crate.
    let first_level = file.path.matches('/').count() == 1
        || file.path.ends_with("/mod.rs") && file.path.matches('/').count() == 2;
    let code: Vec<&str> =
        file.text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for root in ["crate::", "super::"].into_iter().filter(|root| *root == "crate::" || first_level)
    {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && !['_', ':', '$'].contains(&before) {
                tree(&code[at + root.len()..], "", &mut found);
            }
        }
    }
    found
}

/// Reads one use tree and returns what follows it.
fn tree<'a>(text: &'a str, prefix: &str, found: &mut Vec<String>) -> &'a str {
    let end = text.find(|c: char| !c.is_alphanumeric() && !['_', ':'].contains(&c));
    let (path, rest) = text.split_at(end.unwrap_or(text.len()));
    let path = format!("{prefix}{path}");
    let Some(mut rest) = rest.strip_prefix('{').filter(|_| path.is_empty() || path.ends_with("::"))
    else {
        found.push(path);
        return rest;
    };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if let Some(name) = rest.strip_prefix("as ") {
            rest = name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        } else if let Some(after) = rest.strip_prefix('}') {
            return after;
        } else {
            let after = tree(rest, &path, found);
            if after.len() == rest.len() {
                // The end, or no use tree at all.
                return after;
            }
            rest = after;
        }
    }
}

/// What is wrong with the imports of a file.
fn wrong_imports(file: &File) -> Vec<String> {
    let module = file.module();
    let rows = || IMPORTS.iter().filter(|(name, _)| *name == module);
    if rows().next().is_none() {
        return vec![format!("{}: `{module}` is not in the table of tests/tidy.rs", file.path)];
    }
    let under = |path: &str, root: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let permitted = |path: &String| {
        let allowed = rows().flat_map(|(_, allowed)| *allowed);
        under(path, module) || allowed.into_iter().any(|root| under(path, root))
    };
    let ours = |path: &String| IMPORTS.iter().any(|(name, _)| under(path, name));
    let mut wrong: Vec<String> = imports(file)
        .into_iter()
        .filter(|path| ours(path) && !permitted(path))
        .map(|path| format!("{}: `{module}` must not use `{path}`", file.path))
        .collect();
    for (this, other) in [("native", "docker"), ("docker", "native")] {
        let path = format!("runtime::{other}");
        if file.path.starts_with(&format!("src/runtime/{this}"))
            && imports(file).iter().any(|used| under(used, &path))
        {
            wrong.push(format!("{}: {this} must not know {other}", file.path));
        }
    }
    wrong
}

/// Things in a committed file that only mean something on the machine of its author.
fn machine_words(text: &str) -> Vec<String> {
    // Put together here, so that this file does not hold them.
    let hosts = [
        "crates.\u{69}o",
        "pypi.\u{6f}rg",
        "npmjs.\u{6f}rg",
        "deb.debian.\u{6f}rg",
        "proxy.golang.\u{6f}rg",
    ];
    let paths = ["/wor\u{6b}", "/roo\u{74}", "/hom\u{65}/"];
    let mut found: Vec<String> =
        hosts.into_iter().filter(|host| text.contains(host)).map(str::to_owned).collect();
    for path in paths {
        let stands_alone = |at: usize| {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            let after = text[at + path.len()..].chars().next().unwrap_or(' ');
            let inside = |c: char| c.is_alphanumeric() || "_.-/}~]".contains(c);
            !inside(before) && (path.ends_with('/') || after == '/' || !inside(after))
        };
        if text.match_indices(path).any(|(at, _)| stands_alone(at)) {
            found.push(path.to_owned());
        }
    }
    found
}

fn percentile_90(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() * 9 / 10).copied().unwrap_or(0)
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} found:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let wrong: Vec<String> = sources().iter().flat_map(wrong_imports).collect();
    assert_none(&wrong);
}

#[test]
fn files_are_short() {
    let sizes: Vec<_> =
        sources().iter().map(|file| (file.path.clone(), file.text.lines().count())).collect();
    println!("files: p90 {} lines", percentile_90(sizes.iter().map(|(_, lines)| *lines).collect()));
    let long = sizes.iter().filter(|(_, lines)| *lines > MAX_FILE);
    assert_none(&long.map(|(path, lines)| format!("{path}: {lines} lines")).collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let mut all = Vec::new();
    let mut long = Vec::new();
    for file in sources() {
        for (name, lines) in functions(&file.text) {
            all.push(lines);
            if lines > MAX_FUNCTION {
                long.push(format!("{}: `{name}` has {lines} lines", file.path));
            }
        }
    }
    println!("functions: {}, p90 {} lines", all.len(), percentile_90(all.clone()));
    assert!(all.len() > 100, "the scanner finds too few functions");
    assert_none(&long);
}

#[test]
fn modules_are_named_for_what_they_do() {
    let vague = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let is_vague = |file: &&File| {
        file.path.split('/').any(|part| vague.contains(&part.strip_suffix(".rs").unwrap_or(part)))
    };
    let files = files("src");
    assert_none(&files.iter().filter(is_vague).map(|file| file.path.clone()).collect::<Vec<_>>());
}

#[test]
fn names_come_into_scope_one_by_one() {
    let glob = ["use super::*", "use crate::*"];
    let has_glob = |file: &&File| glob.iter().any(|words| file.text.contains(words));
    let sources = sources();
    assert_none(&sources.iter().filter(has_glob).map(|file| file.path.clone()).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is() {
    let silent = |file: &&File| !file.text.starts_with("//!");
    let files = files("src");
    assert_none(&files.iter().filter(silent).map(|file| file.path.clone()).collect::<Vec<_>>());
}

#[test]
fn nothing_committed_depends_on_one_machine() {
    let committed = [
        ".ci",
        "CHANGELOG.md",
        "Cargo.toml",
        "README.md",
        "benches",
        "clippy.toml",
        "docs",
        "examples",
        "rustfmt.toml",
        "schemas",
        "src",
        "tests",
    ];
    let wrong: Vec<String> = committed
        .into_iter()
        .flat_map(files)
        .flat_map(|file| {
            let name = file.path;
            machine_words(&file.text).into_iter().map(move |word| format!("{name}: {word}"))
        })
        .collect();
    assert_none(&wrong);
}

#[test]
fn the_lock_file_names_one_registry() {
    let lock = read_to_string(root().join("Cargo.lock")).unwrap();
    let mut sources: Vec<&str> =
        lock.lines().filter(|line| line.starts_with("source = ")).collect();
    sources.dedup();
    assert_eq!(sources.len(), 1, "{sources:?}");
}

fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("examples")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

#[test]
fn every_example_loads_without_a_word_and_is_in_the_readme() {
    let readme = read_to_string(root().join("README.md")).unwrap();
    for example in examples() {
        for flags in ["", "--profile *"] {
            let checked = ketch(&example, &format!("{flags} check --strict")).output();
            assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{}", example.display());
        }
        let name = example.strip_prefix(root()).unwrap().display().to_string();
        assert!(readme.contains(&name), "{name} is not in README.md");
        assert!(example.join("README.md").exists(), "{name} has no README.md");
    }
}

#[test]
fn the_readme_names_only_files_that_exist() {
    let readme = read_to_string(root().join("README.md")).unwrap();
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let local = !link.contains("://") && !link.starts_with('#');
        assert!(!local || root().join(link).exists(), "{link} does not exist");
    }
}

#[test]
fn every_diagnostic_is_in_the_documentation() {
    let mut text = "# Diagnostics\n\nEvery problem has a stable name. `ketch check --format json` (`sarif`, `github`) \
                    gives it with each finding.\n\n| name | what it is about |\n|---|---|\n"
        .to_owned();
    for code in Code::ALL {
        text.push_str(&["| `", code.name(), "` | ", code.summary(), " |\n"].concat());
    }
    compare(&root().join("docs/diagnostics.md"), Some(&text)).unwrap();
}

#[test]
fn the_scanner_leaves_tests_out() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
    assert_eq!(without_tests(text), "fn a() {}\nfn c() {}\n");
    assert_eq!(without_tests("#[cfg(test)]\nmod tests;\nfn a() {}\n"), "fn a() {}\n");
}

#[test]
fn the_scanner_measures_functions() {
    let text = "impl A {\n    pub(super) const fn a(\n        x: u8,\n    ) -> u8 {\n        x\n    }\n}\n\
                fn b() {}\ntrait T {\n    fn c(&self);\n    fn d(\n        &self,\n    );\n}\n// fn e() {\n";
    let expected = [("a", 5), ("b", 1), ("c", 1), ("d", 3)];
    assert_eq!(functions(text), expected.map(|(name, lines)| (name.to_owned(), lines)));
}

#[test]
fn the_scanner_finds_imports() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let grouped = file(
        "src/ui/a.rs",
        "use crate::{model::{Project, name::Name as N},\n ui};\n// crate::cli\n",
    );
    assert_eq!(imports(&grouped), ["model::Project", "model::name::Name", "ui"]);
    let inline = file("src/ui/a.rs", "fn a() -> crate::cli::Exit { $crate::x!() }\n");
    assert_eq!(imports(&inline), ["cli::Exit"]);
    assert_eq!(wrong_imports(&inline), ["src/ui/a.rs: `ui` must not use `cli::Exit`"]);
    let parent = file("src/graph.rs", "use super::project::Node;\n");
    assert_eq!(wrong_imports(&parent).len(), 1);
    assert!(wrong_imports(&file("src/ui/a.rs", "use crate::project::node::Node;")).is_empty());
    assert_eq!(wrong_imports(&file("src/ui/a.rs", "use crate::project::Node;")).len(), 1);
    assert_eq!(wrong_imports(&file("src/new/a.rs", "")).len(), 1);
    assert_eq!(
        wrong_imports(&file("src/runtime/native/a.rs", "use crate::runtime::docker::A;")).len(),
        1
    );
}

#[test]
fn the_scanner_finds_what_belongs_to_a_machine() {
    let (work, home) = (concat!("/wo", "rk"), concat!("/ho", "me"));
    assert_eq!(machine_words(&format!("cd {work}/main")), [work]);
    assert_eq!(machine_words(&format!("\"{home}/me\"")).len(), 1);
    assert_eq!(machine_words(&format!("a{work}/b {work}er .{home}/x")), Vec::<String>::new());
}
