//! The keys of an attached `up`: `w` watches files or no longer, `d` leaves containers running.
//!
//! In: what the user types. Out: a [`Key`] after the other. Ctrl-C stays a signal.

use std::io::{IsTerminal as _, stdin};

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use tokio::sync::mpsc::Receiver;

use crate::cli::args::{UpArgs, switch};
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::cli::terminal::{RawMode, read};
use crate::cli::usage::switched;
use crate::ui::Screen;

/// What the user sees of it.
const HINT: &str = "Keys: w watches files or stops that, d detaches, Ctrl-C stops\n";

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Watch, or do not any more.
    Watch,
    /// Leave the containers running.
    Detach,
    /// An empty line, to tell old output from new.
    Line,
}

/// Listens to keys while it lives.
pub(super) struct Menu {
    typed: Receiver<Vec<u8>>,
    _mode: RawMode,
}

impl Menu {
    /// Begins to listen where the user has a terminal, unless the user says no.
    pub(super) fn open(args: &UpArgs, session: &mut Session<'_>) -> Result<Option<Self>, Failure> {
        if !is_wanted(args, session)? {
            return Ok(None);
        }
        let Some(mode) = RawMode::keys().map_err(Failure::Terminal)? else { return Ok(None) };
        session.screen.tell(HINT);
        Ok(Some(Self { typed: read(), _mode: mode }))
    }

    /// The next key.
    pub(super) async fn next(menu: &mut Option<Self>) -> Key {
        let Some(menu) = menu else { return std::future::pending().await };
        loop {
            match menu.typed.recv().await {
                Some(bytes) => {
                    if let Some(key) = bytes.first().and_then(|byte| key(*byte)) {
                        return key;
                    }
                }
                None => return std::future::pending().await,
            }
        }
    }
}

fn key(byte: u8) -> Option<Key> {
    match byte {
        b'w' | b'W' => Some(Key::Watch),
        b'd' | b'D' => Some(Key::Detach),
        b'\n' | b'\r' => Some(Key::Line),
        _ => None,
    }
}

/// `--menu`, else `COMPOSE_MENU`, else wherever there is a terminal.
fn is_wanted(args: &UpArgs, session: &Session<'_>) -> Result<bool, Failure> {
    let has_terminal = |screen: &Screen| screen.out_is_terminal() && stdin().is_terminal();
    let possible =
        has_terminal(session.screen) && session.progress_word() != "plain" && is_in_foreground();
    let variable = session.environment().get("COMPOSE_MENU").and_then(|word| switch(word).ok());
    let wanted = match &args.menu {
        Some(word) => switched("--menu", word)?,
        None => variable.unwrap_or(true),
    };
    Ok(possible && wanted)
}

/// Whether keys come here: the kernel stops who sets the terminal up and is in the background, as
/// with `ketch up &`.
fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

#[cfg(test)]
mod tests {
    use super::{Key, key};

    #[test]
    fn keys_mean_what_the_hint_says() {
        assert_eq!(key(b'w'), Some(Key::Watch));
        assert_eq!(key(b'd'), Some(Key::Detach));
        assert_eq!(key(b'\r'), Some(Key::Line));
        assert_eq!(key(b'x'), None);
    }
}
