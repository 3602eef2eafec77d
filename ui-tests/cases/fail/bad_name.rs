#[loky::task(name = "")]
fn empty() {}

#[loky::task(name = "a\nb")]
fn two_lines() {}

#[loky::task(name = geo.add)]
fn no_string() {}

fn main() {
    let _ = (empty::TASK, two_lines::TASK, no_string::call());
}
