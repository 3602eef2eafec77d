//! Several values in a row, each behind its length: the arguments of the calls of a chunk, and their answers.
//!
//! ```text
//!        0             4
//!  entry │ length·2+f │ bytes …      f: 1 where the bytes say why a call has no result; little-endian
//! ```

use std::iter;

/// The bytes before each entry.
pub(crate) const HEAD_BYTES: usize = 4;

/// Starts an entry: its bytes are to be appended, then [`finish`] called with what comes back.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.len() - HEAD_BYTES
}

/// Completes the entry that starts there. It is shorter than what a channel's letter holds.
pub(crate) fn finish(out: &mut [u8], start: usize, is_failure: bool) {
    let length = out.len() - start - HEAD_BYTES;
    let head = u32::try_from(length * 2 + usize::from(is_failure)).expect("fits into a letter");
    out[start..start + HEAD_BYTES].copy_from_slice(&head.to_le_bytes());
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) is_failure: bool,
}

/// The first entry, and what comes behind it. `None` if the bytes end too early.
pub(crate) fn next(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let head = u32::from_le_bytes(*head);
    let (bytes, rest) = rest.split_at_checked(head as usize / 2)?;
    Some((Entry { bytes, is_failure: head % 2 == 1 }, rest))
}

/// Where each entry begins.
pub(crate) fn starts(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = bytes;
    iter::from_fn(move || {
        let start = bytes.len() - rest.len();
        (_, rest) = next(rest)?;
        u32::try_from(start).ok()
    })
}

/// How many bytes so many entries take. `None` if there are not so many.
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
    fn what_goes_in_comes_out_in_its_order() {
        let all: [(&[u8], bool); 4] = [(b"one", false), (b"", false), (b"why", true), (b"", true)];
        let bytes = entries(&all);
        assert!(starts(&bytes).eq([0, 7, 11, 18]));
        let mut rest = &bytes[..];
        for (number, (bytes_of, is_failure)) in (1..).zip(all) {
            let (entry, behind) = next(rest).unwrap();
            assert_eq!(entry, Entry { bytes: bytes_of, is_failure });
            rest = behind;
            assert_eq!(length_of(&bytes, number), Some(bytes.len() - rest.len()));
        }
        assert!(rest.is_empty() && next(rest).is_none() && length_of(&bytes, 5).is_none());
    }

    #[test]
    fn a_length_that_lies_is_no_entry() {
        let bytes = entries(&[(b"abc", false)]);
        for cut in 0..bytes.len() {
            assert!(next(&bytes[..cut]).is_none());
        }
        assert!(next(&[0xff; 100]).is_none());
    }
}
