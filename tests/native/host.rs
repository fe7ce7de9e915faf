//! `rootfs:/`: the programs of this machine as an image, with Ketch's state on the same file system.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Home;
use super::stage::{Stage, traces, until};
use crate::binary::root;

/// Lists what is in the places that nobody may see, and tries to change the host.
const LOOK: &str = r"
services:
  app:
    image: rootfs:/
    stop_signal: SIGKILL
    command:
      - sh
      - -c
      - |
        for place in home root run tmp var/lib var/log var/tmp etc/ssl/private; do
          echo /$$place: $$(ls -A /$$place 2>/dev/null)
        done
        cat /etc/shadow 2>/dev/null && echo shadow: seen
        ls -d /swapfile /vmlinuz* 2>/dev/null
        test -e $WHERE && echo state: seen
        echo mine >/usr/lib/ketch-was-here && rm -rf /etc/passwd /var/lib && cat /usr/lib/ketch-was-here
        ls -A /var/lib 2>/dev/null
        echo done
        exec sleep 1000
";

fn stage(test: &str, compose: &str) -> Option<Stage> {
    match Home::on_the_root() {
        Ok(home) => Some(Stage::of(home, test, compose)),
        Err(reason) => {
            println!("skipped {test}: {reason}");
            None
        }
    }
}

#[test]
fn the_host_as_an_image_hides_what_is_private_and_stays_as_it_is() {
    let Some(stage) = stage("host", LOOK) else { return };
    let file = stage.home.directory.path().join("compose.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let place = stage.home.directory.path().to_str().unwrap();
    std::fs::write(&file, text.replace("$WHERE", place)).unwrap();
    // What must not be seen is there.
    let before = traces(&stage);
    stage.ok("up -d");
    until("it has looked", || stage.ok("logs --no-log-prefix").contains("done"));
    let empty = ["home", "root", "run", "tmp", "var/lib", "var/log", "var/tmp", "etc/ssl/private"];
    let mut expected: Vec<String> = empty.map(|place| format!("/{place}:")).into();
    // Places for what is mounted are made in every container.
    expected.extend(["mine".to_owned(), "done".to_owned()]);
    // The folder of the test lies in one of these places.
    let parent = stage.home.directory.path().parent().unwrap().to_str().unwrap();
    let seen = stage.ok("logs --no-log-prefix").replace("<PARENT>", parent);
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    assert!(!Path::new("/usr/lib/ketch-was-here").exists());
    assert!(Path::new("/etc/passwd").exists() && Path::new("/var/lib").exists());

    stage.ok("stop");
    stage.ok("cp app:/usr/lib/ketch-was-here copied");
    let copied = stage.home.directory.path().join("copied");
    assert_eq!(std::fs::read_to_string(copied).unwrap(), "mine\n");
    stage.ok("start");
    until("it has looked again", || stage.ok("logs").matches("done").count() == 2);
    stage.ok("down -v -t 0");
    assert_eq!(traces(&stage), before);
}

/// The example of the README on a runtime of its own.
struct Example {
    home: Home,
    port: u16,
}

impl Example {
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ketch"));
        let name = format!("knl{}guestbook", std::process::id());
        command.args(["-p", &name]).args(arguments.split(' '));
        command.current_dir(root().join("examples/local")).envs(self.home.environment());
        command.env("GUESTBOOK_PORT", self.port.to_string());
        command
    }

    fn ok(&self, arguments: &str) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ketch {arguments}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn ask(&self, request: &str) -> String {
        let mut web = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        web.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        web.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        web.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // What went wrong has been told.
        let _ = self.command("down -v -t 0").output();
    }
}

#[test]
fn the_example_of_the_readme_comes_up_answers_and_goes() {
    let home = match Home::on_the_root() {
        Ok(home) => home,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let example = Example { home, port };
    let began = Instant::now();
    example.ok("up -d --wait");
    println!("up after {:?}", began.elapsed());
    let signed = example.ask("POST / HTTP/1.0\r\nContent-Length: 12\r\n\r\nhello, Ketch");
    assert!(signed.starts_with("HTTP/1.0 200") && signed.contains("  hello, Ketch\n"), "{signed}");
    let services: Vec<Value> = example
        .ok("ps --format json")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |service: &str| services.iter().find(|it| it["Service"] == service).unwrap();
    let health = ["book", "web", "guest"].map(|name| of(name)["Health"].as_str().unwrap());
    assert_eq!(health, ["healthy", "healthy", ""]);
    assert_eq!(of("web")["Publishers"][0]["PublishedPort"], port);
    until("the guest has signed", || {
        example.ok("logs guest").contains("signed; entries in the book")
    });
    let seen = example.ok("logs --no-log-prefix guest");
    let user = "I am user 65534; I see 1 process, and in /home: nothing";
    assert_eq!(seen.lines().next(), Some(user), "{seen}");

    // The book is in a volume.
    example.ok("down -t 0");
    example.ok("up -d --wait");
    assert!(example.ask("GET / HTTP/1.0\r\n\r\n").contains("  hello, Ketch\n"));
    example.ok("down -v -t 0");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(example.ok("ps -a -q"), "");
}

#[test]
fn ctrl_c_ends_the_example_well() {
    let home = match Home::on_the_root() {
        Ok(home) => home,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let example = Example { home, port };
    let mut up = example.command("up");
    let up = up.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    until("the guest has signed", || {
        example.ok("logs guest").contains("signed; entries in the book")
    });
    let process = up.id().to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
    let ended = up.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&ended.stdout).contains("signed; entries in the book"));
    let codes = example.ok("ps -a --format {{.Service}}={{.ExitCode}}");
    let mut codes: Vec<_> = codes.lines().collect();
    codes.sort_unstable();
    assert_eq!(codes, ["book=0", "guest=0", "web=0"]);
}
