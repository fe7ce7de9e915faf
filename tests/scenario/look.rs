//! `ps`, `ls`, `images`, `volumes`, `top`, `port`, `events`, `stats`.

use ketch::model::observed::ObservedImage;
use serde_json::Value;

use super::stage::Stage;

/// A service that runs, and one that has ended.
const PAIR: &str = "
services:
  web:
    image: IMAGE
    command: sleep 1000
    stop_grace_period: 0s
    ports: ['127.0.0.1::80']
    expose: ['7000']
    volumes: [data:/data]
  job:
    image: IMAGE
    command: sh -c 'exit 3'
  off:
    image: IMAGE
    profiles: [off]
volumes:
  data: {}
  other: {}
";

fn pair(test: &str) -> impl Iterator<Item = Stage> {
    Stage::all(test, PAIR).inspect(|stage| stage.ended("job"))
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ps_lists_what_runs_or_what_is_asked_for() {
    for stage in pair("ps") {
        let (web, job) = (stage.container("web"), stage.container("job"));
        let names = |arguments: &str| stage.says(&format!("ps {arguments} --format {{{{.Name}}}}"));
        assert_eq!(names(""), format!("{web}\n"));
        assert_eq!(names("-a"), format!("{job}\n{web}\n"));
        assert_eq!(names("--status exited"), format!("{job}\n"));
        assert_eq!(names("--filter status=running web job"), format!("{web}\n"));
        assert_eq!(names("off"), "");
        assert_eq!(stage.says("ps -a --services"), "job\nweb\n");
        assert_eq!(stage.says("ps --status paused --services"), "\n");
        let table = stage.says("ps -a");
        assert!(table.starts_with("NAME "), "{table}");
        assert!(table.contains("Exited (3)") && table.contains("\"sh -c 'exit 3'\""), "{table}");
        let json = objects(&stage.says("ps -a --format json"));
        assert_eq!((&json[0]["ExitCode"], &json[0]["State"]), (&3.into(), &"exited".into()));
        let id = format!("{}\n", stage.seen("web").id);
        assert_eq!(stage.says("ps -q"), id);
        assert!(stage.complains("ps wep").contains("no such service: wep"));
        assert!(stage.complains("ps --filter name=x").contains("unknown filter name"));
        assert!(stage.complains("ps --format {{.Nope}}").contains("Nope"));
    }
}

#[test]
fn a_name_is_enough_to_look_at_a_project() {
    for stage in pair("name") {
        let elsewhere = tempfile::tempdir().unwrap();
        let bad = elsewhere.path().join("bad.yaml");
        std::fs::write(&bad, "services: {").unwrap();
        let (name, bad) = (&stage.name, bad.display());
        for words in [
            "ps -a",
            "images",
            "top",
            "port web 80",
            "volumes",
            "logs",
            "stats --no-stream -a --format {{.Name}}",
        ] {
            let here = stage.says(words);
            for start in [format!("-p {name}"), format!("-f {bad} -p {name}")] {
                let there = stage.ketch_in(elsewhere.path(), &format!("{start} {words}")).output();
                assert_eq!((there.code, there.stderr.as_str()), (0, ""), "{start} {words}");
                assert_eq!(there.stdout.lines().count(), here.lines().count(), "{start} {words}");
            }
        }
        let nobody = stage.ketch_in(elsewhere.path(), "-p hlook-nobody ps web").output();
        assert_eq!((nobody.code, nobody.stdout.lines().count()), (0, 1));
        let broken = stage.ketch_in(elsewhere.path(), &format!("-f {bad} ps")).output();
        assert_eq!((broken.code, broken.stdout.as_str()), (1, ""));
    }
}

#[test]
fn ls_lists_projects_that_run() {
    for stage in pair("ls") {
        let name = &stage.name;
        let list = |more: &str| stage.says(&format!("ls --filter name=^{name}$ {more}"));
        let file = "<DIR>/compose.yaml";
        assert_eq!(
            list("-a --format json"),
            format!(
                "[{{\"Name\":\"{name}\",\"Status\":\"exited(1), running(1)\",\"ConfigFiles\":\"{file}\"}}]\n"
            )
        );
        assert_eq!(list("-q"), format!("{name}\n"));
        assert!(list("").contains("running(1)"));
        stage.kill("web");
        assert_eq!(list("--format json"), "[]\n");
        assert_eq!(list("-aq"), format!("{name}\n"));
        assert!(stage.complains("ls --filter a=b").contains("invalid filter 'a'"));
        assert!(stage.complains("ls --format yaml").contains("yaml"));
    }
}

#[test]
fn images_are_those_of_containers() {
    for stage in pair("images") {
        let text = stage.says("images --format json");
        let images: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(images.as_array().unwrap().len(), 2);
        assert_eq!(images[0]["ContainerName"], stage.container("job"));
        assert_eq!(
            (&images[0]["Repository"], &images[0]["Tag"]),
            (&"corpus/busybox".into(), &"1".into())
        );
        let found = stage.place.ask(stage.place.runtime.find_image("corpus/busybox:1"));
        let ObservedImage { id, size, .. } = found.unwrap().unwrap();
        assert_eq!((&images[0]["Size"], &images[0]["ID"]), (&size.into(), &id.clone().into()));
        assert_eq!(stage.says("images -q"), format!("{}\n", id.trim_start_matches("sha256:")));
        assert_eq!(stage.says("images web").lines().count(), 2);
        assert!(stage.complains("images nope").contains("no such service: nope"));
    }
}

#[test]
fn volumes_are_those_of_the_project_or_of_services() {
    for stage in pair("volumes") {
        let data = format!("{}_data\n", stage.name);
        assert_eq!(stage.says("volumes -q web"), data);
        assert_eq!(stage.says("volumes -q job"), "");
        assert_eq!(stage.says("volumes --format {{.Name}} web"), data);
        assert!(stage.says("volumes").contains(data.trim()));
        assert!(stage.complains("volumes nope").contains("no such service: nope"));
    }
}

#[test]
fn top_shows_processes() {
    for stage in pair("top") {
        let text = stage.says("top");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("SERVICE  #") && lines[0].ends_with("CMD"), "{text}");
        assert!(lines[1].starts_with("web      1") && lines[1].ends_with("sleep 1000"), "{text}");
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(stage.says("top job"), "");
    }
}

