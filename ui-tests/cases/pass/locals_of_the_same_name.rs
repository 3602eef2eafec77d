//! The companion takes nothing from the value namespace: locals and parameters may be named like a task.

#[loky::task]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[loky::task]
fn twice(add: u64) -> u64 {
    2 * add
}

fn caller(twice: u64) -> u64 {
    twice + 1
}

fn main() {
    let add = add(1, 2);
    let Some(twice) = Some(twice(add)) else { unreachable!() };
    assert_eq!(caller(twice), 7);
    assert!(add::TASK.name().ends_with("::add"));
    assert!(twice::call(1).task().name().ends_with("::twice"));
}
