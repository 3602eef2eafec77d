//! Run functions in worker processes: exec'd copies of the same program.

mod clock;
mod codec;
mod config;
mod entry;
mod error;
mod executor;
mod future;
mod id;
mod limits;
mod map;
mod pool;
mod registry;
mod role;
mod scheduler;
mod spawn;
mod sys;
mod task;
mod transport;
mod wire;
mod worker;

#[doc(hidden)]
pub mod __private;

pub use loky_macros::{main, task};

pub use crate::config::{CrashPolicy, Stdio};
pub use crate::entry::init;
pub use crate::error::{
    Error, ErrorKind, Execution, PanicReport, RemoteError, Result, TaskResult, WorkerExit,
};
pub use crate::executor::{Builder, ProcessPoolExecutor};
pub use crate::future::{
    AsCompleted, AsCompletedTimeout, Future, ReturnWhen, Waited, as_completed, wait,
};
pub use crate::map::Map;
pub use crate::registry::{IntoTask, Registry, TaskInfo, assert_registered, registry};
pub use crate::scheduler::Shutdown;
pub use crate::task::{Call, Task};
