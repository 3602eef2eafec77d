loky::main! {
    fn start() {
        let _ = used();
    }
}

#[must_use]
fn used() -> u8 {
    1
}
