#[loky::task(timeout = "30 seconds")]
fn unit() {}

#[loky::task(timeout = "0s")]
fn zero() {}

#[loky::task(timeout = 30)]
fn number() {}

#[loky::task(timeout = "-1s")]
fn negative() {}

#[loky::task(timeout = Duration::from_secs(30))]
fn expression() {}

fn main() {
    let _ = (unit::TASK, zero::TASK, number::TASK, negative::TASK, expression::TASK);
}
