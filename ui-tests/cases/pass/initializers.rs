//! What may serve as initializer, of either builder: tasks without a value, which may fail.

#[loky::task]
fn nothing() {}

#[loky::task]
fn text(size: u64) -> Result<(), String> {
    if size == 0 { Err("no size".to_owned()) } else { Ok(()) }
}

#[loky::task]
fn remote(size: String, _more: u8) -> loky::TaskResult<()> {
    size.parse::<u64>()?;
    Ok(())
}

fn main() {
    let builder = loky::ProcessPoolExecutor::builder;
    let _ = builder().initializer(nothing, ());
    let _ = builder().initializer(text, 3).initializer(text::TASK, 4);
    let _ = builder().initializer(remote, ("3".to_owned(), 4));
    let _ = loky::reusable_executor().initializer(nothing, ());
}