#[test]
fn port_shows_where_a_port_is_published() {
    for stage in pair("port") {
        let seen = stage.seen("web").ports.into_iter().find(|it| it.target == 80).unwrap();
        let told = format!("{}:{}\n", seen.host_ip, seen.published.unwrap());
        assert_eq!(stage.says("port web 80"), told);
        assert_eq!(stage.says("port --index 1 web 80"), told);
        let said = stage.complains("port web 81");
        assert!(
            said.contains(&format!("no port 81/tcp for container {}: ", stage.container("web")))
        );
        assert!(stage.complains("port --protocol udp web 80").contains("no port 80/udp"));
        assert!(stage.complains("port web 7000").contains("no port 7000/tcp"));
        assert!(stage.complains("port --index 2 web 80").contains("is not running container #2"));
        assert!(stage.complains("port job 80").contains("service \"job\" is not running"));
        assert!(stage.complains("port nope 80").contains("no such service: nope"));
        assert!(stage.complains("port web").contains("missing arguments: <PORT>"));
        assert!(stage.complains("port web x").contains("`x` is not a port"));
    }
}

#[test]
fn events_tell_what_happened_and_go_on() {
    for stage in pair("events") {
        let text = stage.says("events --json --since 10m --until 0s job");
        let actions: Vec<Value> = objects(&text).iter().map(|it| it["action"].clone()).collect();
        assert_eq!(actions, ["create", "start", "die"]);
        let last = objects(&text).pop().unwrap();
        assert_eq!(last["attributes"]["exitCode"], "3");
        assert!(!text.contains("com.docker.compose"), "{text}");
        let mut running = stage.start("events --since 10m");
        running.until("container die");
        stage.place.ask(stage.place.runtime.pause_container(&stage.container("web"))).unwrap();
        running.until("container pause");
        running.signal("INT");
        assert_eq!(running.end().0, Some(130));
        assert!(stage.complains("events --since soon").contains("`soon`"));
    }
}

#[test]
fn stats_measure_once_or_go_on() {
    for stage in pair("stats") {
        let once = objects(&stage.says("stats --no-stream --format json"));
        assert_eq!((once.len(), &once[0]["PIDs"]), (1, &"1".into()));
        assert_eq!(once[0]["Name"], stage.container("web"));
        assert_eq!(stage.says("stats --no-stream -a --format {{.Name}}").lines().count(), 2);
        let mut running = stage.start("stats --format {{.Name}}-{{.PIDs}}");
        running.until(&format!("{}-1", stage.container("web")));
        running.signal("TERM");
        assert_eq!(running.end().0, Some(130));
        assert!(stage.complains("stats nope").contains("no such service: nope"));
    }
}
