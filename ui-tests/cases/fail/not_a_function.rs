#[loky::task]
#[derive(Debug)]
struct Picture {
    width: u8,
}

#[loky::task]
pub mod pictures {}

fn main() {
    let _ = Picture { width: 1 };
}
