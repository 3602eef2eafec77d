//! Attachments: descriptors that travel beside the bytes of a value.
//!
//! Serde carries bytes only. A type with a descriptor registers it by [`attach`] while it is encoded, and writes the number that it
//! gets. While it is decoded, it reads the number and gets the received descriptor by [`attached`].
//!
//! A thread-local *scope* says which value is meant. [`Attachments::collect`] opens one around the encoding of one call's
//! arguments or one result, [`Attachments::offer`] around the decoding. A scope inside another hides the outer one until it is
//! closed, so that the two never mix: a `Serialize` may submit a call or wait for a result. A scope is closed also by a panic.
//! Outside of a scope, [`attach`] and [`attached`] are errors.
//!
//! Only this file knows the kinds of attachments: the descriptor of a value, a received descriptor, or the segment of a large
//! value ([`out_of_line`](super::out_of_line)). Tested beside the code, and in calls by the package `tests`.

use std::cell::Cell;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::id::Ticket;
use crate::limits;
use crate::segments::{ReceivedFd, SegmentLease};

/// A descriptor that travels beside the bytes. It is shared, not duplicated, since a duplicate would count against the limit.
#[derive(Clone, Debug)]
pub(crate) enum Attachment {
    /// The descriptor of a value.
    Own(Arc<OwnedFd>),
    /// The segment of a large value.
    Lent(Arc<SegmentLease>),
    /// A descriptor from another process.
    ReceivedFd(Arc<ReceivedFd>),
}

impl Attachment {
    /// Returns the descriptor for a system call.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.share().as_fd()
    }

    fn share(&self) -> &Arc<OwnedFd> {
        match self {
            Self::Own(fd) => fd,
            Self::Lent(lease) => lease.fd(),
            Self::ReceivedFd(received) => received.fd(),
        }
    }

    fn is(&self, fd: &Arc<OwnedFd>) -> bool {
        Arc::ptr_eq(self.share(), fd)
    }
}

/// The attachments of one value. Cheap to clone, and without an allocation where there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attachments {
    list: Option<Arc<Vec<Attachment>>>,
}

impl Attachments {
    pub(crate) const fn new() -> Self {
        Self { list: None }
    }

    pub(crate) fn as_slice(&self) -> &[Attachment] {
        self.list.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Returns their number, for the header of a frame.
    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.as_slice().len()).expect("`attach` holds the limit")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    /// Runs `encode`, and adds the descriptors that it attaches.
    pub(crate) fn collect<T>(&mut self, encode: impl FnOnce() -> T) -> T {
        let inside = Inside::enter(Scope::Encoding(mem::take(self)));
        let encoded = encode();
        if let Scope::Encoding(collected) = inside.leave() {
            *self = collected;
        }
        encoded
    }

    /// Runs `decode`, which finds these attachments.
    pub(crate) fn offer<T>(&self, decode: impl FnOnce() -> T) -> T {
        let _inside = Inside::enter(Scope::Decoding(self.clone()));
        decode()
    }

    /// Marks the segments among them as sent with the result of `call`. The receiver marks them as free when it is done.
    pub(crate) fn set_out(&self, call: Ticket) {
        for attachment in self.as_slice() {
            if let Attachment::Lent(lease) = attachment {
                lease.set_out(call);
            }
        }
    }

    /// Returns the number of a descriptor, which is added if it is new.
    fn number_of(&mut self, fd: &Arc<OwnedFd>) -> Result<u32, Misplaced> {
        // A linear search: compared with sending the descriptors it takes no time.
        match self.as_slice().iter().position(|known| known.is(fd)) {
            Some(known) => u32::try_from(known).map_err(|_| Misplaced::TooMany),
            None => self.add(Attachment::Own(Arc::clone(fd))),
        }
    }

