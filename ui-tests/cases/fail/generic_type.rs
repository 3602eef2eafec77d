#[loky::task]
fn first<T, U: Clone>(a: T, _: U) -> T
where
    T: Clone,
{
    a
}

fn main() {
    assert_eq!(first(1, 2), 1);
    let _ = first::call(1, 2);
}
