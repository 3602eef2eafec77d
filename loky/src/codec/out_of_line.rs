//! Large values beside the bytes, in a [segment](crate::segments) that travels as an attachment.
//!
//! ```text
//!        0      1   4            8                16
//!  value │ mark │ 0 │ attachment │ length in bytes │        instead of the value's CBOR, which is in the segment
//! ```
//!
//! A whole argument or result is out of line, or no part of it is. Serde's output is moved to a segment once it proves to be long.
//! A vector of numbers ([`bulk`](super::bulk)) goes there directly, with a head of its own. No CBOR begins with the mark.
//!
//! The receiver copies before it decodes, since the sender may go on writing: numbers into their vector, CBOR into a buffer of the
//! thread. It takes the length from the system, never from the sender. A descriptor that is not a segment, or too short, is an
//! error of this value.
//!
//! Tested beside the code, and in calls by the package `tests`.

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

/// No CBOR and no vector of numbers begins with these bytes.
const MARK: [u8; 4] = [0xfd, 0, 0, 0];

/// Copies `bytes` into a segment, if they are long and a segment is available. Returns the number of its attachment.
pub(super) fn put(
    bytes: &[u8],
    attachments: &mut Attachments,
    segments: Option<&Segments>,
) -> Option<u32> {
    let lease = segments?.put(bytes)?;
    attachments.add_lease(lease).ok()
}

/// Replaces `values` by `count` values from the attachment with this number.
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
    CodecError(format!("a large value in a segment: {why}"))
}

/// Appends `value`, or the record of its segment.
pub(super) fn encode<T: Serialize>(
    value: &T,
    out: &mut EncodedValue,
    segments: Option<&Segments>,
) -> Result<(), CodecError> {
    let EncodedValue { bytes, attachments } = &mut *out;
    let start = bytes.len();
    attachments.collect(|| super::encode(value, bytes))?;
    if bytes.len() - start >= limits::SEGMENT_BYTES {
        move_to_segment(out, start, segments);
    }
    Ok(())
}

/// Moves the bytes from `start` on into a segment, if one is available.
fn move_to_segment(out: &mut EncodedValue, start: usize, segments: Option<&Segments>) {
    let EncodedValue { bytes, attachments } = out;
    let length = (bytes.len() - start) as u64;
    if let Some(attachment) = put(&bytes[start..], attachments, segments) {
        bytes.truncate(start);
        bytes.extend_from_slice(&MARK);
        bytes.extend_from_slice(&attachment.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
}

/// Takes a value from the front of `input`, or from the segment that is named there.
pub(super) fn decode<T: DeserializeOwned>(
    input: &mut &[u8],
    attachments: &Attachments,
) -> Result<T, CodecError> {
    // Most values are short, so the check is for one byte only.
    if input.first() != Some(&MARK[0]) {
        return attachments.offer(|| super::decode(input));
    }
    let (attachment, length) = take_record(input)?;
    with_room(|room| {
        take(attachment, length, attachments, room)?;
        let mut bytes = &room[..];
        let value = attachments.offer(|| super::decode(&mut bytes))?;
        at_end(bytes).map(|()| value)
    })
}

/// Reads the attachment that holds a value, and its length.
fn take_record(input: &mut &[u8]) -> Result<(u32, usize), CodecError> {
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

/// Runs `decode` with a buffer of this thread, which is kept for the next value unless it is large.
fn with_room<T>(decode: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // The user's code may decode too: it gets a new buffer meanwhile.
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

    /// A round trip, with another value after it. `is_out_of_line` is whether the values go into segments.
    #[track_caller]
    fn check<T: PartialEq + Debug>(codec: ValueCodec<T>, value: &T, is_out_of_line: bool) {
        let segments = segments();
        let mut encoded = EncodedValue::default();
        for _ in 0..2 {
            codec.encode(value, &mut encoded, Some(&segments)).expect("is encoded");
        }
        let EncodedValue { bytes, attachments } = &encoded;
        assert_eq!(usize::from(attachments.count()), if is_out_of_line { 2 } else { 0 });
        assert_eq!(bytes.len() < 50, is_out_of_line);
        let mut rest = &bytes[..];
        assert!(&codec.decode(&mut rest, attachments).expect("is decoded") == value);
        assert!(&codec.decode_all(rest, attachments).expect("is decoded") == value);
        for end in 0..(bytes.len() / 2).min(50) {
            assert!(codec.decode(&mut &bytes[..end], attachments).is_err(), "cut at {end}");
        }
        if is_out_of_line {
            let error = codec.decode(&mut &bytes[..], &Attachments::new()).unwrap_err();
            assert!(error.0.contains("number 0, where 0 came"), "{error}");
        }
    }

    #[test]
    fn large_value_goes_into_a_segment() {
        // The length takes 3 bytes before the text.
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
    fn forged_record_is_an_error() {
        let mut encoded = EncodedValue::default();
        let codec = output::<String>();
        codec.encode(&"x".repeat(LONG), &mut encoded, Some(&segments())).unwrap();
        let length = LONG as u64 + 5;
        assert_eq!(encoded.bytes, forged(0, length));
        let zeros = std::fs::File::open("/dev/zero").unwrap().into();
        let zeros: Attachments = [zeros].into_iter().collect();
        for (bytes, attachments, text) in [
            (forged(1, length), &encoded.attachments, "number 1, where 1 came"),
            (forged(u32::MAX, length), &encoded.attachments, "number 4294967295"),
            (forged(0, length - 1), &encoded.attachments, "too early"),
            (forged(0, length + 1), &encoded.attachments, "1 bytes are left over"),
            (forged(0, 0), &encoded.attachments, "too early"),
            (forged(0, 1 << 40), &encoded.attachments, "shorter than its value"),
            (forged(0, u64::MAX), &encoded.attachments, "shorter than its value"),
            (forged(0, length), &zeros, "is not a segment"),
        ] {
            let error = codec.decode_all(&bytes, attachments).unwrap_err();
            assert!(error.0.contains(text), "{error}");
        }
        assert!(codec.decode_all(&encoded.bytes, &encoded.attachments).is_ok());
    }

    #[test]
    fn large_value_without_segments_stays_inline() {
        let mut encoded = EncodedValue::default();
        let codec = output::<String>();
        let long = "x".repeat(LONG);
        codec.encode(&long, &mut encoded, None).unwrap();
        assert!(encoded.attachments.is_empty());
        assert_eq!(codec.decode_all(&encoded.bytes, &encoded.attachments), Ok(long));
    }
}
