#[loky::entry]
fn start() {}

fn main() {
    start();
}
