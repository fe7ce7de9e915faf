//! Questions to the user.

use std::io::{BufRead as _, stdin};

use super::exit::Failure;
use crate::orchestrator::is_true;
use crate::ui::Screen;

/// Asks a question; anything but a yes is a no, and so is the end of the input.
pub(super) fn ask(screen: &mut Screen, question: &str) -> Result<bool, Failure> {
    screen.data(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    let word = answer.trim();
    Ok(is_true(word) || word.eq_ignore_ascii_case("yes"))
}
