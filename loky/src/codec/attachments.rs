//! What travels beside the bytes of a value: collected while serde writes it, and handed out while serde reads it.
//!
//! A value of serde is bytes and nothing else, whatever the codec. A type that has something to send which is no bytes (a
//! descriptor) therefore leaves it here while it is encoded, by [`attach`], and writes the number that it gets for it; while
//! it is decoded it reads the number, and finds what came with the bytes by [`attached`].
//!
//! Which value that is, is a *scope* of the thread: opened by [`Attachments::collect`] around the encoding of the arguments of
//! one call, or of one result, and by [`Attachments::offer`] around the decoding of the same. A scope that is opened inside
//! another (by a `Serialize` that submits a call, or asks for a result) hides that until it is closed, so the two have nothing
//! of each other's; it is closed however its code ends. Outside of any scope both are errors.
//!
//! What an attachment is, is known here alone: always a descriptor, be it a value's own, one that has come, or that of a segment in
//! which a long value lies ([`out_of_line`](super::out_of_line)).

use std::cell::Cell;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::id::Ticket;
use crate::limits;
use crate::segments::{ReceivedFd, SegmentLease};

/// One thing that travels beside the bytes. Not a copy of the descriptor, which would count against the limit: a share in it.
#[derive(Clone, Debug)]
pub(crate) enum Attachment {
    /// The descriptor of a value.
    Own(Arc<OwnedFd>),
    /// The segment of a long value.
    Lent(Arc<SegmentLease>),
    /// From another process.
    ReceivedFd(Arc<ReceivedFd>),
}

impl Attachment {
    /// What it is to the system.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.share().as_fd()
    }

    fn share(&self) -> &Arc<OwnedFd> {
        match self {
            Self::Own(fd) => fd,
            Self::Lent(lease) => lease.fd(),
            Self::ReceivedFd(arrived) => arrived.fd(),
        }
    }

    fn is(&self, fd: &Arc<OwnedFd>) -> bool {
        Arc::ptr_eq(self.share(), fd)
    }
}

/// All that travels beside the bytes of one value. Cheap to clone, and nothing to have where there are none.
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

    /// How many there are: what the header of a frame says.
    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.as_slice().len()).expect("`attach` holds the limit")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    /// Runs `encode`, and adds what is attached by it.
    pub(crate) fn collect<T>(&mut self, encode: impl FnOnce() -> T) -> T {
        let inside = Inside::enter(Scope::Encoding(mem::take(self)));
        let encoded = encode();
        if let Scope::Encoding(collected) = inside.leave() {
            *self = collected;
        }
        encoded
    }

    /// Runs `decode`, which finds these.
    pub(crate) fn offer<T>(&self, decode: impl FnOnce() -> T) -> T {
        let _inside = Inside::enter(Scope::Decoding(self.clone()));
        decode()
    }

    /// They are about to go to another process with the result of this call, which says of those that are lent when it is through
    /// with them.
    pub(crate) fn set_out(&self, call: Ticket) {
        for attachment in self.as_slice() {
            if let Attachment::Lent(lease) = attachment {
                lease.set_out(call);
            }
        }
    }

    /// The number of a descriptor, which is added if it is not there.
    fn number_of(&mut self, fd: &Arc<OwnedFd>) -> Result<u32, Misplaced> {
        // They are few: beside the call that sends so many, to look through them takes no time.
        match self.as_slice().iter().position(|known| known.is(fd)) {
            Some(known) => u32::try_from(known).map_err(|_| Misplaced::TooMany),
            None => self.add(Attachment::Own(Arc::clone(fd))),
        }
    }

    /// Adds one that is not there: its number.
    fn add(&mut self, attachment: Attachment) -> Result<u32, Misplaced> {
        let list = Arc::make_mut(self.list.get_or_insert_default());
        if list.len() == limits::MAX_ATTACHMENTS {
            return Err(Misplaced::TooMany);
        }
        list.push(attachment);
        u32::try_from(list.len() - 1).map_err(|_| Misplaced::TooMany)
    }

    /// Adds the segment of a long value.
    pub(super) fn add_lease(&mut self, lease: SegmentLease) -> Result<u32, Misplaced> {
        self.add(Attachment::Lent(Arc::new(lease)))
    }

    /// The one of this number.
    pub(super) fn get(&self, number: u32) -> Result<&Attachment, Misplaced> {
        let list = self.as_slice();
        let found = usize::try_from(number).ok().and_then(|number| list.get(number));
        found.ok_or(Misplaced::Unknown(number, list.len()))
    }
}

/// Those that have come from another process.
impl FromIterator<OwnedFd> for Attachments {
    fn from_iter<I: IntoIterator<Item = OwnedFd>>(fds: I) -> Self {
        let arrived = |fd| Attachment::ReceivedFd(Arc::new(ReceivedFd::new(fd)));
        let list: Vec<_> = fds.into_iter().map(arrived).collect();
        Self { list: (!list.is_empty()).then(|| Arc::new(list)) }
    }
}

