//! What is read of Dockerfiles, and what is refused.

use super::*;

fn commands(text: &str) -> Vec<Command> {
    parse(text).unwrap().instructions.into_iter().map(|it| it.command).collect()
}

fn fault(text: &str) -> String {
    let fault = parse(text).unwrap_err();
    format!("{}: {}", fault.line, fault.text)
}

fn shell(text: &str) -> Form {
    Form::Shell(text.to_owned())
}

#[test]
fn lines_go_on_and_comments_go() {
    let text = "\u{feff}# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all\n\n# note\n\
        FROM a:1 AS base  \nrun one `\n  # between\n\n  && two ` \n && three\nCMD [\"x\", \"y z\"]";
    let file = parse(text).unwrap();
    assert_eq!(file.directives.escape, Some('`'));
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.directives.check.skipped, ["all"]);
    let lines: Vec<usize> = file.instructions.iter().map(|it| it.line).collect();
    assert_eq!(lines, [6, 7, 12]);
    let Command::Run(run) = &file.instructions[1].command else { panic!() };
    assert_eq!(run.form, shell("one   && two  && three"));
    let text = "an empty line in a continued instruction";
    assert_eq!(file.remarks[0], Remark::new("NoEmptyContinuation", 7, text));
    assert!(file.directives.check.skips(&file.remarks[0]));
    assert_eq!(commands("FROM a\nRUN x \\\\\nCMD y").len(), 3, "an escaped escape ends the line");
}

#[test]
fn heredocs_are_files_of_their_instruction() {
    let text = "FROM a\nRUN <<EOF cat <<-'TWO' && x\none\n# no comment\nEOF\n\t\ttabs\n\tTWO\n\
        COPY <<a.txt <<\"b.txt\" plain /to/\n$A\na.txt\n$B\nb.txt\nCMD x";
    let commands = commands(text);
    assert_eq!(commands.len(), 4);
    let Command::Run(run) = &commands[1] else { panic!() };
    assert_eq!(run.heredocs[0].content, "one\n# no comment\n");
    assert_eq!(run.heredocs[1].content, "tabs\n");
    let Command::Transfer(copy) = &commands[2] else { panic!() };
    let named: Vec<_> = copy.heredocs.iter().map(|it| (it.name.as_str(), it.expands)).collect();
    assert_eq!(named, [("a.txt", true), ("b.txt", false)]);
    assert_eq!((copy.sources.join(","), copy.target.as_str()), ("plain".into(), "/to/"));
    assert_eq!(fault("FROM a\nRUN <<X\n1"), "2: `<<X` has no end: a line `X`");
    let Command::Run(run) = &self::commands("FROM a\nRUN cat <<< word")[1] else { panic!() };
    assert!(run.heredocs.is_empty());
}

