use std::borrow::Cow;

#[loky::task]
fn length(text: Cow<'_, str>) -> usize {
    text.len()
}

fn main() {
    let local = String::new();
    length(local.as_str().into());
    let _ = length::call(Cow::from(&local));
}
