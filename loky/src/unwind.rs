//! Panics of code that is not ours, caught and told as text.
//!
//! The payload of a panic is the user's value, and its drop may panic too: so a payload that was caught is never simply
//! dropped. Tested beside the code.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type PanicPayload = Box<dyn Any + Send>;

/// Runs code of the user; a panic in it is its text.
pub(crate) fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(into_text)
}

/// The text of a payload, or what can be said of one that is no text. Drops it.
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

/// Drops a payload. If that panics, what it panics with is left where it is: it might do it again.
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
    fn whatever_is_thrown_is_text() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(guarded(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(guarded(|| panic!("with {}", 1)), Err::<(), _>("with 1".to_owned()));
        let odd = Err::<(), _>("a payload that is no text".to_owned());
        assert_eq!(guarded(|| panic_any(7_u8)), odd);
        assert_eq!(guarded(|| panic_any(PanicsOnDrop)), odd);
    }
}
