//! Long values beside the bytes, in a [segment](crate::segments) that travels as an attachment.
//!
//! ```text
//!        0      1   4            8                16
//!  value │ mark │ 0 │ attachment │ length in bytes │        instead of CBOR, of which so much lies there
//! ```
//!
//! A whole argument or result lies aside, or none of it does. What serde writes is moved there when it is known to be long; a
//! vector of numbers ([`bulk`](super::bulk)) goes there at once, and has a head of its own. No CBOR begins with the mark.
//!
//! Whoever decodes copies first, since the other side may go on writing: numbers into the vector that they are to be in, CBOR into
//! a buffer of the thread's own. How much that is, is looked up and not believed. A descriptor that is no segment, or one that is
//! too short, is an error of this value.
//!
//! Tested here, and in calls by the package `tests`.

use std::cell::Cell;
use std::fmt;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Attachments, CodecError, EncodedValue, at_end};
use crate::limits;
use crate::segments::Segments;
use crate::sys::hint;
use crate::sys::pod::Pod;
use crate::sys::segment_memory;

/// No CBOR begins so, and no vector of numbers either.
const MARK: [u8; 4] = [0xfd, 0, 0, 0];

/// Copies `bytes` into a segment, if they are long and there is one to be had: the number of the attachment that it is.
pub(super) fn put(
    bytes: &[u8],
    attachments: &mut Attachments,
    segments: Option<&Segments>,
) -> Option<u32> {
    let lease = segments?.put(bytes)?;
    attachments.add_lease(lease).ok()
}

/// Copies so many values out of the attachment of this number, into `values`, which have no others then.
pub(super) fn take<T: Pod>(
    attachment: u32,
    count: usize,
    attachments: &Attachments,
    values: &mut Vec<T>,
) -> Result<(), CodecError> {
    let attachment = attachments.get(attachment).map_err(failed)?;
    segment_memory::read(attachment.fd(), count, values)
        .map_err(|error: io::Error| failed(format!("{error}{}", hint(&error))))
}

fn failed(why: impl fmt::Display) -> CodecError {
    CodecError(format!("a long value beside the others: {why}"))
}

/// Appends `value`, or what says where it lies.
pub(super) fn encode<T: Serialize>(
    value: &T,
    out: &mut EncodedValue,
    segments: Option<&Segments>,
) -> Result<(), CodecError> {
    let EncodedValue { bytes, attachments } = &mut *out;
    let start = bytes.len();
    attachments.collect(|| super::encode(value, bytes))?;
    if bytes.len() - start >= limits::SEGMENT_BYTES {
        move_aside(out, start, segments);
    }
    Ok(())
}

