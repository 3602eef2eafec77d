#[loky::task]
fn length(text: std::borrow::Cow<str>) -> usize {
    text.len()
}

fn main() {
    let _ = length::TASK;
}
