//! Raw mode: the terminal passes every key on, and the process in the container echoes.

use std::io::{self, IsTerminal as _, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::runtime::Size;

/// The terminal of standard input in raw mode. Dropping gives it back as it was.
#[derive(Debug)]
pub(in crate::cli) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches; `None` if standard input is no terminal.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        Self::with(Termios::make_raw)
    }

    /// Passes single keys on without showing them; Ctrl-C and its like stay signals.
    pub(in crate::cli) fn keys() -> io::Result<Option<Self>> {
        Self::with(|mode| mode.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO))
    }

    fn with(change: impl FnOnce(&mut Termios)) -> io::Result<Option<Self>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        change(&mut raw);
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        restore_on_panic(before.clone());
        Ok(Some(Self { before }))
    }
}

/// A panic ends the program at once (`panic = "abort"`): nothing is dropped then.
fn restore_on_panic(before: Termios) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        report(panic);
    }));
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Whoever took the terminal away has no use for its old mode.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// The size of the user's terminal, if there is one.
pub(super) fn size() -> Option<Size> {
    let (width, height) = terminal_size::terminal_size()?;
    Some(Size { columns: width.0, rows: height.0 })
}
