#[loky::task]
fn sum(_: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) {}

fn main() {
    let _ = sum::call(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
    let _ = sum::TASK;
}
