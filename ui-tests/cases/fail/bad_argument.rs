struct Handle;

#[loky::task]
fn close(_: Vec<Handle>, by: u8) -> u8 {
    by
}

fn main() {
    let _ = close::call(vec![Handle], 1);
    let _ = close(vec![Handle], 1);
}
