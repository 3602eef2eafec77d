#[loky::task(colour = "red", timeout = "soon", retries = 1)]
async unsafe fn parse<T>(_: &str, _: impl Into<T>) -> &'static u8 {
    todo!()
}

fn main() {
    let _ = parse::call("a", 1);
}
