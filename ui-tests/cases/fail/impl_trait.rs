#[loky::task]
fn total(numbers: impl Iterator<Item = u8>) -> Option<impl Sized> {
    Some(numbers.count())
}

fn main() {
    total([1].into_iter());
    let _ = total::call([1].into_iter());
}
