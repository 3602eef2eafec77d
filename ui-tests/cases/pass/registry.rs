//! Each task is in the table under its name, also one that nothing mentions.

#[loky::task]
fn by_path() {}

#[loky::task(name = "geo.add")]
fn by_name(_: u8) {}

mod unused {
    #[loky::task]
    fn nowhere_mentioned() {}
}

fn main() {
    for name in [by_path::TASK.name(), "geo.add"] {
        assert_eq!(count(|it| it == name), 1, "{name}");
    }
    assert_eq!(by_name::TASK.name(), "geo.add");
    assert_eq!(count(|it| it.ends_with("::unused::nowhere_mentioned")), 1);
}

fn count(is_wanted: impl Fn(&str) -> bool) -> usize {
    loky::registry().into_iter().filter(|task| is_wanted(task.name())).count()
}
