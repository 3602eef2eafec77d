//! Running one call in a worker: decode, run, encode. Each kind of failure is caught and reported as its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Arguments;
use crate::codec::{Attachments, CodecError, EncodedValue, ValueCodec};
use crate::segments::Segments;
use crate::unwind::PanicPayload;

/// One call to run: its encoded arguments, and the place for its encoded result.
#[doc(hidden)]
#[derive(Debug)]
pub struct Run<'a> {
    args: &'a [u8],
    attachments: Attachments,
    result: &'a mut EncodedValue,
    /// The segments for a long result.
    segments: Option<&'a Segments>,
}

/// The outcome of running a call. Its result is in the place that [`Run`] names.
#[doc(hidden)]
pub type Ran = Result<(), Failure>;

/// The reason why a call has no result.
#[doc(hidden)]
#[derive(Debug)]
pub enum Failure {
    /// The arguments could not be decoded; the task did not run.
    DecodeArgs(CodecError),
    /// The task panicked, or the drop of its arguments or result did. Carries the payload.
    Panicked(PanicPayload),
    /// The task ran, but its result could not be encoded.
    EncodeResult(CodecError),
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        args: &'a [u8],
        attachments: Attachments,
        result: &'a mut EncodedValue,
        segments: Option<&'a Segments>,
    ) -> Self {
        Self { args, attachments, result, segments }
    }

    /// Decodes the arguments, runs `body` on them, and encodes the result.
    ///
    /// # Errors
    /// [`Failure`] names the step that failed.
    pub fn task<A, R>(
        self,
        decode: impl FnOnce(&mut Arguments<'_>) -> Result<A, CodecError>,
        body: impl FnOnce(A) -> R,
        output: ValueCodec<R>,
    ) -> Ran {
        let Self { args, attachments, result, segments } = self;
        // The drops of the arguments and of the result are code of the user too.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let mut arguments = Arguments::new(args, attachments);
            let decoded = decode(&mut arguments)
                .and_then(|decoded| arguments.finish().map(|()| decoded))
                .map_err(Failure::DecodeArgs)?;
            let value = body(decoded);
            output.encode(&value, result, segments).map_err(Failure::EncodeResult)
        }));
        ran.unwrap_or_else(|payload| Err(Failure::Panicked(payload)))
    }
}
