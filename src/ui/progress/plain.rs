//! Progress as lines, for logs and pipes.
//!
//! In: what [`State`](super::state::State) tells for an event. Out: the lines that Docker Compose
//! prints, byte for byte where it has them: ` Container shop-web-1  Created`.

use super::Prefix;
use super::state::Told;
use crate::ui::diagnostics::Message;
use crate::ui::text::printable;

/// The line for what was told, with its line break.
pub fn line(told: &Told, prefix: Prefix) -> String {
    match told {
        Told::Status { subject, text } => {
            let (subject, text) = (printable(subject), printable(text));
            format!("{} {subject}  {text}\n", prefix.text())
        }
        Told::Warning(message) => Message::warning(message).draw(),
    }
}
