//! The end of a call in words: turns the scheduler's verdicts and the workers' failures into errors.

use std::io;

use super::fault::Fault;
use crate::codec::{EncodedValue, entries};
use crate::error::{Error, ErrorKind, Execution, PanicReport};
use crate::future::{Answers, Outcome};
use crate::limits;
use crate::scheduler::{Refusal, Verdict};
use crate::sys::hint;
use crate::wire::message::CallFailure;

/// How a call has ended, as it is known under the pool's lock; the words are made without it.
#[derive(Debug)]
pub(super) enum CallEnd {
    Result(EncodedValue),
    Failed(CallFailure),
    Judged(Verdict, Execution),
    /// The answers of a batch, and the end of the calls behind these, if there are any: of one call, or without a result.
    Answers(Box<RawAnswers>, Option<Box<Self>>),
}

/// The answers of consecutive calls of a batch, as their worker has written them.
#[derive(Debug, Default)]
pub(super) struct RawAnswers {
    /// The number of the first of these calls.
    pub(super) first: u32,
    pub(super) count: u32,
    /// One entry per call.
    pub(super) bytes: Vec<u8>,
    /// Why some calls have no result, by their numbers in the batch.
    pub(super) failures: Vec<(u32, CallFailure)>,
}

impl RawAnswers {
    /// The answers of the first `count` calls.
    pub(super) fn parse(mut bytes: Vec<u8>, count: u32) -> Result<Box<Self>, Fault> {
        const CUT: Fault = Fault("the answers of a batch end too early");
        let mut failures = Vec::new();
        let mut rest = &bytes[..];
        for number in 0..count {
            let (entry, behind) = entries::next(rest).ok_or(CUT)?;
            if entry.is_failure {
                failures.push((
                    number,
                    CallFailure::parse(entry.bytes).map_err(|error| Fault(error.0))?,
                ));
            }
            rest = behind;
        }
        bytes.truncate(bytes.len() - rest.len());
        Ok(Box::new(Self { first: 0, count, bytes, failures }))
    }

    /// Leaves out the first `published` calls of the batch, whose answers were published when it was divided.
    pub(super) fn skip(&mut self, published: u32) {
        if published > 0 {
            let length = entries::length_of(&self.bytes, published).unwrap_or(self.bytes.len());
            self.bytes.drain(..length);
            self.failures.retain(|(number, _)| *number >= published);
            self.count = self.count.saturating_sub(published);
            self.first = published;
        }
    }

    /// The answers with the errors of the calls of `task` that have failed.
    pub(super) fn into_answers(self, task: &'static str) -> Answers {
        let Self { first, count, bytes, failures } = self;
        let failures =
            failures.into_iter().map(|(number, failure)| (number, failed(task, failure))).collect();
        Answers { first, count, entries: bytes, failures }
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

    /// The outcome for the future of a call of `task`.
    pub(super) fn into_outcome(self, task: &'static str) -> Outcome {
        let kind = self.error_kind();
        let outcome = match self {
            Self::Result(parcel) => Ok(parcel.into()),
            Self::Failed(failure) => Err(failed(task, failure)),
            Self::Judged(verdict, execution) => Err(judged(task, verdict, execution)),
            Self::Answers(..) => unreachable!("these are of a batch"),
        };
        debug_assert_eq!(outcome.as_ref().err().map(Error::kind), kind, "as the observer heard");
        outcome
    }
}

impl CallEnd {
    /// The end of a batch of `task`: its answers, and the outcome of the calls behind these.
    pub(super) fn into_batch(self, task: &'static str) -> (Answers, Option<Outcome>) {
        match self {
            Self::Answers(answers, last) => {
                (answers.into_answers(task), last.map(|last| last.into_outcome(task)))
            }
            ending => (Answers::none(), Some(ending.into_outcome(task))),
        }
    }
}

/// The error of a call that ends without having run to its end.
fn judged(task: &'static str, verdict: Verdict, execution: Execution) -> Error {
    let error = match verdict {
        Verdict::Cancelled => {
            Error::new(ErrorKind::Cancelled, format!("call of `{task}` was cancelled"))
        }
        Verdict::Terminated { mut exit, began } => {
            exit.task = Some(task);
            let (pid, how) = (exit.pid, exit.describe());
            let message = if began {
                format!("worker process {pid} died while it ran `{task}`: {how}")
            } else {
                let n = limits::MAX_DEATHS_AT_FRONT;
                format!("{n} workers died before `{task}` began, the last one ({pid}) by {how}")
            };
            Error::new(ErrorKind::TerminatedWorker, message).with_worker_exit(*exit)
        }
        Verdict::Broken(cause) | Verdict::NotSpawned(cause) => cause,
        Verdict::ShutDown => {
            let message =
                format!("executor was shut down with `Shutdown::Kill` before `{task}` finished");
            Error::new(ErrorKind::ShutdownExecutor, message)
        }
    };
    error.with_task(task).with_execution(execution)
}

/// The error of a call that is not accepted.
pub(super) fn refused(task: &'static str, refusal: &Refusal) -> Error {
    self::refusal(refusal).with_task(task)
}

/// The reason why a pool takes no more calls.
pub(super) fn refusal(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Broken(cause) => cause.clone(),
        Refusal::ShutDown => {
            Error::new(ErrorKind::ShutdownExecutor, "cannot schedule new futures after shutdown")
        }
    }
}

