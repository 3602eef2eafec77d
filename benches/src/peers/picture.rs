//! The picture: a bar for each program and measure, on logarithmic scales. The SVG has no background. Its colours are readable on a
//! light and on a dark one, also in viewers that do not report which they have.

use std::fmt::Write;

use super::{Measure, Program, Results};

const WIDTH: u32 = 760;
/// The left end of the bars; the names are left of it.
const LEFT: u32 = 190;
/// The length of the longest bar, which leaves room for its number.
const LONGEST: u32 = 470;
const BAR: u32 = 20;
const TITLE: u32 = 34;
const GAP: u32 = 14;

const STYLE: &str = "\
<style>
text { font: 13px system-ui, sans-serif; fill: #6e7781; }
.title { font-weight: 600; }
.bar { fill: #8c959f; }
.ours { fill: #d9622b; }
@media (prefers-color-scheme: light) {
text { fill: #24292f; }
.note { fill: #656d76; }
}
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.note { fill: #9198a1; }
}
</style>
";

/// Draws the medians.
#[must_use]
pub fn picture(results: &Results) -> String {
    let mut y = 0;
    let mut body = String::new();
    for measure in Measure::ALL {
        let bars: Vec<_> = results
            .programs()
            .iter()
            .filter_map(|program| results.of(measure, program).map(|(_, median)| (program, median)))
            .collect();
        y += TITLE;
        let better = if measure.is_rate() { "longer is better" } else { "shorter is better" };
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"0\" y=\"{}\">{}<tspan class=\"note\" font-weight=\"400\"> – {better}</tspan></text>",
            y - 10,
            measure.title().replace('`', "")
        );
        for (index, (program, value)) in bars.iter().enumerate() {
            let length = length(&bars, *value);
            body += &bar(y, program, length, &measure.quantity(*value), index == 0);
            y += BAR;
        }
        y += GAP;
    }
    let about = results.circumstances();
    let note =
        format!("Logarithmic scales, from a power of ten. {}, {}", about.machine, about.date);
    let _ = writeln!(body, "<text class=\"note\" x=\"0\" y=\"{}\">{note}</text>", y + 8);
    let height = y + 20;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"loky beside other process pools\">\n{STYLE}{body}</svg>\n"
    )
}

/// Returns the length of a bar, on a logarithmic scale from the power of ten below the least value to the greatest value.
fn length(bars: &[(&Program, f64)], value: f64) -> u32 {
    let values = || bars.iter().map(|(_, value)| *value);
    let begin = 10_f64.powf(values().fold(f64::INFINITY, f64::min).log10().floor());
    let all = (values().fold(begin, f64::max) / begin).ln();
    let part = if all > 0.0 { (value / begin).ln() / all } else { 1.0 };
    (f64::from(LONGEST) * part).round().max(2.0) as u32
}

fn bar(y: u32, program: &Program, length: u32, quantity: &str, is_ours: bool) -> String {
    let class = if is_ours { "bar ours" } else { "bar" };
    let (name_x, number_x, baseline) = (LEFT - 8, LEFT + length + 6, y + 14);
    format!(
        "<text x=\"{name_x}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>\n\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{}\" width=\"{length}\" height=\"{}\" rx=\"2\"/>\n\
         <text x=\"{number_x}\" y=\"{baseline}\">{quantity}</text>\n",
        program.name,
        y + 2,
        BAR - 4
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_length_is_logarithmic() {
        let program = Program { name: "any".into(), version: "1".into() };
        let bars = [(&program, 20.0), (&program, 200.0), (&program, 2000.0)];
        let [a, b, c] = [20.0, 200.0, 2000.0].map(|value| length(&bars, value));
        assert!((b - a).abs_diff(c - b) <= 1, "{a} {b} {c}");
        assert_eq!((c, length(&bars, 10.0)), (LONGEST, 2), "ends of the scale");
    }
}
