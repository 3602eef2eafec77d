//! The companion has the task as a value and its calls; the function stays what it was.

#[loky::task]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

const ADD: loky::Task<(u64, u64), u64> = add::TASK;

fn main() {
    let copy = ADD;
    assert_eq!(copy.name(), ADD.name());
    assert!(ADD.name().ends_with("::add"), "{}", ADD.name());

    let call: loky::Call<(u64, u64), u64> = add::call(1, 2);
    assert_eq!(call.task().name(), ADD.name());

    let function: fn(u64, u64) -> u64 = add;
    assert_eq!(function(1, 2), 3);
    assert_eq!([1, 2].into_iter().reduce(add), Some(3));
}
