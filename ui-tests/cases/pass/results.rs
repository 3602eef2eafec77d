//! Results in all ways to write them.

type Result<T> = std::result::Result<T, String>;

#[loky::task]
fn std_result() -> std::result::Result<u8, (u8, String)> {
    Ok(1)
}

#[loky::task]
fn own_result(a: Result<u8>) -> (Result<u8>) {
    a
}

#[loky::task]
fn task_result() -> loky::TaskResult<u8> {
    Ok("1".parse()?)
}

fn main() {
    let _: loky::Task<(), std::result::Result<u8, (u8, String)>> = std_result::TASK;
    let _: loky::Task<Result<u8>, Result<u8>> = own_result::TASK;
    let _: loky::Task<(), loky::TaskResult<u8>> = task_result::TASK;
}