/// The failure of an initializer whose worker lives.
#[derive(Debug)]
pub(super) struct InitializerFailure {
    /// The initializer's part of a sentence, such as `panicked at …`.
    pub(super) what: String,
    pub(super) panic: Option<PanicReport>,
}

/// The failure of an initializer, from its worker's report.
pub(super) fn initializer_failure(failure: CallFailure) -> InitializerFailure {
    let mut panic = None;
    let what = match failure {
        CallFailure::Panicked(report) => {
            let what = report.to_string();
            panic = Some(*report);
            what
        }
        CallFailure::DecodeArgs(text) => {
            format!("got arguments that cannot be decoded in the worker: {text}")
        }
        CallFailure::EncodeResult(text) => {
            format!("returned a result that cannot be encoded: {text}")
        }
        CallFailure::UnknownTask => "is not registered in the worker's program".to_owned(),
        CallFailure::ArgsCutOff => format!(
            "got shared memory, for which the worker has no descriptors left{}",
            hint(&too_many_descriptors())
        ),
        CallFailure::ResultCutOff => format!(
            "returned shared memory, for which this process has no descriptors left{}",
            hint(&too_many_descriptors())
        ),
    };
    InitializerFailure { what, panic }
}

/// The system's error for this shortage. The system itself reports only that descriptors are missing from a message.
fn too_many_descriptors() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

/// The error of a call whose failure its worker reports.
fn failed(task: &'static str, failure: CallFailure) -> Error {
    let error = match failure {
        CallFailure::Panicked(report) => {
            let message = format!("task `{task}` {report}");
            Error::new(ErrorKind::Panicked, message)
                .with_execution(Execution::Finished)
                .with_panic(*report)
        }
        CallFailure::DecodeArgs(text) => Error::new(
            ErrorKind::DecodeArgs,
            format!("arguments of `{task}` cannot be decoded in the worker: {text}"),
        ),
        CallFailure::EncodeResult(text) => Error::new(
            ErrorKind::EncodeResult,
            format!("result of `{task}` cannot be encoded: {text}"),
        )
        .with_execution(Execution::Finished),
        CallFailure::UnknownTask => Error::new(
            ErrorKind::UnknownTask,
            format!(
                "task `{task}` is not registered in the worker's program: link the crate that defines it, with \
                 `use that_crate as _;`"
            ),
        ),
        CallFailure::ArgsCutOff => {
            let error = too_many_descriptors();
            let limit = hint(&error);
            let message = format!(
                "worker has no descriptors left for the shared memory in the arguments of `{task}`{limit}"
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
