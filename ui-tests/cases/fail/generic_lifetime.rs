#[loky::task]
fn shorten<'a>(text: std::borrow::Cow<'a, str>) -> String {
    text.into_owned()
}

fn main() {
    let _ = (shorten("a".into()), shorten::call("a"));
}
