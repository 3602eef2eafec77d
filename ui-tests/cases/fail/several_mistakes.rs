#[loky::task(colour = "red", companion = "1", name = "")]
async unsafe fn parse<T>(_: &str, _: impl Into<T>) -> &'static u8 {
    todo!()
}

fn main() {
    let _ = parse::call("a", 1);
}
