//! Running one call in a worker: decode, run, encode, with whatever goes wrong caught and told apart.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Arguments;
use crate::codec::{Attachments, CodecError, EncodedValue, ValueCodec};
use crate::segments::Segments;
use crate::unwind::PanicPayload;

/// One call to be run: its encoded arguments, and where its encoded result goes.
#[doc(hidden)]
#[derive(Debug)]
pub struct Run<'a> {
    args: &'a [u8],
    attachments: Attachments,
    result: &'a mut EncodedValue,
    /// Where a long result is to lie.
    segments: Option<&'a Segments>,
}

/// What came of running a call. Its result lies where [`Run`] was told to put it.
#[doc(hidden)]
pub type Ran = Result<(), Failure>;

/// Why a call that ran has no result.
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

    /// Runs `body` on what `decode` takes from the arguments.
    ///
    /// # Errors
    /// [`Failure`] says which step failed.
    pub fn task<A, R>(
        self,
        decode: impl FnOnce(&mut Arguments<'_>) -> Result<A, CodecError>,
        body: impl FnOnce(A) -> R,
        output: ValueCodec<R>,
    ) -> Ran {
        let Self { args, attachments, result, segments } = self;
        // The drop of what was decoded, and of the result, is the user's code too.
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
