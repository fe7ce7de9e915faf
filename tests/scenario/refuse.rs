//! What cannot be done is refused, in words that help.

use ketch::model::spec::{ContainerSpec, NetworkSpec, VolumeSpec};
use ketch::model::{Network, Volume};
use ketch::runtime::Volumes;

use super::scenario;
use crate::docker::IMAGE;

#[test]
fn external_resources_must_exist() {
    let file = "
services: {web: {<<: *app, networks: [net], volumes: ['data:/data']}}
networks: {net: {external: true, name: <P>-net}}
volumes: {data: {external: true, name: <P>-data}}
";
    scenario("external", file, |it| {
        let output = it.ends(1, "up -d");
        let (net, data) = (it.name("net"), it.name("data"));
        let text = format!("network {net} declared as external, but could not be found");
        assert!(output.stderr.contains(&text), "{output:?}");
        let text = format!("external volume \"{data}\" not found");
        assert!(output.stderr.contains(&text), "{output:?}");
        assert!(output.stderr.contains("compose.yaml:"), "at their places: {output:?}");
        assert_eq!(it.left(), Vec::<String>::new(), "nothing was begun");
        let runtime = &it.place.runtime;
        it.place.ask(async {
            let network = Network { name: net.clone(), ..Network::default() };
            let network = NetworkSpec { network, ..NetworkSpec::default() };
            runtime.create_network(&network).await.unwrap();
            let volume = Volume { name: data.clone(), ..Volume::default() };
            let volume = VolumeSpec { volume, ..VolumeSpec::default() };
            runtime.create_volume(&volume).await.unwrap();
        });
        let up = it.run("up -d");
        let down = it.run("down -v");
        it.place.ask(async {
            runtime.remove_network(&net).await.unwrap();
            runtime.remove_volume(&data).await.unwrap();
        });
        assert_eq!((up.code, down.code), (0, 0), "{up:?} {down:?}");
    });
}

#[test]
fn a_name_that_is_taken_is_told() {
    let file = "services: {web: {<<: *app, container_name: <P>-taken}}\n";
    scenario("name", file, |it| {
        let name = it.name("taken");
        let image = IMAGE.to_owned();
        let spec = ContainerSpec { name: name.clone(), image, ..ContainerSpec::default() };
        it.place.ask(it.place.runtime.create_container(&spec)).unwrap();
        let output = it.run("up -d");
        it.place.ask(it.place.runtime.remove_container(&name, Volumes::Keep)).unwrap();
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains(&name), "{output:?}");
        assert!(output.stderr.contains("already in use"), "{output:?}");
    });
}

#[test]
fn a_port_that_is_taken_is_told() {
    let file = "
services:
  first: {<<: *app, ports: ['39611:80']}
  second: {<<: *app, ports: ['39611:80'], depends_on: [first]}
";
    scenario("port", file, |it| {
        let output = it.ends(1, "up -d");
        assert!(output.stderr.contains("39611"), "{output:?}");
        assert!(output.stderr.contains(&it.name("first-1")), "who holds it: {output:?}");
    });
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = format!("services: {{web: {{<<: *app, ports: ['{port}:80']}}}}\n");
    scenario("port-process", &file, |it| {
        let output = it.ends(1, "up -d");
        assert!(output.stderr.contains(&port.to_string()), "{output:?}");
    });
}

#[test]
fn an_image_that_nobody_has_is_told() {
    let file = "services: {web: {<<: *app, image: 'localhost:1/<P>:none'}, db: *app}\n";
    scenario("image", file, |it| {
        let output = it.ends(1, "up -d");
        assert!(output.stderr.contains(&format!("localhost:1/{}:none", it.project)), "{output:?}");
        assert_eq!(it.left(), Vec::<String>::new(), "nothing was begun");
        let output = it.ends(1, "up -d --pull never");
        assert!(output.stderr.contains("none"), "{output:?}");
    });
}

#[test]
fn a_command_that_is_not_there_is_told() {
    scenario("command", "services: {web: {<<: *app, command: [nothing-here]}}\n", |it| {
        let output = it.ends(1, "up -d");
        assert!(output.stderr.contains("nothing-here"), "{output:?}");
        assert!(output.stderr.contains(&it.name("web-1")), "{output:?}");
        it.ok("down");
        assert_eq!(it.left(), Vec::<String>::new());
    });
}
