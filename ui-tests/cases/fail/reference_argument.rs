use std::path::Path;

#[loky::task]
fn text(_: &str, _: Vec<&'static str>, _: &[u8], _: &Path, _: &mut Option<u8>) {}

fn main() {
    let local = String::new();
    text(&local, vec![], &[], local.as_ref(), &mut None);
    let _ = text::call(&local, vec!["a"], &[1], Path::new("a"), &mut None::<u8>);
}
