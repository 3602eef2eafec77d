//! Panics of the user's code, caught and turned into text.
//!
//! The payload of a panic is a value of the user, and its destructor may panic too. So no other module drops a caught
//! payload: it passes it to [`into_text`]. Unit tests are at the end of this file.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The payload of a panic.
pub(crate) type PanicPayload = Box<dyn Any + Send>;

/// Runs code of the user, and returns the text of its panic if it panics.
pub(crate) fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(into_text)
}

/// Returns the text of a payload, or a placeholder if it is no text. Drops the payload.
pub(crate) fn into_text(payload: PanicPayload) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a payload that is no text".to_owned()
    };
    discard(payload);
    text
}

/// Drops a payload. If its destructor panics, the second payload leaks, because its destructor might panic again.
fn discard(payload: PanicPayload) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        let _ = ManuallyDrop::new(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::panic_any;

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic_any(Self);
        }
    }

    #[test]
    fn any_payload_becomes_text() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(guarded(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(guarded(|| panic!("with {}", 1)), Err::<(), _>("with 1".to_owned()));
        let odd = Err::<(), _>("a payload that is no text".to_owned());
        assert_eq!(guarded(|| panic_any(7_u8)), odd);
        assert_eq!(guarded(|| panic_any(PanicsOnDrop)), odd);
    }
}