#[test]
fn flags_and_words_of_every_instruction() {
    let text = "ARG A B=1 C=\"x y\"\nFROM --platform=$P img AS st\nENV a=1 b='2 3' c=\\ d\nENV e f  g\n\
        LABEL \"x y\"=z\nCOPY --from=st --chown=1:2 --chmod=0644 --link --parents --exclude=*.o --exclude=x a b c/\n\
        ADD --checksum=sha256:1 --keep-git-dir=true [\"with blank\", \"/x\"]\n\
        EXPOSE 80 53/udp\nVOLUME [\"/a\"]\nVOLUME /b /c\nUSER u:g\nWORKDIR /a b\nSTOPSIGNAL 9\n\
        SHELL [\"/bin/bash\", \"-c\"]\nHEALTHCHECK --interval=5s --retries=2 CMD x y\nHEALTHCHECK none\n\
        ONBUILD RUN x\nMAINTAINER me you\nENTRYPOINT go";
    let commands = commands(text);
    let some = |text: &str| Some(text.to_owned());
    let expected = vec![("A".into(), None), ("B".into(), some("1")), ("C".into(), some("\"x y\""))];
    assert_eq!(commands[0], Command::Arg(expected));
    let from = From { image: "img".into(), name: "st".into(), platform: "$P".into() };
    assert_eq!(commands[1], Command::From(from));
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let three = pairs(&[("a", "1"), ("b", "'2 3'"), ("c", "\\ d")]);
    assert_eq!(commands[2], Command::Env(three));
    assert_eq!(commands[3], Command::Env(pairs(&[("e", "f  g")])));
    assert_eq!(commands[4], Command::Label(pairs(&[("\"x y\"", "z")])));
    let Command::Transfer(copy) = &commands[5] else { panic!() };
    assert_eq!(
        (copy.from.as_str(), copy.chown.as_str(), copy.chmod.as_str()),
        ("st", "1:2", "0644")
    );
    assert_eq!((copy.link, copy.parents, copy.exclude.len()), (true, true, 2));
    assert_eq!((copy.sources.join(" "), copy.target.as_str()), ("a b".into(), "c/"));
    let Command::Transfer(add) = &commands[6] else { panic!() };
    assert_eq!((add.sources[0].as_str(), add.keep_git), ("with blank", true));
    assert_eq!(commands[9], Command::Volume(vec!["/b".into(), "/c".into()]));
    assert_eq!(commands[11], Command::Workdir("/a b".into()));
    let Command::Healthcheck(check) = &commands[14] else { panic!() };
    assert_eq!((check.interval, check.retries), (5_000_000_000, 2));
    assert_eq!(check.form, Some(shell("x y")));
    assert_eq!(commands[15], Command::Healthcheck(Healthcheck::default()));
    assert_eq!(commands[16], Command::OnBuild("RUN x".into()));
    assert_eq!(commands[18], Command::Entrypoint(shell("go")));
}

