//! What a container sees of its surroundings is what it sees on a Docker Engine.

use std::collections::BTreeSet;

use super::Home;
use super::stage::Stage;
use crate::binary::ketch;
use crate::place::Place;

/// Runs a script in a container of a service with these attributes.
fn seen(test: &str, service: &str, script: &str) -> Option<String> {
    let home = match Home::new() {
        Ok(home) => home,
        Err(reason) => {
            println!("skipped {test}: {reason}");
            return None;
        }
    };
    let usual = "image: corpus/busybox:1, stop_signal: SIGKILL, command: [sleep, '1000']";
    let stage = Stage::of(home, test, &format!("services: {{app: {{{usual}{service}}}}}\n"));
    std::fs::write(stage.home.directory.path().join("look.sh"), script).unwrap();
    stage.ok("up -d");
    stage.ok("cp look.sh app:/look.sh");
    Some(stage.ok("exec -T app sh /look.sh"))
}

#[test]
fn a_container_starts_with_a_clean_slate() {
    let script = "grep -E '^Sig(Ign|Blk)' /proc/1/status; readlink /etc/mtab
        ip -o -4 address show eth0 | grep -c ' brd '";
    let Some(seen) = seen("slate", "", script) else { return };
    let none = "0000000000000000";
    assert_eq!(seen, format!("SigBlk:\t{none}\nSigIgn:\t{none}\n/proc/mounts\n1\n"));
}

#[test]
fn who_wants_the_network_of_those_without_one_is_in_it() {
    let script = "ip -o -4 address show eth0 | wc -l; ip route | grep -c default";
    let Some(seen) = seen("bridge", ", network_mode: bridge", script) else { return };
    assert_eq!(seen, "1\n1\n");
}

/// Cases of the corpus for what is created, of which the inside says something.
const CASES: &[&str] = &[
    "caps",
    "cgroup-parent",
    "config-content",
    "config-env",
    "config-file",
    "deploy-resources",
    "device-cgroup-rules",
    "environment",
    "extra-hosts",
    "group-add",
    "hostname",
    "init-false",
    "ipc-shareable",
    "network-static-ip",
    "seccomp-file",
    "secret-env",
    "secret-file",
    "security-opt",
    "shm-size",
    "sysctls",
    "tmpfs",
    "user",
    "userns-host",
    "volume-anonymous",
    "volume-bind-long-ro",
    "volume-bind-short",
    "volume-driver-opts",
    "volume-nocopy",
];

/// What is the same wherever a container runs; ids, addresses and the numbers of mounts are not.
const LOOK: &str = r#"
id; grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status
cat /proc/self/limits /proc/self/oom_score_adj
env | sort; hostname; grep -v : /etc/hosts; cat /etc/resolv.conf | grep -v '^#'
ip -o link show eth0 2>/dev/null | grep -o 'mtu [0-9]*'
awk '{ at = $5; line = $5 " " $6 } / - (tmpfs|proc|devpts|mqueue) / { sub(/.* - /, ""); line = line " " $0 }
    at !~ /^\/($|sys|proc\/interrupts)/ { sub(/,mode=755$/, "", line); print line }' /proc/self/mountinfo | sort
for limit in memory.limit_in_bytes memory.soft_limit_in_bytes memory.memsw.limit_in_bytes \
    memory.swappiness cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpuset.cpus pids.max; do
    echo "$limit $(cat /sys/fs/cgroup/*/$limit 2>/dev/null)"
done
grep -vE ' (5:1|10:200) ' /sys/fs/cgroup/devices/devices.list 2>/dev/null | sort
for name in net/core/somaxconn net/ipv4/ip_forward net/ipv4/ip_unprivileged_port_start \
    kernel/shmmax kernel/msgmax net/ipv4/ping_group_range kernel/domainname; do
    echo "$name $(cat /proc/sys/$name)"
done
find /run/secrets /*.txt /*.conf /etc/*.conf -maxdepth 2 -type f -exec ls -l {} + 2>/dev/null |
    awk '{print $1, $3, $4, $5, $NF}' | grep -v resolv.conf
pwd; ls -ld . /tmp /data 2>/dev/null | awk '{print $1, $3, $4, $NF}'
"#;

/// Hides what differs from one container to the next.
fn plain(text: &str) -> String {
    let is_id = |word: &str| {
        [12, 64].contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_address = |word: &str| word.parse::<std::net::Ipv4Addr>().is_ok();
    let hide = |word: &str| match word {
        word if is_id(word) => "ID".to_owned(),
        word if is_address(word) && !word.starts_with("127.") => "ADDRESS".to_owned(),
        word => word.to_owned(),
    };
    let line = |line: &str| {
        let words =
            line.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.');
        let hidden = words.map(|word| {
            let end = word.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.');
            let (word, rest) = word.split_at(end.unwrap_or(word.len()));
            hide(word) + rest
        });
        hidden.collect::<String>()
    };
    // The two have images of their own.
    let is_of_image = |line: &&str| line.starts_with("HOME=") || line.starts_with("PATH=");
    text.lines().filter(|line| !is_of_image(line)).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_a_container_sees_is_what_it_sees_on_an_engine() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/engine");
    if !corpus.is_dir() {
        println!("skipped: there is no {}", corpus.display());
        return;
    }
    let places: Vec<Place> = Place::all("inside").collect();
    if places.len() < 2 {
        println!("skipped: there is nothing to compare with");
        return;
    }
    let mut different = Vec::new();
    for case in CASES {
        let seen: Vec<String> = places.iter().map(|it| look(it, &corpus.join(case))).collect();
        if seen[0] != seen[1] {
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
            let (engine, native) = (lines(&seen[0]), lines(&seen[1]));
            let only = |one: &BTreeSet<String>, other| {
                one.difference(other).cloned().collect::<Vec<_>>().join("\n  ")
            };
            let (engine, native) = (only(&engine, &native), only(&native, &engine));
            different.push(format!("{case}: on the engine\n  {engine}\n natively\n  {native}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What the service of a case sees.
fn look(place: &Place, case: &std::path::Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    for entry in walkdir::WalkDir::new(case).min_depth(1).into_iter().flatten() {
        let to = folder.path().join(entry.path().strip_prefix(case).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir(&to).unwrap();
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
    let description = std::fs::read_to_string(case.join("case.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap();
    let variables = description["env"].as_object().cloned().unwrap_or_default();
    let project = format!("kin{}", std::process::id());
    let ketch = |arguments: &[&str]| {
        let run = ketch(folder.path(), "").arguments(&["-p", &project]).arguments(arguments);
        let run = place.environment().iter().fold(run, |run, (name, value)| run.env(name, value));
        let variables = variables.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        variables.fold(run, |run, (name, value)| run.env(name, value)).output()
    };
    let seen = ketch(&["run", "--rm", "-T", "--entrypoint", "sh", "app", "-c", LOOK]);
    let down = ketch(&["down", "-v", "-t", "0"]);
    assert_eq!(
        (seen.code, down.code),
        (0, 0),
        "{}: {}{}",
        case.display(),
        seen.stderr,
        down.stderr
    );
    plain(&seen.stdout.replace(folder.path().to_str().unwrap(), "FOLDER"))
}
