//! The help texts that clap cannot make from the arguments alone: groups and examples.
//!
//! Out: the complete [`clap::Command`], and the overview that `ketch` alone prints.

use std::fmt::Write as _;

use anstyle::Style;
use clap::CommandFactory as _;

use super::args::{self, Cli};

const HEADING: Style = Style::new().bold();

/// The commands, as the overview shows them.
const GROUPS: &[(&str, &[&str])] = &[
    ("Look at a project", &["config", "check", "explain", "graph", "plan"]),
    (
        "Look at containers",
        &["ps", "logs", "top", "stats", "events", "port", "env", "images", "volumes", "ls"],
    ),
    ("Prepare images", &["pull", "build", "push", "image"]),
    ("Run a project", &["up", "watch", "test", "down", "start", "stop", "restart", "scale"]),
    ("Work in containers", &["run", "exec", "attach", "cp"]),
    (
        "Treat containers",
        &["create", "kill", "pause", "unpause", "wait", "rm", "commit", "export", "snapshot"],
    ),
    ("Ketch itself", &["autostart", "doctor", "schema", "system", "version"]),
];

/// Examples for each command.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "config",
        "  ketch config                        the project as it is understood\n  \
           ketch config web                    one service and what it depends on\n  \
           ketch -f a.yaml -f b.yaml config    two files put together\n  \
           ketch config --images               the images that it uses",
    ),
    (
        "check",
        "  ketch check                         for people\n  \
           ketch check --strict                warnings fail as well, for CI\n  \
           ketch check --format github         beside the changed lines of a pull request",
    ),
    (
        "explain",
        "  ketch explain services.web.image\n  \
           ketch explain services.web.ports.0\n  \
           ketch explain 'services.web.labels.\"traefik.enable\"'",
    ),
    (
        "run",
        "  ketch run --rm web sh               a shell in a new container of `web`\n  \
           ketch run --rm -T db pg_dump > dump",
    ),
    (
        "exec",
        "  ketch exec web sh                   a shell in a container that runs\n  \
           ketch exec -T db psql < dump        input from a file",
    ),
    (
        "cp",
        "  ketch cp web:/var/log/app.log .     out of a container\n  \
           ketch cp site/. web:/srv            the content of a folder into all containers of `web`",
    ),
    (
        "watch",
        "  ketch watch                         bring up, then follow every change of files\n  \
           ketch watch --no-up web             only follow, and only `web`\n  \
           ketch watch --check                 do containers have what the files say?",
    ),
    (
        "test",
        "  ketch test -- pytest                with all services ready, and gone afterwards\n  \
           ketch test --service tests          the command of a service of the project\n  \
           ketch test --parallel 4 -- ./run    four copies at once; KETCH_SHARD is 1 to 4",
    ),
    (
        "snapshot",
        "  ketch snapshot save seeded          volumes and container files as they are now\n  \
           ketch snapshot restore seeded       the same again, and wait until all is ready\n  \
           ketch -p shop snapshot ls           those of one project",
    ),
    (
        "env",
        "  eval \"$(ketch --instance review env)\"      variables for this shell\n  \
           ketch env --format json\n  \
           ketch env --format dotenv > .env.test",
    ),
    (
        "schema",
        "  ketch schema > compose.schema.json\n  \
           ketch schema events                a line of --progress json",
    ),
];

/// The command line with its help.
pub(super) fn command() -> clap::Command {
    let styles = clap::builder::Styles::styled().header(HEADING).usage(HEADING);
    let plain = Cli::command().styles(styles);
    let groups = groups(&plain);
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}{HEADING}Options:{HEADING:#}\n{{options}}\n\n\
         Help on a command: ketch COMMAND --help\n"
    );
    let with_examples = |command: clap::Command| {
        let known = EXAMPLES.iter().find(|(name, _)| *name == command.get_name());
        let Some((_, examples)) = known else { return command };
        command.after_help(format!("{HEADING}Examples:{HEADING:#}\n{examples}"))
    };
    plain
        .help_template(template)
        .override_usage("ketch [OPTIONS] COMMAND")
        .disable_help_subcommand(true)
        .mut_subcommands(with_examples)
}

/// The command line with all that commands take, to look at.
pub(super) fn whole() -> clap::Command {
    args::for_help(command())
}

/// What `ketch` alone prints.
pub(super) fn overview() -> String {
    command().render_help().ansi().to_string()
}

/// The commands under their headings.
fn groups(command: &clap::Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "{HEADING}{heading}:{HEADING:#}");
        for name in *names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:10}{about}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{EXAMPLES, GROUPS, command, whole};

    #[test]
    fn every_command_stands_in_one_group() {
        let command = command();
        let all: BTreeSet<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(listed.len(), all.len());
        assert!(EXAMPLES.iter().all(|(name, _)| all.contains(name)));
    }

    #[test]
    fn the_tree_is_consistent() {
        command().debug_assert();
        crate::cli::args::tolerant(command()).debug_assert();
    }

    /// Whether a command has a flag, written as in `-t --timeout=`, by its name or another one. A
    /// switch that is on by default takes a value (`--menu=false`), but does not need it.
    fn has(command: &clap::Command, flag: &str) -> bool {
        let takes_value = flag.ends_with('=');
        let (short, long) = flag.trim_end_matches('=').split_once("--").expect("a long name");
        let (short, long) = (short.trim().strip_prefix('-'), long);
        command.get_arguments().any(|arg| {
            let longs = arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default());
            let shorts = arg.get_short_and_visible_aliases().unwrap_or_default();
            longs.into_iter().any(|name| name == long)
                && short.is_none_or(|short| shorts.iter().any(|one| short.starts_with(*one)))
                && arg.get_num_args().is_some_and(|count| count.min_values() > 0) == takes_value
        })
    }

    #[test]
    fn every_flag_of_docker_compose_is_there() {
        let ketch = whole();
        let table = include_str!("../../tests/compose-flags.txt");
        let rows = table.lines().filter(|line| !line.starts_with('#'));
        let missing = rows.flat_map(|row| {
            let (name, flags) = row.split_once(": ").expect("a command and its flags");
            let command = Some(&ketch).filter(|_| name == "ketch");
            let command = command.or_else(|| ketch.find_subcommand(name)).expect(name);
            let flags = flags.split(", ").filter(|flag| !has(command, flag));
            flags.map(move |flag| format!("{name} {flag}"))
        });
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
    }
}
