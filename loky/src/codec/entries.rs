//! Several values in a row, each after its length: the arguments of the calls of a batch, and their answers.
//!
//! ```text
//!        0             4
//!  entry │ length·2+f │ bytes …      f: 1 where the bytes are a failure instead of a result; little-endian
//! ```
//!
//! Tested beside the code.

use std::iter;

/// The bytes before each entry.
pub(crate) const HEAD_BYTES: usize = 4;

/// Starts an entry. Append its bytes next, then call [`finish`] with the returned start.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.len() - HEAD_BYTES
}

/// Completes the entry that begins at `start`. Its length is below the limit of the lane.
pub(crate) fn finish(out: &mut [u8], start: usize, is_failure: bool) {
    let length = out.len() - start - HEAD_BYTES;
    let head = u32::try_from(length * 2 + usize::from(is_failure)).expect("fits into the lane");
    out[start..start + HEAD_BYTES].copy_from_slice(&head.to_le_bytes());
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) is_failure: bool,
}

/// Returns the first entry and the bytes after it. `None` if the bytes end too early.
pub(crate) fn next(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let head = u32::from_le_bytes(*head);
    let (bytes, rest) = rest.split_at_checked(head as usize / 2)?;
    Some((Entry { bytes, is_failure: head % 2 == 1 }, rest))
}

/// Returns the offset of each entry.
pub(crate) fn starts(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = bytes;
    iter::from_fn(move || {
        let start = bytes.len() - rest.len();
        (_, rest) = next(rest)?;
        u32::try_from(start).ok()
    })
}

/// Returns the length of the first `n_entries` entries. `None` if there are fewer.
pub(crate) fn length_of(bytes: &[u8], n_entries: u32) -> Option<usize> {
    let mut rest = bytes;
    for _ in 0..n_entries {
        (_, rest) = next(rest)?;
    }
    Some(bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(of: &[(&[u8], bool)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (bytes, is_failure) in of {
            let start = begin(&mut out);
            out.extend_from_slice(bytes);
            finish(&mut out, start, *is_failure);
        }
        out
    }

    #[test]
    fn entries_come_back_in_order() {
        let all: [(&[u8], bool); 4] = [(b"one", false), (b"", false), (b"why", true), (b"", true)];
        let bytes = entries(&all);
        assert!(starts(&bytes).eq([0, 7, 11, 18]));
        let mut rest = &bytes[..];
        for (number, (bytes_of, is_failure)) in (1..).zip(all) {
            let (entry, after) = next(rest).unwrap();
            assert_eq!(entry, Entry { bytes: bytes_of, is_failure });
            rest = after;
            assert_eq!(length_of(&bytes, number), Some(bytes.len() - rest.len()));
        }
        assert!(rest.is_empty() && next(rest).is_none() && length_of(&bytes, 5).is_none());
    }

    #[test]
    fn length_beyond_bytes_is_no_entry() {
        let bytes = entries(&[(b"abc", false)]);
        for cut in 0..bytes.len() {
            assert!(next(&bytes[..cut]).is_none());
        }
        assert!(next(&[0xff; 100]).is_none());
    }
}
