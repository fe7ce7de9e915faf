//! Runs the health checks of a container: its command inside, its probe from outside.
//!
//! In: a check. Out: what it found, in the state of the container and as an event when the verdict
//! changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use super::Shim;
use super::run::Run;
use crate::runtime::native::channel::{Channel, register};
use crate::runtime::native::container::{self, ExecConfig, Started, Streams};
use crate::runtime::native::control::whole;
use crate::runtime::native::health::{Check, Finding, Probe, Schedule};
use crate::runtime::native::net::Namespace;
use crate::runtime::native::state::{HealthReport, Phase};

/// How much of the output of a check is kept.
const KEPT: usize = 4096;

/// Checks a container until it ends.
pub(super) async fn check(shim: &Rc<Shim>, run: &Rc<Run>, check: Check) {
    if let Some(Probe::Log(text)) = &shim.record.probe {
        run.console.look_for(text);
    }
    let began = Instant::now();
    let mut schedule = Schedule::new(&check);
    loop {
        // One that is frozen cannot answer.
        if shim.status.borrow().phase == Phase::Running {
            let start = began.elapsed();
            let finding = find(shim, run, &check).await;
            let before = schedule.report().clone();
            schedule.found(finding, (start, began.elapsed()));
            tell(shim, &schedule, &before);
        }
        let pause = schedule.pause(began.elapsed()).max(Duration::from_millis(10));
        match &shim.record.probe {
            // It is told at once when the text was written.
            Some(Probe::Log(_)) if check.command.is_empty() && !run.console.is_text_found() => {
                let _ = timeout(pause, run.console.text_found()).await;
            }
            _ => tokio::time::sleep(pause).await,
        }
    }
}

fn tell(shim: &Shim, schedule: &Schedule, before: &HealthReport) {
    let report = schedule.report();
    if report == before {
        return;
    }
    // A disk that is full hides a verdict; the next one may be seen.
    let _ = shim.change(|status| status.health = Some(report.clone()));
    if report.verdict != before.verdict {
        shim.tell(&format!("health_status: {}", report.verdict.word()), &[]);
    }
}

/// Runs all that there is to check once.
async fn find(shim: &Shim, run: &Run, check: &Check) -> Finding {
    if let Some(probe) = &shim.record.probe {
        let found = match timeout(check.timeout, try_out(run, probe)).await {
            Ok(found) => found,
            Err(_) => Err(too_long(check)),
        };
        if let Err(output) = found {
            return Finding { is_well: false, output };
        }
    }
    if check.command.is_empty() {
        return Finding { is_well: true, output: String::new() };
    }
    command(shim, run, check).await
}

fn too_long(check: &Check) -> String {
    format!("Health check exceeded timeout ({:?})", check.timeout)
}

/// Runs the command of a check.
async fn command(shim: &Shim, run: &Run, check: &Check) -> Finding {
    let failed = |output: String| Finding { is_well: false, output };
    let (output, process) = match begin(shim, run, check) {
        Ok(begun) => begun,
        Err(said) => return failed(said),
    };
    let mut kept = Vec::new();
    let ended = timeout(check.timeout, end(&process, &output, &mut kept)).await;
    if ended.is_err() {
        // It may have ended in this moment; and what it has started is not ours.
        let _ = pidfd_send_signal(process.get_ref(), Signal::KILL);
        // A process that was killed ends.
        let _ = process.readable().await;
    }
    let status = waitid(WaitId::PidFd(process.get_ref().as_fd()), WaitIdOptions::EXITED);
    if ended.is_err() {
        return failed(too_long(check));
    }
    let code = status.ok().flatten().as_ref().and_then(WaitIdStatus::exit_status);
    let output = String::from_utf8_lossy(&kept).into_owned();
    Finding { is_well: code == Some(0), output }
}

fn begin(shim: &Shim, run: &Run, check: &Check) -> Result<(Channel, AsyncFd<OwnedFd>), String> {
    let failed = |error: std::io::Error| error.to_string();
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let streams = Streams::Files {
        stdin: std::fs::File::open("/dev/null").map_err(failed)?.into(),
        stdout: write.try_clone().map_err(failed)?,
        stderr: write,
    };
    let command = ExecConfig { args: check.command.clone(), ..ExecConfig::default() };
    let started = container::exec(&shim.record.config, run.pidfd(), &command, streams);
    let Started { pidfd, .. } = started.map_err(|error| whole(&error))?;
    let process = register(pidfd, Interest::READABLE).map_err(failed)?;
    Ok((Channel::new(read).map_err(failed)?, process))
}

/// Waits for the end of a command while its output is read.
async fn end(process: &AsyncFd<OwnedFd>, output: &Channel, kept: &mut Vec<u8>) {
    let mut buffer = [0; KEPT];
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            read = output.read(&mut buffer), if is_open => match read {
                Ok(read @ 1..) => {
                    let room = KEPT - kept.len();
                    kept.extend_from_slice(&buffer[..read.min(room)]);
                }
                _ => is_open = false,
            },
            _ = process.readable() => return,
        }
    }
}

/// Tries the container from outside.
async fn try_out(run: &Run, probe: &Probe) -> Result<(), String> {
    match probe {
        Probe::Tcp(port) => connect(run, *port).await.map(drop),
        Probe::Http { port, path } => http(connect(run, *port).await?, path).await,
        Probe::Log(text) => {
            if run.console.is_text_found() {
                Ok(())
            } else {
                Err(format!("it has not written `{text}` yet"))
            }
        }
    }
}

/// Connects to a port of the container at its own address: who listens on its loopback alone is
/// not there for others.
async fn connect(run: &Run, port: u16) -> Result<TcpStream, String> {
    let own = run.network.endpoints().iter().find_map(|endpoint| endpoint.ipv4);
    let address = own.map_or(Ipv4Addr::LOCALHOST, |address| address.ip);
    let address = SocketAddr::new(IpAddr::V4(address), port);
    let socket = u32::try_from(run.pid())
        .map_err(|error| error.to_string())
        .and_then(|pid| Namespace::of_process(pid).map_err(|error| whole(&error)))
        .and_then(|namespace| socket_in(&namespace).map_err(|error| error.to_string()))?;
    let connected = socket.connect(address).await;
    connected.map_err(|error| format!("cannot connect to {address}: {error}"))
}

/// A socket that belongs to the namespace of the container; this thread is in it for that moment.
fn socket_in(namespace: &Namespace) -> std::io::Result<TcpSocket> {
    let kind = Some(LinkNameSpaceType::Network);
    let own = std::fs::File::open("/proc/thread-self/ns/net")?;
    move_into_link_name_space(namespace.as_fd(), kind)?;
    let socket = TcpSocket::new_v4();
    move_into_link_name_space(own.as_fd(), kind)?;
    socket
}

async fn http(mut stream: TcpStream, path: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("asking for {path} failed: {error}");
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    // `HTTP/1.1 200` is all that is read.
    stream.take(12).read_to_end(&mut answer).await.map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..400) if answer.starts_with("HTTP/") => Ok(()),
        Some(status) => Err(format!("{path} is answered with status {status}")),
        None => Err(format!("{path} is not answered in HTTP")),
    }
}
