//! Reading numbers and texts from the front of a body.

use super::WireError;
use crate::limits;

const TOO_SHORT: WireError = WireError("message ends too early");

/// The unread rest of a body.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.bytes(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.bytes(4)?.try_into().map(u32::from_le_bytes).map_err(|_| TOO_SHORT)
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        self.bytes(8)?.try_into().map(u64::from_le_bytes).map_err(|_| TOO_SHORT)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, WireError> {
        let length = self.u32()? as usize;
        if length > limits::MAX_TEXT_BYTES {
            return Err(WireError("text is longer than the limit"));
        }
        std::str::from_utf8(self.bytes(length)?).map_err(|_| WireError("text is not UTF-8"))
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, WireError> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(self.text()?.to_owned())),
            _ => Err(WireError("flag is neither 0 nor 1")),
        }
    }

    pub(super) fn end(self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError("message has bytes behind its end"))
        }
    }
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(limits::MAX_TEXT_BYTES)];
    out.extend_from_slice(&u32::try_from(text.len()).expect("cut to the limit").to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}