    /// Adds a new attachment. Returns its number.
    fn add(&mut self, attachment: Attachment) -> Result<u32, Misplaced> {
        let list = Arc::make_mut(self.list.get_or_insert_default());
        if list.len() == limits::MAX_ATTACHMENTS {
            return Err(Misplaced::TooMany);
        }
        list.push(attachment);
        u32::try_from(list.len() - 1).map_err(|_| Misplaced::TooMany)
    }

    /// Adds the segment of a large value. Returns its number.
    pub(super) fn add_lease(&mut self, lease: SegmentLease) -> Result<u32, Misplaced> {
        self.add(Attachment::Lent(Arc::new(lease)))
    }

    /// Returns the attachment with this number.
    pub(super) fn get(&self, number: u32) -> Result<&Attachment, Misplaced> {
        let list = self.as_slice();
        let found = usize::try_from(number).ok().and_then(|number| list.get(number));
        found.ok_or(Misplaced::Unknown(number, list.len()))
    }
}

/// Descriptors from another process.
impl FromIterator<OwnedFd> for Attachments {
    fn from_iter<I: IntoIterator<Item = OwnedFd>>(fds: I) -> Self {
        let received = |fd| Attachment::ReceivedFd(Arc::new(ReceivedFd::new(fd)));
        let list: Vec<_> = fds.into_iter().map(received).collect();
        Self { list: (!list.is_empty()).then(|| Arc::new(list)) }
    }
}

/// Equal if they share their descriptors, in one order.
impl PartialEq for Attachments {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.as_slice(), other.as_slice());
        let mut pairs = ours.iter().zip(theirs);
        ours.len() == theirs.len() && pairs.all(|(ours, theirs)| ours.is(theirs.share()))
    }
}

impl Eq for Attachments {}

/// Encoded values with their attachments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodedValue {
    pub(crate) bytes: Vec<u8>,
    pub(crate) attachments: Attachments,
}

impl EncodedValue {
    /// Whether the bytes suffice to send the attachments with. They nearly always do, since each attachment has a number there.
    pub(super) fn has_room(&self) -> bool {
        self.attachments.as_slice().len() <= self.bytes.len().saturating_mul(limits::BATCH)
    }
}

impl From<Vec<u8>> for EncodedValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, attachments: Attachments::new() }
    }
}

/// The reason why a descriptor cannot be attached or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    NotEncoding,
    NotDecoding,
    TooMany,
    /// The number, and how many attachments there are.
    Unknown(u32, usize),
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEncoding => {
                f.write_str("shared memory travels as argument or result of a call only")
            }
            Self::NotDecoding => {
                f.write_str("shared memory arrives as argument or result of a call only")
            }
            Self::TooMany => {
                write!(
                    f,
                    "more than {} pieces of shared memory in one call",
                    limits::MAX_ATTACHMENTS
                )
            }
            Self::Unknown(number, count) => {
                write!(f, "shared memory number {number}, where {count} came")
            }
        }
    }
}

/// Attaches a descriptor to the value that is being encoded. Returns its number.
///
/// # Errors
/// No call's value is being encoded, or it has too many.
pub(crate) fn attach(fd: &Arc<OwnedFd>) -> Result<u32, Misplaced> {
    with_scope(|scope| match scope {
        Scope::Encoding(attachments) => attachments.number_of(fd),
        Scope::None | Scope::Decoding(_) => Err(Misplaced::NotEncoding),
    })
}

/// Returns the descriptor with this number of the value that is being decoded.
///
/// # Errors
/// No call's value is being decoded, or there is none of this number.
pub(crate) fn attached(number: u32) -> Result<Arc<OwnedFd>, Misplaced> {
    with_scope(|scope| match scope {
        Scope::Decoding(attachments) => {
            attachments.get(number).map(|attachment| Arc::clone(attachment.share()))
        }
        Scope::None | Scope::Encoding(_) => Err(Misplaced::NotDecoding),
    })
}

/// The innermost scope of a thread.
#[derive(Debug)]
enum Scope {
    None,
    Encoding(Attachments),
    Decoding(Attachments),
}

