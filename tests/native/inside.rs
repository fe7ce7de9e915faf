//! What a container sees of its surroundings is what it sees on a Docker Engine.

use super::Home;
use super::stage::Stage;

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
