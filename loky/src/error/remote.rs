//! [`RemoteError`]: what a task may return when its error is not serde.

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

/// An error as data: its text, its debug text and those of its sources, so that it can cross a process boundary.
///
/// Made from any [`std::error::Error`] by `?`; like other types that convert from every error it is not one itself, but
/// converts into `Box<dyn std::error::Error + Send + Sync>`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteError {
    message: String,
    debug: String,
    /// The texts of the sources, the nearest first.
    chain: Vec<String>,
}

impl RemoteError {
    /// An error of nothing but a text.
    #[must_use]
    pub fn msg(text: impl fmt::Display) -> Self {
        let message = text.to_string();
        Self { debug: message.clone(), message, chain: Vec::new() }
    }

    /// For what is no `Error` itself but converts into a boxed one, such as `anyhow::Error`.
    #[must_use]
    pub fn from_boxed(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::read(&*error)
    }

    fn read(error: &(dyn StdError + 'static)) -> Self {
        let chain = std::iter::successors(error.source(), |source| StdError::source(*source));
        Self {
            message: error.to_string(),
            debug: format!("{error:?}"),
            chain: chain.map(ToString::to_string).collect(),
        }
    }

    /// The debug text (`{:?}`) of the error that this was made from.
    #[must_use]
    pub fn debug(&self) -> &str {
        &self.debug
    }

    /// The texts of the error's sources, the nearest first.
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
        f.write_str(&self.debug)?;
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
