//! The table of the README.

use std::fmt::Write;

use super::{Measure, Results};
use crate::Result;

const BEGIN: &str = "<!-- begin of what `cargo run -p loky-benches --bin speed` writes -->\n";
const END: &str = "<!-- end of it -->\n";

/// Returns the table in Markdown, with a note on the machine: a row for each program, the median of each measure.
#[must_use]
pub fn table(results: &Results) -> String {
    let titles: Vec<&str> = Measure::ALL.iter().map(|it| it.title()).collect();
    let mut text = format!(
        "| | version | {} |\n|---|---|{}\n",
        titles.join(" | "),
        "---:|".repeat(titles.len())
    );
    for program in results.programs() {
        let median = |measure: &Measure| {
            let median = results.of(*measure, program).map(|(_, median)| measure.quantity(median));
            median.unwrap_or_else(|| "–".to_owned())
        };
        let cells: Vec<String> = Measure::ALL.iter().map(median).collect();
        let _ =
            writeln!(text, "| {} | {} | {} |", program.name, program.version, cells.join(" | "));
    }
    let about = results.circumstances();
    let _ = writeln!(
        text,
        "\nMedians of {} blocks, measured by turns on {}, {}.\n\
         Load (of the last five minutes) {}. \
         [benches/README.md](https://github.com/loky-rs/loky/blob/HEAD/benches/README.md) describes the measurement.",
        about.n_blocks, about.machine, about.date, about.load
    );
    text
}

/// Replaces the text between the two markers by the table.
///
/// # Errors
/// A marker is missing.
pub fn insert(text: &str, table: &str) -> Result<String> {
    let (before, rest) =
        text.split_once(BEGIN).ok_or("the begin marker of the table is missing")?;
    let (_, after) = rest.split_once(END).ok_or("the end marker of the table is missing")?;
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{Circumstances, Program};

    #[test]
    fn unsupported_measure_is_a_dash() {
        let program = Program { name: "loky".into(), version: "0.1.0".into() };
        let mut results = Results::new(Circumstances::default(), vec![program]);
        results.add(Measure::RoundTrip, "loky", &[4.0]);
        let row = "\n| loky | 0.1.0 | 4.0 µs | – | – | – | – |\n";
        assert!(table(&results).contains(row), "{}", table(&results));
    }

    #[test]
    fn insert_replaces_marked_part_only() {
        let text = |inside: &str| format!("a\n{BEGIN}{inside}{END}b\n");
        assert_eq!(insert(&text("old\n"), "new\n").expect("marks"), text("new\n"));
        assert!(insert("a\nb\n", "new\n").is_err());
    }
}
