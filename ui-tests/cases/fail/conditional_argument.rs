#[loky::task]
fn open(_: String, #[cfg(unix)] _: u32) {}

fn main() {
    open(String::new(), 0);
    let _ = open::TASK;
}