/// Moves what was appended from `start` on into a segment, if there is one to be had.
fn move_aside(out: &mut EncodedValue, start: usize, segments: Option<&Segments>) {
    let EncodedValue { bytes, attachments } = out;
    let length = (bytes.len() - start) as u64;
    if let Some(attachment) = put(&bytes[start..], attachments, segments) {
        bytes.truncate(start);
        bytes.extend_from_slice(&MARK);
        bytes.extend_from_slice(&attachment.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
}

/// Takes a value from the front of `input`, or from where that says that it lies.
pub(super) fn decode<T: DeserializeOwned>(
    input: &mut &[u8],
    attachments: &Attachments,
) -> Result<T, CodecError> {
    // Most are short: so it is one byte that is looked at.
    if input.first() != Some(&MARK[0]) {
        return attachments.offer(|| super::decode(input));
    }
    let (attachment, length) = take_place(input)?;
    with_room(|room| {
        take(attachment, length, attachments, room)?;
        let mut bytes = &room[..];
        let value = attachments.offer(|| super::decode(&mut bytes))?;
        at_end(bytes).map(|()| value)
    })
}

/// The attachment that a value lies in, and its length.
fn take_place(input: &mut &[u8]) -> Result<(u32, usize), CodecError> {
    let too_early = || failed("the bytes end too early");
    let (mark, rest) = input.split_first_chunk().ok_or_else(too_early)?;
    if *mark != MARK {
        return Err(failed("it does not begin like one"));
    }
    let (attachment, rest) = rest.split_first_chunk().ok_or_else(too_early)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(too_early)?;
    *input = rest;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(failed)?;
    Ok((u32::from_le_bytes(*attachment), length))
}

/// Runs `decode` with room for bytes, which is kept for the next value if it is not large.
fn with_room<T>(decode: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // While the user's code runs, which may decode as well, it is not there.
    let mut room = ROOM.try_with(Cell::take).unwrap_or_default();
    let decoded = decode(&mut room);
    room.clear();
    if room.capacity() <= limits::ANSWER_KEEP_BYTES {
        let _ = ROOM.try_with(|kept| kept.set(room));
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::sync::Arc;

    use crate::codec::{BulkProbe, ValueCodec, output};
    use crate::sys::wake::Wake;

    fn segments() -> Segments {
        Segments::of_pool(Arc::new(Wake::new().unwrap()))
    }

    const LONG: usize = limits::SEGMENT_BYTES;

    /// There and back, with another value behind it, and whether it lies aside.
    #[track_caller]
    fn check<T: PartialEq + Debug>(witness: ValueCodec<T>, value: &T, is_aside: bool) {
        let segments = segments();
        let mut parcel = EncodedValue::default();
        for _ in 0..2 {
            witness.encode(value, &mut parcel, Some(&segments)).expect("is encoded");
        }
        let EncodedValue { bytes, attachments } = &parcel;
        assert_eq!(usize::from(attachments.count()), if is_aside { 2 } else { 0 });
        assert_eq!(bytes.len() < 50, is_aside);
        let mut rest = &bytes[..];
        assert!(&witness.decode(&mut rest, attachments).expect("is decoded") == value);
        assert!(&witness.decode_all(rest, attachments).expect("is decoded") == value);
        for end in 0..(bytes.len() / 2).min(50) {
            assert!(witness.decode(&mut &bytes[..end], attachments).is_err(), "cut at {end}");
        }
        if is_aside {
            let error = witness.decode(&mut &bytes[..], &Attachments::new()).unwrap_err();
            assert!(error.0.contains("number 0, where 0 came"), "{error}");
        }
    }

    #[test]
    fn what_is_long_lies_aside() {
        // In front of the letters stands how many there are.
        let text = |bytes: usize| "x".repeat(bytes - 3);
        check(output(), &text(LONG - 1), false);
        check(output(), &text(LONG), true);
        check(output(), &(text(LONG - 4), 1, 2), false);
        check(output(), &(text(LONG - 3), 1, 2), true);
        let bulk = BulkProbe::<Vec<u16>>::__LOKY_BULK.expect("numbers");
        check(bulk, &vec![7; LONG / 2 - 1], false);
        check(bulk, &vec![7; LONG / 2], true);
        check(bulk, &vec![7; LONG / 2 + 1], true);
    }

    fn forged(attachment: u32, length: u64) -> Vec<u8> {
        [&MARK[..], &attachment.to_le_bytes(), &length.to_le_bytes()].concat()
    }

    #[test]
    fn what_does_not_lie_there_is_not_read() {
        let mut parcel = EncodedValue::default();
        let witness = output::<String>();
        witness.encode(&"x".repeat(LONG), &mut parcel, Some(&segments())).unwrap();
        let length = LONG as u64 + 5;
        assert_eq!(parcel.bytes, forged(0, length));
        let zeros = std::fs::File::open("/dev/zero").unwrap().into();
        let zeros: Attachments = [zeros].into_iter().collect();
        for (bytes, attachments, text) in [
            (forged(1, length), &parcel.attachments, "number 1, where 1 came"),
            (forged(u32::MAX, length), &parcel.attachments, "number 4294967295"),
            (forged(0, length - 1), &parcel.attachments, "too early"),
            (forged(0, length + 1), &parcel.attachments, "1 bytes are left over"),
            (forged(0, 0), &parcel.attachments, "too early"),
            (forged(0, 1 << 40), &parcel.attachments, "shorter than its value"),
            (forged(0, u64::MAX), &parcel.attachments, "shorter than its value"),
            (forged(0, length), &zeros, "something else than a segment"),
        ] {
            let error = witness.decode_all(&bytes, attachments).unwrap_err();
            assert!(error.0.contains(text), "{error}");
        }
        assert!(witness.decode_all(&parcel.bytes, &parcel.attachments).is_ok());
    }

    #[test]
    fn without_segments_all_of_it_lies_here() {
        let mut parcel = EncodedValue::default();
        let witness = output::<String>();
        let long = "x".repeat(LONG);
        witness.encode(&long, &mut parcel, None).unwrap();
        assert!(parcel.attachments.is_empty());
        assert_eq!(witness.decode_all(&parcel.bytes, &parcel.attachments), Ok(long));
    }
}
