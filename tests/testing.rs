//! The library face for integration tests, used as its users do, on every runtime that is here.

mod fault;
mod isolate;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ketch::model::observed::{Observed, State};
use ketch::testing::{Blueprint, ExecSpec, Stack, StackError, WaitFor, block_on};

use crate::place::{Kind, Place};

/// A server of one page, and somebody beside it.
const WEB: &str = r#"
name: ktest
services:
  web:
    image: corpus/busybox:1
    init: true
    command: sh -c "mkdir -p /srv && echo hello >/srv/index.html && echo listening && exec busybox httpd -f -p 80 -h /srv"
    ports: ["127.0.0.1::80"]
    volumes: ["data:/data"]
    networks: { default: { aliases: [page] } }
  other:
    image: corpus/busybox:1
    init: true
    command: sleep infinity
volumes:
  data:
"#;

/// A stack of a text in a place.
fn blueprint(place: &Place, yaml: &str) -> Blueprint {
    let blueprint = Stack::from_yaml(yaml);
    place.environment().into_iter().fold(blueprint, |it, (name, value)| it.env(name, value))
}

/// Runs a test on every runtime in turn, and sees that nothing is left of its stack.
fn everywhere(test: &str, body: &impl AsyncFn(&Place) -> Result<String, StackError>) {
    for place in Place::all(test) {
        let name = block_on(body(&place)).unwrap();
        assert_eq!(place.observe(&name), Observed::default(), "nothing is left");
    }
}

fn page(address: std::net::SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_stack_answers_and_goes_when_it_is_dropped() {
    everywhere("stack-web", &async |place| {
        let stack = blueprint(place, WEB).up().await?;
        let web = stack.service("web");
        web.wait_for(WaitFor::log("listening")).await?;
        web.wait_for(WaitFor::http(80, "/index.html")).await?;
        web.wait_for(WaitFor::tcp(80)).await?;
        assert!(page(web.address(80)?).unwrap().ends_with("hello\n"));
        assert_eq!(web.port(80)?, web.address(80)?.port());
        assert_eq!(web.logs().await?, "listening\n");
        assert_eq!(stack.logs().await?.len(), 2, "both containers");
        Ok(stack.name().to_owned())
    });
}

#[test]
fn commands_have_streams_codes_and_settings() {
    everywhere("stack-exec", &async |place| {
        let stack = blueprint(place, WEB).up().await?;
        let web = stack.service("web");
        let done = web.exec(["sh", "-c", "echo out; echo err >&2; exit 3"]).await?;
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (3, "out\n", "err\n"));
        let words = done.success().unwrap_err().to_string();
        assert!(words.contains("ended with 3\n    out\n    err"), "{words}");
        let command = ["sh", "-c", "cat; echo $WORD; pwd"].map(str::to_owned).to_vec();
        let spec = ExecSpec {
            command,
            environment: vec!["WORD=there".to_owned()],
            working_dir: "/srv".to_owned(),
            ..ExecSpec::default()
        };
        let said = web.exec_with(spec, "given\n").await?.success()?;
        assert_eq!(said, "given\nthere\n/srv\n");
        Ok(stack.name().to_owned())
    });
}

#[test]
fn files_go_in_and_come_out() {
    everywhere("stack-files", &async |place| {
        let folder = tempfile::tempdir().unwrap();
        let stack = blueprint(place, WEB).up().await?;
        let web = stack.service("web");
        std::fs::create_dir(folder.path().join("tree")).unwrap();
        std::fs::write(folder.path().join("tree/a"), "one").unwrap();
        web.copy_in(folder.path().join("tree"), "/data").await?;
        assert_eq!(web.exec(["cat", "/data/tree/a"]).await?.success()?, "one");
        web.copy_out("/data/tree/a", folder.path().join("b")).await?;
        assert_eq!(std::fs::read_to_string(folder.path().join("b")).unwrap(), "one");
        let missing = web.copy_out("/nothing", folder.path()).await.unwrap_err().to_string();
        assert!(missing.contains("/nothing"), "{missing}");
        Ok(stack.name().to_owned())
    });
}

