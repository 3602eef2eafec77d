#[loky::task(timeout = "30s")]
fn valid() {}

#[loky::task(timeout = Duration::from_secs(30), name = "expression")]
fn expression() {}

#[loky::task(timeout)]
fn bare() {}

fn main() {
    let _ = (valid::TASK, expression::TASK, bare::TASK);
}
