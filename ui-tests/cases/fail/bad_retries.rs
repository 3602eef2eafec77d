#[loky::task(retries = "2")]
fn string() {}

#[loky::task(retries = -1)]
fn negative() {}

#[loky::task(retries = 4294967296)]
fn large() {}

#[loky::task(retries = 2u8)]
fn suffix() {}

fn main() {
    let _ = (string::TASK, negative::TASK, large::TASK, suffix::TASK);
}
