//! What a call's end is in words: from the scheduler's verdicts and the workers' failures to errors.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Execution};
use crate::future::slot::Outcome;
use crate::scheduler::{Refusal, Verdict};
use crate::wire::message::CallFailure;

/// How a call has ended, as it is known under the pool's lock; the words are made without it.
#[derive(Debug)]
pub(super) enum Ending {
    Result(Vec<u8>),
    Failed(CallFailure),
    Judged(Verdict),
}

impl Ending {
    /// What the future of a call of `task` gets.
    pub(super) fn into_outcome(self, task: &'static str) -> Outcome {
        match self {
            Self::Result(bytes) => Ok(Arc::new(bytes)),
            Self::Failed(failure) => Err(failed(task, failure)),
            Self::Judged(verdict) => Err(judged(task, verdict)),
        }
    }
}

fn execution(began: bool) -> Execution {
    if began { Execution::Started } else { Execution::NotStarted }
}

/// The error of a call that ends without having run to its end.
fn judged(task: &'static str, verdict: Verdict) -> Error {
    let error = match verdict {
        Verdict::Cancelled => {
            Error::new(ErrorKind::Cancelled, format!("the call of `{task}` was cancelled"))
        }
        Verdict::Terminated { mut exit, began } => {
            exit.task = Some(task);
            let cause = exit.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
            let verb = if began { "while it ran" } else { "again and again before it began" };
            let message =
                format!("worker process {} died of {exit} {verb} `{task}`{cause}", exit.pid);
            Error::new(ErrorKind::TerminatedWorker, message)
                .with_execution(execution(began))
                .with_worker_exit(exit)
        }
        Verdict::Broken { cause, began } => cause.with_execution(execution(began)),
        Verdict::ShutDown { began } => {
            let message = format!(
                "the executor was shut down with `Shutdown::Kill` before `{task}` was finished"
            );
            Error::new(ErrorKind::ShutdownExecutor, message).with_execution(execution(began))
        }
        Verdict::NotSpawned { cause } => cause,
    };
    error.with_task(task)
}

/// The error of a call that is not accepted.
pub(super) fn refused(task: &'static str, refusal: &Refusal) -> Error {
    let error = match refusal {
        Refusal::Broken(cause) => cause.clone(),
        Refusal::ShutDown => shut_down(),
    };
    error.with_task(task)
}

pub(super) fn shut_down() -> Error {
    Error::new(ErrorKind::ShutdownExecutor, "cannot schedule new futures after shutdown")
}

/// The error of a call that its worker reports about.
fn failed(task: &'static str, failure: CallFailure) -> Error {
    let error = match failure {
        CallFailure::Panicked(report) => {
            let place = report.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let message = format!("task `{task}` panicked{place}: {}", report.message());
            Error::new(ErrorKind::Panicked, message)
                .with_execution(Execution::Finished)
                .with_panic(report)
        }
        CallFailure::DecodeArgs(text) => Error::new(
            ErrorKind::DecodeArgs,
            format!("the arguments of `{task}` cannot be decoded in the worker: {text}"),
        ),
        CallFailure::EncodeResult(text) => Error::new(
            ErrorKind::EncodeResult,
            format!("the result of `{task}` cannot be encoded: {text}"),
        )
        .with_execution(Execution::Finished),
        CallFailure::UnknownTask => Error::new(
            ErrorKind::UnknownTask,
            format!(
                "the worker knows no task `{task}`: is the crate that defines it mentioned in the worker's program? \
                 (`use that_crate as _;`)"
            ),
        ),
    };
    error.with_task(task)
}
