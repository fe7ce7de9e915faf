//! Instances: copies of one project side by side.

use std::collections::BTreeSet;
use std::net::TcpListener;

use ketch::model::label;
use ketch::model::observed::{Observed, State};
use serde_json::Value;

use super::{Scenario, scenario};
use crate::binary::Output;
use crate::place::Kind;

/// The copies of a project, which go when the test ends in any way.
struct Copies<'s> {
    scenario: &'s Scenario,
    names: Vec<String>,
}

impl<'s> Copies<'s> {
    fn of(scenario: &'s Scenario, names: &[&str]) -> Self {
        Self { scenario, names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// The whole name of a copy.
    fn full(&self, copy: &str) -> String {
        format!("{}-{copy}", self.scenario.project)
    }

    /// Runs a command on a copy; it succeeds.
    fn ok(&self, copy: &str, arguments: &str) -> String {
        let output = self.scenario.ok(&format!("--instance {copy} {arguments}"));
        output.stdout
    }

    fn seen(&self, copy: &str) -> Observed {
        self.scenario.place.observe(&self.full(copy))
    }

    /// The containers of a copy that run: names and ids.
    fn running(&self, copy: &str) -> Vec<(String, String)> {
        let all = self.seen(copy).containers.into_iter();
        all.filter(|it| it.state == State::Running).map(|it| (it.name, it.id)).collect()
    }

    /// Where port 80 of a service is published.
    fn port(&self, copy: &str, service: &str) -> String {
        self.ok(copy, &format!("port {service} 80")).trim().to_owned()
    }

    /// Runs a command on all copies at once.
    fn at_once(&self, arguments: &str) -> Vec<Output> {
        let run = |copy: &String| self.scenario.ketch(&format!("--instance {copy} {arguments}"));
        std::thread::scope(|scope| {
            let all: Vec<_> = self
                .names
                .iter()
                .map(run)
                .map(|command| scope.spawn(move || command.output()))
                .collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        let names: BTreeSet<&String> = self.names.iter().collect();
        for copy in names {
            self.scenario.place.clear(&self.full(copy));
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn two_copies_share_nothing_though_their_files_fix_names_and_ports() {
    let port = free_port();
    let file = format!(
        "
services:
  db:
    <<: *app
    container_name: <P>db
    ports: ['127.0.0.1:{port}:80']
    volumes: ['data:/data']
  web: *app
volumes: {{data: {{name: <P>data}}}}
networks: {{default: {{name: <P>net}}}}
"
    );
    scenario("inst", &file, |it| {
        let copies = Copies::of(it, &["a", "b"]);
        copies.ok("a", "up -d");
        copies.ok("b", "up -d");
        assert_eq!(copies.port("a", "db"), format!("127.0.0.1:{port}"), "the wanted one is free");
        assert_ne!(copies.port("b", "db"), copies.port("a", "db"));
        let names: Vec<String> = copies.running("a").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [format!("{}-web-1", copies.full("a")), format!("{}db-a", it.project)]);
        let (before, ports) = (["a", "b"].map(|it| copies.running(it)), copies.port("b", "db"));
        assert_eq!((before[0].len(), before[1].len()), (2, 2));
        for it in ["a", "b"] {
            copies.ok(it, "up -d");
        }
        assert_eq!(["a", "b"].map(|it| copies.running(it)), before, "nothing to do");
        assert_eq!(copies.port("b", "db"), ports);

        let inside = format!("{}-web-1", copies.full("b"));
        let known = format!("{}db", it.project);
        let (code, said) = it.place.exec(&inside, &["busybox", "nslookup", &known]);
        assert_eq!(code, 0, "the fixed name is known inside: {said}");
        it.place.exec(&format!("{}db-a", it.project), &["sh", "-c", ": > /data/of-a"]);
        let (code, _) =
            it.place.exec(&format!("{}db-b", it.project), &["sh", "-c", "[ -e /data/of-a ]"]);
        assert_ne!(code, 0, "each has data of its own");
        told(&copies, &ports);

        copies.ok("a", "down -v");
        assert_eq!(copies.seen("a"), Observed::default());
        assert_eq!(copies.running("b"), before[1]);
        let volumes = copies.seen("b").volumes;
        assert_eq!(volumes[0].labels[label::INSTANCE], "b");
        assert_eq!(volumes[0].labels[label::BASE_PROJECT], it.project);
        // The whole name alone will do.
        let whole = copies.full("b");
        it.ok(&format!("-p {whole} stop"));
        it.ok(&format!("-p {whole} down -v"));
        assert_eq!(copies.seen("b"), Observed::default());
    });
}

/// What `ls`, `ps` and `env` say about the copy `b`.
fn told(copies: &Copies<'_>, address: &str) {
    let it = copies.scenario;
    let listed: Value = serde_json::from_str(&it.ok("ls --format json").stdout).unwrap();
    let line = listed.as_array().unwrap().iter().find(|line| line["Name"] == *copies.full("b"));
    assert_eq!(line.unwrap()["Instance"], "b");
    assert_eq!(line.unwrap()["Project"], *it.project);
    let listed = it.ok("ls").stdout;
    let heading: Vec<&str> = listed.lines().next().unwrap().split("  ").collect();
    assert!(heading.iter().any(|word| word.trim() == "INSTANCE"), "{listed}");
    let by_name = it.ok(&format!("-p {} ps -q", copies.full("b"))).stdout;
    assert_eq!(by_name, copies.ok("b", "ps -q"));
    let told: Value = serde_json::from_str(&copies.ok("b", "env --format json")).unwrap();
    assert_eq!(told["KETCH_ADDRESS_DB_80"], address);
    assert_eq!(told["KETCH_HOST_DB"], "127.0.0.1");
    assert_eq!(told["KETCH_PORT_DB_80"], address.rsplit(':').next().unwrap());
    // Programs that are told this mean the same copy.
    let names = ["COMPOSE_PROJECT_NAME", "KETCH_PROJECT", "KETCH_INSTANCE"];
    let run = crate::binary::ketch(it.dir(), "ps -q");
    let run = it.place.environment().iter().fold(run, |run, (name, value)| run.env(name, value));
    let run = names.iter().fold(run, |run, name| run.env(name, told[name].as_str().unwrap()));
    assert_eq!(run.output().stdout, by_name);
}

#[test]
fn a_copy_that_is_started_twice_at_once_is_there_once() {
    let file =
        format!("services: {{web: {{<<: *app, ports: ['127.0.0.1:{}:80', '81']}}}}\n", free_port());
    scenario("inst-twice", &file, |it| {
        let copies = Copies::of(it, &["x", "x"]);
        for output in copies.at_once("up -d") {
            assert_eq!(output.code, 0, "{output:#?}");
        }
        let there = copies.running("x");
        assert_eq!(there.len(), 1);
        copies.ok("x", "up -d");
        assert_eq!(copies.running("x"), there);
    });
}

#[test]
fn copies_that_are_started_at_once_get_ports_of_their_own() {
    let file =
        format!("services: {{web: {{<<: *app, ports: ['127.0.0.1:{}:80']}}}}\n", free_port());
    scenario("inst-many", &file, |it| {
        let names = ["1", "2", "3", "4", "5", "6", "7", "8"];
        let copies = Copies::of(it, &names);
        for output in copies.at_once("up -d") {
            assert_eq!(output.code, 0, "{output:#?}");
        }
        let ports: BTreeSet<String> = names.iter().map(|copy| copies.port(copy, "web")).collect();
        assert_eq!(ports.len(), names.len(), "{ports:?}");
    });
}

#[test]
fn services_are_told_the_ports_of_others() {
    let file = "
services:
  db: {<<: *app, ports: ['127.0.0.1::80']}
  web: {<<: *app, environment: {DB: 'localhost:${KETCH_PORT_DB_80:?}'}}
";
    scenario("inst-told", file, |it| {
        let copies = Copies::of(it, &["x"]);
        copies.ok("x", "up -d");
        let web = format!("{}-web-1", copies.full("x"));
        let told = |container: &str| {
            let (_, said) = it.place.exec(container, &["sh", "-c", "echo $DB"]);
            said.trim().to_owned()
        };
        let address = copies.port("x", "db");
        assert_eq!(told(&web), address.replace("127.0.0.1", "localhost"));
        let before = copies.running("x");
        copies.ok("x", "up -d");
        assert_eq!(copies.running("x"), before);
        // Without an instance too.
        it.ok("up -d");
        let address = it.ok("port db 80").stdout;
        assert_eq!(told(&it.name("web-1")), address.trim().replace("127.0.0.1", "localhost"));
        let before = it.containers();
        it.ok("up -d");
        assert_eq!(it.containers(), before);
    });
}

#[test]
fn copies_may_have_the_same_subnet_where_the_runtime_can() {
    let subnet = "10.214.37.0/24";
    let file = format!(
        "services: {{web: *app}}\nnetworks: {{default: {{ipam: {{config: [{{subnet: {subnet}}}]}}}}}}\n"
    );
    scenario("inst-net", &file, |it| {
        let copies = Copies::of(it, &["a", "b"]);
        copies.ok("a", "up -d");
        copies.ok("b", "up -d");
        assert_eq!(copies.running("b").len(), 1);
        copies.ok("a", "down");
        copies.ok("b", "down");
        let fixed = "{web: {<<: *app, networks: {default: {ipv4_address: 10.214.37.9}}}}";
        it.write(&file.replace("{web: *app}", fixed));
        let outputs = ["a", "b"].map(|copy| it.run(&format!("--instance {copy} up -d")));
        for output in outputs {
            if it.place.kind == Kind::Native {
                assert_eq!(output.code, 0, "{output:#?}");
            } else {
                assert_eq!(output.code, 1, "{output:#?}");
                assert!(output.stderr.contains("ipv4_address"), "{output:#?}");
                assert!(output.stderr.contains("--runtime native"), "{output:#?}");
            }
        }
    });
}

#[test]
fn a_copy_does_not_take_over_a_project_of_the_same_name() {
    scenario("inst-own", "services: {web: *app}\n", |it| {
        let copies = Copies::of(it, &["x"]);
        let whole = copies.full("x");
        it.ok(&format!("-p {whole} up -d"));
        let before = copies.running("x");
        let output = it.ends(1, "--instance x up -d");
        assert!(output.stderr.contains("is taken"), "{output:#?}");
        assert_eq!(copies.running("x"), before);
    });
}
