//! Tables without borders, as Docker prints them.
//!
//! In: a heading and rows of text. Out: lines whose columns are at least 20 wide, three blanks
//! apart. Cells are data: neutralising is up to the caller.

use std::io::Write as _;

use tabwriter::TabWriter;

/// Lays out a table; every line ends with a line break.
#[expect(clippy::missing_panics_doc, reason = "writing to memory does not fail")]
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    // Go counts the padding into the minimum width of 20, this crate does not.
    let mut writer = TabWriter::new(Vec::new()).minwidth(17).padding(3);
    let mut line = |cells: &[&str]| writeln!(writer, "{}", cells.join("\t"));
    let mut written = line(&heading);
    for row in rows {
        written = written.and_then(|()| line(&row.each_ref().map(String::as_str)));
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
