//! [`RemoteError`]: an error as data, for tasks whose own error type does not implement serde's traits.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A task's result with an error of any kind in it: `Result<T, RemoteError>`.
///
/// ```
/// #[loky::task]
/// fn parse(text: String) -> loky::TaskResult<u32> {
///     Ok(text.trim().parse()?) // `ParseIntError` is not serde
/// }
/// assert_eq!(parse("x".into()).unwrap_err().to_string(), "invalid digit found in string");
/// ```
pub type TaskResult<T> = Result<T, RemoteError>;

/// An error as data: its text, its debug text and the texts of its sources.
///
/// It crosses a process boundary, which most errors cannot. `?` makes it from any [`std::error::Error`], and
/// [`.remote()?`](crate::ResultExt::remote) from errors that are only convertible into a box, such as `anyhow::Error`.
///
/// ```
/// #[loky::task]
/// fn size(path: String) -> loky::TaskResult<u64> {
///     let size = std::fs::metadata(&path)?.len();
///     if size == 0 {
///         return Err(loky::RemoteError::msg(format!("`{path}` is empty")));
///     }
///     Ok(size)
/// }
///
/// loky::main! {
///     fn main() -> Result<(), Box<dyn std::error::Error>> {
///         let executor = loky::ProcessPoolExecutor::builder().max_workers(1).build()?;
///         let error = executor.submit(size, "/dev/null".to_owned()).result()?.unwrap_err();
///         assert_eq!(error.to_string(), "`/dev/null` is empty");
///         Ok(())
///     }
/// }
/// ```
///
/// `Debug`, which `unwrap` and a `main` that returns an error print, has the message and the sources. Like other types that convert
/// from every error it does not implement [`Error`](StdError) itself, but converts into `Box<dyn Error + Send + Sync>`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteError {
    message: String,
    debug: String,
    /// The texts of the sources, the nearest first.
    chain: Vec<String>,
}

impl RemoteError {
    /// Creates an error that has nothing but a text.
    ///
    /// ```
    /// let error = loky::RemoteError::msg("no such city");
    /// assert_eq!(error.to_string(), "no such city");
    /// ```
    #[must_use]
    pub fn msg(text: impl fmt::Display) -> Self {
        let message = text.to_string();
        Self { debug: message.clone(), message, chain: Vec::new() }
    }

    /// Creates an error from a boxed one. [`.remote()?`](crate::ResultExt::remote) calls this.
    ///
    /// ```
    /// let error = loky::RemoteError::from_boxed("no such city".into());
    /// assert_eq!(error.to_string(), "no such city");
    /// ```
    #[must_use]
    pub fn from_boxed(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::read(&*error)
    }

    fn read(error: &(dyn StdError + 'static)) -> Self {
        Self {
            message: error.to_string(),
            debug: format!("{error:?}"),
            chain: super::sources(error).map(ToString::to_string).collect(),
        }
    }

    /// Returns the debug text (`{:?}`) of the error from which this one was made.
    ///
    /// ```
    /// let error = loky::RemoteError::from("x".parse::<u8>().unwrap_err());
    /// assert_eq!(error.debug(), "ParseIntError { kind: InvalidDigit }");
    /// ```
    #[must_use]
    pub fn debug(&self) -> &str {
        &self.debug
    }

    /// Returns the texts of the error's sources, the nearest first.
    ///
    /// ```
    /// #[derive(Debug)]
    /// struct BadPort(std::num::ParseIntError);
    ///
    /// impl std::fmt::Display for BadPort {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         f.write_str("`port` is not a number")
    ///     }
    /// }
    ///
    /// impl std::error::Error for BadPort {
    ///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
    ///         Some(&self.0)
    ///     }
    /// }
    ///
    /// let error = loky::RemoteError::from(BadPort("x".parse::<u16>().unwrap_err()));
    /// assert_eq!(error.to_string(), "`port` is not a number");
    /// assert_eq!(error.chain().collect::<Vec<_>>(), ["invalid digit found in string"]);
    /// ```
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        self.chain.iter().map(String::as_str)
    }
}

impl<E: StdError + 'static> From<E> for RemoteError {
    fn from(error: E) -> Self {
        Self::read(&error)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let Self { message, debug, chain } = self;
            let mut out = f.debug_struct("RemoteError");
            return out
                .field("message", message)
                .field("debug", debug)
                .field("chain", chain)
                .finish();
        }
        f.write_str(&self.message)?;
        for source in &self.chain {
            write!(f, "\n  caused by: {source}")?;
        }
        Ok(())
    }
}

impl From<RemoteError> for Box<dyn StdError + Send + Sync> {
    fn from(error: RemoteError) -> Self {
        Box::new(Link::new(error.message, error.debug, error.chain.into_iter()))
    }
}

impl From<RemoteError> for Box<dyn StdError> {
    fn from(error: RemoteError) -> Self {
        Box::<dyn StdError + Send + Sync>::from(error)
    }
}

/// A chain of texts as a chain of errors.
struct Link {
    message: String,
    debug: String,
    source: Option<Box<Self>>,
}

impl Link {
    fn new(message: String, debug: String, mut rest: std::vec::IntoIter<String>) -> Self {
        let source = rest.next().map(|next| Box::new(Self::new(next.clone(), next, rest)));
        Self { message, debug, source }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl StdError for Link {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
