#[loky::task]
fn open(_: NoSuchType) -> u8 {
    1
}

fn main() {
    let _ = open::TASK;
}
