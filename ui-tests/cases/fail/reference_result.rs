#[loky::task]
fn text() -> Result<&'static str, &'static u8> {
    Ok("a")
}

fn main() {
    let _: loky::Task<(), Result<&'static str, &'static u8>> = text::TASK;
    let _: Result<&str, &u8> = text();
}
