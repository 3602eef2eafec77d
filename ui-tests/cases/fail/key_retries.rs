#[loky::task(retries = 2)]
fn valid() {}

#[loky::task(name = "more", retries = 3, retries = 4)]
fn twice() {}

fn main() {
    let _ = (valid::TASK, twice::TASK);
}
