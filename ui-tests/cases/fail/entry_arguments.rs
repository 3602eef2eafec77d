fn used() {}

#[loky::entry(flavor = "current_thread")]
fn main() {
    used();
}
