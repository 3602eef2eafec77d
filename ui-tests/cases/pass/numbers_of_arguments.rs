//! Nothing, the bare value, a tuple: up to twelve.

#[loky::task]
fn none() {}

#[loky::task]
fn one(_: u8) -> u8 {
    1
}

#[loky::task]
fn two(_: u8, _: u16) -> (u8,) {
    (2,)
}

#[loky::task]
fn twelve(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: i8) {}

fn main() {
    let _: [loky::Task<(), ()>; 1] = [none::call().task()];
    let _: [loky::Task<u8, u8>; 1] = [one::call(1).task()];
    let _: [loky::Task<(u8, u16), (u8,)>; 1] = [two::call(1, 2).task()];
    let _: loky::Task<(u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, i8), ()> = twelve::TASK;
    let _ = twelve::call(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
}
