//! Judging what an initializer has returned.
//!
//! A result that has the bytes of success is one, as [`core`](super::core) sees by itself. Any other is decoded, and its error
//! displayed. That is the user's code: it runs on a thread of its own, with a stack like any other's, so that it may take its
//! time. Meanwhile the worker is not ready, and its `init_timeout` goes on. The pool does not end before that thread does.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::{Pool, thread_guard};
use crate::codec::EncodedValue;
use crate::id::WorkerId;

/// Has a result judged that is not the one of success, by the thread that comes back.
pub(super) fn judge(
    pool: &Arc<Pool>,
    worker: WorkerId,
    result: EncodedValue,
) -> Option<JoinHandle<()>> {
    let judging = Arc::clone(pool);
    let body = move || {
        thread_guard::become_own_of(judging.id);
        let initializer = judging.settings.initializer.as_ref();
        let judged = initializer.map_or(Ok(()), |initializer| initializer.judge(&result));
        let judged = judged.map_err(|reason| format!("failed: {reason}"));
        judging.with_core(|core, now| core.initializer_judged(now, worker, judged));
    };
    let started = thread::Builder::new().name("loky-initializer".into()).spawn(body);
    if let Err(error) = &started {
        let reason = format!("failed, but there is no thread to find out why: {error}");
        pool.with_core(|core, now| core.initializer_judged(now, worker, Err(reason)));
    }
    started.ok()
}
