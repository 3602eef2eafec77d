//! [`ResultExt`]: `.remote()?` for errors that `?` alone cannot turn into a [`RemoteError`].

use std::error::Error as StdError;

use super::{RemoteError, TaskResult};

/// Turns a result with any error into a [`TaskResult`], by `.remote()?`.
///
/// In a task that returns a [`TaskResult`], `?` alone converts every [`std::error::Error`]. Some error types do not implement that
/// trait, but convert into `Box<dyn Error + Send + Sync>`: `anyhow::Error` and `eyre::Report`, boxed errors themselves, strings.
/// For these, write `.remote()?`.
///
/// ```
/// use loky::ResultExt as _;
///
/// // As a function of `anyhow` would: its error does not implement `Error`.
/// fn read_port(text: &str) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
///     Ok(text.trim().parse()?)
/// }
///
/// #[loky::task]
/// fn port(text: String) -> loky::TaskResult<u16> {
///     let port = read_port(&text).remote()?;
///     if port < 1024 {
///         Err("privileged port").remote()?;
///     }
///     Ok(port)
/// }
///
/// assert_eq!(port("8080".to_owned()).unwrap(), 8080);
/// assert_eq!(port("80".to_owned()).unwrap_err().to_string(), "privileged port");
/// assert_eq!(port("x".to_owned()).unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// This trait is implemented for `Result` only, and cannot be implemented elsewhere.
pub trait ResultExt<T>: sealed::Sealed {
    /// Converts the error into a [`RemoteError`], which keeps its text and those of its sources.
    ///
    /// # Errors
    /// The converted error, where there was one.
    ///
    /// ```
    /// use loky::ResultExt as _;
    ///
    /// let result: Result<u64, String> = Err("not today".to_owned());
    /// assert_eq!(result.remote().unwrap_err().to_string(), "not today");
    /// assert_eq!(Ok::<_, String>(1).remote().unwrap(), 1);
    /// ```
    fn remote(self) -> TaskResult<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> ResultExt<T> for Result<T, E> {
    fn remote(self) -> TaskResult<T> {
        self.map_err(|error| RemoteError::from_boxed(error.into()))
    }
}

mod sealed {
    /// The bound that keeps other crates from implementing the trait.
    #[expect(unnameable_types, reason = "a name would unseal it")]
    pub trait Sealed {}

    impl<T, E> Sealed for Result<T, E> {}
}
