//! Arguments may be patterns.

struct Point {
    x: u8,
}

const fn origin() -> u8 {
    0
}

#[loky::task]
fn sum((a, b): (u8, u8), _: u8, mut c: u8, [first, ..]: [u8; 3], ref d: u8, e @ _: u8) -> u8 {
    c += origin();
    a + b + c + first + *d + e
}

fn main() {
    let Point { x } = Point { x: 1 };
    assert_eq!(sum((x, 2), 100, 3, [4, 0, 0], 5, 6), 21);
    let task: loky::Task<((u8, u8), u8, u8, [u8; 3], u8, u8), u8> = sum::TASK;
    assert_eq!(sum::call((1, 2), 3, 4, [5, 6, 7], 8, 9).task().name(), task.name());
}
