//! Tables without borders, as Docker prints them.
//!
//! In: rows of text, the heading first. Out: lines whose columns have the widths of a [`Layout`].
//! Cells are data: neutralising is up to the caller.

use std::io::Write as _;

use tabwriter::TabWriter;

/// How wide columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// At least 20, three blanks apart: `ls`, `images`, `config --variables`.
    Wide,
    /// At least 10, three blanks apart: `ps`, `volumes`, `stats`.
    Docker,
    /// At least 4, two blanks apart: `top`.
    Tight,
}

impl Layout {
    /// Least width and distance. Go counts the distance into the least width, `tabwriter` does not.
    fn widths(self) -> (usize, usize) {
        match self {
            Self::Wide => (17, 3),
            Self::Docker => (7, 3),
            Self::Tight => (2, 2),
        }
    }
}

/// Lays out a table of the wide kind; every line ends with a line break.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_owned);
    lay_out(Layout::Wide, std::iter::once(&heading).chain(rows))
}

/// Lays out rows of any length; every line ends with a line break.
#[expect(clippy::missing_panics_doc, reason = "writing to memory does not fail")]
pub fn lay_out<R: AsRef<[String]>>(layout: Layout, rows: impl IntoIterator<Item = R>) -> String {
    let (least, distance) = layout.widths();
    let mut writer = TabWriter::new(Vec::new()).minwidth(least).padding(distance);
    let mut written = Ok(());
    for row in rows {
        written = written.and_then(|()| writeln!(writer, "{}", row.as_ref().join("\t")));
    }
    written.expect("memory can be written");
    let bytes = writer.into_inner().unwrap_or_else(|_| unreachable!("memory can be written"));
    String::from_utf8(bytes).expect("only text was written")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_those_of_docker() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned);
        let text = table(
            ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"],
            &[row(["C", "false", "", "alt"]), row(["A_NAME_LONGER_THAN_TWENTY", "true", "x", ""])],
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "NAME                        REQUIRED            DEFAULT VALUE       ALTERNATE VALUE"
        );
        assert_eq!(
            lines[1],
            "C                           false                                   alt"
        );
        assert_eq!(
            lines[2],
            "A_NAME_LONGER_THAN_TWENTY   true                x                   "
        );
    }
}
