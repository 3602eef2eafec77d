//! What a pool goes by for as long as it lives.

use std::time::Duration;

use crate::config::CrashPolicy;

/// The settings that decide something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) policy: CrashPolicy,
    /// How many calls a worker gets at a time, if that is not to follow how long they run.
    pub(crate) depth: Option<usize>,
    /// Whether a worker may be given its first call before it has shaken hands.
    pub(crate) early_dispatch: bool,
    /// How long a worker may have nothing to do until it leaves. `None`: for ever.
    pub(crate) idle_timeout: Option<Duration>,
    /// After how many calls a worker is replaced.
    pub(crate) max_tasks: Option<usize>,
    /// The task that each new worker runs before its first call.
    pub(crate) initializer: Option<&'static str>,
    /// How long that may take.
    pub(crate) init_timeout: Option<Duration>,
}