/// The same things in the same order.
impl PartialEq for Attachments {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.as_slice(), other.as_slice());
        let mut pairs = ours.iter().zip(theirs);
        ours.len() == theirs.len() && pairs.all(|(ours, theirs)| ours.is(theirs.share()))
    }
}

impl Eq for Attachments {}

/// Encoded values, and what travels beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodedValue {
    pub(crate) bytes: Vec<u8>,
    pub(crate) attachments: Attachments,
}

impl EncodedValue {
    /// Whether there are bytes enough that the attachments can go with. They mostly are many times as many: each has a number.
    pub(super) fn has_room(&self) -> bool {
        self.attachments.as_slice().len() <= self.bytes.len().saturating_mul(limits::BATCH)
    }
}

impl From<Vec<u8>> for EncodedValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, attachments: Attachments::new() }
    }
}

/// Why something cannot be attached, or is not to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    NotEncoding,
    NotDecoding,
    TooMany,
    /// So many came.
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

/// Sends a descriptor along with the value that is being encoded: its number there.
///
/// # Errors
/// No call's value is being encoded, or it has too many.
pub(crate) fn attach(fd: &Arc<OwnedFd>) -> Result<u32, Misplaced> {
    with_scope(|scope| match scope {
        Scope::Encoding(attachments) => attachments.number_of(fd),
        Scope::None | Scope::Decoding(_) => Err(Misplaced::NotEncoding),
    })
}

/// The descriptor of this number that came with the value that is being decoded.
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

/// What this thread is doing.
#[derive(Debug)]
enum Scope {
    None,
    Encoding(Attachments),
    Decoding(Attachments),
}

thread_local! {
    /// Never dropped, since what is left when a thread ends is `None`: so it can be used to the thread's very end.
    static SCOPE: Cell<ManuallyDrop<Scope>> = const { Cell::new(ManuallyDrop::new(Scope::None)) };
}

fn replace(scope: Scope) -> Scope {
    ManuallyDrop::into_inner(SCOPE.replace(ManuallyDrop::new(scope)))
}

fn with_scope<T>(look: impl FnOnce(&mut Scope) -> T) -> T {
    let mut scope = replace(Scope::None);
    let seen = look(&mut scope);
    let _none = replace(scope);
    seen
}

/// As long as it is there, a scope is open.
struct Inside {
    /// The scope around it, until it is left.
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
    fn what_is_attached_once_is_found_by_its_number() {
        let (a, b) = (fd(), fd());
        let mut attachments = Attachments::new();
        let numbers = attachments.collect(|| [&a, &b, &a].map(|fd| attach(fd).unwrap()));
        assert_eq!(numbers, [0, 1, 0]);
        assert_eq!(attachments.collect(|| attach(&b)), Ok(1), "the next argument of the same call");
        assert_eq!(attachments.count(), 2);
        attachments.offer(|| {
            assert!(Arc::ptr_eq(&attached(1).unwrap(), &b));
            assert_eq!(attached(2).unwrap_err(), Misplaced::Unknown(2, 2));
            assert_eq!(attached(u32::MAX).unwrap_err(), Misplaced::Unknown(u32::MAX, 2));
            assert_eq!(attach(&a), Err(Misplaced::NotEncoding));
        });
    }

    #[test]
    fn outside_of_a_scope_there_is_nothing() {
        assert_eq!(attach(&fd()), Err(Misplaced::NotEncoding));
        assert_eq!(attached(0).unwrap_err(), Misplaced::NotDecoding);
    }

    #[test]
    fn a_scope_within_a_scope_has_its_own() {
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
    fn a_panic_closes_its_scope() {
        let a = fd();
        let mut attachments = Attachments::new();
        let thrown = catch_unwind(AssertUnwindSafe(|| {
            attachments.collect(|| {
                attach(&a).unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
        }));
        assert!(thrown.is_err() && attach(&a).is_err());
        assert_eq!(Arc::strong_count(&a), 1, "what was collected is gone");
    }

    #[test]
    fn too_many_are_an_error() {
        let fds: Vec<_> = std::iter::repeat_with(fd).take(3).collect();
        let mut full = Attachments::new();
        full.list = Some(Arc::new(vec![Attachment::Own(fd()); limits::MAX_ATTACHMENTS - 2]));
        let numbers: Vec<_> = full.collect(|| fds.iter().map(attach).collect());
        assert_eq!(numbers[..2], [65_533, 65_534].map(Ok));
        assert_eq!(numbers[2], Err(Misplaced::TooMany));
        assert_eq!(usize::from(full.count()), limits::MAX_ATTACHMENTS);
    }
}
