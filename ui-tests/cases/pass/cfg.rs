//! Where the function is not, its companion is not either.

#[loky::task]
#[cfg(any())]
fn one_of_two(_: NoSuchType) {}

#[loky::task]
#[cfg(not(any()))]
fn one_of_two(a: u8) -> u8 {
    a
}

#[loky::task]
#[cfg_attr(not(any()), cfg(any()), inline)]
fn nowhere(_: NoSuchType) {}

#[cfg_attr(not(any()), loky::task, inline)]
fn inlined() {}

fn main() {
    let _: loky::Task<u8, u8> = one_of_two::TASK;
    assert!(inlined::TASK.name().ends_with("::inlined"));
    assert!(loky::registry().into_iter().all(|task| !task.name().ends_with("::nowhere")));
}
