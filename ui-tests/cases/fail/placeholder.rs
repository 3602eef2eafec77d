#[loky::task]
fn first(numbers: Vec<_>) -> u8 {
    numbers[0]
}

fn main() {
    let _ = (first::TASK, first::call(vec![1]));
}
