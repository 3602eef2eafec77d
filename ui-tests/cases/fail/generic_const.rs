#[loky::task]
fn size<const N: usize>() -> usize {
    N
}

fn main() {
    let _ = (size::<3>(), size::call());
}
