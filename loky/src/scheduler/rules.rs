//! The settings of the scheduler, fixed for the life of a pool.

use std::time::Duration;

use crate::config::CrashPolicy;

/// The settings that influence decisions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) policy: CrashPolicy,
    /// The number of calls that a worker gets ahead. `None`: it follows the run time of calls.
    pub(crate) depth: Option<usize>,
    /// Whether a worker may get its first call before the handshake.
    pub(crate) early_dispatch: bool,
    /// The idle time after which a worker leaves. `None`: never.
    pub(crate) idle_timeout: Option<Duration>,
    /// The number of calls after which a worker is replaced.
    pub(crate) max_tasks: Option<usize>,
    /// The name of the task that each new worker runs before its first call.
    pub(crate) initializer: Option<&'static str>,
    /// The time limit of the initializer.
    pub(crate) init_timeout: Option<Duration>,
}
