#[loky::task]
fn read(_: str, _: [u8], _: dyn Send) {}

fn main() {
    let _ = read::call(1, 2, 3);
    let _ = read::TASK;
}