#[test]
fn services_can_be_stopped_killed_paused_and_restarted() {
    everywhere("stack-treat", &async |place| {
        let stack = blueprint(place, WEB).up().await?;
        let (web, other) = (stack.service("web"), stack.service("other"));
        other.pause().await?;
        assert_eq!(other.state().await?, State::Paused);
        other.unpause().await?;
        assert_eq!(other.state().await?, State::Running);
        other.kill().await?;
        assert_eq!(other.state().await?, State::Exited);
        other.start().await?;
        assert_eq!(other.state().await?, State::Running);
        web.restart().await?;
        web.wait_for(WaitFor::http(80, "/")).await?;
        web.stop().await?;
        assert_eq!(web.state().await?, State::Exited);
        assert!(matches!(web.port(80), Err(StackError::NoPort { .. })));
        Ok(stack.name().to_owned())
    });
}

#[test]
fn a_container_leaves_a_network_and_comes_back_with_its_names() {
    everywhere("stack-net", &async |place| {
        let stack = blueprint(place, WEB).up().await?;
        let (web, other) = (stack.service("web"), stack.service("other"));
        web.wait_for(WaitFor::log("listening")).await?;
        let look_up = async |name: &str| other.exec(["busybox", "nslookup", name]).await;
        look_up("web").await?.success()?;
        web.disconnect_network("default").await?;
        assert_ne!(look_up("web").await?.code, 0);
        web.connect_network("default").await?;
        look_up("web").await?.success()?;
        look_up("page").await?.success()?;
        let unknown = web.disconnect_network("backend").await.unwrap_err().to_string();
        assert_eq!(unknown, "the project has no network `backend`; it has default");
        Ok(stack.name().to_owned())
    });
}

#[test]
fn a_stack_is_dropped_in_the_middle_of_any_executor() {
    for place in Place::all("stack-executor") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let blueprint = blueprint(&place, WEB);
        // A task may go from thread to thread: what it holds must be able to.
        let task = runtime.spawn(async move {
            let stack = blueprint.up().await.unwrap();
            stack.name().to_owned()
        });
        let name = runtime.block_on(task).unwrap();
        assert_eq!(place.observe(&name), Observed::default());
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let missing = "services:\n  web:\n    image: corpus/busybox:1\n    depends_on: [databse]\n";
    let error = block_on(Stack::from_yaml(missing).up()).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.starts_with("the project has errors\n  "), "{text}");
    assert!(text.contains("text-1.yaml:4: service `web` depends on `databse`"), "{text}");
    let error = block_on(Stack::from_file("no/such.yaml").up()).unwrap_err().to_string();
    assert!(error.contains("no/such.yaml"), "{error}");
    let word = Stack::from_yaml(WEB).env("KETCH_RUNTIME", "podman");
    let error = block_on(word.up()).unwrap_err().to_string();
    assert_eq!(error, "KETCH_RUNTIME is `podman`, and must be auto, docker or native");
}

#[test]
fn questions_about_what_is_not_there_say_what_is() {
    everywhere("stack-absent", &async |place| {
        let stack = blueprint(place, WEB).up().await?;
        let nobody = stack.service("db").port(5432).unwrap_err().to_string();
        assert_eq!(nobody, "service `db` has no container; there are other, web");
        let no_port = stack.service("web").port(81).unwrap_err().to_string();
        assert_eq!(no_port, "service `web` publishes no port 81; it publishes 80");
        let second = stack.service("web").replica(2).state().await.unwrap_err().to_string();
        assert_eq!(second, "service `web` number `2` has no container; there are number 1");
        Ok(stack.name().to_owned())
    });
}

#[test]
fn the_choice_is_told() {
    for place in Place::all("stack-kind") {
        let stack = block_on(blueprint(&place, WEB).only("other").up()).unwrap();
        let kind = match place.kind {
            Kind::Docker => ketch::testing::RuntimeChoice::Docker,
            Kind::Native => ketch::testing::RuntimeChoice::Native,
        };
        assert_eq!(stack.runtime(), kind);
        assert_eq!(place.observe(stack.name()).containers.len(), 1, "only what was asked for");
        block_on(stack.down()).unwrap();
    }
}
