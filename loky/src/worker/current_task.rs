//! The task that the present thread runs.

use std::cell::Cell;

use crate::task::TaskEntry;

thread_local! {
    /// Written twice for each call, and read only by [`current_task`].
    static CURRENT: Cell<Option<&'static TaskEntry>> = const { Cell::new(None) };
}

/// Notes the task that this thread is about to run, or that it runs none.
pub(super) fn set(entry: Option<&'static TaskEntry>) {
    CURRENT.set(entry);
}

/// Returns the registered name of the task that this thread runs. `None` outside a task.
///
/// The name covers the whole call: decoding the arguments, the function itself, encoding the result. It is the name of the task
/// that was submitted: a task that the function calls directly, as an ordinary function, does not change it. During an
/// [initializer](crate::Builder::initializer) it is the name of that task.
///
/// `None` also in threads that a task has started, and in the process that submits.
///
/// ```
/// #[loky::task(name = "report.line")]
/// fn line(text: String) -> String {
///     format!("{}: {text}", loky::current_task().unwrap_or("main"))
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///     assert_eq!(executor.submit(line, "ready".into()).result()?, "report.line: ready");
///     assert_eq!(line("ready".into()), "main: ready");
///     Ok(())
/// }
/// ```
#[must_use]
pub fn current_task() -> Option<&'static str> {
    CURRENT.get().map(TaskEntry::name)
}
