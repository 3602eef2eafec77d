struct MyCodec<A, B>(A, B);

#[loky::task(codec = crate::MyCodec<u8, u8>, name = "add")]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[loky::task(codec = "cbor")]
fn none() {}

fn main() {
    let _ = (add::TASK, none::TASK, MyCodec(1, 2));
}
