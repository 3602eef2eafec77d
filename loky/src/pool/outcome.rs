//! What a call's end is in words: from the scheduler's verdicts and the workers' failures to errors.

use std::io;

use super::chunks::Answers;
use crate::codec::EncodedValue;
use crate::error::{Error, ErrorKind, Execution, PanicReport};
use crate::future::chunk::{ChunkOutcome, MovedTail};
use crate::future::slot::Outcome;
use crate::scheduler::{Refusal, Verdict};
use crate::sys::hint;
use crate::wire::message::CallFailure;

/// How a call has ended, as it is known under the pool's lock; the words are made without it.
#[derive(Debug)]
pub(super) enum CallEnd {
    Result(EncodedValue),
    Failed(CallFailure),
    Judged(Verdict, Attribution),
    /// Of the first calls of a chunk; and what the others are now.
    Answers(Box<Answers>, MovedTail),
}

/// How far a call had come that ends without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribution {
    NotBegun,
    Began,
    /// Its task had returned.
    Finished,
}

impl From<Attribution> for Execution {
    fn from(attribution: Attribution) -> Self {
        match attribution {
            Attribution::NotBegun => Self::NotStarted,
            Attribution::Began => Self::Started,
            Attribution::Finished => Self::Finished,
        }
    }
}

impl CallEnd {
    /// The kind of the error that [`into_outcome`](Self::into_outcome) makes of it.
    pub(super) fn error_kind(&self) -> Option<ErrorKind> {
        Some(match self {
            Self::Result(_) | Self::Answers(..) => return None,
            Self::Failed(CallFailure::Panicked(_)) => ErrorKind::Panicked,
            Self::Failed(CallFailure::DecodeArgs(_)) => ErrorKind::DecodeArgs,
            Self::Failed(CallFailure::EncodeResult(_)) => ErrorKind::EncodeResult,
            Self::Failed(CallFailure::UnknownTask) => ErrorKind::UnknownTask,
            Self::Failed(CallFailure::ArgsCutOff | CallFailure::ResultCutOff) => ErrorKind::Io,
            Self::Judged(Verdict::Cancelled, _) => ErrorKind::Cancelled,
            Self::Judged(Verdict::Terminated { .. }, _) => ErrorKind::TerminatedWorker,
            Self::Judged(Verdict::ShutDown, _) => ErrorKind::ShutdownExecutor,
            Self::Judged(Verdict::Broken(cause) | Verdict::NotSpawned(cause), _) => cause.kind(),
        })
    }

    /// What the future of a call of `task` gets.
    pub(super) fn into_outcome(self, task: &'static str) -> Outcome {
        let kind = self.error_kind();
        let outcome = match self {
            Self::Result(parcel) => Ok(parcel.into()),
            Self::Failed(failure) => Err(failed(task, failure)),
            Self::Judged(verdict, attribution) => Err(judged(task, verdict, attribution.into())),
            Self::Answers(..) => unreachable!("these are of a chunk"),
        };
        debug_assert_eq!(outcome.as_ref().err().map(Error::kind), kind, "as the observer heard");
        outcome
    }
}

impl CallEnd {
    /// What becomes of a chunk of so many calls of `task`.
    pub(super) fn into_chunk(self, task: &'static str, count: u32) -> ChunkOutcome {
        match self {
            Self::Answers(answers, rest) => {
                let Answers { bytes, count, failures } = *answers;
                let failures = failures.into_iter();
                let failures = failures.map(|(number, failure)| (number, failed(task, failure)));
                let failures = failures.collect();
                ChunkOutcome { results: Ok(bytes), failures, count, rest, starts: Vec::new() }
            }
            ending => {
                let error = ending.into_outcome(task).err();
                let results = error.map_or_else(|| Ok(Vec::new()), Err);
                let (failures, rest) = (Vec::new(), Vec::new());
                ChunkOutcome { results, failures, count, rest, starts: Vec::new() }
            }
        }
    }
}

/// The error of a call that ends without having run to its end.
fn judged(task: &'static str, verdict: Verdict, execution: Execution) -> Error {
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
            Error::new(ErrorKind::TerminatedWorker, message).with_worker_exit(*exit)
        }
        Verdict::Broken(cause) | Verdict::NotSpawned(cause) => cause,
        Verdict::ShutDown => {
            let message = format!(
                "the executor was shut down with `Shutdown::Kill` before `{task}` was finished"
            );
            Error::new(ErrorKind::ShutdownExecutor, message)
        }
    };
    error.with_task(task).with_execution(execution)
}

/// The error of a call that is not accepted.
pub(super) fn refused(task: &'static str, refusal: &Refusal) -> Error {
    self::refusal(refusal).with_task(task)
}

/// Why nothing is to be had from a pool any more.
pub(super) fn refusal(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Broken(cause) => cause.clone(),
        Refusal::ShutDown => {
            Error::new(ErrorKind::ShutdownExecutor, "cannot schedule new futures after shutdown")
        }
    }
}

/// Why the initializer has failed in a worker that lives.
#[derive(Debug)]
pub(super) struct InitializerFailure {
    /// What it did, in words.
    pub(super) what: String,
    pub(super) panic: Option<PanicReport>,
}

/// What a worker says of an initializer that has not returned, in words.
pub(super) fn initializer_failure(failure: CallFailure) -> InitializerFailure {
    let mut panic = None;
    let what = match failure {
        CallFailure::Panicked(report) => {
            let what = panicked(&report);
            panic = Some(*report);
            what
        }
        CallFailure::DecodeArgs(text) => {
            format!("got arguments that cannot be decoded in the worker: {text}")
        }
        CallFailure::EncodeResult(text) => {
            format!("returned a result that cannot be encoded: {text}")
        }
        CallFailure::UnknownTask => "is no task that the worker's program knows".to_owned(),
        CallFailure::ArgsCutOff => format!(
            "got shared memory for which the worker has no descriptors left{}",
            hint(&too_many_descriptors())
        ),
        CallFailure::ResultCutOff => format!(
            "returned shared memory for which this process has no descriptors left{}",
            hint(&too_many_descriptors())
        ),
    };
    InitializerFailure { what, panic }
}

/// What the system would have said, which says no more of it than that something is missing.
fn too_many_descriptors() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

fn panicked(report: &PanicReport) -> String {
    let place = report.location().map(|place| format!(" at {place}")).unwrap_or_default();
    format!("panicked{place}: {}", report.message())
}

/// The error of a call that its worker reports about.
fn failed(task: &'static str, failure: CallFailure) -> Error {
    let error = match failure {
        CallFailure::Panicked(report) => {
            let message = format!("task `{task}` {}", panicked(&report));
            Error::new(ErrorKind::Panicked, message)
                .with_execution(Execution::Finished)
                .with_panic(*report)
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
        CallFailure::ArgsCutOff => {
            let error = too_many_descriptors();
            let limit = hint(&error);
            let message = format!(
                "the worker has no descriptors left for the shared memory in the arguments of `{task}`{limit}"
            );
            Error::io(ErrorKind::Io, &message, error)
        }
        CallFailure::ResultCutOff => {
            let error = too_many_descriptors();
            let limit = hint(&error);
            let message = format!(
                "this process has no descriptors left for the shared memory in the result of `{task}`{limit}"
            );
            Error::io(ErrorKind::Io, &message, error).with_execution(Execution::Finished)
        }
    };
    error.with_task(task)
}