#[test]
fn mounts_are_read() {
    let text = "FROM a\nRUN --mount=type=cache,target=/c,id=x,sharing=locked,uid=5,mode=0700 \
        --mount=from=st,src=/a,dst=/b,rw --mount=type=secret,id=s,required,env=S \
        --mount=type=tmpfs,target=/t,size=1m --mount=type=ssh --network=none make";
    let Command::Run(run) = &commands(text)[1] else { panic!() };
    let [cache, bind, secret, tmpfs, ssh] = &run.mounts[..] else { panic!() };
    assert_eq!(
        (cache.kind, cache.sharing, cache.mode),
        (MountKind::Cache, Sharing::Locked, Some(0o700))
    );
    assert_eq!((bind.from.as_str(), bind.read_only), ("st", Some(false)));
    assert_eq!((secret.required, secret.env.as_str()), (true, "S"));
    assert_eq!((tmpfs.size, ssh.kind), (1 << 20, MountKind::Ssh));
    assert_eq!((run.network.as_str(), &run.form), ("none", &shell("make")));
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, expected) in [
        ("", "1: the file has no instructions"),
        ("FROM a\n\nCPOY a b", "3: there is no instruction `CPOY`, did you mean `COPY`?"),
        ("FROM a\nRUN", "2: `RUN` has nothing after it"),
        ("FROM a b", "1: it reads `FROM IMAGE [AS NAME]`, this is `FROM a b`"),
        (
            "FROM a AS 1x",
            "1: `1x` is no name of a stage: a letter, then letters, digits, `-`, `_` and `.`",
        ),
        ("FROM --plattform=x a", "1: `FROM` has no flag `--plattform`, did you mean `--platform`?"),
        ("FROM a\nCOPY x", "2: `COPY` takes a source and a target"),
        ("FROM a\nCOPY --chown x y", "2: the flag `--chown` takes a value: `--chown=VALUE`"),
        ("FROM a\nENV A", "2: `ENV A` has no value"),
        ("FROM a\nENV A=1 B", "2: `B` has no `=`: it reads `ENV NAME=VALUE …`"),
        ("FROM a\nSHELL sh", "2: `SHELL` takes a JSON list: [\"/bin/sh\", \"-c\"]"),
        ("FROM a\nONBUILD FROM x", "2: `ONBUILD FROM` cannot be: it is no part of another build"),
        ("FROM a\nHEALTHCHECK curl", "2: `HEALTHCHECK` takes `CMD` and a command, or `NONE`"),
        (
            "FROM a\nRUN --mount=type=cash,target=/x y",
            "2: `--mount=type=cash,target=/x`: there is no type `cash`, did you mean `cache`?",
        ),
        ("FROM a\nRUN --mount=type=cache y", "2: `--mount=type=cache`: `target` is missing"),
        ("FROM a\nRUN --network=house y", "2: `--network=house`: it is default or none or host"),
        (
            "# check=skip=all;eror=true\nFROM a",
            "1: `check` has `eror=true`: it has `skip=NAME,…` and `error=true`",
        ),
        ("# escape=x\nFROM a", "1: `escape` is `x`: it is a backslash or a backtick"),
        ("# escape=\\\n# escape=\\\nFROM a", "2: the directive `escape` stands here twice"),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

fn expand(text: &str) -> Result<String, String> {
    let lookup = |name: &str| match name {
        "A" => Some("one two".to_owned()),
        "E" => Some(String::new()),
        "P" => Some("foo/bar/baz.tar.gz".to_owned()),
        _ => None,
    };
    Expander { escape: '\\', quotes: Quotes::Remove, lookup: &lookup }.word(text)
}

#[test]
fn variables_have_every_modifier() {
    for (text, expected) in [
        ("$A-${A}x$A_", "one two-one twox"),
        ("'$A' \"$A \\$A \\x\" \\$A \\\"", "$A one two $A \\x $A \""),
        ("${U:-d$A}${E:-e}${E-f}|${U-g}", "done twoe|g"),
        ("${A:+yes}${E:+no}${E+set}${U+no}", "yesset"),
        ("${A:?x}", "one two"),
        (
            "${P#*/}|${P##*/}|${P%.*}|${P%%.*}",
            "bar/baz.tar.gz|baz.tar.gz|foo/bar/baz.tar|foo/bar/baz",
        ),
        (
            "${P/ba/X}|${P//ba/X}|${P//\\//-}|${P/?oo}",
            "foo/Xr/baz.tar.gz|foo/Xr/Xz.tar.gz|foo-bar-baz.tar.gz|/bar/baz.tar.gz",
        ),
        ("$ $1 $@x a$", "$  x a$"),
        ("${U:-${E:-${A}}}", "one two"),
    ] {
        assert_eq!(expand(text).unwrap(), expected, "{text}");
    }
    for (text, why) in [
        ("${A", "a `${` is not closed"),
        ("${U:?give it}", "`U` is required: give it"),
        ("${U?}", "`U` is required and not set"),
        ("${A!x}", "`${A` is followed by `!`, which is no modifier"),
        ("${}", "`${` has no name after it"),
        ("'x", "a single quote is not closed"),
        ("\"x", "a double quote is not closed"),
    ] {
        assert_eq!(expand(text).unwrap_err(), why, "{text}");
    }
}

#[test]
fn a_file_has_an_end() {
    let text = format!("FROM a\n# {}", "x".repeat(4 << 20));
    assert_eq!(parse(&text).unwrap_err().text, "the file has more than 4194304 bytes");
    assert!(parse(&text[..4 << 20]).is_ok());
}

#[test]
fn what_variables_become_is_bounded() {
    let long = "x".repeat(1 << 19);
    let lookup = |_: &str| Some(long.clone());
    let expander = Expander { escape: '\\', quotes: Quotes::Remove, lookup: &lookup };
    assert!(expander.word("$A$A$A").unwrap_err().contains("more than"));
    assert!(expander.word("\"$A$A$A\"").is_err());
    let deep = expander.word(&"${A:-".repeat(10_000)).unwrap_err();
    assert_eq!(deep, "more than 32 `${` stand in each other");
    assert!(expander.word("${A//x/$A}").is_err());
    let keep = Expander { quotes: Quotes::Keep, lookup: &|_| Some("v".to_owned()), ..expander };
    assert_eq!(keep.word("it's \"$A\" \\$A \\n").unwrap(), "it's \"v\" $A \\n");
}