thread_local! {
    /// Needs no drop, since it is `None` when a thread ends. So it can be used until the very end of the thread.
    static SCOPE: Cell<ManuallyDrop<Scope>> = const { Cell::new(ManuallyDrop::new(Scope::None)) };
}

fn replace(scope: Scope) -> Scope {
    ManuallyDrop::into_inner(SCOPE.replace(ManuallyDrop::new(scope)))
}

fn with_scope<T>(use_scope: impl FnOnce(&mut Scope) -> T) -> T {
    let mut scope = replace(Scope::None);
    let result = use_scope(&mut scope);
    let _none = replace(scope);
    result
}

/// A guard, during whose life a scope is open.
struct Inside {
    /// The outer scope, until this one is closed.
    outer: Option<Scope>,
}

impl Inside {
    fn enter(scope: Scope) -> Self {
        Self { outer: Some(replace(scope)) }
    }

    fn leave(mut self) -> Scope {
        self.outer.take().map_or(Scope::None, replace)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.outer.take().map(replace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn fd() -> Arc<OwnedFd> {
        Arc::new(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()))
    }

    #[test]
    fn attached_descriptor_is_found_by_its_number() {
        let (a, b) = (fd(), fd());
        let mut attachments = Attachments::new();
        let numbers = attachments.collect(|| [&a, &b, &a].map(|fd| attach(fd).unwrap()));
        assert_eq!(numbers, [0, 1, 0]);
        assert_eq!(attachments.collect(|| attach(&b)), Ok(1), "the next argument of the call");
        assert_eq!(attachments.count(), 2);
        attachments.offer(|| {
            assert!(Arc::ptr_eq(&attached(1).unwrap(), &b));
            assert_eq!(attached(2).unwrap_err(), Misplaced::Unknown(2, 2));
            assert_eq!(attached(u32::MAX).unwrap_err(), Misplaced::Unknown(u32::MAX, 2));
            assert_eq!(attach(&a), Err(Misplaced::NotEncoding));
        });
    }

    #[test]
    fn attach_outside_of_a_scope_is_an_error() {
        assert_eq!(attach(&fd()), Err(Misplaced::NotEncoding));
        assert_eq!(attached(0).unwrap_err(), Misplaced::NotDecoding);
    }

    #[test]
    fn inner_scope_hides_outer() {
        let (a, b, c) = (fd(), fd(), fd());
        let (mut outer, mut inner) = (Attachments::new(), Attachments::new());
        outer.collect(|| {
            attach(&a).unwrap();
            assert_eq!(inner.collect(|| attach(&b)), Ok(0));
            inner.offer(|| assert!(Arc::ptr_eq(&attached(0).unwrap(), &b)));
            assert_eq!(attach(&c), Ok(1));
        });
        assert_eq!((outer.count(), inner.count()), (2, 1));
        outer.offer(|| {
            Attachments::new().offer(|| assert!(attached(0).is_err()));
            assert!(Arc::ptr_eq(&attached(1).unwrap(), &c));
        });
    }

    #[test]
    fn panic_closes_scope() {
        let a = fd();
        let mut attachments = Attachments::new();
        let thrown = catch_unwind(AssertUnwindSafe(|| {
            attachments.collect(|| {
                attach(&a).unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
        }));
        assert!(thrown.is_err() && attach(&a).is_err());
        assert_eq!(Arc::strong_count(&a), 1, "the collected attachments are dropped");
    }

    #[test]
    fn too_many_attachments_are_an_error() {
        let fds: Vec<_> = std::iter::repeat_with(fd).take(3).collect();
        let mut full = Attachments::new();
        full.list = Some(Arc::new(vec![Attachment::Own(fd()); limits::MAX_ATTACHMENTS - 2]));
        let numbers: Vec<_> = full.collect(|| fds.iter().map(attach).collect());
        assert_eq!(numbers[..2], [65_533, 65_534].map(Ok));
        assert_eq!(numbers[2], Err(Misplaced::TooMany));
        assert_eq!(usize::from(full.count()), limits::MAX_ATTACHMENTS);
    }
}
